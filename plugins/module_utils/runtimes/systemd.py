# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host processes under systemd: one service a container, each enabled at boot, and a timer for their probes.

A definition goes in (see plugin_utils/definition.py), files and units come out; instance.py decides when they are put
in place, started, stopped and removed.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import grp
import json
import math
import os
import pwd
import socket
import stat
import sys
from typing import Any, Callable, Dict, Mapping, NamedTuple, Sequence, Tuple

from .. import files, keeper
from ..files import File
from ..observation import MARK, ROOT, RUN, UNIT_DIRECTORY

# Before what is ours in a unit: the variables are the container's, and may lead to other programs and libraries.
OUR_ENVIRONMENT = f"/usr/bin/env -i PATH={keeper.PATH} "
RESTART_SECONDS = 1  # the floor; the growing back-off is the keeper's
# Tried again for ever with growing pauses, as the kubelet does with init containers.
INIT_LOOP = (
    'pause=1; until "$@"; do echo "init container failed with $?, next try in $pause s" >&2; '
    'LD_PRELOAD= LD_LIBRARY_PATH= /bin/sleep "$pause"; '
    'pause=$((pause * 2)); [ "$pause" -le 300 ] || pause=300; done'
)
# Made by the first unit that uses it, found by the others and after a restart. Nobody but root gets to it from outside.
MEMORY_VOLUME = (
    'base=${1%/*}; mkdir -p "$base" && chmod 0700 "$base" && mkdir -p "$1" || exit; '
    '[ -z "$4" ] || mountpoint -q "$1" || mount -t tmpfs -o "size=$4" tmpfs "$1" || exit; '
    'chown "0:$3" "$1" && chmod "$2" "$1"'
)
HOST_PATH_TESTS = {
    "Directory": stat.S_ISDIR,
    "DirectoryOrCreate": stat.S_ISDIR,
    "File": stat.S_ISREG,
    "FileOrCreate": stat.S_ISREG,
    "Socket": stat.S_ISSOCK,
    "CharDevice": stat.S_ISCHR,
    "BlockDevice": stat.S_ISBLK,
}


Variables = Dict[str, Tuple[str, bool]]  # the value, and whether it comes from a Secret


class Rendered(NamedTuple):
    """What a revision's folder holds (``directories``: those of a mode other than 0755), and its units."""

    files: dict[str, File]
    directories: dict[str, int]
    units: list[dict[str, Any]]

    def unit_files(self) -> dict[str, File]:
        return {name[len("units/") :]: file for name, file in self.files.items() if name.startswith("units/")}


class Systemd:
    def __init__(self, definition: Mapping[str, Any], secrets: Mapping[str, Any]):
        self.definition = definition
        self.secrets = secrets
        self.base = "everynode.{}.{}".format(definition["namespace"], definition["name"])
        self.directory = os.path.join(ROOT, definition["namespace"], definition["name"])
        self.revision = os.path.join(self.directory, "revisions", definition["revision"])
        self.volumes = {volume["name"]: volume for volume in definition["volumes"]}

    # ------------------------------------------------------------------------------------------------------- rendering

    def render(self) -> Rendered:
        containers = self.definition["containers"]
        content: dict[str, File] = {}
        units: list[dict[str, Any]] = []
        earlier: list[Mapping[str, Any]] = []
        for container in containers:
            unit = self.unit(container)
            content["units/" + unit] = _text(self._service(container, earlier))
            content["environment/" + container["name"]] = File(self._environment_file(container), 0o600, secret=True)
            units.append(_entry(unit, container["name"], readiness="readiness" in container["probes"]))
            if container["role"] != "main":
                earlier.append(container)
        period = self._probe_period()
        if period:
            content[f"units/{self.base}._probes.timer"] = _text(self._timer(period))
            content[f"units/{self.base}._probes.service"] = _text(self._prober())
            units.append(_entry(self.base + "._probes.timer"))
            units.append(_entry(self.base + "._probes.service", enabled=False, active=False))
        if len(containers) > 1:
            content[f"units/{self.base}.target"] = _text(
                self._target([entry["unit"] for entry in units if entry["active"]])
            )
            units.append(_entry(self.base + ".target"))
        content["keeper.py"] = File(_keeper_source(), 0o644)
        content["keeper.json"] = File(_json({"units": self._keeper_entries()}), 0o600, secret=True)
        public = {key: value for key, value in self.definition.items() if key != "minReadySeconds"}
        content["definition.json"] = File(_json({"definition": public, "secrets": self.secrets}), 0o600, secret=True)
        programs = sorted({path for path in map(self._program, containers) if path})
        content["programs"] = File("".join(path + "\n" for path in programs).encode(), 0o644)
        archives = sorted({source["sha256"] for source in self.definition["sources"] if source["kind"] == "archive"})
        if archives:
            content["archives"] = File("".join(sha + "\n" for sha in archives).encode(), 0o644)
        directories = {"environment": 0o700}
        for volume in self.definition["volumes"]:
            if volume["kind"] == "files":
                # Nobody but root gets past it; the daemon sees its volumes through its own mounts.
                directories["volumes"] = 0o700
                directories["volumes/" + volume["name"]] = 0o755
                content.update(self._volume_files(volume))
        self._add_mount_points(content, directories)
        return Rendered(content, directories, units)

    def unit(self, container: Mapping[str, Any]) -> str:
        mains = [other for other in self.definition["containers"] if other["role"] == "main"]
        if container["role"] == "main" and len(mains) == 1:
            return self.base + ".service"
        return "{}.{}.service".format(self.base, container["name"])

    def _head(self, description: str) -> list[str]:
        return [
            "# Written by everynode.daemonset; changes made here are put back by the next apply.",
            "[Unit]",
            "Description=" + _specifiers(description),
            "{}={}/{}".format(MARK, self.definition["namespace"], self.definition["name"]),
            "X-Everynode-Revision=" + self.definition["revision"],
        ]

    def _part_of_target(self) -> list[str]:
        return [f"PartOf={self.base}.target"] if len(self.definition["containers"]) > 1 else []

    def _service(self, container: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> list[str]:
        key = "{}/{}".format(self.definition["namespace"], self.definition["name"])
        title = "DaemonSet " + key
        if len(self.definition["containers"]) > 1:
            title += ", container " + container["name"]
        lines = self._head(title)
        lines += ["Wants=network-online.target", "After=network-online.target", "StartLimitIntervalSec=0"]
        lines += self._part_of_target()
        if any(self.volumes[mount["volume"]]["kind"] == "hostPath" for mount in container["mounts"]):
            # RequiresMountsFor= would also stop the daemon when a file system is unmounted, and never start it again.
            lines.append("After=local-fs.target remote-fs.target")
        for other in earlier:
            lines.append("After=" + self.unit(other))
            lines.append(("Requires=" if other["role"] == "init" else "Wants=") + self.unit(other))
        lines += ["", "[Service]"]
        lines += self._process(container)
        lines += self._sandbox(container)
        lines += _limits(container["resources"])
        return lines + ["", "[Install]", "WantedBy=multi-user.target"]

    def _process(self, container: Mapping[str, Any]) -> list[str]:
        unit, grace = self.unit(container), self.definition["terminationGracePeriodSeconds"]
        command = [_quote(word) for word in container["argv"]]
        for index in self.secrets["arguments"].get(container["name"], {}):
            command[int(index)] = f'"${{EVERYNODE_ARGUMENT_{index}}}"'
        environment = os.path.join(self.revision, "environment", container["name"])
        lines = [
            "EnvironmentFile=" + _specifiers(environment),
            "WorkingDirectory=" + _specifiers(container["workingDirectory"] or "/"),
        ]
        lines.append("SyslogIdentifier=" + unit[: -len(".service")])
        if container["role"] == "init":
            loop = f"ExecStart=/bin/sh -c {_quote(INIT_LOOP)} sh "
            return lines + ["Type=oneshot", "RemainAfterExit=yes", "TimeoutStartSec=infinity", loop + " ".join(command)]
        lines += ["Type=exec", "ExecStartPre=-+" + self._keeper("back-off", unit), "ExecStart=" + " ".join(command)]
        lines += self._hooks(container["lifecycle"], unit)
        if "startup" in container["probes"]:
            lines.append("ExecStartPost=+" + self._keeper("wait-started", unit))
        # In systemd a timeout of nothing means no timeout, in Kubernetes it means: kill at once.
        lines += [f"TimeoutStopSec={grace}"] if grace else ["TimeoutStopSec=1", "KillSignal=SIGKILL"]
        return lines + [
            "KillMode=mixed",
            "TimeoutStartSec=infinity",
            "Restart=always",
            f"RestartSec={RESTART_SECONDS}",
        ]

    def _hooks(self, lifecycle: Mapping[str, Any], unit: str) -> list[str]:
        lines = []
        if "postStart" in lifecycle:
            lines.append("ExecStartPost=" + self._hook(lifecycle["postStart"], "postStart", unit))
        if "preStop" in lifecycle:
            hook = self._hook(lifecycle["preStop"], "preStop", unit)
            if hook.startswith("+"):
                lines.append("ExecStop=-" + hook)
            else:  # systemd also runs ExecStop when the process died by itself, Kubernetes does not
                lines.append("ExecStop=-/bin/sh -c {} sh {}".format(_quote('[ -z "$MAINPID" ] || exec "$@"'), hook))
        return lines

    def _hook(self, action: Mapping[str, Any], name: str, unit: str) -> str:
        if "exec" in action:
            return " ".join(_quote(word) for word in action["exec"]["command"])
        if "sleep" in action:
            return f"/bin/sleep {action['sleep']['seconds']}"
        return "+" + self._keeper(name, unit)

    def _keeper(self, verb: str, unit: str = "") -> str:
        words = [_python(), "-I", os.path.join(self.revision, "keeper.py"), verb]
        return OUR_ENVIRONMENT + " ".join(_quote(word) for word in words + ([unit] if unit else []))

    def _sandbox(self, container: Mapping[str, Any]) -> list[str]:
        lines = []
        for mount in container["mounts"]:
            source, read_only = self._mount_source(mount)
            # A folder that is the host's own at its own place needs no mount, unless everything else becomes read-only.
            if source == mount["target"] and not read_only and not container["security"]["readOnlyRoot"]:
                continue
            kind = "BindReadOnlyPaths=" if read_only else "BindPaths="
            # Before an ExecStartPre has made it, the volume in memory is not there after a boot.
            missing = "-" if self._in_memory(mount) else ""
            lines.append(kind + _specifiers("{}:{}:rbind".format(_path(missing + source), _path(mount["target"]))))
        for name in sorted({mount["volume"] for mount in container["mounts"]}):
            volume = self.volumes[name]
            if volume["kind"] == "emptyDir" and volume["medium"] == "Memory":
                mode, group = _empty_dir_access(volume)
                words = [os.path.join(RUN, self.base, name), f"{mode:o}", str(group), str(volume["sizeLimit"] or "")]
                # Even a command with «+» is given the unit's mount namespace, where the mount would end with it.
                host = f"+{OUR_ENVIRONMENT}nsenter --target 1 --mount --"
                arguments = " ".join(_quote(word) for word in words)
                lines.append(f"ExecStartPre={host} /bin/sh -c {_quote(MEMORY_VOLUME)} sh {arguments}")
        return lines + _security(container["security"])

    def _in_memory(self, mount: Mapping[str, Any]) -> bool:
        volume = self.volumes[mount["volume"]]
        return bool(volume["kind"] == "emptyDir" and volume["medium"] == "Memory")

    def _mount_source(self, mount: Mapping[str, Any]) -> tuple[str, bool]:
        volume = self.volumes[mount["volume"]]
        if volume["kind"] == "hostPath":
            source, read_only = volume["path"], mount["readOnly"]
        elif volume["kind"] == "files":
            source, read_only = os.path.join(self.revision, "volumes", volume["name"]), True
        elif volume["medium"] == "Memory":
            source, read_only = os.path.join(RUN, self.base, volume["name"]), mount["readOnly"]
        else:
            source, read_only = os.path.join(self.directory, "volumes", volume["name"]), mount["readOnly"]
        return os.path.normpath(os.path.join(source, mount["subPath"])), read_only

    def environments(self) -> dict[str, Variables]:
        """What is in the environment file of each container."""
        result = {}
        for container in self.definition["containers"]:
            name = container["name"]
            variables = {key: (value, False) for key, value in container["environment"].items()}
            for key, value in self.secrets["environment"].get(name, {}).items():
                variables[key] = (value, True)
            for index, word in self.secrets["arguments"].get(name, {}).items():
                variables["EVERYNODE_ARGUMENT_" + index] = (word, True)
            result[name] = variables
        return result

    def _environment_file(self, container: Mapping[str, Any]) -> bytes:
        variables = self.environments()[container["name"]]
        return "".join(
            f"{name}={_environment_value(value)}\n" for name, (value, _secret) in sorted(variables.items())
        ).encode()

    def _volume_files(self, volume: Mapping[str, Any]) -> dict[str, File]:
        hidden = self.secrets["files"].get(volume["name"], {})
        result = {}
        for file in volume["files"]:
            secret = file["content"] is None
            mode = file["mode"]
            if secret and not self._read_by_others(volume["name"]):
                mode &= 0o700
            content = base64.b64decode(hidden[file["path"]] if secret else file["content"])
            name = os.path.join("volumes", volume["name"], file["path"])
            result[name] = File(content, mode, volume["group"] or 0, secret)
        return result

    def _add_mount_points(self, content: dict[str, File], directories: dict[str, int]) -> None:
        """systemd would make what is mounted into a volume of files there, and the revision would look damaged."""
        for container in self.definition["containers"]:
            for mount in container["mounts"]:
                around = _mount_around(mount, container["mounts"])
                if around is None or self.volumes[around["volume"]]["kind"] != "files":
                    continue
                below = os.path.relpath(mount["target"], around["target"])
                name = os.path.normpath(os.path.join("volumes", around["volume"], around["subPath"], below))
                if name in content or any(other.startswith(name + "/") for other in content):
                    continue
                if self._is_file(mount):
                    content[name] = File(b"", 0o644)
                else:
                    directories[name] = 0o755

    def _is_file(self, mount: Mapping[str, Any]) -> bool:
        volume = self.volumes[mount["volume"]]
        if volume["kind"] == "files":
            return os.path.normpath(mount["subPath"]) in [file["path"] for file in volume["files"]]
        source, _read_only = self._mount_source(mount)
        if os.path.exists(source):
            return not os.path.isdir(source)
        return volume["kind"] == "hostPath" and volume["type"] == "FileOrCreate" and not mount["subPath"]

    def _read_by_others(self, volume: str) -> bool:
        return any(
            container["security"]["user"] or container["security"]["group"]
            for container in self.definition["containers"]
            if volume in [mount["volume"] for mount in container["mounts"]]
        )

    def _probe_period(self) -> int:
        """How often the timer must tick so that every probe can keep its own period; 0 if there is none."""
        period = 0
        for container in self.definition["containers"]:
            for kind in ("liveness", "readiness"):
                if kind in container["probes"]:
                    period = math.gcd(period, int(container["probes"][kind].get("periodSeconds") or 10))
        return period

    def _timer(self, period: int) -> list[str]:
        lines = self._head("Probes of DaemonSet {namespace}/{name}".format(**self.definition)) + self._part_of_target()
        lines += ["", "[Timer]", "OnActiveSec=1", f"OnUnitInactiveSec={period}", "AccuracySec=250ms"]
        return lines + ["", "[Install]", "WantedBy=multi-user.target"]

    def _prober(self) -> list[str]:
        lines = self._head("Probes of DaemonSet {namespace}/{name}".format(**self.definition))
        # Without the limit every probe would leave systemd's «Starting» and «Finished» in the journal.
        return lines + ["", "[Service]", "Type=oneshot", "LogLevelMax=notice", "ExecStart=" + self._keeper("probe")]

    def _target(self, units: Sequence[str]) -> list[str]:
        lines = self._head("DaemonSet {namespace}/{name}".format(**self.definition))
        return lines + ["Wants=" + " ".join(units), "", "[Install]", "WantedBy=multi-user.target"]

    def _keeper_entries(self) -> dict[str, Any]:
        return {
            self.unit(container): dict(
                container["lifecycle"],
                probes=container["probes"],
                workingDirectory=container["workingDirectory"],
                environment={
                    **container["environment"],
                    **self.secrets["environment"].get(container["name"], {}),
                },
            )
            for container in self.definition["containers"]
            if container["probes"] or container["lifecycle"]
        }

    # ----------------------------------------------------------------------------------------------- before the switch

    def problems(self, sources_present: bool) -> list[str]:
        """What would keep this revision from starting here; programs are looked for once their sources are there."""
        found = []
        for volume in self.definition["volumes"]:
            if volume["kind"] == "hostPath":
                found += _host_path_problems(volume)
        for container in self.definition["containers"]:
            found += _identity_problems(container)
            if sources_present or container["source"]["kind"] == "host":
                found += self._program_problems(container)
        return found

    def held_ports(self, own_units: Sequence[str]) -> list[str]:
        """The ports declared here that somebody else listens on, in words; own_units are those that will have ended."""
        wanted = {(port["port"], port["protocol"]): port for port in self.definition["ports"]}
        listening = [
            entry
            for entry in (_listening() if wanted else [])
            if (entry.port, entry.protocol) in wanted
            and _same_address(wanted[entry.port, entry.protocol]["hostIP"], entry.address)
        ]
        holders = _holders({entry.inode for entry in listening}) if listening else {}
        # What a socket unit listens on is held by systemd itself.
        given_up = {*own_units, *(["init.scope"] if any(unit.endswith(".socket") for unit in own_units) else [])}
        found = set()
        for entry in listening:
            units = {pid: _unit_of(pid) for pid in holders.get(entry.inode, [])}
            if not given_up.intersection(units.values()):
                names = [
                    f"{_command_of(pid)} ({', '.join([f'pid {pid}', *filter(None, [unit])])})"
                    for pid, unit in units.items()
                ]
                found.add(f"port {entry.port}/{entry.protocol} is held by {', '.join(names) or 'something unknown'}")
        return sorted(found)

    def _program_problems(self, container: Mapping[str, Any]) -> list[str]:
        program = container["argv"][0]
        if any(self._is_program(container, path) for path in _candidates(program)):
            return []
        return [
            "container {}: the program {} is not on this node{}".format(
                container["name"], program, self._where(container)
            )
        ]

    def _is_program(self, container: Mapping[str, Any], path: str) -> bool:
        """Whether this path is a program as the container sees it, through its mounts."""
        mount = _mount_of(path, container["mounts"])
        if mount is None:
            return _executable(path)
        volume = self.volumes[mount["volume"]]
        below = os.path.normpath(os.path.join(mount["subPath"], os.path.relpath(path, mount["target"])))
        if volume["kind"] == "files":
            return any(file["path"] == below and file["mode"] & 0o111 for file in volume["files"])
        if volume["kind"] == "hostPath":
            return _executable(os.path.normpath(os.path.join(volume["path"], below)))
        return os.path.isabs(
            container["argv"][0]
        )  # an init container may bring it; by its name alone it is not expected

    def _program(self, container: Mapping[str, Any]) -> str | None:
        """The container's program, if it is one of the host's own that can be missed later."""
        program = container["argv"][0]
        candidates = _candidates(program)
        found = next((path for path in candidates if self._is_program(container, path)), None)
        path = found or (program if os.path.isabs(program) else None)
        mount = _mount_of(path, container["mounts"]) if path else None
        return path if mount is None or self._mount_source(mount)[0] == mount["target"] else None

    def _where(self, container: Mapping[str, Any]) -> str:
        program = container["argv"][0]
        mount = _mount_of(program, container["mounts"]) if os.path.isabs(program) else None
        if mount is None:
            return _where(container["source"])
        return ": {} is the volume {} of the pod, which does not hold it as a file that may be executed".format(
            mount["target"], mount["volume"]
        )

    def prepare_paths(self) -> list[str]:
        """Make what hostPath volumes may create, subPath folders and mount points; returns the mount points made."""
        made = []
        for volume in self.definition["volumes"]:
            if volume["kind"] == "hostPath" and not os.path.exists(volume["path"]):
                if volume["type"] == "FileOrCreate":
                    files.write(volume["path"], File(b"", 0o644))
                else:
                    os.makedirs(volume["path"], mode=0o755)
        for container in self.definition["containers"]:
            for mount in container["mounts"]:
                volume = self.volumes[mount["volume"]]
                source, _read_only = self._mount_source(mount)
                if (
                    volume["kind"] != "files"
                    and mount["subPath"]
                    and not os.path.exists(source)
                    and volume.get("medium") != "Memory"
                ):
                    os.makedirs(source, mode=0o755)
                if _mount_around(mount, container["mounts"]) is None:
                    made += _make_mount_point(mount["target"], self._is_file(mount))
        return made

    def empty_volumes(self) -> None:
        """An emptyDir begins empty with every new instance and outlives restarts of its containers."""
        wanted = [volume for volume in self.definition["volumes"] if volume["kind"] == "emptyDir"]
        files.remove(os.path.join(self.directory, "volumes"))
        remove_memory_volumes(self.base)
        folder = os.path.join(self.directory, "volumes")
        for volume in wanted:
            if volume["medium"] != "Memory":
                path = os.path.join(folder, volume["name"])
                os.makedirs(folder, mode=0o700, exist_ok=True)  # everybody may write in the volumes, but only inside
                os.makedirs(path)
                mode, group = _empty_dir_access(volume)
                os.chown(path, 0, group)
                os.chmod(path, mode)


# ------------------------------------------------------------------------------------------------------------ systemctl


def systemctl(*arguments: str, check: bool = True) -> str:
    process = keeper.run_command(["systemctl", *arguments], capture_output=True)
    if check and process.returncode:
        words = process.stderr.decode("utf-8", "replace").strip() or process.stdout.decode("utf-8", "replace").strip()
        raise OSError("systemctl {} failed: {}".format(" ".join(arguments), words))
    return process.stdout.decode("utf-8", "replace")


def show(units: Sequence[str], *properties: str) -> dict[str, dict[str, str]]:
    """The properties of units, those that do not exist too, by the names they were asked by."""
    if not units:
        return {}
    output = systemctl("show", "--property=" + ",".join(properties), "--", *units)
    blocks = output.strip("\n").split("\n\n")
    return {
        unit: dict(line.split("=", 1) for line in block.split("\n") if "=" in line)
        for unit, block in zip(units, blocks)
    }


def journal(unit: str, invocation: str = "", lines: int = 10) -> str:
    match = ["_SYSTEMD_INVOCATION_ID=" + invocation] if invocation else ["--unit=" + unit]
    process = keeper.run_command(
        ["journalctl", "--no-pager", "--quiet", "--output=cat", f"--lines={lines}", *match], capture_output=True
    )
    return process.stdout.decode("utf-8", "replace").strip("\n")


class Listening(NamedTuple):
    port: int
    protocol: str
    address: str
    inode: str


def _listening() -> list[Listening]:
    """Sockets that wait for others: TCP in the state LISTEN, UDP without a peer (proc(5), /proc/net/tcp)."""
    found = []
    for name, protocol, state in (
        ("tcp", "TCP", "0A"),
        ("tcp6", "TCP", "0A"),
        ("udp", "UDP", "07"),
        ("udp6", "UDP", "07"),
    ):
        for line in (files.read(f"/proc/net/{name}") or b"").decode("ascii", "replace").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == state:
                address, _colon, port = fields[1].rpartition(":")
                found.append(Listening(int(port, 16), protocol, _address(address), fields[9]))
    return found


def _address(text: str) -> str:
    """The kernel prints words of 32 bits, each in the machine's own order of bytes."""
    words = [int(text[start : start + 8], 16).to_bytes(4, sys.byteorder) for start in range(0, len(text), 8)]
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return socket.inet_ntop(family, b"".join(words))


def _same_address(wanted: str, held: str) -> bool:
    """Whether both cannot be listened on; an unspecified address is all of them."""
    anywhere = ("", "0.0.0.0", "::")
    return wanted in anywhere or held in anywhere or held in (wanted, "::ffff:" + wanted)


def _holders(inodes: set[str]) -> dict[str, list[int]]:
    holders: dict[str, list[int]] = {}
    links = {f"socket:[{inode}]": inode for inode in inodes}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    inode = links.get(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
                    if inode and pid not in holders.setdefault(inode, []):
                        holders[inode].append(pid)
    return holders


def _unit_of(pid: int) -> str:
    """The innermost service, socket or scope in the name of a process's control group."""
    text = (files.read(f"/proc/{pid}/cgroup") or b"").decode("utf-8", "replace")
    for line in text.splitlines():
        hierarchy, _colon, rest = line.partition(":")
        controllers, _colon, path = rest.partition(":")
        if hierarchy == "0" or controllers == "name=systemd":
            for part in reversed(path.split("/")):
                if part.endswith((".service", ".scope", ".socket")):
                    return part
    return ""


def _command_of(pid: int) -> str:
    return (files.read(f"/proc/{pid}/comm") or b"?").decode("utf-8", "replace").strip()


def remove_memory_volumes(base: str) -> None:
    folder = os.path.join(RUN, base)
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if os.path.ismount(os.path.join(folder, name)):
            keeper.run_command(["umount", "--lazy", os.path.join(folder, name)], check=True)
    files.remove(folder)


def remove_units(units: Sequence[str]) -> None:
    """Stop and disable units and remove their files, drop-ins too; afterwards nothing of them is left."""
    if not units:
        return
    systemctl("stop", "--", *units, check=False)
    systemctl("disable", "--quiet", "--", *units, check=False)
    for unit in units:
        files.remove(os.path.join(UNIT_DIRECTORY, unit))
        files.remove(os.path.join(UNIT_DIRECTORY, f".{unit}.new"))
        files.remove(os.path.join(UNIT_DIRECTORY, unit + ".d"))
        files.remove(os.path.join(UNIT_DIRECTORY, "multi-user.target.wants", unit))
        for suffix in (".json", ".json.new", ".lock", ".backoff", ".backoff.new", ".killed"):
            keeper.forget(os.path.join(RUN, unit + suffix))
    files.sync_directory(UNIT_DIRECTORY)
    systemctl("daemon-reload")
    systemctl("reset-failed", "--", *units, check=False)


# --------------------------------------------------------------------------------------------------------- small pieces


def _entry(
    unit: str, container: str | None = None, enabled: bool = True, active: bool = True, readiness: bool = False
) -> dict[str, Any]:
    return {"unit": unit, "container": container, "enabled": enabled, "active": active, "readiness": readiness}


def _text(lines: Sequence[str]) -> File:
    return File(("\n".join(lines) + "\n").encode(), 0o644)


def _json(data: Any) -> bytes:
    return (json.dumps(data, sort_keys=True, indent=1) + "\n").encode()


@functools.lru_cache(maxsize=None)
def _python() -> str:
    """The node's own Python, if the keeper can run on it: Ansible's may lie in somebody's virtual environment."""
    python = "/usr/bin/python3"
    check = "import ctypes, ssl, sys; sys.exit(sys.version_info < (3, 8))"
    usable = (
        os.path.exists(python) and not keeper.run_command([python, "-I", "-c", check], capture_output=True).returncode
    )
    return python if usable or not sys.executable else sys.executable


def _keeper_source() -> bytes:
    """The module travels in a zip, so the source is asked of whatever loaded it."""
    loader = keeper.__spec__.loader if keeper.__spec__ else None
    source = loader.get_source(keeper.__name__) if loader and hasattr(loader, "get_source") else None
    if source is None:
        raise OSError(f"the source of {keeper.__name__} is not to be had")
    return str(source).encode()


def _empty_dir_access(volume: Mapping[str, Any]) -> tuple[int, int]:
    """Mode and group, as the kubelet gives them (emptyDir's perm, volume.SetVolumeOwnership)."""
    group = volume["fsGroup"]
    return (0o777, 0) if group is None else (0o2777, group)


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _quote(word: str) -> str:
    """One word of an Exec line; systemd would expand %, $ and backslashes (systemd.service, «Command lines»)."""
    result = ""
    for character in word:
        if character in '\\"':
            result += "\\" + character
        elif character in "%$":
            result += character * 2
        elif character < " " or character == "\x7f":
            result += f"\\x{ord(character):02x}"
        else:
            result += character
    return f'"{result}"'


def _path(path: str) -> str:
    """One part of a bind mount; within quotes a colon separates nothing."""
    return '"{}"'.format(path.replace("\\", "\\\\").replace('"', '\\"'))


def _environment_value(value: str) -> str:
    """Inside double quotes an environment file keeps everything but these four (systemd's env-file.c)."""
    return '"{}"'.format("".join("\\" + c if c in '"\\`$' else c for c in value))


def _security(security: Mapping[str, Any]) -> list[str]:
    lines = []
    if security["user"] is not None:
        lines.append(f"User={security['user']}")
    if security["group"] is not None:
        lines.append(f"Group={security['group']}")
    if security["groups"]:
        lines.append("SupplementaryGroups=" + " ".join(str(group) for group in security["groups"]))
    if security["readOnlyRoot"]:
        lines.append("ProtectSystem=strict")
    if security["noNewPrivileges"]:
        lines.append("NoNewPrivileges=yes")
    if security["oomScore"] is not None:
        lines.append(f"OOMScoreAdjust={security['oomScore']}")
    if security["seLinux"]:
        options = security["seLinux"]
        context = [
            options.get("user", "system_u"),
            options.get("role", "system_r"),
            options.get("type", ""),
            options.get("level", "s0"),
        ]
        lines.append("SELinuxContext=-" + _specifiers(":".join(context)))
    if security["appArmor"]:
        lines.append("AppArmorProfile=" + _specifiers(security["appArmor"]))
    if security["privileged"]:
        return lines
    if security["seccomp"] == "RuntimeDefault":
        lines += ["SystemCallFilter=@system-service", "SystemCallErrorNumber=EPERM"]
    return lines + _capabilities(security)


def _capabilities(security: Mapping[str, Any]) -> list[str]:
    """A host process starts with the host's full set, so only what is dropped narrows it."""
    added = [_capability(name) for name in security["addCapabilities"]]
    dropped = [_capability(name) for name in security["dropCapabilities"]]
    lines = []
    if "CAP_ALL" in dropped and "CAP_ALL" not in added:
        lines.append("CapabilityBoundingSet=" + " ".join(added))
    elif dropped and "CAP_ALL" not in dropped:
        lines.append("CapabilityBoundingSet=~" + " ".join(name for name in dropped if name not in added))
    if added and security["user"]:
        lines.append("AmbientCapabilities=" + ("~" if "CAP_ALL" in added else " ".join(added)))
    return lines


def _capability(name: str) -> str:
    name = name.upper()
    return name if name.startswith("CAP_") else "CAP_" + name


def _limits(resources: Mapping[str, int | None]) -> list[str]:
    lines = []
    if resources["memoryLimit"]:
        lines.append(f"MemoryMax={resources['memoryLimit']}")
    if resources["memoryRequest"]:
        lines.append(f"MemoryLow={resources['memoryRequest']}")
    if resources["cpuLimit"]:
        lines.append(f"CPUQuota={max(1, -(-resources['cpuLimit'] // 10))}%")
    if resources["cpuRequest"]:
        # One core is systemd's default weight of 100, as it is 1024 of the kernel's shares in Kubernetes.
        lines.append(f"CPUWeight={min(max(1, resources['cpuRequest'] // 10), 10000)}")
    return lines


def _host_path_problems(volume: Mapping[str, Any]) -> list[str]:
    path, kind = volume["path"], volume["type"]
    where = "volume {}: hostPath {}".format(volume["name"], path)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        if kind in ("", "DirectoryOrCreate"):
            return []
        if kind == "FileOrCreate" and os.path.isdir(os.path.dirname(path)):
            return []
        return [f"{where} is not on this node, and type {kind} does not let it be made"]
    except OSError as error:
        return [f"{where}: {error.strerror}"]
    if kind and not HOST_PATH_TESTS[kind](mode):
        return [f"{where} is not of type {kind}"]
    return []


def _identity_problems(container: Mapping[str, Any]) -> list[str]:
    """Unlike a container engine, systemd only takes ids that the node's user database knows (get_fixed_user)."""
    security = container["security"]
    wanted: list[tuple[str, Any, Callable[[int], Any]]] = [("runAsUser", security["user"], pwd.getpwuid)]
    wanted += [("runAsGroup", security["group"], grp.getgrgid)]
    wanted += [("supplementalGroups or fsGroup", group, grp.getgrgid) for group in security["groups"]]
    problems = []
    for field, number, look_up in wanted:
        try:
            if number is not None:
                look_up(number)
        except KeyError:
            kind = "user" if field == "runAsUser" else "group"
            problems.append(
                f"container {container['name']}: {field} {number} is no {kind} of this node: make one first"
            )
    return problems


def _mount_around(mount: Mapping[str, Any], mounts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The innermost other mount that this one lies in."""
    around = [other for other in mounts if mount["target"].startswith(other["target"].rstrip("/") + "/")]
    return max(around, key=lambda other: len(other["target"]), default=None)


def _mount_of(path: str, mounts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The innermost mount that a path of the container is in, or is."""
    path = os.path.normpath(path)
    around = [mount for mount in mounts if f"{path}/".startswith(mount["target"].rstrip("/") + "/")]
    return max(around, key=lambda mount: len(mount["target"]), default=None)


def _candidates(program: str) -> list[str]:
    """Where systemd looks for a program, whatever PATH the container has."""
    if os.path.isabs(program):
        return [program]
    return [os.path.join(folder, program) for folder in keeper.PATH.split(":")]


def _executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _make_mount_point(target: str, is_file: bool) -> list[str]:
    """systemd would make a missing mount point too, and leave it for ever; ours are known and go with the instance."""
    made = []
    missing = target
    while not os.path.lexists(missing):
        made.append(missing)
        missing = os.path.dirname(missing)
    for path in reversed(made):
        if is_file and path == target:
            files.write(path, File(b"", 0o644))
        else:
            os.mkdir(path, 0o755)
    return list(reversed(made))


def _where(source: Mapping[str, Any]) -> str:
    if source["kind"] == "package":
        return ", though the package {} is installed: does `command` name a program of it?".format(source["package"])
    if source["kind"] == "archive":
        return ": the archive {} does not hold it".format(source["url"])
    return ": install it first, or use a package:// image"
