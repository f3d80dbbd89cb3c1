# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Desired × observed → what to do on which node, in which order, and why.

Pure: no I/O, no clock. Linear in nodes × DaemonSets.

The order of an apply (each of these is a phase; a node takes part only in those that its entries name):

* ``remove``: instances that may not stay, all at once, outside of any budget (Kubernetes: ``manage``).
* ``create``: where nothing that serves can be lost, all at once: missing instances, stopped or broken ones, and
  outdated ones that are not ready (Kubernetes' ``rollingUpdate`` replaces those beyond the budget as well).
* ``switch``: outdated or damaged instances that are ready, in batches within ``maxUnavailable``. When the first
  batch starts, the create phase has made everything else available or has halted the DaemonSet, so each batch may use
  the whole budget. Nodes that cannot be reached are counted apart and never block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..module_utils.observation import Instance, Observation
from .policy import Policy
from .rollout import Pod, Strategy, Target, sync

# States of one DaemonSet on one node, in Kubernetes' words where it has any.
UP_TO_DATE = "up to date"
MISSING = "missing"
OUTDATED = "outdated"
UNREADY = "unready"
DAMAGED = "damaged"
MISSCHEDULED = "misscheduled"
NOT_ELIGIBLE = "not eligible"
DELETING = "to be deleted"
ABSENT = "absent"
UNREACHABLE = "unreachable"
UNUSABLE = "unusable"  # it answered, but could not be looked at: no root, no systemd
NOT_SELECTED = "not selected"  # left out by --limit
INFEASIBLE = "infeasible"  # it lacks what its instance needs, and is left as it is

# Steps, and the phases in which they are taken.
NONE = "none"
REMOVE = "remove"
CREATE = "create"
REPLACE = "replace"
REPAIR = "repair"
WAIT = "wait"  # nothing to change: it started, and has yet to become available
SWITCH = "switch"
STAGE = "stage"
STAGED_STEPS = (CREATE, REPLACE, REPAIR)


@dataclass(frozen=True)
class Wanted:
    """What one node should have of one DaemonSet. ``revision`` may differ from node to node (templated manifests)."""

    revision: str
    should_run: bool
    should_continue: bool
    reason: str = ""  # why it should not run here
    runtime: str = ""  # what should run it, "" while nobody has looked at the node
    obstacle: str = ""  # why this node cannot run it, though it should


@dataclass(frozen=True)
class Settings:
    """Of a DaemonSet, what the plan and the report need beyond its revisions."""

    namespace: str
    name: str
    on_delete: bool = False  # updateStrategy OnDelete: outdated instances wait for a human
    max_unavailable: int | str = 1  # a number of nodes or "25%" of all eligible ones
    min_ready_seconds: int = 0
    node_selector: tuple[tuple[str, str], ...] = ()
    policy: Policy = Policy()
    change_cause: str = ""  # the annotation kubernetes.io/change-cause
    deleted: bool = False  # the declaration is that there be none, anywhere

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Settings:
        return cls(
            **{
                **data,
                "node_selector": tuple((key, value) for key, value in data["node_selector"]),
                "policy": Policy.from_dict(data["policy"]),
            }
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def strategy(self) -> Strategy:
        """Availability is judged here, node by node, so minReadySeconds is not part of it; see _decided."""
        return Strategy(max_unavailable=self.max_unavailable)

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Seen:
    """What is known of one node. Without an observation, ``state`` says why there is none."""

    observation: Observation | None = None
    state: str = NOT_SELECTED
    reason: str = "left out by --limit"


@dataclass(frozen=True)
class Entry:
    """One DaemonSet on one node: what should be, what is, and what follows."""

    node: str
    should_run: bool
    should_continue: bool
    ineligible: str  # why it should not run here, "" if it should
    wanted: str  # the revision it should have
    state: str
    step: str = NONE
    phase: str = ""
    reason: str = ""
    present: bool = False
    revision: str | None = None  # the revision it has
    ready: bool = False
    available: bool = False
    restarts: int = 0
    created: float | None = None  # seconds since the epoch, by the node's clock
    age: float | None = None  # seconds
    wanted_runtime: str = ""  # what should run it
    obstacle: str = ""  # why this node cannot run it, though it should

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def declared(self) -> Wanted:
        return Wanted(
            self.wanted, self.should_run, self.should_continue, self.ineligible, self.wanted_runtime, self.obstacle
        )

    def takes_part(self, phase: str) -> bool:
        return self.step in STAGED_STEPS if phase == STAGE else self.phase == phase

    @property
    def half_made(self) -> bool:
        """Whether a run died here before its first revision was in place."""
        return self.present and self.revision is None and self.step != REMOVE

    @property
    def as_declared(self) -> bool:
        """Whether nothing is left to wish for here, by the manifest's own rules."""
        if self.step != NONE:
            return False
        return self.state not in (UNREACHABLE, UNUSABLE, INFEASIBLE)


@dataclass(frozen=True)
class DaemonSetPlan:
    settings: Settings
    entries: tuple[Entry, ...]  # one for each node of the inventory, in its order

    @property
    def desired(self) -> int:
        return sum(entry.should_run for entry in self.entries)

    @property
    def budget(self) -> int:
        """How many nodes may be unavailable through our doing. Kubernetes: a percentage is of all eligible nodes."""
        return self.settings.strategy.numbers(self.desired).max_unavailable


@dataclass(frozen=True)
class Plan:
    daemonsets: tuple[DaemonSetPlan, ...]
    batches: tuple[tuple[str, ...], ...]  # the nodes to switch, batch by batch

    def hosts(self, phase: str) -> list[str]:
        """The nodes that take part in a phase, in inventory order (``switch``: in the order of the batches)."""
        if phase == SWITCH:
            return [node for batch in self.batches for node in batch]
        return self._nodes_where(lambda entry: entry.takes_part(phase))

    @property
    def touched(self) -> list[str]:
        return self._nodes_where(lambda entry: entry.step != NONE)

    @property
    def not_as_declared(self) -> list[str]:
        return self._nodes_where(lambda entry: not entry.as_declared)

    def _nodes_where(self, test: Callable[[Entry], bool]) -> list[str]:
        return list(
            dict.fromkeys(
                node_entries[0].node
                for node_entries in zip(*(daemonset.entries for daemonset in self.daemonsets), strict=True)
                if any(test(entry) for entry in node_entries)
            )
        )

    def by_node(self) -> dict[str, list[tuple[Settings, Entry]]]:
        """What there is to do on each node, DaemonSet by DaemonSet; nodes with nothing to do are left out."""
        steps: dict[str, list[tuple[Settings, Entry]]] = {}
        for daemonset in self.daemonsets:
            for entry in daemonset.entries:
                if entry.step != NONE:
                    steps.setdefault(entry.node, []).append((daemonset.settings, entry))
        return steps

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        return cls(
            daemonsets=tuple(
                DaemonSetPlan(
                    settings=Settings.from_dict(daemonset["settings"]),
                    entries=tuple(Entry(**entry) for entry in daemonset["entries"]),
                )
                for daemonset in data["daemonsets"]
            ),
            batches=tuple(tuple(batch) for batch in data["batches"]),
        )


def make_plan(
    declared: Iterable[tuple[Settings, Mapping[str, Wanted]]], nodes: Sequence[str], seen: Mapping[str, Seen]
) -> Plan:
    """``declared`` gives for each DaemonSet what every node of ``nodes`` (inventory order) should have of it."""
    daemonsets = tuple(
        _decided(settings, [judge(settings, node, wanted[node], seen.get(node, Seen())) for node in nodes])
        for settings, wanted in declared
    )
    return Plan(daemonsets, _batches(daemonsets))


def renewed(plan: Plan, seen: Mapping[str, Seen]) -> Plan:
    """The same plan judged again where a newer observation is given: what is left to do, and what stands now."""
    daemonsets = tuple(
        _decided(
            daemonset.settings,
            [
                judge(daemonset.settings, entry.node, entry.declared, seen[entry.node]) if entry.node in seen else entry
                for entry in daemonset.entries
            ],
        )
        for daemonset in plan.daemonsets
    )
    return Plan(daemonsets, _batches(daemonsets))


def _decided(settings: Settings, entries: Sequence[Entry]) -> DaemonSetPlan:
    """Give each step its phase: what Kubernetes' controller would do now is done at once, the rest batch by batch.

    One difference: the controller also replaces at once, beyond the budget, what is ready and not yet available
    (minReadySeconds). Two applies soon after each other would so restart all nodes together; here it takes the budget.
    """
    acting = [entry for entry in entries if entry.step != NONE]
    targets = [Target(entry.node, entry.step != REMOVE, entry.step != REMOVE) for entry in acting]
    pods = [_pod(entry) for entry in acting if not (entry.step == CREATE or entry.half_made)]
    decision = sync(targets, pods, settings.strategy, now=0)
    created, deleted = set(decision.create_nodes), set(decision.delete_pods)

    def phase(entry: Entry) -> str:
        if entry.step == REMOVE and entry.node in deleted:
            return REMOVE
        if entry.node in created or entry.step == WAIT or (entry.node in deleted and not entry.ready):
            return CREATE
        return SWITCH if entry.step in (REPLACE, REPAIR) else ""

    return DaemonSetPlan(settings, tuple(replace(entry, phase=phase(entry)) for entry in entries))


def _pod(entry: Entry) -> Pod:
    """An instance as the controller sees it; a damaged one is to be replaced as one of an old revision is."""
    old = entry.step in (REPLACE, REPAIR)
    return Pod(entry.node, entry.node, "old" if old else "new", ready=entry.ready, created=entry.created or 0)


def judge(settings: Settings, node: str, wanted: Wanted, seen: Seen) -> Entry:
    """What one DaemonSet needs on one node."""
    entry = Entry(
        node=node,
        should_run=wanted.should_run,
        should_continue=wanted.should_continue,
        ineligible=wanted.reason,
        wanted=wanted.revision,
        state=seen.state,
        wanted_runtime=wanted.runtime,
        obstacle=wanted.obstacle,
        reason=seen.reason,
    )
    if seen.observation is None:
        return entry
    now = seen.observation.facts.now
    instance = seen.observation.instance(settings.namespace, settings.name)
    if instance is None:
        return _judge_nothing_there(entry, settings, wanted)
    available = _is_available(instance, settings.min_ready_seconds, now)
    entry = replace(
        entry,
        present=True,
        revision=instance.revision,
        ready=instance.ready,
        available=available,
        restarts=instance.restarts,
        created=instance.created,
        age=None if instance.created is None else now - instance.created,
    )
    if settings.deleted:
        return replace(entry, state=DELETING, step=REMOVE, reason="it is being deleted")
    if not wanted.should_run:
        return _judge_misscheduled(entry, wanted)
    if wanted.obstacle:
        return replace(entry, state=INFEASIBLE, reason=wanted.obstacle)
    if instance.revision != wanted.revision or instance.runtime != (wanted.runtime or instance.runtime):
        return _judge_outdated(entry, settings, instance)
    return _judge_current(entry, settings, instance, now)


def _judge_nothing_there(entry: Entry, settings: Settings, wanted: Wanted) -> Entry:
    if settings.deleted:
        return replace(entry, state=ABSENT, reason="")
    if not wanted.should_run:
        return replace(entry, state=NOT_ELIGIBLE, reason=wanted.reason)
    if wanted.obstacle:
        return replace(entry, state=INFEASIBLE, reason=wanted.obstacle)
    return replace(entry, state=MISSING, step=CREATE, reason="there is no instance on this node")


def _judge_misscheduled(entry: Entry, wanted: Wanted) -> Entry:
    if wanted.should_continue:
        return replace(entry, state=MISSCHEDULED, reason=wanted.reason)
    return replace(entry, state=MISSCHEDULED, step=REMOVE, reason=wanted.reason)


def _judge_outdated(entry: Entry, settings: Settings, instance: Instance) -> Entry:
    if instance.revision is None:
        return replace(entry, state=DAMAGED, step=REPAIR, reason=_words(instance.damage))
    # Stopped or damaged by hand counts as deleted: what is created then is of the current revision, under OnDelete too.
    if settings.on_delete and instance.intact:
        return replace(entry, state=OUTDATED, reason="updateStrategy is OnDelete: stop it here to have it replaced")
    reason = "it has an older revision"
    if instance.runtime != (entry.wanted_runtime or instance.runtime):
        reason = f"it runs under {instance.runtime} and should run under {entry.wanted_runtime}"
    trouble = _words(instance.damage) or instance.reason
    if trouble:
        reason += f"; {trouble}"
    return replace(entry, state=OUTDATED, step=REPLACE, reason=reason)


def _judge_current(entry: Entry, settings: Settings, instance: Instance, now: float) -> Entry:
    if not instance.intact or not instance.running:
        reason = _words(instance.damage) or instance.reason or "it is not running"
        return replace(entry, state=DAMAGED, step=REPAIR, reason=reason)
    if not instance.ready:
        return replace(entry, state=UNREADY, step=WAIT, reason=instance.reason)
    if not entry.available:
        seconds = now - (instance.ready_since or now)
        reason = f"it has been ready for {seconds:.0f} of the {settings.min_ready_seconds} seconds of minReadySeconds"
        return replace(entry, state=UNREADY, step=WAIT, reason=reason)
    return replace(entry, state=UP_TO_DATE, reason="")


def _is_available(instance: Instance, min_ready_seconds: int, now: float) -> bool:
    """Ready for minReadySeconds (Kubernetes: IsPodAvailable)."""
    if not instance.ready or not min_ready_seconds:
        return instance.ready
    return instance.ready_since is not None and instance.ready_since + min_ready_seconds <= now


def _words(damage: Sequence[str]) -> str:
    return "; ".join(damage)


def _batches(daemonsets: Sequence[DaemonSetPlan]) -> tuple[tuple[str, ...], ...]:
    """Greedy packing in inventory order: each node goes to the first batch where all its DaemonSets have budget left.

    The search starts where each DaemonSet last found room, so a node with one DaemonSet costs one look.
    """
    batches: list[list[str]] = []
    used: list[list[int]] = [[] for daemonset in daemonsets]
    first_with_room = [0] * len(daemonsets)
    budgets = [daemonset.budget for daemonset in daemonsets]
    for entries in zip(*(daemonset.entries for daemonset in daemonsets), strict=True):
        taking_part = [index for index, entry in enumerate(entries) if entry.phase == SWITCH]
        if not taking_part:
            continue
        batch = max(first_with_room[index] for index in taking_part)
        while any(batch < len(used[index]) and used[index][batch] >= budgets[index] for index in taking_part):
            batch += 1
        while len(batches) <= batch:
            batches.append([])
        batches[batch].append(entries[0].node)
        for index in taking_part:
            used[index].extend([0] * (batch + 1 - len(used[index])))
            used[index][batch] += 1
            while first_with_room[index] < len(used[index]) and used[index][first_with_room[index]] >= budgets[index]:
                first_with_room[index] += 1
    return tuple(tuple(batch) for batch in batches)


LISTED = 12  # so many node names in a line are read, more are only scrolled past


def described(plan: Plan) -> list[str]:
    """The plan in words, a few lines for each DaemonSet, for the terminal."""
    lines = []
    for daemonset in plan.daemonsets:
        lines.append(_summary(daemonset))
        groups: dict[tuple[str, str], list[str]] = {}
        for entry in daemonset.entries:
            if entry.step != NONE or not entry.as_declared or entry.state in (OUTDATED, MISSCHEDULED):
                verb = entry.state if entry.step == NONE else entry.step
                if entry.phase == SWITCH:
                    verb = f"{entry.step}, at most {daemonset.budget} at a time"
                groups.setdefault((verb, entry.reason), []).append(entry.node)
        lines += [f"  {verb}: {names(nodes)}: {reason}" for (verb, reason), nodes in groups.items()]
    return lines


def names(nodes: Sequence[str]) -> str:
    listed = ", ".join(nodes[:LISTED])
    return listed if len(nodes) <= LISTED else f"{listed} and {len(nodes) - LISTED} more"


def _summary(daemonset: DaemonSetPlan) -> str:
    settings, entries = daemonset.settings, daemonset.entries
    unseen = sum(entry.state == NOT_SELECTED for entry in entries)
    counted = f" ({unseen} left out by --limit)" if unseen else ""
    if settings.deleted:
        present = sum(entry.present for entry in entries)
        return f"{settings.key}: to be removed from {_nodes(present)}{counted}"
    eligible = f"{settings.key}: {daemonset.desired} of {_nodes(len(entries))} should run it{counted}"
    if all(entry.as_declared for entry in entries):
        return f"{eligible}; nothing to do"
    return eligible


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"
