# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong is said once, where and how to mend it, and no node notices: what ran before still runs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import Cluster, Node, ansible

from .evidence import assert_clear, clean_up, differences, standing
from .playbook import Run, arguments_for, daemonset, play, write

NAME = "steady"
SECRET = "h0rse-battery-staple"


@pytest.fixture(scope="module", autouse=True)
def steady(cluster: Cluster, nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """It runs on the first node before all of this; at the end nobody has touched it, or any node."""
    folder = tmp_path_factory.mktemp("bad-input")
    done = play(
        "apply", cluster.write_inventory(nodes[:1], path=folder / "inventory.yml"), daemonset_manifests=daemonset(NAME)
    )
    assert done.code == 0, done.output
    before = standing(nodes)
    yield
    after = standing(nodes)
    clean_up(cluster, nodes, folder, [NAME])
    assert differences(before, after) == {}


def steady_with(path: str, value: Any) -> dict[str, Any]:
    """A changed ``steady``, with one thing wrong in it."""
    bad = daemonset(NAME)
    *folders, last = [int(step) if step.isdigit() else step.replace(":", "/") for step in path.split("/")]
    where: Any = bad
    for folder in folders:
        where = where[folder] if isinstance(where, list) else where.setdefault(folder, {})
    where[last] = value
    return bad


CONTAINER = "spec/template/spec/containers/0"
IN_CONTAINER = "spec.template.spec.containers[0]"

# What is wrong with one field → the message, after the name of the file and the number of the document.
FIELDS: dict[str, tuple[str, Any, str]] = {
    "an unknown field": (f"{CONTAINER}/imagePullPolice", "Always", f"{IN_CONTAINER}.imagePullPolice: Unknown field"),
    "a text for a list": (f"{CONTAINER}/args", "infinity", f"{IN_CONTAINER}.args: Invalid type: "),
    "a text for a number": ("spec/minReadySeconds", "ten", "spec.minReadySeconds: Invalid type: "),
    "a number for a text": (
        f"{CONTAINER}/env",
        [{"name": "PORT", "value": 80}],
        f"{IN_CONTAINER}.env[0].value: Invalid type: ",
    ),
    "a quantity": (
        f"{CONTAINER}/resources/limits/memory",
        "200Mo",
        f"{IN_CONTAINER}.resources.limits.memory: "
        'Invalid value: "200Mo" is not a quantity (did you mean 200M or 200Mi?)',
    ),
    "an annotation": (
        "metadata/annotations/everynode:replace",
        "x.service",
        "metadata.annotations[everynode/replace]: Unsupported value: ",
    ),
    "a ConfigMap that is not there": (
        f"{CONTAINER}/envFrom",
        [{"configMapRef": {"name": "settings"}}],
        f"{IN_CONTAINER}.envFrom[0].configMapRef",
    ),
    "a percentage": (
        "spec/updateStrategy/rollingUpdate/maxUnavailable",
        "120%",
        'spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "120%": ',
    ),
    "a name": ("metadata/name", "Steady_1", "metadata.name: Invalid value: "),
    "an archive without a checksum": (
        CONTAINER,
        {"name": "main", "image": "https://example.com/x.tar.gz", "command": ["bin/x"]},
        f"{IN_CONTAINER}.image: Invalid value: ",
    ),
}


def refused(inventory: Path, verb: str = "apply", *arguments: str, **variables: Any) -> Run:
    """Not one node was even looked at."""
    done = play(verb, inventory, *arguments, **variables)
    assert_clear(done)
    assert "no node was touched" in done.output
    assert done.output.count("[ERROR]") == 1
    assert [(counts["ok"], counts["failed"]) for counts in done.recap.values()] == [(0, 1)], done.output
    return done


def test_every_field_that_is_wrong_at_once(inventory: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    files = []
    for index, (path, value, _message) in enumerate(FIELDS.values()):
        bad = steady_with(path, value)
        if path != "metadata/name":
            bad["metadata"]["name"] = f"{NAME}-{index}"
        files.append(write(folder / f"{index}.yaml", {"apiVersion": "v1", "kind": "Service"}, bad))
    done = refused(inventory(), daemonset_manifests=str(folder))
    for file, (what, (_path, _value, message)) in zip(files, FIELDS.items(), strict=True):
        lines = [line for line in done.output.splitlines() if line.startswith(f"{file} (document 2): ")]
        assert len(lines) == 1, f"{what}: {lines}"
        assert message in lines[0], what
    assert f"{len(FIELDS)} errors" in done.output
    assert "(did you mean imagePullPolicy?)" in done.output


def test_files_that_cannot_be_read_beside_fields_that_are_wrong(
    nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path
) -> None:
    """All at once: files, YAML, fields, labels, taints."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "garbage.yaml").write_bytes(b"\xff\xfe\x00kind")
    (tmp_path / "broken.yaml").write_text("apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: x\nspec: 1\n")
    (tmp_path / "vault.yaml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    (tmp_path / "undefined.yaml.j2").write_text("metadata: {name: {{ nobody_set_this }}}\n")
    (tmp_path / "jinja.yaml.j2").write_text("{% if %}\n")
    field = write(tmp_path / "field.yaml", steady_with(f"{CONTAINER}/image", ""))
    host_vars = {
        nodes[0].name: {"node_labels": {"ssd": True}},
        nodes[1].name: {"node_taints": [{"key": "a", "effect": "NoShedule"}]},
        nodes[2].name: {"node_labels_a": {"x": "1"}, "node_labels_b": {"x": "2"}},
        nodes[3].name: {"node_unschedulable": "perhaps"},
    }
    manifests = [
        str(tmp_path / "nowhere.yaml"),
        str(tmp_path / "empty"),
        str(tmp_path / "garbage.yaml"),
        str(tmp_path / "broken.yaml"),
        str(tmp_path / "vault.yaml"),
        str(tmp_path / "undefined.yaml.j2"),
        str(tmp_path / "jinja.yaml.j2"),
        7,
        field,
    ]
    done = refused(inventory(host_vars=host_vars), daemonset_manifests=manifests)
    for wanted in (
        f"{tmp_path}/nowhere.yaml: there is no such file or folder",
        f"{tmp_path}/empty: this folder holds no manifest",
        f"{tmp_path}/garbage.yaml",
        f"{tmp_path}/broken.yaml (document 1): ",
        f"{tmp_path}/vault.yaml: cannot be read: ",
        f"{tmp_path}/undefined.yaml.j2 (rendered for {nodes[0].name}): ",
        f"{tmp_path}/jinja.yaml.j2",
        "manifest number 8 is 7",
        f"{field} (document 1): {IN_CONTAINER}.image: ",
        f'host {nodes[0].name}: node_labels: the value of label "ssd" must be a string, found True; write "true"',
        f"host {nodes[1].name}: node_taints[0]: effect must be one of",
        f'host {nodes[2].name}: label x is "1" in node_labels_a but "2" in node_labels_b',
        f"host {nodes[3].name}: node_unschedulable must be true or false, found 'perhaps'",
    ):
        assert wanted in done.output, done.output
    (place,) = re.findall(r"broken\.yaml \(document 1\): (.*)", done.output)
    assert re.search(r"line [34]", place), place
    assert "nobody_set_this" in done.output


NOT_A_DAEMONSET = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {}}
BAD_SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "data": {"token": SECRET}}
NUMBER_SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"pin": 73219465}}

WHOLE: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "no manifest": ("apply", {}, ["no manifest is given: use -e daemonset_manifests=FILE"]),
    "an empty list": ("apply", {"daemonset_manifests": []}, ["no manifest is given: use -e daemonset_manifests=FILE"]),
    "an empty name": ("apply", {"daemonset_manifests": ""}, ["no manifest is given: use -e daemonset_manifests=FILE"]),
    "no DaemonSet": (
        "apply",
        {"daemonset_manifests": NOT_A_DAEMONSET},
        ["inline[0] (document 1): No DaemonSet: found ConfigMap, expected at least one document"],
    ),
    "the same DaemonSet twice": (
        "apply",
        {"daemonset_manifests": [daemonset(NAME), daemonset(NAME)]},
        [f"DaemonSet default/{NAME} is in inline[0] (document 1) too; keep one"],
    ),
    "a Secret that is not in base64": (
        "apply",
        {"daemonset_manifests": [daemonset(NAME), BAD_SECRET]},
        ["inline[1] (document 1): data.token: "],
    ),
    "a Secret that is a number": (
        "apply",
        {"daemonset_manifests": [daemonset(NAME), NUMBER_SECRET]},
        ["inline[1] (document 1): stringData.pin: "],
    ),
    "output as XML": (
        "apply",
        {"daemonset_manifests": daemonset(NAME, args=["1"]), "daemonset_output": "xml"},
        ['daemonset_output is "xml": expected table, wide, json or yaml'],
    ),
    "a report into a folder that is not there": (
        "apply",
        {"daemonset_manifests": daemonset(NAME, args=["1"]), "daemonset_output_file": "/nonexistent/report.json"},
        ["daemonset_output_file: /nonexistent/report.json cannot be written: there is no folder /nonexistent"],
    ),
    "delete, with output as XML": (
        "delete",
        {"daemonset_names": NAME, "daemonset_output": "xml"},
        ['daemonset_output is "xml": expected table, wide, json or yaml'],
    ),
    "an address that no container knows before it starts": (
        "apply",
        {
            "daemonset_manifests": steady_with(
                CONTAINER,
                {
                    "name": "main",
                    "image": "fluent/fluentd:v1.14",
                    "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
                },
            )
        },
        [f"inline[0] (document 1): {IN_CONTAINER}.env[0].valueFrom.fieldRef.fieldPath: ", "status.podIP"],
    ),
    "delete nothing": ("delete", {}, ["no manifest is given"]),
    "delete a nameless one": ("delete", {"daemonset_names": ""}, ['"" is no [NAMESPACE/]NAME of a DaemonSet']),
    "delete names that are none": (
        "delete",
        {"daemonset_names": ["a/b/c", "Steady", "../../etc"]},
        [f'"{name}" is no [NAMESPACE/]NAME of a DaemonSet' for name in ("a/b/c", "Steady", "../../etc")],
    ),
    "a manifest for status that is not there": (
        "status",
        {"daemonset_manifests": "/nonexistent/x.yaml"},
        ["/nonexistent/x.yaml: there is no such file or folder"],
    ),
}


@pytest.mark.parametrize("what", WHOLE)
def test_refused_as_a_whole(what: str, inventory: Callable[..., Path]) -> None:
    verb, variables, wanted = WHOLE[what]
    done = refused(inventory(), verb, "-v", **variables)
    for words in wanted:
        assert words in done.output, done.output
    assert SECRET not in done.output
    assert "73219465" not in done.output


def test_what_only_the_node_can_tell(nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> None:
    """Refused while everything is staged: the old revision runs on, and nothing was written."""
    foreign = {"runAsUser": 54321}
    path = {"volumes": [{"name": "data", "hostPath": {"path": "/nonexistent/data", "type": "Directory"}}]}
    mount = [{"name": "data", "mountPath": "/mnt"}]
    checksum = hashlib.sha256(b"").hexdigest()
    manifests = [
        daemonset(NAME, image="host:///usr/bin/nonesuch"),
        daemonset("nobody", securityContext=foreign),
        daemonset("nowhere", path, volumeMounts=mount),
        daemonset("unpacked", image=f"file:///nonexistent.tar.gz#sha256={checksum}", command=["bin/x"]),
    ]
    before = standing(nodes[:1])
    for arguments in (["--check"], []):
        done = play("apply", inventory(nodes[:1]), *arguments, daemonset_manifests=manifests)
        assert_clear(done)
        for name, words in (
            (NAME, "/usr/bin/nonesuch"),
            ("nobody", "runAsUser 54321 is no user of this node"),
            ("nowhere", "volume data: hostPath /nonexistent/data is not on this node"),
            ("unpacked", "the archive /nonexistent.tar.gz on the control node cannot be read: No such file"),
        ):
            lines = re.findall(rf"^{nodes[0].name}: {name}: failed to stage: .*", done.output, re.MULTILINE)
            assert len(lines) == 1, done.output
            assert words in lines[0]
        assert done.recap[nodes[0].name]["changed"] == 0
        assert differences(before, standing(nodes[:1])) == {}


def test_without_root(nodes: list[Node], inventory: Callable[..., Path]) -> None:
    before = standing(nodes[:2])
    for arguments in ([], ["--become"]):
        done = play(
            "apply", inventory(nodes[:2], user="guest"), *arguments, daemonset_manifests=daemonset(NAME, args=["1"])
        )
        assert_clear(done)
        assert done.changed == 0
        for node in nodes[:2]:
            (message,) = re.findall(rf"^fatal: \[{node.name}\]: FAILED! => (\{{.*\}})$", done.output, re.MULTILINE)
            assert json.loads(message)["msg"].startswith("this node is unusable: "), message
            assert "root" in message
    assert differences(before, standing(nodes[:2])) == {}


def test_options_of_the_role(nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> None:
    book = tmp_path / "play.yml"
    for variables, wanted in (
        ({"daemonset_state": "gone", "daemonset_manifests": [daemonset(NAME)]}, "daemonset_state"),
        (
            {"daemonset_name": "other", "daemonset_manifests": [daemonset(NAME)]},
            f"no DaemonSet */other, only default/{NAME}",
        ),
        ({}, "no manifest is given"),
    ):
        role = {"role": "everynode.daemonset.daemonset", "vars": variables}
        book.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "roles": [role]}]))
        done = play(str(book), inventory(nodes[:1]))
        assert_clear(done)
        assert wanted in done.output
        assert done.changed == 0


def test_the_collection_says_so_without_any_hosts(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {}}\n")
    words = arguments_for("apply", daemonset_manifests=daemonset(NAME))
    done = ansible.run("ansible-playbook", *words, inventory=tmp_path / "hosts.yml")
    assert "Traceback" not in done.stdout + done.stderr
    assert "no hosts matched" in done.stdout
