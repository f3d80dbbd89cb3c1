# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timer that puts the last good revision back on a node that hears nothing more after a switch.

A transient unit of systemd, so that it outlives whoever began the switch: a control node that was killed, or one that
the new revision itself has cut off. It does not outlive a restart of the node: what then comes up is the new revision,
and the next apply confirms it.
"""

from __future__ import annotations

import json
import os
import time

from . import confirmation, program
from .commands import run_command
from .units import systemctl


def arm(namespace: str, name: str, python: str, seconds: float, act: str = "put_back") -> str:
    """In so many seconds the program does this, see orders.py, unless it is disarmed. Returns the timer's name.

    Each has a name of its own: one that is at it, and still waits for what it has put back, must not be in the way.
    """
    # Not one of the instance's units, whose names begin with "everynode." and which the observation asks about.
    unit = f"everynode-confirm.{namespace}.{name}.{time.time_ns():x}"
    request = json.dumps({"namespace": namespace, "name": name, "order": {"act": act, "timer": unit}})
    command = [
        "systemd-run",
        "--quiet",
        "--no-ask-password",
        "--collect",
        f"--unit={unit}",
        f"--description=Unless it is told that all is well, everynode does this for {namespace}/{name}: {act}",
        f"--on-active={seconds:.0f}",
        "--timer-property=AccuracySec=100ms",
        "--",
        os.path.join(program.install(python), "run"),
        request,
    ]
    done = run_command(command, capture_output=True)
    if done.returncode:
        raise OSError("systemd-run failed: " + done.stderr.decode("utf-8", "replace").strip())
    return unit


def disarm(directory: str) -> None:
    """Only the timer: what it has started already goes on, and finds that it is not needed any more."""
    for pending in confirmation.withdraw(directory):
        stop(pending.timer)


def stop(timer: str) -> None:
    systemctl("stop", "--", timer + ".timer", check=False)
