# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan in words, for the terminal: a few lines, also for a thousand nodes."""

from __future__ import annotations

from .judgement import MISSCHEDULED, NONE, OUTDATED, SWITCH, UPDATES
from .plan import DaemonSetPlan, Plan
from .waves import CANARY, Completion
from .words import duration, names, nodes_of

LISTED_STEPS = 3
FIRST_BATCHES = 3  # so many are listed, and all that something follows on, and the last one


def described(plan: Plan) -> list[str]:
    """For each DaemonSet what is done and what is left, and why; then the batches."""
    lines = []
    for daemonset in plan.daemonsets:
        lines.append(_summary(daemonset))
        lines += _cause(daemonset)
        groups: dict[tuple[str, str], list[str]] = {}
        for entry in daemonset.entries:
            if not entry.as_declared or (entry.selected and entry.state in (OUTDATED, MISSCHEDULED)):
                verb = entry.state if entry.step == NONE else entry.step
                if entry.phase == SWITCH:
                    verb = f"{entry.step}, at most {daemonset.room} at a time"
                groups.setdefault((verb, entry.reason), []).append(entry.node)
        lines += [f"  {verb}: {names(nodes)}: {reason}" for (verb, reason), nodes in groups.items()]
        if daemonset.bake_left:
            lines.append(f"  what is updated has to stay available for another {duration(daemonset.bake_left)} first")
    return lines + _batches(plan)


def _summary(daemonset: DaemonSetPlan) -> str:
    settings, entries = daemonset.settings, daemonset.entries
    left_out = sum(not entry.selected for entry in entries)
    counted = f" ({left_out} left out by --limit)" if left_out else ""
    if settings.deleted:
        present = sum(entry.present for entry in entries)
        return f"{settings.key}: to be removed from {nodes_of(present)}{counted}"
    eligible = f"{settings.key}: {daemonset.desired} of {nodes_of(len(entries))} should run it{counted}"
    if all(entry.as_declared for entry in entries):
        return f"{eligible}; nothing to do"
    return eligible


def _cause(daemonset: DaemonSetPlan) -> list[str]:
    """What the manifest says of the revision that is rolled out (kubernetes.io/change-cause)."""
    cause = daemonset.settings.change_cause
    number = max((entry.number for entry in daemonset.entries if entry.step in UPDATES), default=0)
    return [f"  revision {number}: {cause}"] if cause and number else []


def _batches(plan: Plan) -> list[str]:
    """``batch 1 of 4 (canary): web1, db1; then it bakes for 10m``; nothing if all is in one batch and then done."""
    count = len(plan.batches)
    if count < 2 and not any(map(_follows, plan.after)):
        return []
    titles = _titles(plan)
    lines = []
    passed_over: list[int] = []
    for index, (batch, completed) in enumerate(zip(plan.batches, plan.after, strict=True)):
        follows = _follows(completed)
        if FIRST_BATCHES <= index < count - 1 and not follows:
            passed_over.append(index)
            continue
        lines += _summed_up(plan, passed_over)
        passed_over = []
        title = f" ({titles[index]})" if titles[index] else ""
        lines.append(f"batch {index + 1} of {count}{title}: {names(batch)}{follows}")
    return lines


def _summed_up(plan: Plan, indexes: list[int]) -> list[str]:
    if not indexes:
        return []
    which = f"batch {indexes[0] + 1}" if len(indexes) == 1 else f"batches {indexes[0] + 1} to {indexes[-1] + 1}"
    return [f"{which}: {nodes_of(sum(len(plan.batches[index]) for index in indexes))}"]


def _titles(plan: Plan) -> list[str]:
    """For each batch the steps that it belongs to, where a DaemonSet has any."""
    titles: list[dict[str, None]] = [{} for _batch in plan.batches]
    several = len(plan.daemonsets) > 1
    for daemonset in plan.daemonsets:
        if len(daemonset.steps) > 1:
            for entry in daemonset.entries:
                if entry.batch is not None:
                    wave = daemonset.steps[entry.wave]
                    title = wave.name if wave.name == CANARY else wave.title
                    titles[entry.batch][f"{title} of {daemonset.settings.name}" if several else title] = None
    return [names(list(title), LISTED_STEPS) for title in titles]


def _follows(completed: tuple[Completion, ...]) -> str:
    """A pause is for as long as somebody likes, so nothing needs to be said of baking beside it."""
    paused = [one.daemonset for one in completed if one.pause]
    if paused:
        return f"; then {' and '.join(dict.fromkeys(paused))} pauses until `resume`"
    seconds = max((one.bake for one in completed), default=0)
    return f"; then it bakes for {duration(seconds)}" if seconds else ""
