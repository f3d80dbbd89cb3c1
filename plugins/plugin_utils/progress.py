# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a rollout has come, in one line: ``batch 2 of 5: web3, web4 · 4 of 10 updated · 0 failed · about 40 s left``.

And whether what was updated stays available while a step bakes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from .judgement import CREATE, SWITCH, Entry, Settings
from .plan import DaemonSetPlan, Plan
from .words import duration, names

Place = tuple[str, str]  # a node, and the NAMESPACE/NAME of a DaemonSet
LISTED = 6  # so many nodes of a batch are named
SLACK_SECONDS = 2.0  # what a node's clock and its answer may be off
LOOKS, LOOKS_AT_ALL, LOOK_SECONDS = 10, 200, 5  # at each node while it bakes; at all of them; seconds between two


@dataclass(frozen=True)
class Times:
    """Seconds of one clock, by the batch's place in the plan."""

    began: Mapping[int, float] = field(default_factory=dict)
    baking: Mapping[int, float] = field(default_factory=dict)  # since when, for batches that a step ended with


@dataclass(frozen=True)
class Troubles:
    """What went wrong so far."""

    failed: Collection[Place] = ()
    missed: Collection[Place] = ()  # the failed ones, and those that were not reached
    halted: Collection[str] = ()  # DaemonSets


def batch_lines(plan: Plan, batch: int, times: Times, troubles: Troubles) -> list[str]:
    """What begins now: a line for each DaemonSet that has work in this batch and goes on."""
    lines = []
    left = seconds_left(plan, batch, times)
    for daemonset in plan.daemonsets:
        key = daemonset.settings.key
        nodes = [entry.node for entry in daemonset.entries if entry.batch == batch and entry.phase == SWITCH]
        if not nodes or key in troubles.halted:
            continue
        parts = [
            f"batch {batch + 1} of {len(plan.batches)}: {names(nodes, LISTED)}",
            f"{len(_updated_before(daemonset, batch, troubles))} of {daemonset.desired} updated",
            f"{sum(of == key for _node, of in troubles.failed)} failed",
        ]
        if left is not None:
            parts.append(f"about {about(left)} left")
        title = f"{daemonset.settings.name}: " if len(plan.daemonsets) > 1 else ""
        lines.append(title + " · ".join(parts))
    return lines


def _updated_before(daemonset: DaemonSetPlan, batch: int, troubles: Troubles) -> list[Entry]:
    key = daemonset.settings.key
    return [
        entry
        for entry in daemonset.entries
        if entry.should_run and _was_due_before(entry, batch) and (entry.node, key) not in troubles.missed
    ]


def _was_due_before(entry: Entry, batch: int) -> bool:
    if entry.phase == SWITCH:
        return entry.batch is not None and entry.batch < batch
    return entry.phase == CREATE or entry.updated


def seconds_left(plan: Plan, batch: int, times: Times) -> float | None:
    """As the batches before took; None if there was none. What is to bake is known."""
    took = [
        min(times.baking.get(index, times.began[index + 1]), times.began[index + 1]) - began
        for index, began in times.began.items()
        if index + 1 in times.began
    ]
    if not took:
        return None
    baking = sum(max(due(plan, index).values(), default=0.0) for index in range(batch, len(plan.batches)))
    return sum(took) / len(took) * (len(plan.batches) - batch) + baking


def about(seconds: float) -> str:
    """Nobody can tell to the second."""
    if seconds < 20:
        return f"{max(1, round(seconds))} s"
    if seconds < 95:
        return f"{round(seconds / 5) * 5} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


# --------------------------------------------------------------------------------------------------------------- baking


def due(plan: Plan, batch: int | None) -> dict[str, float]:
    """For how many seconds what is updated of each DaemonSet has to stay available now.

    ``batch``: the one that has ended; None before the first one, where an earlier run may have been killed.
    """
    if batch is None:
        found = {one.settings.key: one.bake_left for one in plan.daemonsets if _switches(one)}
    else:
        found = {one.daemonset: float(one.bake) for one in plan.after[batch] if not one.pause}
    return {key: seconds for key, seconds in found.items() if seconds > 0}


def _switches(daemonset: DaemonSetPlan) -> bool:
    return any(entry.phase == SWITCH for entry in daemonset.entries)


def to_watch(plan: Plan, batch: int | None, troubles: Troubles) -> dict[str, list[str]]:
    """By node, the DaemonSets that bake there: those of the latest batch first, for they are the likeliest to fail."""
    ended = -1 if batch is None else batch
    baking = due(plan, batch).keys() - set(troubles.halted)
    found: dict[str, list[str]] = {}
    for daemonset in plan.daemonsets:
        key = daemonset.settings.key
        updated = _updated_before(daemonset, ended + 1, troubles) if key in baking else []
        for entry in updated:
            if entry.selected:
                found.setdefault(entry.node, []).append(key)
    latest = set(plan.batches[ended]) if ended >= 0 else set()
    return dict(sorted(found.items(), key=lambda one: one[0] not in latest))


def moments(seconds: float, nodes: int) -> list[float]:
    """When to look at each of so many nodes, in seconds from now: often, but for ever so many of them not too often."""
    count = max(1, min(LOOKS, LOOKS_AT_ALL // max(1, nodes), int(seconds // LOOK_SECONDS)))
    return [seconds * turn / count for turn in range(1, count + 1)]


def baking_line(baking: Mapping[str, float], watched: float, several: bool) -> str:
    """``baking``: as `due`; ``watched``: for how long they have been baking."""
    longest = max(baking.values())
    title = f"{', '.join(key.split('/')[1] for key in baking)}: " if several else ""
    left = about(max(0.0, longest - watched))
    return f"{title}baking for {duration(longest)}: what is updated has to stay available · about {left} left"


def why_not_available(settings: Settings, entry: Entry, watched: float) -> str:
    """What is wrong with an instance that should have been available for ``watched`` seconds at least, or "".

    ``entry`` says what is there now. It may have failed and come back between two looks.
    """
    if not entry.present or not entry.updated:
        return f"it does not have revision {entry.wanted} any more"
    if not entry.ready:
        return entry.reason or "it is not ready any more"
    if entry.ready_for is not None and entry.ready_for + SLACK_SECONDS < watched:
        return f"it was not ready all the time, but only for the last {entry.ready_for:.0f} s"
    return ""
