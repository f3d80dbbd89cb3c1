# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that a switch leaves on a node for as long as nobody has said that the node can still be reached.

It is named after the revision that was switched to. Whoever removes it has decided what becomes of that revision, and
nobody else can then: the control node, to which it is the one thing to do, or the guard's timer.
"""

from __future__ import annotations

import glob
import json
import os
import shlex
from typing import Iterator, NamedTuple

from . import files
from .events import FILE, NORMAL
from .observation import ROOT, UNCONFIRMED, hash_of

CONFIRMED = "everynode-confirmed"  # a line that `script` prints


class Unconfirmed(NamedTuple):
    former: str  # the revision, by its folder's name, that is put back if nobody confirms the new one
    timer: str  # which does that
    then: str = ""  # "settle" if a confirmation leaves more to do than to remove the file


def note(directory: str, folder: str, what: Unconfirmed) -> None:
    files.write(_path(directory, folder), files.File(" ".join(what).encode() + b"\n", 0o644))


def pending(directory: str, folder: str) -> Unconfirmed | None:
    words = (files.read(_path(directory, folder)) or b"").decode("utf-8", "replace").split()
    return Unconfirmed(*words) if len(words) in (2, 3) else None


def claim(directory: str, folder: str) -> bool:
    """Whether it is for the caller to say what becomes of this revision: it is not if it was confirmed just now."""
    try:
        os.unlink(_path(directory, folder))
    except FileNotFoundError:
        return False
    return True


def withdraw(directory: str) -> Iterator[Unconfirmed]:
    """All that is pending, of switches too that were killed before they were in the record; it is not any more then."""
    for path in glob.glob(_path(glob.escape(directory), "*")):
        found = pending(directory, os.path.basename(path)[len(UNCONFIRMED) :])
        files.remove(path)
        if found is not None:
            yield found


def _path(directory: str, folder: str) -> str:
    return os.path.join(directory, UNCONFIRMED + folder)


def script(namespace: str, name: str, folder: str) -> str:
    """A shell script that confirms a revision and says so, if that takes no more than to remove the file.

    Else it prints nothing, and orders.py knows what to do. A Python would take ten times as long to start.
    """
    directory, path = shlex.quote(os.path.join(ROOT, namespace, name)), shlex.quote(UNCONFIRMED + folder)
    event = {"type": NORMAL, "reason": "Confirmed", "message": words(folder), "count": 1}
    line = json.dumps(event, sort_keys=True)[1:]
    return f"""
(
    umask 077
    cd {directory} && read -r former timer more <{path} && [ -z "$more" ] && rm {path} || exit
    systemctl --no-ask-password stop -- "$timer.timer"
    now=$(date +%s.%N)
    printf '{{"at": %s, "first": %s, %s\\n' "$now" "$now" {shlex.quote(line)} >>{FILE}
    echo {CONFIRMED}
) 2>/dev/null
"""


def words(folder: str) -> str:
    """The message of the event."""
    return f"revision {hash_of(folder)}: the node can still be reached"
