# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pod template with everything it refers to → canonical form → hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from .manifest.annotations import REPLACES
from .manifest.model import DaemonSet, Manifests
from .manifest.quantity import Quantity
from .manifest.references import references

LENGTH = 12  # hexadecimal digits; the whole content is compared on the node, so this only has to be unlikely to repeat


def revision(daemonset: DaemonSet, manifests: Manifests) -> str:
    """The revision's hash: 12 hexadecimal digits.

    As in Kubernetes only the template counts, not the strategy or the limits (ControllerRevision data), and only what
    it means: ``0.1`` of a CPU is ``100m``, an empty list is none. Two things are ours: the keys of the ConfigMaps and
    Secrets that the template takes, so that changing one is a change, and the units it replaces.
    """
    content = {
        "template": _canonical(daemonset.template),
        "replaces": replaced_units(daemonset),
        "contents": _contents(daemonset, manifests),
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:LENGTH]


def replaced_units(daemonset: DaemonSet) -> list[str]:
    """The systemd units that this DaemonSet takes the place of, from its annotation."""
    return [unit.strip() for unit in daemonset.annotations.get(REPLACES, "").split(",") if unit.strip()]


def _canonical(template: Mapping[str, Any]) -> Any:
    canonical = _without_empty(template)
    for group in ("initContainers", "containers"):
        for container in canonical["spec"].get(group, []):
            for quantities in container.get("resources", {}).values():
                if isinstance(quantities, dict):
                    quantities.update({name: Quantity.parse(text).canonical() for name, text in quantities.items()})
    return canonical


def _without_empty(value: Any) -> Any:
    """A copy without the lists and objects that hold nothing, which mean the same as none (Go's omitempty)."""
    if isinstance(value, Mapping):
        items = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in items.items() if item not in ([], {})}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value


def _contents(daemonset: DaemonSet, manifests: Manifests) -> dict[str, dict[str, str]]:
    """The hashes of all values that the template takes from ConfigMaps and Secrets, by object and key."""
    stores = {"ConfigMap": manifests.config_maps, "Secret": manifests.secrets}
    taken: dict[str, dict[str, str]] = {}
    for reference in references(daemonset.pod_spec):
        contents = stores[reference.kind].get((daemonset.namespace, reference.name), {})
        keys = [key for key, _path in reference.keys] or list(contents)
        values = {key: hashlib.sha256(contents[key]).hexdigest() for key in keys if key in contents}
        taken.setdefault(f"{reference.kind}/{reference.name}", {}).update(values)
    return taken
