# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a revision that was put in place becomes ready, asked on the node with the instance's own probes."""

from __future__ import annotations

import contextlib
import time
from typing import Any, Mapping, Sequence

from . import engine, keeper, observation, units
from .engine import Container, EngineError
from .errors import InstanceError
from .patience import probe_seconds
from .runtimes.containers import Containers
from .runtimes.runtime import Runtime

STEADY = 1.0  # seconds a process without a readiness probe must have been running to count as ready
HOPELESS_RESTARTS = 3  # so many in a row while we wait, and waiting longer tells nothing new


def wait_ready(runtime: Runtime, timeout: float) -> None:
    """Here on the node, with the instance's own probes; raises with the unit's state and its last lines."""
    definition = runtime.definition
    deadline = time.monotonic() + timeout + definition["minReadySeconds"] + probe_seconds(definition)
    targets = runtime.targets()
    # How often each container, and from the first look on each unit, was restarted before we began to wait.
    before = {one.name: one.restarts for one in _containers_of(runtime)}
    pause = _first_pause(targets)
    ready_since: float | None = None
    while True:
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)
        waiting = _not_ready(runtime, targets, before)
        now = time.monotonic()
        ready_since = None if waiting else ready_since or now
        if ready_since is not None and now - ready_since >= definition["minReadySeconds"]:
            return
        hopeless = [unit for unit, _why, restarts in waiting if restarts >= HOPELESS_RESTARTS]
        if waiting and (now > deadline or hopeless):
            raise InstanceError(_failure(runtime, waiting, timeout if not hopeless else None))


def _first_pause(targets: Mapping[str, keeper.Target]) -> float:
    """Seconds before which asking is in vain, but not so many that what cannot start at all is seen late."""

    def soonest(probes: Mapping[str, Mapping[str, Any]]) -> float:
        return float(probes["readiness"].get("initialDelaySeconds") or 0) if "readiness" in probes else STEADY

    return max([0.3, *(min(soonest(target.probes), STEADY) + 0.1 for target in targets.values())])


def _containers_of(runtime: Runtime) -> list[Container]:
    with contextlib.suppress(EngineError):
        if isinstance(runtime, Containers):
            return runtime.engine.containers(runtime.key)
    return []


def _not_ready(
    runtime: Runtime, targets: Mapping[str, keeper.Target], before: dict[str, int]
) -> list[tuple[str, str, int]]:
    """(unit or container, why, restarts while we wait) of each that keeps the instance from being ready."""
    if not isinstance(runtime, Containers):
        return _units_not_ready(sorted(targets), targets, before)
    waiting = _units_not_ready([runtime.unit], {}, before)
    return waiting or _containers_not_ready(runtime, targets, before)


def _containers_not_ready(
    runtime: Containers, targets: Mapping[str, keeper.Target], before: dict[str, int]
) -> list[tuple[str, str, int]]:
    standing = {one.name: one for one in _containers_of(runtime)}
    waiting = []
    for name in targets:
        container = standing.get(name)
        if container is None:
            waiting.append((name, "is not there", 0))
            continue
        restarts = container.restarts - before.get(name, 0)
        if not container.running:
            waiting.append((name, "is " + observation.container_words(container), restarts))
        elif "readiness" in targets[name].probes:
            probed = targets[name].tick(eager=True)
            if not probed["ready"]:
                waiting.append((name, "is not ready: " + (probed["message"] or "no answer yet"), restarts))
        elif time.time() - (engine.epoch(container.started) or 0.0) < STEADY:
            waiting.append((name, "has only just started", restarts))
    return waiting


def _units_not_ready(
    names: Sequence[str], targets: Mapping[str, keeper.Target], before: dict[str, int]
) -> list[tuple[str, str, int]]:
    waiting = []
    properties = ("SubState", "Result", "ExecMainStatus", "ActiveEnterTimestampMonotonic", "Job")
    states = units.show(names, *keeper.STATE, *properties)
    clock = time.clock_gettime(time.CLOCK_MONOTONIC)
    for unit, state in states.items():
        restarts = int(state.get("NRestarts") or 0)
        restarts -= before.setdefault(unit, restarts)
        if state.get("ActiveState") in ("failed", "inactive") and not int(state.get("Job") or 0):
            restarts = HOPELESS_RESTARTS  # systemd has given it up: what it depends on has failed
        if state.get("ActiveState") != "active":
            waiting.append((unit, observation.words(state), restarts))
        elif unit not in targets:
            continue  # a pod's: what runs is asked of its containers
        elif "readiness" in targets[unit].probes:
            probed = targets[unit].tick(eager=True, known=state)
            if not probed["ready"]:
                waiting.append((unit, "is not ready: " + (probed["message"] or "no answer yet"), restarts))
        elif state.get("SubState") == "running":
            since = int(state.get("ActiveEnterTimestampMonotonic") or 0) / 1e6
            if clock - since < STEADY:
                waiting.append((unit, "has only just started", restarts))
    return waiting


def _failure(runtime: Runtime, waiting: Sequence[tuple[str, str, int]], timeout: float | None) -> str:
    lines = ["{} did not become ready{}.".format(runtime.key, f" within {timeout:g} s" if timeout else "")]
    for name, why, _restarts in waiting:
        lines.append(f"{name} {why}.")
        of_container = isinstance(runtime, Containers) and name != runtime.unit
        said = runtime.engine.logs(name) if of_container else units.journal(name)  # type: ignore[attr-defined]
        lines += ["  " + line for line in said.split("\n")]
    command = f"{runtime.engine.name} logs" if of_container else "journalctl -u"  # type: ignore[attr-defined]
    lines.append(f"See it whole with: {command} {waiting[0][0]}")
    return "\n".join(lines)
