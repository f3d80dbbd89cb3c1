# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.policy import Canary, Policy, Step
from ansible_collections.everynode.daemonset.plugins.plugin_utils.pull import MARGIN, SETTLING_SLOTS, Turn, turn_of
from hypothesis import given
from hypothesis import strategies as some

NODES = ["web1", "web2", "web3", "web4", "web5"]


def turn(node: str = "web1", budget: int = 2, slot: int = 600, need: float = 100, since: float = 0) -> Turn:
    return turn_of(node, NODES, budget, Policy(), slot=slot, need=need, since=since)


def test_the_nodes_are_cut_into_groups_of_the_budget() -> None:
    assert [turn(node).group for node in NODES] == [0, 0, 1, 1, 2]
    assert {turn(node).groups for node in NODES} == {3}


def test_the_order_of_an_inventory_does_not_matter() -> None:
    assert turn_of("web3", reversed(NODES), 2, Policy(), slot=600, need=100, since=0) == turn("web3")


def test_a_turn_begins_and_ends_with_a_margin_and_leaves_time_to_go_back() -> None:
    third, base = turn("web5"), 1_800_000_000  # a whole number of rounds
    assert third.closed(base + 1200 + 29)
    assert third.closed(base + 1200 + 30) == ""
    assert third.closed(base + 1800 - 30 - 100) == ""
    assert third.closed(base + 1800 - 30 - 99)


def test_it_says_when_it_will_be() -> None:
    words = turn("web3").closed(1_800_000_000)
    assert words == "it waits for its turn (group 2 of 3), which is on 2027-01-15 at 08:10:30 UTC"
    assert turn("web1").closed(1_800_000_000 + 599).endswith("2027-01-15 at 08:30:30 UTC")


def test_what_is_declared_anew_is_only_looked_at_for_two_turns() -> None:
    base = 1_800_000_000
    new = turn("web1", since=base + 10)
    assert "what is declared is new here" in new.closed(base + 30)
    assert "2027-01-15 at 08:30:30" in new.closed(base + 30)
    assert new.closed(base + 1800 + 30) == ""
    within = turn("web3", since=base + 10)  # its second turn has begun when that is over
    assert within.closed(base + 1210 - 1)


def test_where_all_may_be_unavailable_at_once_nobody_waits() -> None:
    assert turn(budget=5, need=10_000).closed(0) == ""


def test_a_turn_that_is_too_short_is_refused_in_words() -> None:
    assert turn(need=540).closed(0).endswith("until the former revision serves again: give it more than 10m")
    assert turn(need=539).obstacle == ""


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        (Policy(on_failure="halt"), "everynode/on-failure: halt"),
        (Policy(on_failure="rollback"), "everynode/on-failure: rollback"),
        (Policy(canary=Canary(("rack",))), "everynode/canary"),
        (Policy(steps=(Step(1),)), "everynode/steps"),
        (Policy(topology="rack"), "everynode/topology"),
        (Policy(partition="50%"), "everynode/partition"),
        (Policy(max_unreachable=1), "everynode/max-unreachable"),
        (Policy(on_failure="continue", max_failures=1), "everynode/max-failures"),
    ],
)
def test_what_a_node_on_its_own_cannot_follow_is_named(policy: Policy, name: str) -> None:
    assert name in turn_of("web1", NODES, 1, policy, slot=600, need=100, since=0).closed(0)


@given(
    members=some.integers(1, 30),
    budget=some.integers(1, 6),
    slot=some.integers(20, 900),
    share=some.floats(0.0, 0.85),
    moments=some.lists(some.tuples(some.integers(0, 29), some.integers(0, 20_000), some.floats(-1, 1)), max_size=60),
)
def test_never_more_than_the_budget_are_open_at_once(
    members: int, budget: int, slot: int, share: float, moments: list[tuple[int, int, float]]
) -> None:
    """Each node may try at any moment by its own clock; whatever begins lasts as long as it may."""
    names = [f"n{number:02}" for number in range(members)]
    need = slot * share
    opened: list[tuple[float, float, str]] = []
    for number, moment, skew in moments:
        name = names[number % members]
        one = turn_of(name, names, budget, Policy(), slot=slot, need=need, since=0)
        begun = SETTLING_SLOTS * slot + moment
        if one.closed(begun + skew * slot * MARGIN * 0.999) == "":
            opened.append((begun, begun + need, name))
    for begin, _end, _name in opened:
        at_once = {name for first, last, name in opened if first <= begin <= last}
        assert len(at_once) <= budget


@given(
    before=some.integers(2, 20),
    after=some.integers(2, 20),
    budgets=some.tuples(some.integers(1, 3), some.integers(1, 3)),
    lags=some.lists(some.floats(0, 1), min_size=20, max_size=20),
    moments=some.lists(some.tuples(some.integers(0, 19), some.floats(-2, 8)), max_size=60),
)
def test_nor_while_nodes_learn_of_another_inventory_one_by_one(
    before: int, after: int, budgets: tuple[int, int], lags: list[float], moments: list[tuple[int, float]]
) -> None:
    """The change is made at a moment, and everybody knows of it a slot later."""
    slot, need, change = 100, 40.0, 1_000_000.0
    old, new = ([f"n{number:02}" for number in range(count)] for count in (before, after))
    opened: list[tuple[float, float, str]] = []
    for number, place in moments:
        name, learned, moment = f"n{number:02}", change + lags[number] * slot, change + place * slot
        members, budget, since = (new, budgets[1], learned) if moment >= learned else (old, budgets[0], 0.0)
        if name not in members:
            continue
        one = turn_of(name, members, budget, Policy(), slot=slot, need=need, since=since)
        if one.groups > 1 and one.closed(moment) == "":
            opened.append((moment, moment + need, name))
    for begin, _end, _name in opened:
        at_once = {name for first, last, name in opened if first <= begin <= last}
        assert len(at_once) <= max(budgets)


def test_it_comes_to_everybody_in_every_round() -> None:
    for node in NODES:
        one = turn(node)
        assert any(one.closed(1_800_000_000 + second) == "" for second in range(1800))
        assert replace(one, group=0).closed(1_800_000_000 + 30) == ""
