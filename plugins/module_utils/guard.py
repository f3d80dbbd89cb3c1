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

from . import program
from .commands import run_command
from .units import systemctl


def _unit(namespace: str, name: str) -> str:
    # Not one of the instance's units, whose names begin with "everynode." and which the observation asks about.
    return f"everynode-confirm.{namespace}.{name}"


def arm(namespace: str, name: str, python: str, seconds: float) -> None:
    """In so many seconds the program puts back what stood before, unless it is disarmed."""
    request = json.dumps({"namespace": namespace, "name": name, "order": {"act": "put_back"}})
    command = [
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit={_unit(namespace, name)}",
        f"--description=Put back the last good revision of {namespace}/{name} unless the new one is confirmed",
        f"--on-active={seconds:.0f}",
        "--timer-property=AccuracySec=100ms",
        "--",
        os.path.join(program.install(python), "run"),
        request,
    ]
    done = run_command(command, capture_output=True)
    if done.returncode:  # a timer of this name may be left from a run that was killed
        disarm(namespace, name)
        done = run_command(command, capture_output=True)
    if done.returncode:
        raise OSError("systemd-run failed: " + done.stderr.decode("utf-8", "replace").strip())


def disarm(namespace: str, name: str) -> None:
    """Only the timer: what it has started already goes on, and finds that it is not needed any more."""
    systemctl("stop", "--", _unit(namespace, name) + ".timer", check=False)
