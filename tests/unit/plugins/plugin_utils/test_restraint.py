# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps an update from going on, rule by rule, as the whole plan has it."""

from __future__ import annotations

import pytest
from ansible_collections.everynode.daemonset.plugins.module_utils.observation import Failure, Past
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import (
    Seen,
    Settings,
    Wanted,
    judge,
    make_plan,
    renewed,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.policy import Step
from ansible_collections.everynode.daemonset.plugins.plugin_utils.pull import Turn

from tests.unit.plugins.plugin_utils.fleet import (
    BROKEN_OLD,
    EDITED,
    NOW,
    RUNS,
    STARTING,
    STAYS_AWAY,
    STOPPED,
    UNREACHABLE,
    instance,
    planned,
    seen,
    settings,
)

STOPPED_OLD = {**STOPPED, "revision": "old"}
FAILED_HERE = (Failure("older", 1.0, "x"), Failure("new", NOW, "it crashed."))
OLD = seen(instance(revision="old"))
REFUSED = seen(instance(revision="old", failed=FAILED_HERE))
CURRENT = seen(instance())
DOWN_ELSEWHERE = seen(instance(**STARTING), selected=False)


def entries_of(plan):
    return plan.daemonsets[0].entries


def judged(there, **values):
    return judge(settings(**values), "web1", RUNS, there)


# One node.


@pytest.mark.parametrize("there", [None, {"revision": "old"}, STOPPED, STARTING, {"restart_due": True}])
def test_nothing_is_done_on_a_node_that_is_held(there):
    look = seen(*([] if there is None else [instance(**there)]), veto="disk is being changed")
    entry = judged(look)
    assert (entry.state, entry.step, entry.as_declared) == ("held", "none", False)
    assert "/etc/everynode/hold says: disk is being changed" in entry.reason


def test_nothing_is_removed_from_a_node_that_is_held():
    entry = judge(Settings("default", "agent"), "web1", STAYS_AWAY, seen(instance(), veto="no"))
    assert (entry.state, entry.step) == ("held", "none")


def test_a_held_node_with_nothing_to_do_is_up_to_date():
    assert judged(seen(instance(), veto="no")).as_declared


def test_a_revision_that_failed_is_not_tried_again_unless_it_is_forced():
    entry = judged(REFUSED)
    assert (entry.state, entry.step, entry.as_declared) == ("failed", "none", False)
    assert entry.reason == (
        "revision new failed here on 2027-01-15 at 08:00 UTC: it crashed; "
        "it is not tried again until the manifest changes or -e daemonset_force=true"
    )
    assert judged(REFUSED, forced=True).step == "replace"


@pytest.mark.parametrize("there", [BROKEN_OLD, {"revision": "old", **STOPPED}, {**STOPPED, "revision": None}])
def test_a_broken_instance_is_not_replaced_by_what_failed_there_either(there):
    assert judged(seen(instance(**there, failed=FAILED_HERE))).state == "failed"


@pytest.mark.parametrize(("there", "phase"), [(STOPPED, "create"), (EDITED, "switch")])
@pytest.mark.parametrize("strategy", [{}, {"on_delete": True}])
def test_damage_to_what_it_has_is_mended_though_what_it_should_have_failed(there, phase, strategy):
    look = seen(instance(**{**there, "revision": "old", "runtime": "docker"}, failed=FAILED_HERE))
    (entry,) = entries_of(planned({"web1": look}, **strategy))
    assert (entry.state, entry.step, entry.phase, entry.revision, entry.runtime) == (
        ("failed", "restore", phase, "old", "docker")
    )
    assert entry.reason.startswith(f"{there['damage'][0]}; it keeps its revision: revision new failed here on ")
    assert not entry.takes_part("stage"), "all it needs lies on the node"


def test_what_is_restored_first_does_not_use_up_the_budget():
    there = ({**STOPPED, "revision": "old"}, {**EDITED, "revision": "old"})
    looks = {name: seen(instance(**one, failed=FAILED_HERE)) for name, one in zip(("a", "b"), there, strict=True)}
    assert [entry.step for entry in entries_of(planned(looks))] == ["restore", "restore"]


def test_a_failure_of_another_revision_does_not_matter():
    assert judged(seen(instance(revision="old", failed=FAILED_HERE[:1]))).step == "replace"


def test_a_switch_that_was_not_confirmed_is_waited_for():
    entry = judged(seen(instance(confirmed=False)))
    assert (entry.step, entry.reason) == ("wait", "its last switch was not confirmed")


@pytest.mark.parametrize(
    ("there", "values", "expected"),
    [
        ({}, {}, ("outdated", "restart", "switch")),
        (STARTING, {}, ("outdated", "restart", "create")),  # nothing can be lost
        (STOPPED, {}, ("damaged", "repair", "create")),
        ({"revision": "old"}, {}, ("outdated", "replace", "switch")),
        ({}, {"on_delete": True}, ("outdated", "none", "")),
    ],
)
def test_a_restart_that_was_asked_for(there, values, expected):
    (entry,) = entries_of(planned({"web1": seen(instance(**there, restart_due=True))}, **values))
    assert (entry.state, entry.step, entry.phase) == expected


def test_a_restart_is_not_staged():
    plan = planned({"web1": seen(instance(restart_due=True))})
    assert (plan.hosts("stage"), plan.hosts("switch")) == ([], ["web1"])


# The whole DaemonSet.


@pytest.mark.parametrize("on_failure", ["revert", "halt", "rollback"])
def test_a_failure_anywhere_halts_what_is_to_be_updated(on_failure):
    looks = {"a": REFUSED, "b": OLD, "c": seen(instance(**BROKEN_OLD)), "d": seen(), "e": seen(instance(**EDITED))}
    looks["f"] = seen(instance(**STOPPED_OLD))
    plan = planned(looks, on_failure=on_failure, max_unavailable=2)
    assert [entry.step for entry in entries_of(plan)] == ["none", "none", "none", "create", "repair", "restore"]
    assert plan.not_as_declared == ["a", "b", "c", "d", "e", "f"]
    assert "the rollout is halted: revision new failed on a;" in entries_of(plan)[1].reason
    assert planned(looks, on_failure=on_failure, forced=True).hosts("switch") == ["e", "a", "b"]


def test_what_is_broken_and_kept_back_uses_up_the_budget():
    looks = {"a": seen(instance(**BROKEN_OLD)), "b": OLD}
    assert planned(looks, partition=1).hosts("switch") == []
    assert planned(looks, partition=1, max_unavailable=2).hosts("switch") == ["b"]


def test_the_failed_revision_may_be_what_runs_there():
    looks = {"a": seen(instance(failed=FAILED_HERE, **STARTING)), "b": OLD}
    assert [entry.step for entry in entries_of(planned(looks))] == ["wait", "none"]


@pytest.mark.parametrize(
    ("max_failures", "goes_on"), [("100%", True), (2, True), (1, False), ("50%", True), ("49%", True), ("25%", False)]
)
def test_continue_goes_on_up_to_so_many_failures(max_failures, goes_on):
    looks = {"a": REFUSED, "b": REFUSED, "c": OLD, "d": CURRENT}
    plan = planned(looks, on_failure="continue", max_failures=max_failures)
    assert [entry.state for entry in entries_of(plan)[:2]] == ["failed", "failed"]
    assert plan.hosts("switch") == (["c"] if goes_on else [])


@pytest.mark.parametrize(
    ("policy", "there", "reason"),
    [
        ({"paused": True}, {}, "the rollout is paused by everynode/paused in the manifest"),
        ({}, {"paused": "ada@desk at noon"}, "the rollout is paused (ada@desk at noon) until `resume`"),
        ({"steps": (Step(1, pause=True),)}, {}, "the rollout pauses after step 1 until `resume`"),
        (
            {"window": "09:00-10:00"},
            {},
            "it waits for its maintenance window, which opens Fri 09:00 of the node's time",
        ),
    ],
)
def test_what_waits_for_somebody_is_as_declared(policy, there, reason):
    looks = {"a": seen(instance(**there)), "b": OLD, "c": seen(instance(**BROKEN_OLD)), "d": seen(instance(**EDITED))}
    plan = planned(looks, max_unavailable=2, **policy)
    first, kept, broken, edited = entries_of(plan)
    assert (kept.step, kept.reason, kept.as_declared) == ("none", reason, True)
    assert (broken.step, broken.phase) == ("replace", "create")
    assert (edited.step, edited.phase) == ("repair", "switch")


@pytest.mark.parametrize(
    "policy", [{"paused": True}, {"steps": (Step(1, pause=True),)}, {"window": "09:00-10:00"}, {"partition": "100%"}]
)
def test_what_is_kept_back_is_mended(policy):
    looks = {"a": seen(instance()), "b": seen(instance(**{**EDITED, "revision": "old"}))}
    _first, edited = entries_of(planned(looks, max_unavailable=2, **policy))
    assert (edited.step, edited.phase, edited.state) == ("restore", "switch", "outdated")


def test_a_partition_keeps_the_revision_of_what_was_stopped():
    (entry,) = entries_of(planned({"a": seen(instance(**STOPPED_OLD))}, partition=1))
    assert (entry.step, entry.phase) == ("restore", "create")


def test_a_window_is_each_nodes_own():
    looks = {"here": OLD, "there": seen(instance(revision="old"), utc_offset=3600)}
    assert planned(looks, window="09:00-10:00").hosts("switch") == ["there"]


def test_the_first_nodes_keep_their_revision():
    looks = {"a": OLD, "b": seen(instance(**BROKEN_OLD)), "c": OLD, "d": seen()}
    wanted = {**dict.fromkeys(looks, RUNS), "a": STAYS_AWAY}
    first, second, third, fourth = entries_of(planned(looks, wanted, partition="50%"))
    assert first.step == "remove"
    assert [(entry.step, entry.as_declared) for entry in (second, third)] == [("none", True)] * 2
    assert "everynode/partition: 50% keeps its revision" in second.reason
    assert fourth.step == "create"


@pytest.mark.parametrize(("limit", "goes_on"), [("100%", True), (2, True), (1, False), ("50%", True), (0, False)])
def test_with_too_many_unreachable_nodes_nothing_is_updated(limit, goes_on):
    looks = {"a": UNREACHABLE, "b": UNREACHABLE, "c": OLD, "d": seen(instance(**BROKEN_OLD))}
    plan = planned(looks, max_unreachable=limit)
    assert plan.hosts("switch") == (["c"] if goes_on else [])
    assert plan.hosts("create") == ["d"]
    assert "c" in plan.not_as_declared


def test_what_is_down_beyond_the_limit_uses_up_the_budget():
    looks = {"a": OLD, "b": OLD, "c": DOWN_ELSEWHERE, "d": seen(selected=False)}
    plan = planned(looks, max_unavailable=1)
    assert plan.hosts("switch") == []
    assert plan.touched == []
    assert plan.not_as_declared == ["a", "b"]
    assert entries_of(plan)[0].reason == "maxUnavailable, which is 1 node here, is used up by c"
    assert planned(looks, max_unavailable=2).batches == (("a",), ("b",))
    assert planned({**looks, "c": UNREACHABLE}, max_unavailable=1).batches == (("a",), ("b",))


def test_a_damaged_instance_that_serves_needs_the_budget_too():
    assert planned({"a": seen(instance(**EDITED)), "c": DOWN_ELSEWHERE}).hosts("switch") == []


def test_beside_what_is_down_in_one_rack_no_other_rack_is_opened():
    looks = {"a": OLD, "b": OLD, "c": DOWN_ELSEWHERE}
    wanted = {node: Wanted("new", True, True, topology=rack) for node, rack in {"a": "1", "b": "2", "c": "2"}.items()}
    plan = planned(looks, wanted, max_unavailable=2, topology="rack")
    assert plan.batches == (("b",),)
    assert plan.not_as_declared == ["a", "b"]


def test_what_the_limit_leaves_out_is_never_touched_and_still_counted():
    looks = {
        "a": seen(instance(revision="old"), selected=False),
        "b": seen(selected=False),
        "c": Seen(None, "unreachable", "timed out", selected=False),
        "d": OLD,
    }
    plan = planned(looks)
    assert plan.touched == ["d"]
    assert plan.not_as_declared == ["d"]
    assert entries_of(plan)[0].present
    assert renewed(plan, {"d": CURRENT}).not_as_declared == []


def test_after_a_failure_the_plan_renewed_says_why_the_rest_is_left():
    plan = planned({"a": OLD, "b": OLD})
    first, second = entries_of(renewed(plan, {"a": REFUSED}))
    assert (first.state, second.blocked) == ("failed", True)


# Revision numbers.


def with_history(revision, *history, **values):
    return seen(instance(revision=revision, history=tuple(Past(*past, 0.0) for past in history), **values))


@pytest.mark.parametrize(
    ("looks", "number"),
    [
        ({"a": seen(), "b": seen()}, 1),
        ({"a": with_history("old", ("old", 0))}, 1),  # nobody gave it one
        ({"a": with_history("old", ("old", 4)), "b": seen()}, 5),
        ({"a": with_history("old", ("old", 4)), "b": with_history("new", ("old", 4), ("new", 5))}, 5),
        ({"a": with_history("old", ("new", 3), ("old", 4))}, 5),  # a rollback raises the number
        ({"a": with_history("new", ("old", 4), ("new", 5)), "b": UNREACHABLE}, 5),
    ],
)
def test_the_number_of_the_wanted_revision(looks, number):
    assert {entry.number for entry in entries_of(planned(looks))} == {number}


def test_several_revisions_of_a_templated_manifest_share_a_number():
    def numbers(wanted, looks):
        wishes = {node: Wanted(revision, True, True) for node, revision in wanted.items()}
        return [entry.number for entry in entries_of(make_plan([(settings(), wishes)], list(looks), looks))]

    before = {"a": with_history("a1", ("a1", 1)), "b": with_history("b1", ("b1", 1))}
    assert numbers({"a": "a2", "b": "b2"}, before) == [2, 2]
    assert numbers({"a": "a2", "b": "b2"}, {**before, "a": with_history("a2", ("a1", 1), ("a2", 2))}) == [2, 2]
    assert numbers({"a": "a1", "b": "b2"}, before) == [1, 2]  # 1 is another one's there


@pytest.mark.parametrize(
    ("limits", "batches"),
    [
        # Kubernetes counts the nodes that surge, and not those that are unavailable (rollingUpdate in update.go).
        ({"max_unavailable": 0, "max_surge": "50%"}, (("a", "b"), ("c",))),
        ({"max_unavailable": "50%"}, (("a",), ("b",), ("c",))),
    ],
)
def test_an_unavailable_node_elsewhere_uses_up_the_budget_but_no_surge(limits, batches):
    looks = {**dict.fromkeys("abc", OLD), "d": DOWN_ELSEWHERE}
    assert planned(looks, **limits).batches == batches


# A node that applies to itself.

NOT_NOW = Turn(group=(int(NOW) // 600 + 1) % 2, groups=2, slot=600, need=1)
NOW_IS_ITS_TURN = Turn(group=0, groups=1, slot=600, need=1)
NEVER = Turn(group=0, groups=2, slot=600, need=1, obstacle="everynode/steps needs a run that sees all nodes")


@pytest.mark.parametrize("there", [{"revision": "old"}, EDITED, {"restart_due": True}])
def test_what_serves_is_left_alone_until_its_turn(there):
    (entry,) = entries_of(planned({"web1": seen(instance(**there))}, turn=NOT_NOW))
    assert (entry.step, entry.as_declared) == ("none", True)
    assert entry.reason.startswith("it waits for its turn (group ")
    (entry,) = entries_of(planned({"web1": seen(instance(**there))}, turn=NOW_IS_ITS_TURN))
    assert entry.phase == "switch"


@pytest.mark.parametrize("there", [None, STOPPED, BROKEN_OLD])
def test_what_does_not_serve_waits_for_no_turn(there):
    (entry,) = entries_of(planned({"web1": seen(*([] if there is None else [instance(**there)]))}, turn=NOT_NOW))
    assert entry.phase == "create"


def test_a_turn_that_never_comes_is_something_wrong():
    (entry,) = entries_of(planned({"web1": OLD}, turn=NEVER))
    assert (entry.step, entry.as_declared, entry.reason) == ("none", False, NEVER.obstacle)
