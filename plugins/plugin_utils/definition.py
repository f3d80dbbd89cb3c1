# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A DaemonSet on one node → the definition of its instance: everything resolved, for the node's code to carry out.

A definition knows no Kubernetes objects any more and no runtime yet: variables are expanded, references replaced by their contents,
named ports by numbers, quantities by integers. Whatever comes from a Secret is kept apart, see `define`.
"""

from __future__ import annotations

import base64
import json
import posixpath
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from ..module_utils.observation import ROOT, Facts
from .manifest.environment import Environment, expand, resolve_environment
from .manifest.errors import FieldError, ManifestError
from .manifest.model import DaemonSet, Manifests, image_runtime
from .manifest.quantity import Quantity
from .revision import REPLACES, revision
from .scheduling import Node

POD = "spec.template.spec"
NODE_CRITICAL_OOM_SCORE = -997  # kubelet qos: guaranteedOOMScoreAdj, also for node-critical pods
# systemd's own rule (basic/env-util.c): anything else would be dropped from an environment file with only a log line.
SYSTEMD_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

_Contents = Mapping[str, Mapping[str, bytes]]


def define(daemonset: DaemonSet, manifests: Manifests, node: Node, facts: Facts) -> tuple[dict[str, Any], str]:
    """The definition of this DaemonSet's instance on this node, and its secrets.

    The definition is JSON-safe and may be shown to anybody. The secrets are one opaque string (base64 of JSON: environment variables
    and arguments by container, files by volume), so that hiding that one string hides them all.
    Raises ManifestError for what cannot be carried out on a plain host, with every field's path.
    """
    builder = _Builder(daemonset, manifests, node, facts)
    definition = builder.definition()
    if builder.errors:
        raise ManifestError(tuple(builder.errors))
    return definition, base64.b64encode(json.dumps(builder.secrets, sort_keys=True).encode()).decode()


class _Builder:
    def __init__(self, daemonset: DaemonSet, manifests: Manifests, node: Node, facts: Facts) -> None:
        self.daemonset = daemonset
        self.manifests = manifests
        self.node = node
        self.facts = facts
        self.pod = daemonset.pod_spec
        self.config_maps = self._here(manifests.config_maps)
        self.secret_maps = self._here(manifests.secrets)
        self.errors: list[FieldError] = []
        self.secrets: dict[str, dict[str, dict[str, str]]] = {"environment": {}, "arguments": {}, "files": {}}

    def _here(self, contents: Mapping[tuple[str, str], Mapping[str, bytes]]) -> dict[str, Mapping[str, bytes]]:
        return {name: data for (namespace, name), data in contents.items() if namespace == self.daemonset.namespace}

    def _refuse(self, path: str, reason: str, message: str) -> None:
        self.errors.append(FieldError(self.daemonset.source, self.daemonset.document, path, reason, message))

    def definition(self) -> dict[str, Any]:
        containers = [
            self._container(container, f"{POD}.{group}[{index}]", group == "initContainers")
            for group in ("initContainers", "containers")
            for index, container in enumerate(self.pod.get(group, []))
        ]
        volumes = [self._volume(v, f"{POD}.volumes[{i}]") for i, v in enumerate(self.pod.get("volumes", []))]
        self._refuse_lost_propagation(volumes)
        return {
            "namespace": self.daemonset.namespace,
            "name": self.daemonset.name,
            "node": self.node.name,
            "revision": revision(self.daemonset, self.manifests),
            "runtime": "systemd",
            "sources": [container["source"] for container in containers],
            "containers": containers,
            "volumes": volumes,
            "replaces": [
                unit.strip() for unit in self.daemonset.annotations.get(REPLACES, "").split(",") if unit.strip()
            ],
            "terminationGracePeriodSeconds": self.pod.get("terminationGracePeriodSeconds", 30),
            "minReadySeconds": self.daemonset.min_ready_seconds,
            "revisionHistoryLimit": self.daemonset.object["spec"].get("revisionHistoryLimit", 10),
        }

    # ------------------------------------------------------------------------------------------------------- containers

    def _container(self, container: Mapping[str, Any], path: str, init: bool) -> dict[str, Any]:
        environment = self._environment(container, path)
        source = self._source(container, path)
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", []) if "name" in port}
        name = container["name"]
        public = {key: value for key, value in environment.values.items() if key not in environment.secret_names}
        self.secrets["environment"][name] = {key: environment.values[key] for key in environment.secret_names}
        return {
            "name": name,
            "role": "main" if not init else "sidecar" if container.get("restartPolicy") == "Always" else "init",
            "source": source,
            "argv": self._argv(container, source, environment),
            "environment": public,
            "secretEnvironment": sorted(environment.secret_names),
            "workingDirectory": container.get("workingDir"),
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

    def _environment(self, container: Mapping[str, Any], path: str) -> Environment:
        try:
            environment = resolve_environment(
                container, self.config_maps, self.secret_maps, lambda source: self._value_from(source, container)
            )
        except ValueError as error:
            self._refuse(f"{path}.env", "Invalid", str(error))
            return Environment({}, frozenset())
        for name, value in environment.values.items():
            if not SYSTEMD_VARIABLE.match(name):
                self._refuse(
                    f"{path}.env",
                    "Invalid",
                    f'Invalid value: "{name}": systemd only knows variables of letters, digits and "_"',
                )
            if UNPRINTABLE.search(value):
                self._refuse(
                    f"{path}.env",
                    "Invalid",
                    f'the value of "{name}" holds a control character, which systemd would drop',
                )
        return environment

    def _source(self, container: Mapping[str, Any], path: str) -> dict[str, Any]:
        image, name = container["image"], container["name"]
        if image_runtime(image) != "systemd":
            self._refuse(
                f"{path}.image",
                "NotSupported",
                f'Unsupported value: "{image}": container images cannot be run by this version yet; expected '
                "host:///PATH, package://NAME, or an archive's URL with #sha256=",
            )
            return {"container": name, "kind": "host"}
        scheme, _colon, rest = image.partition("://")
        if scheme == "host":
            return {"container": name, "kind": "host", "path": rest}
        if scheme == "package":
            package, _equals, version = rest.partition("=")
            return {"container": name, "kind": "package", "package": package, "version": version or None}
        url, _hash, sha256 = image.partition("#sha256=")
        archive = f"{ROOT}/{self.daemonset.key}/archives/{sha256}"
        return {"container": name, "kind": "archive", "url": url, "sha256": sha256, "path": archive}

    def _argv(self, container: Mapping[str, Any], source: Mapping[str, Any], environment: Environment) -> list[str]:
        """Kubernetes: command replaces the image's entrypoint, args are appended; a word of a secret is only kept in the secrets."""
        words = list(
            container.get("command") or ([source["path"]] if source["kind"] == "host" and "path" in source else [])
        )
        words += container.get("args", [])
        argv = [expand(word, environment.values) for word in words]
        if source["kind"] == "archive" and argv and not argv[0].startswith("/"):
            argv[0] = posixpath.join(source["path"], posixpath.normpath(argv[0]))
        blanked = {key: "" if key in environment.secret_names else value for key, value in environment.values.items()}
        hidden = {
            str(index): argv[index]
            for index, word in enumerate(words)
            if environment.secret_names and expand(word, blanked) != expand(word, environment.values)
        }
        self.secrets["arguments"][container["name"]] = hidden
        return ["" if str(index) in hidden else word for index, word in enumerate(argv)]

    def _mount(self, mount: Mapping[str, Any], environment: Environment, path: str) -> dict[str, Any]:
        sub_path = mount.get("subPath", "")
        if "subPathExpr" in mount:
            sub_path = expand(mount["subPathExpr"], environment.values)
            if re.search(r"\$\([^)]+\)", sub_path):
                self._refuse(
                    f"{path}.subPathExpr",
                    "Invalid",
                    f'Invalid value: "{mount["subPathExpr"]}": it names a variable that env does not set',
                )
        return {
            "volume": mount["name"],
            "target": posixpath.normpath("/" + mount["mountPath"]),
            "subPath": sub_path,
            "readOnly": bool(mount.get("readOnly", False)),
            "propagation": mount.get("mountPropagation", "None"),
        }

    def _security(self, container: Mapping[str, Any], path: str) -> dict[str, Any]:
        """The pod's and the container's securityContext as one; the container's own value wins, field by field."""
        pod = self.pod.get("securityContext", {})
        context = {**pod, **container.get("securityContext", {})}
        user = context.get("runAsUser")
        if context.get("runAsNonRoot") and not user:
            self._refuse(
                f"{path}.securityContext.runAsNonRoot",
                "Invalid",
                "Invalid value: true: the process would run as root; set runAsUser to the numeric id of an ordinary user",
            )
        groups = [*pod.get("supplementalGroups", []), *([pod["fsGroup"]] if "fsGroup" in pod else [])]
        capabilities = context.get("capabilities", {})
        return {
            "user": user,
            "group": context.get("runAsGroup"),
            "groups": groups,
            "privileged": bool(context.get("privileged", False)),
            "noNewPrivileges": context.get("allowPrivilegeEscalation") is False,
            "readOnlyRoot": bool(context.get("readOnlyRootFilesystem", False)),
            "addCapabilities": list(capabilities.get("add", [])),
            "dropCapabilities": list(capabilities.get("drop", [])),
            "seccomp": context.get("seccompProfile", {}).get("type"),
            "appArmor": _apparmor(context.get("appArmorProfile", {})),
            "seLinux": context.get("seLinuxOptions", {}),
            "oomScore": NODE_CRITICAL_OOM_SCORE
            if self.pod.get("priorityClassName") == "system-node-critical"
            else None,
        }

    def _action(self, action: Mapping[str, Any], ports: Mapping[str, int], path: str) -> dict[str, Any]:
        """A probe or a hook with its named port replaced by the number."""
        resolved = dict(action)
        for kind in ("httpGet", "tcpSocket"):
            port = action.get(kind, {}).get("port")
            if isinstance(port, str):
                if port not in ports:
                    self._refuse(
                        f"{path}.{kind}.port",
                        "NotFound",
                        f'Not found: "{port}": expected a number or one of the container\'s ports: {", ".join(ports) or "it has none"}',
                    )
                resolved[kind] = {**action[kind], "port": ports.get(port, 0)}
        return resolved

    # ---------------------------------------------------------------------------------------------------------- volumes

    def _refuse_lost_propagation(self, volumes: list[dict[str, Any]]) -> None:
        """A service with any mount of its own has a mount namespace that passes nothing back to the host."""
        own_place = {volume["name"]: volume["path"] for volume in volumes if volume["kind"] == "hostPath"}
        for group in ("initContainers", "containers"):
            for index, container in enumerate(self.pod.get(group, [])):
                mounts = container.get("volumeMounts", [])
                shared = container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True and all(
                    own_place.get(mount["name"]) == posixpath.normpath("/" + mount["mountPath"])
                    and not mount.get("readOnly")
                    and not mount.get("subPath")
                    for mount in mounts
                )
                for number, mount in enumerate(mounts):
                    if mount.get("mountPropagation") == "Bidirectional" and not shared:
                        self._refuse(
                            f"{POD}.{group}[{index}].volumeMounts[{number}].mountPropagation",
                            "NotSupported",
                            'Unsupported value: "Bidirectional": a host process can only pass mounts on to the host if every '
                            "volume of its container is a writable hostPath mounted at its own place",
                        )

    def _volume(self, volume: Mapping[str, Any], path: str) -> dict[str, Any]:
        name = volume["name"]
        if "hostPath" in volume:
            host_path = volume["hostPath"]
            return {
                "name": name,
                "kind": "hostPath",
                "path": posixpath.normpath(host_path["path"]),
                "type": host_path.get("type", ""),
            }
        if "configMap" in volume or "secret" in volume or "downwardAPI" in volume or "projected" in volume:
            return self._files(volume)
        empty = volume.get("emptyDir", {})
        medium, limit = empty.get("medium", ""), empty.get("sizeLimit")
        return {"name": name, "kind": "emptyDir", "medium": medium, "sizeLimit": _bytes(limit) if medium else None}

    def _files(self, volume: Mapping[str, Any]) -> dict[str, Any]:
        files: list[dict[str, Any]] = []
        hidden: dict[str, str] = {}
        source = volume.get("projected", volume)
        default_mode = next(
            volume[kind].get("defaultMode", 0o644)
            for kind in ("configMap", "secret", "downwardAPI", "projected")
            if kind in volume
        )
        for part in volume["projected"].get("sources", []) if source is not volume else [volume]:
            for path, content, mode, secret in self._projection(part):
                encoded = base64.b64encode(content).decode()
                if secret:
                    hidden[path] = encoded
                files.append(
                    {
                        "path": path,
                        "mode": self._file_mode(default_mode if mode is None else mode),
                        "content": None if secret else encoded,
                    }
                )
        self.secrets["files"][volume["name"]] = hidden
        group = self.pod.get("securityContext", {}).get("fsGroup")
        return {"name": volume["name"], "kind": "files", "files": files, "group": group}

    def _file_mode(self, mode: int) -> int:
        """With fsGroup the group may read what the owner may (volume.SetVolumeOwnership)."""
        return mode | (mode & 0o400) >> 3 if "fsGroup" in self.pod.get("securityContext", {}) else mode

    def _projection(self, source: Mapping[str, Any]) -> Iterable[tuple[str, bytes, int | None, bool]]:
        """(path, content, mode, secret?) of each file of one volume source."""
        if "downwardAPI" in source:
            for item in source["downwardAPI"].get("items", []):
                yield item["path"], self._value_from(item, {}).encode(), item.get("mode"), False
            return
        secret = "secret" in source
        reference = source["secret" if secret else "configMap"]
        contents: _Contents = self.secret_maps if secret else self.config_maps
        data = contents.get(reference.get("secretName") or reference.get("name", ""), {})
        if "items" not in reference:
            for key in sorted(data):
                yield key, data[key], None, secret
        for item in reference.get("items", []):
            if item["key"] in data:
                yield item["path"], data[item["key"]], item.get("mode"), secret

    # ----------------------------------------------------------------------------------------------------- downward API

    def _value_from(self, source: Mapping[str, Any], container: Mapping[str, Any]) -> str:
        if "fieldRef" in source:
            return self._field(source["fieldRef"]["fieldPath"])
        return self._resource(source["resourceFieldRef"], container)

    def _field(self, path: str) -> str:
        metadata = self.daemonset.template.get("metadata", {})
        keyed = re.match(r"metadata\.(labels|annotations)\['([^']*)'\]\Z", path)
        if keyed:
            return str(metadata.get(keyed[1], {}).get(keyed[2], ""))
        if path in ("metadata.labels", "metadata.annotations"):
            return "\n".join(f"{key}={json.dumps(value)}" for key, value in sorted(metadata.get(path[9:], {}).items()))
        name = f"{self.daemonset.name}-{self.node.name}"
        return {
            "metadata.name": name,
            "metadata.namespace": self.daemonset.namespace,
            "metadata.uid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"everynode:{self.daemonset.key}/{self.node.name}")),
            "spec.nodeName": self.node.name,
            "spec.serviceAccountName": self.pod.get("serviceAccountName", "default"),
        }.get(
            path, self.facts.host_ip
        )  # the rest are status.hostIP, podIP and their plurals: a host process has the host's address

    def _resource(self, reference: Mapping[str, Any], container: Mapping[str, Any]) -> str:
        """A limit or request in units of the divisor, rounded up; a missing limit is what the node has (api/resource helpers)."""
        named = reference.get("containerName")
        chosen = next((c for c in self.pod["containers"] if c["name"] == named), container)
        kind, _dot, resource = reference["resource"].partition(".")
        resources = chosen.get("resources", {})
        quantity = resources.get(kind, {}).get(resource)
        if quantity is None and kind == "requests":
            quantity = resources.get("limits", {}).get(resource, "0")
        if quantity is None:
            quantity = str({"cpu": self.facts.cpus, "memory": self.facts.memory}.get(resource, 0))
        divisor = Quantity.parse(reference.get("divisor") or "1")
        amount = Quantity.parse(str(quantity))
        if resource == "cpu":
            return str(-(-amount.milli() // (divisor.milli() or 1000)))
        return str(-(-amount.value() // (divisor.value() or 1)))


def _resources(resources: Mapping[str, Any]) -> dict[str, int | None]:
    """Memory in bytes, CPU in thousandths of a core."""
    limits, requests = resources.get("limits", {}), resources.get("requests", {})
    return {
        "memoryLimit": _bytes(limits.get("memory")),
        "memoryRequest": _bytes(requests.get("memory")),
        "cpuLimit": _milli(limits.get("cpu")),
        "cpuRequest": _milli(requests.get("cpu")),
    }


def _bytes(quantity: Any) -> int | None:
    return None if quantity is None else Quantity.parse(str(quantity)).value()


def _milli(quantity: Any) -> int | None:
    return None if quantity is None else Quantity.parse(str(quantity)).milli()


def _apparmor(profile: Mapping[str, Any]) -> str | None:
    if profile.get("type") == "Localhost":
        return str(profile["localhostProfile"])
    return "unconfined" if profile.get("type") == "Unconfined" else None
