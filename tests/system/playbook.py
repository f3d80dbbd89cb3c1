# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the collection's playbooks as a user does, and reads what a user reads."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.nodes import ansible

SECONDS = 240  # no run of these tests may take longer, whatever goes wrong


@dataclass(frozen=True)
class Run:
    """One run of ansible-playbook; ``recap`` is {host: {"changed": 0, "failed": 0, ...}}."""

    code: int
    output: str
    items: list[dict[str, Any]]

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        lines = re.findall(r"^(\S+)\s+: (ok=.*)$", self.output, re.MULTILINE)
        return {host: {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", counts)} for host, counts in lines}

    @property
    def changed(self) -> int:
        assert self.recap, self.output
        return sum(counts["changed"] for counts in self.recap.values())

    @property
    def status(self) -> dict[str, Any]:
        assert len(self.items) == 1, self.items
        status: dict[str, Any] = self.items[0]["status"]
        return status

    def node(self, name: str) -> dict[str, Any]:
        assert len(self.items) == 1, self.items
        return next(node for node in self.items[0]["nodes"] if node["name"] == name)


def arguments_for(verb: str, *arguments: str, **variables: Any) -> list[str]:
    """What to give ansible-playbook for a playbook of the collection, or for a file."""
    playbook = verb if verb.endswith(".yml") else f"everynode.daemonset.{verb}"
    return [playbook, f"--extra-vars={json.dumps(variables)}", *arguments]


def play(verb: str, inventory: Path, *arguments: str, **variables: Any) -> Run:
    """Run a playbook of the collection (or a file) to its end."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        if not verb.endswith(".yml"):
            variables = {"daemonset_output": "json", "daemonset_output_file": str(report), **variables}
        words = arguments_for(verb, *arguments, **variables)
        done = ansible.run("ansible-playbook", *words, inventory=inventory, timeout=SECONDS)
        items = json.loads(report.read_text())["items"] if report.exists() else []
    return Run(done.returncode, done.stdout + done.stderr, items)


def begin(verb: str, inventory: Path, **variables: Any) -> subprocess.Popen[bytes]:
    """Start a playbook of the collection in a process group of its own, for a test that means to kill it."""
    return subprocess.Popen(
        ["ansible-playbook", "-i", str(inventory), *arguments_for(verb, **variables)],
        env=ansible.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def daemonset(
    name: str, pod: Mapping[str, Any] | None = None, annotations: Mapping[str, str] | None = None, **container: Any
) -> dict[str, Any]:
    """A DaemonSet of one container that sleeps, unless the arguments say otherwise."""
    spec = {"image": "host:///usr/bin/sleep", "args": ["infinity"], "name": "main", **container}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, **({"annotations": dict(annotations)} if annotations else {})},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "updateStrategy": {"rollingUpdate": {"maxUnavailable": "100%"}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 5, **(pod or {}), "containers": [spec]},
            },
        },
    }


def write(path: Path, *objects: Mapping[str, Any]) -> str:
    path.write_text(yaml.safe_dump_all(objects, sort_keys=False))
    return str(path)
