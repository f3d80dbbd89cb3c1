# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action against real shells: each witness is a folder on this machine."""

from __future__ import annotations

import json
import subprocess

import pytest
from ansible import constants as C
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.everynode.daemonset.plugins.action import lease as action
from ansible_collections.everynode.daemonset.plugins.module_utils.observation import RUN, Facts, Lease, Observation
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import leases, run
from ansible_collections.everynode.daemonset.plugins.plugin_utils.lease import Identity
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import DaemonSetPlan, Entry, Plan, Seen, Settings

AGENT, OTHER = "default/agent", "default/other"
NODES = ["node1", "node2", "node3", "node4"]
DEAD = "dead"


class Estate:
    """The nodes, and the runs that want to change them; ``down`` are those that do not answer."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.down = set()
        self._monkeypatch = monkeypatch

    def run(self, name, process="", **observed):
        """From now on everything is done by this run, which has just planned to change both DaemonSets."""
        scratch = self.folder / name
        scratch.mkdir()
        self.be(name, process)
        entries = tuple(Entry(node, True, True, "", "new", "outdated", "replace") for node in NODES)
        plan = Plan(tuple(DaemonSetPlan(Settings("default", key.split("/")[1]), entries) for key in (AGENT, OTHER)), ())
        run.begin(plan)
        leases.begin(plan, {node: looked(*observed.get(node, ())) for node in NODES})
        return self

    def be(self, name, process=""):
        self._monkeypatch.setattr(C, "DEFAULT_LOCAL_TMP", str(self.folder / name))
        self._monkeypatch.setattr(leases, "who", lambda: Identity(name, f"{name}@ctl", process))

    def acquire(self, **options):
        for node in leases.load().to_ask():
            self._witness(node, **options).acquire()

    def release(self):
        for node in leases.load().witnesses():
            self._witness(node).release()

    def holders(self, key=AGENT):
        """Who has the lease on each node."""
        found = {}
        for node in NODES:
            path = self.folder / "nodes" / node / f"{key.replace('/', '.')}.lease"
            if path.exists():
                found[node] = json.loads(path.read_text())["run"]
        return found

    def _witness(self, node, seconds=60, take_over=False):
        options = {"witness": node, "seconds": seconds, "take_over": take_over, "timeout": 30}
        return action._Witness(Shell(self, node), options)


class Shell:
    def __init__(self, estate, node):
        self.estate = estate
        self.node = node

    def _low_level_execute_command(self, script):
        if self.node in self.estate.down:
            raise AnsibleConnectionFailure("No route to host")
        folder = self.estate.folder / "nodes" / self.node
        folder.parent.mkdir(exist_ok=True)
        words = ["/bin/sh", "-c", script.replace(RUN, str(folder))]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


def looked(*found):
    facts = Facts("x86_64", "debian", "13", "b", "h", "", 1, 1, 257, "apt", (), 1000.0)
    return Seen(Observation(facts, (), found), "", "")


@pytest.fixture
def estate(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "is_dead", lambda process: process == DEAD)
    return Estate(tmp_path, monkeypatch)


def everywhere(name, nodes=("node1", "node2", "node3")):
    return dict.fromkeys(nodes, name)


def test_three_witnesses_keep_both_leases_until_they_are_given_back(estate):
    estate.run("anna").acquire()
    assert estate.holders(AGENT) == estate.holders(OTHER) == everywhere("anna")
    assert leases.refused() == {}
    assert leases.obstacle(AGENT) == leases.obstacle(OTHER) == ""
    estate.release()
    assert list((estate.folder / "nodes").iterdir()) == []
    assert leases.load().witnesses() == []


def test_a_worker_whose_controller_was_killed_asks_in_no_name_but_its_own_runs(estate, monkeypatch):
    """Then its parent is another process, which lives for ever: nobody could take the lease from that."""
    estate.run("anna", DEAD)
    monkeypatch.setattr(leases, "who", lambda: Identity("init", "anna@ctl", "alive"))
    estate.acquire()
    assert estate.holders() == everywhere("anna")
    estate.run("bert").acquire()
    assert estate.holders() == everywhere("bert")


def test_a_witness_that_does_not_answer_is_passed_over(estate):
    estate.down = {"node1", "node3"}
    estate.run("anna")
    found = leases.load()
    found.needs[AGENT].candidates.append("node4")
    leases.save(found)
    estate.acquire()
    assert estate.holders() == everywhere("anna", ["node2", "node4"])
    assert leases.load().mute == {"node1": "No route to host", "node3": "No route to host"}
    assert leases.obstacle(AGENT) == ""
    estate.down = {"node2"}  # while it is given back: that one stays until it expires
    estate.release()
    assert estate.holders() == {"node2": "anna"}


def test_where_no_witness_answers_nothing_is_done(estate):
    estate.down = set(NODES)
    estate.run("anna").acquire()
    assert "node1: No route to host" in leases.obstacle(AGENT)


def test_the_second_one_is_told_of_the_first(estate):
    estate.run("anna").acquire()
    estate.run("bert").acquire()
    assert estate.holders() == everywhere("anna")
    assert set(leases.refused()) == {AGENT, OTHER}
    assert "anna@ctl rolls it out" in leases.refused()[AGENT]
    assert "its lease on node1 expires in " in leases.refused()[AGENT]
    estate.release()
    assert estate.holders() == everywhere("anna")


def test_what_was_got_before_one_was_refused_is_given_back(estate):
    estate.down = {"node1"}
    estate.run("anna").acquire()
    estate.down = set()
    estate.run("bert").acquire()
    assert set(leases.refused()) == {AGENT, OTHER}
    estate.release()
    assert estate.holders() == everywhere("anna", ["node2", "node3"])


def test_one_that_is_refused_does_not_stop_another(estate):
    estate.run("anna")
    found = leases.load()
    del found.needs[OTHER]
    leases.save(found)
    estate.acquire()
    estate.run("bert").acquire()
    assert list(leases.refused()) == [AGENT]
    assert (estate.holders(AGENT), estate.holders(OTHER)) == (everywhere("anna"), everywhere("bert"))


def test_what_the_observation_showed_refuses_without_asking_anybody(estate):
    seen = Lease(AGENT, "cleo", "cleo@elsewhere", 900.0, 1100.0)
    estate.run("bert", node4=[seen]).acquire()
    assert list(leases.refused()) == [AGENT]
    assert "cleo@elsewhere rolls it out" in leases.refused()[AGENT]
    assert (estate.holders(AGENT), estate.holders(OTHER)) == ({}, everywhere("bert"))


@pytest.mark.parametrize("seen", [True, False])
def test_a_dead_holder_is_replaced_at_once(estate, seen):
    estate.run("anna", process=DEAD).acquire()
    observed = {"node1": [Lease(AGENT, "anna", "anna@ctl", 900.0, 1100.0, DEAD)]} if seen else {}
    estate.run("bert", **observed).acquire()
    assert leases.refused() == {}
    assert estate.holders() == everywhere("bert")


@pytest.mark.parametrize("seen", [True, False])
def test_a_living_one_is_replaced_if_the_operator_says_so_and_then_leaves_the_rest(estate, seen, monkeypatch):
    estate.run("anna").acquire()
    observed = {"node1": [Lease(AGENT, "anna", "anna@ctl", 900.0, 1100.0)]} if seen else {}
    estate.run("bert", **observed).acquire(take_over=True)
    assert estate.holders() == everywhere("bert")
    assert leases.refused() == {}
    estate.be("anna")
    later = leases.clock() + 11
    monkeypatch.setattr(leases, "clock", lambda: later)
    estate.acquire(take_over=True)  # to renew it; it is not taken back
    assert "bert@ctl rolls it out" in leases.refused()[AGENT]
    assert "who took it over from this run" in leases.refused()[AGENT]
    estate.release()
    assert estate.holders() == everywhere("bert")


def test_an_expired_one_is_free(estate):
    estate.run("anna").acquire(seconds=-1)
    estate.run("bert").acquire()
    assert estate.holders() == everywhere("bert")


def test_a_witness_that_goes_away_is_replaced_when_the_lease_is_renewed(estate, monkeypatch):
    estate.run("anna")
    found = leases.load()
    found.needs[AGENT].candidates.append("node4")
    leases.save(found)
    estate.acquire()
    estate.down = {"node2"}
    later = leases.clock() + 11
    monkeypatch.setattr(leases, "clock", lambda: later)
    estate.acquire()
    assert estate.holders() == everywhere("anna", NODES)
    assert leases.load().needs[AGENT].fresh == ["node1", "node3", "node4"]
