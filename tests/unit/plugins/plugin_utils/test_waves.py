# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import Wanted, make_plan, renewed
from ansible_collections.everynode.daemonset.plugins.plugin_utils.policy import Canary, Step
from ansible_collections.everynode.daemonset.plugins.plugin_utils.waves import Turn, Wave, pack
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.plugin_utils.fleet import EDITED, NOW, RUNS, UNREACHABLE, instance, planned, seen, settings

OLD = seen(instance(revision="old"))
CURRENT = seen(instance())


def fleet(count, *current):
    return {f"n{number}": CURRENT if number in current else OLD for number in range(count)}


def of(**labels):
    return Wanted("new", True, True, **labels)


def waves(plan):
    return [entry.wave for entry in plan.daemonsets[0].entries]


def sizes(plan):
    return [len(batch) for batch in plan.batches]


def test_steps_are_cumulative_and_a_batch_belongs_to_one():
    plan = planned(fleet(10), max_unavailable=4, steps=(Step(1), Step("50%")))
    assert sizes(plan) == [1, 4, 4, 1]
    assert [[one.wave for one in completed] for completed in plan.after] == [[0], [1], [], [2]]
    assert [wave.name for wave in plan.daemonsets[0].steps] == ["1", "50%", "100%"]
    assert [wave.target for wave in plan.daemonsets[0].steps] == [1, 5, 10]


def test_percentages_are_of_all_eligible_nodes_and_rounded_up():
    looks = {**fleet(10), "n9": UNREACHABLE, "n8": UNREACHABLE}
    plan = planned(looks, max_unavailable="100%", steps=(Step("11%"), Step("90%")))
    assert sizes(plan) == [2, 6]
    assert [[one.wave for one in completed] for completed in plan.after] == [[0], []]  # 9 cannot be reached


def test_a_rollout_goes_on_where_it_was():
    plan = planned(fleet(10, 3, 4), max_unavailable=10, steps=(Step(1, bake=60), Step("50%")))
    assert sizes(plan) == [3, 5]
    assert plan.daemonsets[0].completed_steps == 1


def test_what_is_updated_takes_its_place_in_a_step_before_it_is_available():
    """It may be at any moment, and is left alone here, since --limit leaves it out."""
    starting = seen(instance(ready=False, ready_since=None, reason="it starts"), selected=False)
    plan = planned({**fleet(10), "n3": starting}, max_unavailable=10, steps=(Step(3, pause=True),))
    assert plan.batches == (("n0", "n1"),)
    assert [one.pause for one in plan.after[0]] == [True]


def test_a_pause_holds_until_it_was_passed():
    steps = (Step(1, pause=True), Step("50%", pause=True))
    before = planned(fleet(4), steps=steps)
    assert before.batches == (("n0",),)
    assert before.after[0][0].pause
    paused = planned(fleet(4, 0), steps=steps)
    assert (paused.batches, paused.daemonsets[0].completed_steps) == ((), 1)
    assert renewed(before, {"n0": CURRENT}).not_as_declared == []
    resumed = planned({**fleet(4), "n0": seen(instance(passed=1))}, steps=steps)
    assert resumed.batches == (("n1",),)
    assert not resumed.daemonsets[0].steps[0].pause


def test_what_passed_a_pause_of_another_revision_does_not_count():
    plan = planned({**fleet(3, 0), "n1": seen(instance(revision="old", passed=1))}, steps=(Step(1, pause=True),))
    assert plan.batches == ()


def test_created_instances_count_as_updated():
    plan = planned({**fleet(3), "n0": seen()}, max_unavailable=3, steps=(Step(1, bake=60), Step("100%")))
    assert plan.batches == (("n1", "n2"),)
    assert plan.daemonsets[0].bake_left == 60


@pytest.mark.parametrize(("since", "left"), [(20, 40), (60, 0), (500, 0)])
def test_a_bake_that_was_cut_short_goes_on(since, left):
    looks = {**fleet(3), "n0": seen(instance(ready_since=NOW - since))}
    assert planned(looks, steps=(Step(1, bake=60),)).daemonsets[0].bake_left == left


def test_the_canary_is_one_of_each_kind():
    kinds = {"n0": "a", "n1": "a", "n2": "b", "n3": "b", "n4": "c"}
    wanted = {node: of(kind=kind) for node, kind in kinds.items()}
    canary = Canary(("x",), bake=30, pause=True)
    plan = planned(fleet(5), wanted, max_unavailable=2, canary=canary)
    assert plan.batches == (("n0", "n2"), ("n4",))
    assert [[(one.wave, one.bake, one.pause) for one in done] for done in plan.after] == [[], [(0, 30, True)]]
    one_is_done = planned(fleet(5, 1), wanted, max_unavailable=2, canary=Canary(("x",)))
    assert one_is_done.batches == (("n2", "n4"), ("n0", "n3"))
    unreachable = planned({**fleet(5, 0, 2), "n4": UNREACHABLE}, wanted, canary=canary)
    assert unreachable.daemonsets[0].completed_steps == 1  # nobody waits for the canary of kind c


def test_steps_count_the_canary():
    wanted = {node: of(kind=node[-1]) for node in fleet(4)}
    plan = planned(fleet(4), {**wanted, "n3": of(kind="2")}, max_unavailable=9, canary=Canary(("x",)), steps=(Step(1),))
    assert plan.batches == (("n0", "n1", "n2"), ("n3",))
    assert [[one.wave for one in done] for done in plan.after] == [[0, 1], [2]]


def test_what_is_damaged_comes_first():
    looks = {**fleet(3), "n2": seen(instance(**EDITED))}
    assert planned(looks, steps=(Step(1),)).batches == (("n2",), ("n0",), ("n1",))


def test_racks_one_after_the_other():
    wanted = {f"n{number}": of(topology="ab"[number % 2]) for number in range(6)}
    plan = planned(fleet(6), wanted, max_unavailable=2, topology="rack")
    assert plan.batches == (("n0", "n2"), ("n4",), ("n1", "n3"), ("n5",))


def test_the_pace_window_is_one_batch_for_each_step_and_rack():
    assert sizes(planned(fleet(6), pace="window")) == [6]
    assert sizes(planned(fleet(6), pace="window", steps=(Step(2),))) == [2, 4]
    wanted = {f"n{number}": of(topology="ab"[number % 2]) for number in range(6)}
    assert sizes(planned(fleet(6), wanted, pace="window", topology="rack")) == [3, 3]


def test_one_daemonset_in_batches_keeps_all_in_batches():
    nodes = fleet(4)
    looks = {node: seen(instance("a", revision="old"), instance("b", revision="old")) for node in nodes}
    for paces, expected in ((("window", "window"), [4]), (("window", "batch"), [1] * 4)):
        declared = [
            (settings(name, pace=pace), dict.fromkeys(nodes, RUNS)) for name, pace in zip("ab", paces, strict=True)
        ]
        assert sizes(make_plan(declared, list(nodes), looks)) == expected


def test_orders_of_two_daemonsets_that_agree():
    looks = {node: seen(instance("a", revision="old"), instance("b", revision="old")) for node in "xyz"}
    wanted = {node: of(kind="1") for node in looks}
    declared = [
        (settings("a", canary=Canary(("k",)), max_unavailable=3), wanted),
        (settings("b", steps=(Step(2),), max_unavailable=3), wanted),
    ]
    plan = make_plan(declared, list(looks), looks)
    assert plan.batches == (("x",), ("y",), ("z",))
    assert [[(one.daemonset, one.wave) for one in done] for done in plan.after] == [
        [("default/a", 0)],
        [("default/b", 0)],
        [("default/a", 1), ("default/b", 1)],
    ]


def test_the_later_daemonset_gives_way():
    queues = [
        [Turn("x", 0, ""), Turn("y", 1, ""), Turn("z", 2, "")],
        [Turn("y", 0, ""), Turn("x", 1, ""), Turn("z", 2, "")],
    ]
    packing = pack(queues, [1, 1])
    assert packing.batches == (("x",), ("y",), ("z",))
    assert packing.left == {(1, "x"), (1, "z")}


NODES = st.sampled_from([f"n{number}" for number in range(10)])
TURNS = st.builds(Turn, NODES, st.integers(0, 3), st.sampled_from("ab"))
QUEUES = st.lists(
    st.lists(TURNS, unique_by=lambda turn: turn.node, max_size=10).map(
        lambda turns: sorted(turns, key=lambda turn: turn.wave)
    ),
    max_size=4,
)


@given(QUEUES, st.lists(st.integers(1, 4), min_size=4, max_size=4))
def test_batches_keep_every_order_room_and_rack(queues, rooms):
    packing = pack(queues, rooms[: len(queues)])
    placed = {node: index for index, batch in enumerate(packing.batches) for node in batch}
    assert len(placed) == sum(map(len, packing.batches))
    assert all(packing.batches)
    for index, queue in enumerate(queues):
        kept = [turn for turn in queue if (index, turn.node) not in packing.left]
        left = [turn for turn in queue if (index, turn.node) in packing.left]
        assert index > 0 or not left
        assert not [turn for turn in kept if any(one.wave < turn.wave for one in left)]
        for turn in kept:
            beside = [other for other in kept if placed[other.node] == placed[turn.node]]
            assert len(beside) <= rooms[index]
            assert {other.topology for other in beside} == {turn.topology}
            assert all(placed[other.node] < placed[turn.node] for other in kept if other.wave < turn.wave)


def test_the_title_of_a_wave():
    assert [Wave("canary", 1).title, Wave("10%", 1).title] == ["the canary", "step 10%"]
