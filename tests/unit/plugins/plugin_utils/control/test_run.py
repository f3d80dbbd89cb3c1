# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import time

import pytest
from ansible import constants as C
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import run
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import DaemonSetPlan, Entry, Plan, Settings

PLAN = Plan((DaemonSetPlan(Settings("default", "agent"), ()),), ())


@pytest.fixture(autouse=True)
def folder_of_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(C, "DEFAULT_LOCAL_TMP", str(tmp_path))
    return tmp_path


def test_without_a_plan_there_is_nothing():
    assert run.current_plan() is None
    assert run.problems() == []
    assert run.verdict("web1") == []


def test_the_plan_is_what_was_begun():
    run.begin(PLAN)
    assert run.current_plan() == PLAN


def test_a_second_plan_is_not_taken_for_the_first():
    run.begin(PLAN)
    assert run.current_plan() == PLAN
    other = Plan((), ())
    run.begin(other)
    assert run.current_plan() == other


def test_a_node_reads_its_own_steps_alone():
    to_do = Entry("web1", True, True, "", "new", "missing", "create", "create")
    done = Entry("web2", True, True, "", "new", "up to date")
    settings = Settings("default", "agent", node_selector=(("disk", "ssd"),))
    run.begin(Plan((DaemonSetPlan(settings, (to_do, done)),), ()))
    assert run.steps_on("web1") == [(settings, to_do)]
    assert run.steps_on("web2") == []
    run.begin(PLAN)
    assert run.steps_on("web1") == []


def test_only_the_owner_can_read_it(folder_of_the_run):
    run.begin(PLAN)
    assert os.stat(folder_of_the_run / "everynode" / "plan.json").st_mode & 0o077 == 0


def test_problems_add_up():
    run.begin(PLAN)
    first = run.Problem("web1", "default/agent", "switch", "it failed\nwith a log", True)
    second = run.Problem("web2", "default/agent", "switch", "so did it", True)
    run.add_problem(first)
    run.add_problem(second)
    assert run.problems() == [first, second]


def test_a_new_plan_forgets_what_was_before():
    run.begin(PLAN)
    run.add_problem(run.Problem("web1", "default/agent", "switch", "it failed", True))
    run.set_verdict({"web1": ["it failed"]})
    run.begin(PLAN)
    assert run.problems() == []
    assert run.verdict("web1") == []


def test_the_verdict_is_by_node():
    run.begin(PLAN)
    run.set_verdict({"web1": ["one thing", "another"]})
    assert run.verdict("web1") == ["one thing", "another"]
    assert run.verdict("web2") == []


@pytest.mark.parametrize(
    ("failed_in", "phase", "step", "forbidden"),
    [
        ("stage", "create", "create", False),
        ("stage", "create", "replace", True),
        ("stage", "create", "repair", False),
        ("stage", "switch", "replace", True),
        ("create", "create", "replace", False),
        ("create", "switch", "replace", True),
        ("switch", "switch", "replace", True),
        ("switch", "switch", "repair", True),
        ("switch", "create", "replace", False),
    ],
)
def test_the_gate(failed_in, phase, step, forbidden):
    problem = run.Problem("web1", "default/agent", failed_in, "it failed", True)
    assert run.in_the_way("default/agent", phase, step, [problem]) == (problem if forbidden else None)
    assert run.in_the_way("default/other", phase, step, [problem]) is None
    assert run.in_the_way("default/agent", phase, step, [problem._replace(halts=False)]) is None


FAILED = run.Problem("web1", "default/agent", "switch", "it failed", True, serves=True)


@pytest.mark.parametrize(
    ("found", "tolerated", "forbidden"),
    [
        ([FAILED], 1, False),
        ([FAILED, FAILED], 1, False),  # the same node
        ([FAILED, FAILED._replace(node="web2")], 1, True),
        ([FAILED._replace(serves=False)], 1, True),  # it is down through our doing, and takes the budget
        ([FAILED._replace(phase="stage")], 1, True),
        ([FAILED], 0, True),
    ],
)
def test_so_many_failed_nodes_are_tolerated(found, tolerated, forbidden):
    assert (run.in_the_way("default/agent", "switch", "replace", found, tolerated) is not None) == forbidden


def test_a_step_waits_for_all_of_the_one_before():
    missed = run.Problem("web1", "default/agent", "switch", "unreachable, so it was not touched", False, wave=0)
    assert run.in_the_way("default/agent", "switch", "replace", [missed], wave=0) is None
    assert run.in_the_way("default/agent", "switch", "replace", [missed], wave=1) == missed


def forked(act) -> int:
    worker = os.fork()
    if worker == 0:
        try:
            act()
        finally:
            os._exit(0)
    return worker


def test_never_more_nodes_at_the_same_time_than_there_is_room_for(folder_of_the_run):
    """Real processes, as Ansible's workers are; each writes when its turn began and when it ended."""
    run.begin(PLAN)
    told = folder_of_the_run / "told"

    def take_a_turn() -> None:
        with run.turn("default/agent", 2):
            began = time.monotonic()
            time.sleep(0.1)
            ended = time.monotonic()
        with told.open("a") as file:
            file.write(f"{began} {ended}\n")

    workers = [forked(take_a_turn) for _number in range(7)]
    for worker in workers:
        assert os.waitpid(worker, 0)[1] == 0
    turns = [tuple(map(float, line.split())) for line in told.read_text().splitlines()]
    assert len(turns) == 7
    at_once = [sum(began <= moment < ended for began, ended in turns) for moment, _end in turns]
    assert max(at_once) == 2


def test_the_turn_of_a_worker_that_dies_is_free_again(folder_of_the_run):
    run.begin(PLAN)

    def die_in_the_middle() -> None:
        with run.turn("default/agent", 1):
            os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(forked(die_in_the_middle), 0)
    with run.turn("default/agent", 1):
        pass
