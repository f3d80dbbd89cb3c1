# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time rolls out a DaemonSet: the lease that it keeps on some of the nodes, as Kubernetes' Lease.

A lease is a file on a witness, one line of JSON (observation.Lease). The script that takes, renews and gives it back
compares and swaps under a lock there, so of two runs that ask at once one is told of the other. It is free when it has
expired by the witness's own clock, and it may be taken from a run that is named: one that is certainly dead, or that
the operator wants to replace.
"""

from __future__ import annotations

import hashlib
import json
import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ..module_utils.observation import RUN, Lease
from .plan import NONE, NOT_SELECTED, SWITCH, WAIT, DaemonSetPlan, Plan, Seen

WITNESSES = 3  # so many nodes keep a lease, if so many answer
UNKNOWN = 6  # so many are asked at most that nobody has looked at
SECONDS = 600  # what a lease is good for without being renewed; besides, so long a batch may take:
ROUND_SECONDS = 120  # as many nodes as are at work at once
RENEWAL_SECONDS = 3  # a younger one is not renewed yet
TAKE_OVER = "-e daemonset_take_over=true"

# The lock is on the folder above, which never goes away, as that of the leases may at any time when it is empty. `run`
# and `expires` come first in a lease, so that nothing in the other values can be taken for them.
_SCRIPT = r"""
LC_ALL=C; export LC_ALL; umask 022
directory={directory}
exec 9<"${{directory%/*}}" && flock 9 || exit
now=$(date +%s) || exit
everynode_read() {{
    run=; expires=0; acquired=$now; line=
    if [ -r "$1" ]; then
        IFS= read -r line <"$1"
        run=${{line#*'"run": "'}}; run=${{run%%'"'*}}
        expires=${{line#*'"expires": '}}; expires=${{expires%%[!0-9]*}}
        acquired=${{line#*'"acquired": '}}; acquired=${{acquired%%[!0-9]*}}
    fi
}}
everynode_take() {{
    file=$directory/$1.lease
    everynode_read "$file"
    if [ "$run" != "$2" ]; then
        if [ "${{expires:-0}}" -gt "$now" ] && [ "$run" != "$3" ]; then
            printf 'held %s\n' "$line"
            return
        fi
        acquired=$now
    fi
    new="{{\"run\": \"$2\", \"expires\": $((now + $4)), \"acquired\": ${{acquired:-$now}}, $5"
    for attempt in 1 2 3; do
        if mkdir -p "$directory" && printf '%s\n' "$new" >"$file.new" && mv -f "$file.new" "$file"; then
            printf 'taken %s\n' "$new"
            return
        fi
    done
    exit 1
}}
everynode_release() {{
    everynode_read "$directory/$1.lease"
    if [ "$run" = "$2" ]; then rm -f "$directory/$1.lease" "$directory/$1.lease.new"; fi
    if [ -d "$directory" ]; then rmdir "$directory" 2>/dev/null; fi
}}
echo "everynode-lease $now"
{calls}
echo 'everynode-lease end'"""


@dataclass(frozen=True)
class Identity:
    """Who asks for a lease."""

    run: str  # an opaque name of this one run, nobody else's
    holder: str  # for people: USER@HOST
    process: str  # where to look for it, see process_of; "" if this control node cannot tell


@dataclass(frozen=True)
class Answer:
    """What a witness said."""

    now: float = 0.0  # seconds since the epoch, by its clock
    taken: Mapping[str, Lease] = field(default_factory=dict)  # by NAMESPACE/NAME
    held: Mapping[str, Lease] = field(default_factory=dict)  # by somebody else


def identity(holder: str, process: str, scratch: str) -> Identity:
    """``scratch`` is the folder of this run, which has that name on no two runs of one control node."""
    name = json.dumps([holder, process, scratch])
    return Identity(hashlib.sha256(name.encode()).hexdigest()[:20], holder, process)


def taking(me: Identity, daemonsets: Mapping[str, str], seconds: int, directory: str = RUN) -> str:
    """The script that takes or renews leases on one witness.

    ``daemonsets``: NAMESPACE/NAME → the run whose lease may be replaced although it has not expired, or "".
    """
    calls = []
    for key, replaced in daemonsets.items():
        rest = json.dumps({"daemonset": key, "holder": me.holder, "process": me.process})[1:]
        words = ["everynode_take", _file_of(key), me.run, replaced or me.run, str(seconds), rest]
        calls.append(shlex.join(words))
    return _SCRIPT.format(directory=shlex.quote(directory), calls="\n".join(calls))


def releasing(daemonsets: Mapping[str, str], directory: str = RUN) -> str:
    """The script that gives leases back, ``daemonsets``: NAMESPACE/NAME → run; what is another run's is left alone."""
    calls = [shlex.join(["everynode_release", _file_of(key), run]) for key, run in daemonsets.items()]
    return _SCRIPT.format(directory=shlex.quote(directory), calls="\n".join(calls))


def _file_of(key: str) -> str:
    return key.replace("/", ".")


def read_answer(text: str) -> Answer | None:
    """What the script printed; None if that is not whole."""
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[0].startswith("everynode-lease "):
        del lines[0]  # a login banner
    if not lines or lines[-1] != "everynode-lease end":
        return None
    found: dict[str, dict[str, Lease]] = {"taken": {}, "held": {}}
    try:
        for line in lines[1:-1]:
            word, _blank, data = line.partition(" ")
            lease = Lease(**json.loads(data))
            found[word][lease.daemonset] = lease
        return Answer(float(lines[0].split()[1]), found["taken"], found["held"])
    except (ValueError, TypeError, KeyError):
        return None


# ------------------------------------------------------------------------------------------------------------ processes


def process_of(boot_id: str, pid_namespace: str, pid: int, started: str) -> str:
    """Where a process can be looked for: on that machine since that boot, in that namespace of process ids."""
    return f"{boot_id}.{pid_namespace}/{pid}/{started}"


def place_of(process: str) -> str:
    """The part of it that says where: only there a process can be found missing."""
    return process.partition("/")[0]


def pid_of(process: str) -> int | None:
    parts = process.split("/")
    return int(parts[1]) if len(parts) == 3 and parts[1].isdigit() else None


# ---------------------------------------------------------------------------------------------------- the plan's leases


def changes_something(plan: DaemonSetPlan) -> bool:
    return any(entry.step not in (NONE, WAIT) for entry in plan.entries)


def lifetime(plan: Plan, forks: int) -> int:
    """For how many seconds to take the leases: they are renewed before a phase and before a batch, not within it."""
    return SECONDS + max((_longest_phase(daemonset, forks) for daemonset in plan.daemonsets), default=0)


def _longest_phase(plan: DaemonSetPlan, forks: int) -> int:
    sizes = Counter((entry.phase, entry.batch) for entry in plan.entries if entry.step != NONE)
    rounds = 0
    for (phase, _batch), size in sizes.items():
        at_once = min(forks, plan.room) if phase == SWITCH else forks
        rounds = max(rounds, math.ceil(size / max(1, at_once)))
    return rounds * (ROUND_SECONDS + plan.settings.min_ready_seconds)


def observed_leases(daemonset: str, seen: Mapping[str, Seen]) -> dict[str, tuple[Lease, float]]:
    """The leases of a DaemonSet that have not expired, each with its node's clock, by node."""
    found = {}
    for node, look in seen.items():
        lease = look.observation.lease(daemonset) if look.observation else None
        if look.observation and lease:
            found[node] = (lease, look.observation.facts.now)
    return found


def candidates(plan: DaemonSetPlan, seen: Mapping[str, Seen]) -> list[str]:
    """The nodes to ask for a lease, in this order, until enough have given one.

    That is the same for every run: the first eligible nodes of the inventory, whatever --limit says; where no node is
    eligible, those that have an instance. Nodes that nobody has looked at may turn out not to answer, so there are more
    than are needed. What lies of an old lease on any other node is taken as well, so that it goes in the end.
    """
    hosts = [entry.node for entry in plan.entries if entry.should_run]
    if not hosts:
        hosts = [entry.node for entry in plan.entries if entry.present]
    chosen: list[str] = []
    answered = unknown = 0
    for node in hosts:
        look = seen.get(node, Seen())
        if look.observation is not None:
            answered += 1
        elif look.state == NOT_SELECTED and unknown < UNKNOWN:
            unknown += 1
        else:
            continue
        chosen.append(node)
        if answered == WITNESSES:
            break
    old = (node for node, _lease, _now in old_leases(plan.settings.key, seen))
    return [*chosen, *(node for node in old if node not in chosen)]


def old_leases(daemonset: str, seen: Mapping[str, Seen]) -> list[tuple[str, Lease, float]]:
    """Every lease of a DaemonSet that is there, expired or not: (node, lease, that node's clock)."""
    return [
        (node, lease, look.observation.facts.now)
        for node, look in seen.items()
        if look.observation
        for lease in look.observation.leases
        if lease.daemonset == daemonset
    ]


# ---------------------------------------------------------------------------------------------------------------- words


def refusal(lease: Lease, node: str, now: float) -> str:
    """Why nothing is done: who is at it, since when, and what to do. ``now``: by the node's clock."""
    return (
        f"{lease.daemonset} is left alone: {_whose(lease, now)}; "
        f"its lease on {node} expires in {_span(lease.expires - now)} unless it is renewed. "
        f"Wait for the end of that run, or, if you know that it is dead, take over with {TAKE_OVER}"
    )


def loss(lease: Lease, now: float) -> str:
    """Why a run that had the lease does not go on."""
    return f"{lease.daemonset} is left as it is from here on: {_whose(lease, now)}, who took it over from this run"


def nowhere(reasons: Sequence[str]) -> str:
    """Why nothing is done where no node could keep the lease."""
    return f"it is left as it is, for no node could keep this run's lease: {'; '.join(reasons)}"


def expired(seconds: float) -> str:
    """Why a run whose lease was not renewed in time does nothing more."""
    return (
        f"it is left as it is, for this run's lease expired {_span(seconds)} ago and was not renewed in time "
        f"(was the control node asleep?): run it again"
    )


def _whose(lease: Lease, now: float) -> str:
    since = datetime.fromtimestamp(lease.acquired, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{lease.holder} rolls it out, since {since} ({_span(now - lease.acquired)} ago)"


def _span(seconds: float) -> str:
    count = max(0, round(seconds))
    if count < 120:
        return f"{count} s"
    return f"{count // 60} min" if count < 7200 else f"{count // 3600} h"
