# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every runtime makes of a definition: the revision's files, the volumes, the probes' timer.

A definition goes in (see plugin_utils/definition.py), files and units come out; instance.py decides when they are put
in place, started, stopped and removed.
"""

from __future__ import annotations

import base64
import functools
import importlib.util
import json
import math
import os
import stat
import sys
from typing import Any, Dict, Mapping, NamedTuple, Sequence, Tuple

from .. import commands, engine, events, files, keeper, pods, ports, probes, stand_in, verbs
from ..commands import PATH, run_command
from ..files import File
from ..observation import MARK, QUADLET_DIRECTORY, ROOT, RUN, UNIT_DIRECTORY, folder_of
from ..sources import source_of

# Before what is ours in a unit: the variables are the container's, and may lead to other programs and libraries.
OUR_ENVIRONMENT = f"/usr/bin/env -i PATH={PATH} "
VALIDATION_SECONDS = 120  # for everynode/validate
RESTART_SECONDS = 1  # the floor; the growing back-off is the keeper's
NOT_THE_REVISIONS = ("minReadySeconds", "validate")  # of a definition: changing these changes nothing that runs
KEEPER_MODULES = [
    module.__name__.rpartition(".")[2] for module in (commands, engine, events, keeper, pods, probes, verbs)
]
KEEPER_MODULES += ["network"]  # by its name, for what it imports takes long to load
# The first start since a boot or an apply waits for nothing, so it does without the keeper.
BACK_OFF = """\
read -r now rest </proc/uptime; set -C; { echo "0 $now" >"$1"; } 2>/dev/null || { shift; exec "$@"; }"""
KEEPER_MAIN = """\
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)

from everynode.verbs import main

sys.exit(main(sys.argv[1:], os.path.join(os.path.dirname(here), "keeper.json")))
"""
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
    """What a revision's folder holds (``directories``: those of a mode other than 0755), and its units.

    ``containers``: the names of those that the engine is to keep running.
    """

    files: dict[str, File]
    directories: dict[str, int]
    units: list[dict[str, Any]]
    containers: list[dict[str, Any]]

    def unit_files(self) -> dict[str, File]:
        """Where systemd, or Podman's generator of units, looks for them."""
        found = {}
        for folder, place in (("units/", UNIT_DIRECTORY), ("quadlets/", QUADLET_DIRECTORY)):
            for name, file in self.files.items():
                if name.startswith(folder):
                    found[os.path.join(place, name[len(folder) :])] = file
        return found


class Runtime:
    """One definition on this node. What differs between runtimes is in the methods that raise NotImplementedError."""

    def __init__(self, definition: Mapping[str, Any], secrets: Mapping[str, Any]):
        self.definition = definition
        self.secrets = secrets
        self.key = "{}/{}".format(definition["namespace"], definition["name"])
        self.base = "everynode.{}.{}".format(definition["namespace"], definition["name"])
        self.directory = os.path.join(ROOT, definition["namespace"], definition["name"])
        self.folder = folder_of(definition["revision"], definition["runtime"])
        self.revision = os.path.join(self.directory, "revisions", self.folder)
        # What units say of their revision they say of the one in place: an update that leaves them as they are, because
        # it only changes variables or files, does not need systemd to read them all again.
        self.current = os.path.join(self.directory, "current")
        self.volumes = {volume["name"]: volume for volume in definition["volumes"]}

    def process_files(self) -> tuple[dict[str, File], list[dict[str, Any]], list[dict[str, Any]]]:
        """(files by their names in the revision's folder, units, containers): what makes the daemon run."""
        raise NotImplementedError

    def keeper_order(self) -> dict[str, Any]:
        """See keeper.py: {"units", "pod"}."""
        raise NotImplementedError

    def targets(self) -> dict[str, keeper.Target]:
        """What has to be running and ready, by the name of its unit or container."""
        raise NotImplementedError

    def fetch(self, logins: Mapping[str, Any], again: bool, patience: float) -> list[tuple[str, Any]]:
        """What has to be got before the revision can be staged: (what it is in words, how to get it).

        ``again``: also what is here already and may have changed where it comes from. ``patience``: so many seconds may
        pass without anything arriving.
        """
        return []

    def image_ids(self) -> dict[str, str]:
        """{reference: id} of the images that it takes and that are on the node; see images.py."""
        return {}

    def made_images(self) -> list[str]:
        """The names of images that are made on the node for it."""
        return []

    def process_problems(self, sources_present: bool) -> list[str]:
        """What would keep the processes from starting here."""
        raise NotImplementedError

    def validate(self) -> None:
        """The daemon's own check of its configuration, and what only an attempt shows; OSError if it fails."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------------- rendering

    def render(self) -> Rendered:
        content, units, containers = self.process_files()
        period = self.probe_period()
        if period:
            content[f"units/{self.base}._probes.timer"] = unit_text(self._timer(period))
            content[f"units/{self.base}._probes.service"] = unit_text(self._prober())
            units.append(unit_entry(self.base + "._probes.timer"))
            units.append(unit_entry(self.base + "._probes.service", enabled=False, active=False))
        content.update(keeper_files())
        content["keeper.json"] = File(as_json(self.keeper_order()), 0o600, secret=True)
        public = {key: value for key, value in self.definition.items() if key not in NOT_THE_REVISIONS}
        kept = {key: value for key, value in self.secrets.items() if key != "registries"}
        content["definition.json"] = File(as_json({"definition": public, "secrets": kept}), 0o600, secret=True)
        directories = {"environment": 0o700} if any(name.startswith("environment/") for name in content) else {}
        for volume in self.definition["volumes"]:
            if volume["kind"] == "files":
                # Nobody but root gets past it; the daemon sees its volumes through its own mounts.
                directories["volumes"] = 0o700
                directories["volumes/" + volume["name"]] = 0o755
                content.update(self._volume_files(volume))
        self._add_mount_points(content, directories)
        if not self.starts_at_boot():
            units = [{**unit, "enabled": False} for unit in units]
        return Rendered(content, directories, units, containers)

    def starts_at_boot(self) -> bool:
        """What stands in for another does not: the timer that takes it away again does not outlive a boot either."""
        return not stand_in.stands_in(self.definition["name"])

    def installed_by(self, targets: str) -> list[str]:
        return ["", "[Install]", f"WantedBy={targets}"] if self.starts_at_boot() else []

    def head(self, description: str) -> list[str]:
        return [
            "# Written by everynode.daemonset; changes made here are put back by the next apply.",
            "[Unit]",
            "Description=" + specifiers(description),
            f"{MARK}={self.key}",
        ]

    def keeper_command(self, verb: str, unit: str = "") -> str:
        words = [node_python(), "-ISB", os.path.join(self.current, "keeper/__main__.py"), verb]
        return OUR_ENVIRONMENT + " ".join(quote(word) for word in words + ([unit] if unit else []))

    def back_off(self, unit: str) -> str:
        """Before each start of a unit."""
        guarded = " ".join(map(quote, ("/bin/sh", "-c", BACK_OFF, "sh", os.path.join(RUN, unit + ".backoff"))))
        return f"-+{OUR_ENVIRONMENT}{guarded} {self.keeper_command('back-off', unit)}"

    def _part_of(self) -> list[str]:
        """A timer must not outlive, by somebody's hand, what it looks after."""
        return []

    def probe_period(self) -> int:
        """How often the timer must tick so that every probe can keep its own period; 0 if there is none."""
        period = 0
        for container in self.definition["containers"]:
            for kind in ("liveness", "readiness"):
                if kind in container["probes"]:
                    period = math.gcd(period, int(container["probes"][kind].get("periodSeconds") or 10))
        return period

    def _timer(self, period: int) -> list[str]:
        lines = self.head("Probes of DaemonSet {namespace}/{name}".format(**self.definition)) + self._part_of()
        # The first time soon after a boot; whoever starts it in an apply has just asked by himself.
        lines += ["", "[Timer]", f"OnActiveSec={min(period, 10)}", f"OnUnitInactiveSec={period}", "AccuracySec=250ms"]
        return lines + self.installed_by("multi-user.target")

    def _prober(self) -> list[str]:
        lines = self.head("Probes of DaemonSet {namespace}/{name}".format(**self.definition))
        # Probes may come oftener than systemd lets a service start; and without a limit to its log every one of them
        # would leave «Starting» and «Finished» in the journal.
        return lines + [
            "StartLimitIntervalSec=0",
            "",
            "[Service]",
            "Type=oneshot",
            "LogLevelMax=notice",
            "ExecStart=" + self.keeper_command("probe"),
        ]

    # -------------------------------------------------------------------------------------------------------- volumes

    def mount_source(self, mount: Mapping[str, Any]) -> tuple[str, bool]:
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
                around = mount_around(mount, container["mounts"])
                if around is None or self.volumes[around["volume"]]["kind"] != "files":
                    continue
                below = os.path.relpath(mount["target"], around["target"])
                name = os.path.normpath(os.path.join("volumes", around["volume"], around["subPath"], below))
                if name in content or any(other.startswith(name + "/") for other in content):
                    continue
                if self.is_file(mount):
                    content[name] = File(b"", 0o644)
                else:
                    directories[name] = 0o755

    def is_file(self, mount: Mapping[str, Any]) -> bool:
        volume = self.volumes[mount["volume"]]
        if volume["kind"] == "files":
            return os.path.normpath(mount["subPath"]) in [file["path"] for file in volume["files"]]
        source, _read_only = self.mount_source(mount)
        if os.path.exists(source):
            return not os.path.isdir(source)
        return volume["kind"] == "hostPath" and volume["type"] == "FileOrCreate" and not mount["subPath"]

    def _read_by_others(self, volume: str) -> bool:
        return any(
            container["security"]["user"] or container["security"]["group"]
            for container in self.definition["containers"]
            if volume in [mount["volume"] for mount in container["mounts"]]
        )

    # ----------------------------------------------------------------------------------------------- before the switch

    def problems(self, sources_present: bool) -> list[str]:
        """What would keep this revision from starting here; programs are looked for once their sources are there."""
        found = []
        for volume in self.definition["volumes"]:
            if volume["kind"] == "hostPath":
                found += _host_path_problems(volume)
        return found + self.process_problems(sources_present)

    def held_ports(self, own_units: Sequence[str], own_ports: Sequence[Mapping[str, Any]]) -> list[str]:
        """The ports declared here that somebody else listens on; what is our own will have ended."""
        given_up = [(port["port"], port["protocol"]) for port in own_ports]
        wanted = [port for port in self.definition["ports"] if (port["port"], port["protocol"]) not in given_up]
        return ports.held_ports(wanted, own_units)

    def prepare_paths(self) -> list[str]:
        """Make what hostPath volumes may create and the folders of subPath; returns mount points made on the node."""
        for volume in self.definition["volumes"]:
            if volume["kind"] == "hostPath" and not os.path.exists(volume["path"]):
                if volume["type"] == "FileOrCreate":
                    files.write(volume["path"], File(b"", 0o644))
                else:
                    os.makedirs(volume["path"], mode=0o755)
        for container in self.definition["containers"]:
            for mount in container["mounts"]:
                volume = self.volumes[mount["volume"]]
                source, _read_only = self.mount_source(mount)
                if (
                    volume["kind"] != "files"
                    and mount["subPath"]
                    and not os.path.exists(source)
                    and volume.get("medium") != "Memory"
                ):
                    os.makedirs(source, mode=0o755)
        return []

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
                mode, group = empty_dir_access(volume)
                os.chown(path, 0, group)
                os.chmod(path, mode)


def remove_memory_volumes(base: str) -> None:
    folder = os.path.join(RUN, base)
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if os.path.ismount(os.path.join(folder, name)):
            run_command(["umount", "--lazy", os.path.join(folder, name)], check=True)
    files.remove(folder)


def unit_entry(
    unit: str, container: str | None = None, enabled: bool = True, active: bool = True, readiness: bool = False
) -> dict[str, Any]:
    return {"unit": unit, "container": container, "enabled": enabled, "active": active, "readiness": readiness}


def unit_text(lines: Sequence[str]) -> File:
    return File(("\n".join(lines) + "\n").encode(), 0o644)


def as_json(data: Any) -> bytes:
    return (json.dumps(data, sort_keys=True, indent=1) + "\n").encode()


@functools.lru_cache(maxsize=None)
def node_python() -> str:
    """The node's own Python, if the keeper can run on it: Ansible's may lie in somebody's virtual environment."""
    python = "/usr/bin/python3"
    if sys.executable == python:
        usable = all(importlib.util.find_spec(module) for module in ("_ctypes", "_ssl"))
    else:
        check = "import ctypes, ssl, sys; sys.exit(sys.version_info < (3, 8))"
        usable = os.path.exists(python) and not run_command([python, "-I", "-c", check], capture_output=True).returncode
    return python if usable or not sys.executable else sys.executable


def keeper_files() -> dict[str, File]:
    """The keeper and what it imports, as a folder that Python can run."""
    found = {"keeper/__main__.py": File(KEEPER_MAIN.encode(), 0o644), "keeper/everynode/__init__.py": File(b"", 0o644)}
    for module in KEEPER_MODULES:
        found[f"keeper/everynode/{module}.py"] = File(source_of(module), 0o644)
    return found


def in_memory(volume: Mapping[str, Any]) -> bool:
    return bool(volume["kind"] == "emptyDir" and volume["medium"] == "Memory")


def empty_dir_access(volume: Mapping[str, Any]) -> tuple[int, int]:
    """Mode and group, as the kubelet gives them (emptyDir's perm, volume.SetVolumeOwnership)."""
    group = volume["fsGroup"]
    return (0o777, 0) if group is None else (0o2777, group)


def specifiers(text: str) -> str:
    return text.replace("%", "%%")


def quote(word: str) -> str:
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


def mount_around(mount: Mapping[str, Any], mounts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The innermost other mount that this one lies in."""
    around = [other for other in mounts if mount["target"].startswith(other["target"].rstrip("/") + "/")]
    return max(around, key=lambda other: len(other["target"]), default=None)


def mount_of(path: str, mounts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The innermost mount that a path of the container is in, or is."""
    path = os.path.normpath(path)
    around = [mount for mount in mounts if f"{path}/".startswith(mount["target"].rstrip("/") + "/")]
    return max(around, key=lambda mount: len(mount["target"]), default=None)
