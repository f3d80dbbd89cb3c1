# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host processes under systemd: one service a container, each enabled at boot."""

from __future__ import annotations

import grp
import os
import pwd
from typing import Any, Callable, Mapping, Sequence

from .. import files, keeper
from ..commands import PATH
from ..files import File
from ..observation import RUN
from ..units import journal, systemctl
from .runtime import (
    OUR_ENVIRONMENT,
    RESTART_SECONDS,
    VALIDATION_SECONDS,
    Runtime,
    empty_dir_access,
    in_memory,
    mount_around,
    mount_of,
    quote,
    specifiers,
    unit_entry,
    unit_text,
)

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
TRANSIENT_UNITS = "/run/systemd/system"


class Systemd(Runtime):
    def process_files(self) -> tuple[dict[str, File], list[dict[str, Any]], list[dict[str, Any]]]:
        containers = self.definition["containers"]
        content: dict[str, File] = {}
        units: list[dict[str, Any]] = []
        earlier: list[Mapping[str, Any]] = []
        for container in containers:
            unit = self.unit(container)
            content["units/" + unit] = unit_text(self._service(container, earlier))
            content["environment/" + container["name"]] = File(self._environment_file(container), 0o600, secret=True)
            units.append(unit_entry(unit, container["name"], readiness="readiness" in container["probes"]))
            if container["role"] != "main":
                earlier.append(container)
        if len(containers) > 1:
            timer = [self.base + "._probes.timer"] if self.probe_period() else []
            content[f"units/{self.base}.target"] = unit_text(
                self._target([entry["unit"] for entry in units if entry["active"]] + timer)
            )
            units.append(unit_entry(self.base + ".target"))
        programs = sorted({path for path in map(self._program, containers) if path})
        content["programs"] = File("".join(path + "\n" for path in programs).encode(), 0o644)
        archives = sorted({source["sha256"] for source in self.definition["sources"] if source["kind"] == "archive"})
        if archives:
            content["archives"] = File("".join(sha + "\n" for sha in archives).encode(), 0o644)
        return content, units, []

    def unit(self, container: Mapping[str, Any]) -> str:
        mains = [other for other in self.definition["containers"] if other["role"] == "main"]
        if container["role"] == "main" and len(mains) == 1:
            return self.base + ".service"
        return "{}.{}.service".format(self.base, container["name"])

    def _part_of(self) -> list[str]:
        return [f"PartOf={self.base}.target"] if len(self.definition["containers"]) > 1 else []

    def _service(self, container: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> list[str]:
        title = "DaemonSet " + self.key
        if len(self.definition["containers"]) > 1:
            title += ", container " + container["name"]
        lines = self.head(title)
        lines += ["Wants=network-online.target", "After=network-online.target", "StartLimitIntervalSec=0"]
        lines += self._part_of()
        if any(self.volumes[mount["volume"]]["kind"] == "hostPath" for mount in container["mounts"]):
            # RequiresMountsFor= would also stop the daemon when a file system is unmounted, and never start it again.
            lines.append("After=local-fs.target remote-fs.target")
        for other in earlier:
            lines.append("After=" + self.unit(other))
            lines.append(("Requires=" if other["role"] == "init" else "Wants=") + self.unit(other))
        lines += ["", "[Service]"]
        lines += self._process(container)
        lines += self._sandbox(container, self.current)
        lines += _limits(container["resources"])
        return lines + self.installed_by("multi-user.target")

    def _process(self, container: Mapping[str, Any]) -> list[str]:
        unit, grace = self.unit(container), self.definition["terminationGracePeriodSeconds"]
        command = [quote(word) for word in container["argv"]]
        for index in self.secrets["arguments"].get(container["name"], {}):
            command[int(index)] = f'"${{EVERYNODE_ARGUMENT_{index}}}"'
        environment = os.path.join(self.current, "environment", container["name"])
        lines = [
            "EnvironmentFile=" + specifiers(environment),
            "WorkingDirectory=" + specifiers(container["workingDirectory"] or "/"),
        ]
        lines.append("SyslogIdentifier=" + unit[: -len(".service")])
        if container["role"] == "init":
            loop = f"ExecStart=/bin/sh -c {quote(INIT_LOOP)} sh "
            return lines + ["Type=oneshot", "RemainAfterExit=yes", "TimeoutStartSec=infinity", loop + " ".join(command)]
        lines += [
            "Type=exec",
            "ExecStartPre=" + self.back_off(unit),
            "ExecStart=" + " ".join(command),
        ]
        lines += self._hooks(container["lifecycle"], unit)
        if "startup" in container["probes"]:
            lines.append("ExecStartPost=+" + self.keeper_command("wait-started", unit))
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
                lines.append("ExecStop=-/bin/sh -c {} sh {}".format(quote('[ -z "$MAINPID" ] || exec "$@"'), hook))
        return lines

    def _hook(self, action: Mapping[str, Any], name: str, unit: str) -> str:
        if "exec" in action:
            return " ".join(quote(word) for word in action["exec"]["command"])
        if "sleep" in action:
            return f"/bin/sleep {action['sleep']['seconds']}"
        return "+" + self.keeper_command(name, unit)

    def _sandbox(self, container: Mapping[str, Any], root: str) -> list[str]:
        """``root``: where the unit finds its revision."""
        lines = []
        for mount in container["mounts"]:
            source, read_only = self.mount_source(mount)
            # A folder that is the host's own at its own place needs no mount, unless everything else becomes read-only.
            if source == mount["target"] and not read_only and not container["security"]["readOnlyRoot"]:
                continue
            if self.volumes[mount["volume"]]["kind"] == "files":
                source = os.path.join(root, os.path.relpath(source, self.revision))
            kind = "BindReadOnlyPaths=" if read_only else "BindPaths="
            # Before an ExecStartPre has made it, the volume in memory is not there after a boot.
            missing = "-" if in_memory(self.volumes[mount["volume"]]) else ""
            lines.append(kind + specifiers("{}:{}:rbind".format(_path(missing + source), _path(mount["target"]))))
        for name in sorted({mount["volume"] for mount in container["mounts"]}):
            volume = self.volumes[name]
            if in_memory(volume):
                mode, group = empty_dir_access(volume)
                words = [os.path.join(RUN, self.base, name), f"{mode:o}", str(group), str(volume["sizeLimit"] or "")]
                # Even a command with «+» is given the unit's mount namespace, where the mount would end with it.
                host = f"+{OUR_ENVIRONMENT}nsenter --target 1 --mount --"
                arguments = " ".join(quote(word) for word in words)
                lines.append(f"ExecStartPre={host} /bin/sh -c {quote(MEMORY_VOLUME)} sh {arguments}")
        return lines + _security(container["security"])

    def _environment_file(self, container: Mapping[str, Any]) -> bytes:
        variables = self.environments()[container["name"]]
        return "".join(
            f"{name}={_environment_value(value)}\n" for name, (value, _secret) in sorted(variables.items())
        ).encode()

    def _target(self, units: Sequence[str]) -> list[str]:
        lines = self.head("DaemonSet {namespace}/{name}".format(**self.definition))
        return lines + ["Wants=" + " ".join(units), *self.installed_by("multi-user.target")]

    def keeper_order(self) -> dict[str, Any]:
        units = {
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
        return {"units": units, "pod": None}

    def targets(self) -> dict[str, keeper.Target]:
        entries = self.keeper_order()["units"]
        units = [self.unit(container) for container in self.definition["containers"]]
        return {unit: keeper.Target(unit, entries.get(unit, {})) for unit in units}

    # ----------------------------------------------------------------------------------------------- before the switch

    def process_problems(self, sources_present: bool) -> list[str]:
        found = []
        for container in self.definition["containers"]:
            found += _identity_problems(container)
            if sources_present or container["source"]["kind"] == "host":
                found += self._program_problems(container)
        return found

    def validate(self) -> None:
        """Run everynode/validate as the first main container's process would run, in a unit that is gone afterwards."""
        if not self.definition["validate"]:
            return
        container = next(one for one in self.definition["containers"] if one["role"] == "main")
        unit = self.base + "._validate.service"
        path = os.path.join(TRANSIENT_UNITS, unit)
        os.makedirs(TRANSIENT_UNITS, exist_ok=True)
        if os.path.lexists(path):  # a run that was killed has left it, and it may still be at another revision
            systemctl("stop", "--", unit, check=False)
        files.write(path, unit_text(self._validation(container)))
        systemctl("daemon-reload")
        try:
            systemctl("start", "--", unit)
        except OSError as error:
            said = journal(unit)
            raise OSError(f"everynode/validate failed, so nothing was changed:\n{said or error}") from error
        finally:
            files.remove(path)
            systemctl("daemon-reload")
            systemctl("reset-failed", "--", unit, check=False)

    def _validation(self, container: Mapping[str, Any]) -> list[str]:
        command = " ".join(quote(word) for word in self.definition["validate"])
        environment = os.path.join(self.revision, "environment", container["name"])
        return [
            *self.head(f"Validation of DaemonSet {self.key}"),
            "",
            "[Service]",
            "Type=oneshot",
            f"TimeoutStartSec={VALIDATION_SECONDS}",
            "SyslogIdentifier=" + self.base + "._validate",
            "EnvironmentFile=" + specifiers(environment),
            "WorkingDirectory=" + specifiers(container["workingDirectory"] or "/"),
            "ExecStart=" + command,
            *[
                line.replace("Paths=", "Paths=-", 1) if "Paths=" in line and 'Paths="-' not in line else line
                for line in self._sandbox(container, self.revision)
            ],
            *_limits(container["resources"]),
        ]

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
        mount = mount_of(path, container["mounts"])
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
        mount = mount_of(path, container["mounts"]) if path else None
        return path if mount is None or self.mount_source(mount)[0] == mount["target"] else None

    def _where(self, container: Mapping[str, Any]) -> str:
        program = container["argv"][0]
        mount = mount_of(program, container["mounts"]) if os.path.isabs(program) else None
        if mount is None:
            return _where(container["source"])
        return ": {} is the volume {} of the pod, which does not hold it as a file that may be executed".format(
            mount["target"], mount["volume"]
        )

    def prepare_paths(self) -> list[str]:
        super().prepare_paths()
        made = []
        for container in self.definition["containers"]:
            for mount in container["mounts"]:
                if mount_around(mount, container["mounts"]) is None:
                    made += _make_mount_point(mount["target"], self.is_file(mount))
        return made


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
        lines.append("SELinuxContext=-" + specifiers(":".join(context)))
    if security["appArmor"]:
        lines.append("AppArmorProfile=" + specifiers(security["appArmor"]))
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


def _candidates(program: str) -> list[str]:
    """Where systemd looks for a program, whatever PATH the container has."""
    if os.path.isabs(program):
        return [program]
    return [os.path.join(folder, program) for folder in PATH.split(":")]


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
