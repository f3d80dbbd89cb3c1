# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests and their definitions, for the tests of both runtimes."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from ansible_collections.everynode.daemonset.plugins.module_utils.observation import Facts
from ansible_collections.everynode.daemonset.plugins.plugin_utils.definition import define
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.errors import ManifestError
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.model import load_objects
from ansible_collections.everynode.daemonset.plugins.plugin_utils.scheduling import Node

FACTS = Facts(
    arch="x86_64",
    os_id="debian",
    os_version="13",
    boot_id="1",
    hostname="web1",
    host_ip="192.0.2.7",
    cpus=4,
    memory=8 << 30,
    systemd=257,
    package_manager="apt",
    engines=("docker",),
    now=0.0,
)
NODE = Node("web1", {}, ())


def daemonset(pod: dict[str, Any], metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    template_metadata = spec.pop("template_metadata", {})
    labels = {"app": "agent", **template_metadata.pop("labels", {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", **(metadata or {})},
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "template": {"metadata": {"labels": labels, **template_metadata}, "spec": pod},
            **spec,
        },
    }


def pod_of(container: dict[str, Any], **pod: Any) -> dict[str, Any]:
    return {"containers": [{"name": "main", "image": "host:///usr/bin/agent", **container}], **pod}


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def secret(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def defined(
    pod: dict[str, Any], *others: dict[str, Any], facts: Facts = FACTS, **arguments: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The definition and the decoded secrets."""
    objects = [daemonset(pod, **arguments), *others]
    manifests = load_objects((f"inline[{index}]", item) for index, item in enumerate(objects))
    definition, secrets = define(manifests.daemonsets[0], manifests, NODE, facts)
    assert json.loads(json.dumps(definition)) == definition
    return definition, json.loads(base64.b64decode(secrets))


def main_of(container: dict[str, Any], *others: dict[str, Any], **pod: Any) -> dict[str, Any]:
    definition, _secrets = defined(pod_of(container, **pod), *others)
    return dict(definition["containers"][-1])


def files_of(volume: dict[str, Any], *others: dict[str, Any], **pod: Any) -> dict[str, tuple[bytes, int]]:
    definition, _secrets = defined(pod_of({}, volumes=[{"name": "v", **volume}], **pod), *others)
    return {
        file["path"]: (base64.b64decode(file["content"]), file["mode"]) for file in definition["volumes"][0]["files"]
    }


def refused(pod: dict[str, Any], *others: dict[str, Any], facts: Facts = FACTS, **arguments: Any) -> dict[str, str]:
    """The message for each path that is refused; never one of the manifest's own validation."""
    objects = [daemonset(pod, **arguments), *others]
    manifests = load_objects((f"inline[{index}]", item) for index, item in enumerate(objects))
    with pytest.raises(ManifestError) as caught:
        define(manifests.daemonsets[0], manifests, NODE, facts)
    return {error.path.removeprefix("spec.template.spec."): error.message for error in caught.value.errors}
