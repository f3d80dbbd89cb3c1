# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest import field_types
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.schema import (
    ROWS,
    AnyRuntime,
    classify,
    judge,
)

SCHEMA = Path(__file__).resolve().parents[4] / "data" / "daemonset-schema-paths.json"
PATHS: dict[str, str] = json.loads(SCHEMA.read_text())["paths"]
SCALARS = [path for path, kind in PATHS.items() if kind not in ("object", "list", "map")]
POD = "spec.template.spec"
BOTH: tuple[AnyRuntime, ...] = ("systemd", "container")


@pytest.mark.parametrize("runtime", BOTH)
def test_every_path_of_the_schema_is_in_a_row(runtime: AnyRuntime) -> None:
    assert [path for path in SCALARS if classify(path, runtime) is None] == []


def test_a_path_that_kubernetes_does_not_know_is_in_no_row() -> None:
    assert classify("spec.replicas", "systemd") is None


def test_every_row_says_why_or_where() -> None:
    uses = {(row.path, use) for row in ROWS for use in (row.systemd, row.container, row.podman) if use is not None}
    assert [path for path, use in uses if not use.text] == []


def test_a_row_for_some_values_is_followed_by_one_for_the_others() -> None:
    last = {row.path: row for row in ROWS}
    honoured_by_the_row_above = {f"{POD}.volumes[].emptyDir.sizeLimit"}
    rows_below_say_it = {"pod.initContainers"}  # container.…
    conditional = {row.path for row in ROWS if row.when is not None}
    assert [
        path for path in conditional - honoured_by_the_row_above - rows_below_say_it if last[path].when is not None
    ] == []


def test_no_row_is_below_one_that_is_not_honoured() -> None:
    """It would never be asked: what is refused or without effect is so with everything below it."""
    closed = {row.path for row in ROWS if "honoured" not in (row.systemd.kind, row.container.kind)}
    below = [row.path for row in ROWS for path in closed if row.path.startswith((f"{path}.", f"{path}[]."))]
    assert below == []


def expanded(kind: field_types.Type, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(kind, list):
        yield path, "list"
        yield from expanded(kind[0], f"{path}[]")
    elif isinstance(kind, dict):
        yield path, "map" if field_types.ANY_KEY in kind else "object"
        for key, item in kind.items():
            yield from expanded(item, f"{path}.{key}" if path else key)
    else:
        yield path, {"integer": "int", "boolean": "bool"}.get(kind, "string")


def test_the_types_are_those_of_the_schema() -> None:
    # The schema file shows these two maps by a sample: one without keys, one by a key.
    samples = ("fieldsV1.*", "userAnnotations", "userAnnotations.*", "userAnnotations.userAnnotationsKey")
    types = {path: kind for path, kind in expanded(field_types.DAEMON_SET) if not path.endswith(samples)}
    assert types == {path: kind for path, kind in PATHS.items() if not path.endswith(samples)}


def pod(**fields: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": fields}}}


@pytest.mark.parametrize(
    ("fields", "runtime", "expected"),
    [
        ({"hostNetwork": True}, "systemd", {f"{POD}.hostNetwork": "no effect"}),
        ({"hostNetwork": False}, "systemd", {f"{POD}.hostNetwork": "refused"}),
        ({"hostNetwork": False}, "container", {}),
        ({"serviceAccountName": "x"}, "container", {f"{POD}.serviceAccountName": "no effect"}),
        ({"serviceAccountName": ""}, "container", {}),
        ({"hostname": "a"}, "container", {}),
        ({"hostname": "a", "hostNetwork": True}, "container", {f"{POD}.hostname": "no effect"}),
        ({"dnsPolicy": "Default"}, "systemd", {}),
        ({"dnsPolicy": "ClusterFirst"}, "container", {f"{POD}.dnsPolicy": "no effect"}),
        ({"containers": [{"stdin": True}]}, "container", {}),
        ({"containers": [{"stdin": True}]}, "docker", {}),
        ({"containers": [{"stdin": True}]}, "podman", {f"{POD}.containers[0].stdin": "refused"}),
        ({"containers": [{"volumeMounts": [{"mountPath": "/a"}]}]}, "podman", {}),
        (
            {"containers": [{"volumeMounts": [{"mountPath": "/a:b", "recursiveReadOnly": "Enabled"}]}]},
            "podman",
            {
                f"{POD}.containers[0].volumeMounts[0].mountPath": "refused",
                f"{POD}.containers[0].volumeMounts[0].recursiveReadOnly": "refused",
            },
        ),
        (
            {"securityContext": {"appArmorProfile": {"type": "Localhost", "localhostProfile": "a"}}},
            "podman",
            {f"{POD}.securityContext.appArmorProfile.localhostProfile": "refused"},
        ),
        ({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}, "podman", {}),
        ({"affinity": {}}, "systemd", {}),
        (
            {"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "nfs": {"server": "s", "path": "/"}}]},
            "systemd",
            {f"{POD}.volumes[1].nfs": "refused"},
        ),
        (
            {"containers": [{"resources": {"limits": {"cpu": "1", "nvidia.com/gpu": "1"}}}]},
            "container",
            {f"{POD}.containers[0].resources.limits.nvidia.com/gpu": "refused"},
        ),
        (
            {"containers": [{"ports": [{"containerPort": 80, "hostPort": 8080}]}]},
            "systemd",
            {f"{POD}.containers[0].ports[0].hostPort": "refused"},
        ),
        (
            {"containers": [{"ports": [{"containerPort": 80, "hostPort": 80}]}]},
            "systemd",
            {f"{POD}.containers[0].ports[0].hostPort": "no effect"},
        ),
        (
            {"volumes": [{"name": "a", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}]},
            "container",
            {},
        ),
        (
            {"tolerations": [{"operator": "Exists", "tolerationSeconds": 5}]},
            "systemd",
            {f"{POD}.tolerations[0].tolerationSeconds": "no effect"},
        ),
    ],
)
def test_judge(fields: dict[str, Any], runtime: AnyRuntime, expected: dict[str, str]) -> None:
    assert {path: use.kind for path, use in judge(pod(**fields), runtime)} == expected


@pytest.mark.parametrize(
    ("term", "kind"),
    [
        ({}, "no effect"),
        ({"topologyKey": "zone"}, "refused"),
        ({"labelSelector": {"matchLabels": {"app": "other"}}}, "refused"),
        ({"labelSelector": {"matchLabels": {}}}, "refused"),  # everything that runs on the node
        ({"labelSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}, "refused"),
        ({"namespaces": ["other"]}, "refused"),
    ],
)
def test_a_daemon_that_is_kept_apart_from_itself_alone(term: dict[str, Any], kind: str) -> None:
    itself = {"labelSelector": {"matchLabels": {"app": "agent"}}, "topologyKey": "kubernetes.io/hostname"}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [itself, {**itself, **term}]}}
    daemonset = pod(affinity=affinity)
    daemonset["spec"]["template"]["metadata"] = {"labels": {"app": "agent", "tier": "node"}}
    assert [use.kind for _path, use in judge(daemonset, "container")] == [kind]


@pytest.mark.parametrize(
    ("surge", "spec", "refused_for"),
    [
        (0, {"hostNetwork": True, "containers": [{"ports": [{"containerPort": 80}]}]}, []),
        ("0%", {"containers": [{"ports": [{"hostPort": 80}]}]}, []),
        (1, {"containers": [{}]}, []),
        ("10%", {"hostNetwork": True, "containers": [{"livenessProbe": {"exec": {"command": ["true"]}}}]}, []),
        (1, {"containers": [{"ports": [{"containerPort": 80}]}]}, ["systemd"]),
        (1, {"containers": [{"readinessProbe": {"tcpSocket": {"port": 80}}}]}, ["systemd"]),
        (1, {"containers": [{"ports": [{"containerPort": 80, "hostPort": 80}]}]}, ["systemd", "container"]),
        (1, {"hostNetwork": True, "containers": [{"ports": [{"containerPort": 80}]}]}, ["systemd", "container"]),
        (1, {"hostNetwork": True, "containers": [{"startupProbe": {"grpc": {"port": 80}}}]}, ["systemd", "container"]),
    ],
)
def test_a_new_instance_beside_the_old_one_needs_ports_of_its_own(
    surge: int | str, spec: dict[str, Any], refused_for: list[str]
) -> None:
    rolling = {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": 0}}
    daemonset = {"spec": {"updateStrategy": rolling, "template": {"spec": spec}}}
    path = "spec.updateStrategy.rollingUpdate.maxSurge"
    for runtime in ("systemd", "container"):
        found = [use.kind for where, use in judge(daemonset, runtime) if where == path]
        assert found == ["refused"] * (runtime in refused_for)


def test_judge_looks_at_keys_of_annotations() -> None:
    annotations = {"container.apparmor.security.beta.kubernetes.io/a": "unconfined", "checksum/config": "1"}
    template = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    path = "spec.template.metadata.annotations.container.apparmor.security.beta.kubernetes.io/a"
    assert [(found, use.kind) for found, use in judge(template, "systemd")] == [(path, "refused")]
    assert list(judge(template, "container")) == []
    old = {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}
    template = {"spec": {"template": {"metadata": {"annotations": old}}}}
    assert [use.kind for _path, use in judge(template, "podman")] == ["no effect"]
