# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody wants to know who looks closely: events, the last log lines, memory and CPU of the instances on a node.

As the observation, one read-only shell script without Python on the node, and the reading of what it prints; apart from
it, because reading logs is dear and the observation must be cheap.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..module_utils import events
from ..module_utils.engine import INSTANCE, epoch
from ..module_utils.observation import MARK, ROOT

ALL = -1  # as many lines as there are
UNLIMITED = 1 << 60  # what cgroup v1 has for no limit is a little less than 2^63

SCRIPT = (
    r"""
LC_ALL=C; PODMAN_IGNORE_CGROUPSV1_WARNING=1; export LC_ALL PODMAN_IGNORE_CGROUPSV1_WARNING
echo 'everynode-details 1'
echo "page=$(getconf PAGESIZE)"
echo "tick=$(getconf CLK_TCK)"
case $since in -*) since=$(($(date +%s) $since)) ;; esac
containers=
for engine in docker podman; do
    command -v "$engine" >/dev/null 2>&1 || continue
    id=.Id
    case $engine in
        docker) if [ ! -e /run/docker.pid ]; then continue; fi ;;
        podman)
            id=.ID
            if [ ! -e /var/lib/containers/storage/db.sql ] && [ ! -e /var/lib/containers/storage/libpod/bolt_state.db ]
            then continue; fi
            ;;
    esac
    names=$(timeout 30 "$engine" ps --all --quiet --no-trunc --filter label="""
    + INSTANCE
    + r""" 2>/dev/null) || continue
    if [ -n "$names" ]; then
        containers="$containers
$(timeout 30 "$engine" container inspect --format "$engine"' {{index .Config.Labels """
    + f'"{INSTANCE}"'
    + r"""}} {{'$id'}} {{.State.Pid}} {{.Name}}' $names 2>/dev/null)"
    fi
done

# The services that carry the mark of $1, but for the one of its probes.
everynode_units() {
    cd /etc/systemd/system && grep -lsxF """
    + f'"{MARK}=$1"'
    + r""" everynode.*.service | grep -v '\._probes\.service$'
}

# What the kernel has counted of $2, a container or unit of the instance $1; $3 is a process of it, and the path of its
# own cgroup has $4 in it. Where a controller has not counted it by itself, its processes are added up.
everynode_usage() {
    echo "=== usage $1 $(date +%s.%N) $2"
    found=$(
        while IFS=: read -r number controllers path; do
            case $path in *"$4"*) ;; *) continue ;; esac
            rest=${path#*"$4"}
            path="${path%%"$4"*}$4${rest%%/*}"
            for folder in "$controllers" "${controllers#name=}" unified; do
                if cd "/sys/fs/cgroup/$folder$path" 2>/dev/null; then
                    echo "folder:$PWD"
                    grep -sE '^([0-9]+|max)$|^(total_)?inactive_file |^usage_usec ' /dev/null \
                        memory.current memory.max memory.usage_in_bytes memory.limit_in_bytes memory.stat \
                        pids.current cpu.stat cpuacct.usage
                    break
                fi
            done
        done <"/proc/$3/cgroup"
    )
    echo "$found"
    case $found in
        *memory.current:* | *memory.usage_in_bytes:*)
            case $found in *cpuacct.usage:* | *cpu.stat:*) return ;; esac
            ;;
    esac
    folder=${found##*folder:}
    processes=$3
    if [ "$folder" != "$found" ]; then processes=$(cat "${folder%%
*}/cgroup.procs"); fi
    for process in $processes; do
        if stat=$(cat "/proc/$process/stat"); then echo "process:$stat"; fi
    done
}

everynode_sample() {
    for key in $keys; do
        for unit in $(everynode_units "$key"); do
            pid=$(systemctl show --property=MainPID --value -- "$unit")
            if [ "${pid:-0}" -gt 0 ]; then everynode_usage "$key" "$unit" "$pid" "$unit"; fi
        done
    done
    echo "$containers" | while read -r engine instance id pid name; do
        case " $keys " in *" $instance "*) ;; *) continue ;; esac
        if [ "${pid:-0}" -gt 0 ]; then everynode_usage "$instance" "${name#/}" "$pid" "$id"; fi
    done
}

if [ -n "$samples" ]; then everynode_sample 2>/dev/null; fi
for key in $keys; do
    echo "=== record $key"
    cat """
    + f'"{ROOT}/$key/record.json"'
    + r""" 2>/dev/null
    echo "=== events $key"
    cat """
    + f'"{ROOT}/$key/{events.FILE}"'
    + r""" 2>/dev/null
    if [ "$tail" = 0 ]; then continue; fi
    for unit in $(everynode_units "$key"); do
        echo "=== journal $key $unit"
        lines=$tail
        if [ "$tail" -lt 0 ]; then lines=all; fi
        timeout 60 journalctl --no-pager --quiet --all --output=json --output-fields=MESSAGE,CONTAINER_NAME \
            ${since:+"--since=@$since"} --lines="$lines" "_SYSTEMD_UNIT=$unit" 2>/dev/null
    done
done
if [ "$tail" != 0 ]; then
    echo "$containers" | while read -r engine instance id pid name; do
        case " $keys " in *" $instance "*) ;; *) continue ;; esac
        echo "=== log $instance ${name#/}"
        timeout 60 "$engine" logs --timestamps ${since:+"--since=$since"} --tail "$tail" "$id" 2>&1 </dev/null
    done
fi
if [ "$samples" = 2 ]; then
    sleep 1
    everynode_sample 2>/dev/null
fi
echo '=== end'
"""
)


class Question(NamedTuple):
    """What is asked of a node."""

    keys: tuple[str, ...]  # of which DaemonSets: NAMESPACE/NAME
    tail: int = 0  # how many log lines of each container, or ALL
    since: str = ""  # only lines from here on: seconds since the epoch, or "-600" for the last ten minutes; "": all
    samples: int = 0  # how often memory and CPU are read; only two of them, a second apart, tell how busy it is now

    def script(self) -> str:
        values = {
            "keys": " ".join(self.keys),
            "tail": str(self.tail),
            "since": self.since,
            "samples": str(self.samples or ""),
        }
        return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()) + SCRIPT


Details = dict[str, Any]  # {"events", "log", "usage"}, as docs/output.md has them of a node


def parse(text: str, keys: Sequence[str]) -> dict[str, Details]:
    """By NAMESPACE/NAME. Raises ValueError if it is not whole."""
    lines = text.replace("\r\n", "\n").split("\n")
    while lines and not lines[0].startswith("everynode-details 1"):
        del lines[0]  # a login banner
    if "=== end" not in lines:
        raise ValueError("the details ended early: {}".format("; ".join(lines[-3:]) or "nothing was printed"))
    header: list[str] = []
    sections: list[tuple[list[str], list[str]]] = []
    current = header
    for line in lines:
        if line.startswith("=== "):
            current = []
            sections.append((line.split(" ")[1:], current))
        elif line:
            current.append(line)
    containers = _Containers([" ".join(content) for title, content in sections if title[0] == "record"])
    found: dict[str, Details] = {key: {"events": [], "log": [], "usage": None} for key in keys}
    samples: dict[str, dict[str, list[_Sample]]] = {}
    measures = _Measures(header)
    for (kind, *words), content in sections:
        details = found.get(words[0]) if words else None
        if details is None:
            continue
        if kind == "events":
            details["events"] = events.read(content)
        elif kind == "journal":
            details["log"] += _journal(content, containers.of(words[1]))
        elif kind == "log" and containers.of(words[1]):
            details["log"] += _engine_log(content, containers.of(words[1]))
        elif kind == "usage" and containers.of(words[2]) not in ("", POD):
            of_instance = samples.setdefault(words[0], {})
            of_instance.setdefault(words[2], []).append(measures.sample(float(words[1]), content))
    for key, details in found.items():
        details["log"].sort(key=lambda line: line["at"])
        details["usage"] = _usage(samples.get(key, {}))
    return found


POD = "(pod)"  # what the unit of a pod says: that it starts, and why it does not


class _Containers:
    """Which container a unit, or what an engine runs under a name, is of: the records know."""

    def __init__(self, records: Sequence[str]) -> None:
        self._known: dict[str, str] = {}
        for text in records:
            try:
                record = json.loads(text)
                entries = [(one["unit"], one["container"]) for one in record["units"]]
                entries += [(one["name"], one["container"]) for one in record["containers"]]
                self._known.update({name: container or "" for name, container in entries})
                if record["containers"]:
                    self._known.update({one["unit"]: POD for one in record["units"] if one["active"]})
            except (ValueError, KeyError, TypeError):
                continue  # only somebody's hand makes it unreadable

    def of(self, name: str) -> str:
        """ "" for what is of none; what is not on record goes by its own name."""
        return self._known.get(name, name)


# ------------------------------------------------------------------------------------------------------------- the logs


def utc(seconds: float) -> str:
    """ISO 8601 to the microsecond, so that text sorts as time does."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _journal(lines: Sequence[str], container: str) -> list[dict[str, str]]:
    found = []
    for line in lines:
        try:
            entry = json.loads(line)
            at = utc(int(entry["__REALTIME_TIMESTAMP"]) / 1e6)
        except (ValueError, KeyError, TypeError):
            continue
        if "CONTAINER_NAME" in entry:
            continue  # Podman's, which is asked itself
        message = entry.get("MESSAGE")
        if isinstance(message, list):  # bytes that are no text, or hold a control character
            message = bytes(byte for byte in message if isinstance(byte, int) and 0 <= byte < 256).decode(
                "utf-8", "replace"
            )
        found += [
            {"at": at, "container": container, "line": part} for part in str(message or "").rstrip("\n").split("\n")
        ]
    return found


def _engine_log(lines: Sequence[str], container: str) -> list[dict[str, str]]:
    found = []
    for line in lines:
        timestamp, _blank, rest = line.partition(" ")
        at = epoch(timestamp)
        if at is not None:
            found.append({"at": utc(at), "container": container, "line": rest.rstrip("\r")})
    return found


# ------------------------------------------------------------------------------------------------------- memory and CPU


class _Sample(NamedTuple):
    at: float
    memory: int
    cpu: float  # seconds since it was started
    tasks: int
    limit: int | None


class _Measures:
    def __init__(self, header: Sequence[str]) -> None:
        values = dict(line.split("=", 1) for line in header if "=" in line)
        self._page = int(values.get("page") or 4096)
        self._tick = int(values.get("tick") or 100)

    def sample(self, at: float, lines: Sequence[str]) -> _Sample:
        """The working set, as the kubelet has it: without what the kernel could drop of files at once."""
        counted: dict[str, str] = {}
        processes: list[list[str]] = []
        for line in lines:
            name, _colon, value = line.partition(":")
            if name == "process":
                processes.append(value.rpartition(")")[2].split())
            elif " " in value:
                counted["{}:{}".format(name, value.split(" ")[0])] = value.split(" ")[1]
            else:
                counted[name] = value
        memory = _first(counted, "memory.current", "memory.usage_in_bytes")
        inactive = _first(counted, "memory.stat:total_inactive_file", "memory.stat:inactive_file") or 0
        if memory is None:
            memory, inactive = sum(int(one[21]) for one in processes if len(one) > 21) * self._page, 0
        microseconds, nanoseconds = _first(counted, "cpu.stat:usage_usec"), _first(counted, "cpuacct.usage")
        if nanoseconds is not None:
            cpu = nanoseconds / 1e9
        elif microseconds is not None:
            cpu = microseconds / 1e6
        else:
            cpu = sum(int(ticks) for one in processes for ticks in one[11:15]) / self._tick
        limit = _first(counted, "memory.max", "memory.limit_in_bytes")
        tasks = _first(counted, "pids.current")
        return _Sample(
            at,
            max(0, memory - inactive),
            cpu,
            sum(int(one[17]) for one in processes if len(one) > 17) if tasks is None else tasks,
            limit if limit is not None and limit < UNLIMITED else None,
        )


def _first(counted: Mapping[str, str], *names: str) -> int | None:
    values = [counted[name] for name in names if re.fullmatch("[0-9]{1,20}", counted.get(name, ""))]
    return int(values[0]) if values else None


def _usage(samples: Mapping[str, Sequence[_Sample]]) -> dict[str, Any] | None:
    """Of all containers together; None if nothing runs or nobody asked."""
    if not samples:
        return None
    last = [several[-1] for several in samples.values()]
    limits = [one.limit for one in last if one.limit is not None]
    full = [round(100 * one.memory / one.limit) for one in last if one.limit]
    cores = [_cores(several[0], several[-1]) for several in samples.values() if len(several) > 1]
    return {
        "memoryBytes": sum(one.memory for one in last),
        "memoryLimitBytes": sum(limits) if len(limits) == len(last) else None,
        # Of the container that is the nearest to its own limit: that is who would be killed.
        "memoryLimitPercent": max(full, default=None),
        "cpuSeconds": round(sum(one.cpu for one in last), 3),
        "cpuCores": round(sum(cores), 4) if len(cores) == len(samples) else None,
        "tasks": sum(one.tasks for one in last),
    }


def _cores(first: _Sample, last: _Sample) -> float:
    """One that was restarted in between has begun to count anew."""
    if last.at <= first.at:
        return 0.0
    return max(0.0, last.cpu - first.cpu if last.cpu >= first.cpu else last.cpu) / (last.at - first.at)
