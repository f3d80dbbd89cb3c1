# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker: the keeper makes the containers with the engine's command, Docker restarts them and starts them at boot.

Several containers that share namespaces join those of a pause container. Docker itself never starts that one, so at
boot the others wait, in vain as Docker sees it, until the pod's unit has started the whole pod in its order.
"""

from __future__ import annotations

from typing import Any, Mapping

from .. import pods
from ..files import File
from .containers import STOP_SECONDS, Containers, resolver
from .runtime import RESTART_SECONDS, in_memory, unit_entry, unit_text


class Docker(Containers):
    def name_of(self, container: Mapping[str, Any]) -> str:
        mains = [one for one in self.definition["containers"] if one["role"] == "main"]
        if container["role"] == "main" and len(mains) == 1:
            return self.base
        return "{}.{}".format(self.base, container["name"])

    def process_files(self) -> tuple[dict[str, File], list[dict[str, Any]], list[dict[str, Any]]]:
        content = self.environment_files()
        content["units/" + self.unit] = unit_text(self._service())
        return content, [unit_entry(self.unit)], self.record_entries()

    def _service(self) -> list[str]:
        grace = self.definition["terminationGracePeriodSeconds"]
        return [
            *self.head("DaemonSet " + self.key),
            "Wants=docker.service network-online.target",
            "After=docker.service network-online.target local-fs.target remote-fs.target",
            # Stopped with the engine, and before it, so that preStop hooks still find their containers.
            "PartOf=docker.service",
            "StartLimitIntervalSec=0",
            "",
            "[Service]",
            "Type=oneshot",
            "RemainAfterExit=yes",
            "ExecStartPre=" + self.back_off(self.unit),
            "ExecStart=" + self.keeper_command("start"),
            "ExecStop=-" + self.keeper_command("stop"),
            "TimeoutStartSec=infinity",
            f"TimeoutStopSec={grace + STOP_SECONDS}",
            "Restart=on-failure",
            f"RestartSec={RESTART_SECONDS}",
            "SyslogIdentifier=" + self.base,
            *self.installed_by("multi-user.target docker.service"),
        ]

    def has_pause(self) -> bool:
        """One container alone owns its namespaces itself."""
        return len(self.definition["containers"]) > 1 or any(map(in_memory, self.definition["volumes"]))

    def made_images(self) -> list[str]:
        return [pods.PAUSE_IMAGE] if self.has_pause() else []

    def needs_looking_after(self) -> bool:
        return self.has_pause() or not self._restarts_by_itself() or super().needs_looking_after()

    def _restarts_by_itself(self) -> bool:
        """Whether Docker starts again what ends, and at boot; otherwise the keeper does."""
        return self.starts_at_boot()

    def pause_name(self) -> str:
        return self.base + "._pause"

    def pause_entry(self) -> dict[str, Any] | None:
        if not self.has_pause():
            return None
        container = {"name": "_pause", "role": "pause"}
        words = ["--pull", "never", "--name", self.pause_name(), *self._labels(container), *self._pod_options()]
        words += ["--ipc", "host" if self.pod["hostIPC"] else "shareable", "--stop-signal", "SIGTERM"]
        words += ["--mount", pods.PAUSE_MOUNT, pods.PAUSE_IMAGE, *pods.PAUSE_COMMAND]
        return {"name": self.pause_name(), "role": "pause", "create": words, "environment": {}}

    def record_entries(self) -> list[dict[str, Any]]:
        pause = [{"name": self.pause_name(), "container": None, "readiness": False}] if self.has_pause() else []
        return pause + super().record_entries()

    def container_entries(self) -> list[dict[str, Any]]:
        return [self._entry(container) for container in self.definition["containers"]]

    def _entry(self, container: Mapping[str, Any]) -> dict[str, Any]:
        words = ["--pull", "never", "--name", self.name_of(container)]
        if container["role"] != "init" and self._restarts_by_itself():
            words += ["--restart", "always"]
        words += self._shared_options() if self.has_pause() else self._alone_options()
        words += [*self._process_options(container), *self._command(container)]
        return {
            "name": self.name_of(container),
            "role": container["role"],
            "create": words,
            "environment": self._special_environment(container["name"]),
            "stopSignal": container["stopSignal"],
            "probes": container["probes"],
            **container["lifecycle"],
        }

    def _shared_options(self) -> list[str]:
        pause = "container:" + self.pause_name()
        options = ["--network", pause, "--ipc", "host" if self.pod["hostIPC"] else pause]
        if self.pod["hostPID"]:
            options += ["--pid", "host"]
        elif self.pod["shareProcessNamespace"]:
            options += ["--pid", pause]
        return options

    def _alone_options(self) -> list[str]:
        options = self._pod_options() + ["--ipc", "host" if self.pod["hostIPC"] else "private"]
        return options + (["--pid", "host"] if self.pod["hostPID"] else [])

    def _pod_options(self) -> list[str]:
        """What belongs to the network namespace, whoever holds it."""
        options = ["--network", "host"] if self.pod["hostNetwork"] else self._own_network()
        for alias in self.pod["hostAliases"]:
            for name in alias["hostnames"]:
                options += ["--add-host", "{}:{}".format(name, alias["ip"])]
        dns = resolver(self.pod["dns"])
        for option, kind in (("--dns", "nameservers"), ("--dns-search", "searches"), ("--dns-option", "options")):
            for value in dns[kind]:
                options += [option, value]
        for name, value in sorted(self.pod["sysctls"].items()):
            options += ["--sysctl", f"{name}={value}"]
        return options

    def _own_network(self) -> list[str]:
        options = ["--network", "bridge", "--hostname", self.pod["hostname"]]
        for container in self.lasting:
            for port in container["ports"]:
                if port["hostPort"]:
                    options += ["--publish", _published(port)]
        return options


def _published(port: Mapping[str, Any]) -> str:
    host = port["hostIP"]
    address = (f"[{host}]" if ":" in host else host) + ":" if host else ""
    return "{}{}:{}/{}".format(address, port["hostPort"], port["containerPort"], port["protocol"].lower())
