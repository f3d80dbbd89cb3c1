# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.loglines import merged, printed, remarks, since_of
from ansible_collections.everynode.daemonset.plugins.plugin_utils.words import printable

from .fleet import UNREACHABLE, instance, planned, seen


def log(*lines: tuple[str, str, str]) -> dict[str, object]:
    return {"log": [{"at": at, "container": container, "line": line} for at, container, line in lines]}


FOUND = {
    "web1": {
        "default/agent": log(("2026-11-21T10:00:01.0Z", "main", "one"), ("2026-11-21T10:00:03.0Z", "main", "three"))
    },
    "web2": {"default/agent": log(("2026-11-21T10:00:02.0Z", "side", "two"))},
}
PLAN = planned({"web1": seen(instance()), "web2": seen(instance()), "web3": UNREACHABLE})


def test_lines_are_merged_by_time() -> None:
    assert [(line["node"], line["line"]) for line in merged(FOUND)] == [
        ("web1", "one"),
        ("web2", "two"),
        ("web1", "three"),
    ]
    assert [line["line"] for line in merged(FOUND, "side")] == ["two"]


def test_a_line_says_where_it_is_from() -> None:
    (line,) = merged(FOUND, "side")
    assert "".join(printed(line, several=False, timestamps=False)) == "web2 side | two"
    assert "".join(printed(line, several=True, timestamps=True)) == "web2 agent/side | 2026-11-21T10:00:02.0Z two"


def test_silence_is_not_taken_for_health() -> None:
    assert remarks(PLAN, FOUND, merged(FOUND)) == ["Nothing from web3, which is unreachable: connection refused"]
    assert (
        remarks(PLAN, FOUND, [], "sid")[0]
        == 'There are no log lines: no container "sid" said anything, only main, side.'
    )
    assert remarks(PLAN, {}, [])[0] == "There are no log lines."


def test_a_program_cannot_play_with_the_terminal() -> None:
    assert printable("\x1b[31mred\x1b[0m\tand \x1b]0;title\x07\rover\x08") == "red    and \ufffdover\ufffd"
    assert printable("größer ✓") == "größer ✓"


def test_since_when() -> None:
    assert since_of("") == ""
    assert since_of("1h30m") == "-5400"
    assert since_of("2026-11-21T18:30:00Z") == since_of("2026-11-21 19:30+01:00") == "1795285800"
    for text in ("10", "10x", "soon", "m", "2026-13-01"):
        with pytest.raises(ValueError, match="expected a duration such as 10m"):
            since_of(text)
