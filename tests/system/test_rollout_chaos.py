# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Updates of a fleet under everything that can go wrong, watched by samplers that know nothing of the collection.

EVERYNODE_FLEET and EVERYNODE_ROUNDS say how many nodes and how many rounds; `make soak` has 20 nodes, and 25 rounds of
four kills of the controller and something else.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.nodes import Cluster, Node, NodeSpec

from .chaos import kill
from .playbook import begin, daemonset, play
from .sampler import Moment, Sampler

NAME, MARK = "swarm", "swarm-serves"
FLEET = int(os.environ.get("EVERYNODE_FLEET", "20"))
ROUNDS = int(os.environ.get("EVERYNODE_ROUNDS", "25"))
KILLS = 4  # of each round
BUDGET = 0.25
# It serves, which the sampler sees by its words, half a second after its start.
SERVE = f'sleep 0.5; exec sh -c "while :; do sleep 3600 & wait; done" serve {MARK} "$COLOUR"'
SOON = {"exec": {"command": ["sh", "-c", f'pgrep -f "{MARK} $COLOUR" >/dev/null']}, "periodSeconds": 2}
NEVER = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
BAD = {
    "crashes at once": {"program": "exit 3"},
    # Kubernetes makes one dollar of two.
    "crashes later": {"program": f"(sleep 3; kill $$$$) & {SERVE}", "minReadySeconds": 4},
    "is never ready": {"program": SERVE, "readiness": NEVER},
}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[tuple[list[Node], Path]]:
    cluster = Cluster(f"fleet-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}")
    try:
        nodes = cluster.up(NodeSpec(f"node{number + 1:02}") for number in range(FLEET))
        yield nodes, cluster.write_inventory(nodes)
    finally:
        cluster.down()


def swarm(colour: str, program: str = SERVE, readiness: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    one = daemonset(
        NAME,
        {"terminationGracePeriodSeconds": 2},
        {"everynode/confirm-timeout": "5s"},
        image="host:///bin/sh",
        args=["-c", program],
        env=[{"name": "COLOUR", "value": colour}],
        readinessProbe=readiness or SOON,
    )
    one["spec"] |= {"updateStrategy": {"rollingUpdate": {"maxUnavailable": f"{BUDGET:.0%}"}}, **spec}
    return one


class Away(NamedTuple):
    """From when to when (seconds of the machine's clock) a node was switched off by somebody else."""

    node: Node
    began: float
    ended: float


class Storm:
    """What can happen to an update, drawn by chance; each round ends with one apply that has to converge."""

    def __init__(self, nodes: list[Node], inventory: Path, chance: random.Random) -> None:
        self.nodes = nodes
        self.inventory = inventory
        self.chance = chance
        self.number = 0
        self.colour = self.next_colour()
        self.away: list[Away] = []

    def next_colour(self) -> str:
        self.number += 1
        return f"c{self.number}"

    def settle(self) -> None:
        done = play("apply", self.inventory, daemonset_manifests=[swarm(self.colour)], daemonset_timeout=15)
        assert done.code == 0, done.output
        again = play("apply", self.inventory, daemonset_manifests=[swarm(self.colour)], daemonset_timeout=15)
        assert (again.code, again.changed) == (0, 0), again.output

    def _begin(self, colour: str) -> subprocess.Popen[bytes]:
        patience = {"daemonset_timeout": 15, "daemonset_observe_timeout": 10, "daemonset_step_timeout": 60}
        return begin("apply", self.inventory, daemonset_manifests=[swarm(colour)], **patience)

    def controllers_are_killed(self) -> None:
        """One after the other, in the update that the one before had begun, or in a new one."""
        for _kill in range(KILLS):
            if self.chance.random() < 0.5:
                self.colour = self.next_colour()
            doomed = self._begin(self.colour)
            self._pass_some_time(doomed)
            self._kill(doomed, with_workers=self.chance.random() < 0.7)

    def two_controllers(self) -> None:
        first, second = self.next_colour(), self.next_colour()
        runs = [self._begin(first), self._begin(second)]
        codes = [run.wait(timeout=240) for run in runs]
        assert 0 in codes, "one of them goes on"
        self.colour = second

    def two_controllers_one_killed(self) -> None:
        self.colour = self.next_colour()
        doomed = self._begin(self.colour)
        self._pass_some_time(doomed)
        other = self._begin(self.colour)
        self._kill(doomed, with_workers=True)
        other.wait(timeout=240)

    def bad_revision(self) -> None:
        wrong = dict(self.chance.choice(list(BAD.values())))
        refused = play(
            "apply", self.inventory, daemonset_manifests=[swarm(self.next_colour(), **wrong)], daemonset_timeout=5
        )
        assert refused.code != 0, refused.output
        assert "Traceback" not in refused.output

    def program_on_a_node_is_killed(self) -> None:
        self.colour = self.next_colour()
        run = self._begin(self.colour)
        self._pass_some_time(run)
        for node in self.chance.sample(self.nodes, len(self.nodes) // 3):
            node.run("pkill -KILL -f /var/lib/everynode/.program; pkill -KILL -f AnsiballZ", check=False)
        run.wait(timeout=240)

    def nodes_are_cut_off(self) -> None:
        """They hear nothing any more, and what runs there goes on."""
        self.colour = self.next_colour()
        run = self._begin(self.colour)
        self._pass_some_time(run)
        lost = self.chance.sample(self.nodes, max(1, len(self.nodes) // 8))
        for node in lost:
            node.run("pkill -STOP sshd")
        run.wait(timeout=240)
        for node in lost:
            node.run("pkill -CONT sshd")

    def nodes_are_switched_off(self) -> None:
        self.colour = self.next_colour()
        run = self._begin(self.colour)
        self._pass_some_time(run)
        lost = self.chance.sample(self.nodes, max(1, len(self.nodes) // 8))
        began = time.monotonic()
        for node in lost:
            node.stop()
        run.wait(timeout=240)
        self.away += [Away(node, began, time.monotonic()) for node in lost]
        for node in lost:
            node.start()
        for node in lost:
            node.wait()

    def _kill(self, run: subprocess.Popen[bytes], with_workers: bool) -> None:
        if run.poll() is None:  # it may have been faster
            kill(run, with_workers)

    def _pass_some_time(self, run: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(timeout=self.chance.uniform(0.5, 12.0))


EVENTS = (
    Storm.two_controllers,
    Storm.two_controllers_one_killed,
    Storm.bad_revision,
    Storm.program_on_a_node_is_killed,
    Storm.nodes_are_cut_off,
    Storm.nodes_are_switched_off,
)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1])
def test_a_fleet_keeps_its_budget(seed: int, fleet: tuple[list[Node], Path]) -> None:
    nodes, inventory = fleet
    storm = Storm(nodes, inventory, random.Random(seed))
    storm.settle()
    samplers = [Sampler(node, MARK) for node in nodes]
    told = []
    for number in range(ROUNDS):
        event: Callable[[Storm], None] = storm.chance.choice(EVENTS)
        told.append(event.__name__)
        print(f"round {number + 1} of {ROUNDS}: {KILLS} kills, {event.__name__}", flush=True)
        storm.controllers_are_killed()
        event(storm)
        storm.settle()
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(Sampler.stop, samplers))
    assert max(len(moment.running) for moments in seen for moment in moments) == 1, f"two instances, {told}"
    own = [[one for one in storm.away if one.node is node] for node in nodes]
    down = most_without([excused(moments, away) for moments, away in zip(seen, own, strict=True)])
    assert down <= -(-len(nodes) * BUDGET // 1), f"{down} nodes without an instance at once, {told}"


def excused(moments: list[Moment], away: list[Away]) -> list[Moment]:
    """Without what a node did not do from when it was switched off until it served again after that."""
    left, excuses, ended = [], list(away), None
    for moment in moments:
        while excuses and excuses[0].began <= moment.at:
            ended = excuses.pop(0).ended
        if ended is not None and moment.at >= ended and moment.running:
            ended = None
        if ended is None:
            left.append(moment)
    return left


def most_without(seen: list[list[Moment]]) -> int:
    """How many nodes were without any process at the same time, at the worst."""
    changes = []
    for moments in seen:
        serving = True
        for moment in moments:
            if bool(moment.running) != serving:
                serving = not serving
                changes.append((moment.at, -1 if serving else 1))
    worst = down = 0
    for _at, change in sorted(changes):
        down += change
        worst = max(worst, down)
    return worst
