# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A DaemonSet on one node → the definition of its instance: everything resolved, for the node's code to carry out.

A definition knows no Kubernetes objects any more and no runtime yet: variables are expanded, references replaced by
their contents, named ports by numbers, quantities by integers. What comes from a Secret is kept apart, see `define`.
"""

from __future__ import annotations

import base64
import json
import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..module_utils.observation import ROOT, Facts
from .downward import Downward, limits, requests
from .manifest.environment import Environment, expand, referenced, resolve_environment
from .manifest.errors import FieldError, ManifestError
from .manifest.model import DaemonSet, Manifests, image_runtime
from .manifest.quantity import Quantity
from .revision import replaced_units, revision
from .scheduling import Node

POD = "spec.template.spec"
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
UNRESOLVED = re.compile(r"\$\([^)]*\)")


def define(daemonset: DaemonSet, manifests: Manifests, node: Node, facts: Facts) -> tuple[dict[str, Any], str]:
    """The definition of this DaemonSet's instance on this node, and its secrets.

    The definition is JSON-safe and may be shown to anybody. The secrets are one opaque string (base64 of JSON:
    environment variables and arguments by container, files by volume), so that hiding that one string hides them all.
    Raises ManifestError for what cannot be carried out on a plain host, with every field's path.
    """
    builder = _Builder(daemonset, manifests, node, facts)
    builder.refuse_container_images()
    definition = {} if builder.errors else builder.definition()
    if builder.errors:
        raise ManifestError(tuple(builder.errors))
    return definition, base64.b64encode(json.dumps(builder.secrets, sort_keys=True).encode()).decode()


class _Builder:
    def __init__(self, daemonset: DaemonSet, manifests: Manifests, node: Node, facts: Facts) -> None:
        self.daemonset = daemonset
        self.manifests = manifests
        self.node = node
        self.downward = Downward(daemonset, node, facts)
        self.pod = daemonset.pod_spec
        self.containers = [
            (container, f"{POD}.{group}[{index}]")
            for group in ("initContainers", "containers")
            for index, container in enumerate(self.pod.get(group, []))
        ]
        self.config_maps = self._here(manifests.config_maps)
        self.secret_maps = self._here(manifests.secrets)
        self.errors: list[FieldError] = []
        self.secrets: dict[str, dict[str, dict[str, str]]] = {"environment": {}, "arguments": {}, "files": {}}

    def _here(self, contents: Mapping[tuple[str, str], Mapping[str, bytes]]) -> dict[str, Mapping[str, bytes]]:
        return {name: data for (namespace, name), data in contents.items() if namespace == self.daemonset.namespace}

    def _refuse(self, path: str, reason: str, message: str) -> None:
        self.errors.append(FieldError(self.daemonset.source, self.daemonset.document, path, reason, message))

    def _require(self, form: re.Pattern[str], text: str, path: str, detail: str) -> None:
        if not form.fullmatch(text):
            self._refuse(path, "Invalid", f"Invalid value: {json.dumps(text)}: {detail}")

    def refuse_container_images(self) -> None:
        for container, path in self.containers:
            if image_runtime(container["image"]) != "systemd":
                self._refuse(
                    f"{path}.image",
                    "NotSupported",
                    f'Unsupported value: "{container["image"]}": container images cannot be run by this version yet; '
                    "expected host:///PATH, package://NAME, or an archive's URL with #sha256=",
                )

    def definition(self) -> dict[str, Any]:
        containers = [self._container(container, path) for container, path in self.containers]
        volumes = [self._volume(v, f"{POD}.volumes[{i}]") for i, v in enumerate(self.pod.get("volumes", []))]
        self._check_sub_paths(containers, volumes)
        self._refuse_lost_propagation(containers, volumes)
        return {
            "namespace": self.daemonset.namespace,
            "name": self.daemonset.name,
            "node": self.node.name,
            "revision": revision(self.daemonset, self.manifests),
            "runtime": "systemd",
            "sources": [container["source"] for container in containers],
            "containers": containers,
            "volumes": volumes,
            "ports": self._ports(),
            "replaces": replaced_units(self.daemonset),
            "terminationGracePeriodSeconds": self.pod.get("terminationGracePeriodSeconds", 30),
            "minReadySeconds": self.daemonset.min_ready_seconds,
            "revisionHistoryLimit": self.daemonset.object["spec"]["revisionHistoryLimit"],
        }

    def _ports(self) -> list[dict[str, Any]]:
        """The declared ports that the daemon takes from the node itself."""
        return [
            {
                "container": container["name"],
                "port": port.get("hostPort") or port["containerPort"],
                "protocol": port.get("protocol", "TCP"),
                "hostIP": port.get("hostIP", ""),
            }
            for container, _path in self.containers
            for port in container.get("ports", [])
            if port.get("hostPort") or self.pod.get("hostNetwork")
        ]

    # ------------------------------------------------------------------------------------------------------- containers

    def _container(self, container: Mapping[str, Any], path: str) -> dict[str, Any]:
        environment = self._environment(container, path)
        source = self._source(container)
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", []) if "name" in port}
        name = container["name"]
        public = {key: value for key, value in environment.values.items() if key not in environment.secret_names}
        self.secrets["environment"][name] = {key: environment.values[key] for key in environment.secret_names}
        return {
            "name": name,
            "role": self._role(container, path),
            "source": source,
            "argv": self._argv(container, source, environment, path),
            "environment": public,
            "secretEnvironment": sorted(environment.secret_names),
            "workingDirectory": self._working_directory(container, path),
            "mounts": [
                self._mount(mount, environment, f"{path}.volumeMounts[{i}]")
                for i, mount in enumerate(container.get("volumeMounts", []))
            ],
            "resources": _resources(container.get("resources", {})),
            "security": self._security(container, path),
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

    def _role(self, container: Mapping[str, Any], path: str) -> str:
        if not path.startswith(f"{POD}.initContainers"):
            return "main"
        return "sidecar" if container.get("restartPolicy") == "Always" else "init"

    def _environment(self, container: Mapping[str, Any], path: str) -> Environment:
        try:
            environment = resolve_environment(
                container, self.config_maps, self.secret_maps, lambda source: self.downward.value(source, container)
            )
        except ValueError as error:
            self._refuse(f"{path}.env", "Invalid", str(error))
            return Environment({}, frozenset())
        places = {variable["name"]: f"{path}.env[{i}]" for i, variable in enumerate(container.get("env", []))}
        for name, value in environment.values.items():
            where = places.get(name, f"{path}.envFrom")
            self._require(VARIABLE, name, where, 'systemd only knows variables of letters, digits and "_"')
            if not VALUE.fullmatch(value):  # which may be secret
                message = f'the value of "{name}" holds a character that systemd would not pass on; mount it as a file'
                self._refuse(where, "Invalid", f"Invalid value: {message}")
        return environment

    def _source(self, container: Mapping[str, Any]) -> dict[str, Any]:
        name = container["name"]
        scheme, _colon, rest = container["image"].partition("://")
        if scheme == "host":
            return {"container": name, "kind": "host", "path": rest}
        if scheme == "package":
            package, _equals, version = rest.partition("=")
            return {"container": name, "kind": "package", "package": package, "version": version or None}
        url, _hash, sha256 = container["image"].partition("#sha256=")
        archive = f"{ROOT}/{self.daemonset.key}/archives/{sha256.lower()}"
        return {"container": name, "kind": "archive", "url": url, "sha256": sha256.lower(), "path": archive}

    def _argv(
        self, container: Mapping[str, Any], source: Mapping[str, Any], environment: Environment, path: str
    ) -> list[str]:
        """Kubernetes: command replaces the image's entrypoint, args are appended.

        A word that holds anything of a Secret is empty here and only kept in the secrets.
        """
        command = container.get("command") or [source["path"]]
        places = [f"{path}.command[{i}]" if container.get("command") else f"{path}.image" for i in range(len(command))]
        places += [f"{path}.args[{i}]" for i in range(len(container.get("args", [])))]
        words = [*command, *container.get("args", [])]
        argv = [expand(word, environment.values) for word in words]
        blanked = {key: "" if key in environment.secret_names else value for key, value in environment.values.items()}
        hidden = {i: argv[i] for i, word in enumerate(words) if expand(word, blanked) != argv[i]}
        for index, word in enumerate(argv):
            if index not in hidden:
                self._require(WORD, word, places[index], "holds a character that no unit file can hold")
            elif not VALUE.fullmatch(word):
                message = "with its Secret it holds a character that systemd would not pass on; mount it as a file"
                self._refuse(places[index], "Invalid", f'Invalid value: "{words[index]}": {message}')
        if 0 in hidden:
            self._refuse(places[0], "Forbidden", "Forbidden: the program's name is no place for a Secret")
        else:
            argv[0] = self._program(argv[0], source, places[0])
        self.secrets["arguments"][container["name"]] = {str(index): word for index, word in hidden.items()}
        return ["" if index in hidden else word for index, word in enumerate(argv)]

    def _program(self, program: str, source: Mapping[str, Any], path: str) -> str:
        if source["kind"] == "archive" and program and not program.startswith("/"):
            program = posixpath.join(source["path"], posixpath.normpath(program))
        self._check_program(program, path)
        return program

    def _check_program(self, program: str, path: str) -> None:
        detail = "expected an absolute path, or a name that begins with a letter or a digit; without quotes, \\ and $"
        self._require(PROGRAM, program, path, detail)

    def _working_directory(self, container: Mapping[str, Any], path: str) -> str | None:
        directory = container.get("workingDir")
        if not directory:
            return None
        self._require(LINE, directory, f"{path}.workingDir", "holds a control character")
        if not directory.startswith("/") or directory != directory.strip() or directory.endswith("\\"):
            detail = "expected an absolute path that ends neither with a blank nor with a backslash"
            self._refuse(f"{path}.workingDir", "Invalid", f"Invalid value: {json.dumps(directory)}: {detail}")
        return str(directory)

    def _mount(self, mount: Mapping[str, Any], environment: Environment, path: str) -> dict[str, Any]:
        target = _absolute(mount["mountPath"])
        self._require(MOUNT, target, f"{path}.mountPath", UNMOUNTABLE)
        if target == "/":
            self._refuse(f"{path}.mountPath", "Invalid", 'Invalid value: "/": expected a path below the root directory')
        return {
            "volume": mount["name"],
            "target": target,
            "subPath": self._sub_path(mount, environment, path),
            "readOnly": bool(mount.get("readOnly", False)),
        }

    def _sub_path(self, mount: Mapping[str, Any], environment: Environment, path: str) -> str:
        """``subPathExpr`` is expanded and judged as the kubelet does before it makes a container (makeMounts)."""
        expression = mount.get("subPathExpr")
        if not expression:
            self._require(MOUNT, mount.get("subPath", ""), f"{path}.subPath", UNMOUNTABLE)
            return str(mount.get("subPath", ""))
        where = f"{path}.subPathExpr"
        expanded = expand(expression, environment.values)
        if UNRESOLVED.search(expand(expression.replace("$$", ""), dict.fromkeys(environment.values, ""))):
            self._refuse(where, "Invalid", f'Invalid value: "{expression}": it names a variable that env does not set')
        elif referenced(expression, environment.values) & environment.secret_names:
            self._refuse(where, "Forbidden", f'Forbidden: "{expression}": a path is no place for a Secret')
            return ""
        elif expanded.startswith("/") or ".." in expanded.split("/"):
            detail = "expected a relative path without '..'"
            self._refuse(where, "Invalid", f'Invalid value: "{expression}": it means "{expanded}"; {detail}')
        self._require(MOUNT, expanded, where, UNMOUNTABLE)
        return expanded

    def _check_sub_paths(self, containers: list[dict[str, Any]], volumes: list[dict[str, Any]]) -> None:
        """Files are all known here, so a subPath that names none is found before the unit fails on it."""
        names = {volume["name"]: [file["path"] for file in volume.get("files", [])] for volume in volumes}
        kinds = {volume["name"]: volume["kind"] for volume in volumes}
        in_memory = {volume["name"] for volume in volumes if volume.get("medium") == "Memory"}
        for (_container, path), container in zip(self.containers, containers, strict=True):
            for index, mount in enumerate(container["mounts"]):
                wanted = posixpath.normpath(mount["subPath"]) if mount["subPath"] else "."
                found = [name for name in names[mount["volume"]] if f"{name}/".startswith(f"{wanted}/")]
                if mount["volume"] in in_memory and wanted != ".":
                    self._refuse(
                        f"{path}.volumeMounts[{index}].subPath",
                        "NotSupported",
                        f'Unsupported value: "{mount["subPath"]}": nothing makes a folder in a volume of medium Memory '
                        "before the daemon starts; mount the whole volume, or use one volume for each folder",
                    )
                if kinds[mount["volume"]] == "files" and wanted != "." and not found:
                    self._refuse(
                        f"{path}.volumeMounts[{index}].subPath",
                        "NotFound",
                        f'Not found: "{mount["subPath"]}": expected a file of volume {mount["volume"]}: '
                        f"{', '.join(sorted(names[mount['volume']])) or 'it has none'}",
                    )

    def _refuse_lost_propagation(self, containers: list[dict[str, Any]], volumes: list[dict[str, Any]]) -> None:
        """A service with any mount of its own has a mount namespace that passes nothing back to the host."""
        own_place = {volume["name"]: volume["path"] for volume in volumes if volume["kind"] == "hostPath"}
        for (container, path), defined in zip(self.containers, containers, strict=True):
            shared = not defined["security"]["readOnlyRoot"] and all(
                own_place.get(mount["volume"]) == mount["target"] and not mount["readOnly"] and not mount["subPath"]
                for mount in defined["mounts"]
            )
            for index, mount in enumerate(container.get("volumeMounts", [])):
                if mount.get("mountPropagation") == "Bidirectional" and not shared:
                    self._refuse(
                        f"{path}.volumeMounts[{index}].mountPropagation",
                        "NotSupported",
                        'Unsupported value: "Bidirectional": a host process can only pass mounts on to the host if '
                        "every volume of its container is a writable hostPath mounted at its own place",
                    )

    def _security(self, container: Mapping[str, Any], path: str) -> dict[str, Any]:
        """The pod's and the container's securityContext as one; the container's own value wins, field by field."""
        pod, own = self.pod.get("securityContext", {}), container.get("securityContext", {})
        context = {**pod, **own}
        paths = {field: f"{path if field in own else POD}.securityContext.{field}" for field in context}
        user = context.get("runAsUser")
        if context.get("runAsNonRoot") and not user:
            self._refuse(
                paths["runAsNonRoot"],
                "Invalid",
                "Invalid value: true: the process would run as root; set runAsUser to the id of an ordinary user",
            )
        groups = [*pod.get("supplementalGroups", []), *([pod["fsGroup"]] if "fsGroup" in pod else [])]
        capabilities = context.get("capabilities", {})
        node_critical = self.pod.get("priorityClassName") == "system-node-critical"
        return {
            "user": user,
            "group": context.get("runAsGroup"),
            "groups": groups,
            "privileged": bool(context.get("privileged", False)),
            "noNewPrivileges": context.get("allowPrivilegeEscalation") is False,
            "readOnlyRoot": bool(context.get("readOnlyRootFilesystem", False)),
            "addCapabilities": self._capabilities(capabilities, "add", paths),
            "dropCapabilities": self._capabilities(capabilities, "drop", paths),
            "seccomp": context.get("seccompProfile", {}).get("type"),
            "appArmor": self._apparmor(context.get("appArmorProfile", {}), paths.get("appArmorProfile", "")),
            "seLinux": self._selinux(context.get("seLinuxOptions", {}), paths.get("seLinuxOptions", "")),
            "oomScore": NODE_CRITICAL_OOM_SCORE if node_critical else None,
        }

    def _capabilities(self, capabilities: Mapping[str, list[str]], verb: str, paths: Mapping[str, str]) -> list[str]:
        """systemd passes over a name it does not know, and the daemon would have more rights than was written."""
        for index, name in enumerate(capabilities.get(verb, [])):
            if not CAPABILITIES.fullmatch(name):
                self._refuse(
                    f"{paths['capabilities']}.{verb}[{index}]",
                    "NotSupported",
                    f"Unsupported value: {json.dumps(name)}: expected a capability of Linux, such as NET_RAW, or ALL",
                )
        return list(capabilities.get(verb, []))

    def _apparmor(self, profile: Mapping[str, Any], path: str) -> str | None:
        if profile.get("type") == "Localhost":
            self._require(LINE, profile["localhostProfile"], f"{path}.localhostProfile", "holds a control character")
            return str(profile["localhostProfile"])
        return "unconfined" if profile.get("type") == "Unconfined" else None

    def _selinux(self, options: Mapping[str, Any], path: str) -> dict[str, Any]:
        if options and not options.get("type"):
            detail = "a host process has no default type as containers do; set the type it shall run as"
            self._refuse(f"{path}.type", "Required", f"Required value: {detail}")
        for field, value in options.items():
            self._require(LINE, value, f"{path}.{field}", "holds a control character")
        return dict(options)

    def _action(self, action: Mapping[str, Any], ports: Mapping[str, int], path: str) -> dict[str, Any]:
        """A probe or a hook with its named port replaced by the number, and the defaults that are left."""
        resolved = dict(action)
        for kind in ("httpGet", "tcpSocket"):
            port = action.get(kind, {}).get("port")
            if isinstance(port, str):
                if port not in ports:
                    known = ", ".join(ports) or "it has none"
                    detail = f"expected a number or one of the container's ports: {known}"
                    self._refuse(f"{path}.{kind}.port", "NotFound", f'Not found: "{port}": {detail}')
                resolved[kind] = {**action[kind], "port": ports.get(port, 0)}
        if "sleep" in action:
            resolved["sleep"] = {"seconds": action["sleep"].get("seconds", 0)}
        if "exec" in action:
            command = action["exec"]["command"]
            self._check_program(command[0], f"{path}.exec.command[0]")
            for index, word in enumerate(command):
                where = f"{path}.exec.command[{index}]"
                self._require(WORD, word, where, "holds a character that no unit file can hold")
        return resolved

    # ---------------------------------------------------------------------------------------------------------- volumes

    def _volume(self, volume: Mapping[str, Any], path: str) -> dict[str, Any]:
        name = volume["name"]
        if "hostPath" in volume:
            host_path = volume["hostPath"]
            self._require(MOUNT, host_path["path"], f"{path}.hostPath.path", UNMOUNTABLE)
            return {
                "name": name,
                "kind": "hostPath",
                "path": _absolute(host_path["path"]),
                "type": host_path.get("type", ""),
            }
        if "emptyDir" in volume:
            medium, limit = volume["emptyDir"].get("medium", ""), volume["emptyDir"].get("sizeLimit")
            size = Quantity.parse(limit).value() if medium and limit else None
            group = self.pod.get("securityContext", {}).get("fsGroup")
            return {"name": name, "kind": "emptyDir", "medium": medium, "sizeLimit": size, "fsGroup": group}
        return self._files(volume, path)

    def _files(self, volume: Mapping[str, Any], path: str) -> dict[str, Any]:
        kind = next(kind for kind in ("configMap", "secret", "downwardAPI", "projected") if kind in volume)
        parts = volume["projected"].get("sources", []) if kind == "projected" else [volume]
        files: dict[str, dict[str, Any]] = {}
        hidden: dict[str, str] = {}
        for part in parts:
            for name, content, mode, secret in self._projection(part, f"{path}.{kind}"):
                encoded = base64.b64encode(content).decode()
                mode = self._file_mode(volume[kind].get("defaultMode", 0o644) if mode is None else mode)
                files[name] = {"path": name, "mode": mode, "content": None if secret else encoded}
                hidden.pop(name, None)  # of two sources with the same path the later one wins
                if secret:
                    hidden[name] = encoded
        self._check_file_paths(files, f"{path}.{kind}")
        self.secrets["files"][volume["name"]] = hidden
        group = self.pod.get("securityContext", {}).get("fsGroup")
        return {"name": volume["name"], "kind": "files", "files": list(files.values()), "group": group}

    def _file_mode(self, mode: int) -> int:
        """With fsGroup, owner and group may read every file (volume.SetVolumeOwnership, roMask)."""
        return mode | 0o440 if "fsGroup" in self.pod.get("securityContext", {}) else mode

    def _check_file_paths(self, names: Iterable[str], path: str) -> None:
        folders = {name[:end] for name in names for end in range(len(name)) if name[end] == "/"}
        for name in names:
            self._require(LINE, name, path, "the path of a file holds a control character")
            if name in folders or name == ".":
                self._refuse(path, "Invalid", f'Invalid value: "{name}": is the path of a file and of a directory')

    def _projection(self, source: Mapping[str, Any], path: str) -> Iterable[tuple[str, bytes, int | None, bool]]:
        """(path, content, mode, secret?) of each file of one volume source."""
        if "downwardAPI" in source:
            for item in source["downwardAPI"].get("items", []):
                yield posixpath.normpath(item["path"]), self._downward_file(item, path), item.get("mode"), False
            return
        secret = "secret" in source
        reference = source["secret" if secret else "configMap"]
        contents = self.secret_maps if secret else self.config_maps
        data = contents.get(reference.get("secretName") or reference.get("name", ""), {})
        items = reference.get("items") or [{"key": key, "path": key} for key in sorted(data)]
        for item in items:
            if item["key"] in data:
                yield posixpath.normpath(item["path"]), data[item["key"]], item.get("mode"), secret

    def _downward_file(self, item: Mapping[str, Any], path: str) -> bytes:
        try:
            return self.downward.value(item, {}).encode()
        except ValueError as error:
            self._refuse(path, "Invalid", str(error))
            return b""


def _absolute(path: str) -> str:
    """An absolute path in its shortest form; POSIX would keep two slashes at the beginning."""
    return posixpath.normpath("/" + path.lstrip("/"))


def _resources(resources: Mapping[str, Any]) -> dict[str, int | None]:
    """Memory in bytes, CPU in thousandths of a core."""
    limit, request = limits(resources), requests(resources)
    return {
        "memoryLimit": Quantity.parse(limit["memory"]).value() if "memory" in limit else None,
        "memoryRequest": Quantity.parse(request["memory"]).value() if "memory" in request else None,
        "cpuLimit": Quantity.parse(limit["cpu"]).milli() if "cpu" in limit else None,
        "cpuRequest": Quantity.parse(request["cpu"]).milli() if "cpu" in request else None,
    }
