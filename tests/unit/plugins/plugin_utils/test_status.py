# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.everynode.daemonset.plugins.plugin_utils.judgement import STATES
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import DaemonSetPlan, Entry, Plan, Settings
from ansible_collections.everynode.daemonset.plugins.plugin_utils.status import as_items, status


def entry(node, **values):
    eligible = {"should_run": True, "should_continue": True, "ineligible": "", "wanted": "b", "state": "?"}
    return Entry(node=node, **{**eligible, **values})


RIGHT = {"present": True, "revision": "b", "updated": True, "ready": True, "available": True}


def counters(*entries):
    return status(DaemonSetPlan(Settings("default", "agent"), entries)).as_kubernetes()


def test_all_right():
    assert counters(entry("a", **RIGHT), entry("b", **RIGHT)) == {
        "currentNumberScheduled": 2,
        "desiredNumberScheduled": 2,
        "numberAvailable": 2,
        "numberMisscheduled": 0,
        "numberReady": 2,
        "updatedNumberScheduled": 2,
    }


def test_every_way_to_be_less_than_right():
    assert counters(
        entry("right", **RIGHT),
        entry("old", **{**RIGHT, "revision": "a", "updated": False}),
        entry("under another runtime", **{**RIGHT, "updated": False}),
        entry("young", **{**RIGHT, "available": False}),
        entry("unready", **{**RIGHT, "ready": False, "available": False}),
        entry("missing"),
        entry("unreachable", state="unreachable"),
        entry("misscheduled", **RIGHT, should_run=False),
        entry("not eligible", should_run=False),
    ) == {
        "currentNumberScheduled": 5,
        "desiredNumberScheduled": 7,
        "numberAvailable": 3,
        "numberMisscheduled": 1,
        "numberReady": 4,
        "numberUnavailable": 4,
        "updatedNumberScheduled": 3,
    }


def test_items_for_programs():
    plan = Plan(
        (
            DaemonSetPlan(
                Settings(
                    "kube-system",
                    "agent",
                    selector={"matchLabels": {"app": "agent"}},
                    containers=(("main", "x:1"),),
                ),
                (
                    entry(
                        "a",
                        **RIGHT,
                        state="up to date",
                        created=1_700_000_000.0,
                        age=50.0,
                        restarts=2,
                        runtime="docker",
                        number=3,
                    ),
                    entry("b", state="missing", reason="there is no instance on this node", step="create"),
                ),
            ),
        ),
        (),
    )
    assert json.loads(json.dumps(as_items(plan))) == {
        "items": [
            {
                "metadata": {"name": "agent", "namespace": "kube-system", "creationTimestamp": "2023-11-14T22:13:20Z"},
                "spec": {
                    "selector": {"matchLabels": {"app": "agent"}},
                    "template": {"spec": {"nodeSelector": {}, "containers": [{"name": "main", "image": "x:1"}]}},
                },
                "status": {
                    "currentNumberScheduled": 1,
                    "desiredNumberScheduled": 2,
                    "numberAvailable": 1,
                    "numberMisscheduled": 0,
                    "numberReady": 1,
                    "numberUnavailable": 1,
                    "updatedNumberScheduled": 1,
                },
                "nodes": [
                    {
                        "name": "a",
                        "eligible": True,
                        "state": "up to date",
                        "reason": "",
                        "revision": "b",
                        "updatedRevision": "b",
                        "number": 3,
                        "batch": None,
                        "runtime": "docker",
                        "ready": True,
                        "available": True,
                        "restarts": 2,
                    },
                    {
                        "name": "b",
                        "eligible": True,
                        "state": "missing",
                        "reason": "there is no instance on this node",
                        "revision": None,
                        "updatedRevision": "b",
                        "number": None,
                        "batch": None,
                        "runtime": None,
                        "ready": False,
                        "available": False,
                        "restarts": 0,
                    },
                ],
            }
        ]
    }


def test_details_stand_beside_the_node():
    there = {"a": {"default/agent": {"events": [], "log": [{"line": "x"}], "usage": None}}}
    plan = Plan((DaemonSetPlan(Settings("default", "agent"), (entry("a", **RIGHT), entry("b", **RIGHT))),), ())
    nodes = as_items(plan, there)["items"][0]["nodes"]
    assert nodes[0]["log"] == [{"line": "x"}]
    assert "log" not in nodes[1]


def test_every_field_and_state_is_documented():
    documented = (Path(__file__).parents[4] / "docs" / "output.md").read_text(encoding="utf-8")
    plan = Plan((DaemonSetPlan(Settings("default", "agent"), (entry("a", state="missing"),)),), ())
    (item,) = as_items(plan)["items"]
    fields = [f"status.{name}" for name in item["status"]] + list(item["nodes"][0])
    assert [name for name in [*fields, *STATES] if f"`{name}`" not in documented] == []
