# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tasks of one ansible-playbook run share: the plan, and what went wrong (which is also the gate).

It lies in Ansible's temporary folder of the run, which every worker process inherits and which goes away with the run.
Host variables would do as well, but reading them costs time for every host. A step reads its own node's part of the
plan alone: reading all of it in the worker of every node would cost the square of their number.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from ansible import constants as C
from ansible.errors import AnsibleActionFail

from ...module_utils.observation import Observation
from ..plan import REPLACE, STAGE, SWITCH, Entry, Plan, Seen, Settings
from ..policy import ROLLBACK

_Found = TypeVar("_Found")
TURN_SECONDS = 0.05  # between two looks whether it is a node's turn


class Problem(NamedTuple):
    """One step of one DaemonSet that failed on one node."""

    node: str
    daemonset: str  # namespace/name
    phase: str
    message: str
    halts: bool  # whether the rollout of this DaemonSet must not go on, unless its policy tolerates that
    serves: bool = False  # whether the node has an instance that is ready all the same, the former one
    wave: int = 0  # which step of the rollout it belongs to


def _folder() -> str:
    return os.path.join(C.DEFAULT_LOCAL_TMP, "everynode")


def _path(name: str) -> str:
    return os.path.join(_folder(), name)


class Part(NamedTuple):
    """What one node's steps need to know besides the plan's entries; all of it is JSON-safe.

    ``definitions`` has an entry for each DaemonSet, by its namespace/name, that is to run there: {"definition",
    "secrets"} as definition.define made them, secrets being null if there are any, or {"error"} in words.
    """

    facts: dict[str, Any]  # observation.Facts, as they were when the plan was made
    definitions: dict[str, Any]
    planned: float = 0.0  # when that was, by this node's clock; seconds since the epoch
    rooms: dict[str, int] = {}  # how many nodes may be switched at the same time, by DaemonSet
    tolerated: dict[str, int] = {}  # how many failed nodes do not halt its rollout


def _started() -> str:
    """Not in the folder, for a plan that is made anew does not begin a new run."""
    return os.path.join(C.DEFAULT_LOCAL_TMP, "everynode-started")


def start() -> None:
    """The run begins to look at what is declared."""
    with open(_started(), "w", encoding="ascii") as file:
        file.write(repr(time.time()))


def seconds() -> float:
    """How long ago that was."""
    try:
        with open(_started(), encoding="ascii") as file:
            return max(0.0, time.time() - float(file.read()))
    except FileNotFoundError:
        return 0.0


def begin(plan: Plan, parts: Mapping[str, Part] | None = None) -> None:
    """A plan is made; whatever an earlier one of this run left is forgotten."""
    end()
    os.makedirs(os.path.join(_folder(), "nodes"), mode=0o700)
    rooms = {daemonset.settings.key: daemonset.room for daemonset in plan.daemonsets}
    tolerated = {daemonset.settings.key: daemonset.tolerated_failures for daemonset in plan.daemonsets}
    for node, steps in plan.by_node().items():
        part = (parts or {}).get(node, Part({}, {}))._replace(planned=time.time(), rooms=rooms, tolerated=tolerated)
        _write(_part_of(node), [[(one.as_dict(), entry.as_dict()) for one, entry in steps], part._asdict()])
    _write("looking.json", plan.looking())
    _write("standing.json", plan.standing())
    _write("plan.json", plan.as_dict())


def end() -> None:
    """Forget the plan and all that came of it."""
    shutil.rmtree(_folder(), ignore_errors=True)


def current_plan() -> Plan | None:
    try:
        state = os.stat(_path("plan.json"))
    except FileNotFoundError:
        return None
    return _plan_in(_path("plan.json"), state.st_ino, state.st_mtime_ns)


def needed_plan() -> Plan:
    """The same, for what makes no sense without one."""
    return _needed(current_plan())


def _needed(found: _Found | None) -> _Found:
    if found is None:
        raise AnsibleActionFail("there is no plan: everynode.daemonset.plan comes first")
    return found


@functools.lru_cache(maxsize=1)
def _plan_in(path: str, _inode: int, _written: int) -> Plan:
    """Every play asks for it a few times."""
    with open(path, encoding="utf-8") as file:
        return Plan.from_dict(json.load(file))


def steps_on(node: str) -> list[tuple[Settings, Entry]]:
    """What this run's plan has to do on one node, DaemonSet by DaemonSet."""
    steps, _part = _read(_part_of(node)) or ((), None)
    return [(Settings.from_dict(settings), Entry(**entry)) for settings, entry in steps]


def part_of(node: str) -> Part:
    """What those steps need; only for a node that has some."""
    _steps, part = _read(_part_of(node))
    return Part(**part)


def looking() -> dict[str, list[str]]:
    """Who of this run's nodes is to look at which of those that --limit leaves out."""
    return {str(host): list(share) for host, share in (_read("looking.json") or {}).items()}


def standing() -> dict[str, list[str]]:
    """By node, the planned DaemonSets of which it has an instance or gets one in this run."""
    found: dict[str, list[str]] = _needed(_read("standing.json"))
    return found


def save_seen(node: str, seen: Seen) -> None:
    """What a node was like after its last step, so that nobody has to look again to report on it."""
    look = seen.observation
    _write(_seen_of(node), [look.as_dict() if look else None, seen.state, seen.reason])


def seen_after(nodes: Iterable[str]) -> dict[str, Seen]:
    """The same for those of these nodes where a step was taken."""
    found = {}
    for node in nodes:
        saved = _read(_seen_of(node))
        if saved is not None:
            look, state, reason = saved
            found[node] = Seen(Observation.from_dict(look) if look else None, state, reason)
    return found


def save_details(node: str, details: Mapping[str, Any]) -> None:
    """Of its DaemonSets, by namespace/name; see details.py."""
    _write(_details_of(node), details)


def details(nodes: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The same for those of these nodes that were asked for them."""
    found = {node: _read(_details_of(node)) for node in nodes}
    return {node: of_node for node, of_node in found.items() if of_node is not None}


def _part_of(node: str) -> str:
    return os.path.join("nodes", f"{quote(node, safe='')}.json")


def _seen_of(node: str) -> str:
    return os.path.join("nodes", f"{quote(node, safe='')}.seen")


def _details_of(node: str) -> str:
    return os.path.join("nodes", f"{quote(node, safe='')}.details")


@contextlib.contextmanager
def turn(daemonset: str, room: int) -> Iterator[None]:
    """Wait until fewer than ``room`` nodes of this DaemonSet are being switched, and be one of them meanwhile.

    With the pace «batch» no batch has more, so nobody waits; but neither forks nor a strategy can break the budget.
    The kernel frees the place of a worker that dies.
    """
    places = [_path(f"turn.{quote(daemonset, safe='')}.{number}") for number in range(room)]
    descriptor = _free(places)
    while descriptor is None:
        time.sleep(TURN_SECONDS)
        descriptor = _free(places)
    try:
        yield
    finally:
        os.close(descriptor)


def _free(places: Iterable[str]) -> int | None:
    """The first of these places that nobody has, locked."""
    for place in places:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        else:
            return descriptor
    return None


def add_problem(problem: Problem) -> None:
    """Recorded by one appending write, so that the workers of a batch do not need a lock."""
    line = json.dumps(problem).encode() + b"\n"
    descriptor = os.open(_path("problems"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def problems() -> list[Problem]:
    try:
        with open(_path("problems"), encoding="utf-8") as file:
            return [Problem(*json.loads(line)) for line in file]
    except FileNotFoundError:
        return []


def in_the_way(
    daemonset: str, phase: str, step: str, found: Iterable[Problem], tolerated: int = 0, wave: int = 0
) -> Problem | None:
    """The gate: the problem that forbids this step, if there is one.

    A failure in staging forbids to replace anything anywhere; one in a later phase forbids all later batches. What is
    missing or stopped may be started all the same: nothing can be lost there. ``tolerated``: so many nodes may fail, if
    they went back to what they had and serve. ``wave``: the rollout's step that this belongs to, which does not begin
    after one where a node was missed: that one is not completed.
    """
    failed: set[str] = set()
    for problem in found:
        if problem.daemonset != daemonset:
            continue
        if not problem.halts:
            if phase == problem.phase == SWITCH and problem.wave < wave:
                return problem
            continue
        if problem.phase == STAGE:
            if phase == SWITCH or step == REPLACE:
                return problem
        elif phase == SWITCH:
            failed.add(problem.node)
            if not problem.serves or len(failed) > tolerated:
                return problem
    return None


def going_back(plan: Plan) -> dict[str, list[str]]:
    """By DaemonSet, the nodes that go back if they came to the failed revision with its rollout."""
    found = problems()
    halted = {problem.daemonset for problem in found if problem.halts and problem.phase != STAGE}
    failed = {(problem.node, problem.daemonset) for problem in found}
    return {
        daemonset.settings.key: [
            entry.node
            for entry in daemonset.entries
            if entry.selected and entry.present and (entry.node, daemonset.settings.key) not in failed
        ]
        for daemonset in plan.daemonsets
        if daemonset.settings.policy.on_failure == ROLLBACK and daemonset.settings.key in halted
    }


def set_verdict(verdict: Mapping[str, list[str]]) -> None:
    _write("verdict.json", verdict)


def verdict(node: str) -> list[str]:
    """Why this node is not as declared, sentence by sentence; empty if it is."""
    found = (_read("verdict.json") or {}).get(node, [])
    return [str(sentence) for sentence in found]


def wrong() -> list[str]:
    """The nodes that are not as declared."""
    return list(_read("verdict.json") or {})


def _write(name: str, data: Any) -> None:
    descriptor = os.open(_path(name), os.O_WRONLY | os.O_TRUNC | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(data, file)


def _read(name: str) -> Any:
    try:
        with open(_path(name), encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None
