# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loaded manifests × nodes → what every node should have, in the words that the plan takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..module_utils.observation import Facts
from .definition import define
from .manifest.errors import FieldError, ManifestError
from .manifest.model import DaemonSet, Manifests
from .plan import Settings, Wanted
from .revision import revision
from .scheduling import Node, eligibility

NOT_DECLARED_HERE = Wanted("", False, False, "its manifest, rendered for this node, does not declare it")
DELETED = Wanted("", False, False, "it is being deleted")

# Stands for a node that nobody has looked at yet, to find out whether a manifest can be carried out at all.
ANY_NODE = Facts("x86_64", "linux", "0", "0" * 32, "node", "192.0.2.1", 1, 1 << 30, 252, "apt", ("docker",), 0.0)


def desired(manifests: Mapping[str, Manifests], nodes: Mapping[str, Node]) -> list[tuple[Settings, dict[str, Wanted]]]:
    """For each DaemonSet its settings and what each node should have of it. Both mappings have the nodes as keys.

    The settings are those of the first node's rendering: a strategy cannot differ from node to node.
    """
    settings: dict[str, Settings] = {}
    wanted: dict[str, dict[str, Wanted]] = {}
    revisions: dict[int, str] = {}
    for name, node in nodes.items():
        for daemonset in manifests[name].daemonsets:
            if id(daemonset) not in revisions:
                revisions[id(daemonset)] = revision(daemonset, manifests[name])
            settings.setdefault(daemonset.key, settings_of(daemonset))
            wanted.setdefault(daemonset.key, {})[name] = wanted_on(node, daemonset, revisions[id(daemonset)])
    in_order = sorted(settings, key=lambda key: (settings[key].namespace, settings[key].name))  # as kubectl lists them
    return [(settings[key], {name: wanted[key].get(name, NOT_DECLARED_HERE) for name in nodes}) for key in in_order]


def settings_of(daemonset: DaemonSet) -> Settings:
    strategy = daemonset.update_strategy
    return Settings(
        namespace=daemonset.namespace,
        name=daemonset.name,
        on_delete=strategy["type"] == "OnDelete",
        max_unavailable=strategy.get("rollingUpdate", {}).get("maxUnavailable", 1),
        min_ready_seconds=daemonset.min_ready_seconds,
        node_selector=tuple(sorted(daemonset.pod_spec.get("nodeSelector", {}).items())),
    )


def wanted_on(node: Node, daemonset: DaemonSet, hashed: str) -> Wanted:
    judged = eligibility(node, daemonset.pod_spec)
    return Wanted(hashed, judged.should_run, judged.should_continue, judged.reason)


def deletions(keys: Iterable[tuple[str, str]], nodes: Iterable[str]) -> list[tuple[Settings, dict[str, Wanted]]]:
    """The wish that no node has any of these (namespace, name)."""
    wanted = dict.fromkeys(nodes, DELETED)
    return [(Settings(namespace, name, deleted=True), wanted) for namespace, name in sorted(set(keys))]


def not_feasible(manifests: Mapping[str, Manifests], nodes: Mapping[str, Node]) -> list[FieldError]:
    """What is valid Kubernetes and yet cannot be carried out on a plain host, each thing once."""
    errors: dict[FieldError, None] = {}
    tried: set[int] = set()
    for name, node in nodes.items():
        for daemonset in manifests[name].daemonsets:
            if id(daemonset) in tried:
                continue
            tried.add(id(daemonset))
            try:
                define(daemonset, manifests[name], node, ANY_NODE)
            except ManifestError as error:
                errors.update(dict.fromkeys(error.errors))
    return list(errors)
