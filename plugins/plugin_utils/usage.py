# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of ``kubectl top pods``, with the limit and the restarts, and all of a DaemonSet together."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .plan import DaemonSetPlan, Plan
from .status import Details, unasked
from .table import Record, fitted, in_namespaces

HEADER = ("NODE", "NAME", "CPU(cores)", "MEMORY(bytes)", "%LIMIT", "RESTARTS")
UNKNOWN = "-"
ALL = "(all)"


@dataclass(frozen=True)
class _Row:
    node: str
    name: str
    cores: float | None
    memory: int | None
    percent: int | None  # of the memory that the container nearest to its limit may have
    restarts: int

    def cells(self) -> tuple[str, ...]:
        return (
            self.node,
            self.name,
            UNKNOWN if self.cores is None else f"{math.ceil(self.cores * 1000 - 0.001)}m",
            UNKNOWN if self.memory is None else _bytes(self.memory),
            "" if self.percent is None else f"{self.percent}%",
            str(self.restarts),
        )


ORDERS: dict[str, Callable[[_Row], Any]] = {
    "node": lambda row: 0,  # as in the inventory
    "cpu": lambda row: -(row.cores or 0.0),
    "memory": lambda row: -(row.memory or 0),
    "restarts": lambda row: -row.restarts,
}


def usage_table(plan: Plan, details: Details, order: str = "node", width: int | None = None) -> str:
    """A line for each instance, those of a DaemonSet under each other, and one for all of them if there are several."""
    records: list[Record] = []
    for daemonset in plan.daemonsets:
        found = sorted(_rows(daemonset, details), key=ORDERS[order])
        for row in [*found, *([_total(found)] if len(found) > 1 else [])]:
            records.append((daemonset.settings.namespace, row.cells()))
    table = fitted(in_namespaces(plan, HEADER, records), width) if records else "There are no instances."
    return "\n".join([table, *unasked(plan)])


def _rows(daemonset: DaemonSetPlan, details: Details) -> list[_Row]:
    key, name = daemonset.settings.key, daemonset.settings.name
    rows = []
    for entry in daemonset.entries:
        if entry.present:
            usage = (details.get(entry.node, {}).get(key) or {}).get("usage") or {}
            memory, percent = usage.get("memoryBytes"), usage.get("memoryLimitPercent")
            rows.append(_Row(entry.node, name, usage.get("cpuCores"), memory, percent, entry.restarts))
    return rows


def _total(rows: list[_Row]) -> _Row:
    """Of those that are known."""
    return _Row(
        ALL,
        rows[0].name,
        sum(row.cores or 0.0 for row in rows),
        sum(row.memory or 0 for row in rows),
        max((row.percent for row in rows if row.percent is not None), default=None),
        sum(row.restarts for row in rows),
    )


def _bytes(number: int) -> str:
    return f"{number >> 10}Ki" if number < 1 << 20 else f"{number >> 20}Mi"
