# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.maintenance import (
    closed_until,
    is_open,
    opens_next,
    parse,
)
from hypothesis import given
from hypothesis import strategies as st

HOUR = 3600


def at(text):
    """Seconds since the epoch of a time in UTC; 2026-11-16 is a Monday."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("windows", "now", "offset", "expected"),
    [
        ("", "2026-11-16T12:00", 0, True),
        ("02:00-06:00", "2026-11-16T02:00", 0, True),
        ("02:00-06:00", "2026-11-16T06:00", 0, False),
        ("02:00-06:00", "2026-11-16T03:00", 5 * HOUR, False),  # it is 08:00 there
        ("02:00-06:00", "2026-11-16T03:00", -4 * HOUR, False),  # and 23:00 there
        ("02:00-06:00 UTC", "2026-11-16T03:00", 5 * HOUR, True),
        ("02:00-06:00 Europe/Berlin", "2026-11-16T01:00", 0, True),
        ("02:00-06:00 Europe/Berlin", "2026-07-13T00:30", 0, True),  # in summer
        ("Mon..Fri 22:00-04:00", "2026-11-16T23:00", 0, True),
        ("Mon..Fri 22:00-04:00", "2026-11-16T03:00", 0, False),  # that night began on Sunday
        ("Mon..Fri 22:00-04:00", "2026-11-21T03:59", 0, True),  # and this one on Friday
        ("Mon..Fri 22:00-04:00", "2026-11-21T22:00", 0, False),
        ("sat,sun 00:00-00:00", "2026-11-22T23:59", 0, True),
        ("Sat,Sun 00:00-00:00", "2026-11-23T00:00", 0, False),
        ("Sat..Mon 10:00-11:00", "2026-11-16T10:30", 0, True),  # around the week's end
        ("Sat..Mon 10:00-11:00", "2026-11-17T10:30", 0, False),
        ("Tue 10:00-11:00; Mon 10:00-11:00", "2026-11-16T10:30", 0, True),
    ],
)
def test_whether_a_window_is_open(windows, now, offset, expected):
    assert is_open(parse(windows), at(now), offset) is expected


@pytest.mark.parametrize(
    ("windows", "now", "offset", "expected"),
    [
        ("02:00-06:00", "2026-11-16T01:00", 0, "2026-11-16T02:00"),
        ("02:00-06:00", "2026-11-16T02:00", 0, "2026-11-17T02:00"),
        ("02:00-06:00", "2026-11-16T12:00", -2 * HOUR, "2026-11-17T04:00"),
        ("Mon 02:00-06:00", "2026-11-16T12:00", 0, "2026-11-23T02:00"),
        ("Mon 02:00-06:00; Sat 05:00-06:00", "2026-11-16T12:00", 0, "2026-11-21T05:00"),
        ("02:00-06:00 Asia/Tokyo", "2026-11-16T12:00", 0, "2026-11-16T17:00"),
    ],
)
def test_when_it_opens_next(windows, now, offset, expected):
    assert opens_next(parse(windows), at(now), offset).timestamp() == at(expected)


def test_the_words_are_in_the_windows_own_time():
    noon = at("2026-11-16T12:00")
    assert closed_until("02:00-06:00 Asia/Tokyo", noon, 0) == "Tue 02:00 Asia/Tokyo"
    assert closed_until("Sat 02:00-06:00", noon, 2 * HOUR) == "Sat 02:00 of the node's time"
    assert closed_until("10:00-14:00", noon, 0) == closed_until("", noon, 0) == ""


@given(
    st.sampled_from(["Mon 02:00-06:00", "22:00-04:00", "Sat..Mon 23:00-01:00", "02:30-03:00 Europe/Berlin"]),
    st.integers(1_700_000_000, 1_900_000_000),
    st.sampled_from([0, -12 * HOUR, 14 * HOUR, 5 * HOUR + 1800]),
)
def test_it_is_open_at_the_next_opening_and_closed_until_then(text, now, offset):
    windows = parse(text)
    opening = opens_next(windows, now, offset)
    assert opening.timestamp() > now
    assert is_open(windows, opening.timestamp(), offset) or isinstance(
        opening.tzinfo, ZoneInfo
    )  # a night without 02:30
    if not is_open(windows, now, offset):
        assert not is_open(windows, opening.timestamp() - 1, offset)
