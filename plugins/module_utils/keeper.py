# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd starts beside a daemon between two applies: probes, the restart back-off, hooks.

A copy of this file and of what it imports lies in every revision's folder, ``keeper.json`` beside it, and is run by
units as ``python3 -ISB keeper/__main__.py VERB [UNIT]``; nothing of it stays in memory. The instance module imports it
to wait for readiness with the very same probes. Rules: Kubernetes' kubelet and prober.

``keeper.json`` is ``{"units": {UNIT: ENTRY}, "pod": POD or null}``. An ENTRY is ``{"probes": {"startup"|"liveness"|
"readiness": PROBE}, "postStart": HOOK, "preStop": HOOK, "workingDirectory": PATH, "environment": {NAME: VALUE}}``,
PROBE and HOOK being Kubernetes' own objects after defaulting, named ports resolved. A POD is described in pods.py.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import subprocess
import time
from typing import Any, Mapping, NamedTuple

from . import events
from .commands import run_command, tell
from .events import NORMAL, WARNING
from .probes import LOOPBACK, run_probe

RUN = "/run/everynode"
STALE_PERIODS, STALE_SECONDS = 3, 30.0  # a verdict older than both counts for nothing any more
BACKOFF_FIRST, BACKOFF_LIMIT, BACKOFF_RESET = 10.0, 300.0, 600.0  # seconds


# ------------------------------------------------------------------------------------------------------ a unit's state


STATE = ("ActiveState", "InvocationID", "MainPID", "ExecMainStartTimestampMonotonic", "NRestarts")


def unit_state(unit: str) -> dict[str, str]:
    output = run_command(
        ["systemctl", "show", "--property=" + ",".join(STATE), "--", unit], stdout=subprocess.PIPE, check=True
    ).stdout.decode("utf-8", "replace")
    return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)


class Process(NamedTuple):
    """What probes need to know of the process that they judge."""

    running: bool
    invocation: str  # another one after every start
    pid: int
    started: float  # seconds, CLOCK_MONOTONIC
    address: str  # where it is asked


class Target:
    """One unit under probes: its state file in /run, locked while a tick works on it."""

    def __init__(self, unit: str, entry: Mapping[str, Any]):
        self.unit = unit
        self.entry = dict(entry, unit=unit)
        self.probes: Mapping[str, Mapping[str, Any]] = entry.get("probes", {})
        self.path = os.path.join(RUN, unit + ".json")
        self.directory = entry.get("directory", "")  # the instance's, where events go; "": they are told elsewhere

    def tell(self, kind: str, reason: str, message: str) -> None:
        if self.directory:
            events.add(self.directory, kind, reason, f"{self.unit}: {message}")

    def tick(self, eager: bool = False, known: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Run the probes that are due, act on liveness, save and return the state.

        ``eager`` runs the readiness probe of an unready unit whether it is due or not, as the kubelet may, so that a
        rollout does not wait for a whole period. ``known``: the unit's STATE, if it was just asked.
        """
        os.makedirs(RUN, mode=0o755, exist_ok=True)
        with open(os.path.join(RUN, self.unit + ".lock"), "a", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = self.process(known)
            state = self._load(process)
            if process.running:
                restart = self._probe(state, process, eager)
            else:
                restart = False
                state.update(ready=False, ready_since=None, message="its process is not running")
            state.update(looked=_boot_clock(), valid=self._valid_seconds())
            self._save(state)
        if restart:
            self._restart(state)
        return state

    def process(self, known: Mapping[str, str] | None) -> Process:
        unit = known or unit_state(self.unit)
        pid = int(unit.get("MainPID") or 0)
        return Process(
            running=unit.get("ActiveState") == "active" and pid > 0,
            invocation=unit.get("InvocationID", ""),
            pid=pid,
            started=int(unit.get("ExecMainStartTimestampMonotonic") or 0) / 1e6,
            address=LOOPBACK,
        )

    def _load(self, process: Process) -> dict[str, Any]:
        try:
            with open(self.path, encoding="utf-8") as file:
                state: dict[str, Any] = json.load(file)
        except (OSError, ValueError):
            state = {}
        if state.get("invocation") != process.invocation:
            state = {
                "unwell": state.get("unwell", False),
                "restarts": state.get("restarts", 0),  # by liveness, which systemd does not count
                "invocation": process.invocation,
                # The process's start: initialDelaySeconds does not wait for the startup probe once more.
                "started": process.started,
                "ready": False,
                "ready_since": None,
                "message": "its readiness probe has not succeeded yet",
                "probes": {},
            }
        return state

    def _save(self, state: Mapping[str, Any]) -> None:
        beside = self.path + ".new"
        forget(beside)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(state, file)
        os.rename(beside, self.path)

    def _valid_seconds(self) -> float:
        """How long the state says something: if nobody looks again by then, the timer or this program is broken."""
        rounds = [
            float(probe.get("periodSeconds") or 10) + float(probe.get("timeoutSeconds") or 1)
            for kind, probe in self.probes.items()
            if kind != "startup"
        ]
        return max(STALE_SECONDS, STALE_PERIODS * max(rounds, default=0.0))

    def _probe(self, state: dict[str, Any], process: Process, eager: bool) -> bool:
        """Run what is due; true if the liveness probe says that the process must be restarted."""
        if "readiness" in self.probes:
            verdict = self._count(state, "readiness", process, eager and not state["ready"])
            if verdict is True and not state["ready"]:
                state.update(ready=True, ready_since=_boot_clock(), message="")
                if state.get("unwell"):
                    self.tell(NORMAL, "Ready", "it is ready again")
                    state["unwell"] = False
            elif verdict is False:
                message = "readiness probe: " + state["probes"]["readiness"]["why"]
                if state["ready"]:
                    self.tell(WARNING, "Unhealthy", message)
                    state["unwell"] = True
                state.update(ready=False, ready_since=None, message=message)
        if "liveness" in self.probes:
            restart = self._count(state, "liveness", process, False) is False
            if restart:
                state.update(unwell=True, restarts=state.get("restarts", 0) + 1)
            return restart
        return False

    def _count(self, state: dict[str, Any], kind: str, process: Process, eager: bool) -> bool | None:
        """Run one probe if due; True or False once its threshold of successes or failures is reached, else None."""
        probe, now = self.probes[kind], time.clock_gettime(time.CLOCK_MONOTONIC)
        counted = state["probes"].setdefault(kind, {"successes": 0, "failures": 0, "last": None, "why": ""})
        if now < state["started"] + float(probe.get("initialDelaySeconds") or 0):
            return None
        # Timers fire a little late or early: half a second of slack keeps every period a period.
        due = (counted["last"] or 0.0) + float(probe.get("periodSeconds") or 10) - 0.5
        if counted["last"] is not None and now < due and not eager:
            return None
        succeeded, counted["why"] = run_probe(probe, dict(self.entry, address=process.address), process.pid)
        counted["last"] = now
        counted["successes"] = counted["successes"] + 1 if succeeded else 0
        counted["failures"] = 0 if succeeded else counted["failures"] + 1
        if succeeded:
            return True if counted["successes"] >= int(probe.get("successThreshold") or 1) else None
        if kind == "readiness" and not state["ready"]:
            return False
        return False if counted["failures"] >= int(probe.get("failureThreshold") or 3) else None

    def _restart(self, state: Mapping[str, Any]) -> None:
        why = state["probes"]["liveness"]["why"]
        tell(f"<4>{self.unit}: liveness probe failed ({why}): restarting it")
        self.tell(WARNING, "Unhealthy", f"liveness probe: {why}")
        self.tell(NORMAL, "Killing", "it is restarted")
        restart_unit(self.unit)

    def wait_started(self) -> bool:
        """The startup probe, until it succeeds once (true); false if it fails too often, or the process is gone."""
        probe, failures, pid = self.probes["startup"], 0, self._main_pid()
        if not _outlives(pid, float(probe.get("initialDelaySeconds") or 0)):
            return self._gone()
        while True:
            began, former = time.monotonic(), pid
            pid = self._main_pid()
            if former and pid != former:
                return self._gone()
            succeeded, why = run_probe(probe, self.entry, pid) if pid else (False, "its process is not running")
            if succeeded:
                return True
            failures += 1
            if failures >= int(probe.get("failureThreshold") or 3):
                tell(f"<4>{self.unit}: startup probe failed {failures} times: {why}")
                self.tell(WARNING, "Unhealthy", f"startup probe: {why}")
                return False
            if not _outlives(pid, float(probe.get("periodSeconds") or 10) - (time.monotonic() - began)):
                return self._gone()

    def _main_pid(self) -> int:
        return int(unit_state(self.unit).get("MainPID") or 0)

    def _gone(self) -> bool:
        tell(f"<4>{self.unit}: its process ended before the startup probe succeeded")
        return False


def _outlives(pid: int, seconds: float) -> bool:
    """Wait; false, and at once, if this process ends meanwhile. 0 is one that never ran."""
    deadline = time.monotonic() + seconds
    while not pid or os.path.exists(f"/proc/{pid}"):
        left = deadline - time.monotonic()
        if left <= 0:
            return True
        time.sleep(min(left, 1.0))
    return False


def _boot_clock() -> float:
    """Seconds since boot as in /proc/uptime: a clock that nobody sets."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


# --------------------------------------------------------------------------------------------------- restart back-off


def backoff_delay(quick_restarts: int) -> float:
    """Seconds to wait before the n-th restart in a row: 0, 10, 20, 40 … 300, as the kubelet (flowcontrol.Backoff)."""
    return 0.0 if quick_restarts <= 1 else min(BACKOFF_FIRST * 2 ** min(quick_restarts - 2, 10), BACKOFF_LIMIT)


def back_off(unit: str, directory: str) -> None:
    """Before each start of a unit: wait the longer, the oftener it died young; ten minutes of running forgive all.

    A start by hand or by an apply waits for nothing: systemd counts only its own restarts, and a liveness kill leaves
    a note.
    """
    path, now = os.path.join(RUN, unit + ".backoff"), _boot_clock()
    killed = os.path.exists(_killed(unit))
    by_itself = int(unit_state(unit).get("NRestarts") or 0) > 0 or killed
    forget(_killed(unit))
    count, last = _restarts(path)
    restarts = count + 1 if by_itself and now - last < BACKOFF_RESET else 0
    delay = backoff_delay(restarts)
    _note_restarts(path, restarts, now + delay)
    if by_itself and not killed and not delay:
        events.add(directory, WARNING, "Restarted", f"{unit}: it has ended, and is started again")
    if delay:
        tell(f"<5>{unit}: restart {restarts} in a row, waiting {delay:g} s")
        events.add(directory, WARNING, "BackOff", f"{unit}: it has ended, and is started again after a pause")
        time.sleep(delay)


def restart_unit(unit: str) -> None:
    """By the keeper itself, so that the next start waits as after a death."""
    with open(_killed(unit), "w", encoding="ascii"):
        pass
    # Never «restart»: it would start what somebody has stopped since.
    run_command(["systemctl", "--no-block", "try-restart", "--", unit])


def may_restart(name: str) -> bool:
    """For what an engine starts again at once: whether the pause since its last restart by the keeper is over.

    If so, this restart is counted. Here the pause comes before the end of a process, with the kubelet after it.
    """
    path, now = os.path.join(RUN, name + ".backoff"), _boot_clock()
    count, last = _restarts(path)
    if now - last >= BACKOFF_RESET:
        count = 0
    if count and now < last + backoff_delay(count + 1):
        return False
    _note_restarts(path, count + 1, now)
    return True


def _restarts(path: str) -> tuple[int, float]:
    """(how many in a row, when the latest was); nothing is known of a first one."""
    try:
        with open(path, encoding="ascii") as file:
            count, last = file.read().split()
        return int(count), float(last)
    except (OSError, ValueError):
        return 0, math.inf


def _note_restarts(path: str, count: int, when: float) -> None:
    os.makedirs(RUN, mode=0o755, exist_ok=True)
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(f"{count} {when:.1f}\n")
    os.rename(path + ".new", path)


def _killed(unit: str) -> str:
    return os.path.join(RUN, unit + ".killed")


def forget(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


# ---------------------------------------------------------------------------------------------------------------- hooks


def call_hook(unit: str, name: str, action: Mapping[str, Any]) -> int:
    """A postStart or preStop hook: any answer will do, and systemd limits the time (kubelet: runHTTPHandler)."""
    if name == "preStop" and not int(unit_state(unit).get("MainPID") or 0):
        return 0  # the daemon ended by itself: Kubernetes has nothing to stop then, systemd runs ExecStop all the same
    from . import network

    try:
        network.http_answer(action, LOOPBACK, None)
    except (OSError, ValueError) as error:
        tell(f"<4>{unit}: {name} hook failed: {error}")
        return 1
    return 0
