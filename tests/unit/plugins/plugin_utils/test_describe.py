# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.everynode.daemonset.plugins.plugin_utils.describe import EVENTS, Found, description
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.model import load

from .fleet import BROKEN_OLD, NOW, RUNS, STAYS_AWAY, UNREACHABLE, instance, planned, seen

MANIFEST = """
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: agent
  labels: {team: sre}
  annotations: {b: two, a: one, kubectl.kubernetes.io/last-applied-configuration: hidden}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: main, image: "agent:1"}]}
"""
LOOKS = {"web1": seen(instance()), "web2": seen(instance(**BROKEN_OLD)), "web3": UNREACHABLE, "db1": seen()}
WANTED = {**dict.fromkeys(LOOKS, RUNS), "db1": STAYS_AWAY}


def event(reason: str, ago: int, message: str = "m", count: int = 1, kind: str = "Normal") -> dict[str, Any]:
    at = f"2027-01-15T{7 - (ago - 1) // 3600:02}:{59 - (ago - 1) // 60 % 60:02}:{59 - (ago - 1) % 60:02}Z"
    return {"at": at, "first": at, "type": kind, "reason": reason, "message": message, "count": count}


def described(details: dict[str, Any], looks: Any = None, wanted: Any = None, width: int | None = None) -> list[str]:
    (daemonset,) = load([("agent.yaml", MANIFEST)]).daemonsets
    plan = planned(looks or LOOKS, wanted or WANTED)
    return description(daemonset.object, plan.daemonsets[0], Found(2, details, NOW), width).split("\n")


def after(lines: list[str], title: str) -> list[str]:
    start = next(index for index, line in enumerate(lines) if line.startswith(title))
    rest = lines[start + 1 :]
    return rest[: next((index for index, line in enumerate(rest) if not line.startswith(" ")), len(rest))]


def test_as_kubectl_begins() -> None:
    lines = described({})
    assert lines[: lines.index("Pod Template:")] == [
        "Name:           agent",
        "Namespace:      default",
        "Selector:       app=agent",
        "Node-Selector:  <none>",
        "Labels:         team=sre",
        "Annotations:    a: one",
        "                b: two",
        "Revision:       1 (new)",
        "Desired Number of Nodes Scheduled: 3",
        "Current Number of Nodes Scheduled: 2",
        "Number of Nodes Scheduled with Up-to-date Pods: 1",
        "Number of Nodes Scheduled with Available Pods: 1",
        "Number of Nodes Misscheduled: 0",
        "Pods Status:  2 Running / 0 Waiting / 0 Succeeded / 0 Failed",
    ]
    assert "Events:  <none>" in lines


def test_events_of_all_nodes_the_newest_last() -> None:
    found = {
        "web1": {"events": [event("Updated", 300), event("Unhealthy", 30, count=3, kind="Warning")]},
        "web2": {"events": [event("Updated", 290), event("Ready", 10)]},
    }
    assert after(described(found), "Events:") == [
        "  Type      Reason      Age                 Node         Message",
        "  ----      ------      ---                 ----         -------",
        "  Normal    Updated     4m50s               web1, web2   m",
        "  Warning   Unhealthy   30s (x3 over 30s)   web1         m",
        "  Normal    Ready       10s                 web2         m",
    ]


def test_old_events_are_counted_only() -> None:
    found = {"web1": {"events": [event("Updated", 1000 - number, str(number)) for number in range(EVENTS + 5)]}}
    lines = described(found)
    assert "Events (and 5 that are older):" in lines
    assert len(after(lines, "Events")) == EVENTS + 2
    assert after(lines, "Events")[-1].endswith(str(EVENTS + 4))


def test_each_node_that_is_not_right_says_why_and_what_it_said_last() -> None:
    log = [{"at": "2026-11-21T10:00:01.123456Z", "container": "main", "line": "\x1b[31mboom"}]
    lines = described({"web1": {"log": log}, "web2": {"log": log}})
    assert after(lines, "Nodes:") == [
        "  Node   State         Restarts   Age   Revision   Runtime   Reason",
        "  web1   up to date    0          16m   new        systemd",
        "  web2   outdated      0          16m   old        systemd   it has an older revision; it has failed",
        "  web3   unreachable                                         connection refused",
    ]
    assert after(lines, "Not on:") == ["  db1   the node has not the label disk=ssd"]
    assert after(lines, "Last log lines of web2:") == ["  2026-11-21T10:00:01Z main | boom"]
    assert not any(line.startswith("Last log lines of web1") for line in lines), "it is ready"


def test_a_thousand_nodes_are_not_a_thousand_lines() -> None:
    looks = {f"web{number}": seen(instance()) for number in range(1000)}
    looks["web500"] = UNREACHABLE
    lines = described({}, looks, RUNS)
    assert len(after(lines, "Nodes:")) == 1 + 12 + 1 + 1
    assert any(line.split()[:2] == ["web500", "unreachable"] for line in lines)
    assert lines[-1].startswith("  and 987 nodes more, up to date: web12, ")


def test_it_fits_a_narrow_terminal() -> None:
    found = {"web1": {"events": [event("Unhealthy", 30, "a long story of what has happened " * 5)]}}
    lines = described(found, width=80)
    assert all(len(line) <= 80 for line in after(lines, "Events:") + after(lines, "Nodes:"))
