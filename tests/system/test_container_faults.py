# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers whose engine, node, controller or module dies: they come back by themselves or with the next apply, one of
each and never two. Kills come at random points, the same ones in every run.
"""

from __future__ import annotations

import itertools
import random
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.nodes import Cluster, Node

from .chaos import STAGING, SWITCHING, amid, kill, refused
from .lanterns import BOTH, DOCKER, HAND, PODMAN, SYSTEMD, TRACE, Lanterns, P, S, lanterns_on
from .playbook import Run, begin, play, until

pytestmark = pytest.mark.soak

RETURN_SECONDS = 120  # an instance comes back by itself well within this, however busy the machine is


@pytest.fixture(scope="module")
def four(cluster: Cluster, engine_nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lanterns]:
    yield from lanterns_on(cluster, engine_nodes, tmp_path_factory.mktemp("four"))


@pytest.fixture(scope="module")
def two(cluster: Cluster, two_engine_nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lanterns]:
    yield from lanterns_on(cluster, two_engine_nodes, tmp_path_factory.mktemp("two"))


@pytest.fixture
def standing(four: Lanterns) -> Lanterns:
    four.stand("red", BOTH)
    return four


def everywhere(nodes: list[Node], act: Callable[[Node], object]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(act, nodes))


# ------------------------------------------------------------------------------------------------ the life of an engine

LIVES = {
    "restarted": {
        DOCKER: "systemctl restart docker",
        PODMAN: f"systemctl restart {S}.service {P}.service",
    },
    "killed": {
        DOCKER: "kill -KILL $(cat /run/docker.pid)",
        PODMAN: "pkill -KILL -x conmon",
    },
    "stopped and started": {
        DOCKER: "systemctl stop docker.socket docker.service; systemctl start docker.service",
        PODMAN: f"systemctl stop {S}.service {P}.service; systemctl start {S}.service {P}.service",
    },
}


@pytest.mark.parametrize("life", LIVES)
def test_it_comes_back_with_its_engine(life: str, standing: Lanterns) -> None:
    before = pids(standing)
    forget_starts(standing)
    everywhere(standing.nodes, lambda node: node.run(LIVES[life][standing.runtimes[node.name]]))
    assert_back(standing, before)


def test_it_comes_back_with_its_node(standing: Lanterns) -> None:
    before = pids(standing)
    forget_starts(standing)
    everywhere(standing.nodes, Node.reboot)
    assert_back(standing, before)


def forget_starts(lanterns: Lanterns) -> None:
    for node in lanterns.nodes:
        node.run(f": >{TRACE}/starts")


def pids(lanterns: Lanterns) -> dict[str, set[str]]:
    return {name: set(sampler.moments()[-1].running) for name, sampler in lanterns.samplers.items()}


def assert_back(lanterns: Lanterns, before: dict[str, set[str]]) -> None:
    """All anew and nothing twice, the init container before the others; and an apply finds nothing to do."""

    def back(node: Node) -> bool:
        running = lanterns.samplers[node.name].moments()[-1].running
        anew = not before[node.name] & running.keys()
        return anew and sorted(running.values()) == ["beside.red", "pod.red", "single.red"] and all_ready(node)

    for node in lanterns.nodes:
        until(lambda node=node: back(node), RETURN_SECONDS)  # type: ignore[misc]
        lanterns.assert_one(node, "red", BOTH)
        starts = node.read(f"{TRACE}/starts").split()
        assert starts[-3] == "first", (node.name, starts)
        assert sorted(starts[-2:]) == ["beside", "main"], (node.name, starts)
    done = lanterns.apply("red", names=BOTH)
    assert done.code == 0, done.output
    assert done.changed == 0, done.output
    lanterns.assert_never_more(1)


def all_ready(node: Node) -> bool:
    """As systemd has it: what it has to do after the start of the containers is done as well."""
    return node.run(f"systemctl is-active {S}.service {P}.service", check=False).stdout.split() == ["active"] * 2


def test_the_engine_stops_during_an_apply(standing: Lanterns) -> None:
    dockers = [node for node in standing.nodes if standing.runtimes[node.name] == DOCKER]
    with ThreadPoolExecutor() as pool:
        stop = "systemctl stop docker.socket docker.service"
        hits = [pool.submit(amid, node, SWITCHING, 0.3, stop) for node in dockers]
        done = standing.apply("blue", names=BOTH)
    assert all(hit.result() for hit in hits)
    said = refused(done)
    assert "Docker" in said
    for node in dockers:
        node.run("systemctl start docker.service")
    standing.converge("blue", BOTH)


# -------------------------------------------------------------------------------------------------------- bad revisions


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        pytest.param({"program": "echo no such spool; exit 3"}, "no such spool", id="it crashes"),
        pytest.param(
            {"readinessProbe": {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}},
            "readiness probe",
            id="it is never ready",
        ),
    ],
)
def test_a_revision_that_fails_gives_way_to_the_former_one(bad: dict[str, object], said: str, four: Lanterns) -> None:
    four.stand("red")
    before = pids(four)
    failed = refused(four.apply("blue", max_unavailable=1, seconds=10, **bad))
    first, *others = four.nodes
    assert said in failed
    assert "was put back and is ready" in failed
    assert re.search(rf"the rollout is halted: revision \w+ failed on {first.name}", failed), failed
    four.assert_one(first, "red", ["single"])
    after = pids(four)
    assert [after[node.name] for node in others] == [before[node.name] for node in others]
    four.converge("red")
    assert [after[node.name] for node in others] == [before[node.name] for node in others]


# ------------------------------------------------------------------------------------------------- killed in the middle

RUNTIMES = (SYSTEMD, DOCKER, PODMAN)


class Changes:
    """What can be asked of nodes, begun and killed in the middle, and how long it takes when nobody kills it."""

    def __init__(self, lanterns: Lanterns, seed: str) -> None:
        """They begin with the same runtimes, whatever test was before: so a seed tells the same story again."""
        self.lanterns = lanterns
        self.lanterns.runtimes.update((node.name, DOCKER) for node in lanterns.nodes)
        self.chance = random.Random(seed)
        self.colours = itertools.cycle(["red", "blue"])
        self.colour = next(self.colours)
        self.seconds = 10.0

    def recolour(self) -> None:
        self.colour = next(self.colours)

    def change_runtimes(self) -> None:
        for node, runtime in self.lanterns.runtimes.items():
            self.lanterns.runtimes[node] = self.chance.choice([other for other in RUNTIMES if other != runtime])

    def stand(self) -> None:
        began = time.monotonic()
        self.lanterns.stand(self.colour)
        self.seconds = time.monotonic() - began

    def kill_controller(self, verb: str = "apply") -> None:
        arguments = {"daemonset_manifests": self.lanterns.manifest(self.colour)}
        if verb == "delete":
            arguments = {"daemonset_names": "single"}
        doomed = begin(verb, self.lanterns.inventory(), **arguments)
        time.sleep(self.seconds * self.chance.uniform(0.3, 0.9))
        kill(doomed, with_workers=self.chance.random() < 0.5)

    def kill_module(self, run: Callable[[], Run]) -> None:
        """On each node in a call of its own choice, after a while of its own."""
        calls = [(self.chance.choice([STAGING, SWITCHING]), self.chance.uniform(0, 1)) for _node in self.lanterns.nodes]
        with ThreadPoolExecutor() as pool:
            for node, (call, delay) in zip(self.lanterns.nodes, calls, strict=True):
                pool.submit(amid, node, call, delay, "kill -KILL $pid")
            done = run()
            for node in self.lanterns.nodes:
                node.run("pkill -f '[p]grep -ofx'", check=False)
        assert "Traceback" not in done.output, done.output


def test_killed_in_the_middle(two: Lanterns) -> None:
    changes = Changes(two, "killed in the middle")
    changes.stand()

    def kill_one(victim: str) -> None:
        if victim == "controller":
            changes.kill_controller()
        else:
            changes.kill_module(lambda: two.apply(changes.colour))

    for victim in ("controller", "module", "controller", "module"):
        changes.change_runtimes()
        kill_one(victim)
        two.converge(changes.colour)
        changes.recolour()
        kill_one(victim)
        two.converge(changes.colour)
        two.assert_never_more(1)


@pytest.mark.parametrize("victim", ["controller", "module"])
def test_killed_while_it_comes_and_goes(victim: str, two: Lanterns) -> None:
    changes = Changes(two, f"comes and goes: {victim}")
    two.runtimes.update(zip(two.runtimes, changes.chance.sample([DOCKER, PODMAN], 2), strict=True))
    changes.stand()
    if victim == "controller":
        changes.kill_controller("delete")
    else:
        changes.kill_module(lambda: two.delete(check=False))
    two.delete()
    two.assert_nothing_left()
    if victim == "controller":
        changes.kill_controller()
    else:
        changes.kill_module(lambda: two.apply(changes.colour))
    two.converge(changes.colour)
    two.assert_never_more(1)


def test_a_drained_node_keeps_nothing_and_gets_nothing(four: Lanterns) -> None:
    four.stand("red", BOTH)
    drained = play("drain", four.inventory(), daemonset_node="all", daemonset_max_removals="100%")
    assert drained.code == 0, drained.output
    four.assert_nothing_left()
    again = four.apply("red", BOTH)
    assert (again.code, again.changed) == (0, 0), again.output
    assert play("uncordon", four.inventory(), daemonset_node="all").code == 0
    four.stand("red", BOTH)


# ----------------------------------------------------------------------------------------------------- whatever happens

# But for the first one they are those, of some thousands, that together damage what stands in the most different ways.
SEEDS, STEPS = (20261121, 20265339, 20264126, 20262545, 20262950, 20266770), 10
HANDS = {
    SYSTEMD: [f"systemctl stop {S}", f"systemctl kill -s KILL {S}", f"docker run --name copy {HAND}"],
    DOCKER: [f"docker rm -f {S}", f"docker stop {S}", f"docker rename {S} x", f"podman run --name copy {HAND}"],
    PODMAN: [f"podman pod rm -f {S}", f"podman stop {S}-main", f"systemctl stop {S}", f"docker run --name copy {HAND}"],
}
STATES = ["rm record.json", "rm containers.json", "rm current", "rm -r revisions", "echo x >current/definition.json"]


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_one_apply_makes_it_one(seed: int, two: Lanterns) -> None:
    changes = Changes(two, str(seed))
    changes.stand()
    story: list[str] = []

    def damage() -> None:
        for node in two.nodes:
            command = changes.chance.choice(
                HANDS[two.runtimes[node.name]] + [f"cd /var/lib/everynode/default/single && {deed}" for deed in STATES]
            )
            story.append(f"{node.name}: {command}")
            node.run(command, check=False)

    def restart_engine() -> None:
        everywhere(two.nodes, lambda node: node.run("systemctl restart docker"))

    acts: list[Callable[[], object]] = [
        changes.change_runtimes,
        changes.recolour,
        damage,
        restart_engine,
        lambda: two.apply(changes.colour),
        changes.kill_controller,
    ]
    for _step in range(STEPS):
        act = changes.chance.choice(acts)
        story.append(f"{getattr(act, '__name__', act)} -> {changes.colour} {two.runtimes}")
        act()
    try:
        two.converge(changes.colour)
        two.assert_never_more(1)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}:\n" + "\n".join([*story, str(error)])) from error
    two.delete_after_damage()
