# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maintenance windows: when instances may be replaced.

``[DAYS ]HH:MM-HH:MM[ ZONE]``, several joined by ``;``. DAYS are names separated by commas, or a range (``Mon..Fri``);
without them it is every day. A window whose end is not after its beginning ends on the next day, and belongs to the day
on which it begins. ZONE is a name of the IANA time zone database; without it the time is each node's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
FORM: Final = "expected [DAYS ]HH:MM-HH:MM[ ZONE], such as Sat,Sun 02:00-06:00 Europe/Berlin or Mon..Fri 22:00-04:00"

_WINDOW: Final = re.compile(
    r"(?:(?P<days>[A-Za-z][A-Za-z.,]*)\s+)?(?P<begin>[0-9:]+)-(?P<end>[0-9:]+)(?:\s+(?P<zone>[A-Za-z0-9_+/-]+))?"
)
_TIME: Final = re.compile("([01][0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True)
class Window:
    days: frozenset[int]  # of its beginning; 0 is Monday
    begin: time
    end: time  # of the same day, or of the next if it is not after the beginning
    zone: str = ""  # "": each node's own local time

    def timezone(self, utc_offset: int) -> tzinfo:
        return ZoneInfo(self.zone) if self.zone else timezone(timedelta(seconds=utc_offset))

    def openings(self, first: date, zone: tzinfo) -> Iterator[tuple[datetime, datetime]]:
        """When it opens and closes, in UTC, for each of its days of the nine from this one on."""
        for day in (first + timedelta(days=number) for number in range(9)):
            if day.weekday() in self.days:
                last = day if self.begin < self.end else day + timedelta(days=1)
                begin, end = (datetime.combine(*when, zone) for when in ((day, self.begin), (last, self.end)))
                yield begin.astimezone(UTC), end.astimezone(UTC)


@lru_cache
def parse(text: str) -> tuple[Window, ...]:
    """Raises ValueError with a sentence that says what was expected. An empty text has no window: it is always open."""
    return tuple(_window(part.strip()) for part in text.split(";")) if text else ()


def is_open(windows: tuple[Window, ...], now: float, utc_offset: int) -> bool:
    """``now``: seconds since the epoch. ``utc_offset``: seconds that the node's own time is ahead of UTC."""
    moment = datetime.fromtimestamp(now, UTC)
    return not windows or any(
        begin <= moment < end for window in windows for begin, end in _around(window, moment, utc_offset)
    )


def opens_next(windows: tuple[Window, ...], now: float, utc_offset: int) -> datetime | None:
    """The next time one of them opens, in the time zone of that window; None if there is no window."""
    moment = datetime.fromtimestamp(now, UTC)
    coming = [
        (begin, window.timezone(utc_offset))
        for window in windows
        for begin, _end in _around(window, moment, utc_offset)
        if begin > moment
    ]
    if not coming:
        return None
    begin, zone = min(coming, key=lambda one: one[0])
    return begin.astimezone(zone)


def closed_until(text: str, now: float, utc_offset: int) -> str:
    """Words on when the next of these windows opens, such as "Sat 02:00 Europe/Berlin"; "" if one is open now."""
    windows = parse(text)
    if is_open(windows, now, utc_offset):
        return ""
    begin = opens_next(windows, now, utc_offset)
    if begin is None:
        return ""
    zone = begin.tzinfo.key if isinstance(begin.tzinfo, ZoneInfo) else "of the node's time"
    return f"{DAYS[begin.weekday()]} {begin:%H:%M} {zone}"


def _around(window: Window, moment: datetime, utc_offset: int) -> Iterator[tuple[datetime, datetime]]:
    """Its openings from the day before on: one of those may last until now."""
    zone = window.timezone(utc_offset)
    return window.openings(moment.astimezone(zone).date() - timedelta(days=1), zone)


def _window(text: str) -> Window:
    parts = _WINDOW.fullmatch(text)
    if parts is None:
        raise ValueError(FORM)
    begin, end = (_time(parts[name]) for name in ("begin", "end"))
    zone = parts["zone"] or ""
    try:
        if zone:
            ZoneInfo(zone)
    except (ValueError, OSError, LookupError):  # ZoneInfoNotFoundError is a KeyError; a folder's name an OSError
        raise ValueError(f"{zone} is no time zone of this machine's database, such as Europe/Berlin or UTC") from None
    return Window(_days(parts["days"]), begin, end, zone)


def _time(text: str) -> time:
    parts = _TIME.fullmatch(text)
    if parts is None:
        raise ValueError(f"{text} is no time of day from 00:00 to 23:59")
    return time(int(parts[1]), int(parts[2]))


def _days(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    first, dots, last = text.partition("..")
    if not dots:
        return frozenset(_day(name) for name in text.split(","))
    begin, end = _day(first), _day(last)
    return frozenset((begin + number) % 7 for number in range((end - begin) % 7 + 1))


def _day(name: str) -> int:
    if name.capitalize() not in DAYS:
        raise ValueError(f"{name!r} is no day: expected {', '.join(DAYS)}, with commas, or a range such as Mon..Fri")
    return DAYS.index(name.capitalize())
