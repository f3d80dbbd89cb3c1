# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A revision changes when what runs would change, and only then."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.model import load_objects
from ansible_collections.everynode.daemonset.plugins.plugin_utils.revision import revision

DAEMONSET: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "agent", "annotations": {"everynode/replaces": "old.service"}},
    "spec": {
        "selector": {"matchLabels": {"app": "agent"}},
        "template": {
            "metadata": {"labels": {"app": "agent"}},
            "spec": {
                "containers": [
                    {
                        "name": "main",
                        "image": "host:///usr/bin/agent",
                        "args": ["--one", "--two"],
                        "resources": {"limits": {"cpu": "0.1", "memory": "1Gi"}},
                        "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "a"}}}],
                    }
                ],
                "volumes": [{"name": "v", "secret": {"secretName": "s"}}],
            },
        },
    },
}
CONFIG_MAP: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "c"},
    "data": {"a": "1", "b": "2"},
}
SECRET: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "hush"}}


def changed(path: str, value: Any, which: int = 0) -> str:
    """The revision after one value of the DaemonSet (0), ConfigMap (1) or Secret (2) was set; None removes it."""
    objects = copy.deepcopy([DAEMONSET, CONFIG_MAP, SECRET])
    place: Any = objects[which]
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for parent in parents:
        place = place[parent] if isinstance(parent, int) else place.setdefault(parent, {})
    place[last] = value
    manifests = load_objects((str(index), item) for index, item in enumerate(objects))
    return revision(manifests.daemonsets[0], manifests)


ORIGINAL = changed("metadata.name", "agent")
CONTAINER = "spec.template.spec.containers.0"


def test_it_is_short_and_can_be_a_folders_name() -> None:
    assert re.fullmatch("[0-9a-f]{12}", ORIGINAL)


@pytest.mark.parametrize(
    ("path", "value", "which"),
    [
        (f"{CONTAINER}.image", "host:///usr/bin/other", 0),
        (f"{CONTAINER}.args", ["--two", "--one"], 0),
        (f"{CONTAINER}.resources.limits.cpu", "0.2", 0),
        (f"{CONTAINER}.securityContext", {"allowPrivilegeEscalation": False}, 0),
        ("spec.template.metadata.labels.more", "", 0),
        ("spec.template.metadata.annotations", {"restartedAt": "now"}, 0),
        ("spec.template.spec.terminationGracePeriodSeconds", 0, 0),
        ("metadata.annotations", {}, 0),
        ("data.a", "3", 1),
        ("stringData.k", "hush2", 2),
        ("stringData.new", "", 2),
    ],
)
def test_what_changes_the_instance_changes_it(path: str, value: Any, which: int) -> None:
    assert changed(path, value, which) != ORIGINAL


@pytest.mark.parametrize(
    ("path", "value", "which"),
    [
        ("metadata.labels", {"team": "ops"}, 0),
        ("metadata.annotations.note", "x", 0),
        ("metadata.annotations.everynode/validate", "/usr/bin/agent --check", 0),  # what runs stays as it is
        ("metadata.annotations", {"everynode/replaces": " old.service ,"}, 0),
        ("spec.updateStrategy", {"type": "OnDelete"}, 0),
        ("spec.minReadySeconds", 7, 0),
        ("spec.revisionHistoryLimit", 3, 0),
        ("spec.template.metadata.creationTimestamp", None, 0),
        ("spec.template.spec.terminationGracePeriodSeconds", 30, 0),  # the default
        ("spec.template.spec.tolerations", [], 0),
        (f"{CONTAINER}.resources.limits.cpu", "100m", 0),
        (f"{CONTAINER}.resources.limits.memory", "1024Mi", 0),
        (f"{CONTAINER}.resources.requests", {}, 0),
        ("data.b", "a key that the template does not take", 1),
        ("metadata.labels", {"team": "ops"}, 1),
        ("immutable", True, 2),
    ],
)
def test_nothing_else_does(path: str, value: Any, which: int) -> None:
    assert changed(path, value, which) == ORIGINAL


def test_a_secrets_value_may_move_between_data_and_string_data() -> None:
    assert changed("stringData", {}, 2) != ORIGINAL
    objects = [DAEMONSET, CONFIG_MAP, {**SECRET, "stringData": {}, "data": {"k": "aHVzaA=="}}]
    manifests = load_objects((str(index), item) for index, item in enumerate(objects))
    assert revision(manifests.daemonsets[0], manifests) == ORIGINAL
