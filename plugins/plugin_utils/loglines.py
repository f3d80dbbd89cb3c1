# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the instances of several nodes logged, merged by time: ``kubectl logs`` with all pods of a selector."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from .manifest.annotations import parse_duration
from .plan import Plan
from .status import Details, unasked
from .words import printable

Line = dict[str, str]  # {"at", "node", "daemonset", "container", "line"}

EXPECTED = "expected a duration such as 10m or 1h30m, or a time such as 2026-11-21T18:30 (here) or …T18:30Z (in UTC)"


def since_of(text: str) -> str:
    """``10m`` or a time → what a node is asked, see details.Question. Raises ValueError with what was expected."""
    if not text:
        return ""
    if re.fullmatch("[0-9hms]+", text):
        try:
            return f"-{parse_duration(text)}"
        except ValueError as error:
            raise ValueError(EXPECTED) from error
    try:
        return f"{max(0.0, datetime.fromisoformat(text).timestamp()):.0f}"  # without a zone it is meant as here
    except (ValueError, OverflowError) as error:
        raise ValueError(EXPECTED) from error


def merged(details: Details, container: str = "") -> list[Line]:
    """All lines, the oldest first; with ``container`` only those of the containers of this name."""
    lines = [
        {"at": line["at"], "node": node, "daemonset": key, "container": line["container"], "line": line["line"]}
        for node, found in details.items()
        for key, of_instance in found.items()
        for line in of_instance["log"]
        if container in ("", line["container"])
    ]
    return sorted(lines, key=lambda line: line["at"])


def printed(line: Mapping[str, str], several: bool, timestamps: bool) -> tuple[str, str]:
    """``node container | `` and the line. ``several``: there are lines of several DaemonSets."""
    source = f"{line['daemonset'].partition('/')[2]}/{line['container']}" if several else line["container"]
    time = f"{line['at']} " if timestamps else ""
    return f"{line['node']} {source} | ", time + printable(line["line"])


def remarks(plan: Plan, details: Details, lines: Sequence[Line], container: str = "") -> list[str]:
    """Whose lines are not among them, and why; so that nobody takes silence for health."""
    found = []
    if not lines:
        known = sorted({line["container"] for line in merged(details)})
        there = f': no container "{container}" said anything, only {", ".join(known)}' if container and known else ""
        found.append(f"There are no log lines{there}.")
    return found + unasked(plan)
