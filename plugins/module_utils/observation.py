# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands on a node: one read-only shell script, and the reading of what it prints.

The control node runs the script through the connection (no Python starts on the node), the module runs the very same
script before and after it acts, so both judge a node by the same evidence.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Dict, Mapping, NamedTuple

from . import engine, stand_in
from .engine import TITLES, Container

ROOT = "/var/lib/everynode"
RUN = "/run/everynode"
VETO = "/etc/everynode/hold"
DRAINED = "/etc/everynode/drained"
UNCONFIRMED = "unconfirmed."  # begins the name of an instance's file, and a revision's folder ends it: confirmation.py
PROGRAMS = ROOT + "/.program"  # what a control node may run here without a module, see program.py
UNIT_DIRECTORY = "/etc/systemd/system"
QUADLET_DIRECTORY = "/etc/containers/systemd"
UNDONE = "it was undone"  # why a revision is not tried again although nothing was wrong with it
MARK = "X-Everynode-Instance"

# The files of an unpacked archive, judged by mode, size and time: hashing hundreds of megabytes on every look would be
# too dear. What it looked like when it was unpacked lies in it as .everynode; only that is compared, for a program may
# write next to itself.
ARCHIVE_FILES = r"find . ! -type d ! -path ./.everynode -printf '%P %y %m %s %T@ %l\n' | sort"
ARCHIVE_DAMAGE = ARCHIVE_FILES + " | comm -23 .everynode - 2>&1"

# What a revision's files look like, content apart: a changed mode, owner or link, an added or a missing file shows
# here; so does what is missing or changed in an archive, and a changed .everynode.
LISTING = (
    r"""
everynode_listing() {
    {
        find . ! -name fingerprints -printf '%p %y %m %U %G %l\n'
        if [ -f archives ]; then
            while read -r archive; do
                (
                    cd "../../archives/$archive" 2>&1 && sha256sum .everynode 2>&1 || exit
                    """
    + ARCHIVE_DAMAGE
    + r"""
                )
            done <archives
        fi
    } | sort | sha256sum
}
"""
)

SCRIPT = (
    r"""
LC_ALL=C; PODMAN_IGNORE_CGROUPSV1_WARNING=1; export LC_ALL PODMAN_IGNORE_CGROUPSV1_WARNING
root=/var/lib/everynode
uid=
while read -r key rest uid others; do
    if [ "$key" = Uid: ]; then break; fi
done </proc/self/status
if [ "$uid" != 0 ]; then echo 'everynode-observation needs root'; exit 0; fi
if [ ! -d /run/systemd/system ]; then echo 'everynode-observation needs systemd'; exit 0; fi
"""
    + LISTING
    + r"""
echo 'everynode-observation 1'
read -r uptime rest </proc/uptime
memory=0
while read -r key value rest; do
    if [ "$key" = MemTotal: ]; then memory=$value; break; fi
done </proc/meminfo
ID=; VERSION_ID=
if [ -r /etc/os-release ]; then . /etc/os-release; fi
read -r boot_id </proc/sys/kernel/random/boot_id
package_manager=
for candidate in apt-get dnf yum zypper; do
    if command -v "$candidate" >/dev/null 2>&1; then package_manager=$candidate; break; fi
done
engines=
for candidate in docker podman; do
    if command -v "$candidate" >/dev/null 2>&1; then engines="$engines $candidate"; fi
done
set -- $(uname -mn)
echo "hostname=$1"
echo "arch=$2"
echo "os_id=$ID"
echo "os_version=$VERSION_ID"
echo "boot_id=$boot_id"
echo "uptime=$uptime"
set -- $(date '+%s.%N %z')
echo "now=$1"
echo "utc_offset=$2"
if [ -e /etc/everynode/hold ]; then
    veto=
    read -r veto </etc/everynode/hold
    printf 'veto=%s\n' "${veto:-no reason is given}"
fi
if [ -e /etc/everynode/drained ]; then
    drained=
    read -r drained </etc/everynode/drained
    printf 'drained=%s\n' "${drained:-somebody}"
fi
programs=
for candidate in "$root"/.program/*/; do
    if [ -d "$candidate" ]; then candidate=${candidate%/}; programs="$programs ${candidate##*/}"; fi
done
echo "programs=$programs"
echo "cpus=$(getconf _NPROCESSORS_ONLN)"
echo "memory_kib=$memory"
echo "package_manager=$package_manager"
echo "engines=$engines"
echo "route=$(ip -4 -o route get 192.0.2.1 2>/dev/null || ip -6 -o route get 2001:db8::1 2>/dev/null)"
echo "systemd=$(systemctl --version)"
echo '=== units'
cd /etc/systemd/system || exit 1
set --
for file in everynode.*; do
    case $file in
        *.service | *.timer | *.target) if [ -e "$file" ] || [ -L "$file" ]; then set -- "$@" "$file"; fi ;;
    esac
done
systemctl show --property=Id,LoadState,ActiveState,SubState,UnitFileState,NRestarts,Result,ExecMainStatus,ExecMainCode,\
InvocationID,ActiveEnterTimestampMonotonic,DropInPaths,NeedDaemonReload,FragmentPath -- 'everynode.*' "$@" 2>/dev/null
echo '=== marks'
grep -s '^X-Everynode-Instance=' /dev/null "$@"
cd /etc/containers/systemd 2>/dev/null && grep -s '^X-Everynode-Instance=' /dev/null everynode.*.kube
everynode_containers() {
    names=$(timeout 30 "$1" ps --all --quiet --no-trunc --filter label=everynode.instance 2>&1) || {
        printf 'trouble=%s\n' "$names"
        return
    }
    if [ -n "$names" ]; then timeout 30 "$1" container inspect --format "$2" $names; fi
}
for candidate in $engines; do
    echo "=== containers $candidate"
    case $candidate in
        docker)
            # Asking would start an engine that was stopped, through its socket.
            if [ ! -e /run/docker.pid ]; then echo 'trouble=it is not running'; continue; fi
            everynode_containers docker '"""
    + engine.TEMPLATES["docker"]
    + r"""'
            ;;
        podman)
            # Asking would make the storage of one that was never used.
            if [ -e /var/lib/containers/storage/db.sql ] || [ -e /var/lib/containers/storage/libpod/bolt_state.db ]
            then
                everynode_containers podman '"""
    + engine.TEMPLATES["podman"]
    + r"""'
            fi
            ;;
    esac 2>/dev/null
done
for directory in "$root"/*/*/; do
    directory=${directory%/}
    if [ ! -d "$directory" ]; then continue; fi
    echo "=== instance ${directory#"$root"/}"
    current=$(readlink "$directory/current")
    echo "current=$current"
    if [ -e "$directory/unconfirmed.${current##*/}" ]; then echo unconfirmed=yes; fi
    if [ -f "$directory/record.json" ]; then printf 'record=%s\n' "$(cat "$directory/record.json")"; fi
    if [ -f "$directory/containers.json" ]; then printf 'made=%s\n' "$(cat "$directory/containers.json")"; fi
    if [ -n "$current" ] && cd "$directory/$current" 2>/dev/null && read -r expected rest 2>/dev/null <fingerprints
    then
        found=$(everynode_listing)
        if [ "${found%% *}" != "$expected" ]; then
            echo 'damage=files were added or removed, or their owner or mode changed'
        fi
        { read -r expected; sha256sum --check --quiet 2>/dev/null; } <fingerprints | sed 's/^/damage=/'
        if [ -f programs ]; then
            while IFS= read -r program; do
                if [ ! -x "$program" ]; then echo "damage=the program $program is missing"; fi
            done <programs
        fi
    else
        echo 'damage=the current revision is not whole'
    fi
done
for lease in /run/everynode/*.lease; do
    if [ -r "$lease" ]; then echo "=== lease $lease"; cat "$lease"; fi
done
for state in /run/everynode/*.json; do
    if [ -r "$state" ]; then echo "=== state $state"; cat "$state"; echo; fi
done
echo '=== end'
"""
)


class Facts(NamedTuple):
    """What a definition and the plan need to know of the node itself."""

    arch: str  # as `uname -m` says it
    os_id: str
    os_version: str
    boot_id: str
    hostname: str
    host_ip: str  # the source address of the default route, "" if there is none
    cpus: int
    memory: int  # bytes
    systemd: int  # major version
    package_manager: str  # "apt", "dnf", "yum", "zypper" or ""
    engines: tuple[str, ...]  # of "docker" and "podman" those whose command is there
    now: float  # seconds since the epoch, by the node's clock
    utc_offset: int = 0  # seconds that the node's local time is ahead of UTC
    veto: str = ""  # what /etc/everynode/hold says: nothing may be changed on this node
    drained: str = ""  # by whom and when, as /etc/everynode/drained says: no instance may be on this node
    programs: str = ""  # versions of the node's program that are there, see program.py


class Past(NamedTuple):
    """A revision that was put in place on this node."""

    revision: str
    number: int  # Kubernetes' revision number, the same on all nodes; 0 if nobody gave one
    at: float  # seconds since the epoch, its latest switch
    cause: str = ""  # the annotation kubernetes.io/change-cause as it was then
    runtime: str = "systemd"


class Failure(NamedTuple):
    """A revision that is not tried again on this node by itself."""

    revision: str
    at: float  # seconds since the epoch
    reason: str


class Lease(NamedTuple):
    """Who rolls out a DaemonSet (coordination.k8s.io/Lease); it is kept on the first nodes that are eligible."""

    daemonset: str  # NAMESPACE/NAME
    run: str  # an opaque name of the one run that holds it
    holder: str  # who, for people: USER@HOST
    acquired: float  # seconds since the epoch, by this node's clock
    expires: float
    process: str = ""  # where its process can be looked for: BOOT-ID.PID-NAMESPACE/PID/START


class Instance(NamedTuple):
    """What stands of one DaemonSet on this node.

    ``intact`` means that everything on disk and in the service manager is as the current revision wants it;
    ``damage`` says in plain words what is not. ``running`` is true if any of its processes may be running.
    """

    namespace: str
    name: str
    revision: str | None
    runtime: str
    intact: bool
    damage: tuple[str, ...]
    running: bool
    ready: bool
    ready_since: float | None  # seconds since the epoch
    reason: str  # why it is not ready
    restarts: int
    created: float | None  # when the first instance was made here, seconds since the epoch
    history: tuple[Past, ...] = ()  # oldest first
    failed: tuple[Failure, ...] = ()
    confirmed: bool = True  # False: it was switched, and puts its last good revision back if nobody confirms it
    paused: str = ""  # who paused the rollout and when, "" if nobody did
    passed: int = 0  # steps of the rollout of its revision after which it need not pause any more
    restart_due: bool = False  # a rolling restart was asked for, and it was not restarted since


class Observation(NamedTuple):
    facts: Facts
    instances: tuple[Instance, ...]
    leases: tuple[Lease, ...] = ()

    def lease(self, daemonset: str) -> Lease | None:
        """The lease of NAMESPACE/NAME that somebody has here and that has not expired."""
        for lease in self.leases:
            if lease.daemonset == daemonset and lease.expires > self.facts.now:
                return lease
        return None

    def instance(self, namespace: str, name: str) -> Instance | None:
        for instance in self.instances:
            if (instance.namespace, instance.name) == (namespace, name):
                return instance
        return None

    def as_dict(self) -> dict[str, Any]:
        return {
            "facts": dict(self.facts._asdict(), engines=list(self.facts.engines)),
            "instances": [_instance_as_dict(instance) for instance in self.instances],
            "leases": [lease._asdict() for lease in self.leases],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Observation:
        return cls(
            facts=Facts(**dict(data["facts"], engines=tuple(data["facts"]["engines"]))),
            instances=tuple(_instance_from_dict(entry) for entry in data["instances"]),
            leases=tuple(Lease(**entry) for entry in data["leases"]),
        )


def _instance_as_dict(instance: Instance) -> dict[str, Any]:
    return dict(
        instance._asdict(),
        damage=list(instance.damage),
        history=[past._asdict() for past in instance.history],
        failed=[failure._asdict() for failure in instance.failed],
    )


def _instance_from_dict(data: Mapping[str, Any]) -> Instance:
    return Instance(
        **dict(
            data,
            damage=tuple(data["damage"]),
            history=tuple(Past(**past) for past in data["history"]),
            failed=tuple(Failure(**failure) for failure in data["failed"]),
        )
    )


class Clocks(NamedTuple):
    """What turns the units' and the probes' seconds since boot into a time of day; nobody can set them."""

    uptime: float  # seconds since boot when the node was looked at
    boot: float  # when that was, seconds since the epoch


class Engine(NamedTuple):
    """What a container engine told; ``containers`` by the NAMESPACE/NAME of their label."""

    trouble: str  # why it does not answer, "" if it does
    containers: dict[str, list[Container]]


Unit = Dict[str, str]  # the properties that `systemctl show` printed
NEEDS = {
    "everynode-observation needs root": (
        "looking at this node needs root: log in as root, or use become (-b, ansible_become: true)"
    ),
    "everynode-observation needs systemd": (
        "looking at this node needs systemd: this host was not booted with it, so nothing could keep a daemon running"
    ),
}


def parse(text: str) -> Observation:
    """Read what SCRIPT printed; raises ValueError, in words for the operator, if it is not a whole observation."""
    lines = text.replace("\r\n", "\n").split("\n")
    while lines and not lines[0].startswith("everynode-observation"):
        del lines[0]  # a login banner
    if not lines:
        raise ValueError(
            "the observation script printed nothing: is /bin/sh there, and does the login shell run commands?"
        )
    if lines[0] in NEEDS:
        raise ValueError(NEEDS[lines[0]])
    if lines[0] != "everynode-observation 1" or "=== end" not in lines:
        raise ValueError("the observation ended early: {}".format("; ".join(lines[-3:])))
    header, sections = _split(lines[1:])
    values = _pairs(header)
    uptime, now = _seconds(values, "uptime"), _seconds(values, "now")
    units: dict[str, Unit] = {}
    marks: dict[str, str] = {}
    states: dict[str, dict[str, Any]] = {}
    engines: dict[str, Engine] = {}
    found: dict[str, list[str]] = {}
    leases: list[Lease] = []
    for title, content in sections:
        kind, _blank, argument = title.partition(" ")
        if kind == "units":
            units = _units(content)
        elif kind == "marks":
            marks = _marks(content)
        elif kind == "containers":
            engines[argument] = _engine(content)
        elif kind == "instance" and argument.count("/") == 1:
            found[argument] = content
        elif kind == "lease":
            leases += _lease(_json("\n".join(content)))
        elif kind == "state":
            states[argument.rsplit("/", 1)[-1][: -len(".json")]] = _json("\n".join(content))
    for owner in [*marks.values(), *(owner for one in engines.values() for owner in one.containers)]:
        found.setdefault(owner, [])
    clocks = Clocks(uptime, now - uptime)
    left = {stand_in.instance_of(key) for key in found if stand_in.stands_in(key)}
    found.update({key: found.get(key, []) for key in left})
    judged = [
        _instance(key, content, units, marks, engines, states, clocks, key in left)
        for key, content in sorted(found.items())
        if not stand_in.stands_in(key)
    ]
    return Observation(
        facts=_facts(values, now),
        instances=tuple(instance for instance in judged if instance is not None),
        leases=tuple(leases),
    )


def _lease(data: Mapping[str, Any]) -> list[Lease]:
    """None, if it is not whole: /run can be written by root alone, so somebody's hand was at work."""
    try:
        return [Lease(**data)]
    except TypeError:
        return []


def _split(lines: list[str]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    header: list[str] = []
    sections: list[tuple[str, list[str]]] = []
    current = header
    for line in lines:
        if line.startswith("=== "):
            current = []
            sections.append((line[4:], current))
        else:
            current.append(line)
    return header, sections


def _pairs(lines: list[str]) -> dict[str, str]:
    return {key: value for key, equals, value in (line.partition("=") for line in lines) if equals}


def _seconds(values: Mapping[str, str], key: str) -> float:
    try:
        number = float(values[key].rstrip(".N"))  # a `date` that knows no nanoseconds
    except (KeyError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"the observation has no number for {key}: {values.get(key)!r}")
    return number


def _offset(text: str) -> int:
    """Seconds of "+0130"."""
    parts = re.fullmatch("([+-])([0-9]{2})([0-9]{2})", text)
    if parts is None:
        return 0
    seconds = int(parts[2]) * 3600 + int(parts[3]) * 60
    return -seconds if parts[1] == "-" else seconds


def _count(text: str | None) -> int:
    return int(text) if text and re.fullmatch("[0-9]{1,20}", text) else 0


def _json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _record(text: str) -> dict[str, Any]:
    """See record.py; empty if it is not whole, which only somebody's hand can bring about."""
    record = _json(text)
    units = record.get("units")
    whole = (
        isinstance(units, list)
        and all(isinstance(entry, dict) and isinstance(entry.get("unit"), str) for entry in units)
        and isinstance(record.get("revision"), str)
        and isinstance(record.get("runtime"), str)
    )
    containers = record.setdefault("containers", [])
    whole = whole and isinstance(containers, list) and all(isinstance(one.get("name"), str) for one in containers)
    return record if whole else {}


def placed(record: str, current: str) -> tuple[str | None, str]:
    """(revision, runtime) of what was put in place: by the line that is record.json, and where `current` points."""
    known = _record(record)
    return (hash_of(current.rpartition("/")[2]) or None) if known else None, known.get("runtime", "systemd")


def _time(value: Any) -> float | None:
    """Seconds since the epoch out of a JSON file, if that is what it is."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e15 else None


def _facts(values: Mapping[str, str], now: float) -> Facts:
    route = values.get("route", "").split()
    systemd = re.match("systemd ([0-9]{1,9})", values.get("systemd", ""))
    return Facts(
        arch=values.get("arch", ""),
        os_id=values.get("os_id", ""),
        os_version=values.get("os_version", ""),
        boot_id=values.get("boot_id", ""),
        hostname=values.get("hostname", ""),
        host_ip=route[route.index("src") + 1] if "src" in route[:-1] else "",
        cpus=_count(values.get("cpus")) or 1,
        memory=_count(values.get("memory_kib")) * 1024,
        systemd=int(systemd[1]) if systemd else 0,
        package_manager=values.get("package_manager", "").replace("apt-get", "apt"),
        engines=tuple(values.get("engines", "").split()),
        now=now,
        utc_offset=_offset(values.get("utc_offset", "")),
        veto=values.get("veto", ""),
        drained=values.get("drained", ""),
        programs=values.get("programs", "").strip(),
    )


def _units(lines: list[str]) -> dict[str, Unit]:
    units: dict[str, Unit] = {}
    for block in "\n".join(lines).split("\n\n"):
        unit = _pairs(block.split("\n"))
        if "Id" in unit:
            units[unit["Id"]] = unit
    return units


def _marks(lines: list[str]) -> dict[str, str]:
    """The owner of each unit; Podman's generator makes a service of a .kube file."""
    marks = {}
    for line in lines:
        file, _colon, mark = line.partition(":")
        owner = mark.partition("=")[2].strip()
        if owner.count("/") == 1:
            marks[file[: -len(".kube")] + ".service" if file.endswith(".kube") else file] = owner
    return marks


def _engine(lines: list[str]) -> Engine:
    containers: dict[str, list[Container]] = {}
    for line in lines:
        if line.startswith("trouble="):
            return Engine(line.partition("=")[2].strip() or "it does not answer", {})
        try:
            container = engine.read_container(line)
        except ValueError:
            continue
        owner = container.labels.get(engine.INSTANCE, "")
        if owner.count("/") == 1:
            containers.setdefault(owner, []).append(container)
    return Engine("", containers)


def _instance(
    key: str,
    content: list[str],
    units: Mapping[str, Unit],
    marks: Mapping[str, str],
    engines: Mapping[str, Engine],
    states: Mapping[str, Mapping[str, Any]],
    clocks: Clocks,
    stood_in: bool,
) -> Instance | None:
    namespace, _slash, name = key.partition("/")
    values = _pairs(content)
    record = _record(values.get("record", ""))
    wanted: dict[str, dict[str, Any]] = {entry["unit"]: entry for entry in record.get("units", [])}
    marked = {unit for unit, owner in marks.items() if owner == key}
    containers = {name: one.containers.get(key, []) for name, one in engines.items()}
    if not content and not marked and not any(containers.values()) and not stood_in:
        return None
    damage = [_damage(line[len("damage=") :]) for line in content if line.startswith("damage=")]
    if not record:
        damage = ["its record is missing or not whole"]
    elif values.get("current", "").rpartition("/")[2] != record["revision"]:
        damage = ["no revision was fully put in place"]
    for unit in sorted(wanted):
        damage += _unit_damage(unit, units.get(unit, {}), wanted[unit])
    if stood_in:
        damage.append("what stood in for it during an update was left behind")
    extra = sorted(marked - set(wanted))
    damage += [f"{unit} does not belong to the current revision" for unit in extra]
    active = any(_may_run(units.get(unit, {})) for unit in marked | set(wanted))
    everyone = [one for several in containers.values() for one in several]
    active = active or any(one.status in engine.UP for one in everyone)
    judged = [
        _readiness(unit, units.get(unit, {}), states.get(unit, {}), wanted[unit], clocks) for unit in sorted(wanted)
    ]
    revision, runtime = placed(values.get("record", ""), values.get("current", ""))
    if runtime in engines:
        pod = _Pod(record, _json(values.get("made", "")), containers.pop(runtime), states, clocks)
        if engines[runtime].trouble:
            damage.append(f"{TITLES[runtime]} does not answer: {engines[runtime].trouble}")
        else:
            damage += pod.damage()
            judged += pod.readiness()
    elif runtime != "systemd":
        damage.append(f"{TITLES.get(runtime, runtime)} is not on this node any more")
    damage += [
        f"the container {one.name} of {TITLES[name]} does not belong to the current revision"
        for name, several in containers.items()
        for one in several
    ]
    reasons = [reason for reason, _since in judged if reason]
    ready = bool(wanted) and not reasons
    return Instance(
        namespace=namespace,
        name=name,
        revision=revision,
        runtime=runtime,
        intact=not damage,
        damage=tuple(damage),
        running=active,
        ready=ready,
        ready_since=max((since for _reason, since in judged if since), default=None) if ready else None,
        reason="; ".join(reasons) if wanted else "it was never started",
        restarts=sum(_restarts(units.get(unit, {}), states.get(unit, {})) for unit in wanted)
        + sum(one.restarts for one in everyone),
        created=_time(record.get("created")),
        history=_history(record),
        failed=_failures(record),
        confirmed="unconfirmed" not in values,
        paused=str(record.get("paused") or ""),
        passed=_passed(record),
        restart_due=_time(record.get("restart")) is not None,
    )


def _history(record: Mapping[str, Any]) -> tuple[Past, ...]:
    entries = record.get("history")
    return tuple(
        Past(
            hash_of(str(entry.get("revision"))),
            entry.get("number", 0),
            entry.get("at", 0.0),
            entry.get("cause", ""),
            str(entry.get("revision")).partition(".")[2] or "systemd",
        )
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict)
    )


def _failures(record: Mapping[str, Any]) -> tuple[Failure, ...]:
    entries = record.get("failed")
    return tuple(
        Failure(str(entry.get("revision")), _time(entry.get("at")) or 0.0, str(entry.get("reason", "")))
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict)
    )


def _passed(record: Mapping[str, Any]) -> int:
    passed = record.get("passed")
    if not isinstance(passed, dict) or passed.get("revision") != hash_of(str(record.get("revision"))):
        return 0
    steps = passed.get("steps")
    return steps if isinstance(steps, int) else 0


class _Pod:
    """The containers that an engine should run of one instance, against those that it has."""

    def __init__(
        self,
        record: Mapping[str, Any],
        made: Mapping[str, Any],
        containers: list[Container],
        states: Mapping[str, Mapping[str, Any]],
        clocks: Clocks,
    ):
        self.record = record
        self.made = made
        self.wanted = {entry["name"]: entry for entry in record["containers"]}
        self.standing = {one.name: one for one in containers if one.name in self.wanted}
        self.others = [one for one in containers if one.name not in self.wanted]
        self.states = states
        self.clocks = clocks

    def damage(self) -> list[str]:
        found = []
        for name in sorted(self.wanted):
            container = self.standing.get(name)
            if container is None:
                found.append(f"the container {name} is missing")
            elif self.made.get(name, {}).get("id") != container.id:
                found.append(f"the container {name} was not made by everynode")
            elif container.labels.get(engine.REVISION) != hash_of(self.record["revision"]):
                found.append(f"the container {name} is of another revision")
            elif self.made[name].get("limits") != list(container.limits):
                found.append(f"the limits or the restart policy of the container {name} were changed")
            elif container.status not in engine.UP:
                found.append(f"the container {name} is {container.status}")
        return found + [f"the container {one.name} does not belong to the current revision" for one in self.others]

    def readiness(self) -> list[tuple[str, float | None]]:
        """As `_readiness`, for each container."""
        return [
            self._readiness(name, self.standing[name], self.wanted[name])
            for name in sorted(self.wanted)
            if name in self.standing
        ]

    def _readiness(self, name: str, container: Container, wanted: Mapping[str, Any]) -> tuple[str, float | None]:
        if not container.running:
            return f"{name} is {container_words(container)}", None
        if wanted.get("readiness"):
            return _probed(name, self.states.get(name + ".container", {}), container.invocation, self.clocks)
        return "", engine.epoch(container.started) if wanted.get("container") else None


def hash_of(folder: str) -> str:
    """The revision whose folder is this; for containers the engine is part of its name."""
    return folder.partition(".")[0]


def folder_of(revision: str, runtime: str) -> str:
    """The name of a revision's folder: what is written for one engine must not touch what runs under the other."""
    return revision if runtime == "systemd" else f"{revision}.{runtime}"


def container_words(container: Container) -> str:
    text = container.status
    if container.status in ("restarting", "exited", "dead"):
        text += f", last exit status {container.exit_code}"
    if container.error:
        text += f": {container.error}"
    return text


def _damage(line: str) -> str:
    """The script's own words, or those of `sha256sum --check`."""
    for ending, words in ((": FAILED open or read", " is missing"), (": FAILED", " was changed")):
        if line.endswith(ending):
            path = line[: -len(ending)]
            return (path[2:] if path.startswith("./") else path) + words
    return line


def _restarts(unit: Unit, probes: Mapping[str, Any]) -> int:
    """systemd's own, and those for which the keeper asked."""
    asked = probes.get("restarts")
    return _count(unit.get("NRestarts")) + (asked if isinstance(asked, int) else 0)


def _unit_damage(unit: str, state: Unit, wanted: Mapping[str, Any]) -> list[str]:
    load = state.get("LoadState")
    if not state or load == "not-found":
        return [f"{unit} is missing"]
    if load == "masked":
        return [f"{unit} is masked"]
    if load != "loaded":
        return [f"{unit} cannot be loaded ({load})"]
    damage = []
    if wanted.get("enabled") and state.get("UnitFileState") != "enabled":
        damage.append(
            "{} is {}, so it would not start at boot".format(unit, state.get("UnitFileState") or "not enabled")
        )
    if unit + ".d/" in state.get("DropInPaths", ""):
        damage.append("{} has drop-in files: {}".format(unit, state["DropInPaths"]))
    if state.get("NeedDaemonReload") == "yes":
        damage.append(f"{unit} changed on disk and was not loaded")
    if wanted.get("active") and state.get("ActiveState") in ("inactive", "failed"):
        damage.append(f"{unit} {words(state)}")
    return damage


def _may_run(state: Unit) -> bool:
    return state.get("ActiveState") in ("active", "activating", "deactivating", "reloading")


def _readiness(
    unit: str, state: Unit, probes: Mapping[str, Any], wanted: Mapping[str, Any], clocks: Clocks
) -> tuple[str, float | None]:
    """(why this unit keeps its instance from being ready, "" if it does not; ready since)."""
    if not wanted.get("active"):
        return "", None
    if state.get("ActiveState") != "active":
        return f"{unit} {words(state)}", None
    if wanted.get("readiness"):
        return _probed(unit, probes, state.get("InvocationID", ""), clocks)
    since = clocks.boot + _count(state.get("ActiveEnterTimestampMonotonic")) / 1e6
    return "", since if wanted.get("container") else None


def _probed(name: str, probes: Mapping[str, Any], invocation: str, clocks: Clocks) -> tuple[str, float | None]:
    """The readiness of what has a readiness probe, by what the keeper wrote down."""
    if probes.get("invocation") != invocation or not probes.get("ready"):
        message = probes.get("message") if probes.get("invocation") == invocation else None
        return "{} is not ready: {}".format(name, message or "its readiness probe has not succeeded yet"), None
    age = clocks.uptime - (_time(probes.get("looked")) or 0.0)
    if age > (_time(probes.get("valid")) or 0.0):
        return f"{name} is not ready: its probes were last run {age:.0f} s ago: does their timer run?", None
    return "", clocks.boot + (_time(probes.get("ready_since")) or 0.0)


def words(state: Unit) -> str:
    active, sub = state.get("ActiveState") or "is not loaded", state.get("SubState", "")
    text = {
        "inactive": "is stopped",
        "failed": "has failed",
        "activating": f"is starting ({sub})",
        "deactivating": "is stopping",
    }.get(active, active)
    restarts = _count(state.get("NRestarts"))
    if sub in ("auto-restart", "start-pre") and restarts:
        text = "is waiting to be restarted"
    result = state.get("Result", "success")
    if result != "success":
        text += ", last result: {}, exit status {}".format(result, state.get("ExecMainStatus", "?"))
    if restarts:
        text += f", restarted {restarts} times"
    return text
