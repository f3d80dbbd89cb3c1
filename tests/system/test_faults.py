# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever dies in the middle: never two processes on a node, never more nodes down than allowed, and the next apply
puts everything right.

A sampler on each node watches all the while (sampler.py). Kills come at random points, the same ones in every run.
"""

from __future__ import annotations

import itertools
import random
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import Cluster, Node

from .chaos import MODULE, STAGING, SWITCHING, amid, kill, refused
from .playbook import Run, begin, daemonset, play, write
from .sampler import Moment, Sampler

NAME = "canary"
STATE = f"/var/lib/everynode/default/{NAME}"
# Slow to stop, so that a new one that did not wait for its end would be seen beside it.
PROGRAM = """
import signal, sys, time
def end(*_signal):
    time.sleep(0.3)
    sys.exit()
signal.signal(signal.SIGTERM, end)
while True:
    time.sleep(60)
"""


def canary(
    word: str, max_unavailable: int | str = "100%", pod: dict[str, Any] | None = None, **container: Any
) -> dict[str, Any]:
    spec = {"image": "host:///usr/bin/python3", "args": ["-c", PROGRAM, NAME, word], **container}
    manifest = daemonset(NAME, pod, **spec)
    manifest["spec"]["updateStrategy"] = {"rollingUpdate": {"maxUnavailable": max_unavailable}}
    return manifest


@pytest.fixture(scope="module")
def samplers(cluster: Cluster, nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Sampler]]:
    watching = [Sampler(node, NAME) for node in nodes]
    yield watching
    everywhere = cluster.write_inventory(nodes, path=tmp_path_factory.mktemp("end") / "inventory.yml")
    assert play("delete", everywhere, daemonset_names=NAME).code == 0
    for sampler in watching:
        sampler.stop()
        left = "ls -d /var/lib/everynode /etc/systemd/system/*everynode* /run/everynode/*"
        assert sampler.node.run(left, check=False).stdout == "", sampler.node


@pytest.fixture(autouse=True)
def never_two(samplers: list[Sampler]) -> Iterator[None]:
    yield
    for sampler in samplers:
        doubled = [moment for moment in sampler.moments() if len(moment.running) > 1]
        assert not doubled, f"{sampler.node.name}: {doubled}"


@pytest.fixture
def pair(nodes: list[Node]) -> list[Node]:
    """A node of each distribution: enough where it does not matter how many there are."""
    return [nodes[0], nodes[-1]]


class Estate:
    """The nodes of a test, and what is applied to them."""

    def __init__(self, nodes: list[Node], inventory: Path, folder: Path) -> None:
        self.nodes = nodes
        self.inventory = inventory
        self._folder = folder

    def manifest(self, word: str, *beside: dict[str, Any], **more: Any) -> str:
        return write(self._folder / f"{word}.yaml", *beside, canary(word, **more))

    def apply(self, word: str, *beside: dict[str, Any], **more: Any) -> Run:
        return play("apply", self.inventory, daemonset_manifests=self.manifest(word, *beside, **more))

    def processes(self) -> list[str]:
        """The process ids on each node."""
        return [node.run(f"pgrep -f '{NAME} [a-z]+$'").stdout for node in self.nodes]

    def delete(self) -> None:
        done = play("delete", self.inventory, daemonset_names=NAME)
        assert done.code == 0, done.output

    def stand(self, word: str, **more: Any) -> None:
        """One apply makes it right."""
        done = self.apply(word, **more)
        assert done.code == 0, done.output
        for node in self.nodes:
            assert running(node) == [word], done.output

    def settle(self) -> tuple[str, str]:
        """The word that all of its nodes run from now on, which is what they run already if they agree, and another."""
        found = {word for node in self.nodes for word in running(node)}
        now = found.pop() if len(found) == 1 else "red"
        self.stand(now)
        return now, "red" if now == "blue" else "blue"

    def converge(self, word: str, **more: Any) -> None:
        """One apply makes it right, and a second one finds nothing to do."""
        self.stand(word, **more)
        again = self.apply(word, **more)
        assert again.code == 0, again.output
        assert again.changed == 0, again.output


@pytest.fixture
def two(pair: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> Estate:
    return Estate(pair, inventory(pair), tmp_path)


@pytest.fixture
def four(nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> Estate:
    return Estate(nodes, inventory(), tmp_path)


def running(node: Node) -> list[str]:
    """The words of the processes that run on a node."""
    found = node.run(f"pgrep -f '{NAME} [a-z]+$' | sed 's:.*:/proc/&/cmdline:' | xargs -r tail -qc 20", check=False)
    return [command.split("\0")[-2] for command in found.stdout.split(NAME)[1:]]


# ------------------------------------------------------------------------------------------------------- the controller

SOAK = pytest.mark.soak
KILLS = {"create": 2, "update": 3, "delete": 2}


@pytest.fixture(scope="module")
def seconds(
    cluster: Cluster, nodes: list[Node], samplers: list[Sampler], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, float]:
    """How long each of them takes when it is left alone."""
    folder = tmp_path_factory.mktemp("seconds")
    pair = [nodes[0], nodes[-1]]
    estate = Estate(pair, cluster.write_inventory(pair, path=folder / "inventory.yml"), folder)
    marks = [time.monotonic()]
    for step in (lambda: estate.apply("red"), lambda: estate.apply("blue"), estate.delete):
        step()
        marks.append(time.monotonic())
    return dict(zip(("create", "update", "delete"), (b - a for a, b in itertools.pairwise(marks)), strict=True))


@pytest.mark.soak
def test_killed_while_it_validates(two: Estate) -> None:
    """Nothing that was not found good is taken for good."""
    now, other = two.settle()
    before = two.processes()
    manifest = canary(other)
    slowly = "sh -c 'test ! -e /run/slow || { touch /run/asked; exec sleep 60; }; echo line 7 is wrong >&2; exit 3'"
    manifest["metadata"]["annotations"] = {"everynode/validate": slowly}
    for node in two.nodes:
        node.run("touch /run/slow")
    doomed = begin("apply", two.inventory, daemonset_manifests=[manifest])
    for node in two.nodes:
        node.run("timeout 60 sh -c 'until [ -e /run/asked ]; do sleep 0.05; done'; rm /run/slow /run/asked")
    kill(doomed, with_workers=True)
    for node in two.nodes:
        node.run(f"kill -KILL $({MODULE})")
    failed = refused(play("apply", two.inventory, daemonset_manifests=[manifest]))
    assert failed.count("everynode/validate failed, so nothing was changed") >= len(two.nodes), failed
    assert failed.count("line 7 is wrong") >= len(two.nodes), failed
    assert two.processes() == before
    two.converge(now)


@pytest.mark.soak
@pytest.mark.parametrize("act", ["create", "update", "delete"])
def test_the_controller_is_killed(act: str, two: Estate, seconds: dict[str, float]) -> None:
    chance = random.Random(act)
    words = itertools.cycle(["red", "blue"] if act == "create" else two.settle())
    now = next(words)
    for turn in range(KILLS[act]):
        if act == "create":
            two.delete()
        if act == "update":
            now = next(words)
        if act == "delete":
            doomed = begin("delete", two.inventory, daemonset_names=NAME)
        else:
            doomed = begin("apply", two.inventory, daemonset_manifests=two.manifest(now))
        time.sleep(seconds[act] * (turn + chance.random()) / KILLS[act])
        kill(doomed, with_workers=turn % 2 == 0)
        two.converge(now)


def test_what_a_killed_run_asked_for_and_had_not_begun_is_not_done(two: Estate) -> None:
    now, _other = two.settle()
    before = two.processes()
    # Somebody else is at work on the instance, so that the module waits for its turn.
    held = "nohup flock /run/everynode/default.canary.instance sleep 60 >/dev/null 2>&1 & echo $!"
    holders = [node.run(held).stdout.strip() for node in two.nodes]
    doomed = begin("delete", two.inventory, daemonset_names=NAME)
    for node in two.nodes:
        assert amid(node, 1, 1, "true")
    kill(doomed, with_workers=True)
    for node, holder in zip(two.nodes, holders, strict=True):
        node.run(f"pkill -KILL -P {holder}")
        node.run(f"timeout 20 sh -c 'while {MODULE}; do sleep 0.05; done'")
    assert two.processes() == before
    two.converge(now)


# ---------------------------------------------------------------------------------------------------- the node's half


@pytest.mark.parametrize(
    ("deed", "calls"),
    [
        pytest.param("kill -KILL $pid", [STAGING, SWITCHING, SWITCHING], id="the module is killed"),
        pytest.param('pkill -KILL -f "^sshd.*@notty"', [STAGING, SWITCHING], id="the connection is cut", marks=SOAK),
    ],
)
def test_the_node_is_left_in_the_middle(deed: str, calls: list[int], two: Estate) -> None:
    chance = random.Random(deed)
    words = itertools.cycle(two.settle())
    next(words)
    hits = 0
    for turn, call in enumerate(calls):
        now = next(words)
        longest = 0.3 if call == STAGING else 2.0 * turn / len(calls)
        with ThreadPoolExecutor() as pool:
            hit = [pool.submit(amid, node, call, chance.uniform(0, longest), deed) for node in two.nodes]
            done = two.apply(now)
        if any(future.result() for future in hit) and not (done.code == 0 and has_arrived(two, now)):
            hits += 1
            refused(done)
        two.converge(now)
    assert hits > len(calls) / 2, "it came too late to prove anything"


def has_arrived(estate: Estate, word: str) -> bool:
    """A module that was hit when it had said its last word has done all of its work, and nobody can tell."""
    return all(running(node) == [word] for node in estate.nodes)


def test_the_node_reboots_in_the_middle(two: Estate) -> None:
    _now, other = two.settle()
    with ThreadPoolExecutor() as pool:
        run = pool.submit(two.apply, other)
        assert amid(two.nodes[0], SWITCHING, 0.4, "true")
        two.nodes[0].reboot()
        refused(run.result())
    two.converge(other)


# ----------------------------------------------------------------------------------------------------------- full disks


def test_the_disk_is_full(two: Estate) -> None:
    two.delete()
    state, units = "/var/lib/everynode", "/etc/systemd/system"
    node, other = two.nodes
    # A disk of its own for what everynode keeps, and on the other node for its units.
    node.run(f"mkdir {state}; mount -t tmpfs -o size=4m none {state}")
    other.run(f"mount -t tmpfs -o size=4m none /mnt; cp -a {units}/. /mnt; mount --move /mnt {units}")
    # Each small file takes a whole block.
    many = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "many"}}
    many["data"] = {f"key{number}": "x" for number in range(600)}
    mounted = {
        "pod": {"volumes": [{"name": "many", "configMap": {"name": "many"}}]},
        "volumeMounts": [{"name": "many", "mountPath": "/mnt"}],
    }
    try:
        two.stand("red")
        before = two.processes()
        for full, disk, free, beside, more, why in (
            (node, state, 64, [], {}, f"only 64 KiB are free in {state}"),
            (node, state, 2048, [many], mounted, "No space left on device"),
            (other, units, 0, [], {}, f"only 0 KiB are free in {units}"),
        ):
            full.run(f"cat /dev/zero >{disk}/filler; truncate -s -{free}K {disk}/filler", check=False)
            said = refused(two.apply("blue", *beside, **more))
            assert re.search(rf"^{full.name}: {NAME}: failed to stage: .*{why}", said, re.MULTILINE), said
            assert two.processes() == before
            assert full.run(f"find {STATE} {units} -name '*.new'").stdout == ""
            full.run(f"rm {disk}/filler")
        two.converge("blue")
    finally:
        node.run(f"rm -f {state}/filler")
        other.run(f"rm -f {units}/filler")
        two.delete()
        node.run(f"umount {state}; rmdir {state}")
        other.run(f"umount {units}; systemctl daemon-reload")


# -------------------------------------------------------------------------------------------------------- two at a time


def at_once(*runs: Callable[[], Run]) -> list[Run]:
    with ThreadPoolExecutor() as pool:
        return [future.result() for future in [pool.submit(run) for run in runs]]


def one_goes_on(runs: list[Run]) -> None:
    """The others are told of it, unless they came so late that it had ended."""
    stopped = [refused(done) for done in runs if done.code != 0]
    assert len(stopped) < len(runs), stopped
    for said in stopped:
        assert "rolls it out, since" in said


@pytest.mark.soak
def test_two_applies_of_the_same(two: Estate, samplers: list[Sampler]) -> None:
    _now, other = two.settle()
    since = time.monotonic()
    one_goes_on(at_once(lambda: two.apply(other), lambda: two.apply(other)))
    two.converge(other)
    for sampler in samplers:
        if sampler.node in two.nodes:
            assert len(processes_since(sampler, since)) == 1, sampler.moments()


@pytest.mark.soak
def test_two_applies_of_different_revisions(two: Estate) -> None:
    _now, other = two.settle()
    one_goes_on(at_once(lambda: two.apply(other), lambda: two.apply("green")))
    two.converge(other)


def processes_since(sampler: Sampler, since: float) -> set[str]:
    """The processes that began after a point of time."""
    moments = sampler.moments()
    before = {process for moment in moments if moment.at < since for process in moment.running}
    return {process for moment in moments for process in moment.running} - before


# -------------------------------------------------------------------------------------------------------------- batches


def down_at_once(samplers: list[Sampler], since: float) -> int:
    """The largest number of nodes that were without a process at the same moment."""
    events: list[tuple[float, int, Moment]] = []
    for index, sampler in enumerate(samplers):
        events += [(moment.at, index, moment) for moment in sampler.moments()]
    up = [False] * len(samplers)
    worst = 0
    for at, index, moment in sorted(events, key=lambda event: event[0]):
        up[index] = bool(moment.running)
        if at > since:
            worst = max(worst, up.count(False))
    return worst


def test_an_update_keeps_its_budget(four: Estate, samplers: list[Sampler]) -> None:
    _now, other = four.settle()
    since = time.monotonic()
    four.converge(other, max_unavailable=1)
    assert down_at_once(samplers, since) == 1
    assert [len(processes_since(sampler, since)) for sampler in samplers] == [1, 1, 1, 1]


@pytest.mark.soak
def test_an_update_that_was_killed_keeps_its_budget(
    four: Estate, samplers: list[Sampler], seconds: dict[str, float]
) -> None:
    _now, other = four.settle()
    since = time.monotonic()
    doomed = begin("apply", four.inventory, daemonset_manifests=four.manifest(other, max_unavailable=1))
    assert amid(four.nodes[1], SWITCHING, 0.5, "true")
    kill(doomed, with_workers=True)
    four.converge(other, max_unavailable=1)
    assert down_at_once(samplers, since) == 1


def test_a_revision_that_fails_halts_the_update(four: Estate, samplers: list[Sampler]) -> None:
    now, _other = four.settle()
    since = time.monotonic()
    broken = {"args": ["-c", "raise SystemExit('no such spool')", NAME, "broken"]}
    said = refused(four.apply("broken", max_unavailable=1, **broken))
    assert "no such spool" in said
    assert re.search(rf"the rollout is halted: revision \w+ failed on {four.nodes[0].name}", said), said
    assert [running(node) for node in four.nodes[1:]] == [[now]] * 3
    assert [processes_since(sampler, since) for sampler in samplers[1:]] == [set()] * 3
    four.converge(now, max_unavailable=1)
    assert [processes_since(sampler, since) for sampler in samplers[1:]] == [set()] * 3


def test_staging_that_fails_anywhere_restarts_nothing_anywhere(four: Estate, samplers: list[Sampler]) -> None:
    _now, other = four.settle()
    program = "/usr/local/bin/canary"
    lacking = four.nodes[2]
    for node in four.nodes:
        node.run(f"ln -s /usr/bin/python3 {program}")
    lacking.run(f"rm {program}")
    since = time.monotonic()
    try:
        said = refused(four.apply(other, image=f"host://{program}"))
        assert f"the program {program} is not on this node" in said
        assert [processes_since(sampler, since) for sampler in samplers] == [set()] * 4
        lacking.run(f"ln -s /usr/bin/python3 {program}")
        four.converge(other, image=f"host://{program}")
    finally:
        for node in four.nodes:
            node.run(f"rm -f {program}")
