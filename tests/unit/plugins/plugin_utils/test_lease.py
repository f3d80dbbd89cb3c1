# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from ansible_collections.everynode.daemonset.plugins.module_utils.observation import Facts, Lease, Observation
from ansible_collections.everynode.daemonset.plugins.plugin_utils.lease import (
    Answer,
    candidates,
    changes_something,
    identity,
    lifetime,
    observed_leases,
    pid_of,
    place_of,
    process_of,
    read_answer,
    refusal,
    releasing,
    taking,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import (
    UNREACHABLE,
    DaemonSetPlan,
    Entry,
    Plan,
    Seen,
    Settings,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.words import last_line

KEY = "default/agent"
ANNA = identity("anna@ctl1", "boot.ns/1/2", "/tmp/a")
BERT = identity("be\"rt \\n $(x) '@ctl2", "", "/tmp/b")
NOW = 1_800_000_000.0


class Witness:
    """A folder on this machine in the place of /run/everynode, and a real shell."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "default.agent.lease"

    def take(self, who=ANNA, replaced="", seconds=60, keys=(KEY,)):
        return self._run(taking(who, dict.fromkeys(keys, replaced), seconds, str(self.folder)))

    def release(self, who=ANNA, keys=(KEY,)):
        return self._run(releasing(dict.fromkeys(keys, who.run), str(self.folder)))

    def lease(self):
        return Lease(**json.loads(self.file.read_text()))

    def _run(self, script):
        done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return read_answer(done.stdout)


@pytest.fixture
def witness(tmp_path):
    return Witness(tmp_path / "ever node")


def test_a_free_lease_is_taken(witness):
    answer = witness.take()
    assert (list(answer.taken), answer.held) == ([KEY], {})
    lease = witness.lease()
    assert lease == answer.taken[KEY]
    assert (lease.daemonset, lease.run, lease.holder, lease.process) == (KEY, ANNA.run, "anna@ctl1", "boot.ns/1/2")
    assert lease.expires == lease.acquired + 60
    assert abs(lease.acquired - time.time()) < 10
    assert witness.folder.stat().st_mode & 0o777 == 0o755


def test_one_that_somebody_has_is_refused_and_says_who(witness):
    witness.take(BERT)
    answer = witness.take(ANNA)
    assert answer.taken == {}
    assert answer.held == {KEY: witness.lease()}
    assert answer.held[KEY].holder == BERT.holder
    assert answer.held[KEY].run == BERT.run


def test_whoever_has_it_renews_it(witness):
    witness.take(seconds=60)
    data = json.loads(witness.file.read_text())
    witness.file.write_text(json.dumps({**data, "acquired": 5}))
    answer = witness.take(seconds=600)
    assert answer.taken[KEY].acquired == 5
    assert witness.lease().expires == pytest.approx(data["expires"] + 540, abs=5)


def test_an_expired_one_is_free(witness):
    witness.take(BERT, seconds=-1)
    answer = witness.take(ANNA)
    assert answer.taken[KEY].run == witness.lease().run == ANNA.run
    assert witness.lease().acquired > time.time() - 10


def test_only_the_run_that_is_named_is_replaced(witness):
    witness.take(BERT)
    assert witness.take(ANNA, replaced="somebody else").held[KEY].run == BERT.run
    assert witness.take(ANNA, replaced=BERT.run).taken[KEY].run == ANNA.run
    assert witness.take(BERT).held[KEY].run == ANNA.run


@pytest.mark.parametrize("text", ["", "nonsense", "{}", '{"run": "x"}', '{"run": "x", "expires": "soon"}', "\n\n"])
def test_one_that_is_not_whole_is_free(witness, text):
    witness.folder.mkdir()
    witness.file.write_text(text)
    assert witness.take().taken[KEY].run == ANNA.run


def test_nothing_is_left_of_what_was_given_back(witness):
    witness.take()
    assert witness.release() == Answer(pytest.approx(time.time(), abs=10))
    assert not witness.folder.exists()
    witness.release()  # a second time does not matter


def test_what_is_somebody_elses_is_not_given_back(witness):
    witness.take(BERT)
    witness.release(ANNA)
    assert witness.lease().run == BERT.run


def test_what_else_lies_there_stays(witness):
    witness.take()
    (witness.folder / "default.agent.instance").touch()
    witness.release()
    assert [path.name for path in witness.folder.iterdir()] == ["default.agent.instance"]


def test_several_in_one_call(witness):
    witness.take(BERT, keys=["default/b"])
    answer = witness.take(ANNA, keys=["default/a", "default/b", "ops/c.d"])
    assert (list(answer.taken), list(answer.held)) == (["default/a", "ops/c.d"], ["default/b"])
    witness.release(ANNA, keys=["default/a", "default/b", "ops/c.d"])
    assert [path.name for path in witness.folder.iterdir()] == ["default.b.lease"]


def test_where_it_cannot_be_written_the_answer_is_not_whole(witness):
    witness.folder.touch()
    script = taking(ANNA, {KEY: ""}, 60, str(witness.folder))
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode
    assert read_answer(done.stdout) is None
    assert "ever node" in last_line(done.stderr)


def test_of_many_that_ask_at_once_one_gets_it(witness):
    many = [identity(f"user{number}@ctl", "", "/tmp") for number in range(40)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(witness.take, many))
    winners = [me.run for me, answer in zip(many, answers, strict=True) if answer.taken]
    assert winners == [witness.lease().run]
    assert {answer.held[KEY].run for answer in answers if answer.held} == set(winners)


def test_of_many_that_take_over_from_the_same_run_one_gets_it(witness):
    witness.take(BERT)
    many = [identity(f"user{number}@ctl", "", "/tmp") for number in range(40)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda me: witness.take(me, replaced=BERT.run), many))
    assert sum(bool(answer.taken) for answer in answers) == 1


def test_the_folder_may_come_and_go_meanwhile(witness):
    def come_and_go(number):
        me = identity(f"user{number}@ctl", "", "/tmp")
        key = f"default/{number}"
        for _turn in range(5):
            assert witness.take(me, keys=[key]).taken[key].run == me.run
            witness.release(me, keys=[key])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(come_and_go, range(8)))
    assert not witness.folder.exists()


def test_an_answer_may_come_after_a_banner_and_has_to_be_whole():
    assert read_answer("Welcome!\r\neverynode-lease 12\r\neverynode-lease end\r\n") == Answer(12.0)
    for text in ("", "Welcome!", "everynode-lease 12", "everynode-lease 12\nheld nonsense\neverynode-lease end"):
        assert read_answer(text) is None


def test_a_run_is_nobody_elses():
    names = {identity(*of).run for of in [("a", "b", "c"), ("a", "b", "d"), ("a", "c", "c"), ("b", "b", "c")]}
    assert len(names) == 4
    assert identity("a", "b", "c") == identity("a", "b", "c")


def test_a_process_says_where_it_can_be_looked_for():
    process = process_of("5f3c", "pid:[4026531836]", 12, "3456")
    assert pid_of(process) == 12
    assert place_of(process) == "5f3c.pid:[4026531836]"
    assert [pid_of(text) for text in ("", "x", "a/b/c")] == [None] * 3


# ---------------------------------------------------------------------------------------------------- the plan's leases


def looked(*leases, now=NOW):
    facts = Facts("x86_64", "debian", "13", "b", "h", "", 1, 1, 257, "apt", (), now)
    return Seen(Observation(facts, (), leases), "", "")


def lease(daemonset=KEY, expires=NOW + 60):
    return Lease(daemonset, "other", "bert@ctl2", NOW - 95, expires)


def plan(*entries):
    return DaemonSetPlan(Settings("default", "agent"), entries)


def entry(node, should_run=True, step="none", present=False):
    return Entry(node, should_run, should_run, "", "new", "up to date", step, present=present)


NODES = [f"node{number}" for number in range(20)]
EVERYWHERE = plan(*map(entry, NODES))


def test_the_witnesses_are_the_first_eligible_nodes():
    declared = plan(entry("node0", should_run=False), *map(entry, NODES[1:]))
    assert candidates(declared, {node: looked() for node in NODES}) == ["node1", "node2", "node3"]


def test_a_node_that_did_not_answer_is_no_witness():
    seen = {node: looked() for node in NODES} | {"node1": Seen(None, UNREACHABLE, "no route")}
    assert candidates(EVERYWHERE, seen) == ["node0", "node2", "node3"]


def test_what_limit_leaves_out_is_asked_too_but_not_for_ever():
    seen = {node: looked() for node in NODES[15:]}
    assert candidates(EVERYWHERE, seen) == [*NODES[:6], "node15", "node16", "node17"]
    assert candidates(EVERYWHERE, {"node1": looked()}) == [*NODES[:7]]


def test_a_node_with_an_old_lease_is_a_witness_so_that_it_goes():
    seen = {node: looked() for node in NODES} | {"node9": looked(lease(expires=NOW - 1))}
    assert candidates(EVERYWHERE, seen) == ["node0", "node1", "node2", "node9"]
    assert observed_leases(KEY, seen) == {}


def test_where_no_node_is_eligible_it_is_those_that_have_an_instance():
    leaving = plan(*(entry(node, should_run=False, present=node in NODES[3:]) for node in NODES))
    assert candidates(leaving, {node: looked() for node in NODES}) == ["node3", "node4", "node5"]


def test_only_what_changes_needs_a_lease():
    assert not changes_something(plan(entry("a"), entry("b", step="wait")))
    assert changes_something(plan(entry("a"), entry("b", step="replace")))


def test_a_lease_is_good_for_the_longest_phase():
    due = [Entry(f"node{n}", True, True, "", "new", "outdated", "replace", "switch", batch=n // 10) for n in range(50)]
    settings = Settings("default", "agent", max_unavailable=10, min_ready_seconds=30)
    assert lifetime(Plan((DaemonSetPlan(settings, tuple(due), room=10),), ()), forks=5) == 600 + 2 * 150
    assert lifetime(Plan((DaemonSetPlan(settings, tuple(due), room=10),), ()), forks=20) == 600 + 150
    created = tuple(replace(one, phase="create", batch=None) for one in due)
    assert lifetime(Plan((DaemonSetPlan(settings, created),), ()), forks=5) == 600 + 10 * 150
    assert lifetime(Plan((DaemonSetPlan(settings, tuple(map(entry, NODES))),), ()), forks=5) == 600


def test_leases_that_were_seen():
    seen = {"a": looked(lease()), "b": looked(lease("default/other")), "c": Seen()}
    assert observed_leases(KEY, seen) == {"a": (lease(), NOW)}


def test_a_refusal_says_who_since_when_and_what_to_do():
    assert refusal(lease(), "node1", NOW) == (
        "default/agent is left alone: bert@ctl2 rolls it out, since 2027-01-15 07:58:25 UTC (95 s ago); its lease on "
        "node1 expires in 60 s unless it is renewed. Wait for the end of that run, or, if you know that it is dead, "
        "take over with -e daemonset_take_over=true"
    )
