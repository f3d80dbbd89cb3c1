# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two DaemonSets for the tests of containers, and what stands of them on a node.

`single` has one container; `pod` has an init container, two main ones and a volume in memory. Each can be given a
colour, and run under systemd (`single` only), Docker or Podman. Samplers see a process of MARK and `single.red`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.nodes import Cluster, Node

from .playbook import Run, daemonset, play
from .sampler import Sampler

MARK = "lantern"
SYSTEMD, DOCKER, PODMAN = "systemd", "docker", "podman"
IMAGE = "toolbox:1"
IMAGES = {SYSTEMD: "host:///bin/sh", DOCKER: IMAGE, PODMAN: IMAGE}
# Slow to stop, so that a new one that did not wait for its end would be seen beside it.
PROGRAM = 'trap "sleep 0.3; exit" TERM; while :; do sleep 3600 & wait $!; done'
HAND = (
    "--detach --label everynode.instance=default/single --label everynode.revision=0 "
    f"{IMAGE} sh -c '{PROGRAM}' {MARK} single.copy"
)
BOTH = ("single", "pod")
S, P = "everynode.default.single", "everynode.default.pod"
TRACE = "/var/lib/lantern"  # of `pod`: a line for each start of a container
STANDING = """
import json, subprocess, sys
def lines(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
found = {}
for engine in sys.argv[1:]:
    names = lines(engine, "ps", "--all", "--format", "{{.Names}}", "--filter", "label=everynode.instance")
    found[engine] = sorted(names)
print(json.dumps(found))
"""
# Everything that could be left of an instance, of an image or of a pod.
LEFT = {
    "": "ls -d /var/lib/everynode /run/everynode /run/everynode/* "
    "/etc/systemd/system/*everynode* /etc/systemd/system/*/*everynode* "
    "/run/systemd/system/*everynode* /etc/containers/systemd /run/systemd/generator/*everynode* "
    "/run/systemd/generator/*/*everynode*; systemctl list-units --all --no-legend --plain 'everynode.*'; "
    "grep -o ' /run/everynode.*' /proc/self/mountinfo",
    DOCKER: "docker ps --all --quiet; docker volume ls --quiet; docker images --all; "
    "docker network ls --format '{{.Name}}' | grep -vx -e bridge -e host -e none",
    PODMAN: "podman ps --all --external --quiet; podman pod ps --quiet; podman volume ls --quiet; "
    "podman images --all; podman network ls --format '{{.Name}}' | grep -vx podman",
}
HEADINGS = ("REPOSITORY",)


def single(
    word: str, program: str = PROGRAM, max_unavailable: int | str = "100%", max_surge: int | str = 0, **more: Any
) -> dict[str, Any]:
    """The image is the node's own, unless it is given."""
    words = {"command": ["/bin/sh"], "args": ["-c", program, MARK, f"single.{word}"]}
    whole = daemonset("single", **{"image": "{{ lantern }}", **words, **more})
    whole["spec"]["updateStrategy"]["rollingUpdate"] = {"maxUnavailable": max_unavailable, "maxSurge": max_surge}
    return whole


def pod(word: str) -> dict[str, Any]:
    mounts = [{"name": "memory", "mountPath": "/memory"}, {"name": "trace", "mountPath": "/trace"}]

    def container(name: str, program: str) -> dict[str, Any]:
        words = {"command": ["/bin/sh"], "args": ["-c", program, MARK, f"{name}.{word}"]}
        return {"name": name, "image": IMAGE, "volumeMounts": mounts, **words}

    first = container("first", "echo made >/memory/made; echo first >>/trace/starts")
    main = container("pod", "[ -e /memory/made ] || exit 9; echo main >>/trace/starts; " + PROGRAM)
    beside = container("beside", "[ -e /memory/made ] || exit 9; echo beside >>/trace/starts; " + PROGRAM)
    volumes = [
        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "trace", "hostPath": {"path": TRACE, "type": "DirectoryOrCreate"}},
    ]
    whole = daemonset("pod", {"initContainers": [first], "volumes": volumes})
    whole["spec"]["template"]["spec"]["containers"] = [main, beside]
    return whole


CONTAINERS = {
    (DOCKER, "single"): [S],
    (DOCKER, "pod"): [f"{P}._pause", f"{P}.beside", f"{P}.pod"],
    (PODMAN, "single"): [f"{S}-main"],
    (PODMAN, "pod"): [f"{P}-beside", f"{P}-pod"],
}
PROCESSES = {"single": ["single"], "pod": ["beside", "pod"]}


class Lanterns:
    """Nodes, and what is applied to them; `runtimes` says what each node is to run it under."""

    def __init__(self, cluster: Cluster, samplers: Iterable[Sampler], folder: Path) -> None:
        self.samplers = {sampler.node.name: sampler for sampler in samplers}
        self.nodes = [sampler.node for sampler in self.samplers.values()]
        self.runtimes: dict[str, str] = {node.name: node.engines[0] for node in self.nodes}
        self._cluster = cluster
        self._folder = folder

    def inventory(self) -> Path:
        variables: dict[str, dict[str, Any]] = {}
        for node, runtime in self.runtimes.items():
            variables[node] = {"lantern": IMAGES[runtime]}
            if runtime != SYSTEMD:
                variables[node]["daemonset_engine"] = runtime
        return self._cluster.write_inventory(self.nodes, path=self._folder / "inventory.yml", host_vars=variables)

    def manifest(self, word: str, names: Iterable[str] = ("single",), **more: Any) -> str:
        made = {"single": single(word, **more), "pod": pod(word)}
        path = self._folder / f"{word}.yaml.j2"
        path.write_text(yaml.safe_dump_all([made[name] for name in names], sort_keys=False))
        return str(path)

    def apply(self, word: str, names: Iterable[str] = ("single",), seconds: int = 60, **more: Any) -> Run:
        """With `seconds` for each node to become ready."""
        manifest = self.manifest(word, names, **more)
        return play("apply", self.inventory(), daemonset_manifests=manifest, daemonset_timeout=seconds)

    def delete(self, check: bool = True) -> Run:
        done = play("delete", self.inventory(), daemonset_names=list(BOTH))
        assert done.code == 0 or not check, done.output
        return done

    def stand(self, word: str, names: Iterable[str] = ("single",), **more: Any) -> Run:
        """One apply makes it right."""
        done = self.apply(word, names=names, **more)
        assert done.code == 0, done.output
        for node in self.nodes:
            self.assert_one(node, word, names)
        return done

    def converge(self, word: str, names: Iterable[str] = ("single",), **more: Any) -> Run:
        """One apply makes it right, and a second one finds nothing to do."""
        done = self.stand(word, names, **more)
        again = self.apply(word, names=names, **more)
        assert again.code == 0, again.output
        assert again.changed == 0, again.output
        return done

    def assert_one(self, node: Node, word: str, names: Iterable[str]) -> None:
        """Exactly the processes and the containers that there have to be of these DaemonSets."""
        runtime = self.runtimes[node.name]
        others = [each for each in BOTH if each not in names]
        wanted = {engine: set[str]() for engine in node.engines}
        if runtime != SYSTEMD:
            wanted[runtime] = {name for each in names for name in CONTAINERS[runtime, each]}
        aside = {name for (_engine, each), several in CONTAINERS.items() if each in others for name in several}
        found = {engine: set(several) - aside for engine, several in containers(node).items()}
        assert found == wanted, f"{node.name}: {found}"
        running = [one for one in self.samplers[node.name].now() if one.partition(".")[0] not in processes(others)]
        assert running == sorted(f"{process}.{word}" for process in processes(names)), f"{node.name}: {running}"

    def assert_never_more(self, than: int) -> None:
        """What was started by hand is called `copy`."""
        for sampler in self.samplers.values():
            for moment in sampler.moments():
                kinds = [word.partition(".")[0] for word in moment.running.values() if not word.endswith(".copy")]
                assert all(kinds.count(kind) <= than for kind in kinds), f"{sampler.node.name}: {moment}"

    def delete_after_damage(self) -> None:
        """Where somebody removed the record, nobody knows any more who pulled the images and made the folder."""
        self.delete()
        for node in self.nodes:
            node.run("rmdir --ignore-fail-on-non-empty /etc/containers/systemd", check=False)
            for engine in node.engines:
                node.run(f"{engine} image prune --all --force")

    def assert_nothing_left(self) -> None:
        for node in self.nodes:
            found = left(node)
            assert found == [], f"{node.name}: {found}"


def lanterns_on(cluster: Cluster, nodes: list[Node], folder: Path, most: int = 1) -> Iterator[Lanterns]:
    """For a fixture: watched by samplers from the first to the last, and gone without a trace at the end.

    ``most``: so many of one kind may run on a node at the same time.
    """
    samplers = [Sampler(node, MARK) for node in nodes]
    lanterns = Lanterns(cluster, samplers, folder)
    if any(node.run("test -e /var/lib/everynode", check=False).returncode == 0 for node in nodes):
        lanterns.delete()  # a run before this one was broken off
    for node in nodes:
        start_clean(node)
    yield lanterns
    lanterns.delete()
    lanterns.assert_never_more(most)
    for sampler in samplers:
        sampler.stop()
    lanterns.assert_nothing_left()


def processes(names: Iterable[str]) -> list[str]:
    return [process for each in names for process in PROCESSES[each]]


def containers(node: Node) -> dict[str, list[str]]:
    """By engine, the names of those that carry our label; Podman's own container of a pod is its own business."""
    node.write("/usr/local/lib/standing.py", STANDING)
    found = json.loads(node.run("python3 /usr/local/lib/standing.py " + " ".join(node.engines)).stdout)
    return {
        engine: [name for name in names if not name.endswith(("-infra", "-service"))] for engine, names in found.items()
    }


def left(node: Node) -> list[str]:
    """Whatever is on a node that a node without any instance does not have."""
    commands = [LEFT[""], *(LEFT[engine] for engine in node.engines)]
    lines = [line for command in commands for line in node.run(command, check=False).stdout.splitlines()]
    return [line for line in lines if not line.startswith(HEADINGS)]


def start_clean(node: Node) -> None:
    """What other tests left of images is not ours to be judged by."""
    for engine in node.engines:
        node.run(f"{engine} system prune --all --force --volumes")
    node.run(f"rm -rf {TRACE} /etc/containers/systemd")
