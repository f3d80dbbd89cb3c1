# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only a host process has: a program of the node, a package or an archive; and all that systemd cannot do."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...module_utils.observation import ROOT
from ..manifest.environment import Environment
from ..manifest.schema import Runtime
from .common import Context, Definition

# systemd's own rules. A unit file or an environment file that breaks one is read without the line, with only a log line
# to tell, or not read at all.
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # basic/env-util.c: env_name_is_valid
PLANES = range(0, 0x110000, 0x10000)
NO_TEXT = r"\x00\ud800-\udfff\ufdd0-\ufdef" + "".join(chr(plane + 0xFFFE) + chr(plane + 0xFFFF) for plane in PLANES)
WORD = re.compile(f"[^{NO_TEXT}]*")  # basic/utf8.c: unichar_is_valid
VALUE = re.compile(rf"[^\x01-\x08\x0b-\x1f\x7f{NO_TEXT}]*")  # env_value_is_valid: tab and newline are all it takes
LINE = re.compile(rf"[^\x01-\x1f\x7f{NO_TEXT}]*")
# Quotes in the path of a mount get lost between systemd and its executor, whatever the quoting (systemd 257).
MOUNT = re.compile(rf"""[^\x01-\x1f\x7f"'{NO_TEXT}]*""")
UNMOUNTABLE = "holds a quotation mark or a control character, which systemd cannot mount"
# config_parse_exec: quoting does not help, some names are taken apart and others not taken at all.
PROGRAM = re.compile(rf"""/[^\x01-\x1f\x7f"'\\${NO_TEXT}]*(?<!/)|[A-Za-z0-9_][^\x01-\x1f\x7f"'\\$/{NO_TEXT}]*""")


class HostProcesses(Definition):
    runtime: Runtime = "systemd"

    def pod_settings(self) -> None:
        return None

    def source(self, container: Mapping[str, Any]) -> dict[str, Any]:
        name = container["name"]
        scheme, _colon, rest = container["image"].partition("://")
        if scheme == "host":
            return {"container": name, "kind": "host", "path": rest}
        if scheme == "package":
            package, _equals, version = rest.partition("=")
            return {"container": name, "kind": "package", "package": package, "version": version or None}
        url, _hash, sha256 = container["image"].partition("#sha256=")
        archive = f"{ROOT}/{self.scope.daemonset.key}/archives/{sha256.lower()}"
        return {"container": name, "kind": "archive", "url": url, "sha256": sha256.lower(), "path": archive}

    def program(self, container: Mapping[str, Any], environment: Environment, path: str) -> dict[str, Any]:
        """Kubernetes: command replaces the image's entrypoint, args are appended.

        A word that holds anything of a Secret is empty here and only kept in the secrets.
        """
        source = self.source(container)
        command = container.get("command") or [source["path"]]
        places = [f"{path}.command[{i}]" if container.get("command") else f"{path}.image" for i in range(len(command))]
        places += [f"{path}.args[{i}]" for i in range(len(container.get("args", [])))]
        written = [*command, *container.get("args", [])]
        argv, hidden = self.words(container["name"], written, environment)
        for index, word in enumerate(argv):
            if index not in hidden:
                self._check_word(word, places[index])
            elif not VALUE.fullmatch(word):
                message = "with its Secret it holds a character that systemd would not pass on; mount it as a file"
                self.scope.refuse(places[index], "Invalid", f'Invalid value: "{written[index]}": {message}')
        if 0 in hidden:
            self.scope.refuse(places[0], "Forbidden", "Forbidden: the program's name is no place for a Secret")
        else:
            argv[0] = self._program(argv[0], source, places[0])
        return {"argv": ["" if index in hidden else word for index, word in enumerate(argv)]}

    def started(self, command: Sequence[str], paths: Sequence[str], source: Mapping[str, Any]) -> list[str]:
        program = self._program(command[0], source, paths[0])
        for word, path in zip(command, paths, strict=True):
            self._check_word(word, path)
        return [program, *command[1:]]

    def _program(self, program: str, source: Mapping[str, Any], path: str) -> str:
        if source.get("kind") == "archive" and program and not program.startswith("/"):
            program = posixpath.join(source["path"], posixpath.normpath(program))
        detail = "expected an absolute path, or a name that begins with a letter or a digit; without quotes, \\ and $"
        self.scope.require(PROGRAM, program, path, detail)
        return program

    def _check_word(self, word: str, path: str) -> None:
        self.scope.require(WORD, word, path, "holds a character that no unit file can hold")

    def check_variable(self, name: str, value: str, path: str) -> None:
        self.scope.require(VARIABLE, name, path, 'systemd only knows variables of letters, digits and "_"')
        if not VALUE.fullmatch(value):
            message = f'the value of "{name}" holds a character that systemd would not pass on; mount it as a file'
            self.scope.refuse(path, "Invalid", f"Invalid value: {message}")

    def check_place(self, place: str, path: str) -> None:
        self.scope.require(MOUNT, place, path, UNMOUNTABLE)

    def check_working_directory(self, directory: str, path: str) -> None:
        self.scope.require(LINE, directory, path, "holds a control character")
        if not directory.startswith("/") or directory != directory.strip() or directory.endswith("\\"):
            detail = "expected an absolute path that ends neither with a blank nor with a backslash"
            self.scope.refuse(path, "Invalid", f"Invalid value: {json.dumps(directory)}: {detail}")

    def mount_settings(self, mount: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def check_mounts(self, containers: list[dict[str, Any]], volumes: list[dict[str, Any]]) -> None:
        in_memory = {volume["name"] for volume in volumes if volume.get("medium") == "Memory"}
        for (_container, path), container in zip(self.scope.containers, containers, strict=True):
            for index, mount in enumerate(container["mounts"]):
                whole = not mount["subPath"] or posixpath.normpath(mount["subPath"]) == "."
                if mount["volume"] in in_memory and not whole:
                    self.scope.refuse(
                        f"{path}.volumeMounts[{index}].subPath",
                        "NotSupported",
                        f'Unsupported value: "{mount["subPath"]}": nothing makes a folder in a volume of medium Memory '
                        "before the daemon starts; mount the whole volume, or use one volume for each folder",
                    )
        self._refuse_lost_propagation(containers, volumes)

    def _refuse_lost_propagation(self, containers: list[dict[str, Any]], volumes: list[dict[str, Any]]) -> None:
        """A service with any mount of its own has a mount namespace that passes nothing back to the host."""
        own_place = {volume["name"]: volume["path"] for volume in volumes if volume["kind"] == "hostPath"}
        for (container, path), defined in zip(self.scope.containers, containers, strict=True):
            shared = not defined["security"]["readOnlyRoot"] and all(
                own_place.get(mount["volume"]) == mount["target"] and not mount["readOnly"] and not mount["subPath"]
                for mount in defined["mounts"]
            )
            for index, mount in enumerate(container.get("volumeMounts", [])):
                if mount.get("mountPropagation") == "Bidirectional" and not shared:
                    self.scope.refuse(
                        f"{path}.volumeMounts[{index}].mountPropagation",
                        "NotSupported",
                        'Unsupported value: "Bidirectional": a host process can only pass mounts on to the host if '
                        "every volume of its container is a writable hostPath mounted at its own place",
                    )

    def security(self, container: Mapping[str, Any], context: Context) -> dict[str, Any]:
        fields, paths = context
        if fields.get("runAsNonRoot") and not fields.get("runAsUser"):
            self.scope.refuse(
                paths["runAsNonRoot"],
                "Invalid",
                "Invalid value: true: the process would run as root; set runAsUser to the id of an ordinary user",
            )
        return {
            "seccomp": fields.get("seccompProfile", {}).get("type"),
            "appArmor": self._apparmor(fields.get("appArmorProfile", {}), paths.get("appArmorProfile", "")),
            "seLinux": self._selinux(fields.get("seLinuxOptions", {}), paths.get("seLinuxOptions", "")),
        }

    def _apparmor(self, profile: Mapping[str, Any], path: str) -> str | None:
        if profile.get("type") == "Localhost":
            detail = "holds a control character"
            self.scope.require(LINE, profile["localhostProfile"], f"{path}.localhostProfile", detail)
            return str(profile["localhostProfile"])
        return "unconfined" if profile.get("type") == "Unconfined" else None

    def _selinux(self, options: Mapping[str, Any], path: str) -> dict[str, Any]:
        if options and not options.get("type"):
            detail = "a host process has no default type as containers do; set the type it shall run as"
            self.scope.refuse(f"{path}.type", "Required", f"Required value: {detail}")
        for field, value in options.items():
            self.scope.require(LINE, value, f"{path}.{field}", "holds a control character")
        return dict(options)
