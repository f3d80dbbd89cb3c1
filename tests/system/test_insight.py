# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""describe, logs and top: what the nodes' records, journals and cgroups tell, held against what was done.

Of containers it is tested where their pods are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import Cluster, Node

from .evidence import clean_up, differences, invocations, standing
from .playbook import Run, daemonset, play, until

SECRET = "op3n-ses4me"
MEGABYTES = 30


@pytest.fixture(scope="module", autouse=True)
def nothing_left(cluster: Cluster, nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    clean_up(cluster, nodes, tmp_path_factory.mktemp("insight"), ("witness",))


def witness(text: str = "hello", **container: Any) -> list[dict[str, Any]]:
    """It says on which node it is, and holds thirty megabytes; two files on the node decide what its probes find."""
    one = daemonset(
        "witness",
        {"terminationGracePeriodSeconds": 1},
        image="host:///usr/bin/python3",
        args=["-uc", f"import time; held = b'x' * ({MEGABYTES} << 20); print('{text} $(NODE)'); time.sleep(9999)"],
        env=[
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        ],
        resources={"limits": {"memory": f"{2 * MEGABYTES}Mi"}},
        readinessProbe=_file_is_absent("/run/unready"),
        livenessProbe=_file_is_absent("/run/sick"),
        **container,
    )
    keys = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"token": SECRET}}
    return [one, keys]


def _file_is_absent(path: str) -> dict[str, Any]:
    command = ["/usr/bin/test", "!", "-e", path]
    return {"exec": {"command": command}, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 1}


def on(run: Run, node: Node) -> dict[str, Any]:
    return run.node(node.name)


def reasons(found: dict[str, Any]) -> list[str]:
    return [event["reason"] for event in found["events"]]


def shown(run: Run, title: str) -> str:
    """What the task of this title printed."""
    return re.split(r"\nok: ", run.output.partition(f"TASK [{title}]")[2])[0]


def kept(nodes: list[Node]) -> dict[str, list[str]]:
    """The files that last: the probes come and go, and write down in /run what they find."""
    found = standing(nodes)
    return {name: [line for line in lines if "/" in line and "/run/" not in line] for name, lines in found.items()}


def test_what_happened_is_told(nodes: list[Node], inventory: Callable[..., Path]) -> None:
    pair = [nodes[0], nodes[-1]]
    first, second = pair
    where = inventory(pair, host_vars={first.name: {"node_labels": {"tier": "web"}}})
    assert play("apply", where, daemonset_manifests=witness("hello")).code == 0
    assert play("apply", where, daemonset_manifests=witness("welcome")).code == 0

    def told() -> list[str]:
        return re.findall('"reason": "([A-Za-z]+)"', first.run("cat /var/lib/everynode/default/witness/events").stdout)

    first.run("touch /run/unready")
    until(lambda: "Unhealthy" in told())
    first.run("rm /run/unready; touch /run/sick")
    until(lambda: "Killing" in told())
    first.run("rm /run/sick")
    until(lambda: told()[-1] == "Ready")
    used = play("top", where, daemonset_manifests=witness("welcome"), daemonset_output="table")
    for node in pair:
        usage = on(used, node)["usage"]
        assert MEGABYTES << 20 < usage["memoryBytes"] < 2 * MEGABYTES << 20
        assert usage["memoryLimitBytes"] == 2 * MEGABYTES << 20
        assert 50 <= usage["memoryLimitPercent"] < 100
        assert 0 <= usage["cpuCores"] < 1
    assert on(used, first)["restarts"] >= 1, "also if it was a probe that asked for it"
    rows = shown(used, "Print what is used").splitlines()
    assert [row.split()[0] for row in rows[1:]] == ["NODE", first.name, second.name, "(all)"]

    failed = play("apply", where, daemonset_manifests=witness("x", command=["/usr/bin/false"]), daemonset_timeout=10)
    assert failed.code != 0
    assert "the former revision" in failed.output.lower()

    before, running = kept(pair), invocations(pair, "witness")
    described = play("describe", where, daemonset_manifests=witness("welcome"), daemonset_output="table")
    assert described.code == 0, described.output
    for node in pair:
        history = reasons(on(described, node))
        assert history[0] == "Created"
        assert {"Updated", "Ready", "Confirmed"} <= set(history)
    whole = reasons(on(described, first)) + reasons(on(described, second))
    assert {"Unhealthy", "Killing", "Failed", "Reverted"} <= set(whole)

    text = shown(described, "Describe")
    assert re.search(r"^Name: +witness$", text, re.MULTILINE)
    assert re.search(r"^Pods Status:  2 Running / 0 Waiting", text, re.MULTILINE)
    assert re.search(r"^ +TOKEN: +<set to the key 'token' in secret 'keys'>", text, re.MULTILINE)
    assert re.search(
        rf"^  Warning +Unhealthy .* {first.name} +everynode.default.witness.service: liveness", text, re.MULTILINE
    )
    assert re.search(rf"^  {second.name} +up to date ", text, re.MULTILINE)
    assert SECRET not in described.output

    logged = play("logs", where, daemonset_manifests=witness("welcome"), daemonset_since="1h")
    assert {line["node"] for line in logged.items} == {node.name for node in pair}
    assert [line["at"] for line in logged.items] == sorted(line["at"] for line in logged.items)
    lines = [line["line"] for line in logged.items if line["node"] == second.name]
    assert lines.index(f"hello {second.name}") < lines.index(f"welcome {second.name}")
    one = play(
        "logs",
        where,
        daemonset_manifests=witness("welcome"),
        daemonset_node_selector="tier=web",
        daemonset_tail=1,
        daemonset_output="table",
    )
    assert shown(one, "Print the logs").splitlines()[1:] == [f"{first.name} main | welcome {first.name}"]

    assert differences(before, kept(pair)) == {}, "who only looks changes nothing"
    assert invocations(pair, "witness") == running
