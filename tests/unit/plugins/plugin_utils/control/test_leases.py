# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ansible import constants as C
from ansible_collections.everynode.daemonset.plugins.module_utils.observation import Facts, Lease, Observation
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import leases, run
from ansible_collections.everynode.daemonset.plugins.plugin_utils.lease import Identity
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import DaemonSetPlan, Entry, Plan, Seen, Settings

KEY = "default/agent"
NODES = [f"node{number}" for number in range(6)]


@pytest.fixture(autouse=True)
def folder_of_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(C, "DEFAULT_LOCAL_TMP", str(tmp_path))


def looked(*found):
    facts = Facts("x86_64", "debian", "13", "b", "h", "", 1, 1, 257, "apt", (), 1000.0)
    return Seen(Observation(facts, (), found), "", "")


def begin(step="replace", **seen):
    entries = tuple(Entry(node, True, True, "", "new", "outdated", step) for node in NODES)
    plan = Plan((DaemonSetPlan(Settings("default", "agent"), entries),), ())
    run.begin(plan)
    leases.begin(plan, {node: looked() for node in NODES} | seen)
    return leases.load()


def confirm(*nodes, seconds=60):
    found = leases.load()
    for node in nodes:
        found.needs[KEY].begin()
        found.needs[KEY].confirm(node, leases.clock(), seconds)
    leases.save(found)
    return found


def test_without_a_plan_nothing_is_needed_and_nothing_in_the_way():
    assert leases.load().to_ask() == leases.load().witnesses() == []
    assert leases.obstacle(KEY) == ""
    assert leases.refused() == {}


def test_what_changes_nothing_asks_nobody():
    assert begin(step="none").to_ask() == []


def test_three_are_asked_and_the_next_ones_in_the_place_of_those_that_do_not_answer():
    found = begin(node1=Seen())
    assert found.to_ask() == ["node0", "node1", "node2", "node3"]
    assert found.wanted_from("node1") == [KEY]
    found.mute["node0"] = "no answer"
    assert found.to_ask() == ["node1", "node2", "node3"]
    assert found.wanted_from("node0") == []
    leases.save(found)
    assert leases.load() == found


def test_when_three_have_it_nobody_is_asked_until_it_has_to_be_renewed(monkeypatch):
    begin(node1=Seen())
    found = confirm("node1", "node2", "node3")
    assert found.to_ask() == found.wanted_from("node0") == []
    assert found.witnesses() == ["node1", "node2", "node3"]
    assert found.kept_by("node2") == {KEY: found.me.run}
    later = leases.clock() + 11
    monkeypatch.setattr(leases, "clock", lambda: later)
    assert found.to_ask() == ["node1", "node2", "node3", "node0"]


def test_what_is_refused_is_not_asked_for_any_more():
    found = begin()
    found.needs[KEY].refusal = "it is bert's"
    leases.save(found)
    assert leases.load().to_ask() == []
    assert leases.refused() == {KEY: "it is bert's"}


def test_the_lease_of_somebody_else_was_seen_but_not_our_own():
    other = Lease(KEY, "other", "bert@ctl2", 900.0, 1100.0)
    mine = other._replace(run=leases.who().run)
    found = begin(node0=looked(mine), node5=looked(other))
    assert found.needs[KEY].others == {"node5": (other, 1000.0)}
    assert found.to_ask() == ["node0", "node1", "node2", "node5"]


def test_a_play_that_takes_no_leases_needs_none():
    begin()
    assert leases.obstacle(KEY) == ""


def test_a_good_lease_is_no_obstacle_and_an_expired_one_is():
    begin()
    confirm("node0")
    assert leases.obstacle(KEY) == ""
    confirm("node0", seconds=-200)
    assert "this run's lease expired 3 min ago" in leases.obstacle(KEY)


def test_where_nobody_answered_nothing_is_done():
    found = begin()
    found.needs[KEY].begin()
    found.mute["node0"] = "no space is left"
    leases.save(found)
    assert leases.obstacle(KEY).endswith("no node could keep this run's lease: node0: no space is left")


# ------------------------------------------------------------------------------------------------------------ processes


@pytest.fixture
def child():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_what_ended_runs_have_left_of_what_is_not_changed_is_given_back(child):
    dead = Lease(KEY, "dead", "ada@control", 990.0, 2000.0, leases._process(child.pid))
    child.kill()
    child.wait()
    gone = Lease(KEY, "gone", "ada@control", 10.0, 999.0)
    alive = Lease(KEY, "alive", "bob@control", 990.0, 2000.0, leases._process(os.getpid()))
    other = Lease("default/other", "gone", "ada@control", 10.0, 999.0)
    found = begin(step="none", node1=looked(dead, other), node3=looked(gone), node4=looked(alive))
    assert found.to_ask() == []
    assert found.witnesses() == ["node1", "node3"]
    assert [found.kept_by(node) for node in NODES] == [{}, {KEY: "dead"}, {}, {KEY: "gone"}, {}, {}]


def test_a_process_is_dead_when_it_has_ended(child):
    process = leases._process(child.pid)
    assert not leases.is_dead(process)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert leases.is_dead(process), "a zombie"
    child.wait()
    assert leases.is_dead(process)


def test_what_a_run_left_behind_does_nothing_after_its_end(child):
    begin()
    found = confirm("node0")
    leases.save(leases.Leases(found.needs, Identity("x", "x@y", leases._process(child.pid)), 60))
    assert leases.obstacle(KEY) == ""
    child.kill()
    child.wait()
    assert "has ended" in leases.obstacle(KEY)


def test_another_one_with_its_number_is_not_it(child):
    place, number, started = leases._process(child.pid).split("/")
    assert leases.is_dead(f"{place}/{number}/{int(started) - 1}")


def test_nobody_can_tell_of_another_machine_or_what_it_does_not_understand(child):
    _place, number, started = leases._process(child.pid).split("/")
    child.kill()
    child.wait()
    for process in (f"elsewhere.ns/{number}/{started}", "", "nonsense", "a/b/c"):
        assert not leases.is_dead(process)


def test_one_that_is_hidden_counts_as_alive(child, monkeypatch):
    process = leases._process(child.pid)
    real = open

    def hidden(path, *arguments, **named):
        if str(path).endswith("/stat"):
            raise FileNotFoundError
        return real(path, *arguments, **named)

    monkeypatch.setattr("builtins.open", hidden)
    assert not leases.is_dead(process)


def test_every_worker_of_a_run_is_the_same_run():
    assert leases.who().process == leases._process(os.getppid())
    assert "@" in leases.who().holder
