# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime

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
    return [source.name for source in read_sources(DataLoader(), manifests, [str(place) for place in search]).found]


def test_files_folders_globs_and_objects(folder):
    found = names(["b.yaml", "deeper", "*.j*", {"kind": "DaemonSet"}], folder)
    assert found == ["b.yaml", "deeper/e.yaml", "c.json", "d.yaml.j2", "inline[3]"]


def test_a_folder_is_its_manifests_in_order_and_no_deeper(folder):
    assert names([str(folder)], folder) == ["a.yml", "b.yaml", "c.json", "d.yaml.j2"]


def test_the_first_place_with_the_file_wins(folder):
    sources = read_sources(DataLoader(), ["e.yaml"], [str(folder), str(folder / "deeper")])
    assert [source.text for source in sources.found] == ["# deeper/e.yaml"]


def test_a_name_with_glob_characters_is_a_file_first(folder):
    (folder / "x[1].yaml").write_text("# it")
    assert names(["x[1].yaml"], folder) == ["x[1].yaml"]


def test_all_that_cannot_be_read_is_told_at_once(folder):
    (folder / "empty").mkdir()
    (folder / "garbage.yaml").write_bytes(b"kind\xff")
    sources = read_sources(DataLoader(), ["nowhere.yaml", "empty", 7, "garbage.yaml", "", "b.yaml"], [str(folder)])
    first, second, third, fourth, fifth = sources.errors
    assert first.startswith("nowhere.yaml: there is no such file")
    assert second.startswith("empty: this folder holds no manifest")
    assert third.startswith("manifest number 3 is 7: expected a path")
    assert fourth == "garbage.yaml: cannot be read: byte 5 is not UTF-8 text"
    assert fifth.startswith("manifest number 5 is '': expected a path")
    assert [source.name for source in sources.found] == ["b.yaml"]


@pytest.mark.parametrize("manifests", [[], [""]])
def test_no_manifest_at_all(folder, manifests):
    (message,) = read_sources(DataLoader(), manifests, [str(folder)]).errors
    assert message.startswith("no manifest is given")


def test_a_date_in_an_object_is_a_text(folder):
    sources = read_sources(DataLoader(), [{"since": datetime.date(2026, 1, 2)}], [str(folder)])
    assert sources.found[0].text == '{"since": "2026-01-02"}'


def wrong_with(folder, *texts):
    """The errors of these files, of which the first does not exist."""
    for index, text in enumerate(texts):
        (folder / f"{index}.yaml.j2").write_text(text)
    given = ["nowhere.yaml", *(f"{index}.yaml.j2" for index in range(len(texts)))]
    with pytest.raises(SourceError) as caught:
        load_for_nodes(
            read_sources(DataLoader(), given, [str(folder)]), ["web1"], lambda _node: {}, Templar(loader=DataLoader())
        )
    return str(caught.value).split("\n")


def test_what_can_be_read_is_judged_beside_what_cannot(folder):
    missing, undefined, field = wrong_with(folder, "{{ nobody_set_this }}", MANIFEST.replace("args:", "arks:"))
    assert missing.startswith("nowhere.yaml: there is no such file")
    assert "0.yaml.j2 (rendered for web1): 'nobody_set_this' is undefined" in undefined
    assert "containers[0].arks: Unknown field" in field


def test_what_may_be_in_the_file_that_is_not_there_is_not_called_missing(folder):
    reference = MANIFEST.replace("args:", "envFrom: [{configMapRef: {name: elsewhere}}], args:")
    assert len(wrong_with(folder)) == 1
    assert len(wrong_with(folder, reference)) == 1


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
