# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import DaemonSetPlan, Entry, Plan, Settings
from ansible_collections.everynode.daemonset.plugins.plugin_utils.table import (
    attention_list,
    daemonset_table,
    fitted,
    human_duration,
    instance_table,
)


def entry(node, **values):
    eligible = {"should_run": True, "should_continue": True, "ineligible": "", "wanted": "b", "state": "?"}
    return Entry(node=node, **{**eligible, **values})


def right(node, age):
    return entry(
        node,
        state="up to date",
        present=True,
        revision="b",
        updated=True,
        ready=True,
        available=True,
        age=age,
        created=1.0,
    )


def test_the_table_of_kubectl():
    settings = Settings("default", "fluentd-agent", node_selector=(("zone", "a"), ("disk", "ssd")))
    agent = DaemonSetPlan(settings, (right("a", 305.0),))
    other = DaemonSetPlan(Settings("default", "x"), (entry("a", state="missing"),))
    assert daemonset_table(Plan((agent, other), ())).split("\n") == [
        "NAME            DESIRED   CURRENT   READY   UP-TO-DATE   AVAILABLE   NODE SELECTOR     AGE",
        "fluentd-agent   1         1         1       1            1           disk=ssd,zone=a   5m5s",
        "x               1         0         0       0            0           <none>            <unknown>",
    ]


def test_with_several_namespaces_the_namespace_comes_first():
    one = DaemonSetPlan(Settings("default", "x"), (right("a", 3.0), right("b", 3600.0 * 24)))
    two = DaemonSetPlan(Settings("kube-system", "x"), (right("a", 3.0),))
    assert daemonset_table(Plan((one, two), ())).split("\n") == [
        "NAMESPACE     NAME   DESIRED   CURRENT   READY   UP-TO-DATE   AVAILABLE   NODE SELECTOR   AGE",
        "default       x      2         2         2       2            2           <none>          24h",
        "kube-system   x      1         1         1       1            1           <none>          3s",
    ]


def test_the_nodes_that_need_attention():
    entries = (
        right("a", 1.0),
        entry("b", state="unready", step="wait", phase="create", reason="its probe fails"),
        entry("ccc", state="unreachable", reason="connection refused"),
        entry("d", state="outdated", reason="updateStrategy is OnDelete"),
        entry("e", state="not eligible", reason="no label"),
    )
    assert attention_list(Plan((DaemonSetPlan(Settings("default", "x"), entries),), ())).split("\n") == [
        "Nodes that need attention:",
        "  b     x     unready       its probe fails",
        "  ccc   x     unreachable   connection refused",
        "  d     x     outdated      updateStrategy is OnDelete",
    ]


def test_no_attention_needed():
    assert attention_list(Plan((DaemonSetPlan(Settings("default", "x"), (right("a", 1.0),)),), ())) == ""


WIDE = Settings(
    "default",
    "agent",
    selector={"matchLabels": {"app": "agent"}, "matchExpressions": [{"key": "a", "operator": "Exists"}]},
    containers=(("main", "agent:1"), ("side", "proxy:2")),
)


def test_wide_has_the_columns_of_kubectl_and_a_line_for_each_instance():
    plan = Plan((DaemonSetPlan(WIDE, (right("a", 5.0), entry("b", state="missing"), stranger("c"))),), ())
    assert daemonset_table(plan, wide=True).split("\n") == [
        "NAME    DESIRED   CURRENT   READY   UP-TO-DATE   AVAILABLE   NODE SELECTOR   AGE   CONTAINERS   "
        "IMAGES            SELECTOR",
        "agent   2         1         1       1            1           <none>          5s    main,side    "
        "agent:1,proxy:2   a,app=agent",
    ]
    assert instance_table(plan).split("\n") == [
        "NODE   NAME    READY   STATE        RESTARTS   AGE         REVISION   RUNTIME",
        "a      agent   yes     up to date   0          5s          b          <none>",
        "b      agent   no      missing      0          <unknown>   <none>     <none>",
    ]


def stranger(node):
    return entry(node, state="not eligible", should_run=False)


ROWS = [("NAME", "NODE SELECTOR"), ("one", "disk=ssd,zone=a"), ("two", "what is there to say")]


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (None, ["NAME   NODE SELECTOR", "one    disk=ssd,zone=a", "two    what is there to say"]),
        (27, ["NAME   NODE SELECTOR", "one    disk=ssd,zone=a", "two    what is there to say"]),
        (26, ["NAME  NODE SELECTOR", "one   disk=ssd,zone=a", "two   what is there to say"]),
        (19, ["NAME  NODE SELECTOR", "one   disk=ssd,", "      zone=a", "two   what is there", "      to say"]),
        (15, ["NAME  NODE", "      SELECTOR", "one   disk=ssd,"]),
        (
            11,
            ["NAME           one", "NODE SELECTOR  disk=ssd,zone=a", ""]
            + ["NAME           two", "NODE SELECTOR  what is there to say"],
        ),
    ],
)
def test_a_table_fits_its_terminal(width, lines):
    assert fitted(ROWS, width).split("\n")[: len(lines)] == lines


def test_a_list_on_a_narrow_terminal_has_the_reasons_below():
    broken = entry("web1.example.com", state="damaged", reason="the unit is stopped", step="repair", phase="create")
    plan = Plan((DaemonSetPlan(Settings("default", "agent"), (broken,)),), ())
    assert attention_list(plan, 57).split("\n") == [
        "Nodes that need attention:",
        "  web1.example.com  agent  damaged  the unit is stopped",
    ]
    assert attention_list(plan, 48).split("\n")[1:] == [
        "  web1.example.com  agent  damaged  the unit is",
        "                                    stopped",
    ]
    assert attention_list(plan, 30).split("\n")[1:] == [
        "  web1.example.com  agent  damaged",
        "      the unit is stopped",
    ]


# The cases of k8s.io/apimachinery/pkg/util/duration/duration_test.go, in seconds.
MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-2, "<invalid>"),
        (-0.5, "0s"),
        (0, "0s"),
        (1.9, "1s"),
        (70, "70s"),
        (119, "119s"),
        (2 * MINUTE, "2m"),
        (3 * MINUTE + 10, "3m10s"),
        (10 * MINUTE, "10m"),
        (10 * MINUTE + 10, "10m"),
        (70 * MINUTE, "70m"),
        (179 * MINUTE, "179m"),
        (3 * HOUR, "3h"),
        (3 * HOUR + 10 * MINUTE, "3h10m"),
        (8 * HOUR, "8h"),
        (47 * HOUR, "47h"),
        (49 * HOUR, "2d1h"),
        (4 * DAY + 2 * HOUR, "4d2h"),
        (8 * DAY, "8d"),
        (367 * DAY, "367d"),
        (4 * YEAR + 4 * HOUR, "4y"),
        (4 * YEAR + 2 * DAY, "4y2d"),
        (8 * YEAR + 300 * DAY, "8y"),
        (12 * YEAR, "12y"),
    ],
)
def test_human_duration(seconds, expected):
    assert human_duration(seconds) == expected
