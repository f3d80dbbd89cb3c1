# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.everynode.daemonset.plugins.module_utils.observation import UNDONE, Failure, Instance, Past
from ansible_collections.everynode.daemonset.plugins.plugin_utils.history import (
    UnknownRevision,
    as_it_is,
    history_table,
    in_haste,
    revisions,
    target_of_undo,
    undone,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import Settings, Wanted
from ansible_collections.everynode.daemonset.plugins.plugin_utils.policy import Policy, Step

ONE, TWO, THREE = Past("aaa", 1, 10.0, "first"), Past("bbb", 2, 20.0), Past("ccc", 3, 30.0, "third", "docker")
RUNS = Wanted("ddd", True, True, runtime="docker")


def instance(revision: str, *history: Past) -> Instance:
    return Instance("default", "agent", revision, "systemd", True, (), True, True, 0.0, "", 0, 0.0, history)


FLEET = {"web1": instance("ccc", ONE, TWO, THREE), "web2": instance("bbb", ONE, TWO), "new1": instance("ccc", THREE)}


def test_what_all_nodes_remember_together():
    assert [(one.number, one.cause, one.hashes, one.nodes) for one in revisions(FLEET)] == [
        (1, "first", ["aaa"], []),
        (2, "", ["bbb"], ["web2"]),
        (3, "third", ["ccc"], ["web1", "new1"]),
    ]


def test_the_table_of_kubectl_rollout_history():
    assert history_table(FLEET).splitlines() == [
        "REVISION   CHANGE-CAUSE   NODES   HASH",
        "1          first          0       aaa",
        "2          <none>         1       bbb",
        "3          third          2       ccc",
    ]


def test_undo_means_the_one_before_the_last():
    assert target_of_undo(FLEET) == 2
    assert target_of_undo(FLEET, 1) == 1


@pytest.mark.parametrize(("reason", "number"), [("it crashed", 1), (UNDONE, 2)])
def test_undo_passes_over_what_failed_and_not_over_what_was_undone(reason, number):
    there = instance("ccc", ONE, TWO, THREE)._replace(failed=(Failure("bbb", 20.0, reason),))
    assert target_of_undo({"web1": there}) == number


@pytest.mark.parametrize(("fleet", "number"), [({}, 0), ({"web1": instance("aaa", ONE)}, 0), (FLEET, 7)])
def test_undo_to_what_nobody_remembers(fleet, number):
    with pytest.raises(UnknownRevision):
        target_of_undo(fleet, number)


def test_a_node_that_never_had_it_keeps_what_it_has():
    wanted = undone({"web1": RUNS, "new1": RUNS, "bare": RUNS}, FLEET, 2)
    assert {node: (wish.revision, wish.runtime, wish.on_disk) for node, wish in wanted.items()} == {
        "web1": ("bbb", "systemd", True),
        "new1": ("ccc", "docker", True),
        "bare": ("ddd", "docker", False),
    }


def test_a_node_that_should_not_run_it_is_not_asked_to():
    stays_away = Wanted("", False, False)
    assert undone({"web1": stays_away}, FLEET, 2) == {"web1": stays_away}


def test_going_back_waits_for_no_step_and_no_window():
    policy = Policy(steps=(Step(1, pause=True),), window="Sat 02:00-06:00", topology="rack", max_unreachable=3)
    hasty = in_haste(Settings("default", "agent", policy=policy))
    assert hasty == Settings("default", "agent", policy=Policy(topology="rack", max_unreachable=3))


def test_going_on_with_what_is_there():
    wanted = as_it_is({"web2": RUNS, "bare": RUNS}, FLEET)
    assert (wanted["web2"].revision, wanted["web2"].on_disk) == ("bbb", True)
    assert wanted["bare"] == RUNS
