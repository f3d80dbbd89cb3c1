# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible import constants as C
from ansible import context
from ansible.errors import AnsibleFilterError
from ansible_collections.everynode.daemonset.plugins.filter.planned import planned
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import leases, run
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import DaemonSetPlan, Entry, Plan, Settings

EVERYTHING = ["remove", "stage", "create", "switch", "leading", "touched", "switchable", "batches"]
EVERYTHING += ["witnesses", "leased", "settled", "baking", "report", "wrong"]


def entry(node, state, step="none", phase=""):
    return Entry(node, True, True, "", "new", state, step, phase)


@pytest.fixture(autouse=True)
def folder_of_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(C, "DEFAULT_LOCAL_TMP", str(tmp_path))


@pytest.mark.parametrize("option", ["syntax", "listhosts", "listtasks", "listtags"])
@pytest.mark.parametrize("what", EVERYTHING)
def test_without_a_plan_it_is_never_all_nodes(what, option, monkeypatch):
    monkeypatch.setattr(context, "CLIARGS", {option: True})
    assert planned(what) == []


@pytest.mark.parametrize("what", EVERYTHING)
def test_a_run_without_a_plan_is_an_error(what):
    with pytest.raises(AnsibleFilterError, match="no host of the inventory matches"):
        planned(what)


def test_the_hosts_of_each_play():
    entries = (
        entry("a", "up to date"),
        entry("b", "misscheduled", "remove", "remove"),
        entry("c", "missing", "create", "create"),
        entry("d", "outdated", "replace", "switch"),
        entry("e", "unready", "wait", "create"),
        entry("f", "unreachable"),
    )
    run.begin(Plan((DaemonSetPlan(Settings("default", "agent"), entries),), (("d",),)))
    assert {what: planned(what) for what in EVERYTHING} == {
        "remove": ["b"],
        "stage": ["c", "d"],
        "create": ["c", "e"],
        "switch": ["d"],
        "leading": ["b"],
        "touched": ["b", "c", "d", "e"],
        "switchable": ["d"],
        "batches": [1],
        "witnesses": [],
        "leased": [],
        "settled": [],
        "baking": [],
        "report": ["b", "c", "d", "e", "f"],
        "wrong": [],
    }
    run.set_verdict({"f": ["this node is unreachable"], "of another play": ["so is this"]})
    assert planned("wrong") == ["f"]


def test_a_halted_daemonset_is_not_switched_any_more():
    daemonsets = tuple(
        DaemonSetPlan(Settings("default", name), (entry("a", "outdated", "replace", "switch"),)) for name in ("x", "y")
    )
    run.begin(Plan(daemonsets, (("a",),)))
    run.add_problem(run.Problem("b", "default/x", "switch", "it failed", True))
    assert planned("switchable") == ["a"]
    run.add_problem(run.Problem("b", "default/y", "stage", "it failed", True))
    assert planned("switchable") == []


def test_what_is_somebody_elses_is_left_alone():
    plan = Plan((DaemonSetPlan(Settings("default", "x"), (entry("a", "outdated", "replace", "switch"),)),), (("a",),))
    run.begin(plan)
    leases.begin(plan, {})
    assert planned("witnesses") == ["a"]
    assert planned("stage") == ["a"]
    found = leases.load()
    found.needs["default/x"].refusal = "it is bert's"
    leases.save(found)
    assert planned("switchable") == planned("witnesses") == []
    assert planned("stage") == []


def test_with_nothing_to_do_the_report_runs_on_one_node_of_the_play():
    entries = (entry("left out", "not selected"), entry("b", "up to date"), entry("c", "up to date"))
    run.begin(Plan((DaemonSetPlan(Settings("default", "agent"), entries),), ()))
    assert planned("report") == ["b"]


def test_an_unknown_question():
    run.begin(Plan((), ()))
    with pytest.raises(AnsibleFilterError, match="'everything' is none of remove, stage"):
        planned("everything")
