# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Literal

from ansible_collections.everynode.daemonset.plugins.plugin_utils.rollout import (
    Pod,
    Strategy,
    Target,
    manage,
    rolling_update,
    sync,
)
from hypothesis import given
from hypothesis import strategies as st

Revision = Literal["new", "old"]
NODES = 8
MIN_READY = 10

targets = st.lists(st.sampled_from([(True, True), (True, True), (False, True), (False, False)]), max_size=NODES).map(
    lambda rights: [Target(f"node-{number}", *each) for number, each in enumerate(rights)]
)
in_place = st.builds(
    Strategy,
    max_unavailable=st.sampled_from([0, 1, 3, "25%", "100%"]),
    min_ready_seconds=st.sampled_from([0, MIN_READY]),
)
surging = st.builds(
    Strategy,
    max_unavailable=st.just(0),
    max_surge=st.sampled_from([1, 2, "50%"]),
    min_ready_seconds=st.sampled_from([0, MIN_READY]),
)


@st.composite
def pods(draw: st.DrawFn, *, most: int) -> list[Pod]:
    """Draw some pods, no more than so many on a node."""
    drawn = []
    for node in range(NODES):
        for number in range(draw(st.integers(0, most))):
            ready = draw(st.booleans())
            drawn.append(
                Pod(
                    name=f"pod-{node}-{number}",
                    node=f"node-{node}",
                    revision=draw(st.sampled_from(("new", "old"))),
                    ready=ready,
                    ready_since=draw(st.sampled_from([0, 95])) if ready else None,
                    created=draw(st.integers(0, 3)),
                    phase="Running" if ready else draw(st.sampled_from(["Running", "Pending", "Failed", "Succeeded"])),
                    terminating=draw(st.integers(0, 9)) == 0,
                )
            )
    return drawn


class Fleet:
    """Nodes on which pods that are told to stop are gone a round later, and pods become ready in time."""

    def __init__(self, nodes: list[Target], present: list[Pod], strategy: Strategy) -> None:
        self.nodes, self.pods, self.strategy = nodes, present, strategy
        self.now = 100.0
        self.made = 0

    def round(self) -> bool:
        """Do one sync and let time pass; say whether anything was done."""
        decision = sync(self.nodes, self.pods, self.strategy, self.now)
        self.pods = [pod for pod in self.pods if not pod.terminating]
        self.pods = [replace(pod, terminating=pod.name in decision.delete_pods) for pod in self.pods]
        for node in decision.create_nodes:
            self.made += 1
            self.pods.append(Pod(f"made-{self.made}", node, created=self.now))
        self.now += MIN_READY
        self.pods = [
            pod if pod.ready or pod.finished else replace(pod, ready=True, ready_since=self.now) for pod in self.pods
        ]
        return bool(decision.create_nodes or decision.delete_pods)

    def settle(self) -> None:
        quiet = 0
        for _round in range(20 * NODES):
            busy = self.round() or any(pod.terminating for pod in self.pods)
            quiet = 0 if busy else quiet + 1
            if quiet > 2:
                return
        raise AssertionError(f"it does not come to rest: {self.pods}")

    def on(self, node: str) -> list[Pod]:
        return [pod for pod in self.pods if pod.node == node]


@given(targets, pods(most=3), in_place | surging)
def test_every_fleet_converges(nodes: list[Target], present: list[Pod], strategy: Strategy) -> None:
    # A pod on a node that is gone is out of reach, and uses up the budget until Kubernetes collects it otherwise.
    known = {node.name for node in nodes}
    fleet = Fleet(nodes, [pod for pod in present if pod.node in known], strategy)
    fleet.settle()
    for node in nodes:
        if node.should_run:
            assert [pod.revision for pod in fleet.on(node.name)] == ["new"]
        elif not node.should_continue:
            assert fleet.on(node.name) == []
        else:
            assert len(fleet.on(node.name)) <= 1


@given(targets, pods(most=1), in_place)
def test_there_are_never_two_instances_without_surge(
    nodes: list[Target], present: list[Pod], strategy: Strategy
) -> None:
    fleet = Fleet(nodes, present, strategy)
    for _round in range(3 * NODES):
        fleet.round()
        # A pod that has ended and is being removed is none.
        there = Counter(pod.node for pod in fleet.pods if not (pod.finished and pod.terminating))
        assert all(count == 1 for count in there.values())


@given(targets, pods(most=1), surging)
def test_surge_means_one_instance_of_either_revision(
    nodes: list[Target], present: list[Pod], strategy: Strategy
) -> None:
    fleet = Fleet(nodes, present, strategy)
    for _round in range(3 * NODES):
        fleet.round()
        staying = Counter((pod.node, pod.revision) for pod in fleet.pods if not pod.terminating)
        assert all(count == 1 for count in staying.values())


def unavailable(nodes: list[Target], present: list[Pod], strategy: Strategy, now: float) -> set[str]:
    serving = {pod.node for pod in present if not pod.terminating and pod.available(strategy.min_ready_seconds, now)}
    return {node.name for node in nodes if node.should_run and node.name not in serving}


@given(targets, pods(most=1), in_place)
def test_an_update_in_place_keeps_the_budget(nodes: list[Target], present: list[Pod], strategy: Strategy) -> None:
    decision = rolling_update(nodes, present, strategy, 100)
    before = unavailable(nodes, present, strategy, 100)
    left = [pod for pod in present if pod.name not in decision.delete_pods]
    after = unavailable(nodes, left, strategy, 100)
    budget = strategy.numbers(sum(node.should_run for node in nodes)).max_unavailable
    assert len(after) <= max(budget, len(before))
    assert decision.create_nodes == []


@given(targets, pods(most=2), surging)
def test_an_update_by_surge_takes_no_serving_instance_away(
    nodes: list[Target], present: list[Pod], strategy: Strategy
) -> None:
    decision = rolling_update(nodes, present, strategy, 100)
    left = [pod for pod in present if pod.name not in decision.delete_pods]
    assert unavailable(nodes, left, strategy, 100) == unavailable(nodes, present, strategy, 100)


@given(targets, pods(most=3), in_place | surging)
def test_only_old_instances_are_updated_and_nothing_is_decided_twice(
    nodes: list[Target], present: list[Pod], strategy: Strategy
) -> None:
    old = {pod.name for pod in present if pod.revision == "old"}
    decision = rolling_update(nodes, present, strategy, 100)
    assert set(decision.delete_pods) <= old
    both = sync(nodes, present, strategy, 100)
    assert len(set(both.delete_pods)) == len(both.delete_pods)
    assert len(set(both.create_nodes)) == len(both.create_nodes)


@given(targets, pods(most=3), in_place | surging)
def test_managing_removes_all_from_nodes_that_may_not_keep_it(
    nodes: list[Target], present: list[Pod], strategy: Strategy
) -> None:
    decision = manage(nodes, present, strategy, 100)
    banned = {node.name for node in nodes if not node.should_continue}
    assert {pod.name for pod in present if pod.node in banned and not pod.terminating} <= set(decision.delete_pods)
    assert not banned.intersection(decision.create_nodes)


@given(targets, pods(most=2))
def test_ondelete_replaces_nothing(nodes: list[Target], present: list[Pod]) -> None:
    strategy = Strategy(type="OnDelete")
    assert sync(nodes, present, strategy, 100) == manage(nodes, present, strategy, 100)


def test_candidates_are_taken_in_the_order_of_the_nodes() -> None:
    nodes = [Target(name) for name in ("c", "a", "b")]
    present = [Pod(f"old-{node}", node, revision="old", ready=True) for node in ("a", "b", "c")]
    assert rolling_update(nodes, present, Strategy(max_unavailable=2), 0).delete_pods == ["old-c", "old-a"]
    surge = Strategy(max_unavailable=0, max_surge=2)
    assert rolling_update(nodes, present, surge, 0).create_nodes == ["c", "a"]


def test_a_pod_on_its_way_to_a_node_that_is_gone_is_deleted_and_one_that_got_there_is_not() -> None:
    present = [Pod("there", "gone"), Pod("meant", "gone", bound=False)]
    assert manage([], present, Strategy(), 0).delete_pods == ["meant"]


def test_ready_without_a_known_time_is_not_ready_for_long_enough() -> None:
    assert Pod("p", "n", ready=True).available(0, 100)
    assert not Pod("p", "n", ready=True).available(1, 100)
    assert Pod("p", "n", ready=True, ready_since=90).available(10, 100)
    assert not Pod("p", "n", ready=True, ready_since=90.5).available(10, 100)
