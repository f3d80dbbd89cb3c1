# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""However a manifest is given, what is in it arrives on the nodes, and nothing else does."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.nodes import Cluster, Node, ansible

from .evidence import (
    assert_clear,
    changes,
    clean_up,
    differences,
    inside,
    invocations,
    process,
    standing,
    where_it_runs,
)
from .playbook import Run, daemonset, play, write

NAMES = ("alpha", "beta", "gamma", "delta", "painted", "literal", "sealed", "settled")
SECRET, NEW_SECRET = "h0rse-battery-staple", "c0rrect-horse-battery"


@pytest.fixture(scope="module", autouse=True)
def nothing_left(cluster: Cluster, nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    clean_up(cluster, nodes, tmp_path_factory.mktemp("inputs"), NAMES)


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def secret(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Manifests of every form, and beside them what is none."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "alpha"}, "spec": {"ports": [{"port": 80}]}}
    greeting = [{"name": "GREETING", "valueFrom": {"configMapKeyRef": {"name": "words", "key": "greeting"}}}]
    write(folder / "alpha.yaml", config_map("words", greeting="good day"), service, daemonset("alpha", env=greeting))
    a_list = {"apiVersion": "v1", "kind": "List", "items": [daemonset("beta"), config_map("spare", colour="blue")]}
    (folder / "beta.json").write_text(json.dumps(a_list))
    write(folder / "gamma.yml", daemonset("gamma"))
    (folder / "notes.txt").write_text("kind: DaemonSet, or so they say")
    return folder


FORMS: dict[str, tuple[Callable[[Path], Any], set[str]]] = {
    "a file of several documents": (lambda folder: f"{folder}/alpha.yaml", {"alpha"}),
    "a List in JSON": (lambda folder: [f"{folder}/beta.json"], {"beta"}),
    "a folder": (str, {"alpha", "beta", "gamma"}),
    "a glob": (lambda folder: f"{folder}/*.y*ml", {"alpha", "gamma"}),
    "files, separated by commas": (lambda folder: f"{folder}/alpha.yaml,{folder}/gamma.yml", {"alpha", "gamma"}),
    "an object": (lambda folder: daemonset("delta"), {"delta"}),
    "an object that needs a file": (
        lambda folder: [
            daemonset("delta", envFrom=[{"configMapRef": {"name": "words"}}]),
            f"{folder}/alpha.yaml",
            f"{folder}/gamma.yml",
        ],
        {"alpha", "gamma", "delta"},
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_input(form: str, nodes: list[Node], inventory: Callable[..., Path], folder: Path) -> None:
    given, expected = FORMS[form]
    done = play("plan", inventory(nodes[:1]), daemonset_manifests=given(folder))
    assert done.code == 0, done.output
    assert set(re.findall(r"^default/(\S+): 1 of 1 node should run it", done.output, re.MULTILINE)) == expected
    if "alpha" in expected:
        assert "alpha.yaml: skipped, for it means nothing without a Kubernetes API: Service alpha" in done.output


def test_all_forms_together(nodes: list[Node], inventory: Callable[..., Path], folder: Path) -> None:
    needs = daemonset("delta", envFrom=[{"configMapRef": {"name": "words"}}])
    manifests = [f"{folder}/*.json", str(folder / "alpha.yaml"), needs]
    done = play("apply", inventory(nodes[:1]), daemonset_manifests=manifests)
    assert done.code == 0, done.output
    assert [item["metadata"]["name"] for item in done.items] == ["alpha", "beta", "delta"]
    assert process(nodes[0], "alpha")[1]["GREETING"] == "good day"
    assert process(nodes[0], "delta")[1]["greeting"] == "good day"
    assert where_it_runs(nodes, "beta") == [nodes[0].name]
    again = play("apply", inventory(nodes[:1]), daemonset_manifests=manifests)
    assert (again.code, again.changed) == (0, 0), again.output


def test_a_template_is_rendered_for_each_node_and_anything_else_is_data(
    nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path
) -> None:
    braces = "{{ inventory_hostname }} {% raw %} {{ lookup('pipe', 'id') }} {#"
    literal = write(tmp_path / "literal.yaml", daemonset("literal", env=[{"name": "BRACES", "value": braces}]))
    template = tmp_path / "painted.yaml.j2"
    painted = daemonset("painted", env=[{"name": "PAINT", "value": "{{ colour }} on {{ inventory_hostname }}"}])
    template.write_text("{# a comment #}\n" + yaml.safe_dump(painted))
    two = nodes[:2]
    colours = {node.name: {"colour": "green"} for node in two}
    manifests = [literal, str(template)]

    done = play("apply", inventory(two, host_vars=colours), daemonset_manifests=manifests)
    assert done.code == 0, done.output
    for node in two:
        assert process(node, "painted")[1]["PAINT"] == f"green on {node.name}"
        assert process(node, "literal")[1]["BRACES"] == braces

    before = invocations(two, "painted")
    colours[two[1].name] = {"colour": "red"}
    repainted = inventory(two, host_vars=colours)
    told = play("plan", repainted, daemonset_manifests=manifests)
    assert re.findall(r"replace.*: it has an older revision", told.output) == [
        f"replace, at most 2 at a time: {two[1].name}: it has an older revision"
    ]
    done = play("apply", repainted, daemonset_manifests=manifests)
    assert done.code == 0, done.output
    assert {host for host, changed in changes(done).items() if changed} == {two[1].name}
    after = invocations(two, "painted")
    assert [node.name for node in two if after[node.name] != before[node.name]] == [two[1].name]
    assert process(two[1], "painted")[1]["PAINT"] == f"red on {two[1].name}"


def test_a_template_may_leave_a_node_out(nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> None:
    template = tmp_path / "gamma.yaml.j2"
    template.write_text(
        yaml.safe_dump(config_map("always", colour="blue"))
        + "{% if gamma | default(false) %}\n---\n"
        + yaml.safe_dump(daemonset("gamma"))
        + "{% endif %}\n"
    )
    everywhere = [str(template), daemonset("beta")]
    some = {nodes[0].name: {"gamma": True}}
    done = play("apply", inventory(nodes[:2], host_vars=some), daemonset_manifests=everywhere)
    assert done.code == 0, done.output
    assert where_it_runs(nodes[:2], "gamma") == [nodes[0].name]
    assert where_it_runs(nodes[:2], "beta") == [node.name for node in nodes[:2]]
    counted = {item["metadata"]["name"]: item["status"]["desiredNumberScheduled"] for item in done.items}
    assert counted == {"beta": 2, "gamma": 1}
    # The host that no longer declares it loses it.
    done = play(
        "apply", inventory(nodes[:2], host_vars={nodes[1].name: {"gamma": True}}), daemonset_manifests=everywhere
    )
    assert done.code == 0, done.output
    assert where_it_runs(nodes[:2], "gamma") == [nodes[1].name]


def assert_hidden(output: str, *secrets: str) -> None:
    for value in secrets:
        assert value not in output
        assert base64.b64encode(value.encode()).decode() not in output


@pytest.mark.soak
def test_a_manifest_in_a_vault(nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("open sesame")
    unlock = ("--vault-password-file", str(password))
    sealed = daemonset(
        "sealed",
        pod={"volumes": [{"name": "keys", "secret": {"secretName": "keys"}}]},
        env=[{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}}],
        volumeMounts=[{"name": "keys", "mountPath": "/mnt"}],
    )
    manifests = [write(tmp_path / "sealed.yaml", sealed), str(tmp_path / "keys.yaml")]

    def seal(value: str) -> None:
        path = write(tmp_path / "keys.yaml", secret("keys", token=value))
        done = ansible.run("ansible-vault", "encrypt", *unlock, path)
        assert done.returncode == 0, done.stderr
        assert value not in Path(path).read_text()

    seal(SECRET)
    hosts, node = inventory(nodes[-1:]), nodes[-1]
    before = standing([node])
    locked = play("apply", hosts, daemonset_manifests=manifests)
    assert_clear(locked)
    assert f"{tmp_path}/keys.yaml: cannot be read: " in locked.output
    assert "vault" in locked.output.lower()
    assert differences(before, standing([node])) == {}

    done = play("apply", hosts, *unlock, "-vvv", "--diff", daemonset_manifests=manifests)
    assert done.code == 0, done.output
    assert_hidden(done.output, SECRET)
    seal(NEW_SECRET)
    old = invocations([node], "sealed")
    for arguments in (["--check"], []):
        done = play("apply", hosts, *unlock, *arguments, "-vvv", "--diff", daemonset_manifests=manifests)
        assert done.code == 0, done.output
        assert_hidden(done.output, SECRET, NEW_SECRET)
        assert "(secret, before)" in done.output
        assert "(secret, after)" in done.output
        assert changes(done)[node.name] > 0, done.output
    assert invocations([node], "sealed") != old
    assert process(node, "sealed")[1]["TOKEN"] == NEW_SECRET
    assert inside(node, "sealed", "cat /mnt/token") == NEW_SECRET


def test_a_value_in_a_vault_of_the_inventory(nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("open sesame")
    unlock = ["--vault-password-file", str(password)]
    sealed = ansible.run("ansible-vault", "encrypt_string", *unlock, SECRET, "--name", "token").stdout
    group_vars = tmp_path / "group_vars"
    group_vars.mkdir()
    (group_vars / "all.yml").write_text(sealed)
    template = tmp_path / "sealed.yaml.j2"
    reference = {"secretKeyRef": {"name": "keys", "key": "token"}}
    template.write_text(
        yaml.safe_dump_all(
            [
                secret("keys", token="{{ token }}"),
                daemonset("sealed", env=[{"name": "TOKEN", "valueFrom": reference}], args=["infinity"]),
            ]
        )
    )
    done = play("apply", inventory(nodes[:1]), *unlock, "-vvv", "--diff", daemonset_manifests=str(template))
    assert done.code == 0, done.output
    assert_hidden(done.output, SECRET)
    assert process(nodes[0], "sealed")[1]["TOKEN"] == SECRET


def test_a_config_map_alone_is_a_change(nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> None:
    node = nodes[0]
    settled = daemonset(
        "settled",
        pod={"volumes": [{"name": "settings", "configMap": {"name": "settings"}}]},
        volumeMounts=[{"name": "settings", "mountPath": "/mnt"}],
    )
    manifest = write(tmp_path / "settled.yaml", settled)
    settings = tmp_path / "settings.yaml"

    def applied(*objects: dict[str, Any]) -> Run:
        write(settings, *objects)
        done = play("apply", inventory([node]), "--diff", daemonset_manifests=[manifest, str(settings)])
        assert done.code == 0, done.output
        return done

    applied(config_map("settings", level="low\n"))
    first = invocations([node], "settled")
    changed = applied(config_map("settings", level="high\n"))
    assert "-low" in changed.output
    assert "+high" in changed.output
    second = invocations([node], "settled")
    assert second != first
    assert inside(node, "settled", "cat /mnt/level") == "high\n"
    # A ConfigMap that it does not use is none of its business.
    assert applied(config_map("settings", level="high\n"), config_map("other", level="mid\n")).changed == 0
    assert invocations([node], "settled") == second


def test_a_relative_path_means_the_folder_of_whoever_types_it(
    nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path
) -> None:
    write(tmp_path / "gamma.yaml", daemonset("gamma"))
    extra = json.dumps({"daemonset_manifests": "gamma.yaml"})
    done = ansible.run(
        "ansible-playbook", "everynode.daemonset.plan", "-e", extra, inventory=inventory(nodes[:1]), cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "default/gamma: 1 of 1 node should run it" in done.stdout
