# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One instance on every node, and its rolling update, decided as the DaemonSet controller decides.

Pure functions over what is there: :func:`manage` puts one pod on each node and cleans up, :func:`rolling_update`
replaces old pods within the budget, :func:`sync` does both. The rules are those of podsShouldBeOnNode and manage in
pkg/controller/daemon/daemon_controller.go and of rollingUpdate in update.go. Kubernetes leaves open which of several
equally good nodes is taken first; here the order of the given nodes decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .int_or_percent import RollingNumbers, rolling_numbers


@dataclass(frozen=True)
class Target:
    """A node as eligibility sees it."""

    name: str
    should_run: bool = True
    should_continue: bool = True


@dataclass(frozen=True)
class Pod:
    """An instance. Times are in seconds of any one clock; ready_since is None if unknown or never ready.

    revision: relative to the current template. terminating: it was told to stop and is not gone yet.
    bound: it was placed on its node, and not only meant for it.
    """

    name: str
    node: str
    revision: Literal["new", "old"] = "new"
    ready: bool = False
    ready_since: float | None = None
    created: float = 0
    phase: str = "Running"
    terminating: bool = False
    bound: bool = True

    @property
    def finished(self) -> bool:
        """Whether all of it has ended, and nothing will start it again."""
        return self.phase in ("Failed", "Succeeded")

    def available(self, min_ready_seconds: int, now: float) -> bool:
        """Say whether it has been ready for so many seconds."""
        if not self.ready:
            return False
        return min_ready_seconds == 0 or (self.ready_since is not None and self.ready_since + min_ready_seconds <= now)


@dataclass(frozen=True)
class Strategy:
    """``updateStrategy`` and ``minReadySeconds`` of a DaemonSet. The numbers may be percentages of desired nodes."""

    type: Literal["RollingUpdate", "OnDelete"] = "RollingUpdate"
    max_unavailable: int | str = 1
    max_surge: int | str = 0
    min_ready_seconds: int = 0

    def numbers(self, desired: int) -> RollingNumbers:
        """Return how many nodes may be unavailable or surge, of so many desired ones."""
        if self.type != "RollingUpdate":
            return RollingNumbers(0, 0)
        return rolling_numbers({"maxUnavailable": self.max_unavailable, "maxSurge": self.max_surge}, desired)

    @property
    def surges(self) -> bool:
        """Whether a node may hold a new instance beside an old one."""
        return self.numbers(1).max_surge > 0


@dataclass
class Decision:
    """What to do now: nodes to create a pod of the current template on, and names of pods to delete."""

    create_nodes: list[str] = field(default_factory=list)
    delete_pods: list[str] = field(default_factory=list)


def sync(nodes: Sequence[Target], pods: Sequence[Pod], strategy: Strategy, now: float) -> Decision:
    """Manage, and on what comes of it do the rolling update, if the strategy is one."""
    managed = manage(nodes, pods, strategy, now)
    if strategy.type != "RollingUpdate":
        return managed
    left = [pod for pod in pods if pod.name not in managed.delete_pods]
    made = [Pod(name="", node=name, created=now) for name in managed.create_nodes]
    updated = rolling_update(nodes, [*left, *made], strategy, now)
    return Decision(managed.create_nodes + updated.create_nodes, managed.delete_pods + updated.delete_pods)


def manage(nodes: Sequence[Target], pods: Sequence[Pod], strategy: Strategy, now: float) -> Decision:
    """Create what is missing; delete what may not stay, what has ended, and all but one of several.

    None of it is limited by maxUnavailable.
    """
    decision = Decision()
    placed = _by_node(pods)
    for node in nodes:
        present = placed.get(node.name, [])
        staying = [pod for pod in present if not pod.terminating]
        if node.should_run and not present:
            decision.create_nodes.append(node.name)
        elif not node.should_continue:
            decision.delete_pods += [pod.name for pod in staying]
        else:
            _keep_one(node, staying, strategy, now, decision)
    known = {node.name for node in nodes}
    # Those that did get to a node that is gone are beyond reach.
    decision.delete_pods += [
        pod.name for name, there in placed.items() if name not in known for pod in there if not pod.bound
    ]
    return decision


def _by_node(pods: Iterable[Pod]) -> dict[str, list[Pod]]:
    """Group the pods that count as present: all but those that have both ended and been told to stop."""
    placed: dict[str, list[Pod]] = {}
    for pod in pods:
        if not (pod.finished and pod.terminating):
            placed.setdefault(pod.node, []).append(pod)
    return placed


def _keep_one(node: Target, staying: list[Pod], strategy: Strategy, now: float, decision: Decision) -> None:
    decision.delete_pods += [pod.name for pod in staying if pod.finished]
    running = sorted((pod for pod in staying if not pod.finished), key=_precedence)
    if not strategy.surges:
        decision.delete_pods += [pod.name for pod in running[1:]]
    elif running:
        decision.delete_pods += _surplus_of_surge(running, strategy, now)
    elif node.should_run:
        decision.create_nodes.append(node.name)


def _precedence(pod: Pod) -> tuple[bool, float, str]:
    return not pod.bound, pod.created, pod.name


def _surplus_of_surge(running: list[Pod], strategy: Strategy, now: float) -> list[str]:
    """Name what is too many, sparing the first old pod while it serves and the first new one is not available."""
    new = [pod for pod in running if pod.revision == "new"]
    old = [pod for pod in running if pod.revision == "old"]
    surplus = [pod.name for pod in running if pod in new[1:] or pod in old[1:]]
    if new and old and (not old[0].ready or new[0].available(strategy.min_ready_seconds, now)):
        surplus.append(old[0].name)
    return surplus


def rolling_update(nodes: Sequence[Target], pods: Sequence[Pod], strategy: Strategy, now: float) -> Decision:
    """Replace old pods: those that are not available at once, the others within maxUnavailable or maxSurge."""
    placed = _by_node(pods)
    targets = {node.name: node for node in nodes}
    for name in placed:
        targets.setdefault(name, Target(name, should_run=False, should_continue=False))
    desired = sum(node.should_run for node in nodes)
    concerned = [
        _NodeUpdate(node, placed.get(name, []), strategy.min_ready_seconds, now)
        for name, node in targets.items()
        if node.should_run or name in placed
    ]
    numbers = strategy.numbers(desired)
    if numbers.max_surge == 0:
        return _update_in_place(concerned, numbers.max_unavailable)
    return _update_by_surge(concerned, numbers.max_surge, desired)


class _NodeUpdate:
    """The new and the old pod of a node. Pods told to stop do not count; of two of a kind neither does (doubled)."""

    def __init__(self, node: Target, pods: list[Pod], min_ready_seconds: int, now: float) -> None:
        by_revision: Mapping[str, list[Pod]] = {
            revision: [pod for pod in pods if pod.revision == revision and not pod.terminating]
            for revision in ("new", "old")
        }
        self.node = node
        self.doubled = any(len(alike) > 1 for alike in by_revision.values())
        self.new = by_revision["new"][0] if by_revision["new"] and not self.doubled else None
        self.old = by_revision["old"][0] if by_revision["old"] and not self.doubled else None
        self.new_available = self.new is not None and self.new.available(min_ready_seconds, now)
        self.old_available = self.old is not None and self.old.available(min_ready_seconds, now)


def _update_in_place(concerned: list[_NodeUpdate], max_unavailable: int) -> Decision:
    """Only deletes: :func:`manage` creates the new pod once the old one is gone."""
    unavailable = 0
    broken: list[str] = []
    healthy: list[str] = []
    for update in concerned:
        if update.old is None or update.new is not None:
            # Both at once, and doubled ones, are for manage to clean up; until then the node counts as unavailable.
            settled = update.old is None and update.new_available
            unavailable += not settled
        elif update.old_available:
            healthy.append(update.old.name)
        else:
            broken.append(update.old.name)
            unavailable += 1
    return Decision(delete_pods=broken + healthy[: max(0, max_unavailable - unavailable)])


def _update_by_surge(concerned: list[_NodeUpdate], max_surge: int, desired: int) -> Decision:
    """Create the new pod beside the old one, and delete the old one once the new one is available."""
    decision = Decision()
    surging = available = 0
    candidates: list[str] = []
    leaving: list[str] = []
    for update in concerned:
        if update.doubled:
            surging += 1
            continue
        available += update.new_available if update.old is None else update.old_available
        if update.old is None:
            continue
        if update.new is not None:
            if update.new_available:
                decision.delete_pods.append(update.old.name)
            else:
                surging += 1
        elif update.node.should_run:
            (candidates if update.old_available else decision.create_nodes).append(update.node.name)
        else:
            (leaving if update.old_available else decision.delete_pods).append(update.old.name)
    decision.create_nodes += candidates[: max(0, max_surge - surging)]
    # Nothing replaces these on their nodes: they serve until enough others do.
    decision.delete_pods += leaving[: max(0, available - desired)]
    return decision
