# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What host processes and containers have in common."""

from __future__ import annotations

import json
import posixpath
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..downward import limits, requests
from ..manifest.annotations import VALIDATE, validation_command
from ..manifest.environment import Environment, expand, referenced, resolve_environment
from ..manifest.quantity import Quantity
from ..manifest.schema import Runtime
from ..revision import replaced_units, revision
from .scope import POD, Scope
from .volumes import absolute, volumes

NODE_CRITICAL_OOM_SCORE = -997  # kubelet qos: guaranteedOOMScoreAdj, also for node-critical pods
# capability.h of Linux 6
CAPABILITIES = re.compile(
    r"(?:CAP_)?(?:"
    r"ALL|AUDIT_CONTROL|AUDIT_READ|AUDIT_WRITE|BLOCK_SUSPEND|BPF|CHECKPOINT_RESTORE|CHOWN|"
    r"DAC_OVERRIDE|DAC_READ_SEARCH|FOWNER|FSETID|IPC_LOCK|IPC_OWNER|KILL|LEASE|LINUX_IMMUTABLE|"
    r"MAC_ADMIN|MAC_OVERRIDE|MKNOD|NET_ADMIN|NET_BIND_SERVICE|NET_BROADCAST|NET_RAW|PERFMON|SETFCAP|"
    r"SETGID|SETPCAP|SETUID|SYSLOG|SYS_ADMIN|SYS_BOOT|SYS_CHROOT|SYS_MODULE|SYS_NICE|SYS_PACCT|"
    r"SYS_PTRACE|SYS_RAWIO|SYS_RESOURCE|SYS_TIME|SYS_TTY_CONFIG|WAKE_ALARM"
    r")",
    re.IGNORECASE,
)
UNRESOLVED = re.compile(r"\$\([^)]*\)")


class Context(NamedTuple):
    """The pod's and the container's securityContext as one, and the path of each field in it."""

    fields: dict[str, Any]
    paths: dict[str, str]


class Definition(ABC):
    """Makes a definition; what only a host process or a container has is left to the subclass."""

    runtime: Runtime

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.pod = scope.pod

    def made(self) -> dict[str, Any]:
        daemonset = self.scope.daemonset
        containers = [self._container(container, path) for container, path in self.scope.containers]
        made_volumes = volumes(self.scope)
        self._check_host_paths(made_volumes)
        self._check_sub_paths(containers, made_volumes)
        self.check_mounts(containers, made_volumes)
        return {
            "namespace": daemonset.namespace,
            "name": daemonset.name,
            "node": self.scope.node.name,
            "revision": revision(daemonset, self.scope.manifests),
            "runtime": self.runtime,
            "sources": [container["source"] for container in containers],
            "containers": containers,
            "volumes": made_volumes,
            "ports": self._host_ports(),
            "pod": self.pod_settings(),
            "validate": self._validation(containers),
            "replaces": replaced_units(daemonset),
            "terminationGracePeriodSeconds": self.pod.get("terminationGracePeriodSeconds", 30),
            "minReadySeconds": daemonset.min_ready_seconds,
            "revisionHistoryLimit": daemonset.object["spec"]["revisionHistoryLimit"],
        }

    # ------------------------------------------------------------------------------------- what the subclass has to say

    @abstractmethod
    def pod_settings(self) -> dict[str, Any] | None:
        """What holds for the pod as a whole."""

    @abstractmethod
    def source(self, container: Mapping[str, Any]) -> dict[str, Any]:
        """Where the program comes from."""

    @abstractmethod
    def program(self, container: Mapping[str, Any], environment: Environment, path: str) -> dict[str, Any]:
        """Command and arguments, and what else only this runtime has of a container."""

    @abstractmethod
    def security(self, container: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """What this runtime makes of the security context, beyond what both do."""

    @abstractmethod
    def check_variable(self, name: str, value: str, path: str) -> None:
        """Refuse what the runtime would not pass on. The value may be secret."""

    @abstractmethod
    def started(self, command: Sequence[str], paths: Sequence[str], source: Mapping[str, Any]) -> list[str]:
        """A command without variables, as it is started; words that the runtime cannot pass on are refused.

        ``source`` is that of the container, if a relative path is one in its archive; else it is empty.
        """

    @abstractmethod
    def check_place(self, place: str, path: str) -> None:
        """Refuse a path that the runtime cannot mount."""

    @abstractmethod
    def check_working_directory(self, directory: str, path: str) -> None: ...

    @abstractmethod
    def mount_settings(self, mount: Mapping[str, Any]) -> dict[str, Any]:
        """What only this runtime has of a mount."""

    @abstractmethod
    def check_mounts(self, containers: list[dict[str, Any]], volumes: list[dict[str, Any]]) -> None:
        """Refuse mounts that the runtime cannot make of these volumes."""

    # ------------------------------------------------------------------------------------------------------- containers

    def _container(self, container: Mapping[str, Any], path: str) -> dict[str, Any]:
        environment = self._environment(container, path)
        name = container["name"]
        public = {key: value for key, value in environment.values.items() if key not in environment.secret_names}
        self.scope.secrets["environment"][name] = {key: environment.values[key] for key in environment.secret_names}
        return {
            "name": name,
            "role": _role(container, path),
            "source": self.source(container),
            **self.program(container, environment, path),
            "environment": public,
            "secretEnvironment": sorted(environment.secret_names),
            "workingDirectory": self._working_directory(container, path),
            "mounts": [
                self._mount(mount, environment, f"{path}.volumeMounts[{i}]")
                for i, mount in enumerate(container.get("volumeMounts", []))
            ],
            "resources": _resources(container.get("resources", {})),
            "security": self._security(container, path),
            **self._probes_and_hooks(container, path),
        }

    def _environment(self, container: Mapping[str, Any], path: str) -> Environment:
        scope = self.scope
        try:
            environment = resolve_environment(
                container, scope.config_maps, scope.secret_maps, lambda source: scope.downward.value(source, container)
            )
        except ValueError as error:
            scope.refuse(f"{path}.env", "Invalid", str(error))
            return Environment({}, frozenset())
        places = {variable["name"]: f"{path}.env[{i}]" for i, variable in enumerate(container.get("env", []))}
        for name, value in environment.values.items():
            self.check_variable(name, value, places.get(name, f"{path}.envFrom"))
        return environment

    def words(self, container: str, written: Sequence[str], environment: Environment) -> tuple[list[str], set[int]]:
        """Words as they are started, and which of them hold anything of a Secret: they are only kept in the secrets."""
        expanded = [expand(word, environment.values) for word in written]
        blanked = {key: "" if key in environment.secret_names else value for key, value in environment.values.items()}
        hidden = {i: expanded[i] for i, word in enumerate(written) if expand(word, blanked) != expanded[i]}
        self.scope.secrets["arguments"][container] = {str(index): word for index, word in hidden.items()}
        return expanded, set(hidden)

    def _working_directory(self, container: Mapping[str, Any], path: str) -> str | None:
        directory = container.get("workingDir")
        if not directory:
            return None
        self.check_working_directory(directory, f"{path}.workingDir")
        return str(directory)

    def _validation(self, containers: list[dict[str, Any]]) -> list[str] | None:
        """The command that judges the configuration, run in the place of the first main container's."""
        command = validation_command(self.scope.daemonset.annotations)
        if not command:
            return None
        first = next(container for container in containers if container["role"] == "main")
        return self.started(command, [f"metadata.annotations[{VALIDATE}]"] * len(command), first["source"])

    # ----------------------------------------------------------------------------------------------------------- mounts

    def _mount(self, mount: Mapping[str, Any], environment: Environment, path: str) -> dict[str, Any]:
        target = absolute(mount["mountPath"])
        self.check_place(target, f"{path}.mountPath")
        if target == "/":
            detail = "expected a path below the root directory"
            self.scope.refuse(f"{path}.mountPath", "Invalid", f'Invalid value: "/": {detail}')
        return {
            "volume": mount["name"],
            "target": target,
            "subPath": self._sub_path(mount, environment, path),
            "readOnly": bool(mount.get("readOnly", False)),
            **self.mount_settings(mount),
        }

    def _sub_path(self, mount: Mapping[str, Any], environment: Environment, path: str) -> str:
        """``subPathExpr`` is expanded and judged as the kubelet does before it makes a container (makeMounts)."""
        expression = mount.get("subPathExpr")
        if not expression:
            self.check_place(mount.get("subPath", ""), f"{path}.subPath")
            return str(mount.get("subPath", ""))
        where = f"{path}.subPathExpr"
        expanded = expand(expression, environment.values)
        if UNRESOLVED.search(expand(expression.replace("$$", ""), dict.fromkeys(environment.values, ""))):
            message = f'Invalid value: "{expression}": it names a variable that env does not set'
            self.scope.refuse(where, "Invalid", message)
        elif referenced(expression, environment.values) & environment.secret_names:
            self.scope.refuse(where, "Forbidden", f'Forbidden: "{expression}": a path is no place for a Secret')
            return ""
        elif expanded.startswith("/") or ".." in expanded.split("/"):
            detail = "expected a relative path without '..'"
            self.scope.refuse(where, "Invalid", f'Invalid value: "{expression}": it means "{expanded}"; {detail}')
        self.check_place(expanded, where)
        return expanded

    def _check_host_paths(self, volumes: list[dict[str, Any]]) -> None:
        for index, volume in enumerate(volumes):
            if volume["kind"] == "hostPath":
                self.check_place(volume["path"], f"{POD}.volumes[{index}].hostPath.path")

    def _check_sub_paths(self, containers: list[dict[str, Any]], volumes: list[dict[str, Any]]) -> None:
        """Files are all known here, so a subPath that names none is found before the start fails on it."""
        files = {volume["name"]: [file["path"] for file in volume.get("files", [])] for volume in volumes}
        kinds = {volume["name"]: volume["kind"] for volume in volumes}
        for (_container, path), container in zip(self.scope.containers, containers, strict=True):
            for index, mount in enumerate(container["mounts"]):
                wanted = posixpath.normpath(mount["subPath"]) if mount["subPath"] else "."
                names = files[mount["volume"]]
                found = [name for name in names if f"{name}/".startswith(f"{wanted}/")]
                if kinds[mount["volume"]] == "files" and wanted != "." and not found:
                    self.scope.refuse(
                        f"{path}.volumeMounts[{index}].subPath",
                        "NotFound",
                        f'Not found: "{mount["subPath"]}": expected a file of volume {mount["volume"]}: '
                        f"{', '.join(sorted(names)) or 'it has none'}",
                    )

    # --------------------------------------------------------------------------------------------------------- security

    def _security(self, container: Mapping[str, Any], path: str) -> dict[str, Any]:
        """The pod's and the container's securityContext as one; the container's own value wins, field by field."""
        pod, own = self.pod.get("securityContext", {}), container.get("securityContext", {})
        fields = {**pod, **own}
        context = Context(fields, {name: f"{path if name in own else POD}.securityContext.{name}" for name in fields})
        groups = [*pod.get("supplementalGroups", []), *([pod["fsGroup"]] if "fsGroup" in pod else [])]
        node_critical = self.pod.get("priorityClassName") == "system-node-critical"
        return {
            "user": fields.get("runAsUser"),
            "group": fields.get("runAsGroup"),
            "groups": groups,
            "privileged": bool(fields.get("privileged", False)),
            "noNewPrivileges": fields.get("allowPrivilegeEscalation") is False,
            "readOnlyRoot": bool(fields.get("readOnlyRootFilesystem", False)),
            "addCapabilities": self._capabilities(context, "add"),
            "dropCapabilities": self._capabilities(context, "drop"),
            "oomScore": NODE_CRITICAL_OOM_SCORE if node_critical else None,
            **self.security(container, context),
        }

    def _capabilities(self, context: Context, verb: str) -> list[str]:
        """systemd passes over a name it does not know, and the daemon would have more rights than was written."""
        names = context.fields.get("capabilities", {}).get(verb, [])
        for index, name in enumerate(names):
            if not CAPABILITIES.fullmatch(name):
                self.scope.refuse(
                    f"{context.paths['capabilities']}.{verb}[{index}]",
                    "NotSupported",
                    f"Unsupported value: {json.dumps(name)}: expected a capability of Linux, such as NET_RAW, or ALL",
                )
        return list(names)

    # ------------------------------------------------------------------------------------------ ports, probes and hooks

    def _host_ports(self) -> list[dict[str, Any]]:
        """The declared ports that the daemon takes from the node itself."""
        return [
            {
                "container": container["name"],
                "port": port.get("hostPort") or port["containerPort"],
                "protocol": port.get("protocol", "TCP"),
                "hostIP": port.get("hostIP", ""),
            }
            for container, _path in self.scope.containers
            for port in container.get("ports", [])
            if port.get("hostPort") or self.pod.get("hostNetwork")
        ]

    def _probes_and_hooks(self, container: Mapping[str, Any], path: str) -> dict[str, Any]:
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", []) if "name" in port}
        return {
            "probes": {
                kind: self._action(container[f"{kind}Probe"], ports, f"{path}.{kind}Probe")
                for kind in ("startup", "liveness", "readiness")
                if f"{kind}Probe" in container
            },
            "lifecycle": {
                hook: self._action(action, ports, f"{path}.lifecycle.{hook}")
                for hook, action in container.get("lifecycle", {}).items()
                if hook in ("postStart", "preStop")
            },
        }

    def _action(self, action: Mapping[str, Any], ports: Mapping[str, int], path: str) -> dict[str, Any]:
        """A probe or a hook with its named port replaced by the number, and the defaults that are left."""
        resolved = dict(action)
        for kind in ("httpGet", "tcpSocket"):
            port = action.get(kind, {}).get("port")
            if isinstance(port, str):
                if port not in ports:
                    known = ", ".join(ports) or "it has none"
                    detail = f"expected a number or one of the container's ports: {known}"
                    self.scope.refuse(f"{path}.{kind}.port", "NotFound", f'Not found: "{port}": {detail}')
                resolved[kind] = {**action[kind], "port": ports.get(port, 0)}
        if "sleep" in action:
            resolved["sleep"] = {"seconds": action["sleep"].get("seconds", 0)}
        if "exec" in action:
            command = action["exec"]["command"]
            paths = [f"{path}.exec.command[{index}]" for index in range(len(command))]
            resolved["exec"] = {"command": self.started(command, paths, {})}
        return resolved


def _role(container: Mapping[str, Any], path: str) -> str:
    if not path.startswith(f"{POD}.initContainers"):
        return "main"
    return "sidecar" if container.get("restartPolicy") == "Always" else "init"


def _resources(resources: Mapping[str, Any]) -> dict[str, int | None]:
    """Memory in bytes, CPU in thousandths of a core."""
    limit, request = limits(resources), requests(resources)
    return {
        "memoryLimit": Quantity.parse(limit["memory"]).value() if "memory" in limit else None,
        "memoryRequest": Quantity.parse(request["memory"]).value() if "memory" in request else None,
        "cpuLimit": Quantity.parse(limit["cpu"]).milli() if "cpu" in limit else None,
        "cpuRequest": Quantity.parse(request["cpu"]).milli() if "cpu" in request else None,
    }
