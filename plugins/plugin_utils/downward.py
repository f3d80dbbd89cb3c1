# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pod may read about itself and its node: ``fieldRef`` and ``resourceFieldRef``, in variables and in volumes."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

from ..module_utils.observation import Facts
from .manifest.model import DaemonSet
from .manifest.quantity import Quantity
from .scheduling import Node

KEYED = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]", re.DOTALL)
ADDRESSES = ("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs")
GO_ESCAPES = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}


class Downward:
    """The downward API of one DaemonSet's instance on one node."""

    def __init__(self, daemonset: DaemonSet, node: Node, facts: Facts) -> None:
        self.daemonset = daemonset
        self.node = node
        self.facts = facts

    def value(self, source: Mapping[str, Any], container: Mapping[str, Any]) -> str:
        """What a ``fieldRef`` or ``resourceFieldRef`` means; ``container`` is meant where none is named.

        Raises ValueError, in words for the operator, if the node does not tell.
        """
        if "fieldRef" in source:
            return self._field(source["fieldRef"]["fieldPath"])
        return self._resource(source["resourceFieldRef"], container)

    def _field(self, path: str) -> str:
        metadata = self.daemonset.template.get("metadata", {})
        keyed = KEYED.fullmatch(path)
        if keyed:
            return str(metadata.get(keyed[1], {}).get(keyed[2], ""))
        if path in ("metadata.labels", "metadata.annotations"):
            return "\n".join(f"{key}={_go_quoted(value)}" for key, value in sorted(metadata.get(path[9:], {}).items()))
        if path in ADDRESSES:  # a host process has the host's address
            return self._address()
        return {
            "metadata.name": f"{self.daemonset.name}-{self.node.name}",
            "metadata.namespace": self.daemonset.namespace,
            "metadata.uid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"everynode:{self.daemonset.key}/{self.node.name}")),
            "spec.host": self.node.name,  # its old name (ConvertDownwardAPIFieldLabel)
            "spec.nodeName": self.node.name,
            "spec.serviceAccountName": str(self.daemonset.pod_spec.get("serviceAccountName", "default")),
        }[path]

    def _address(self) -> str:
        if not self.facts.host_ip:
            raise ValueError(
                f"the address of {self.node.name} is unknown, because it has no default route: "
                "give it one, or write the address instead of the fieldRef"
            )
        return self.facts.host_ip

    def _resource(self, reference: Mapping[str, Any], container: Mapping[str, Any]) -> str:
        """A limit or request in units of the divisor, rounded up (api/v1/resource, convertResource…ToString)."""
        kind, _dot, resource = reference["resource"].partition(".")
        resources = self._container(reference.get("containerName", ""), container).get("resources", {})
        quantity = Quantity.parse((limits(resources) if kind == "limits" else requests(resources)).get(resource, "0"))
        if kind == "limits" and not quantity.number:
            quantity = Quantity.parse(self._allocatable(resource))
        divisor = Quantity.parse(reference.get("divisor", "0"))
        if not divisor.number:
            divisor = Quantity.parse("1")
        if resource == "cpu":
            return str(-(-quantity.milli() // divisor.milli()))
        return str(-(-quantity.value() // divisor.value()))

    def _container(self, name: str, container: Mapping[str, Any]) -> Mapping[str, Any]:
        pod = self.daemonset.pod_spec
        every = [*pod.get("initContainers", []), *pod["containers"]]
        return next((other for other in every if other["name"] == name), container)

    def _allocatable(self, resource: str) -> int:
        """What stands for a limit that is missing, or 0 (MergeContainerResourceLimits)."""
        if resource == "ephemeral-storage":
            raise ValueError("limits.ephemeral-storage is not set, and how much disk the node could give is unknown")
        return {"cpu": self.facts.cpus, "memory": self.facts.memory}.get(resource, 0)


def limits(resources: Mapping[str, Any]) -> Mapping[str, str]:
    return dict(resources.get("limits", {}))


def requests(resources: Mapping[str, Any]) -> Mapping[str, str]:
    """A request that is not given is the limit, as the API sets it on each Pod (SetDefaults_Pod)."""
    return {**resources.get("limits", {}), **resources.get("requests", {})}


def _go_quoted(text: str) -> str:
    """Go's %q, in which Kubernetes writes labels and annotations (fieldpath.FormatMap)."""
    return f'"{"".join(map(_go_escaped, text))}"'


def _go_escaped(character: str) -> str:
    code = ord(character)
    if character in '"\\':
        return "\\" + character
    if character in GO_ESCAPES:
        return GO_ESCAPES[character]
    if character.isprintable():
        return character
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
