# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.everynode.daemonset.plugins.plugin_utils.description import described
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import Settings, Wanted, make_plan
from ansible_collections.everynode.daemonset.plugins.plugin_utils.policy import Canary, Step
from ansible_collections.everynode.daemonset.plugins.plugin_utils.words import duration, names

from tests.unit.plugins.plugin_utils.fleet import RUNS, STAYS_AWAY, UNREACHABLE, instance, planned, seen


def test_the_words_of_a_plan():
    nodes = ["web1", "web2", "web3", "web4", "db1"]
    wanted = {**dict.fromkeys(nodes, RUNS), "db1": STAYS_AWAY}
    observed = {
        "web1": seen(),
        "web2": seen(instance(revision="old")),
        "web3": seen(instance(revision="old")),
        "web4": UNREACHABLE,
        "db1": seen(),
    }
    assert described(make_plan([(Settings("default", "agent"), wanted)], nodes, observed)) == [
        "default/agent: 4 of 5 nodes should run it",
        "  create: web1: there is no instance on this node",
        "  replace, at most 1 at a time: web2, web3: it has an older revision",
        "  unreachable: web4: connection refused",
        "batch 1 of 2: web2",
        "batch 2 of 2: web3",
    ]


def test_the_words_of_a_plan_with_nothing_to_do():
    plan = make_plan([(Settings("default", "agent"), {"web1": RUNS})], ["web1"], {"web1": seen(instance())})
    assert described(plan) == ["default/agent: 1 of 1 node should run it; nothing to do"]


def test_long_lists_of_nodes_are_cut():
    assert names([f"n{number}" for number in range(14)]).endswith("n11 and 2 more")


def test_the_words_of_durations():
    assert [duration(seconds) for seconds in (0, 30, 600, 5400, 7265.4)] == ["0s", "30s", "10m", "1h30m", "2h1m5s"]


def of_kind(kind):
    return Wanted("new", True, True, kind=kind)


def test_canary_steps_and_what_follows_on_them():
    wanted = {"web1": of_kind("web"), "web2": of_kind("web"), "db1": of_kind("db"), "db2": of_kind("db")}
    looks = {node: seen(instance(revision="old")) for node in wanted}
    plan = planned(
        looks,
        wanted,
        max_unavailable=2,
        canary=Canary(("role",), bake=600),
        steps=(Step(3), Step("100%")),
        change_cause="fix the leak",
    )
    assert described(plan) == [
        "default/agent: 4 of 4 nodes should run it",
        "  revision 1: fix the leak",
        "  replace, at most 2 at a time: web1, web2, db1, db2: it has an older revision",
        "batch 1 of 3 (canary): web1, db1; then it bakes for 10m",
        "batch 2 of 3 (step 3): web2",
        "batch 3 of 3 (step 100%): db2",
    ]


def test_what_comes_after_a_pause_is_said_to_wait():
    looks = {f"web{number}": seen(instance(revision="old")) for number in range(3)}
    assert described(planned(looks, steps=(Step(1, pause=True),))) == [
        "default/agent: 3 of 3 nodes should run it",
        "  replace, at most 1 at a time: web0: it has an older revision",
        "  outdated: web1, web2: the rollout pauses after step 1 until `resume`",
        "batch 1 of 1 (step 1): web0; then default/agent pauses until `resume`",
    ]


def test_a_thousand_nodes_are_a_few_lines():
    looks = {f"n{number}": seen(instance(revision="old")) for number in range(1000)}
    lines = described(planned(looks, max_unavailable=4, steps=(Step("10%", bake=60),)))
    assert lines[2:] == [
        "batch 1 of 250 (step 10%): n0, n1, n2, n3",
        "batch 2 of 250 (step 10%): n4, n5, n6, n7",
        "batch 3 of 250 (step 10%): n8, n9, n10, n11",
        "batches 4 to 24: 84 nodes",
        "batch 25 of 250 (step 10%): n96, n97, n98, n99; then it bakes for 1m",
        "batches 26 to 249: 896 nodes",
        "batch 250 of 250 (step 100%): n996, n997, n998, n999",
    ]


def test_nodes_that_the_limit_leaves_out_are_only_counted():
    looks = {"web1": seen(instance()), "web2": seen(instance(revision="old"), selected=False)}
    assert described(planned(looks)) == [
        "default/agent: 2 of 2 nodes should run it (1 left out by --limit); nothing to do"
    ]
