# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ways to die in the middle: of the controller, of the module on the node, of the connection between them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from tests.nodes import Node

from .playbook import Run, until

# The module's process on a node, which the interpreter reads from its standard input, or the program that an earlier
# call has left. What it starts looks the same for a moment, until it becomes another program; hence the oldest.
MODULE = 'pgrep -ofx "/usr/bin/python3( -[A-Za-z]+ /var/lib/everynode/.program/[^ ]*)?"'
# Waits for the module's {turn}th call on this node, then {delay} seconds, then does {deed}; fails if the call is over.
AMID = (
    "timeout 60 sh -c 'for turn in $(seq {turn}); do while [ -e /proc/${{pid:-none}} ]; do sleep 0.02; done; "
    "until pid=$(" + MODULE + "); do sleep 0.02; done; done; sleep {delay}; [ -e /proc/$pid ] && {deed}'"
)
STAGING, SWITCHING = 1, 2  # the calls in an update
TO_END_A_STEP = 60  # seconds


def refused(done: Run) -> str:
    """What a run said that did not succeed: words, and not what Python says when nobody thought of it."""
    assert done.code != 0, done.output
    assert "Traceback" not in done.output, done.output
    return done.output


def kill(controller: subprocess.Popen[bytes], with_workers: bool) -> None:
    """Its process group. Ansible's workers are in sessions of their own: unless they are killed as well, they outlive
    it and end the step that they began, and only then the run is over. Many of them may then wait for ever to tell the
    dead one of it: the pipe to it is full, and held open by each other.
    """
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    family = [controller.pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    os.killpg(controller.pid, signal.SIGKILL)
    for member in family[1:] if with_workers else []:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
    controller.wait()
    with contextlib.suppress(AssertionError):
        until(lambda: not any(map(is_alive, family)), TO_END_A_STEP)
    for member in filter(is_alive, family):
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
    until(lambda: not any(map(is_alive, family)))


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def amid(node: Node, call: int, delay: float, deed: str) -> bool:
    """Do something on the node in the middle of a call of the module; False if that was over already."""
    return node.run(AMID.format(turn=call, delay=f"{delay:.2f}", deed=deed), check=False).returncode == 0
