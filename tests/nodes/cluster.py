# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A named set of nodes, its key and its inventory.

Whatever it starts carries its name, so that taking it down takes nothing else.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import yaml
from docker.models.containers import Container

from .errors import NodesError
from .host import connect, make_room_for_nodes, need_program
from .image import ensure_container_images, ensure_image
from .lock import one_at_a_time
from .node import CLUSTER_LABEL, NODE_LABEL, Node, NodeSpec, create
from .registry import REGISTRY_LABEL, Registry, create_registry

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "nodes"
# The engine and two cores are kept busy by this many starts at a time; more only queue.
PARALLEL = 8


class Cluster:
    """`Cluster("demo").up(...)`; as a context manager it is taken down at the end."""

    def __init__(self, name: str) -> None:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
            raise NodesError(f"a cluster's name holds lower case letters, digits and dashes: {name!r} does not")
        self.name = name
        self.folder = CACHE / name
        # Another checkout's nodes of the same name have another key: they are not ours to use or to remove.
        self._label = f"{name}-{hashlib.sha256(bytes(CACHE)).hexdigest()[:6]}"
        self.key = self.folder / "id_ed25519"
        self._client: docker.DockerClient | None = None

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    @property
    def client(self) -> docker.DockerClient:
        if self._client is None:
            self._client = connect()
        return self._client

    def nodes(self) -> list[Node]:
        """The nodes that are there, running or not, by name."""
        return sorted((Node(container) for container in self._containers(NODE_LABEL)), key=lambda node: node.name)

    def _containers(self, label: str) -> list[Container]:
        return self.client.containers.list(all=True, filters={"label": [f"{CLUSTER_LABEL}={self._label}", label]})

    @one_at_a_time
    def up(self, specs: Iterable[NodeSpec]) -> list[Node]:
        """The nodes asked for, booted, in the order asked for.

        Those that already run are left as they are, and so are the cluster's other nodes.
        """
        wanted = list(specs)
        make_room_for_nodes()
        kinds = dict.fromkeys((spec.suite, spec.engines) for spec in wanted)
        images = {kind: ensure_image(self.client, *kind) for kind in kinds}
        public_key = self._ensure_key()
        present = {node.name: node for node in self.nodes()}

        def ensure(spec: NodeSpec) -> Node:
            node = present.get(spec.name)
            kind = (spec.suite, spec.engines)
            if node is not None and (node.suite, node.engines) != kind:
                node.remove()
                node = None
            if node is None:
                node = create(self.client, self._label, spec, images[kind], public_key)
            if node.state != "running":
                node.start()
            node.wait()
            return node

        with ThreadPoolExecutor(PARALLEL) as pool:
            return list(pool.map(ensure, wanted))

    @one_at_a_time
    def registry(self, name: str = "registry", *, login: tuple[str, str] | None = None) -> Registry:
        """The cluster's registry of this name, started and empty if there is none that answers.

        With a login, user and password, it serves nobody without.
        """
        for container in self._containers(f"{REGISTRY_LABEL}={name}"):
            registry = Registry(self.client, container)
            if registry.login == login and registry.answers():
                return registry
            registry.remove()
        # Not by `container_image`, which would wait for the lock that is held here.
        image = ensure_container_images(self.client)["registry"]
        return create_registry(self.client, self._label, name, image, login)

    @one_at_a_time
    def container_image(self, name: str) -> str:
        """The name by which this machine's engine knows an image to serve: toolbox, node-exporter or log-collector."""
        return ensure_container_images(self.client)[name]

    def down(self, names: Sequence[str] | None = None) -> list[str]:
        """Removes the named nodes, or without names all of them together with all else that is the cluster's."""
        going = [node for node in self.nodes() if names is None or node.name in names]
        with ThreadPoolExecutor(PARALLEL) as pool:
            list(pool.map(Node.remove, going))
        if names is None:
            for container in self._containers(REGISTRY_LABEL):
                Registry(self.client, container).remove()
            shutil.rmtree(self.folder, ignore_errors=True)
        return [node.name for node in going]

    def write_inventory(
        self,
        members: Iterable[Node],
        *,
        path: Path | None = None,
        user: str = "root",
        groups: Mapping[str, Sequence[str]] | None = None,
        group_vars: Mapping[str, Mapping[str, Any]] | None = None,
        host_vars: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Path:
        """Writes an Ansible inventory (YAML) that reaches these nodes as `user`: root, admin (with sudo) or guest.

        `groups` maps a group to its hosts; `group_vars` may also name the group all.
        """
        own_vars = host_vars or {}
        hosts = {node.name: {**self._connection(node, user), **own_vars.get(node.name, {})} for node in members}
        children: dict[str, dict[str, Any]] = {
            group: {"hosts": dict.fromkeys(names, None)} for group, names in (groups or {}).items()
        }
        top: dict[str, Any] = {"hosts": hosts}
        for group, variables in (group_vars or {}).items():
            (top if group == "all" else children.setdefault(group, {}))["vars"] = dict(variables)
        if children:
            top["children"] = children
        target = path or self.folder / "inventory.yml"
        target.parent.mkdir(parents=True, exist_ok=True)
        text = "# Written by tests/nodes; gone again with the nodes.\n" + yaml.safe_dump({"all": top}, sort_keys=False)
        target.write_text(text, encoding="utf-8")
        return target

    def _connection(self, node: Node, user: str) -> dict[str, Any]:
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": node.port,
            "ansible_user": user,
            "ansible_ssh_private_key_file": str(self.key),
            # Throwaway nodes have throwaway host keys: nothing of them goes into the user's known_hosts.
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
            " -o IdentitiesOnly=yes",
            "ansible_python_interpreter": "/usr/bin/python3",
            **({"ansible_become": True} if user == "admin" else {}),
        }

    def _ensure_key(self) -> str:
        public = self.key.with_suffix(".pub")
        if not (self.key.exists() and public.exists()):
            keygen = need_program("ssh-keygen", ["openssh-client"])
            self.folder.mkdir(parents=True, exist_ok=True)
            self.key.unlink(missing_ok=True)
            comment = f"everynode-{self.name}"
            subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(self.key)], check=True)
            # Nodes of a former key can't be reached with this one.
            for node in self.nodes():
                node.remove()
        return public.read_text(encoding="utf-8")
