# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that apply to themselves and cannot ask one another: they take turns by the clock, so that the budget is kept.

Pure. The eligible nodes are cut into groups of as many as may be unavailable at once, and time into slots; each slot is
one group's. A node touches what serves only in a slot of its group, and only while enough of it is left to finish in,
and to go back in if the new revision fails. What every node has to agree on for that is the inventory, the budget and
the length of a slot: whoever learns of another declaration waits until all others can have learned of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from .policy import ALL, HALT, ROLLBACK, Policy
from .words import duration

SLOT_SECONDS = 600
# Of a slot, at its begin and at its end: nobody touches anything then, so that so much clocks may be apart.
MARGIN = 1 / 20
# Slots for which a new declaration is only looked at: in the first of them everybody learns of it (they run at least
# once a slot), in the second ends what was begun under the old one.
SETTLING_SLOTS = 2


@dataclass(frozen=True)
class Turn:
    """When one node may replace its instance of one DaemonSet."""

    group: int
    groups: int
    slot: int  # seconds
    need: float  # seconds that a replacement takes at most, going back included
    members: int = 1  # how many nodes share the budget
    since: float = 0.0  # when this node learned of what is declared now; seconds since the epoch
    obstacle: str = ""  # why it never may

    def closed(self, now: float) -> str:
        """Why nothing may be replaced at this moment, "" if it may; in seconds since the epoch, by the node's clock."""
        if self.obstacle:
            return self.obstacle
        if self.groups == 1:
            return ""  # all may be unavailable at once
        settled = self.since + SETTLING_SLOTS * self.slot
        begins, ends = self._next(max(now, settled))
        if now >= settled and begins <= now <= ends:
            return ""
        when = datetime.fromtimestamp(max(begins, settled), UTC)
        whose = f"group {self.group + 1} of {self.groups}" if now >= settled else "what is declared is new here"
        return f"it waits for its turn ({whose}), which is on {when:%Y-%m-%d at %H:%M:%S} UTC"

    def _next(self, now: float) -> tuple[float, float]:
        """From when until when a replacement may begin: the first such time that is not over yet."""
        round_seconds = self.slot * self.groups
        margin = self.slot * MARGIN
        begin = now // round_seconds * round_seconds + self.slot * self.group
        begins, ends = begin + margin, begin + self.slot - margin - self.need
        return (begins, ends) if now <= ends else (begins + round_seconds, ends + round_seconds)


def turn_of(
    node: str, members: Iterable[str], budget: int, policy: Policy, *, slot: int, need: float, since: float
) -> Turn:
    """``members``: the nodes that share the budget; in whatever order, for inventories may list them differently."""
    ordered = sorted(members)
    budget = max(1, budget)
    place = ordered.index(node) if node in ordered else 0
    turn = Turn(place // budget, max(1, -(-len(ordered) // budget)), slot, need, len(ordered), since)
    return Turn(**{**vars(turn), "obstacle": _obstacle(turn, policy)})


def _obstacle(turn: Turn, policy: Policy) -> str:
    unable = _needs_all_nodes(policy)
    if unable:
        return f"with daemonset_pull nothing is replaced here: {unable} needs a run that sees all nodes"
    shortest = turn.need / (1 - 2 * MARGIN)
    if turn.groups > 1 and shortest >= turn.slot:
        return (
            f"daemonset_pull_slot is {duration(turn.slot)}, and a replacement that fails may take "
            f"{duration(turn.need)} until the former revision serves again: give it more than {duration(shortest)}"
        )
    return ""


def _needs_all_nodes(policy: Policy) -> str:
    """The first annotation that a node on its own cannot follow. A node that fails always goes back here."""
    unable = {
        f"everynode/on-failure: {policy.on_failure}": policy.on_failure in (HALT, ROLLBACK),
        "everynode/max-failures": policy.max_failures != ALL,
        "everynode/max-unreachable": policy.max_unreachable != ALL,
        "everynode/canary": policy.canary is not None,
        "everynode/steps": bool(policy.steps),
        "everynode/topology": bool(policy.topology),
        "everynode/partition": policy.partition not in (0, "0%"),
    }
    return next((name for name, found in unable.items() if found), "")
