# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import (
    Completion,
    DaemonSetPlan,
    Entry,
    Plan,
    Settings,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.progress import (
    Times,
    Troubles,
    about,
    baking_line,
    batch_lines,
    due,
    moments,
    seconds_left,
    to_watch,
    why_not_available,
)

WEB = "default/web"


def entry(node, batch=None, updated=False, phase="switch", **more):
    phase = phase if batch is not None or phase != "switch" else ""
    step = "replace" if phase else "none"
    return Entry(node, True, True, "", "new", "outdated", step, phase, updated=updated, batch=batch, **more)


def daemonset(*entries, name="web", bake_left=0.0):
    return DaemonSetPlan(Settings("default", name), entries, bake_left=bake_left)


def plan(*daemonsets, after=()):
    batches = {}
    for one in daemonsets:
        for found in one.entries:
            if found.batch is not None:
                batches.setdefault(found.batch, {})[found.node] = None
    after = (*after, *[()] * (len(batches) - len(after)))
    return Plan(tuple(daemonsets), tuple(tuple(batches[index]) for index in sorted(batches)), after)


# Two were updated before, one is created before the first batch, two are switched in each of three.
TEN = daemonset(
    entry("web1", updated=True),
    entry("web2", updated=True),
    entry("web3", phase="create"),
    *(entry(f"web{number}", batch=(number - 4) // 2) for number in range(4, 10)),
)
BAKING = (Completion(WEB, 0, 600, False),)


def test_the_first_line_has_no_estimate():
    assert batch_lines(plan(TEN), 0, Times({0: 100.0}), Troubles()) == [
        "batch 1 of 3: web4, web5 · 3 of 9 updated · 0 failed"
    ]


def test_the_next_ones_have_one():
    times = Times({0: 100.0, 1: 120.0})
    assert batch_lines(plan(TEN), 1, times, Troubles()) == [
        "batch 2 of 3: web6, web7 · 5 of 9 updated · 0 failed · about 40 s left"
    ]


def test_what_failed_or_was_not_reached_is_not_updated():
    troubles = Troubles(failed={("web4", WEB)}, missed={("web4", WEB), ("web5", WEB), ("web5", "default/other")})
    (line,) = batch_lines(plan(TEN), 1, Times({0: 1.0, 1: 11.0}), troubles)
    assert line.startswith("batch 2 of 3: web6, web7 · 3 of 9 updated · 1 failed · ")


def test_each_of_several_says_its_name_and_those_that_are_halted_say_nothing():
    several = plan(TEN, daemonset(entry("web4", batch=0), entry("web6", batch=1), name="db"))
    assert [line.split(" · ")[0] for line in batch_lines(several, 0, Times({0: 1.0}), Troubles())] == [
        "web: batch 1 of 3: web4, web5",
        "db: batch 1 of 3: web4",
    ]
    assert batch_lines(several, 2, Times(), Troubles())[0].startswith("web: ")
    assert len(batch_lines(several, 2, Times(), Troubles())) == 1
    assert batch_lines(several, 1, Times(), Troubles(halted={WEB}))[0].startswith("db: ")


def test_a_long_batch_is_shortened():
    large = daemonset(*(entry(f"web{number}", batch=0) for number in range(1, 101)))
    (line,) = batch_lines(plan(large), 0, Times(), Troubles())
    assert line == "batch 1 of 1: web1, web2, web3, web4, web5, web6 and 94 more · 0 of 100 updated · 0 failed"


def test_what_is_to_bake_is_part_of_the_estimate_and_what_has_baked_is_not():
    after = (BAKING, (), BAKING)
    times = Times({0: 0.0, 1: 610.0}, {0: 10.0})
    assert seconds_left(plan(TEN, after=after), 1, times) == 2 * 10 + 600
    assert seconds_left(plan(TEN, after=after), 0, Times({0: 0.0})) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (12.4, "12 s"), (41, "40 s"), (100, "2 min"), (5000, "83 min"), (7200, "2 h"), (8100, "2 h 15 min")],
)
def test_durations(seconds, words):
    assert about(seconds) == words


# --------------------------------------------------------------------------------------------------------------- baking


def test_what_bakes_after_a_batch():
    assert due(plan(TEN, after=(BAKING,)), 0) == {WEB: 600}
    assert due(plan(TEN, after=(BAKING,)), 1) == {}
    assert due(plan(TEN, after=((Completion(WEB, 0, 600, True),),)), 0) == {}, "it pauses, and nobody waits"
    assert due(plan(TEN), None) == {}
    assert due(plan(replace(TEN, bake_left=20.0)), None) == {WEB: 20.0}
    assert due(plan(daemonset(entry("web1", updated=True), bake_left=20.0)), None) == {}, "nothing waits for it"


def test_all_that_is_updated_is_watched_the_latest_first():
    baking = plan(TEN, after=((), BAKING))
    assert list(to_watch(baking, 1, Troubles())) == ["web6", "web7", "web1", "web2", "web3", "web4", "web5"]
    assert list(to_watch(baking, 1, Troubles(missed={("web6", WEB)})))[0] == "web7"
    assert to_watch(baking, 1, Troubles(halted={WEB})) == {}
    assert to_watch(baking, 0, Troubles()) == {}


def test_before_the_first_batch_it_is_what_was_updated_already():
    baking = plan(replace(TEN, bake_left=20.0), daemonset(entry("web1", updated=True), name="db"))
    assert to_watch(baking, None, Troubles()) == {"web1": [WEB], "web2": [WEB], "web3": [WEB]}


def test_what_limit_leaves_out_is_not_watched():
    left_out = replace(TEN, entries=(replace(TEN.entries[0], selected=False), *TEN.entries[1:]), bake_left=20.0)
    assert list(to_watch(plan(left_out), None, Troubles())) == ["web2", "web3"]


def test_looks_are_spread_and_not_too_many():
    assert moments(600, 4) == [60.0 * turn for turn in range(1, 11)]
    assert moments(12, 4) == [6.0, 12.0]
    assert moments(1, 4) == [1.0]
    assert moments(600, 100) == [300.0, 600.0]
    assert moments(600, 1000) == [600.0]
    assert moments(0, 0) == [0.0]


def test_the_line_while_it_bakes():
    assert baking_line({WEB: 600.0}, 60, several=False) == (
        "baking for 10m: what is updated has to stay available · about 9 min left"
    )
    assert baking_line({WEB: 30.0, "ops/db": 90.0}, 0, several=True).startswith("web, db: baking for 1m30s: ")


def test_what_stays_available():
    there = entry("web1", updated=True, present=True, ready=True, available=True, ready_for=100.0)
    settings = Settings("default", "web")
    assert why_not_available(settings, there, 100) == ""
    assert why_not_available(settings, replace(there, ready_for=None), 100) == ""
    assert why_not_available(settings, replace(there, ready_for=50.0), 100) == (
        "it was not ready all the time, but only for the last 50 s"
    )
    assert why_not_available(settings, replace(there, ready=False, reason="main has failed"), 100) == "main has failed"
    assert "revision new" in why_not_available(settings, replace(there, updated=False), 100)
    assert "revision new" in why_not_available(settings, replace(there, present=False), 100)
