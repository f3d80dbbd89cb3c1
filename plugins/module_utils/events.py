# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has happened to an instance on its node, for people: the file ``events`` beside its record.

A line of JSON for each, newest last: ``{"at": seconds since the epoch, "type": "Normal" | "Warning", "reason",
"message", "count", "first"}``. As in Kubernetes, what happens again and again is one event that counts, and as there
nothing is decided by it: an event that cannot be written is left out.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from typing import Any, Iterable, Iterator

FILE = "events"
KEPT = 100
NORMAL, WARNING = "Normal", "Warning"
LONGEST = 1000  # characters of a message


def add(directory: str, kind: str, reason: str, message: str) -> None:
    """``directory``: the instance's, which has to be there already."""
    with contextlib.suppress(OSError), _locked(directory):
        path = os.path.join(directory, FILE)
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            lines = []
        event: dict[str, Any] = {"type": kind, "reason": reason, "message": message[:LONGEST]}
        now = time.time()
        known = next((line for line in lines if event.items() <= _event(line).items()), None)
        if known is None:
            event.update(first=now, count=1)
        else:
            lines.remove(known)
            event.update(first=_event(known)["first"], count=_event(known)["count"] + 1)
        lines.append(json.dumps(dict(event, at=now), sort_keys=True))
        _write(path, "".join(line + "\n" for line in lines[-KEPT:]))


def _write(path: str, text: str) -> None:
    """For root alone: a message may quote a daemon. Not synced, for events are not worth a wait for the disk."""
    beside = path + ".new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(beside)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(beside, path)
    except OSError:
        os.unlink(beside)
        raise


@contextlib.contextmanager
def _locked(directory: str) -> Iterator[None]:
    """Probes, restarts and applies may have something to tell at the same moment."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The file's lines as docs/output.md has them, oldest first; one that is not whole is passed over."""
    return [
        {
            "at": _utc(event["at"]),
            "type": event["type"],
            "reason": event["reason"],
            "message": event["message"],
            "count": event["count"],
            "first": _utc(event["first"]),
        }
        for event in map(_event, lines)
        if event
    ]


def _event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
        whole = all(isinstance(event[name], str) for name in ("type", "reason", "message"))
        times = [float(event[name]) for name in ("at", "first")]
        if whole and isinstance(event["count"], int) and all(0 <= one < 1e11 for one in times):
            return dict(event)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass  # only somebody's hand makes it unreadable
    return {}


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
