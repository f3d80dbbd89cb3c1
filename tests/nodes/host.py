# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the machine that carries the nodes must have: Debian packages, root's rights, a Docker engine that answers."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import docker
from docker.errors import DockerException

from .errors import NodesError

INOTIFY_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_WANTED = 4096
ENGINE_SOCKET = Path("/var/run/docker.sock")
ENGINE_LOG = Path("/var/tmp/everynode-dockerd.log")
ENGINE_START_SECONDS = 60


def say(message: str) -> None:
    print(f"  {message}", file=sys.stderr, flush=True)


def privileged(command: Sequence[str]) -> list[str]:
    """The command as root runs it: as it is for root, through sudo for everybody else."""
    if os.geteuid() == 0:
        return list(command)
    if shutil.which("sudo") is None:
        raise NodesError(f"root or sudo is needed to run: {' '.join(command)}")
    return ["sudo", *command]


def run_privileged(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(privileged(command), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def find_program(name: str) -> str | None:
    """Administrators' folders are not on every user's PATH."""
    return shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin")


def need_program(name: str, packages: Sequence[str]) -> str:
    """The path of a program; the distribution's packages that bring it are installed if it is absent."""
    found = find_program(name)
    if found is None:
        install_packages(packages)
        found = find_program(name)
    if found is None:
        raise NodesError(f"{name} is missing, and the packages {' '.join(packages)} did not bring it")
    return found


def unpacked_program(package: str, path: str, folder: Path) -> Path:
    """A program out of a distribution's package that is unpacked in this folder and not installed, for installing it
    would start its service as well.
    """
    program = folder / path.lstrip("/")
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        fetch = ["apt-get", "-qq", "download", package]
        if subprocess.run(fetch, cwd=folder, capture_output=True, check=False).returncode != 0:
            run_privileged(["apt-get", "-qq", "update"])  # the lists may be missing, or older than the archive
            subprocess.run(fetch, cwd=folder, capture_output=True, check=False)
        unpack = ["sh", "-c", 'dpkg-deb -x "$0"_*.deb .', package]
        done = subprocess.run(unpack, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NodesError(f"{package} could not be fetched and unpacked: {done.stderr.strip()}")
    return program


def install_packages(packages: Sequence[str]) -> None:
    names = " ".join(packages)
    if find_program("apt-get") is None:
        raise NodesError(f"please install what the distribution calls {names}: this machine has no apt-get")
    say(f"Installing {names} from the distribution")
    apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    for command in ([*apt, "update"], [*apt, "install", "-y", "--no-install-recommends", *packages]):
        done = run_privileged(command)
        if done.returncode != 0:
            raise NodesError(f"apt could not install {names}:\n{(done.stdout + done.stderr).strip()}")


def make_room_for_nodes() -> None:
    """Every systemd watches a handful of files, and the kernel's usual limit for all of root's programs is 128."""
    if int(INOTIFY_LIMIT.read_text()) < INOTIFY_WANTED:
        say(f"Raising {INOTIFY_LIMIT} to {INOTIFY_WANTED} until the next boot of this machine")
        done = run_privileged(["sh", "-c", f"echo {INOTIFY_WANTED} > {INOTIFY_LIMIT}"])
        if done.returncode != 0:
            say(f"which failed: more than about 15 nodes may not boot ({done.stderr.strip()})")


def connect() -> docker.DockerClient:
    """A client of an engine that answers: installed from the distribution if absent, started if not running."""
    client = _client()
    if client is not None:
        return client
    if "DOCKER_HOST" in os.environ:
        raise NodesError(f"no Docker engine answers at DOCKER_HOST={os.environ['DOCKER_HOST']}")
    dockerd = need_program("dockerd", ["docker.io", "iptables"])
    if not _engine_listens():
        _start_engine(dockerd)
    _open_socket()
    client = _client()
    if client is None:
        raise NodesError(f"no Docker engine answers at {ENGINE_SOCKET}; what it said last is in {ENGINE_LOG}")
    return client


def _client() -> docker.DockerClient | None:
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except DockerException:
        return None
    return client


def _engine_listens() -> bool:
    """True if an engine holds the socket, whether or not this user may talk to it."""
    # Not the command `docker`: in newer releases it is a package of its own, which nothing here needs.
    knock = f"import socket; socket.socket(socket.AF_UNIX).connect('{ENGINE_SOCKET}')"
    return run_privileged([sys.executable, "-c", knock]).returncode == 0


def _start_engine(dockerd: str) -> None:
    say("Starting the Docker engine")
    if Path("/run/systemd/system").exists():
        run_privileged(["systemctl", "start", "docker"])
    else:
        # No init system here: the engine outlives this command in a session of its own.
        with ENGINE_LOG.open("ab") as log:
            subprocess.Popen(
                privileged([dockerd]), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
    deadline = time.monotonic() + ENGINE_START_SECONDS
    while not _engine_listens():
        if time.monotonic() > deadline:
            raise NodesError(f"the Docker engine did not start within {ENGINE_START_SECONDS} s; see {ENGINE_LOG}")
        time.sleep(0.2)


def _open_socket() -> None:
    """An engine answers root and the group docker: let this user in as well, until the engine's next start."""
    if os.geteuid() == 0 or os.access(ENGINE_SOCKET, os.W_OK):
        return
    need_program("setfacl", ["acl"])
    user = getpass.getuser()
    say(f"Letting {user} use the Docker engine until its next start")
    run_privileged(["setfacl", "-m", f"u:{user}:rw", str(ENGINE_SOCKET)])
