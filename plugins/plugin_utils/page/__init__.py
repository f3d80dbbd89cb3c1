# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands, as one HTML page that needs nothing beside it: no network, no other file.

What comes from the fleet is data to the page's script, or escaped text. The browser is told to run nothing else than
that script, whatever a log line may hold.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from ...module_utils.observation import Instance
from .. import judgement, restraint
from ..plan import DaemonSetPlan, Entry, Plan
from ..status import Details, first_created, needs_attention, status
from ..table import human_duration, selector_text
from ..words import nodes_of

HERE = Path(__file__).parent
LISTED = 50  # so many nodes are named where the script does not run
ROLLOUTS = 6  # so many of the latest are drawn
LOG_BYTES = 400_000  # what log lines and events may add; where all is well there are none beyond it

GOOD, GOING, WAITING, UNKNOWN, BAD, NONE = "good", "going", "waiting", "unknown", "bad", "none"
# The colour and the sign of each state, the worst first: one can be told from the other without the colour.
LOOKS = {
    judgement.FAILED: (BAD, "✕"),
    judgement.DAMAGED: (BAD, "!"),
    judgement.MISSING: (BAD, "M"),
    judgement.MISSCHEDULED: (BAD, "X"),
    judgement.ORPHAN: (BAD, "O"),
    judgement.INFEASIBLE: (BAD, "I"),
    judgement.UNREACHABLE: (UNKNOWN, "?"),
    judgement.UNUSABLE: (UNKNOWN, "U"),
    judgement.UNREADY: (WAITING, "…"),
    judgement.HELD: (WAITING, "H"),
    judgement.OUTDATED: (GOING, "↑"),
    judgement.DELETING: (GOING, "−"),
    judgement.UP_TO_DATE: (GOOD, "✓"),
    judgement.NOT_SELECTED: (NONE, "·"),
    judgement.NOT_ELIGIBLE: (NONE, "–"),
    judgement.ABSENT: (NONE, "–"),
}
Instances = Mapping[str, Mapping[str, Instance]]  # by DaemonSet, then by node


def page(plan: Plan, instances: Instances, details: Details, now: float, halted: Collection[str] = ()) -> str:
    """``now``: seconds since the epoch, by the control node's clock. ``halted``: as for `metrics`."""
    script, style = _part("page.js"), _part("page.css")
    needy = _nodes_that_need_attention(plan)
    mood, headline = _headline(plan, needy)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(_part("page.html.j2")).render(
        headline=headline,
        mood=mood,
        mood_sign="✓" if mood == GOOD else "!",
        when=datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        sets=[_row(daemonset, daemonset.settings.key in halted) for daemonset in plan.daemonsets],
        attention=[f"{node}: {first.state}: {first.reason}" for node, (first, *_more) in list(needy.items())[:LISTED]],
        data=_embedded(_Data(plan, instances, details).as_dict(now)),
        script=script,
        script_hash=_hash(script),
        style=style,
        style_hash=_hash(style),
    )


def _part(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _embedded(data: Mapping[str, Any]) -> str:
    """JSON that no string in it can end the element of."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _nodes_that_need_attention(plan: Plan) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for daemonset in plan.daemonsets:
        for entry in daemonset.entries:
            if needs_attention(entry):
                found.setdefault(entry.node, []).append(entry)
    return found


def _headline(plan: Plan, needy: Mapping[str, list[Entry]]) -> tuple[str, str]:
    nodes = {entry.node for one in plan.daemonsets for entry in one.entries if entry.selected}
    if not needy:
        return GOOD, f"{nodes_of(len(nodes))}, all as declared"
    moods = {LOOKS[entry.state][0] for entries in needy.values() for entry in entries}
    worst = next((mood for mood in (BAD, UNKNOWN, WAITING) if mood in moods), GOING)
    verb = "needs" if len(needy) == 1 else "need"
    return worst, f"{len(needy)} of {nodes_of(len(nodes))} {verb} attention"


def _row(daemonset: DaemonSetPlan, halted: bool) -> dict[str, Any]:
    counted, oldest = status(daemonset), first_created(daemonset)
    numbers = (counted.desired, counted.current, counted.ready, counted.updated, counted.available)
    return {
        "namespace": daemonset.settings.namespace,
        "name": daemonset.settings.name,
        "numbers": [{"value": number, "short": number < counted.desired} for number in numbers],
        "rollout": _rollout(daemonset, counted.updated, halted),
        "selector": selector_text(daemonset.settings),
        "age": "" if oldest is None else human_duration(oldest.age or 0),
    }


def _rollout(daemonset: DaemonSetPlan, updated: int, halted: bool) -> dict[str, str] | None:
    """Nothing, if there is nothing to say: all that should is updated."""
    if halted or any(entry.blocked or entry.failed for entry in daemonset.entries):
        return {"mood": BAD, "text": "halted"}
    if restraint.is_paused(daemonset.settings, daemonset.steps, daemonset.entries):
        return {"mood": WAITING, "text": "paused"}
    if any(entry.should_run and entry.present and not entry.updated for entry in daemonset.entries):
        return {"mood": GOING, "text": f"{updated} of {daemonset.desired} updated"}
    return None


@dataclass
class _Rollout:
    cause: str = ""
    revisions: dict[str, None] = field(default_factory=dict)
    at: list[tuple[int, int]] = field(default_factory=list)  # a node's place, and when
    failed: list[tuple[int, int]] = field(default_factory=list)


class _Data:
    """For the script: lists without names, and every text once, for there may be thousands of nodes."""

    def __init__(self, plan: Plan, instances: Instances, details: Details) -> None:
        self._plan = plan
        self._instances = instances
        self._details = details
        self._words: dict[str, int] = {}
        self._room = LOG_BYTES

    def as_dict(self, now: float) -> dict[str, Any]:
        daemonsets = self._plan.daemonsets
        return {
            "at": round(now),
            "nodes": self._plan.nodes,
            "sets": [self._set(daemonset) for daemonset in daemonsets],
            "states": LOOKS,
            "words": list(self._words),  # the last one to be asked: by now all are known
        }

    def _word(self, text: str) -> int:
        return self._words.setdefault(text, len(self._words))

    def _set(self, daemonset: DaemonSetPlan) -> dict[str, Any]:
        places = {entry.node: place for place, entry in enumerate(daemonset.entries)}
        found = self._instances.get(daemonset.settings.key, {})
        return {
            "namespace": daemonset.settings.namespace,
            "name": daemonset.settings.name,
            "entries": [self._entry(entry) for entry in daemonset.entries],
            "history": self._history(daemonset, found, places),
            "failures": [
                (places[node], round(failure.at), self._word(failure.revision), self._word(failure.reason))
                for node, instance in found.items()
                for failure in instance.failed
            ],
            "details": self._chosen_details(daemonset, places),
        }

    def _entry(self, entry: Entry) -> tuple[int, ...]:
        flags = (
            entry.should_run,
            entry.present,
            entry.ready,
            entry.available,
            needs_attention(entry),
            entry.selected,
        )
        return (
            self._word(entry.state),
            self._word(entry.reason),
            self._word(entry.revision or ""),
            self._word(entry.wanted),
            sum(flag << place for place, flag in enumerate(flags)),
            entry.restarts,
            self._word(entry.runtime),
            entry.number,
            round(entry.created or 0),
        )

    def _history(
        self, daemonset: DaemonSetPlan, found: Mapping[str, Instance], places: Mapping[str, int]
    ) -> list[dict[str, Any]]:
        """The latest rollouts, the newest first: when which node came to the revision, or failed to."""
        rollouts: dict[int, _Rollout] = {}
        numbers: dict[str, int] = {}  # by revision, the latest one
        for node, instance in found.items():
            for past in instance.history:
                rollout = rollouts.setdefault(past.number, _Rollout())
                rollout.cause = rollout.cause or past.cause
                rollout.revisions[past.revision] = None
                rollout.at.append((places[node], round(past.at)))
                numbers[past.revision] = max(past.number, numbers.get(past.revision, 0))
        for entry in daemonset.entries:  # one that failed wherever it was tried is in no node's history
            numbers.setdefault(entry.wanted, entry.number)
        for node, instance in found.items():
            for failure in instance.failed:
                if failure.revision in numbers:
                    rollout = rollouts.setdefault(numbers[failure.revision], _Rollout())
                    rollout.revisions[failure.revision] = None
                    rollout.failed.append((places[node], round(failure.at)))
        return [
            {
                "number": number,
                "cause": rollouts[number].cause,
                "revisions": [self._word(revision) for revision in rollouts[number].revisions],
                "at": rollouts[number].at,
                "failed": rollouts[number].failed,
            }
            for number in sorted(rollouts, reverse=True)[:ROLLOUTS]
        ]

    def _chosen_details(self, daemonset: DaemonSetPlan, places: Mapping[str, int]) -> dict[int, Mapping[str, Any]]:
        """Those of the nodes that need attention first, as many as there is room for."""
        chosen = {}
        for entry in sorted(daemonset.entries, key=lambda entry: not needs_attention(entry)):
            detail = self._details.get(entry.node, {}).get(daemonset.settings.key)
            if detail is None:
                continue
            cost = len(json.dumps(detail))
            if cost <= self._room:
                self._room -= cost
                chosen[places[entry.node]] = detail
        return chosen
