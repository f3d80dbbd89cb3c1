# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exactly one instance, whatever ran it before: from systemd to Docker, to Podman, and back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes import Cluster, Node

from .chaos import refused
from .evidence import invocations
from .lanterns import BOTH, DOCKER, HAND, IMAGE, PODMAN, SYSTEMD, Lanterns, P, S, lanterns_on

# Every change from one to another is in one of the two.
WAYS = ([SYSTEMD, DOCKER, PODMAN, SYSTEMD], [SYSTEMD, PODMAN, DOCKER, SYSTEMD])


@pytest.fixture(scope="module")
def everywhere(
    cluster: Cluster,
    engine_nodes: list[Node],
    two_engine_nodes: list[Node],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lanterns]:
    """All nodes with engines; of the two that have both, one is Docker's and one is Podman's."""
    yield from lanterns_on(cluster, [*two_engine_nodes, *engine_nodes], tmp_path_factory.mktemp("everywhere"))


@pytest.fixture
def changing(cluster: Cluster, two_engine_nodes: list[Node], tmp_path: Path) -> Iterator[Lanterns]:
    yield from lanterns_on(cluster, two_engine_nodes, tmp_path)


@pytest.mark.soak
def test_one_runtime_after_another(changing: Lanterns) -> None:
    for colour, steps in zip(itertools.cycle(["red", "blue"]), zip(*WAYS, strict=True), strict=False):
        changing.runtimes = {node.name: step for node, step in zip(changing.nodes, steps, strict=True)}
        changing.converge(colour)
        changing.assert_never_more(1)


@pytest.mark.soak
def test_a_copy_in_an_engine_goes_and_the_process_of_systemd_stays(changing: Lanterns) -> None:
    engines = [DOCKER, PODMAN]
    for runtimes in (engines, [SYSTEMD, SYSTEMD]):  # the former revision's image is still there for the copy
        changing.runtimes = {node.name: runtime for node, runtime in zip(changing.nodes, runtimes, strict=True)}
        changing.stand("red")
    before = invocations(changing.nodes, "single")
    for node, engine in zip(changing.nodes, engines, strict=True):
        node.run(f"{engine} run --name copy {HAND}")
    changing.converge("red")
    assert invocations(changing.nodes, "single") == before


# ----------------------------------------------------------------------------------------------------- anybody's hand

STATE = "/var/lib/everynode/default"
# What is done on a node of the engine; both DaemonSets run there.
DOCKER_DAMAGE = {
    "stopped": f"docker stop {S} {P}.pod",
    "killed": f"docker kill {S}; docker kill {P}.beside",
    "removed": f"docker rm -f {S} {P}.pod",
    "pause container removed": f"docker rm -f {P}._pause; docker pause {S}",
    "renamed": f"docker rename {S} somebody; docker rename {P}.pod anybody",
    "limits changed": f"docker update --memory 64m --memory-swap 64m {S}; docker pause {P}.pod",
    "restart policy changed": f"docker update --restart=no {S}; docker stop {P}._pause",
    "pruned": f"docker stop {S}; systemctl stop {P}.service; docker system prune --all --force",
    "a copy beside it": f"docker run --name copy {HAND}; rm {STATE}/single/record.json {STATE}/pod/containers.json",
    "a copy instead of it": f"docker rm -f {S}; docker run --name {S} {HAND}; rm -r {STATE}/pod",
    "unit edited": f"echo '# x' >>/etc/systemd/system/{S}.service; systemctl disable -q --now {P}.service",
    "unit masked": f"systemctl stop {S}; ln -sf /dev/null /etc/systemd/system/{S}.service; systemctl daemon-reload; "
    f"echo x >>{STATE}/pod/current/environment/pod",
}
PODMAN_DAMAGE = {
    "stopped": f"podman stop {S}-main {P}-pod",
    "killed": f"podman kill {S}-main; podman kill {P}-beside",
    "removed": f"podman rm -f {S}-main; podman rm -f {P}-pod",
    "pod removed": f"podman pod rm -f {S} {P}",
    "renamed": f"podman rename {S}-main somebody; podman pod stop {P}",
    "paused": f"podman pause {S}-main; systemctl stop {P}.service",
    "pruned": f"systemctl stop {S}.service {P}.service; podman system prune --all --force",
    "a copy beside it": f"podman run --name copy {HAND}; rm {STATE}/single/record.json {STATE}/pod/containers.json",
    "a copy instead of it": f"systemctl stop {S}.service; podman run --name {S}-main {HAND}; rm -r {STATE}/pod",
    "unit edited": f"for f in /etc/containers/systemd/{S}.kube /etc/systemd/system/{S}.service; do "
    f"if [ -e $f ]; then echo '# x' >>$f; fi; done; rm {STATE}/pod/current",
    "unit removed": f"for f in /etc/containers/systemd/{S}.kube /etc/systemd/system/{S}.service; do rm -f $f; done; "
    f"systemctl daemon-reload; echo x >>{STATE}/pod/current/pod.yaml",
    "unit masked": f"systemctl stop {S}; ln -sf /dev/null /etc/systemd/system/{S}.service; systemctl daemon-reload; "
    f"podman pod kill {P}",
}
BOTH_DAMAGE = {
    DOCKER: {"a second one under Podman": f"podman run --name copy {HAND}; docker stop {P}.beside"},
    PODMAN: {"a second one under Docker": f"docker run --name copy {HAND}; podman stop {P}-beside"},
}


def rounds() -> list[list[tuple[str, str]]]:
    """A round damages each node of `everywhere` in another way: (what is done, how), node by node."""
    of_docker = iter([*BOTH_DAMAGE[DOCKER].items(), *DOCKER_DAMAGE.items()])
    of_podman = iter([*BOTH_DAMAGE[PODMAN].items(), *PODMAN_DAMAGE.items()])
    everything = []
    nothing = ("nothing", "true")
    while True:
        # The first two nodes have both engines.
        order = [of_docker, of_podman, of_docker, of_docker, of_podman, of_podman]
        damages = [next(several, nothing) for several in order]
        if damages == [nothing] * len(order):
            return everything
        everything.append(damages)


@pytest.fixture
def standing(everywhere: Lanterns) -> Lanterns:
    everywhere.runtimes.update(both1=DOCKER, both2=PODMAN)
    everywhere.stand("red", BOTH)
    return everywhere


@pytest.mark.soak
@pytest.mark.parametrize("damages", [pytest.param(each, id=", ".join(dict(each))) for each in rounds()])
def test_put_right_after_anybodys_hand(damages: list[tuple[str, str]], standing: Lanterns) -> None:
    for node, (_name, command) in zip(standing.nodes, damages, strict=True):
        node.run(command)
    standing.converge("red", BOTH)
    standing.assert_never_more(1)


@pytest.mark.soak  # test_container_input takes names in a quicker way
def test_a_foreign_container_of_its_name_is_named_and_kept(everywhere: Lanterns) -> None:
    everywhere.delete_after_damage()
    names = {DOCKER: S, PODMAN: f"{S}-main"}
    for node in everywhere.nodes:
        runtime = everywhere.runtimes[node.name]
        node.run(f"{runtime} run --detach --name {names[runtime]} {IMAGE} sleep 1000")
    said = refused(everywhere.apply("red"))
    for node in everywhere.nodes:
        runtime = everywhere.runtimes[node.name]
        assert f"{node.name}: single: failed to stage" in said
        assert f"a container named {names[runtime]} exists and was not made by everynode" in said
        state = node.run(f"{runtime} container inspect --format '{{{{.State.Status}}}}' {names[runtime]}").stdout
        assert state.strip() == "running"
        node.run(f"{runtime} rm -f {names[runtime]}; {runtime} image rm -f {IMAGE}")
