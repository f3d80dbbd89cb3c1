# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of ``kubectl get daemonsets``, column for column, and the list of the nodes that need attention."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from .plan import Plan, Settings
from .selectors import selector_from_object
from .status import first_created, needs_attention, status

WORDS = re.compile("^ *[^ ,]*,?|[^ ,]+,?")  # a cell may be broken between them; its indent is part of the first
MINIMUM_WIDTH = 6  # kubectl: tabwriter with minwidth 6 and padding 3
PADDING = 3
TIGHT = 2  # what is left of it where the terminal is too narrow
HANGING = "      "
NOTHING, UNKNOWN = "<none>", "<unknown>"
HEADER = ("NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE", "NODE SELECTOR", "AGE")
WIDE_HEADER = ("CONTAINERS", "IMAGES", "SELECTOR")

Record = tuple[str, tuple[str, ...]]  # a namespace, and the cells of what is in it

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
YEAR = 365 * DAY


def daemonset_table(plan: Plan, width: int | None = None, wide: bool = False) -> str:
    """As ``kubectl get ds`` prints it; with several namespaces as ``kubectl get ds -A``, NAMESPACE first.

    ``wide``: as with ``-o wide``. ``width``: of the terminal, see `fitted`.
    """
    records: list[Record] = []
    for daemonset in plan.daemonsets:
        settings, counted, oldest = daemonset.settings, status(daemonset), first_created(daemonset)
        cells: tuple[str, ...] = (
            settings.name,
            str(counted.desired),
            str(counted.current),
            str(counted.ready),
            str(counted.updated),
            str(counted.available),
            selector_text(settings) or NOTHING,
            human_duration(oldest.age) if oldest is not None and oldest.age is not None else UNKNOWN,
        )
        if wide:
            cells = (*cells, *_wide_cells(settings))
        records.append((settings.namespace, cells))
    return fitted(in_namespaces(plan, (*HEADER, *WIDE_HEADER) if wide else HEADER, records), width)


def selector_text(settings: Settings) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(settings.node_selector))


def _wide_cells(settings: Settings) -> tuple[str, str, str]:
    requirements = selector_from_object(settings.selector).requirements
    return (
        ",".join(name for name, _image in settings.containers) or NOTHING,
        ",".join(image for _name, image in settings.containers) or NOTHING,
        ",".join(map(str, sorted(requirements, key=lambda one: one.key))) or NOTHING,
    )


def instance_table(plan: Plan, width: int | None = None) -> str:
    """A line for each instance that is there or should be, as ``kubectl get pods`` has one for each pod."""
    header = ("NODE", "NAME", "READY", "STATE", "RESTARTS", "AGE", "REVISION", "RUNTIME")
    records: list[Record] = []
    for daemonset in plan.daemonsets:
        for entry in daemonset.entries:
            if entry.present or entry.should_run:
                cells = (
                    entry.node,
                    daemonset.settings.name,
                    "yes" if entry.ready else "no",
                    entry.state,
                    str(entry.restarts),
                    UNKNOWN if entry.age is None else human_duration(entry.age),
                    entry.revision or NOTHING,
                    entry.runtime or NOTHING,
                )
                records.append((daemonset.settings.namespace, cells))
    return fitted(in_namespaces(plan, header, records), width)


def attention_list(plan: Plan, width: int | None = None) -> str:
    """One line for each node and DaemonSet where something is left to wish for or to know; "" if there is none."""
    rows = [
        (f"  {entry.node}", daemonset.settings.name, entry.state, entry.reason)
        for daemonset in plan.daemonsets
        for entry in daemonset.entries
        if needs_attention(entry)
    ]
    return "Nodes that need attention:\n" + listed(rows, width) if rows else ""


def in_namespaces(plan: Plan, header: tuple[str, ...], records: Sequence[Record]) -> list[tuple[str, ...]]:
    """The rows of a table; if the plan has several namespaces, NAMESPACE is the first column."""
    if len({daemonset.settings.namespace for daemonset in plan.daemonsets}) < 2:
        return [header, *(cells for _namespace, cells in records)]
    return [("NAMESPACE", *header), *((namespace, *cells) for namespace, cells in records)]


def fitted(rows: Sequence[Sequence[str]], width: int | None) -> str:
    """Cells padded as Go's tabwriter does, made to fit a terminal of so many columns; the first row has the headings.

    On a narrow one the columns come closer first, then cells are wrapped between words. One that is too narrow for that
    gets a line for each cell.
    """
    for columns, gap in _ways_to_fit(rows, width):
        return _laid_out(rows, columns, gap)
    header, *records = rows
    space = max(map(len, header)) + TIGHT
    blocks = [
        "\n".join(f"{name.ljust(space)}{cell}" for name, cell in zip(header, row, strict=True)) for row in records
    ]
    return "\n\n".join(blocks)


def listed(rows: Sequence[Sequence[str]], width: int | None) -> str:
    """The same without headings: where a terminal is too narrow, the last cell comes below the others."""
    for columns, gap in _ways_to_fit(rows, width):
        return _laid_out(rows, columns, gap)
    hanging = textwrap.TextWrapper(
        max(width or 0, 2 * len(HANGING)), initial_indent=HANGING, subsequent_indent=HANGING, break_on_hyphens=False
    )
    return "\n".join(line for *cells, last in rows for line in ("  ".join(cells).rstrip(), *hanging.wrap(last)))


def _natural(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(MINIMUM_WIDTH - PADDING, *map(len, column)) for column in zip(*rows, strict=True)]


def _ways_to_fit(rows: Sequence[Sequence[str]], width: int | None) -> Iterator[tuple[list[int], int]]:
    """How wide the columns may be and what is left blank between them, the best first; none if nothing fits."""
    columns = _natural(rows)
    between = len(columns) - 1
    for gap in (PADDING, TIGHT, 1):
        if width is None or sum(columns) + gap * between <= width:
            yield columns, gap
            return
    floors = [max(len(word) for cell in column for word in WORDS.findall(cell)) for column in zip(*rows, strict=True)]
    for gap in (TIGHT, 1):
        room = (width or 0) - gap * between
        if sum(floors) <= room:
            while sum(columns) > room:
                widest = max(range(len(columns)), key=lambda index: (columns[index] > floors[index], columns[index]))
                columns[widest] -= 1
            yield columns, gap


def _wrapped(cell: str, width: int) -> list[str]:
    if len(cell) <= width:
        return [cell]
    lines: list[str] = []
    start = 0
    for word in WORDS.finditer(cell):
        if lines and word.end() - start <= width:
            lines[-1] = cell[start : word.end()]
        else:
            start = word.start()
            lines.append(word[0])
    return lines


def _laid_out(rows: Sequence[Sequence[str]], columns: Sequence[int], gap: int) -> str:
    lines = []
    for row in rows:
        cells = [_wrapped(cell, width) for cell, width in zip(row, columns, strict=True)]
        for line in zip_longest(*cells, fillvalue=""):
            lines.append("".join(cell.ljust(width + gap) for cell, width in zip(line, columns, strict=True)).rstrip())
    return "\n".join(lines)


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
