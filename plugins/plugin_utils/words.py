# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words that several texts share."""

from __future__ import annotations

import re
from collections.abc import Sequence

LISTED = 12  # so many node names in a line are read, more are only scrolled past
ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\^_])")  # colours and the like


def names(nodes: Sequence[str], listed: int = LISTED) -> str:
    shown = ", ".join(nodes[:listed])
    return shown if len(nodes) <= listed else f"{shown} and {len(nodes) - listed} more"


def nodes_of(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


def last_line(text: str) -> str:
    """Of what a program said, the line that mostly has the cause."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason was given"


def duration(seconds: float) -> str:
    """As it is written in an annotation: 1h30m."""
    parts = zip((int(seconds) // 3600, int(seconds) // 60 % 60, int(seconds) % 60), "hms", strict=True)
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def printable(text: str) -> str:
    """What a program said, without what would do something else to a terminal than print."""
    plain = ESCAPES.sub("", text.replace("\t", "    "))
    return "".join(character if character.isprintable() else "\ufffd" for character in plain)
