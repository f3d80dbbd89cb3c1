# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The leases of this run: which it needs, where it has them, and whether they are still good.

That lies in the run's folder, beside what run.py keeps there. Only the tasks of the action ``lease`` write it, one
after the other; every step reads it before it touches its node. Times are seconds of a clock that nobody can set and
that goes on while the machine sleeps: a control node that was frozen finds its lease expired.
"""

from __future__ import annotations

import functools
import getpass
import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible import constants as C

from ...module_utils.observation import Lease
from ..lease import (
    RENEWAL_SECONDS,
    WITNESSES,
    Identity,
    candidates,
    changes_something,
    expired,
    identity,
    lifetime,
    nowhere,
    observed_leases,
    old_leases,
    pid_of,
    place_of,
    process_of,
)
from ..plan import Plan, Seen


@dataclass
class Need:
    """One DaemonSet that this run changes."""

    candidates: list[str]  # the nodes to ask, in this order
    others: dict[str, tuple[Lease, float]]  # what was observed: the lease of somebody else, and that node's clock
    confirmed: dict[str, float] = field(default_factory=dict)  # where this run has it, and when it was last told so
    begun: float | None = None  # when the first witness was asked
    good_until: float = 0.0
    refusal: str = ""  # why nothing may be done, or nothing more

    @property
    def fresh(self) -> list[str]:
        """The witnesses that need not be asked again yet."""
        now = clock()
        return [node for node, at in self.confirmed.items() if now - at < RENEWAL_SECONDS]

    def to_ask(self) -> list[str]:
        """Those that have it first: while they answer, they stay the witnesses."""
        fresh = self.fresh
        if self.refusal or len(fresh) >= WITNESSES:
            return []
        return [node for node in dict.fromkeys([*self.confirmed, *self.candidates]) if node not in fresh]

    def begin(self) -> None:
        """A witness is asked, so from now on nothing is done without a lease."""
        if self.begun is None:
            self.begun = clock()

    def was_before(self, lease: Lease, now: float) -> bool:
        """Whether somebody had it before this run began to ask, and did not take it from this run.

        A witness tells whole seconds; a loss shows when the lease is renewed, which is much later than that.
        """
        return self.begun is None or now - lease.acquired + 2 > clock() - self.begun

    def confirm(self, node: str, asked_at: float, seconds: int) -> None:
        self.confirmed[node] = asked_at
        self.good_until = asked_at + seconds


@dataclass
class Leases:
    """All of them; ``mute``: the nodes that could not keep one, and why."""

    needs: dict[str, Need]
    me: Identity  # this run's, found out once: a worker whose parent was killed has another one, which never ends
    seconds: int  # what they are taken for
    mute: dict[str, str] = field(default_factory=dict)
    # By node and DaemonSet, of those that this run does not change, the ended runs whose leases are still there.
    left: dict[str, dict[str, str]] = field(default_factory=dict)

    def to_ask(self) -> list[str]:
        """The nodes to ask now, in the order in which every run asks."""
        nodes = dict.fromkeys(node for need in self.needs.values() for node in need.to_ask())
        return [node for node in nodes if node not in self.mute]

    def wanted_from(self, node: str) -> list[str]:
        return [] if node in self.mute else [key for key, need in self.needs.items() if node in need.to_ask()]

    def witnesses(self) -> list[str]:
        """The nodes where this run has any lease, or an ended one has left any."""
        return list(dict.fromkeys([*(node for need in self.needs.values() for node in need.confirmed), *self.left]))

    def kept_by(self, node: str) -> dict[str, str]:
        """DaemonSet → the run whose lease on it is to go from this node."""
        mine = {key: self.me.run for key, need in self.needs.items() if node in need.confirmed}
        return {**self.left.get(node, {}), **mine}


def begin(plan: Plan, seen: Mapping[str, Seen]) -> None:
    """Note what this run needs a lease for: what it changes. Comes after run.begin, before the first lease is taken."""
    me = who()
    needs = {}
    left: dict[str, dict[str, str]] = {}
    for daemonset in plan.daemonsets:
        key = daemonset.settings.key
        if changes_something(daemonset):
            others = {node: found for node, found in observed_leases(key, seen).items() if found[0].run != me.run}
            needs[key] = Need(candidates(daemonset, seen), others)
            continue
        for node, lease, now in old_leases(key, seen):
            if lease.expires <= now or is_dead(lease.process):
                left.setdefault(node, {})[key] = lease.run
    save(Leases(needs, me, lifetime(plan, C.DEFAULT_FORKS), left=left))


def load() -> Leases:
    """Nothing is needed where nobody has planned."""
    try:
        with open(_path(), encoding="utf-8") as file:
            data = json.load(file)
    except FileNotFoundError:
        return Leases({}, Identity("", "", ""), 0)
    return Leases(
        **{**data, "me": Identity(**data["me"]), "needs": {key: _need(need) for key, need in data["needs"].items()}}
    )


def _need(data: Mapping[str, Any]) -> Need:
    others = {node: (Lease(*lease), now) for node, (lease, now) in data["others"].items()}
    return Need(**{**data, "others": others})


def save(leases: Leases) -> None:
    """Written beside and renamed, for a step may read it at any time."""
    descriptor = os.open(_path() + ".new", os.O_WRONLY | os.O_TRUNC | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(leases), file)
    os.rename(_path() + ".new", _path())


def _path() -> str:
    return os.path.join(C.DEFAULT_LOCAL_TMP, "everynode", "leases.json")


def refused() -> dict[str, str]:
    """The DaemonSets that are somebody else's, and in whose words; they were said."""
    return {key: need.refusal for key, need in load().needs.items() if need.refusal}


def obstacle(daemonset: str) -> str:
    """Why this run may not touch a DaemonSet any more although nobody refused it, "" if it may."""
    leases = load()
    need = leases.needs.get(daemonset)
    if need is None or need.begun is None:
        return ""  # it needs no lease, or is in a play that takes none
    if is_dead(leases.me.process):
        return "it is left as it is, for the run that asked for a change has ended"
    if not need.confirmed:
        return nowhere([f"{node}: {why}" for node, why in leases.mute.items()])
    late = clock() - need.good_until
    return expired(late) if late > 0 else ""


def clock() -> float:
    """Seconds since the machine was started, those included in which it slept."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


# ------------------------------------------------------------------------------------------------------------ processes


def who() -> Identity:
    """This run: its worker processes are children of one process."""
    user = os.environ.get("SUDO_USER") or getpass.getuser()
    return identity(f"{user}@{socket.gethostname()}", _process(os.getppid()), C.DEFAULT_LOCAL_TMP)


def _process(pid: int) -> str:
    started = _started(pid)
    here = _here()
    return process_of(*here, pid, started) if here and started else ""


@functools.cache
def _here() -> tuple[str, str] | None:
    """This boot of this machine, and which processes can be seen here; None where there is no /proc."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip(), os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """When a process began, in ticks since boot; "" if it has ended and None if nobody here may know."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None  # it may be hidden from us
    return "" if fields[0] in ("Z", "X") else fields[19]


def is_dead(process: str) -> bool:
    """Whether a process has certainly ended; never, if it is to be looked for elsewhere."""
    here, pid = _here(), pid_of(process)
    if here is None or pid is None or place_of(process) != place_of(process_of(*here, pid, "")):
        return False
    started = _started(pid)
    return started is not None and started != process.rpartition("/")[2]
