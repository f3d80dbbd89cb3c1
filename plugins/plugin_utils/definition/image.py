# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only containers of an image have: namespaces of their own, published ports, pulls; what engines cannot do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..engine import TITLES
from ..manifest.environment import Environment
from ..manifest.registries import logins, registries_of
from ..manifest.schema import Engine, judge
from .common import Context, Definition
from .scope import POD, Scope

# What the kernel takes as a word, and a path in a line of its own. Both are written as UTF-8.
WORD = re.compile(r"[^\x00\ud800-\udfff]*")
PATH = re.compile(r"[^\x00\n\r\ud800-\udfff]*")
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
SECCOMP_PROFILES = "/var/lib/kubelet/seccomp"  # where Kubernetes' nodes have them
LONGEST_HOST_NAME = 63  # kubelet: truncatePodHostnameIfNeeded
# Those that have a value in each namespace, so that a container can have its own (the engines' and the kubelet's list).
OWN_SYSCTLS = re.compile(r"net\..+|fs\.mqueue\..+|kernel\.(?:msg(?:max|mnb|mni)|sem|shm(?:all|max|mni|_rmid_forced))")
UNKNOWN_ADDRESS = (
    "a container's own address is not known before it starts; write 0.0.0.0 where the daemon is to listen, "
    "status.hostIP where others are to find it, or use hostNetwork: true"
)


class Containers(Definition):
    def __init__(self, scope: Scope, engine: Engine) -> None:
        super().__init__(scope)
        self.runtime = self.engine = engine

    def made(self) -> dict[str, Any]:
        self._refuse_for_engine()
        self._collect_logins()
        return super().made()

    def _refuse_for_engine(self) -> None:
        """What this engine cannot do, though another one can."""
        for path, use in judge(self.scope.daemonset.object, self.engine):
            if use.kind == "refused":
                message = f"Not supported for a container on a plain host with {TITLES[self.engine]}: {use.text}"
                self.scope.refuse(path, "NotSupported", message)

    def _collect_logins(self) -> None:
        """Of several logins to one registry the first one wins. What is missing or wrong was said when it was read."""
        registries = self.scope.secrets["registries"]
        images = [container["image"] for container, _path in self.scope.containers]
        for reference in self.pod.get("imagePullSecrets", []):
            contents = self.scope.secret_maps.get(reference.get("name", ""))
            for entry, login in logins(contents).items() if contents is not None else ():
                for registry in registries_of(entry, images):
                    registries.setdefault(registry, login)

    # -------------------------------------------------------------------------------------------------------------- pod

    def pod_settings(self) -> dict[str, Any]:
        return {
            "hostNetwork": self._flag("hostNetwork"),
            "hostPID": self._flag("hostPID"),
            "hostIPC": self._flag("hostIPC"),
            "shareProcessNamespace": self._flag("shareProcessNamespace"),
            "hostname": self._hostname(),
            "hostAliases": [
                {"ip": alias["ip"], "hostnames": list(alias.get("hostnames", []))}
                for alias in self.pod.get("hostAliases", [])
            ],
            "dns": self._dns(),
            "sysctls": self._sysctls(),
        }

    def _flag(self, field: str) -> bool:
        return bool(self.pod.get(field, False))

    def _hostname(self) -> str:
        """With the host's network a container has the host's name too, in Kubernetes as well."""
        if self._flag("hostNetwork"):
            return ""
        name = self.pod.get("hostnameOverride") or self.pod.get("hostname") or self.scope.node.name
        return str(name)[:LONGEST_HOST_NAME].rstrip("-.")

    def _dns(self) -> dict[str, Any]:
        config = self.pod.get("dnsConfig", {})
        return {
            "nameservers": list(config.get("nameservers", [])),
            "searches": list(config.get("searches", [])),
            "options": [
                f"{option['name']}:{option['value']}" if option.get("value") else option["name"]
                for option in config.get("options", [])
            ],
            "none": self.pod.get("dnsPolicy") == "None",
        }

    def _sysctls(self) -> dict[str, str]:
        sysctls = {}
        for index, sysctl in enumerate(self.pod.get("securityContext", {}).get("sysctls", [])):
            name = _dotted(sysctl["name"])
            where = f"{POD}.securityContext.sysctls[{index}]"
            detail = "this setting is the whole node's and not a container's own; set it on the node"
            self.scope.require(OWN_SYSCTLS, name, f"{where}.name", detail)
            self.scope.require(PATH, sysctl.get("value", ""), f"{where}.value", "holds a line break")
            sysctls[name] = str(sysctl.get("value", ""))
        return sysctls

    # ------------------------------------------------------------------------------------------------------- containers

    def source(self, container: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "container": container["name"],
            "kind": "image",
            "image": container["image"],
            "pullPolicy": container["imagePullPolicy"],
        }

    def program(self, container: Mapping[str, Any], environment: Environment, path: str) -> dict[str, Any]:
        """Kubernetes: command replaces the image's ENTRYPOINT and drops its CMD, args replace its CMD.

        A word that holds anything of a Secret is empty here and only kept in the secrets, by its index in both
        together.
        """
        self._refuse_unknown_addresses(container, path)
        command, arguments = container.get("command") or [], container.get("args") or []
        words, hidden = self.words(container["name"], [*command, *arguments], environment)
        places = [f"{path}.command[{i}]" for i in range(len(command))]
        places += [f"{path}.args[{i}]" for i in range(len(arguments))]
        for index, (word, place) in enumerate(zip(words, places, strict=True)):
            if index not in hidden:
                self._check_word(word, place)
        shown = ["" if index in hidden else word for index, word in enumerate(words)]
        return {
            "command": shown[: len(command)] or None,
            "arguments": shown[len(command) :] or None,
            "ports": [
                {
                    "containerPort": port["containerPort"],
                    "hostPort": port.get("hostPort") or None,
                    "hostIP": port.get("hostIP", ""),
                    "protocol": port["protocol"],
                }
                for port in container.get("ports", [])
            ],
            "tty": bool(container.get("tty", False)),
            "stdin": bool(container.get("stdin", False)),
            "stdinOnce": bool(container.get("stdinOnce", False)),
            "stopSignal": container.get("lifecycle", {}).get("stopSignal"),
        }

    def _refuse_unknown_addresses(self, container: Mapping[str, Any], path: str) -> None:
        if self._flag("hostNetwork"):
            return
        for index, variable in enumerate(container.get("env", [])):
            field = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
            if field in ("status.podIP", "status.podIPs"):
                where = f"{path}.env[{index}].valueFrom.fieldRef.fieldPath"
                self.scope.refuse(where, "NotSupported", f'Unsupported value: "{field}": {UNKNOWN_ADDRESS}')

    def started(self, command: Sequence[str], paths: Sequence[str], source: Mapping[str, Any]) -> list[str]:
        for word, path in zip(command, paths, strict=True):
            self._check_word(word, path)
        return list(command)

    def _check_word(self, word: str, path: str) -> None:
        self.scope.require(WORD, word, path, "holds a NUL character, which no program can be given")

    def check_variable(self, name: str, value: str, path: str) -> None:
        if not WORD.fullmatch(value):
            message = f'the value of "{name}" holds a NUL character, which no environment can hold; mount it as a file'
            self.scope.refuse(path, "Invalid", f"Invalid value: {message}")

    def check_place(self, place: str, path: str) -> None:
        self.scope.require(PATH, place, path, "holds a line break or a NUL character, which engines cannot mount")

    def check_working_directory(self, directory: str, path: str) -> None:
        self.scope.require(PATH, directory, path, "holds a line break or a NUL character")
        if not directory.startswith("/"):
            self.scope.refuse(path, "Invalid", f"Invalid value: {json.dumps(directory)}: expected an absolute path")

    def mount_settings(self, mount: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "propagation": mount.get("mountPropagation") or "None",
            "recursiveReadOnly": mount.get("recursiveReadOnly"),
        }

    def check_mounts(self, containers: list[dict[str, Any]], volumes: list[dict[str, Any]]) -> None:
        """Engines mount every volume that they are given."""

    # --------------------------------------------------------------------------------------------------------- security

    def security(self, container: Mapping[str, Any], context: Context) -> dict[str, Any]:
        fields, paths = context
        if fields.get("runAsNonRoot") and fields.get("runAsUser") == 0:
            message = "Invalid value: true: runAsUser is 0, which is root"
            self.scope.refuse(paths["runAsNonRoot"], "Invalid", message)
        if fields.get("runAsGroup") is not None and fields.get("runAsUser") is None:
            detail = "engines take a group only together with a user; set runAsUser to the image's own"
            self.scope.refuse(paths["runAsGroup"], "Invalid", f"Invalid value: {fields['runAsGroup']}: {detail}")
        for field, value in fields.get("seLinuxOptions", {}).items():
            where = f"{paths['seLinuxOptions']}.{field}"
            self.scope.require(PATH, value, where, "holds a line break or a NUL character")
        return {
            "nonRoot": bool(fields.get("runAsNonRoot", False)),
            "seccomp": _seccomp(fields.get("seccompProfile")),
            "appArmor": self._apparmor(container),
            "seLinux": dict(fields.get("seLinuxOptions", {})),
            "procMount": fields.get("procMount"),
        }

    def _apparmor(self, container: Mapping[str, Any]) -> str | None:
        """The container's own profile, else that of the old annotation, else the pod's (applyAppArmorVersionSkew)."""
        own = container.get("securityContext", {}).get("appArmorProfile")
        old = self.scope.daemonset.template["metadata"].get("annotations", {}).get(APPARMOR + container["name"])
        if own is None and old:
            return str(old).removeprefix("localhost/")
        profile = own or self.pod.get("securityContext", {}).get("appArmorProfile") or {}
        return {
            "RuntimeDefault": "runtime/default",
            "Unconfined": "unconfined",
            "Localhost": profile.get("localhostProfile"),
        }.get(profile.get("type", ""))


def _seccomp(profile: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Without a profile the engine takes its own, as Kubernetes does with RuntimeDefault."""
    if profile is None:
        return None
    file = profile.get("localhostProfile")
    return {"type": profile["type"], "profile": f"{SECCOMP_PROFILES}/{file}" if file else None}


def _dotted(name: str) -> str:
    """Kubernetes takes net/ipv4/conf/eth0.1/x as well, with a dot for what is a slash otherwise (NormalizeName)."""
    if "/" in name and name.find("/") < (name.find(".") if "." in name else len(name)):
        return name.translate(str.maketrans("/.", "./"))
    return name
