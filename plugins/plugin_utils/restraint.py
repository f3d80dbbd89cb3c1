# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a rollout from going on: each reason, and the nodes that it concerns.

Pure. An update that is kept back for what the manifest or the operator asked for is as declared; one that is kept back
because something is wrong is ``blocked``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .int_or_percent import scaled_value
from .judgement import (
    NONE,
    OUTDATED,
    RESTORE,
    SWITCH,
    UNREACHABLE,
    UPDATES,
    Entry,
    Settings,
    keeps_its_revision,
    kept_back,
)
from .policy import CONTINUE
from .waves import Wave
from .words import names, nodes_of


def partitioned(settings: Settings, entries: Sequence[Entry]) -> list[Entry]:
    """The first eligible nodes keep their revision, broken ones as well (StatefulSet's rollingUpdate.partition)."""
    kept = scaled_value(settings.policy.partition, _eligible(entries))
    if not kept:
        return list(entries)
    first = {entry.node for entry in [entry for entry in entries if entry.should_run][:kept]}
    reason = f"everynode/partition: {settings.policy.partition} keeps its revision"
    return [
        keeps_its_revision(entry, reason) if entry.node in first and _is_update(entry) else entry for entry in entries
    ]


def halted_or_paused(settings: Settings, entries: Sequence[Entry]) -> list[Entry]:
    """What failed before stops broken instances from being replaced too; all else leaves them to be, as Kubernetes."""
    halted, paused = _halted(settings, entries), _paused(settings, entries)

    def judged(entry: Entry) -> Entry:
        if halted and _is_update(entry):
            return keeps_its_revision(entry, halted, blocked=True)
        if not _is_update(entry) or entry.phase != SWITCH:
            return entry
        if paused:
            return keeps_its_revision(entry, paused)
        if entry.opens:
            return keeps_its_revision(entry, f"it waits for its maintenance window, which opens {entry.opens}")
        return entry

    return [judged(entry) for entry in entries]


def in_turn(settings: Settings, entries: Sequence[Entry]) -> list[Entry]:
    """Where nodes apply to themselves, what serves is touched in turns only, be it to repair it."""
    wrong = bool(settings.turn and settings.turn.obstacle)
    return [
        kept_back(entry, entry.waits, blocked=wrong) if entry.waits and entry.phase == SWITCH else entry
        for entry in entries
    ]


def _halted(settings: Settings, entries: Iterable[Entry]) -> str:
    """Why nothing is updated anywhere: what the nodes remember of failures of the wanted revision; "" if nothing."""
    eligible = [entry for entry in entries if entry.should_run]
    failed = [entry for entry in eligible if entry.failed]
    allowed = tolerated_failures(settings, len(eligible))
    if len(failed) <= allowed:
        return ""
    where = names([entry.node for entry in failed])
    excess = f", which is more than everynode/max-failures: {settings.policy.max_failures}" if allowed else ""
    return (
        f"the rollout is halted: revision {failed[0].wanted} failed on {where}{excess}; "
        "change the manifest, or try it again with -e daemonset_force=true"
    )


def tolerated_failures(settings: Settings, eligible: int) -> int:
    """How many failed nodes do not halt the rollout."""
    policy = settings.policy
    return scaled_value(policy.max_failures, eligible) if policy.on_failure == CONTINUE else 0


def _paused(settings: Settings, entries: Iterable[Entry]) -> str:
    if settings.policy.paused:
        return "the rollout is paused by everynode/paused in the manifest"
    who = next((entry.paused for entry in entries if entry.paused), "")
    return f"the rollout is paused ({who}) until `resume`" if who else ""


def is_paused(settings: Settings, waves: Sequence[Wave], entries: Sequence[Entry]) -> bool:
    """Whether nodes are outdated because the manifest, a step or a person wants the rollout to wait."""
    pause = _next_pause(waves)
    outdated = [entry for entry in entries if entry.should_run and entry.state == OUTDATED]
    return bool(outdated and _paused(settings, entries)) or any(entry.wave > pause for entry in outdated)


def _next_pause(waves: Sequence[Wave]) -> int:
    return next((index for index, wave in enumerate(waves) if wave.pause), len(waves))


def until_resume(waves: Sequence[Wave], entries: Sequence[Entry]) -> list[Entry]:
    """After a wave with a pause that nobody passed yet, nothing is updated."""
    index = _next_pause(waves)
    reason = f"the rollout pauses after {waves[index].title} until `resume`" if index < len(waves) else ""

    def waits(entry: Entry) -> bool:
        return entry.phase == SWITCH and entry.wave > index and _is_update(entry)

    return [keeps_its_revision(entry, reason) if waits(entry) else entry for entry in entries]


def within_limits(settings: Settings, entries: Sequence[Entry], budget: int) -> list[Entry]:
    """With too many unreachable nodes nothing is updated; nothing that serves is touched without any budget left, nor
    beside an unavailable node of another topology value."""
    too_many = _too_many_unreachable(settings, entries)
    unavailable = left_unavailable(settings, entries)
    where = names([entry.node for entry in unavailable])
    topologies = {entry.topology for entry in unavailable}

    def reason(entry: Entry) -> str:
        if entry.phase != SWITCH:
            return ""
        if too_many and _is_update(entry):
            return too_many
        if len(unavailable) >= budget:
            return f"maxUnavailable, which is {nodes_of(budget)} here, is used up by {where}"
        if topologies - {entry.topology}:
            return f"everynode/topology: {settings.policy.topology} is another one where nodes are unavailable: {where}"
        return ""

    reasons = [reason(entry) for entry in entries]
    return [kept_back(entry, why, blocked=True) if why else entry for entry, why in zip(entries, reasons, strict=True)]


def _too_many_unreachable(settings: Settings, entries: Iterable[Entry]) -> str:
    eligible = [entry for entry in entries if entry.should_run]
    unreachable = sum(entry.state == UNREACHABLE for entry in eligible)
    limit = settings.policy.max_unreachable
    if unreachable <= scaled_value(limit, len(eligible)):
        return ""
    return f"{nodes_of(unreachable)} cannot be reached, which is more than everynode/max-unreachable: {limit}"


def left_unavailable(settings: Settings, entries: Iterable[Entry]) -> list[Entry]:
    """Those that use up the budget, because nobody waits for them to become available.

    --limit leaves them out, or the wanted revision failed there, or they are kept back. All others are made available
    before the first batch begins, or the rollout halts. What cannot be reached is counted apart, and so is what an
    operator holds; under OnDelete it is for humans to replace things. maxSurge makes none unavailable, so those that
    are do not count.
    """
    if settings.strategy.surges:
        return []
    return [
        entry
        for entry in entries
        if entry.should_run
        and entry.present
        and not entry.available
        and (
            not entry.selected
            or (entry.failed and entry.step != RESTORE)
            or (entry.step == NONE and entry.state == OUTDATED and not settings.on_delete)
        )
    ]


def _is_update(entry: Entry) -> bool:
    return entry.step in UPDATES


def _eligible(entries: Iterable[Entry]) -> int:
    return sum(entry.should_run for entry in entries)
