# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One DaemonSet on one node: what should be × what was observed → what is due there.

Pure. What the DaemonSet as a whole makes of it (order, budget, pauses) is in plan.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ..module_utils.observation import VETO, Failure, Instance, Observation
from .maintenance import closed_until
from .policy import Policy
from .pull import Turn
from .rollout import Strategy

# States of one DaemonSet on one node, in Kubernetes' words where it has any.
UP_TO_DATE = "up to date"
MISSING = "missing"
OUTDATED = "outdated"
UNREADY = "unready"
DAMAGED = "damaged"
MISSCHEDULED = "misscheduled"
NOT_ELIGIBLE = "not eligible"
DELETING = "to be deleted"
ORPHAN = "orphan"  # its DaemonSet is declared nowhere, and lies in what the user wants pruned
ABSENT = "absent"
UNREACHABLE = "unreachable"
UNUSABLE = "unusable"  # it answered, but could not be looked at: no root, no systemd
NOT_SELECTED = "not selected"  # left out by --limit
INFEASIBLE = "infeasible"  # it lacks what its instance needs, and is left as it is
HELD = "held"  # something is due, but somebody forbids to touch this node
FAILED = "failed"  # the revision that it should have failed here, and is not tried again
STATES = (
    UP_TO_DATE,
    MISSING,
    OUTDATED,
    UNREADY,
    DAMAGED,
    MISSCHEDULED,
    NOT_ELIGIBLE,
    DELETING,
    ORPHAN,
    ABSENT,
    UNREACHABLE,
    UNUSABLE,
    NOT_SELECTED,
    INFEASIBLE,
    HELD,
    FAILED,
)

# Steps, and the phases in which they are taken.
NONE = "none"
REMOVE = "remove"
CREATE = "create"
REPLACE = "replace"
REPAIR = "repair"
WAIT = "wait"  # nothing to change: it started, and has yet to become available
RESTART = "restart"  # of the same revision, because somebody asked for it
RESTORE = "restore"  # of the revision that it has and keeps, from what the node has of it
SWITCH = "switch"
STAGE = "stage"
STAGED_STEPS = (CREATE, REPLACE, REPAIR)
UPDATES = (REPLACE, RESTART)  # what a rollout consists of
REPAIRS = (REPAIR, RESTORE)
STOPPING = (*UPDATES, *REPAIRS)  # what ends a process that may serve

REMOVALS = {  # what becomes of the instances of a DaemonSet of which there is to be none, and why
    DELETING: "it is being deleted",
    ORPHAN: "no manifest of this run declares its DaemonSet",
}

WAITS_FOR_DELETION = "updateStrategy is OnDelete: stop it here to have it replaced"


@dataclass(frozen=True)
class Wanted:
    """What one node should have of one DaemonSet. ``revision`` may differ from node to node (templated manifests)."""

    revision: str
    should_run: bool
    should_continue: bool
    reason: str = ""  # why it should not run here
    runtime: str = ""  # what should run it, "" while nobody has looked at the node
    obstacle: str = ""  # why this node cannot run it, though it should
    on_disk: bool = False  # whether the revision is one that the node has kept, and not rendered from a manifest
    kind: str = ""  # the node's values of the canary's labels
    topology: str = ""  # the node's value of the label that everynode/topology names


@dataclass(frozen=True)
class Settings:
    """Of a DaemonSet, what the plan and the report need beyond its revisions."""

    namespace: str
    name: str
    on_delete: bool = False  # updateStrategy OnDelete: outdated instances wait for a human
    max_unavailable: int | str = 1  # a number of nodes or "25%" of all eligible ones
    max_surge: int | str = 0  # the same; on so many the new instance starts beside the old one
    min_ready_seconds: int = 0
    node_selector: tuple[tuple[str, str], ...] = ()
    selector: Mapping[str, Any] = field(default_factory=dict, hash=False)  # as it was declared
    containers: tuple[tuple[str, str], ...] = ()  # the main ones: name and image
    policy: Policy = Policy()
    change_cause: str = ""  # the annotation kubernetes.io/change-cause
    removal: str = ""  # one of REMOVALS, if the declaration is that there be none, anywhere
    forced: bool = False  # revisions that failed are tried again
    turn: Turn | None = None  # when this node may replace it, where it applies to itself

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Settings:
        return cls(
            **{
                **data,
                "node_selector": tuple((key, value) for key, value in data["node_selector"]),
                "containers": tuple((name, image) for name, image in data["containers"]),
                "policy": Policy.from_dict(data["policy"]),
                "turn": Turn(**data["turn"]) if data["turn"] else None,
            }
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def deleted(self) -> bool:
        return bool(self.removal)

    @property
    def strategy(self) -> Strategy:
        """Availability is judged here, node by node, so minReadySeconds is not part of it; see _decided."""
        return Strategy(max_unavailable=self.max_unavailable, max_surge=self.max_surge)

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def names(self) -> dict[str, str]:
        """What an order to a node calls it by."""
        return {"namespace": self.namespace, "name": self.name}


@dataclass(frozen=True)
class Seen:
    """What is known of one node. Without an observation, ``state`` says why there is none."""

    observation: Observation | None = None
    state: str = NOT_SELECTED
    reason: str = "left out by --limit"
    selected: bool = True  # False: it was looked at although --limit leaves it out; nothing may be done there


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
    on_disk: bool = False  # see Wanted
    kind: str = ""
    topology: str = ""
    selected: bool = True  # whether something may be done here, by --limit
    runtime: str = ""  # what runs the instance that is there
    damage: str = ""  # what is not as it was put there
    updated: bool = False  # whether that is of the wanted revision, and no restart of it is due
    ready_for: float | None = None  # seconds
    failed: bool = False  # the wanted revision failed here once, and was not forced
    paused: str = ""  # who paused the rollout, and when
    passed: int = 0  # steps of the rollout of the wanted revision after which it need not pause any more
    opens: str = ""  # when the maintenance window opens, "" if it is open
    waits: str = ""  # why it is not this node's turn, "" if it is or if nobody takes turns
    # What the DaemonSet as a whole makes of it:
    number: int = 0  # Kubernetes' number of the wanted revision
    wave: int = 0  # which of the DaemonSet's steps it belongs to, for the phase SWITCH
    batch: int | None = None  # which of the plan's batches, for the phase SWITCH
    blocked: bool = False  # whether something that is wrong forbids the step it needs

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    @property
    def declared(self) -> Wanted:
        return Wanted(
            self.wanted,
            self.should_run,
            self.should_continue,
            self.ineligible,
            self.wanted_runtime,
            self.obstacle,
            self.on_disk,
            self.kind,
            self.topology,
        )

    def takes_part(self, phase: str) -> bool:
        if phase == STAGE:
            return self.step in STAGED_STEPS and not self.on_disk
        return self.phase == phase

    @property
    def half_made(self) -> bool:
        """Whether a run died here before its first revision was in place."""
        return self.present and self.revision is None and self.step != REMOVE

    @property
    def as_declared(self) -> bool:
        """Whether nothing is left to wish for here, by the manifest's own rules."""
        if not self.selected:
            return True
        if self.step != NONE or self.blocked:
            return False
        return self.state not in (UNREACHABLE, UNUSABLE, INFEASIBLE, HELD, FAILED)


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
        on_disk=wanted.on_disk,
        kind=wanted.kind,
        topology=wanted.topology,
        selected=seen.selected and (seen.observation is not None or seen.state != NOT_SELECTED),
        reason=seen.reason,
    )
    if seen.observation is None:
        return entry
    facts = seen.observation.facts
    instance = seen.observation.instance(settings.namespace, settings.name)
    if instance is None:
        entry = _judge_nothing_there(entry, settings)
    else:
        entry = _judge_instance(_looked_at(entry, settings, instance, facts.now), settings, instance, facts.now)
    if entry.step in UPDATES and settings.policy.window:
        entry = replace(entry, opens=closed_until(settings.policy.window, facts.now, facts.utc_offset))
    if settings.turn and entry.step in STOPPING:
        entry = replace(entry, waits=settings.turn.closed(facts.now))
    if entry.step != NONE and facts.veto:
        entry = replace(entry, state=HELD, step=NONE, reason=f"{VETO} says: {facts.veto} ({entry.reason})")
    return entry if entry.selected else replace(entry, step=NONE)


def _looked_at(entry: Entry, settings: Settings, instance: Instance, now: float) -> Entry:
    """With what is there, whatever should be."""
    entry = replace(
        entry,
        present=True,
        revision=instance.revision,
        runtime=instance.runtime,
        damage="; ".join(instance.damage),
    )
    return replace(
        entry,
        updated=instance.revision == entry.wanted and _same_runtime(entry) and not instance.restart_due,
        ready=instance.ready,
        ready_for=None if instance.ready_since is None else now - instance.ready_since,
        available=_is_available(instance, settings.min_ready_seconds, now),
        restarts=instance.restarts,
        created=instance.created,
        age=None if instance.created is None else now - instance.created,
        failed=not settings.forced and _failure(instance, entry.wanted) is not None,
        paused=instance.paused,
        passed=instance.passed if instance.revision == entry.wanted else 0,
    )


def _judge_nothing_there(entry: Entry, settings: Settings) -> Entry:
    if settings.deleted:
        return replace(entry, state=ABSENT, reason="")
    if not entry.should_run:
        return replace(entry, state=NOT_ELIGIBLE, reason=entry.ineligible)
    if entry.obstacle:
        return replace(entry, state=INFEASIBLE, reason=entry.obstacle)
    return replace(entry, state=MISSING, step=CREATE, reason="there is no instance on this node")


def _judge_instance(entry: Entry, settings: Settings, instance: Instance, now: float) -> Entry:
    if settings.deleted:
        return replace(entry, state=settings.removal, step=REMOVE, reason=REMOVALS[settings.removal])
    if not entry.should_run:
        step = NONE if entry.should_continue else REMOVE
        return replace(entry, state=MISSCHEDULED, step=step, reason=entry.ineligible)
    if entry.obstacle:
        return replace(entry, state=INFEASIBLE, reason=entry.obstacle)
    if instance.revision == entry.wanted and _same_runtime(entry):
        return _judge_current(entry, settings, instance, now)
    outdated = _judge_outdated(entry, settings, instance)
    failure = _failure(instance, entry.wanted)
    if failure is None or not entry.failed or outdated.step == NONE:
        return outdated
    when = datetime.fromtimestamp(failure.at, UTC)
    reason = (
        f"revision {entry.wanted} failed here on {when:%Y-%m-%d at %H:%M} UTC: {failure.reason.rstrip('.')}; "
        "it is not tried again until the manifest changes or -e daemonset_force=true"
    )
    return keeps_its_revision(replace(outdated, state=FAILED), reason)


def kept_back(entry: Entry, reason: str, blocked: bool = False) -> Entry:
    """Nothing is done, for that reason."""
    return replace(entry, step=NONE, phase="", reason=reason, blocked=blocked)


def keeps_its_revision(entry: Entry, reason: str, blocked: bool = False) -> Entry:
    """It is not updated, for that reason; damage to what it has is mended nevertheless."""
    if entry.revision is None or not entry.damage:
        return kept_back(entry, reason, blocked)
    return replace(entry, step=RESTORE, reason=f"{entry.damage}; it keeps its revision: {reason}", blocked=blocked)


def _judge_outdated(entry: Entry, settings: Settings, instance: Instance) -> Entry:
    if instance.revision is None:
        return replace(entry, state=DAMAGED, step=REPAIR, reason=entry.damage)
    # Stopped or damaged by hand counts as deleted: what is created then is of the current revision, under OnDelete too.
    if settings.on_delete and instance.intact:
        return replace(entry, state=OUTDATED, reason=WAITS_FOR_DELETION)
    reason = "it has an older revision"
    if not _same_runtime(entry):
        reason = f"it runs under {entry.runtime} and should run under {entry.wanted_runtime}"
    trouble = entry.damage or instance.reason
    if trouble:
        reason += f"; {trouble}"
    return replace(entry, state=OUTDATED, step=REPLACE, reason=reason)


def _judge_current(entry: Entry, settings: Settings, instance: Instance, now: float) -> Entry:
    if not instance.intact or not instance.running:
        reason = entry.damage or instance.reason or "it is not running"
        return replace(entry, state=DAMAGED, step=REPAIR, reason=reason)
    if instance.restart_due:  # Kubernetes makes a new revision of that, so the instance counts as outdated
        if settings.on_delete:
            return replace(entry, state=OUTDATED, reason=WAITS_FOR_DELETION)
        return replace(entry, state=OUTDATED, step=RESTART, reason="its restart was asked for")
    if not instance.ready:
        return replace(entry, state=UNREADY, step=WAIT, reason=instance.reason)
    if not entry.available:
        seconds = now - (instance.ready_since or now)
        reason = f"it has been ready for {seconds:.0f} of the {settings.min_ready_seconds} seconds of minReadySeconds"
        return replace(entry, state=UNREADY, step=WAIT, reason=reason)
    if not instance.confirmed:
        return replace(entry, state=UP_TO_DATE, step=WAIT, reason="its last switch was not confirmed")
    return replace(entry, state=UP_TO_DATE, reason="")


def _same_runtime(entry: Entry) -> bool:
    return entry.runtime == (entry.wanted_runtime or entry.runtime)


def _failure(instance: Instance, revision: str) -> Failure | None:
    """The latest failure of a revision on this node."""
    return next((failure for failure in reversed(instance.failed) if failure.revision == revision), None)


def _is_available(instance: Instance, min_ready_seconds: int, now: float) -> bool:
    """Ready for minReadySeconds (Kubernetes: IsPodAvailable)."""
    if not instance.ready or not min_ready_seconds:
        return instance.ready
    return instance.ready_since is not None and instance.ready_since + min_ready_seconds <= now
