# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run at a time rolls out a DaemonSet, and the others are told of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import Cluster, Node

from .chaos import kill, refused
from .playbook import Run, begin, daemonset, play, until, write
from .sampler import Sampler

NAME = "tenant"
LEASE = f"/run/everynode/default.{NAME}.lease"
PROGRAM = "import time\nwhile True: time.sleep(60)"


def tenant(word: str, ready_seconds: int = 0, max_unavailable: int | str = "100%", **container: Any) -> dict[str, Any]:
    container = {"args": ["-c", PROGRAM, NAME, word], **container}
    manifest = daemonset(NAME, image="host:///usr/bin/python3", **container)
    manifest["spec"]["minReadySeconds"] = ready_seconds
    manifest["spec"]["updateStrategy"] = {"rollingUpdate": {"maxUnavailable": max_unavailable}}
    return manifest


class Estate:
    def __init__(self, nodes: list[Node], inventory: Path, folder: Path, samplers: list[Sampler]) -> None:
        self.nodes = nodes
        self.samplers = samplers
        self._inventory = inventory
        self._folder = folder

    def manifest(self, word: str, **more: Any) -> str:
        return write(self._folder / f"{word}.yaml", tenant(word, **more))

    def apply(self, word: str, *arguments: str, variables: dict[str, Any] | None = None, **more: Any) -> Run:
        manifest = self.manifest(word, **more)
        return play("apply", self._inventory, *arguments, daemonset_manifests=manifest, **(variables or {}))

    def stand(self, word: str) -> None:
        done = self.apply(word)
        assert done.code == 0, done.output
        assert self.words() == [[word]] * len(self.nodes)

    def begin(self, word: str, variables: dict[str, Any] | None = None, **more: Any) -> Any:
        """An apply that goes on by itself."""
        return begin("apply", self._inventory, daemonset_manifests=self.manifest(word, **more), **(variables or {}))

    def words(self) -> list[list[str]]:
        """What runs on each node."""
        return [sampler.now() for sampler in self.samplers]

    def moments(self) -> list[int]:
        """How often anything changed on each node."""
        return [len(sampler.moments()) for sampler in self.samplers]

    def leases(self) -> dict[str, dict[str, Any]]:
        found = {node.name: node.run(f"cat {LEASE}", check=False).stdout for node in self.nodes}
        return {name: json.loads(text) for name, text in found.items() if text}

    def has_lease(self) -> bool:
        return self.nodes[0].run(f"test -e {LEASE}", check=False).returncode == 0

    def lend(self, seconds: int) -> None:
        """Somebody on another machine has the lease."""
        lease = {"run": "far", "expires": 0, "acquired": 0, "daemonset": f"default/{NAME}", "holder": "carol@far"}
        lease["process"] = "another-boot.pid:[1]/1/1"
        now = int(self.nodes[0].run("date +%s").stdout)
        lease.update(acquired=now - 60, expires=now + seconds)
        self.nodes[0].run(f"mkdir -p /run/everynode; echo '{json.dumps(lease)}' >{LEASE}")


@pytest.fixture(scope="module")
def samplers(cluster: Cluster, nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Sampler]]:
    watching = [Sampler(node, NAME) for node in nodes]
    yield watching
    everywhere = cluster.write_inventory(nodes, path=tmp_path_factory.mktemp("end") / "inventory.yml")
    assert play("delete", everywhere, daemonset_names=NAME).code == 0
    for sampler in watching:
        sampler.stop()
        left = "ls -d /var/lib/everynode /etc/systemd/system/*everynode* /run/everynode"
        assert sampler.node.run(left, check=False).stdout == "", sampler.node


@pytest.fixture
def four(
    nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path, samplers: list[Sampler]
) -> Iterator[Estate]:
    """All nodes run «red»; afterwards nobody has a lease."""
    estate = Estate(nodes, inventory(), tmp_path, samplers)
    estate.stand("red")
    yield estate
    assert estate.leases() == {}


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as executor:
        yield executor


SLOWLY = {"ready_seconds": 4, "max_unavailable": 1}


def told_of_it(done: Run) -> None:
    said = refused(done)
    # With --limit the other run's nodes are looked at: they may use up the budget at that very moment.
    assert re.search(r"maxUnavailable, which is \d node here, is used up by node\d", said) or re.search(
        rf"default/{NAME} is left alone: \S+@\S+ rolls it out, since .* UTC \(\d+ s ago\); its lease on node\d expires "
        r"in .* Wait for the end of that run, or, .* take over with -e daemonset_take_over=true",
        said,
    ), said
    assert done.changed == 0


def in_the_middle(estate: Estate, run: Future[Run]) -> None:
    """Until an apply of «blue» has switched its first node."""
    until(lambda: run.done() or estate.words()[0] == ["blue"])
    assert not run.done(), run.result().output


def most_down(samplers: list[Sampler], since: list[int]) -> int:
    """The largest number of nodes that were without a process at the same moment; ``since``: as `Estate.moments`."""
    events = []
    for index, (sampler, known) in enumerate(zip(samplers, since, strict=True)):
        events += [(moment.at, index, bool(moment.running)) for moment in sampler.moments()[known:]]
    up = [True] * len(samplers)
    worst = 0
    for _at, index, runs in sorted(events):
        up[index] = runs
        worst = max(worst, up.count(False))
    return worst


@pytest.mark.soak
def test_a_run_that_was_overtaken_before_it_had_the_lease_replaces_nothing(four: Estate, nodes: list[Node]) -> None:
    """A node that does not answer keeps the one waiting that has looked at all others; meanwhile another run ends."""
    late, others = nodes[3], [node.name for node in nodes[:3]]
    nodes[0].run("rm -f /run/looked; echo ': >/run/looked' >>/usr/lib/os-release")  # which whoever looks reads
    late.run("pkill -STOP sshd")
    try:
        run = four.begin("blue", variables={"daemonset_observe_timeout": 150})
        until(lambda: nodes[0].run("test -e /run/looked", check=False).returncode == 0)
        done = four.apply("green", "--limit", ",".join(others), variables={"daemonset_observe_timeout": 3})
        assert four.words()[:3] == [["green"]] * 3, done.output
    finally:
        late.run("pkill -CONT sshd")
        nodes[0].run("sed -i '$d' /usr/lib/os-release")
    assert run.wait(timeout=120) != 0
    assert four.words()[:3] == [["green"]] * 3


def test_of_two_applies_at_once_one_goes_on_and_the_other_is_told_of_it(four: Estate, pool: ThreadPoolExecutor) -> None:
    since = four.moments()
    first = pool.submit(four.apply, "blue", **SLOWLY)
    in_the_middle(four, first)
    assert list(four.leases()) == ["node1", "node2", "node3"]
    told_of_it(four.apply("green", **SLOWLY))
    # Different nodes, but the same DaemonSet, and so the same budget.
    told_of_it(four.apply("green", "--limit=node4", **SLOWLY))
    assert first.result().code == 0, first.result().output
    assert four.words() == [["blue"]] * 4
    assert most_down(four.samplers, since) == 1
    lines = re.findall(r"^batch .* updated .*$", first.result().output, re.MULTILINE)
    assert lines[0] == "batch 1 of 4: node1 · 0 of 4 updated · 0 failed"
    assert re.fullmatch(r"batch 3 of 4: node3 · 2 of 4 updated · 0 failed · about \d+ s left", lines[2])


def test_a_dry_run_and_an_apply_with_nothing_to_do_need_no_lease(four: Estate) -> None:
    four.lend(600)
    lent = four.leases()
    assert four.apply("red").code == 0
    assert four.apply("blue", "--check").code == 0
    assert four.leases() == lent
    four.nodes[0].run(f"rm {LEASE}; rmdir --ignore-fail-on-non-empty /run/everynode")


@pytest.mark.soak
def test_what_a_killed_run_had_is_taken_over_at_once(four: Estate) -> None:
    since = four.moments()
    doomed = four.begin("blue", **SLOWLY)
    until(lambda: four.words()[0] == ["blue"])
    kill(doomed, with_workers=True)
    assert len(four.leases()) == 3
    done = four.apply("blue", **SLOWLY)
    assert done.code == 0, done.output
    assert four.words() == [["blue"]] * 4
    assert most_down(four.samplers, since) == 1


@pytest.mark.soak
def test_that_of_another_machine_holds_until_it_expires_or_is_taken_over(four: Estate) -> None:
    four.lend(600)
    # What --limit leaves out shows only when it is asked.
    for limit in ([], ["--limit=node3,node4"]):
        done = four.apply("blue", *limit)
        told_of_it(done)
        assert "carol@far rolls it out" in done.output
    assert four.words() == [["red"]] * 4
    assert list(four.leases()) == ["node1"]
    done = four.apply("blue", variables={"daemonset_take_over": True})
    assert done.code == 0, done.output
    four.lend(-1)
    done = four.apply("green")
    assert done.code == 0, done.output


@pytest.mark.soak
def test_a_run_that_is_taken_over_leaves_the_rest_as_it_is(four: Estate, pool: ThreadPoolExecutor) -> None:
    first = pool.submit(four.apply, "blue", **SLOWLY)
    in_the_middle(four, first)
    second = four.apply("green", variables={"daemonset_take_over": True}, **SLOWLY)
    assert "who took it over from this run" in refused(first.result())
    # Where the first one was just at work, the second one may find that it came too early.
    assert second.code == 0 or refused(second)
    four.stand("green")


@pytest.mark.soak
def test_a_failed_run_gives_the_lease_back(four: Estate) -> None:
    refused(four.apply("broken", args=["-c", "raise SystemExit(1)", NAME, "broken"]))
    assert four.leases() == {}
