# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Node images, bootstrapped from the distribution's packages and kept by the hash of their recipe.

A node gets its packages as this machine does: the recipe takes over where the machine's apt looks, and how.
An image with engines is a layer on the plain one of its suite; what runs in containers is made in it (see Dockerfile).
"""

from __future__ import annotations

import functools
import hashlib
import io
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import docker
from docker.errors import BuildError, ImageNotFound

from .errors import NodesError
from .host import find_program, need_program, run_privileged, say

REPOSITORY = "everynode-node"
IMAGE_LABEL = "everynode.node-image"
SUITES = ("trixie", "bookworm")
# Package lists are part of the image and go stale: a version that they name may leave the archive.
OLDEST = timedelta(days=7)

PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "python3",
    "python3-apt",
    "sudo",
    "iproute2",
    "procps",
)
# Settings of the machine's apt that a node must share to reach the same packages.
SHARED_APT_SETTINGS = (
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
)

# Runs on the host with the new system's root folder as $1.
# Three accounts take the cluster's key: root, one with sudo, one without.
SET_UP = r"""
set -eu
root="$1"
chroot "$root" useradd --create-home --shell /bin/bash admin
chroot "$root" useradd --create-home --shell /bin/bash guest
echo 'admin ALL=(ALL) NOPASSWD: ALL' > "$root/etc/sudoers.d/admin"
chmod 0440 "$root/etc/sudoers.d/admin"
printf '%s\n' 'AuthorizedKeysFile /etc/ssh/authorized_keys' 'UseDNS no' 'MaxStartups 200' 'MaxSessions 200' \
    'PasswordAuthentication no' > "$root/etc/ssh/sshd_config.d/node.conf"
mkdir -p "$root/var/log/journal"
: > "$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id" "$root/etc/hostname"
# What has nothing to do in a container.
for unit in console-getty.service getty.target systemd-firstboot.service systemd-udevd.service \
    systemd-hwdb-update.service systemd-sysctl.service \
    systemd-ask-password-console.path systemd-ask-password-wall.path \
    sys-kernel-debug.mount sys-kernel-config.mount dev-mqueue.mount dev-hugepages.mount \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
"""

DOCKERFILE_CHANGES = [
    "ENV container=docker",
    # systemd 256 and newer refuse a machine that still runs cgroup v1 without this.
    "ENV SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1",
    # A container engine inside a node cannot put its overlay on the node's own.
    'VOLUME ["/var/lib/docker", "/var/lib/containers"]',
    f"LABEL {IMAGE_LABEL}=1",
    'CMD ["/lib/systemd/systemd"]',
]

ENGINE_PACKAGES = {
    # Before trixie the package of the daemon brings the command as well.
    ("docker", "trixie"): ("docker.io", "docker-cli", "iptables", "tini"),
    ("docker", "bookworm"): ("docker.io", "iptables", "tini"),
    # Before trixie Podman's netavark sets its rules with iptables.
    ("podman", "trixie"): ("podman", "catatonit", "crun", "netavark", "aardvark-dns", "nftables"),
    ("podman", "bookworm"): ("podman", "catatonit", "crun", "netavark", "aardvark-dns", "iptables"),
    # No engine, but a layer like theirs: what makes a control node. Bookworm's is too old.
    ("ansible", "trixie"): ("ansible-core", "git"),
}
ENGINES = ("docker", "podman", "ansible")
DOCKERFILE = Path(__file__).with_name("Dockerfile")
CONTAINER_IMAGES = ("toolbox", "node-exporter", "log-collector", "registry")
APT_INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install"
# On cgroup v1 Podman's own default, systemd, cannot play a pod.
PODMAN_ON_CGROUP_V1 = r"""
RUN mkdir -p /etc/containers/containers.conf.d && \
    printf '[engine]\ncgroup_manager = "cgroupfs"\n' > /etc/containers/containers.conf.d/node.conf
"""


@dataclass(frozen=True)
class Recipe:
    """All that decides what is in an image."""

    suite: str
    sources: tuple[str, ...]
    apt_settings: tuple[str, ...]

    @property
    def tag(self) -> str:
        parts = [self.suite, *self.sources, *self.apt_settings, *PACKAGES, SET_UP, *DOCKERFILE_CHANGES]
        return f"{REPOSITORY}:{self.suite}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:12]}"


def ensure_image(client: docker.DockerClient, suite: str, engines: Sequence[str] = ()) -> str:
    """The name of this suite's image; built if there is none of this recipe, or only one that is too old."""
    plain = _ensure_plain_image(client, suite)
    if not engines:
        return plain
    for engine in engines:
        if engine not in ENGINES:
            raise NodesError(f"no such engine: {engine} (there are {', '.join(ENGINES)})")
    chosen = sorted(engines)
    packages = [package for engine in chosen for package in ENGINE_PACKAGES[engine, suite]]
    name = ".".join((suite, *chosen))
    dockerfile = f"ARG BASE\nFROM $BASE AS {name}\nRUN {APT_INSTALL} {' '.join(packages)} && apt-get clean\n"
    if "podman" in chosen and client.info().get("CgroupVersion") != "2":
        dockerfile += PODMAN_ON_CGROUP_V1
    return _ensure_stages(client, plain, dockerfile, [name])[name]


def ensure_container_images(client: docker.DockerClient) -> dict[str, str]:
    """The images for containers, by the names of their stages in the Dockerfile."""
    base = _ensure_plain_image(client, SUITES[0])
    return _ensure_stages(client, base, DOCKERFILE.read_text(encoding="utf-8"), CONTAINER_IMAGES)


def _ensure_stages(client: docker.DockerClient, base: str, dockerfile: str, names: Sequence[str]) -> dict[str, str]:
    """The images that stages of a Dockerfile make of another image; built if there are none of just these."""
    # The identity and not the name of the base, so that what is built on it is as fresh.
    build_arguments = {"BASE": str(client.images.get(base).id)}
    recipe = hashlib.sha256(f"{build_arguments}{dockerfile}".encode()).hexdigest()[:12]
    tags = {name: f"{REPOSITORY}:{name}-{recipe}" for name in names}
    missing = [name for name in names if not client.images.list(tags[name])]
    if missing:
        say(f"Building {', '.join(missing)} from the distribution's packages (once a week, about 20 seconds)")
    for name in missing:
        try:
            client.images.build(
                fileobj=io.BytesIO(dockerfile.encode()),
                buildargs=build_arguments,
                target=name,
                tag=tags[name],
                forcerm=True,
            )
        except BuildError as error:
            output = "".join(line.get("stream", "") for line in error.build_log).strip()
            raise NodesError(f"the image {name} could not be built: {error}\n{output}") from error
    for name in missing:
        _forget_older(client, name, tags[name])
    return tags


def _ensure_plain_image(client: docker.DockerClient, suite: str) -> str:
    if suite not in SUITES:
        raise NodesError(f"no such suite: {suite} (there are {', '.join(SUITES)})")
    recipe = Recipe(suite, package_sources(suite), apt_settings())
    if not _is_fresh(client, recipe.tag):
        say(f"Building the node image for {suite} from the distribution's packages (once a week, about half a minute)")
        _build(client, recipe)
        _forget_older(client, suite, recipe.tag)
    return recipe.tag


@functools.cache
def package_sources(suite: str) -> tuple[str, ...]:
    """This machine's Debian archives as one-line sources for a suite; none means the bootstrap's own default."""
    if find_program("apt-get") is None:
        return ()
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)\t$(LABEL)\t$(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    sources = []
    for line in dict.fromkeys(listed.splitlines()):
        origin, label, uri = line.split("\t")
        if origin == "Debian" and label == "Debian":
            sources += [f"deb {uri} {suite} main", f"deb {uri} {suite}-updates main"]
        elif origin == "Debian" and label == "Debian-Security":
            sources.append(f"deb {uri} {suite}-security main")
    return tuple(sources)


@functools.cache
def apt_settings() -> tuple[str, ...]:
    if find_program("apt-config") is None:
        return ()
    dumped = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    return tuple(line for line in dumped.splitlines() if line.startswith(SHARED_APT_SETTINGS))


def _is_fresh(client: docker.DockerClient, tag: str) -> bool:
    try:
        image = client.images.get(tag)
    except ImageNotFound:
        return False
    # The engine gives nanoseconds, which datetime cannot read: seconds are enough.
    created = datetime.fromisoformat(image.attrs["Created"][:19]).replace(tzinfo=UTC)
    return datetime.now(UTC) - created < OLDEST


def _build(client: docker.DockerClient, recipe: Recipe) -> None:
    mmdebstrap = need_program("mmdebstrap", ["mmdebstrap", "debian-archive-keyring"])
    with tempfile.TemporaryDirectory(prefix="everynode-image-", dir="/var/tmp") as folder:
        script = Path(folder, "set-up.sh")
        script.write_text(SET_UP, encoding="utf-8")
        archive = Path(folder, "root.tar")
        command = [mmdebstrap, "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
        command += ["--skip=cleanup/apt/lists", f'--customize-hook=sh {script} "$1"']
        for setting in (*recipe.apt_settings, 'APT::Install-Recommends "false";', 'Acquire::Languages "none";'):
            command.append(f"--aptopt={setting}")
        for kind in ("man", "doc", "locale", "info", "lintian"):
            command.append(f"--dpkgopt=path-exclude=/usr/share/{kind}/*")
        command += [recipe.suite, str(archive), *recipe.sources]
        built = run_privileged(command)
        if built.returncode != 0:
            raise NodesError(f"the node image for {recipe.suite} could not be built:\n{built.stderr.strip()}")
        repository, tag = recipe.tag.split(":")
        client.api.import_image_from_file(str(archive), repository=repository, tag=tag, changes=DOCKERFILE_CHANGES)


def _forget_older(client: docker.DockerClient, name: str, newest: str) -> None:
    """Images of this name by former recipes only take room; a node that still runs keeps what it needs of its own."""
    for image in client.images.list(REPOSITORY):
        for tag in image.tags:
            if tag.startswith(f"{REPOSITORY}:{name}-") and tag != newest:
                client.api.remove_image(tag, force=True)
    client.images.prune({"dangling": True, "label": IMAGE_LABEL})
