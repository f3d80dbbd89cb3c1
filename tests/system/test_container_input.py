# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be wrong with containers, on Docker and on Podman: said once, by host and field, and what ran still runs."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import Cluster, Node, NodeSpec, Registry

from .evidence import assert_clear, differences, engines_standing
from .playbook import Run, daemonset, play, write

NAME = "steady"
NODES = ("docker1", "docker2", "podman1", "podman2")


def steady(image: str = "toolbox:1", pod: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    pod = {"terminationGracePeriodSeconds": 1, **(pod or {})}
    return daemonset(NAME, pod, more.pop("annotations", None), **{"image": image, "command": ["sleep"], **more})


@pytest.fixture(scope="module")
def estate(cluster: Cluster, engine_nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    folder = tmp_path_factory.mktemp("container-input")

    def write_inventory(members: list[Node] | None = None) -> Path:
        return cluster.write_inventory(members or engine_nodes, path=folder / "inventory.yml")

    return write_inventory


@pytest.fixture(scope="module", autouse=True)
def unmoved(engine_nodes: list[Node], estate: Callable[..., Path]) -> Iterator[None]:
    """It runs on all nodes before all of this."""
    done = play("apply", estate(), daemonset_manifests=steady())
    assert done.code == 0, done.output
    yield
    gone = play("delete", estate(), daemonset_names=NAME)
    assert gone.code == 0, gone.output


def reasons(run: Run) -> dict[str, str]:
    """What each host's one line says."""
    lines = re.findall(rf"^(\S+): {NAME}: failed to \w+: (.*)$", run.output, re.MULTILINE)
    assert len(lines) == len(dict(lines)), run.output
    return dict(lines)


def refused(nodes: list[Node], inventory: Path, bad: Any, arguments: tuple[str, ...] = (), **more: Any) -> Run:
    """Every node refuses it, and nothing of it is to be seen on any."""
    before = engines_standing(nodes)
    done = play("apply", inventory, *arguments, daemonset_manifests=bad, **more)
    assert_clear(done)
    assert done.changed == 0, done.output
    assert differences(before, engines_standing(nodes)) == {}
    return done


def login(address: str, password: str) -> dict[str, Any]:
    auth = base64.b64encode(f"robot:{password}".encode()).decode()
    content = json.dumps({"auths": {address: {"auth": auth}}})
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "login"},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": content},
    }


# --------------------------------------------------------------------------------------------------------- one by one

FILE_AS_FOLDER = {"volumes": [{"name": "host", "hostPath": {"path": "/etc/hostname", "type": "Directory"}}]}
MOUNT = {"volumeMounts": [{"name": "host", "mountPath": "/mnt"}]}

# What is wrong → the DaemonSet, and what each host says.
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "an image that nobody serves": (
        steady("{{ registry }}/nonesuch:9"),
        r"container main: image: \S+/nonesuch:9 cannot be pulled: .*manifest unknown",
    ),
    "a volume of another type": (
        steady(pod=FILE_AS_FOLDER, **MOUNT),
        "volume host: hostPath /etc/hostname is not of type Directory",
    ),
    "a port that a process holds": (
        steady(ports=[{"containerPort": 80, "hostPort": 4321}]),
        "4321.*python3",
    ),
    "a port that a container holds": (
        steady(ports=[{"containerPort": 80, "hostPort": 4322}]),
        "4322",
    ),
    "a configuration that the new image refuses": (
        steady("node-exporter:1", annotations={"everynode/validate": "sh -c 'echo line 7 is wrong >&2; exit 3'"}),
        "everynode/validate failed, so nothing was changed: line 7 is wrong",
    ),
    "a new image that has not got the check": (
        steady("node-exporter:1", annotations={"everynode/validate": "/nonesuch --check"}),
        "everynode/validate failed, so nothing was changed: .*nonesuch",
    ),
    "root, though not as root": (
        steady(securityContext={"runAsNonRoot": True}),
        "container main: securityContext.runAsNonRoot, but its image runs as root: set runAsUser",
    ),
}


@pytest.fixture(scope="module")
def ports_held(engine_nodes: list[Node], unmoved: None) -> Iterator[None]:
    for node in engine_nodes:
        engine = node.engines[0]
        node.run("systemd-run --unit=holder python3 -m http.server 4321")
        node.run(f"{engine} run --detach --name foreign --publish 4322:80 toolbox:1 sleep infinity")
    yield
    for node in engine_nodes:
        node.run(f"systemctl stop holder; {node.engines[0]} rm --force foreign")


@pytest.mark.parametrize("what", CASES)
def test_refused(
    what: str,
    engine_nodes: list[Node],
    ports_held: None,
    estate: Callable[..., Path],
    registry: Registry,
    tmp_path: Path,
) -> None:
    bad, wanted = CASES[what]
    manifest = write(tmp_path / "bad.yaml", json.loads(json.dumps(bad).replace("{{ registry }}", registry.address)))
    said = reasons(refused(engine_nodes, estate(), manifest))
    assert sorted(said) == list(NODES)
    for host, words in said.items():
        assert re.search(wanted, words), f"{host}: {words}"


# ---------------------------------------------------------------------------------------------------------- registries


@contextmanager
def full_disk(nodes: list[Node]) -> Iterator[None]:
    """Little room where the engines put what they have downloaded."""
    for node in nodes:
        folder = "/var/lib/docker/tmp" if "docker" in node.engines else "/var/tmp"
        node.run(f"mount -t tmpfs -o size=256k tmpfs {folder}")
    try:
        yield
    finally:
        for node in nodes:
            node.run("umount /var/lib/docker/tmp 2>/dev/null || umount /var/tmp")


@pytest.mark.soak
def test_registries_that_do_not_serve(
    engine_nodes: list[Node],
    registry: Registry,
    private_registry: Registry,
    estate: Callable[..., Path],
    tmp_path: Path,
) -> None:
    image, private = f"{registry.address}/node-exporter:1", f"{private_registry.address}/toolbox:1"
    wrong = [steady(private, {"imagePullSecrets": [{"name": "login"}]}), login(private_registry.address, "wr0ng")]
    # What is wrong, what is applied meanwhile, what each engine says of it.
    cases: list[tuple[AbstractContextManager[None], list[dict[str, Any]], str]] = [
        (nullcontext(), wrong, "unauthorized|authentication required"),
        (registry.stopped(), [steady(image)], "connection refused"),
        (registry.paused(), [steady(image)], "Client.Timeout exceeded|nothing has arrived for 5 s"),
        (registry.corrupted("node-exporter:1"), [steady(image)], "did not match|verification failed|filesystem layer"),
        (full_disk(engine_nodes), [steady(image)], "no space left on device"),
    ]
    for trouble, objects, wanted in cases:
        manifest = write(tmp_path / "bad.yaml", *objects)
        with trouble:
            done = refused(engine_nodes, estate(), manifest, daemonset_timeout=5)
        said = reasons(done)
        assert sorted(said) == list(NODES), done.output
        for host, words in said.items():
            pattern = rf"default/{NAME}: container main: image: \S+ cannot be pulled: .*({wanted})"
            assert re.match(pattern, words), f"{host}: {words}"
        assert "wr0ng" not in done.output


# ------------------------------------------------------------------------------------------------------------- engines


@pytest.mark.soak
def test_engines_that_cannot(
    cluster: Cluster, engine_nodes: list[Node], estate: Callable[..., Path], tmp_path: Path
) -> None:
    """None there, one that does not run, one that may not: said of the node, and nothing is changed there."""
    (without,) = cluster.up([NodeSpec("node1", "trixie")])
    _docker1, docker2, podman1, _podman2 = engine_nodes
    before = engines_standing([without])
    other = write(tmp_path / "other.yaml", {**steady(), "metadata": {"name": "other"}})
    done = play("apply", estate([without, podman1]), daemonset_manifests=other)
    assert_clear(done)
    assert f"{without.name}" in done.output
    assert "everynode.daemonset.engine" in done.output
    assert "spec.template.spec.containers[0].image" in done.output
    assert differences(before, engines_standing([without])) == {}

    # Docker takes the whole of its containers with it; once it is back, they are too.
    docker2.run("systemctl stop docker.socket docker.service")
    done = play("apply", estate([docker2]), daemonset_manifests=write(tmp_path / "new.yaml", steady(env=[])))
    assert_clear(done)
    assert "systemctl start docker" in done.output, done.output
    docker2.run("systemctl start docker.socket docker.service")
    again = play("apply", estate([docker2]), daemonset_manifests=write(tmp_path / "same.yaml", steady()))
    assert again.code == 0, again.output

    # These nodes lack capabilities: the old Docker gives all or nothing.
    privileged = write(tmp_path / "privileged.yaml", steady(securityContext={"privileged": True}))
    said = reasons(refused([docker2], estate([docker2]), privileged))
    wanted = "default/steady: container main: Docker refuses it, so nothing was changed: .*operation not permitted"
    assert re.match(wanted, said[docker2.name]), said
    assert play("delete", estate(), daemonset_names="other").code == 0


# --------------------------------------------------------------------------------------- what only the new one shows


@pytest.mark.soak
def test_init_containers_that_fail_and_that_never_end(
    engine_nodes: list[Node], estate: Callable[..., Path], tmp_path: Path
) -> None:
    """The former revision is put back."""
    pair = [engine_nodes[0], engine_nodes[-1]]
    for command, wanted in (
        ("echo no such luck; exit 7", "no such luck|status 7|code 7"),
        ("sleep 1000", "within 5 s"),
    ):
        first = {"name": "first", "image": "toolbox:1", "command": ["sh", "-c", command]}
        bad = write(tmp_path / "bad.yaml", steady(pod={"initContainers": [first]}))
        done = play("apply", estate(pair), daemonset_manifests=bad, daemonset_timeout=5)
        assert_clear(done)
        assert done.output.count("was put back and is ready.") == 2, done.output
        assert re.search(wanted, done.output), done.output
        again = play("apply", estate(pair), daemonset_manifests=write(tmp_path / "same.yaml", steady()))
        assert (again.code, again.changed) == (0, 0), again.output


# --------------------------------------------------------------------------------------------------- names and ports


def test_names_that_are_taken(engine_nodes: list[Node], estate: Callable[..., Path], tmp_path: Path) -> None:
    for node in engine_nodes:
        if "docker" in node.engines:
            node.run("docker run --detach --name everynode.default.taken toolbox:1 sleep infinity")
        else:
            node.run("podman pod create --name everynode.default.taken --infra=false")
    taken = {**steady(), "metadata": {"name": "taken"}}
    before = engines_standing(engine_nodes)
    for arguments in (("--check",), ()):
        manifest = write(tmp_path / "taken.yaml", taken)
        done = play("apply", estate(), *arguments, daemonset_manifests=manifest)
        assert_clear(done)
        lines = re.findall(
            r"^(\S+): taken: failed to \w+: default/taken cannot run here: a (\w+) named", done.output, re.M
        )
        assert sorted(lines) == [(name, "pod" if "podman" in name else "container") for name in NODES], done.output
        assert done.changed == 0
        assert differences(before, engines_standing(engine_nodes)) == {}
    for node in engine_nodes:
        node.run(f"{node.engines[0]} {'pod ' if 'podman' in node.engines else ''}rm --force everynode.default.taken")


def test_a_probe_of_a_port_that_is_not_declared(
    engine_nodes: list[Node], estate: Callable[..., Path], tmp_path: Path
) -> None:
    probe = {"httpGet": {"path": "/", "port": "nonesuch"}}
    done = refused(engine_nodes, estate(), write(tmp_path / "probe.yaml", steady(readinessProbe=probe)))
    field = "spec.template.spec.containers[0].readinessProbe.httpGet.port: "
    assert field in done.output
    assert "nonesuch" in done.output
