# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One throwaway node: a container that boots systemd and is reached over SSH on a loopback port."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import docker
from docker.models.containers import Container

from .errors import NodesError
from .machine import Machine, archive_of

BOOT_SECONDS = 90

# No --privileged: the engine refuses it where the machine itself lacks a capability. These are what systemd, unit
# sandboxing and a container engine inside the node need.
CAPABILITIES = [
    "SYS_ADMIN",
    "NET_ADMIN",
    "SYS_PTRACE",
    "SYS_CHROOT",
    "MKNOD",
    "SYS_NICE",
    "NET_RAW",
    "AUDIT_WRITE",
]
SECURITY = ["seccomp=unconfined", "apparmor=unconfined"]

CLUSTER_LABEL = "everynode.cluster"
NODE_LABEL = "everynode.node"
SUITE_LABEL = "everynode.suite"
ENGINES_LABEL = "everynode.engines"
PORT_LABEL = "everynode.port"

_ports_lock = threading.Lock()
_ports_given: set[int] = set()


@dataclass(frozen=True)
class NodeSpec:
    """`engines`: "docker", "podman" or both are installed and, where there is a daemon, run.

    A control node has "ansible" there.
    """

    name: str
    suite: str = "trixie"
    engines: tuple[str, ...] = ()


class Node(Machine):
    """A started node. `port` is its SSH port on 127.0.0.1, `address` its own address on the containers' network."""

    def __init__(self, container: Container) -> None:
        super().__init__(container)
        self.name: str = container.labels[NODE_LABEL]
        self.suite: str = container.labels[SUITE_LABEL]
        self.engines = tuple(container.labels.get(ENGINES_LABEL, "").split())
        self.port = int(container.labels[PORT_LABEL])

    def __repr__(self) -> str:
        return f"Node({self.name}, {self.suite}, 127.0.0.1:{self.port})"

    def start(self) -> None:
        self._container.start()

    def wait(self) -> None:
        """Waits until the node has booted and its sshd answers."""
        try:
            _wait_until(lambda: _ssh_answers(self.port), BOOT_SECONDS)
        except TimeoutError:
            raise NodesError(f"{self.name} did not boot within {BOOT_SECONDS} s:\n{self._last_words()}") from None
        state = self.run("systemctl is-system-running --wait", check=False).stdout.strip()
        if state != "running":
            failed = self.run("systemctl --failed --no-legend --plain", check=False).stdout.strip()
            raise NodesError(f"{self.name} has booted, but systemd says {state or 'nothing'}: {failed}")

    def _last_words(self) -> str:
        return self._container.logs(tail=20).decode(errors="replace").strip() or f"the container is {self.state}"

    def reboot(self) -> None:
        """Stops and boots the node again. As on a real machine /run and /tmp are empty afterwards; the port stays."""
        self._container.restart(timeout=20)
        self.wait()

    def stop(self) -> None:
        """Turns the node off: nothing answers on its port any more."""
        self._container.stop(timeout=20)


def create(client: docker.DockerClient, cluster: str, spec: NodeSpec, image: str, public_key: str) -> Node:
    """Creates (but does not start) the container of a node, with the key that may log in."""
    # A fixed port, and not one that the engine picks anew at every start: an inventory outlives a reboot.
    port = free_port()
    host_config = client.api.create_host_config(
        port_bindings={22: ("127.0.0.1", port)},
        cap_add=CAPABILITIES,
        security_opt=SECURITY,
        device_cgroup_rules=["a *:* rwm"],
        tmpfs={"/run": "exec,mode=755", "/run/lock": "", "/tmp": "exec,mode=1777"},
        **_cgroup_options(client),
    )
    # `--security-opt systempaths=unconfined`, which only the command line knows: an engine inside the node writes to
    # /proc/sys.
    host_config.update(MaskedPaths=[], ReadonlyPaths=[])
    created = client.api.create_container(
        image,
        name=f"everynode-{cluster}-{spec.name}",
        hostname=spec.name,
        labels={
            CLUSTER_LABEL: cluster,
            NODE_LABEL: spec.name,
            SUITE_LABEL: spec.suite,
            ENGINES_LABEL: " ".join(spec.engines),
            PORT_LABEL: str(port),
        },
        ports=[22],
        # systemd's own signal for an orderly shutdown.
        stop_signal="SIGRTMIN+3",
        host_config=host_config,
    )
    container = client.containers.get(created["Id"])
    container.put_archive("/etc/ssh", archive_of("authorized_keys", public_key.encode(), 0o644))
    return Node(container)


def _cgroup_options(client: docker.DockerClient) -> dict[str, Any]:
    """On cgroup v2 the engine's default, a namespace of the container's own, is enough; v1 takes the host's tree."""
    if client.info().get("CgroupVersion") == "2":
        return {}
    return {"cgroupns": "host", "binds": ["/sys/fs/cgroup:/sys/fs/cgroup:rw"]}


def free_port() -> int:
    """A port that nobody listens on and that no other node of this run was given.

    It lies below the range that the kernel takes the ports of outgoing connections from.
    """
    with _ports_lock:
        while True:
            port = random.randrange(20000, 32000)
            if port not in _ports_given and _can_listen(port):
                _ports_given.add(port)
                return port


def _can_listen(port: int) -> bool:
    with closing(socket.socket()) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _ssh_answers(port: int) -> bool:
    """The engine accepts connections for a node from the start: only the banner says that sshd is there."""
    try:
        with closing(socket.create_connection(("127.0.0.1", port), timeout=2)) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)
