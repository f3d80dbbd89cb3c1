# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of ``kubectl get daemonsets``, column for column, and the list of the nodes that need attention."""

from __future__ import annotations

from collections.abc import Sequence

from .plan import MISSCHEDULED, OUTDATED, Plan
from .status import first_created, status

MINIMUM_WIDTH = 6  # kubectl: tabwriter with minwidth 6 and padding 3
PADDING = 3
HEADER = ("NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE", "NODE SELECTOR", "AGE")

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
YEAR = 365 * DAY


def daemonset_table(plan: Plan) -> str:
    """As ``kubectl get ds`` prints it; with several namespaces as ``kubectl get ds -A``, NAMESPACE first."""
    with_namespace = len({daemonset.settings.namespace for daemonset in plan.daemonsets}) > 1
    rows = [HEADER if not with_namespace else ("NAMESPACE", *HEADER)]
    for daemonset in plan.daemonsets:
        settings, counted, oldest = daemonset.settings, status(daemonset), first_created(daemonset)
        cells = (
            settings.name,
            str(counted.desired),
            str(counted.current),
            str(counted.ready),
            str(counted.updated),
            str(counted.available),
            ",".join(f"{key}={value}" for key, value in sorted(settings.node_selector)) or "<none>",
            human_duration(oldest.age) if oldest is not None and oldest.age is not None else "<unknown>",
        )
        rows.append((settings.namespace, *cells) if with_namespace else cells)
    return aligned(rows)


def attention_list(plan: Plan) -> str:
    """One line for each node and DaemonSet where something is left to wish for or to know; "" if there is none."""
    rows = [
        (f"  {entry.node}", daemonset.settings.name, entry.state, entry.reason)
        for daemonset in plan.daemonsets
        for entry in daemonset.entries
        if not entry.as_declared or (entry.selected and entry.state in (OUTDATED, MISSCHEDULED))
    ]
    return "Nodes that need attention:\n" + aligned(rows) if rows else ""


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Cells padded as Go's tabwriter does; the last column is left ragged."""
    widths = [max(MINIMUM_WIDTH, max(map(len, column)) + PADDING) for column in zip(*rows, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return "\n".join("".join(line).rstrip() for line in lines)


def human_duration(seconds: float) -> str:
    """As k8s.io/apimachinery's duration.HumanDuration: two units at most, the coarser the longer."""
    if seconds < -1:
        return "<invalid>"
    whole = max(0, int(seconds))
    if whole < 2 * MINUTE:
        return f"{whole}s"
    if whole < 10 * MINUTE:
        return _two_units(whole, MINUTE, "m", 1, "s")
    if whole < 3 * HOUR:
        return f"{whole // MINUTE}m"
    if whole < 8 * HOUR:
        return _two_units(whole, HOUR, "h", MINUTE, "m")
    if whole < 2 * DAY:
        return f"{whole // HOUR}h"
    if whole < 8 * DAY:
        return _two_units(whole, DAY, "d", HOUR, "h")
    if whole < 2 * YEAR:
        return f"{whole // DAY}d"
    if whole < 8 * YEAR:
        return _two_units(whole, YEAR, "y", DAY, "d")
    return f"{whole // YEAR}y"


def _two_units(whole: int, unit: int, letter: str, smaller: int, smaller_letter: str) -> str:
    rest = whole % unit // smaller
    return f"{whole // unit}{letter}{rest}{smaller_letter}" if rest else f"{whole // unit}{letter}"
