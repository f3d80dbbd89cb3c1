# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pod template with everything it refers to → canonical form → hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from .manifest.model import DaemonSet, Manifests

REPLACES = "everynode/replaces"
LENGTH = 12  # hexadecimal digits; the whole content is compared on the node, so this only has to be unlikely to repeat


def revision(daemonset: DaemonSet, manifests: Manifests) -> str:
    """The revision's hash: 12 hexadecimal digits.

    As in Kubernetes only the template counts, not the strategy or the limits (ControllerRevision data). Two things are ours: the
    contents of the ConfigMaps and Secrets that the template names, so that changing one is a change, and the units it replaces.
    """
    config_maps, secrets = referenced(daemonset.pod_spec)
    content = {
        "template": daemonset.template,
        "replaces": daemonset.annotations.get(REPLACES, ""),
        "configMaps": _contents(manifests.config_maps, daemonset.namespace, config_maps),
        "secrets": _contents(manifests.secrets, daemonset.namespace, secrets),
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:LENGTH]


def _contents(
    available: Mapping[tuple[str, str], Mapping[str, bytes]], namespace: str, names: set[str]
) -> dict[str, dict[str, str]]:
    return {
        name: {key: hashlib.sha256(value).hexdigest() for key, value in available[namespace, name].items()}
        for name in names
        if (namespace, name) in available
    }


def referenced(pod_spec: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """The names of the ConfigMaps and of the Secrets that a pod spec refers to."""
    config_maps: set[str] = set()
    secrets: set[str] = set()
    for kind, name in _references(pod_spec):
        (config_maps if kind == "configMap" else secrets).add(name)
    return config_maps, secrets


def _references(pod_spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for container in [*pod_spec.get("initContainers", []), *pod_spec.get("containers", [])]:
        for source in container.get("envFrom", []):
            yield from _named(source, "Ref", "name")
        for variable in container.get("env", []):
            yield from _named(variable.get("valueFrom", {}), "KeyRef", "name")
    for volume in pod_spec.get("volumes", []):
        if "configMap" in volume:
            yield "configMap", volume["configMap"].get("name", "")
        if "secret" in volume:
            yield "secret", volume["secret"].get("secretName", "")
        for source in volume.get("projected", {}).get("sources", []):
            yield from _named(source, "", "name")


def _named(source: Mapping[str, Any], suffix: str, key: str) -> Iterator[tuple[str, str]]:
    for kind in ("configMap", "secret"):
        if kind + suffix in source:
            yield kind, source[kind + suffix].get(key, "")
