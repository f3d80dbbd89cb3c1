# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the batches of this run began, and since when their steps bake; in the run's folder, beside run.py's."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from ansible import constants as C

from ..plan import SWITCH, Plan
from ..progress import Times, Troubles, due, moments, to_watch
from . import leases, run

BEGAN, BAKING = "began", "baking"


def begin(batch: int) -> Times:
    """This batch begins now."""
    _mark(BEGAN, batch)
    return times()


def current() -> int | None:
    """The batch that began last; None before the first one."""
    return max(_marks(BEGAN), default=None)


def baked_for(batch: int | None) -> float:
    """Seconds since this was asked for the first time: the batch has ended, and its step bakes."""
    return leases.clock() - _mark(BAKING, -1 if batch is None else batch)


def times() -> Times:
    return Times(_marks(BEGAN), _marks(BAKING))


def batch_of(plan: Plan, nodes: list[str]) -> int | None:
    """Which of the plan's batches these nodes of a play's batch are."""
    return next((index for index, batch in enumerate(plan.batches) if set(batch) & set(nodes)), None)


def looks(plan: Plan) -> list[dict[str, Any]]:
    """What is to be looked at, and when, while the step bakes that the current batch ended: node, moment, and the looks
    of the same time together.
    """
    batch = current()
    if batch is None:
        return []
    nodes = to_watch(plan, batch, troubles(plan))
    seconds = max(due(plan, batch).values(), default=0.0)
    return [{"node": node, "moment": at} for at in moments(seconds, len(nodes)) for node in nodes]


def settled(plan: Plan) -> list[str]:
    """The nodes where something that an earlier run updated still bakes, before the first batch."""
    return list(to_watch(plan, None, troubles(plan))) if current() is None else []


def troubles(plan: Plan) -> Troubles:
    problems = run.problems()
    halted = {
        daemonset.settings.key
        for daemonset in plan.daemonsets
        if run.in_the_way(daemonset.settings.key, SWITCH, "", problems, daemonset.tolerated_failures)
    }
    return Troubles(
        failed={(problem.node, problem.daemonset) for problem in problems if problem.halts},
        missed={(problem.node, problem.daemonset) for problem in problems},
        halted=halted | leases.refused().keys(),
    )


def _mark(what: str, batch: int) -> float:
    """The time that was written first; several workers may do this at once."""
    path = _folder() / f"{what}.{batch}"
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    if not path.exists():
        beside.write_text(repr(leases.clock()), encoding="ascii")
        with contextlib.suppress(FileExistsError):
            os.link(beside, path)
        beside.unlink()
    return float(path.read_text(encoding="ascii"))


def _marks(what: str) -> dict[int, float]:
    found = {}
    for path in _folder().glob(f"{what}.*"):
        number = path.name.split(".")[1:]
        if len(number) == 1:
            found[int(number[0])] = float(path.read_text(encoding="ascii"))
    return found


def _folder() -> Path:
    return Path(C.DEFAULT_LOCAL_TMP, "everynode")
