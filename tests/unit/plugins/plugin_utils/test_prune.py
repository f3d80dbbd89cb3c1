# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.desired import deletions
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import ORPHAN, Seen, make_plan
from ansible_collections.everynode.daemonset.plugins.plugin_utils.prune import limit_of, orphans, too_many
from ansible_collections.everynode.daemonset.plugins.plugin_utils.pull import Turn

from .fleet import RUNS, STAYS_AWAY, UNREACHABLE, instance, seen, settings

NODES = ("a", "b", "c", "d")


def removals(stand, wanted, pruned=(), limit="50%", others=None, scope=("default",)):
    """``stand``: node → the DaemonSets that it has; of agent, ``wanted`` says what every node should have."""
    looks = {node: seen(*(instance(name) for name in names)) for node, names in stand.items()}
    looks |= others or {}
    nodes = list(looks)
    declared = [(settings(), dict.fromkeys(nodes, wanted) if not isinstance(wanted, dict) else wanted)]
    declared += deletions([("default", name) for name in pruned], nodes, ORPHAN)
    return too_many(make_plan(declared, nodes, looks), limit_of(limit), scope)


def everywhere(*names):
    return dict.fromkeys(NODES, names)


def only(*nodes):
    return {node: RUNS if node in nodes else STAYS_AWAY for node in NODES}


def test_a_selector_that_suddenly_matches_nothing_is_refused():
    (refusal,) = removals(everywhere("agent"), STAYS_AWAY)
    assert refusal == (
        "default/agent: 4 of 4 instances would be removed, from 4 nodes (a, b, c, d): "
        "the node has not the label disk=ssd\n"
        "  that is more than daemonset_max_removals=50% allows, which is 2; "
        "if it is meant, allow it with -e daemonset_max_removals=4"
    )
    assert removals(everywhere("agent"), STAYS_AWAY, limit="4") == []
    assert removals(everywhere("agent"), STAYS_AWAY, limit="100%") == []


@pytest.mark.parametrize(
    ("keep", "limit", "fine"),
    [
        ("abcd", "0", True),
        ("abc", "0", False),
        ("ab", "50%", True),
        ("a", "50%", False),
        ("abc", "1", True),
        ("ab", "1", False),
        ("ab", "25%", False),
    ],
)
def test_so_many_may_lose_it(keep, limit, fine):
    assert bool(removals(everywhere("agent"), only(*keep), limit=limit)) is not fine


def test_the_only_instance_may_go_and_may_move():
    assert removals({"a": ("agent",)}, STAYS_AWAY) == []
    assert removals({"a": ("agent",), "b": ("agent",), "c": (), "d": ()}, only("c", "d")) == []


def test_what_limit_leaves_out_and_what_does_not_answer_counts():
    stand = {"a": ("agent",), "b": ("agent",)}
    assert removals(stand, {**only("c", "d")}, others={"c": Seen(), "d": UNREACHABLE}) == []


def test_nodes_that_pull_do_not_lose_theirs_one_by_one():
    alone = {"b": Seen(), "c": Seen(), "d": Seen()}
    assert len(removals({"a": ("agent",)}, STAYS_AWAY, others=alone)) == 1
    assert removals({"a": ("agent",)}, STAYS_AWAY, others=alone, limit="1") == []
    assert removals({"a": ("agent",)}, only("b", "c", "d"), others=alone) == [], "it has lost its label"
    # Of what is pruned, this node alone can tell: one of two may go, and three of four may not.
    assert removals({"a": ("agent", "old")}, RUNS, ["old"], others=alone) == []
    (refusal,) = removals({"a": ("agent", "x", "y", "z")}, RUNS, ["x", "y", "z"], others=alone)
    assert "3 of 4 instances would be removed, from 1 node (a)" in refusal


@pytest.mark.parametrize(("members", "fine"), [(0, False), (3, True)])
def test_nor_where_a_node_sees_itself_alone(members, fine):
    turn = Turn(group=0, groups=1, slot=600, need=1, members=members)
    plan = make_plan([(settings(turn=turn), {"a": STAYS_AWAY})], ["a"], {"a": seen(instance("agent"))})
    assert (too_many(plan, "50%") == []) == fine
    assert too_many(plan, 1) == []


def test_what_is_pruned_counts_against_what_stands_in_its_scope():
    assert removals(everywhere("agent", "old"), RUNS, ["old"]) == []
    (refusal,) = removals(everywhere("agent", "old", "older"), RUNS, ["old", "older"])
    assert refusal.split("\n")[0] == (
        "daemonset_prune: default/old, default/older: 8 of 12 instances would be removed, from 4 nodes (a, b, c, d): "
        "no manifest of this run declares its DaemonSet"
    )
    # A DaemonSet was renamed: as many come as go.
    assert removals(everywhere("old"), RUNS, ["old"]) == []
    # What is declared elsewhere does not make room.
    assert len(removals(everywhere("agent", "old"), RUNS, ["old"], scope=("logging",))) == 1


def test_orphans_are_what_stands_in_the_scope_and_is_not_declared():
    looks = {
        "a": seen(instance("agent"), instance("old"), instance("old", namespace="logging")),
        "b": seen(instance("left-out"), selected=False),
        "c": UNREACHABLE,
    }
    assert orphans({"default/agent"}, looks, ["all"]) == [("default", "old"), ("logging", "old")]
    assert orphans({"default/agent"}, looks, ["logging"]) == [("logging", "old")]
    assert orphans({"default/agent"}, looks, []) == []


@pytest.mark.parametrize("text", ["", "half", "-1", "-5%", "5 %", "1.5"])
def test_what_is_no_limit(text):
    with pytest.raises(ValueError):
        limit_of(text)
