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

from . import restraint
from .judgement import (
    ABSENT,
    CREATE,
    DAMAGED,
    DELETING,
    FAILED,
    HELD,
    INFEASIBLE,
    MISSCHEDULED,
    MISSING,
    NONE,
    NOT_ELIGIBLE,
    NOT_SELECTED,
    ORPHAN,
    OUTDATED,
    REMOVE,
    REPAIR,
    REPLACE,
    RESTART,
    RESTORE,
    STAGE,
    STAGED_STEPS,
    STOPPING,
    SWITCH,
    UNREACHABLE,
    UNREADY,
    UNUSABLE,
    UP_TO_DATE,
    UPDATES,
    WAIT,
    Entry,
    Seen,
    Settings,
    Wanted,
    judge,
    kept_back,
)
from .policy import WINDOW
from .rollout import Pod, Strategy, Target, sync
from .waves import Completion, Wave, bake_left, completions, in_waves, pack, turns, waves_of

__all__ = [
    "ABSENT",
    "CREATE",
    "DAMAGED",
    "DELETING",
    "FAILED",
    "HELD",
    "INFEASIBLE",
    "MISSCHEDULED",
    "MISSING",
    "NONE",
    "NOT_ELIGIBLE",
    "NOT_SELECTED",
    "ORPHAN",
    "OUTDATED",
    "REMOVE",
    "REPAIR",
    "REPLACE",
    "RESTART",
    "RESTORE",
    "STAGE",
    "STAGED_STEPS",
    "SWITCH",
    "UNREACHABLE",
    "UNREADY",
    "UNUSABLE",
    "UPDATES",
    "UP_TO_DATE",
    "WAIT",
    "Completion",
    "DaemonSetPlan",
    "Entry",
    "Plan",
    "Seen",
    "Settings",
    "Wanted",
    "Wave",
    "judge",
    "make_plan",
    "narrowed",
    "renewed",
]


@dataclass(frozen=True)
class DaemonSetPlan:
    settings: Settings
    entries: tuple[Entry, ...]  # one for each node of the inventory, in its order
    steps: tuple[Wave, ...] = ()  # of its rollout; an entry's wave is its place here
    room: int = 0  # how many nodes a batch may make unavailable: the budget without what is used up already
    bake_left: float = 0.0  # seconds to wait before the first batch, for the steps that are completed already

    @property
    def desired(self) -> int:
        return sum(entry.should_run for entry in self.entries)

    @property
    def budget(self) -> int:
        """How many nodes may be unavailable through our doing, or surge.

        Kubernetes: a percentage is of all eligible nodes.
        """
        return self.settings.strategy.numbers(self.desired).budget

    @property
    def tolerated_failures(self) -> int:
        """How many failed nodes do not halt its rollout."""
        return restraint.tolerated_failures(self.settings, self.desired)

    @property
    def completed_steps(self) -> int:
        """How many of its steps are completed; `resume` passes the pauses of so many."""
        return next((index for index, wave in enumerate(self.steps) if not wave.completed), len(self.steps))


@dataclass(frozen=True)
class Plan:
    daemonsets: tuple[DaemonSetPlan, ...]
    batches: tuple[tuple[str, ...], ...]  # the nodes to switch, batch by batch
    after: tuple[tuple[Completion, ...], ...] = ()  # for each batch the steps that are completed with it

    def hosts(self, phase: str) -> list[str]:
        """The nodes that take part in a phase, in inventory order (``switch``: in the order of the batches)."""
        if phase == SWITCH:
            return [node for batch in self.batches for node in batch]
        return self._nodes_where(lambda entry: entry.takes_part(phase))

    @property
    def unseen(self) -> list[str]:
        """The nodes that --limit leaves out and whose instances count for the budget of what is to be switched."""
        if not self.batches:
            return []
        return self._nodes_where(lambda entry: entry.should_run and entry.state == NOT_SELECTED)

    def looking(self) -> dict[str, list[str]]:
        """Those of them that each node of this run is to look at, evenly shared."""
        unseen, hosts = self.unseen, self._nodes_where(lambda entry: entry.state != NOT_SELECTED)
        return {host: unseen[index :: len(hosts)] for index, host in enumerate(hosts)} if unseen else {}

    @property
    def nodes(self) -> list[str]:
        """All nodes of the inventory, in its order."""
        return [entry.node for daemonset in self.daemonsets[:1] for entry in daemonset.entries]

    @property
    def touched(self) -> list[str]:
        return self._nodes_where(lambda entry: entry.step != NONE)

    @property
    def present(self) -> list[str]:
        """The nodes that have an instance of any of them."""
        return self._nodes_where(lambda entry: entry.present)

    def standing(self) -> dict[str, list[str]]:
        """By node, the DaemonSets of which it has an instance or gets one in this run."""
        found: dict[str, list[str]] = {}
        for daemonset in self.daemonsets:
            for entry in daemonset.entries:
                if entry.present or entry.step == CREATE:
                    found.setdefault(entry.node, []).append(daemonset.settings.key)
        return found

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
        return {
            "daemonsets": [
                {
                    "settings": daemonset.settings.as_dict(),
                    "entries": [entry.as_dict() for entry in daemonset.entries],
                    "steps": [asdict(wave) for wave in daemonset.steps],
                    "room": daemonset.room,
                    "bake_left": daemonset.bake_left,
                }
                for daemonset in self.daemonsets
            ],
            "batches": [list(batch) for batch in self.batches],
            "after": [[list(one) for one in completed] for completed in self.after],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        return cls(
            daemonsets=tuple(
                DaemonSetPlan(
                    settings=Settings.from_dict(daemonset["settings"]),
                    entries=tuple(Entry(**entry) for entry in daemonset["entries"]),
                    steps=tuple(Wave(**wave) for wave in daemonset["steps"]),
                    room=daemonset["room"],
                    bake_left=daemonset["bake_left"],
                )
                for daemonset in data["daemonsets"]
            ),
            batches=tuple(tuple(batch) for batch in data["batches"]),
            after=tuple(tuple(Completion(*one) for one in completed) for completed in data["after"]),
        )


def make_plan(
    declared: Iterable[tuple[Settings, Mapping[str, Wanted]]],
    nodes: Sequence[str],
    seen: Mapping[str, Seen],
    forced: bool = False,
) -> Plan:
    """``declared`` gives for each DaemonSet what every node of ``nodes`` (inventory order) should have of it.

    ``forced``: revisions that failed are tried again.
    """
    judged = []
    for settings, wanted in declared:
        settings = replace(settings, forced=forced)
        entries = [judge(settings, node, wanted[node], seen.get(node, Seen())) for node in nodes]
        judged.append((settings, _numbered(settings, entries, seen)))
    return _batched([_decided(settings, entries) for settings, entries in judged])


def narrowed(plan: Plan, meant: Callable[[Entry], bool]) -> Plan:
    """The plan without all steps but those that are meant."""

    def kept(entry: Entry) -> Entry:
        return entry if entry.step == NONE or meant(entry) else replace(entry, step=NONE, phase="", batch=None)

    return _batched([replace(daemonset, entries=tuple(map(kept, daemonset.entries))) for daemonset in plan.daemonsets])


def renewed(plan: Plan, seen: Mapping[str, Seen]) -> Plan:
    """The same plan judged again where a newer observation is given: what is left to do, and what stands now."""

    def judged(settings: Settings, entry: Entry) -> Entry:
        if entry.node not in seen:
            return entry
        return replace(judge(settings, entry.node, entry.declared, seen[entry.node]), number=entry.number)

    return _batched(
        [
            _decided(daemonset.settings, [judged(daemonset.settings, entry) for entry in daemonset.entries])
            for daemonset in plan.daemonsets
        ]
    )


def _numbered(settings: Settings, entries: Sequence[Entry], seen: Mapping[str, Seen]) -> list[Entry]:
    """Give the wanted revisions the number that Kubernetes' ControllerRevision would have, the same on all nodes.

    The highest number belongs to what was rolled out last. If that is the wanted revision, it keeps it; else it gets
    the next, also if it has an older one: a rollback raises its revision's number (pkg/controller/history). Where nodes
    want different revisions (templated manifests), these share a number, unless it is another one's on the node.
    """
    numbers: dict[str, dict[str, int]] = {}  # by node, then by revision
    for entry in entries:
        look = seen[entry.node].observation if entry.node in seen else None
        instance = look.instance(settings.namespace, settings.name) if look else None
        numbers[entry.node] = {past.revision: past.number for past in instance.history} if instance else {}
    highest = max((number for known in numbers.values() for number in known.values()), default=0)
    latest = {revision for known in numbers.values() for revision, number in known.items() if number == highest}
    is_latest = any(entry.wanted in latest for entry in entries)

    def number(entry: Entry) -> int:
        shared = is_latest and highest not in numbers[entry.node].values()
        return highest if highest and (entry.wanted in latest or shared) else highest + 1

    return [replace(entry, number=number(entry)) for entry in entries]


def _decided(settings: Settings, judged: Sequence[Entry]) -> DaemonSetPlan:
    """What is done of all that is due in a DaemonSet, and in which order."""
    entries = restraint.partitioned(settings, restraint.in_turn(settings, _in_phases(settings, judged)))
    waves = waves_of(settings.policy, entries)
    entries = in_waves(waves, restraint.halted_or_paused(settings, entries))
    entries = restraint.until_resume(waves, entries)
    plan = DaemonSetPlan(settings, tuple(entries), waves)
    room = max(0, plan.budget - len(restraint.left_unavailable(settings, entries)))
    entries = restraint.within_limits(settings, entries, plan.budget)
    left = bake_left(waves, entries, settings.min_ready_seconds)
    return replace(plan, entries=tuple(entries), room=room, bake_left=left)


def _in_phases(settings: Settings, entries: Sequence[Entry]) -> list[Entry]:
    """Give each step its phase: what Kubernetes' controller would do now is done at once, the rest batch by batch.

    With maxSurge it is the same: a node is switched as a whole, with what stands in meanwhile.

    One difference: the controller also replaces at once, beyond the budget, what is ready and not yet available
    (minReadySeconds). Two applies soon after each other would so restart all nodes together; here it takes the budget.
    """
    acting = [entry for entry in entries if entry.step != NONE]
    targets = [Target(entry.node, entry.step != REMOVE, entry.step != REMOVE) for entry in acting]
    pods = [_pod(entry) for entry in acting if not (entry.step == CREATE or entry.half_made)]
    decision = sync(targets, pods, Strategy(max_unavailable=settings.max_unavailable), now=0)
    created, deleted = set(decision.create_nodes), set(decision.delete_pods)

    def phase(entry: Entry) -> str:
        if entry.step == REMOVE and entry.node in deleted:
            return REMOVE
        if entry.node in created or entry.step == WAIT or (entry.node in deleted and not entry.ready):
            return CREATE
        return SWITCH if entry.step in STOPPING else ""

    phases = [phase(entry) for entry in entries]
    return [
        entry if (entry.phase, entry.batch) == (phase, None) else replace(entry, phase=phase, batch=None)
        for entry, phase in zip(entries, phases, strict=True)
    ]


def _pod(entry: Entry) -> Pod:
    """An instance as the controller sees it; a damaged one is to be replaced as one of an old revision is."""
    old = entry.step in STOPPING
    return Pod(entry.node, entry.node, "old" if old else "new", ready=entry.ready, created=entry.created or 0)


CONTRADICTION = "its steps and those of another DaemonSet on the node contradict each other; the next apply takes it"


def _batched(daemonsets: Sequence[DaemonSetPlan]) -> Plan:
    """The batches that all DaemonSets share: a node is switched once, for all of them."""
    queues = [turns(daemonset.entries) for daemonset in daemonsets]
    switching = [daemonset for daemonset, queue in zip(daemonsets, queues, strict=True) if queue]
    # With the pace WINDOW the budget is kept while it runs: the next node begins as soon as one is available.
    admitted_one_by_one = all(daemonset.settings.policy.pace == WINDOW for daemonset in switching)
    rooms = [len(daemonset.entries) if admitted_one_by_one else daemonset.room for daemonset in daemonsets]
    batches, left = pack(queues, rooms)
    batch_of = {node: index for index, batch in enumerate(batches) for node in batch}

    def placed(index: int, entry: Entry) -> Entry:
        if entry.phase != SWITCH:
            return entry
        if (index, entry.node) in left:
            return kept_back(entry, CONTRADICTION, blocked=True)
        return replace(entry, batch=batch_of[entry.node])

    daemonsets = [
        replace(daemonset, entries=tuple(placed(index, entry) for entry in daemonset.entries))
        for index, daemonset in enumerate(daemonsets)
    ]
    completed = [
        completions(daemonset.settings.key, daemonset.steps, daemonset.entries, len(batches))
        for daemonset in daemonsets
    ]
    after = (tuple(one for found in of_batch for one in found) for of_batch in zip(*completed, strict=True))
    return Plan(tuple(daemonsets), batches, tuple(after))
