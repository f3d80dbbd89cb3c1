# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loaded manifests × nodes → what every node should have, in the words that the plan takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..module_utils.observation import Facts, Observation
from .definition import define
from .engine import ENGINES, IMAGE, TITLES, NoEngine, is_host_process, runtime_on
from .judgement import DELETING, REMOVALS
from .manifest.annotations import policy_of
from .manifest.errors import FieldError, ManifestError
from .manifest.model import DaemonSet, Manifests
from .manifest.schema import Engine
from .plan import Seen, Settings, Wanted
from .policy import Policy
from .revision import revision
from .scheduling import Node, eligibility
from .words import names

CHANGE_CAUSE = "kubernetes.io/change-cause"
NOT_DECLARED_HERE = Wanted("", False, False, "its manifest, rendered for this node, does not declare it")
DELETED = Wanted("", False, False, REMOVALS[DELETING])

# Stands for a node that nobody has looked at yet, to find out whether a manifest can be carried out at all.
ANY_NODE = Facts("x86_64", "linux", "0", "0" * 32, "node", "192.0.2.1", 1, 1 << 30, 252, "apt", ("docker",), 0.0)


def desired(
    manifests: Mapping[str, Manifests], nodes: Mapping[str, Node], seen: Mapping[str, Seen] | None = None
) -> list[tuple[Settings, dict[str, Wanted]]]:
    """For each DaemonSet its settings and what each node should have of it. All mappings have the nodes as keys.

    Without ``seen`` nobody has looked at the nodes yet.
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
            look = seen[name].observation if seen and name in seen else None
            wish = wanted_on(node, daemonset, revisions[id(daemonset)], look)
            wanted.setdefault(daemonset.key, {})[name] = _in_its_place(wish, node, settings[daemonset.key].policy)
    in_order = sorted(settings, key=lambda key: (settings[key].namespace, settings[key].name))  # as kubectl lists them
    return [(settings[key], {name: wanted[key].get(name, NOT_DECLARED_HERE) for name in nodes}) for key in in_order]


def settings_of(daemonset: DaemonSet) -> Settings:
    strategy = daemonset.update_strategy
    return Settings(
        namespace=daemonset.namespace,
        name=daemonset.name,
        on_delete=strategy["type"] == "OnDelete",
        max_unavailable=strategy.get("rollingUpdate", {}).get("maxUnavailable", 1),
        max_surge=strategy.get("rollingUpdate", {}).get("maxSurge", 0),
        min_ready_seconds=daemonset.min_ready_seconds,
        node_selector=tuple(sorted(daemonset.pod_spec.get("nodeSelector", {}).items())),
        selector=daemonset.selector,
        containers=tuple((one["name"], one["image"]) for one in daemonset.pod_spec["containers"]),
        policy=policy_of(daemonset.annotations),
        change_cause=daemonset.annotations.get(CHANGE_CAUSE, ""),
    )


def wanted_on(node: Node, daemonset: DaemonSet, hashed: str, look: Observation | None) -> Wanted:
    """What runs it is known as soon as somebody has looked at the node."""
    judged = eligibility(node, daemonset.pod_spec)
    if look is not None and look.facts.drained:
        return Wanted(hashed, False, False, f"the node was drained by {look.facts.drained}; `uncordon` takes that back")
    wanted = Wanted(hashed, judged.should_run, judged.should_continue, judged.reason)
    if look is None or not judged.should_run:
        return wanted
    instance = look.instance(daemonset.namespace, daemonset.name)
    try:
        return replace(wanted, runtime=runtime_on(daemonset, node, look.facts, instance.runtime if instance else ""))
    except NoEngine as error:
        return replace(wanted, obstacle=f"{IMAGE}: {error}")


def _in_its_place(wanted: Wanted, node: Node, policy: Policy) -> Wanted:
    """With the labels that the order of a rollout goes by; a node without such a label is of a kind of its own."""
    keys = policy.canary.keys if policy.canary else ()
    kind = ", ".join(f"{key}={node.labels[key]}" for key in keys if key in node.labels)
    return replace(wanted, kind=kind, topology=node.labels.get(policy.topology, ""))


def deletions(
    keys: Iterable[tuple[str, str]], nodes: Iterable[str], removal: str = DELETING
) -> list[tuple[Settings, dict[str, Wanted]]]:
    """The wish that no node has any of these (namespace, name)."""
    wanted = dict.fromkeys(nodes, replace(DELETED, reason=REMOVALS[removal]))
    return [(Settings(namespace, name, removal=removal), wanted) for namespace, name in sorted(set(keys))]


def not_feasible(manifests: Mapping[str, Manifests], nodes: Mapping[str, Node]) -> list[FieldError]:
    """What is valid Kubernetes and yet cannot be carried out on a plain host, each thing once.

    Nobody has looked at the nodes yet, so what only one engine cannot do counts where the inventory says which it is.
    """
    errors: dict[FieldError, None] = {}
    tried: set[tuple[int, str]] = set()
    for name, node in nodes.items():
        for daemonset in manifests[name].daemonsets:
            if (id(daemonset), node.engine) in tried:
                continue
            tried.add((id(daemonset), node.engine))
            engines = ENGINES[:1] if is_host_process(daemonset) else [e for e in ENGINES if node.engine in ("", e)]
            first, *others = (_refused(daemonset, manifests[name], node, engine) for engine in engines)
            errors.update((error, None) for error in first if all(error in other for other in others))
    return list(errors)


def refused_by_engines(
    manifests: Mapping[str, Manifests],
    nodes: Mapping[str, Node],
    declared: Iterable[tuple[Settings, Mapping[str, Wanted]]],
) -> list[str]:
    """What the engines that the nodes turned out to have cannot do, though another one can; with those nodes."""
    wanted = {settings.key: wishes for settings, wishes in declared}
    refusals: dict[tuple[int, str], list[FieldError]] = {}
    concerned: dict[tuple[FieldError, str], list[str]] = {}
    for name, node in nodes.items():
        for daemonset in manifests[name].daemonsets:
            wish = wanted[daemonset.key][name]
            engine = next((engine for engine in ENGINES if engine == wish.runtime), None)
            if engine is None or not wish.should_run:
                continue
            if (id(daemonset), engine) not in refusals:
                refusals[id(daemonset), engine] = _refused(daemonset, manifests[name], node, engine)
            for error in refusals[id(daemonset), engine]:
                concerned.setdefault((error, TITLES[engine]), []).append(name)
    return [f"{error} ({engine} is the engine of {names(where)})" for (error, engine), where in concerned.items()]


def _refused(daemonset: DaemonSet, manifests: Manifests, node: Node, engine: Engine) -> list[FieldError]:
    try:
        define(daemonset, manifests, replace(node, engine=engine), ANY_NODE._replace(engines=(engine,)))
    except ManifestError as error:
        return list(error.errors)
    return []
