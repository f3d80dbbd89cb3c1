# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node with an ansible-core of its own and the collection as users install it, and a reconciler on it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from tests.nodes import Cluster, Node, ansible

from .playbook import Run, play, until

ESTATE = "/srv/estate"
KEY = "/root/id_ed25519"
VAULT = "/root/vault-password"
METRICS = "/srv/metrics/everynode.prom"
# A dynamic inventory: what it says is in a file that may change at any time.
INVENTORY = f"#!/bin/sh\ncat {ESTATE}/hosts.json\n"


class Control:
    """A control node; its inventory and its manifests are in ESTATE."""

    def __init__(self, cluster: Cluster, node: Node) -> None:
        self.cluster = cluster
        self.node = node
        install(node)
        node.write(KEY, cluster.key.read_bytes(), mode=0o600)
        node.write(VAULT, "open sesame\n", mode=0o600)
        node.run(f"mkdir -p {ESTATE}/manifests {Path(METRICS).parent}")
        node.write(f"{ESTATE}/inventory", INVENTORY, mode=0o755)

    def enlist(self, nodes: Iterable[Node], own: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """These are its inventory from now on, with variables of their own."""
        members = {node.name: {"ansible_host": node.address, **(own or {}).get(node.name, {})} for node in nodes}
        common = {
            "ansible_user": "root",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=accept-new -o LogLevel=ERROR",
        }
        hosts = {"all": {"hosts": list(members), "vars": common}, "_meta": {"hostvars": members}}
        self.replace(f"{ESTATE}/hosts.json", json.dumps(hosts))

    def declare(self, **manifests: Mapping[str, Any]) -> None:
        for name, manifest in manifests.items():
            self.replace(f"{ESTATE}/manifests/{name}.yaml", yaml.safe_dump(manifest))

    def encrypt(self, name: str) -> None:
        self.node.run(f"ansible-vault encrypt --vault-password-file {VAULT} {ESTATE}/manifests/{name}.yaml")
        self.node.run(f"chmod 0644 {ESTATE}/manifests/{name}.yaml")

    def replace(self, path: str, content: str) -> None:
        """In one step, so that a run that reads it finds the old or the new."""
        self.node.write(f"{path}.new", content)
        self.node.run(f"mv {path}.new {path}")


class Reconciler:
    """One on a control node, as its role sets it up with an interval of a second."""

    def __init__(self, cluster: Cluster, node: Node, name: str, folder: Path, **variables: Any) -> None:
        self._node = node
        self._unit = name
        self._looked_at = ""
        self._inventory = cluster.write_inventory([node], path=folder / "control.yml")
        self._play = folder / "role.yml"
        self._variables = {
            "reconciler_inventory": [f"{ESTATE}/inventory"],
            "reconciler_manifests": [f"{ESTATE}/manifests"],
            "reconciler_private_key_file": KEY,
            "reconciler_vault_password_file": VAULT,
            "reconciler_interval": "1s",
            "reconciler_jitter": "0s",
            "reconciler_metrics_file": METRICS,
            "reconciler_environment": {"ANSIBLE_PIPELINING": "1"},
            **variables,
        }

    def role(self, *arguments: str, **variables: Any) -> Run:
        roles = [{"role": "everynode.daemonset.reconciler", "vars": {**self._variables, **variables}}]
        self._play.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "roles": roles}]))
        return play(str(self._play), self._inventory, *arguments)

    def show(self, what: str) -> str:
        return self._node.run(f"systemctl show -P {what} {self._unit}.service").stdout.strip()

    def next_run(self, seconds: float = 120) -> str:
        """How the first run ended that began after this moment; systemd's word."""
        self.idle(seconds)
        last = self.show("InvocationID")
        until(lambda: self.show("InvocationID") != last, seconds)
        self._looked_at = self.show("InvocationID")
        until(lambda: self._result() != "", seconds)
        return self._result()

    def _result(self) -> str:
        """Of the run that is looked at; the next one may have begun already."""
        ends = re.findall(r"Failed with result '(.*)'|Deactivated (success)fully", self.journal())
        return "".join(ends[-1]) if ends else ""

    def journal(self) -> str:
        """Of the run that `next_run` told of, with what systemd says of it."""
        of_it = f"_SYSTEMD_INVOCATION_ID={self._looked_at} + INVOCATION_ID={self._looked_at}"
        return self._node.run(f"journalctl --output=cat --no-pager {of_it}").stdout

    def idle(self, seconds: float = 120) -> None:
        until(lambda: self.show("ActiveState") in ("inactive", "failed"), seconds)

    def metrics(self) -> str:
        return self._node.read(METRICS)


def install(node: Node) -> None:
    node.write("/root/collection.tar.gz", archive())
    collections = "/usr/share/ansible/collections"
    node.run(f"ansible-galaxy collection install --offline --force -p {collections} /root/collection.tar.gz")


@cache
def archive() -> bytes:
    """The collection as Galaxy would have it."""
    with TemporaryDirectory() as folder:
        command = ["ansible-galaxy", "collection", "build", f"--output-path={folder}", str(ansible.CHECKOUT)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=ansible.environment())
        (made,) = Path(folder).iterdir()
        return made.read_bytes()
