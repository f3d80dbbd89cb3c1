# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections import Counter

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils import plan as planning
from ansible_collections.everynode.daemonset.plugins.plugin_utils.description import described
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import (
    Plan,
    Seen,
    Settings,
    Wanted,
    make_plan,
    renewed,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.status import status
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.plugin_utils.fleet import (
    BROKEN_OLD,
    EDITED,
    HALF_WRITTEN,
    HEALTHY_OLD,
    NOW,
    RUNS,
    STARTING,
    STAYS_AWAY,
    STOPPED,
    TOLERATED_ONCE,
    UNREACHABLE,
    instance,
    seen,
)


@pytest.mark.parametrize(
    ("wanted", "there", "settings", "expected"),
    [
        (RUNS, None, {}, ("missing", "create", "create")),
        (RUNS, {}, {}, ("up to date", "none", "")),
        (RUNS, HEALTHY_OLD, {}, ("outdated", "replace", "switch")),
        (RUNS, BROKEN_OLD, {}, ("outdated", "replace", "create")),
        (RUNS, {**HEALTHY_OLD, **STOPPED}, {}, ("outdated", "replace", "create")),
        (RUNS, {**HEALTHY_OLD, **EDITED}, {}, ("outdated", "replace", "switch")),
        (RUNS, {**HEALTHY_OLD, "ready_since": NOW - 5}, {"min_ready_seconds": 10}, ("outdated", "replace", "switch")),
        (RUNS, HEALTHY_OLD, {"on_delete": True}, ("outdated", "none", "")),
        (RUNS, BROKEN_OLD, {"on_delete": True}, ("outdated", "none", "")),
        (RUNS, {**HEALTHY_OLD, **STOPPED}, {"on_delete": True}, ("outdated", "replace", "create")),
        (RUNS, None, {"on_delete": True}, ("missing", "create", "create")),
        (RUNS, STOPPED, {}, ("damaged", "repair", "create")),
        (RUNS, EDITED, {}, ("damaged", "repair", "switch")),
        (RUNS, HALF_WRITTEN, {}, ("damaged", "repair", "create")),
        (RUNS, STARTING, {}, ("unready", "wait", "create")),
        (RUNS, {"ready_since": NOW - 10}, {"min_ready_seconds": 10}, ("up to date", "none", "")),
        (RUNS, {"ready_since": NOW - 9}, {"min_ready_seconds": 10}, ("unready", "wait", "create")),
        (STAYS_AWAY, None, {}, ("not eligible", "none", "")),
        (STAYS_AWAY, {}, {}, ("misscheduled", "remove", "remove")),
        (TOLERATED_ONCE, None, {}, ("not eligible", "none", "")),
        (TOLERATED_ONCE, {}, {}, ("misscheduled", "none", "")),
        (TOLERATED_ONCE, HEALTHY_OLD, {}, ("misscheduled", "none", "")),
        (STAYS_AWAY, None, {"removal": "to be deleted"}, ("absent", "none", "")),
        (STAYS_AWAY, STOPPED, {"removal": "to be deleted"}, ("to be deleted", "remove", "remove")),
    ],
)
def test_what_one_node_needs(wanted, there, settings, expected):
    observed = seen() if there is None else seen(instance(**there))
    declared = [(Settings("default", "agent", **settings), {"web1": wanted})]
    entry = planning.make_plan(declared, ["web1"], {"web1": observed}).daemonsets[0].entries[0]
    assert (entry.state, entry.step, entry.phase) == expected
    assert entry.reason or entry.state in ("up to date", "absent")


UNDER_DOCKER = Wanted("new", True, True, "", "docker")


@pytest.mark.parametrize(
    ("there", "settings", "expected"),
    [
        ({"runtime": "docker"}, {}, ("up to date", "none")),
        ({"runtime": "podman"}, {}, ("outdated", "replace")),
        ({"runtime": "systemd"}, {}, ("outdated", "replace")),  # whatever its revision says
        ({"runtime": "podman", "revision": "old"}, {}, ("outdated", "replace")),
        ({"runtime": "podman"}, {"on_delete": True}, ("outdated", "none")),
        ({"runtime": "systemd", **HALF_WRITTEN}, {}, ("damaged", "repair")),
    ],
)
def test_an_instance_under_another_runtime_is_outdated(there, settings, expected):
    entry = planning.judge(Settings("default", "agent", **settings), "web1", UNDER_DOCKER, seen(instance(**there)))
    assert (entry.state, entry.step) == expected
    if entry.step == "replace":
        assert entry.reason == f"it runs under {there['runtime']} and should run under docker"


@pytest.mark.parametrize("there", [None, {"runtime": "docker"}, {"revision": "old"}])
def test_a_node_that_cannot_run_it_is_left_alone_and_in_nobodys_way(there):
    lacking = Wanted("new", True, True, "", "", "containers[0].image: web1 has no engine")
    nodes = ["web1", "web2"]
    looks = {"web1": seen() if there is None else seen(instance(**there)), "web2": seen(instance(revision="old"))}
    declared = [(Settings("default", "agent"), {"web1": lacking, "web2": RUNS})]
    plan = make_plan(declared, nodes, looks)
    first, second = plan.daemonsets[0].entries
    assert (first.state, first.step, first.reason) == ("infeasible", "none", lacking.obstacle)
    assert second.phase == "switch"
    assert plan.not_as_declared == nodes
    assert any("infeasible: web1: containers[0].image" in line for line in described(plan))
    assert renewed(plan, looks) == plan
    assert Plan.from_dict(json.loads(json.dumps(plan.as_dict()))) == plan


def test_one_that_should_not_run_there_is_removed_whatever_the_engines():
    gone = Wanted("new", False, False, "a taint", "", "")
    assert planning.judge(Settings("default", "agent"), "web1", gone, seen(instance())).step == "remove"


def test_an_instance_of_another_namespace_is_another_instance():
    entry = planning.judge(Settings("monitoring", "agent"), "web1", RUNS, seen(instance()))
    assert entry.state == "missing"


@pytest.mark.parametrize("observed", [UNREACHABLE, Seen()])
def test_nothing_is_done_where_nothing_is_known(observed):
    entry = planning.judge(Settings("default", "agent"), "web1", RUNS, observed)
    assert (entry.step, entry.state, entry.reason) == ("none", observed.state, observed.reason)


def test_unreachable_is_not_as_declared_but_left_out_is():
    nodes = {"web1": UNREACHABLE}
    plan = make_plan([(Settings("default", "agent"), dict.fromkeys(["web1", "web2"], RUNS))], ["web1", "web2"], nodes)
    assert plan.not_as_declared == ["web1"]


def outdated_everywhere(count, **settings):
    nodes = [f"web{number}" for number in range(count)]
    declared = [(Settings("default", "agent", **settings), dict.fromkeys(nodes, RUNS))]
    return make_plan(declared, nodes, {node: seen(instance(revision="old")) for node in nodes})


@pytest.mark.parametrize(
    ("max_unavailable", "sizes"),
    [(1, [1] * 5), (2, [2, 2, 1]), ("25%", [2, 2, 1]), ("100%", [5]), (0, [1] * 5), (9, [5])],
)
def test_batches_are_of_max_unavailable(max_unavailable, sizes):
    plan = outdated_everywhere(5, max_unavailable=max_unavailable)
    assert [len(batch) for batch in plan.batches] == sizes
    assert plan.hosts("switch") == [f"web{number}" for number in range(5)]


def test_the_percentage_is_of_all_eligible_nodes_and_not_of_the_limit():
    nodes = [f"web{number}" for number in range(8)]
    wanted = {node: RUNS if number < 6 else STAYS_AWAY for number, node in enumerate(nodes)}
    looked_at = {node: seen(instance(revision="old")) for node in nodes[:3]}
    plan = make_plan([(Settings("default", "agent", max_unavailable="50%"), wanted)], nodes, looked_at)
    assert plan.batches == (("web0", "web1", "web2"),)


def test_each_daemonset_has_its_own_budget():
    nodes = ["web0", "web1", "web2", "web3"]
    declared = [
        (Settings("default", "slow", max_unavailable=1), dict.fromkeys(nodes, RUNS)),
        (Settings("default", "fast", max_unavailable=4), dict.fromkeys(nodes, RUNS)),
    ]
    old_fast = instance("fast", revision="old")
    observed = {
        "web0": seen(instance("slow", revision="old"), old_fast),
        "web1": seen(instance("slow", revision="old"), old_fast),
        "web2": seen(instance("slow"), old_fast),
        "web3": seen(instance("slow"), instance("fast")),
    }
    assert make_plan(declared, nodes, observed).batches == (("web0", "web2"), ("web1",))


def test_the_phases_of_a_mixed_plan():
    nodes = ["a", "b", "c", "d", "e"]
    wanted = {**dict.fromkeys(nodes, RUNS), "e": STAYS_AWAY}
    observed = {
        "a": seen(),
        "b": seen(instance(revision="old")),
        "c": seen(instance(**STARTING)),
        "d": seen(instance()),
        "e": seen(instance()),
    }
    plan = make_plan([(Settings("default", "agent"), wanted)], nodes, observed)
    phases = {phase: plan.hosts(phase) for phase in ("remove", "stage", "create", "switch")}
    assert phases == {"remove": ["e"], "stage": ["a", "b"], "create": ["a", "c"], "switch": ["b"]}
    assert plan.touched == ["a", "b", "c", "e"]


def test_a_newer_look_changes_only_its_node():
    plan = outdated_everywhere(3)
    later = renewed(plan, {"web1": seen(instance())})
    assert [entry.state for entry in later.daemonsets[0].entries] == ["outdated", "up to date", "outdated"]
    assert later.batches == (("web0",), ("web2",))


def test_a_newer_look_remembers_why_a_node_is_not_eligible():
    plan = make_plan([(Settings("default", "agent"), {"web1": STAYS_AWAY})], ["web1"], {"web1": seen(instance())})
    (entry,) = renewed(plan, {"web1": seen()}).daemonsets[0].entries
    assert (entry.state, entry.reason) == ("not eligible", STAYS_AWAY.reason)


# Invariants, whatever the situation.

YOUNG_OLD = {**HEALTHY_OLD, "ready_since": NOW - 5}
THINGS = st.sampled_from([None, {}, HEALTHY_OLD, YOUNG_OLD, BROKEN_OLD, STOPPED, EDITED, STARTING, HALF_WRITTEN])
BUDGETS = st.one_of(st.integers(0, 5), st.integers(0, 100).map(lambda number: f"{number}%"))


@st.composite
def situations(draw):
    nodes = [f"n{number}" for number in range(draw(st.integers(0, 12)))]
    names = ["one", "two", "three"][: draw(st.integers(1, 3))]
    declared = [
        (
            Settings(
                "default", name, on_delete=draw(st.booleans()), max_unavailable=draw(BUDGETS), min_ready_seconds=10
            ),
            {node: draw(st.sampled_from([RUNS, RUNS, STAYS_AWAY, TOLERATED_ONCE])) for node in nodes},
        )
        for name in names
    ]
    observed = {}
    for node in nodes:
        if draw(st.integers(0, 5)):
            things = {name: draw(THINGS) for name in names}
            observed[node] = seen(*(instance(name, **thing) for name, thing in things.items() if thing is not None))
        else:
            observed[node] = UNREACHABLE
    return declared, nodes, observed


@given(situations())
def test_no_batch_exceeds_any_budget(situation):
    plan = make_plan(*situation)
    for batch in plan.batches:
        for daemonset in plan.daemonsets:
            switched = [entry for entry in daemonset.entries if entry.node in batch and entry.phase == "switch"]
            assert len(switched) <= daemonset.budget


@given(situations())
def test_every_node_is_switched_once_if_it_is_to_be_switched(situation):
    plan = make_plan(*situation)
    expected = {entry.node for daemonset in plan.daemonsets for entry in daemonset.entries if entry.phase == "switch"}
    assert Counter(plan.hosts("switch")) == dict.fromkeys(expected, 1)
    assert all(plan.batches)


@given(situations())
def test_only_what_cannot_serve_is_touched_outside_of_the_budget(situation):
    for daemonset in make_plan(*situation).daemonsets:
        at_once = [entry for entry in daemonset.entries if entry.phase == "create" and entry.step != "wait"]
        assert not [entry for entry in at_once if entry.ready]


def after(plan, observed):
    """What stands when every step did what it says."""
    result = {}
    for node, look in observed.items():
        if look.observation is None:
            continue
        instances = {found.name: found for found in look.observation.instances}
        for settings, entry in plan.by_node().get(node, []):
            if entry.step == "remove":
                del instances[settings.name]
            elif entry.step != "none":
                instances[settings.name] = instance(settings.name, revision=entry.wanted)
        result[node] = seen(*instances.values())
    return result


@given(situations())
def test_after_an_apply_all_is_as_declared_and_nothing_is_left_to_do(situation):
    declared, nodes, observed = situation
    plan = make_plan(declared, nodes, observed)
    again = renewed(plan, after(plan, observed))
    assert again.touched == []
    for daemonset in again.daemonsets:
        for entry in daemonset.entries:
            if entry.should_run and entry.state != "unreachable" and not daemonset.settings.on_delete:
                assert (entry.revision, entry.available) == (entry.wanted, True)


@given(situations(), st.randoms())
def test_the_order_of_the_inventory_does_not_matter_for_the_counters(situation, random):
    declared, nodes, observed = situation
    shuffled = random.sample(nodes, len(nodes))
    plans = [make_plan(declared, order, observed) for order in (nodes, shuffled)]
    counters = [[status(daemonset) for daemonset in plan.daemonsets] for plan in plans]
    assert counters[0] == counters[1]


@given(situations())
def test_a_plan_survives_json(situation):
    plan = make_plan(*situation)
    assert Plan.from_dict(json.loads(json.dumps(plan.as_dict()))) == plan
