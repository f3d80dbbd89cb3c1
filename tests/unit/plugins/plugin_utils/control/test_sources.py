# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.sources import (
    SourceError,
    load_for_nodes,
    read_sources,
)

MANIFEST = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers:
        - {name: agent, image: "host:///usr/bin/sleep", args: ["ARGUMENT"]}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.yaml", "a.yml", "c.json", "d.yaml.j2", "notes.txt", "deeper/e.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# {name}")
    return tmp_path


def names(manifests, *search):
    return [source.name for source in read_sources(DataLoader(), manifests, [str(place) for place in search])]


def test_files_folders_globs_and_objects(folder):
    found = names(["b.yaml", "deeper", "*.j*", {"kind": "DaemonSet"}], folder)
    assert found == ["b.yaml", "deeper/e.yaml", "c.json", "d.yaml.j2", "inline[3]"]


def test_a_folder_is_its_manifests_in_order_and_no_deeper(folder):
    assert names([str(folder)], folder) == ["a.yml", "b.yaml", "c.json", "d.yaml.j2"]


def test_the_first_place_with_the_file_wins(folder):
    sources = read_sources(DataLoader(), ["e.yaml"], [str(folder), str(folder / "deeper")])
    assert [source.text for source in sources] == ["# deeper/e.yaml"]


def test_a_name_with_glob_characters_is_a_file_first(folder):
    (folder / "x[1].yaml").write_text("# it")
    assert names(["x[1].yaml"], folder) == ["x[1].yaml"]


def test_all_that_cannot_be_found_is_told_at_once(folder):
    (folder / "empty").mkdir()
    with pytest.raises(SourceError) as caught:
        read_sources(DataLoader(), ["nowhere.yaml", "empty", 7, "b.yaml"], [str(folder)])
    first, second, third = str(caught.value).split("\n")
    assert first.startswith("nowhere.yaml: there is no such file")
    assert second.startswith("empty: this folder holds no manifest")
    assert third.startswith("manifest number 3 is 7: expected a path")


def test_no_manifest_at_all(folder):
    with pytest.raises(SourceError, match="no manifest is given"):
        read_sources(DataLoader(), [], [str(folder)])


def arguments_by_node(folder, name, text, variables):
    (folder / name).write_text(text)
    sources = read_sources(DataLoader(), [name], [str(folder)])
    templar = Templar(loader=DataLoader())
    loaded = load_for_nodes(sources, list(variables), variables.__getitem__, templar)
    return {
        node: manifests.daemonsets[0].pod_spec["containers"][0]["args"][0] for node, manifests in loaded.items()
    }, loaded


TWO_NODES = {"web1": {"seconds": 1}, "web2": {"seconds": 2}}
TEMPLATE = MANIFEST.replace("ARGUMENT", "{{ seconds }}")


def test_a_j2_file_is_rendered_for_each_node(folder):
    arguments, _loaded = arguments_by_node(folder, "x.yaml.j2", TEMPLATE, TWO_NODES)
    assert arguments == {"web1": "1", "web2": "2"}


def test_any_other_file_is_data(folder):
    arguments, loaded = arguments_by_node(folder, "x.yaml", TEMPLATE, TWO_NODES)
    assert arguments == {"web1": "{{ seconds }}", "web2": "{{ seconds }}"}
    assert loaded["web1"] is loaded["web2"]


def test_equal_renderings_are_loaded_once(folder):
    _arguments, loaded = arguments_by_node(
        folder, "x.yaml.j2", TEMPLATE, {"web1": {"seconds": 1}, "web2": {"seconds": 1}}
    )
    assert loaded["web1"] is loaded["web2"]


def test_a_template_that_fails_names_the_file_the_node_and_the_variable(folder):
    with pytest.raises(SourceError, match=r"x\.yaml\.j2 \(rendered for web2\): .*'seconds' is undefined"):
        arguments_by_node(folder, "x.yaml.j2", TEMPLATE, {"web1": {"seconds": 1}, "web2": {}})


def test_a_rendering_that_is_wrong_names_the_node(folder):
    wrong = MANIFEST.replace("kind: DaemonSet", "kind: {{ kind }}")
    with pytest.raises(SourceError, match=r"x\.yaml\.j2 \(rendered for web1\)"):
        arguments_by_node(folder, "x.yaml.j2", wrong, {"web1": {"kind": "[]"}})
