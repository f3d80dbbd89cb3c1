# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.errors import ManifestError
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.model import (
    Manifests,
    image_runtime,
    load,
    load_objects,
)

POD = "spec.template.spec"
NODE_EXPORTER = """
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: node-exporter
  namespace: monitoring
  annotations: {everynode/replaces: prometheus-node-exporter.service}
spec:
  selector: {matchLabels: {app: node-exporter}}
  template:
    metadata: {labels: {app: node-exporter}}
    spec:
      containers:
      - name: node-exporter
        image: package://prometheus-node-exporter
        command: [/usr/bin/prometheus-node-exporter]
"""
CONFIG_MAP = (
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: monitoring}\ndata: {level: debug}\n"
)


def daemonset(**container: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "abc"},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [{"name": "c", "image": "host:///usr/bin/x", **container}]},
            },
        },
    }


def loaded(*texts: str) -> Manifests:
    return load([(f"{index}.yaml", text) for index, text in enumerate(texts)])


def refused(*texts: str) -> list[str]:
    with pytest.raises(ManifestError) as error:
        loaded(*texts)
    return [str(found) for found in error.value.errors]


def errors_of(*objects: dict[str, Any]) -> dict[str, str]:
    try:
        load_objects([(f"inline[{index}]", item) for index, item in enumerate(objects)])
    except ManifestError as error:
        return {found.path: found.message for found in error.errors}
    return {}


def test_a_daemonset() -> None:
    manifests = loaded(NODE_EXPORTER)
    (found,) = manifests.daemonsets
    assert (found.source, found.document, found.key) == ("0.yaml", 1, "monitoring/node-exporter")
    assert found.annotations == {"everynode/replaces": "prometheus-node-exporter.service"}
    assert found.selector == {"matchLabels": {"app": "node-exporter"}}
    assert found.pod_spec["containers"][0]["command"] == ["/usr/bin/prometheus-node-exporter"]
    assert found.update_strategy["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}
    assert found.min_ready_seconds == 0
    assert manifests.without_effect == ()


def test_config_maps_and_secrets_are_decoded() -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: YQ==, b: YQ==}\nstringData: {b: plain}\n"
    binary = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\nbinaryData: {x: AAE=}\ndata: {z: z}\n"
    manifests = loaded(NODE_EXPORTER, CONFIG_MAP, secret, binary)
    assert manifests.config_maps == {
        ("monitoring", "settings"): {"level": b"debug"},
        ("default", "b"): {"x": b"\0\1", "z": b"z"},
    }
    assert manifests.secrets == {("default", "s"): {"a": b"a", "b": b"plain"}}


def test_lists_and_other_kinds() -> None:
    text = f"""
apiVersion: v1
kind: List
items:
- {{apiVersion: v1, kind: ServiceAccount, metadata: {{name: sa}}}}
- {NODE_EXPORTER.strip().replace(chr(10), chr(10) + "  ")}
"""
    manifests = loaded(text)
    assert [item.key for item in manifests.daemonsets] == ["monitoring/node-exporter"]
    assert [(item.kind, item.name) for item in manifests.skipped] == [("ServiceAccount", "sa")]


def test_errors_in_a_list_have_the_path_of_the_item() -> None:
    broken = daemonset(image="")
    listed = {"apiVersion": "v1", "kind": "List", "items": [daemonset(), broken]}
    broken["metadata"] = {"name": "other"}
    assert list(errors_of(listed)) == [f"items[1].{POD}.containers[0].image"]


def test_old_versions() -> None:
    old = daemonset()
    old["apiVersion"] = "extensions/v1beta1"
    del old["spec"]["selector"]
    old["spec"]["templateGeneration"] = 3
    manifests = load_objects([("old", old)])
    (found,) = manifests.daemonsets
    assert found.object["apiVersion"] == "apps/v1"
    assert found.selector == {"matchLabels": {"a": "b"}}
    assert [note.path for note in manifests.without_effect] == ["spec.templateGeneration"]


def test_apps_v1_makes_no_selector() -> None:
    without = daemonset()
    del without["spec"]["selector"]
    assert "spec.template.metadata.labels" in errors_of(without)


@pytest.mark.parametrize(
    ("image", "runtime"),
    [
        ("host:///usr/bin/x", "systemd"),
        ("package://x=1", "systemd"),
        ("https://e.org/x.tar.gz#sha256=0", "systemd"),
        ("http://e.org/x", "systemd"),
        ("file:///x", "systemd"),
        ("fluent/fluentd:v1.14", "container"),
        ("registry.example:5000/a/b@sha256:0", "container"),
    ],
)
def test_image_runtime(image: str, runtime: str) -> None:
    assert image_runtime(image) == runtime


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("host://usr/bin/x", "absolute path"),
        ("package://", "package://NAME"),
        ("https://e.org/x.tar.gz", "#sha256="),
        ("https://e.org/x.tar.gz#sha256=12", "64 hexadecimal digits"),
        ("file://x#sha256=" + "0" * 64, "absolute path"),
        ("docker://x", "unknown scheme"),
        ("FILLED BY THE OPERATOR", "expected a container image"),
    ],
)
def test_images_that_nothing_can_run(image: str, expected: str) -> None:
    assert expected in errors_of(daemonset(image=image, command=["x"]))[f"{POD}.containers[0].image"]


def test_a_package_needs_a_command_and_a_program_on_the_host_does_not() -> None:
    assert "needs a command" in errors_of(daemonset(image="package://x"))[f"{POD}.containers[0].command"]
    assert errors_of(daemonset(image="host:///usr/bin/x")) == {}


def test_a_pod_is_of_one_kind() -> None:
    mixed = daemonset()
    mixed["spec"]["template"]["spec"]["containers"].append({"name": "d", "image": "busybox:1"})
    assert "a pod is all of one kind" in errors_of(mixed)[f"{POD}.containers[1].image"]


def test_what_a_host_cannot_do_is_refused_and_what_changes_nothing_is_noted() -> None:
    obj = daemonset(imagePullPolicy="Always")
    obj["spec"]["template"]["spec"]["runtimeClassName"] = "kata"
    assert list(errors_of(obj)) == [f"{POD}.runtimeClassName"]
    del obj["spec"]["template"]["spec"]["runtimeClassName"]
    notes = load_objects([("x", obj)]).without_effect
    assert [(note.path, note.reason) for note in notes] == [(f"{POD}.containers[0].imagePullPolicy", "NoEffect")]


def test_annotations_of_everynode() -> None:
    obj = daemonset()
    obj["metadata"]["annotations"] = {"everynode/replaces": "a.service, b c", "everynode/replace": "x", "other/x": "y"}
    errors = errors_of(obj)
    assert set(errors) == {"metadata.annotations[everynode/replaces]", "metadata.annotations[everynode/replace]"}
    assert "everynode/replaces" in errors["metadata.annotations[everynode/replace]"]


@pytest.mark.parametrize(
    ("units", "taken"),
    [
        ("a.service, b-c@d.socket,", True),
        ("nginx", False),
        ("nginx@.service", False),
        ("@.service", False),
        (".service", False),
        ("a.scope", False),
    ],
)
def test_units_to_replace(units: str, taken: bool) -> None:
    obj = daemonset()
    obj["metadata"]["annotations"] = {"everynode/replaces": units}
    if taken:
        load_objects([("inline", obj)])
    else:
        assert set(errors_of(obj)) == {"metadata.annotations[everynode/replaces]"}


def test_no_unit_belongs_to_two_daemonsets() -> None:
    several, dotted = daemonset(), daemonset()
    containers = several["spec"]["template"]["spec"]["containers"]
    several["spec"]["template"]["spec"]["initContainers"] = [{**containers[0], "name": "b"}]
    several["metadata"]["name"], dotted["metadata"]["name"] = "a", "a.b"
    message = errors_of(several, dotted)["metadata.name"]
    assert "everynode.default.a.b.service" in message
    assert "default/a (" in message
    dotted["metadata"]["namespace"] = "other"
    assert len(load_objects([("one", several), ("two", dotted)]).daemonsets) == 2


def test_a_name_that_is_too_long_for_its_files() -> None:
    obj = daemonset()
    room = 255 - len(".everynode.default._probes.service.backoff.new") - 1
    obj["metadata"]["name"] = "a" * room
    load_objects([("inline", obj)])
    obj["metadata"]["name"] += "a"
    assert "would be 1 characters too long" in errors_of(obj)["metadata.name"]


@pytest.mark.parametrize(
    ("container", "path"),
    [
        ({"envFrom": [{"configMapRef": {"name": "no"}}]}, "envFrom[0].configMapRef.name"),
        ({"envFrom": [{"secretRef": {"name": "settings"}}]}, "envFrom[0].secretRef.name"),
        (
            {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "no"}}}]},
            "env[0].valueFrom.configMapKeyRef.key",
        ),
    ],
)
def test_references_in_the_environment(container: dict[str, Any], path: str) -> None:
    store = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"level": "x"}}
    assert list(errors_of(daemonset(**container), store)) == [f"{POD}.containers[0].{path}"]


def test_references_in_volumes() -> None:
    obj = daemonset()
    obj["spec"]["template"]["spec"]["volumes"] = [
        {"name": "a", "configMap": {"name": "settings", "items": [{"key": "no", "path": "p"}]}},
        {"name": "b", "secret": {"secretName": "no"}},
        {"name": "c", "projected": {"sources": [{"configMap": {"name": "no"}}]}},
        {"name": "d", "secret": {"secretName": "no", "optional": True}},
    ]
    store = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"level": "x"}}
    volumes = f"{POD}.volumes"
    assert list(errors_of(obj, store)) == [
        f"{volumes}[0].configMap.items[0].key",
        f"{volumes}[1].secret.secretName",
        f"{volumes}[2].projected.sources[0].configMap.name",
    ]


def test_a_reference_looks_in_its_own_namespace() -> None:
    elsewhere = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "other"}}
    errors = errors_of(daemonset(envFrom=[{"configMapRef": {"name": "settings"}}]), elsewhere)
    assert "there is one in other" in errors[f"{POD}.containers[0].envFrom[0].configMapRef.name"]


def test_the_same_object_twice_names_both_places() -> None:
    (error,) = refused(NODE_EXPORTER, f"{CONFIG_MAP}---{NODE_EXPORTER}")
    assert error.startswith("1.yaml (document 2): metadata.name: Duplicate value")
    assert "0.yaml (document 1)" in error


def test_errors_of_all_files_come_together() -> None:
    errors = refused(
        NODE_EXPORTER.replace("app: node-exporter}}", "app: x}}", 1), "a: b: c", "kind: Daemonset\napiVersion: apps/v1"
    )
    assert [error.split(" ")[0] for error in errors] == ["0.yaml", "1.yaml", "2.yaml"]
    assert "did you mean DaemonSet?" in errors[2]


@pytest.mark.parametrize("text", ["", "# nothing", "apiVersion: v1\nkind: Service\nmetadata: {name: x}"])
def test_no_daemonset_at_all(text: str) -> None:
    (error,) = refused(text)
    assert "No DaemonSet" in error


@pytest.mark.parametrize(
    "text",
    ["- a\n- b", "just text", "apiVersion: apps/v1", "kind: 5\napiVersion: v1", "apiVersion: v1\nkind: List\nitems: 5"],
)
def test_what_is_no_object(text: str) -> None:
    assert refused(text)


def test_a_key_written_twice_matters_in_what_is_read_only() -> None:
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: x, name: x}\n"
    assert loaded(NODE_EXPORTER, service).skipped
    (error,) = refused(NODE_EXPORTER.replace("kind: DaemonSet", "kind: DaemonSet\nkind: DaemonSet"))
    assert "0.yaml (document 1): kind: Duplicate value" in error


def test_an_error_never_repeats_a_secret() -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: hunter2!, b: 4711}\nstringData: {c: 815}\n"
    errors = "\n".join(refused(NODE_EXPORTER, secret))
    assert "data.a" in errors and "data.b" in errors and "stringData.c" in errors
    assert not any(value in errors for value in ("hunter2", "4711", "815"))


def test_a_wrong_type_is_reported_once() -> None:
    obj = daemonset(image=5)
    obj["spec"]["template"]["metadata"]["labels"] = {"a": True}
    assert list(errors_of(obj)) == ["spec.template.metadata.labels.a", f"{POD}.containers[0].image"]


def test_the_input_is_not_changed() -> None:
    obj = daemonset()
    before = copy.deepcopy(obj)
    load_objects([("x", obj)])
    assert obj == before


def test_binary_data_and_data_exclude_each_other() -> None:
    value = base64.b64encode(b"x").decode()
    store = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "s"},
        "data": {"a": "x"},
        "binaryData": {"a": value},
    }
    assert "duplicate of key" in errors_of(daemonset(), store)["data[a]"]


# ------------------------------------------------------------------------------------------------- our own annotations


def validated_by(command: str) -> dict[str, str]:
    item = daemonset()
    item["metadata"]["annotations"] = {"everynode/validate": command}
    return errors_of(item)


@pytest.mark.parametrize("command", ["", " ", "/usr/bin/x --check", "x 'a b' \"c\" d\\ e", "x ''"])
def test_commands_that_validate(command: str) -> None:
    assert validated_by(command) == {}


@pytest.mark.parametrize("command", ["x 'a", 'x "', "x \\", "''", "'' x"])
def test_commands_that_cannot_be_split_or_started(command: str) -> None:
    (message,) = [validated_by(command)["metadata.annotations[everynode/validate]"]]
    assert "expected" in message


# -------------------------------------------------------------------------------------------------------- pull secrets

PULL_SECRETS = f"{POD}.imagePullSecrets"


def pulled_with(*names: str, image: str = "example.com/x:1") -> dict[str, Any]:
    item = daemonset(image=image)
    item["spec"]["template"]["spec"]["imagePullSecrets"] = [{"name": name} for name in names]
    return item


def pull_secret(key: str, content: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {key: content}}


def test_a_pull_secret_that_is_not_there_is_told_and_no_error() -> None:
    manifests = load_objects([("x", pulled_with("", "elsewhere"))])
    (note,) = manifests.without_effect
    assert (note.path, note.reason) == (f"{PULL_SECRETS}[1].name", "NoEffect")
    assert "elsewhere" in note.message


def test_a_host_process_needs_none() -> None:
    manifests = load_objects([("x", pulled_with("s", image="host:///usr/bin/x")), ("y", pull_secret("k", "v"))])
    assert [note.path for note in manifests.without_effect] == [PULL_SECRETS]


@pytest.mark.parametrize(
    ("key", "content"),
    [
        (".dockerconfigjson", '{"auths": {"example.com": {"auth": "bWU6aHVzaA=="}}}'),
        (".dockerconfigjson", '{"auths": {"example.com": {"username": "me", "password": "hush"}}}'),
        (".dockerconfigjson", '{"auths": {"example.com": {"identitytoken": "hush"}}}'),
        (".dockercfg", '{"example.com": {"auth": "bWU6aHVzaA", "email": ""}}'),
    ],
)
def test_pull_secrets(key: str, content: str) -> None:
    assert errors_of(pulled_with("s"), pull_secret(key, content)) == {}


@pytest.mark.parametrize(
    ("key", "content", "words"),
    [
        ("password", "hush", "has no key .dockerconfigjson"),
        (".dockerconfigjson", "hush", "is not JSON"),
        (".dockerconfigjson", "[" * 100_000, "is not JSON"),
        (".dockerconfigjson", '"hush"', "holds no auths"),
        (".dockerconfigjson", '{"example.com": {"auth": "bWU6aHVzaA=="}}', "holds no auths"),
        (".dockerconfigjson", '{"auths": {}}', "holds no auths"),
        (".dockerconfigjson", '{"auths": {"example.com": "hush"}}', "is not an object of strings"),
        (".dockerconfigjson", '{"auths": {"example.com": {"auth": 7}}}', "is not an object of strings"),
        (".dockerconfigjson", '{"auths": {"example.com": {"password": "hush"}}}', "neither auth nor username"),
        (".dockerconfigjson", '{"auths": {"example.com": {"auth": "hush!"}}}', "not the base64"),
        (".dockerconfigjson", '{"auths": {"example.com": {"auth": "aHVzaA=="}}}', "not the base64 of USER:PASSWORD"),
        (".dockercfg", "[]", "holds no auths"),
    ],
)
def test_pull_secrets_that_hold_no_login(key: str, content: str, words: str) -> None:
    errors = errors_of(pulled_with("s"), pull_secret(key, content))
    assert list(errors) == [f"{PULL_SECRETS}[0].name"]
    assert words in errors[f"{PULL_SECRETS}[0].name"]
    assert "hush" not in errors[f"{PULL_SECRETS}[0].name"]
