# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The distribution's own image registry, over plain HTTP, and the faults that a registry may have.

It serves images under any name: `stand_in` makes a node pull from it what other registries' names ask for.
"""

from __future__ import annotations

import base64
import json
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import docker
from docker.models.containers import Container

from .errors import NodesError
from .machine import Machine
from .node import CLUSTER_LABEL, Node

REGISTRY_LABEL = "everynode.registry"
LOGIN_LABEL = "everynode.login"
START_SECONDS = 20
BLOBS = "/var/lib/docker-registry/docker/registry/v2/blobs/sha256"
CONFIG = "/etc/docker/registry/config.yml"
PASSWORDS = "/etc/docker/registry/htpasswd"


@dataclass(frozen=True)
class Reference:
    """An image's name in its parts; `host` is empty where the name leaves the registry to the engine."""

    host: str
    path: str
    tag: str

    @classmethod
    def of(cls, name: str) -> Reference:
        first, slash, rest = name.partition("/")
        host, path = (first, rest) if slash and ("." in first or ":" in first) else ("", name)
        path, colon, tag = path.partition(":")
        return cls(host, path, tag if colon else "latest")


class Registry(Machine):
    """A started registry. `address` is its own on the containers' network, port 80, as nodes reach it.

    With a login it asks everybody for it. Its address stays the same however often it is stopped.
    """

    def __init__(self, client: docker.DockerClient, container: Container) -> None:
        super().__init__(container)
        self._client = client
        self.name: str = container.labels[REGISTRY_LABEL]
        user, colon, password = container.labels[LOGIN_LABEL].partition(":")
        self.login = (user, password) if colon else None

    @property
    def published(self) -> str:
        """Its address for this machine's engine, which trusts a registry on loopback without TLS."""
        self._container.reload()
        return f"127.0.0.1:{self._container.attrs['NetworkSettings']['Ports']['80/tcp'][0]['HostPort']}"

    def push(self, image: str, name: str) -> None:
        """Serves an image of this machine's engine under a name; what host the name tells does not matter."""
        reference = Reference.of(name)
        # Docker asks for library/NAME where a name has one part only; Podman, told to look here, asks for NAME.
        library = [] if "/" in reference.path else [f"library/{reference.path}"]
        for path in (reference.path, *library):
            repository = f"{self.published}/{path}"
            self._client.images.get(image).tag(repository, reference.tag)
            credentials = dict(zip(("username", "password"), self.login or (), strict=False))
            pushed = self._client.images.push(
                repository, reference.tag, auth_config=credentials or None, stream=True, decode=True
            )
            errors = [line["error"] for line in pushed if "error" in line]
            self._client.api.remove_image(f"{repository}:{reference.tag}")
            if errors:
                raise NodesError(f"{image} could not be pushed as {repository}: {errors[0]}")

    def stand_in(self, node: Node, names: Iterable[str], *, beside: Iterable[Registry] = ()) -> None:
        """Has the node's engines pull images of these names, as they are, from here. It outlives a reboot.

        The registries `beside` this one are reached by their own addresses only, as this one is too.
        """
        hosts = sorted({Reference.of(name).host for name in names} - {""})
        addresses = [self.address, *(registry.address for registry in beside)]
        if "docker" in node.engines:
            settings = {"registry-mirrors": [f"http://{self.address}"], "insecure-registries": [*addresses, *hosts]}
            node.write("/etc/docker/daemon.json", json.dumps(settings))
            # The outer engine writes /etc/hosts anew at every boot.
            lines = ["127.0.0.1 localhost", f"127.0.1.1 {node.name}", *(f"{self.address} {host}" for host in hosts)]
            content = "".join(line + r"\n" for line in lines)
            node.write("/etc/tmpfiles.d/registry.conf", f"f+ /etc/hosts 0644 - - - {content}\n")
            node.run("systemd-tmpfiles --create registry.conf && systemctl restart docker")
        if "podman" in node.engines:
            places = {**dict(zip(addresses, addresses, strict=True)), **dict.fromkeys(hosts, self.address)}
            search = f'unqualified-search-registries = ["{self.address}"]\nshort-name-mode = "permissive"\n'
            tables = [
                f'[[registry]]\nprefix = "{prefix}"\nlocation = "{place}"\ninsecure = true\n'
                for prefix, place in places.items()
            ]
            node.write("/etc/containers/registries.conf.d/registry.conf", search + "".join(tables))

    def start(self) -> None:
        self._container.exec_run(["docker-registry", "serve", CONFIG], detach=True)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if time.monotonic() > deadline:
                raise NodesError(f"the registry {self.name} did not start within {START_SECONDS} s")
            time.sleep(0.05)

    def answers(self) -> bool:
        try:
            with self._get("/v2/"):
                return True
        except OSError:
            return False

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """While this lasts connections are refused."""
        self.run("pkill -x docker-registry; while pgrep -x docker-registry; do sleep 0.05; done")
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While this lasts connections hang."""
        self.pause()
        try:
            yield
        finally:
            self.unpause()

    @contextmanager
    def corrupted(self, name: str) -> Iterator[None]:
        """While this lasts the uppermost layer of an image is not what its digest says."""
        reference = Reference.of(name)
        with self._get(f"/v2/{reference.path}/manifests/{reference.tag}") as answer:
            digest = json.load(answer)["layers"][-1]["digest"].removeprefix("sha256:")
        blob = f"{BLOBS}/{digest[:2]}/{digest}/data"
        # The time in the header of gzip: it still unpacks, only the digest tells.
        self.run(f"cp {blob} {blob}.good && printf xxxx | dd of={blob} bs=1 seek=4 conv=notrunc")
        try:
            yield
        finally:
            self.run(f"mv {blob}.good {blob}")

    def _get(self, path: str) -> Any:
        headers = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
        if self.login:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(self.login).encode()).decode()
        return urllib.request.urlopen(
            urllib.request.Request(f"http://{self.published}{path}", headers=headers), timeout=5
        )


def create_registry(
    client: docker.DockerClient, cluster: str, name: str, image: str, login: tuple[str, str] | None
) -> Registry:
    """Creates and starts a registry."""
    # The container only sleeps: it keeps its address while the registry in it is stopped.
    container = client.containers.run(
        image,
        detach=True,
        name=f"everynode-{cluster}.{name}",
        labels={CLUSTER_LABEL: cluster, REGISTRY_LABEL: name, LOGIN_LABEL: ":".join(login or ())},
        ports={"80/tcp": ("127.0.0.1", 0)},
    )
    registry = Registry(client, container)
    settings: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": "/var/lib/docker-registry"}},
        "http": {"addr": ":80"},
    }
    if login:
        registry.run(f"echo {login[0]}:$(mkpasswd --method=bcrypt --rounds=5 {login[1]}) > {PASSWORDS}")
        settings["auth"] = {"htpasswd": {"realm": "everynode", "path": PASSWORDS}}
    # YAML takes JSON.
    registry.write(CONFIG, json.dumps(settings))
    registry.start()
    return registry
