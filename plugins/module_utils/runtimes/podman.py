# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Podman: `podman kube play` under systemd plays the pod, from a Quadlet where there is one.

The pod that it plays is already resolved: literal variables, volumes that are folders of the node. Probes and hooks are
the keeper's, as everywhere.
"""

from __future__ import annotations

import os
from typing import Any, Mapping

from .. import engine
from ..files import File
from .containers import SECCOMP_PROFILES, STOP_SECONDS, Containers, cpu_shares, resolver
from .runtime import RESTART_SECONDS, as_json, quote, specifiers, unit_entry, unit_text

# Quadlet (Podman 4.4 and newer) is a generator of systemd's.
QUADLET = "/usr/lib/systemd/system-generators/podman-system-generator"
PAUSE_IMAGE = "localhost/podman-pause"  # which Podman makes for its first pod
# Before this one Podman starts an init container again after it has succeeded, as often as it can, if the pod's
# restartPolicy is Always or OnFailure.
INIT_CONTAINERS_END = (4, 6)
NETWORK = "podman"  # the engine's own; without a name `kube play` would make another one and leave it


class Podman(Containers):
    def name_of(self, container: Mapping[str, Any]) -> str:
        return "{}-{}".format(self.base, container["name"])

    def made_images(self) -> list[str]:
        return [PAUSE_IMAGE]

    def needs_looking_after(self) -> bool:
        return not self._restarts_by_itself() or super().needs_looking_after()

    def _restarts_by_itself(self) -> bool:
        """Whether Podman starts again what ends, and podman-restart.service at boot; otherwise the keeper does."""
        has_init = any(one["role"] == "init" for one in self.definition["containers"])
        return self.starts_at_boot() and (not has_init or self.engine.version() >= INIT_CONTAINERS_END)

    def process_files(self) -> tuple[dict[str, File], list[dict[str, Any]], list[dict[str, Any]]]:
        content = self.environment_files()
        content["pod.yaml"] = File(as_json(self._pod(self.base)), 0o600, secret=True)
        if os.path.exists(QUADLET):
            content[f"quadlets/{self.base}.kube"] = unit_text(self._quadlet())
            # A generated unit cannot be enabled; the file itself says when it starts.
            return content, [unit_entry(self.unit, enabled=False)], self.record_entries()
        content["units/" + self.unit] = unit_text(self._service())
        return content, [unit_entry(self.unit)], self.record_entries()

    def _foreign_containers(self) -> list[str]:
        labels = self.engine.pod_labels(self.base)
        if labels is None or labels.get(engine.INSTANCE) == self.key:
            return super()._foreign_containers()
        return [self._foreign(f"pod named {self.base}")]

    def process_problems(self, sources_present: bool) -> list[str]:
        return super().process_problems(sources_present) + self._lost_fields()

    def _lost_fields(self) -> list[str]:
        """What Podman 4.3 reads over in silence."""
        if os.path.exists(QUADLET):
            return []
        lost = [field for field in ("hostPID", "hostIPC") if self.pod[field]]
        lost += ["securityContext.sysctls"] if self.pod["sysctls"] else []
        return [
            f"spec.template.spec.{field}: this node's Podman is too old to give it to a pod: "
            "use a newer one (Debian 13 has one), or Docker"
            for field in lost
        ]

    # ------------------------------------------------------------------------------------------------------------ unit

    def _quadlet(self) -> list[str]:
        return [
            *self._unit_head(),
            "[Kube]",
            "Yaml=" + specifiers(self._yaml_path()),
            *self._quadlet_network(),
            "",
            "[Service]",
            *self._supervision(),
            *self.installed_by("multi-user.target"),
        ]

    def _quadlet_network(self) -> list[str]:
        return [] if self.pod["hostNetwork"] else ["Network=" + NETWORK]

    def _service(self) -> list[str]:
        """What Quadlet would make of it."""
        network = "" if self.pod["hostNetwork"] else f"--network {NETWORK} "
        path = quote(self._yaml_path())
        return [
            *self._unit_head(),
            "[Service]",
            "Type=notify",
            "NotifyAccess=all",
            "KillMode=mixed",
            "Environment=PODMAN_SYSTEMD_UNIT=%n",
            f"ExecStart=/usr/bin/podman play kube --replace --service-container=true {network}{path}",
            f"ExecStopPost=/usr/bin/podman play kube --down {path}",
            # How the process that stands for the pod ends when the pod is stopped.
            "SuccessExitStatus=137 143",
            *self._supervision(),
            *self.installed_by("multi-user.target"),
        ]

    def _unit_head(self) -> list[str]:
        return [
            *self.head("DaemonSet " + self.key),
            "Wants=network-online.target",
            "After=network-online.target local-fs.target remote-fs.target",
            "StartLimitIntervalSec=0",
            "",
        ]

    def _supervision(self) -> list[str]:
        return [
            "ExecStartPre=" + self.back_off(self.unit),
            "ExecStartPre=" + self.keeper_command("prepare"),
            "ExecStartPost=" + self.keeper_command("started"),
            "ExecStop=-" + self.keeper_command("stop"),
            "Environment=PODMAN_IGNORE_CGROUPSV1_WARNING=1",
            "TimeoutStartSec=infinity",
            "TimeoutStopSec={}".format(self.definition["terminationGracePeriodSeconds"] + STOP_SECONDS),
            "Restart=always",
            f"RestartSec={RESTART_SECONDS}",
            "SyslogIdentifier=" + self.base,
        ]

    def _yaml_path(self) -> str:
        return os.path.join(self.revision, "pod.yaml")

    def container_entries(self) -> list[dict[str, Any]]:
        return [
            {
                "name": self.name_of(container),
                "role": container["role"],
                "cpuShares": cpu_shares(container["resources"]),
                "oomScore": container["security"]["oomScore"],
                "stopSignal": None,
                "probes": container["probes"],
                **container["lifecycle"],
            }
            for container in self.definition["containers"]
        ]

    # ------------------------------------------------------------------------------------------------------------- pod

    def _pod(self, name: str) -> dict[str, Any]:
        containers = self.definition["containers"]
        spec: dict[str, Any] = {
            "restartPolicy": "Always" if self._restarts_by_itself() else "Never",
            "terminationGracePeriodSeconds": self.definition["terminationGracePeriodSeconds"],
            "hostNetwork": self.pod["hostNetwork"],
            "hostPID": self.pod["hostPID"],
            "hostIPC": self.pod["hostIPC"],
            "shareProcessNamespace": self.pod["shareProcessNamespace"],
            "hostAliases": self.pod["hostAliases"],
            "securityContext": self._pod_security(),
            "initContainers": [self._container(one) for one in containers if one["role"] == "init"],
            # Podman starts them together; sidecars come first in its order.
            "containers": [
                self._container(one) for role in ("sidecar", "main") for one in containers if one["role"] == role
            ],
            "volumes": self._pod_volumes(),
        }
        if not self.pod["hostNetwork"]:
            spec["hostname"] = self.pod["hostname"]
        dns = resolver(self.pod["dns"])
        if any(dns.values()):
            options = [dict(zip(("name", "value"), option.split(":", 1))) for option in dns["options"]]
            spec.update(dnsPolicy="None", dnsConfig=dict(dns, options=options))
        labels = {engine.INSTANCE: self.key, engine.REVISION: self.definition["revision"]}
        metadata = {"name": name, "labels": labels, "annotations": self._annotations()}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def _annotations(self) -> dict[str, str]:
        profiles = {}
        for container in self.definition["containers"]:
            profile = container["security"]["appArmor"]
            if profile:
                value = profile if profile in ("runtime/default", "unconfined") else "localhost/" + profile
                profiles["container.apparmor.security.beta.kubernetes.io/" + container["name"]] = value
        return profiles

    def _pod_security(self) -> dict[str, Any]:
        sysctls = [{"name": name, "value": value} for name, value in sorted(self.pod["sysctls"].items())]
        groups = sorted({group for one in self.definition["containers"] for group in one["security"]["groups"]})
        return {"sysctls": sysctls, "supplementalGroups": groups}

    def _container(self, container: Mapping[str, Any]) -> dict[str, Any]:
        command, words = self.arguments(container)
        variables = self._variables_of(container["name"])
        spec: dict[str, Any] = {
            "name": container["name"],
            "image": container["source"]["image"],
            "imagePullPolicy": "Never",  # it was pulled before anything was stopped
            "env": [{"name": name, "value": value} for name, (value, _secret) in sorted(variables.items())],
            "tty": container["tty"],
            "stdin": container["stdin"],
            "resources": _resources(container["resources"]),
            "securityContext": _security_context(container["security"]),
            "volumeMounts": [
                {
                    "name": _volume_name(index),
                    "mountPath": mount["target"],
                    "readOnly": self.mount_source(mount)[1],
                    "mountPropagation": mount["propagation"],
                }
                for index, mount in self._mounts(container)
            ],
            # Podman 4 publishes a port of the container even where no hostPort asks for it.
            "ports": [port for port in container["ports"] if port["hostPort"] and not self.pod["hostNetwork"]],
        }
        if command is not None:
            spec["command"] = [self._literal(word) for word in command]
        if words is not None:
            spec["args"] = [self._literal(word) for word in words]
        if container["workingDirectory"]:
            spec["workingDir"] = container["workingDirectory"]
        return spec

    def _literal(self, word: str) -> str:
        """Podman expands variables in commands once more, since version 5; ours are expanded already."""
        return word.replace("$", "$$") if os.path.exists(QUADLET) else word

    def _mounts(self, container: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
        """Every mount is a volume of its own, numbered throughout the pod: sub-paths are part of their sources."""
        everything = [(one["name"], mount) for one in self.definition["containers"] for mount in one["mounts"]]
        return [(index, mount) for index, (name, mount) in enumerate(everything) if name == container["name"]]

    def _pod_volumes(self) -> list[dict[str, Any]]:
        return [
            {"name": _volume_name(index), "hostPath": {"path": self.mount_source(mount)[0]}}
            for container in self.definition["containers"]
            for index, mount in self._mounts(container)
        ]


def _volume_name(index: int) -> str:
    return f"v{index}"


def _resources(resources: Mapping[str, int | None]) -> dict[str, dict[str, str]]:
    limits, requests = {}, {}
    if resources["memoryLimit"]:
        limits["memory"] = str(resources["memoryLimit"])
    if resources["cpuLimit"]:
        limits["cpu"] = "{}m".format(resources["cpuLimit"])
    if resources["memoryRequest"]:
        requests["memory"] = str(resources["memoryRequest"])
    return {"limits": limits, "requests": requests}


def _security_context(security: Mapping[str, Any]) -> dict[str, Any]:
    context: dict[str, Any] = {
        "privileged": security["privileged"],
        "readOnlyRootFilesystem": security["readOnlyRoot"],
        "capabilities": {"add": security["addCapabilities"], "drop": security["dropCapabilities"]},
        "runAsUser": security["user"],
        "runAsGroup": security["group"],
        "seLinuxOptions": security["seLinux"] or None,
        "procMount": security["procMount"],
    }
    if security["noNewPrivileges"]:
        context["allowPrivilegeEscalation"] = False
    if security["seccomp"]:
        context["seccompProfile"] = {"type": security["seccomp"]["type"]}
        if security["seccomp"]["profile"]:
            relative = os.path.relpath(security["seccomp"]["profile"], SECCOMP_PROFILES)
            context["seccompProfile"]["localhostProfile"] = relative
    return {key: value for key, value in context.items() if value is not None}
