# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The update strategy decides which node is replaced when, seen by when each process began and ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import Cluster, Node

from .evidence import changes, clean_up, invocations, process, unit
from .playbook import Run, daemonset, play

NAMES = ("patient", "steady", "careful", "brisk")


@pytest.fixture(scope="module", autouse=True)
def nothing_left(cluster: Cluster, nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    clean_up(cluster, nodes, tmp_path_factory.mktemp("rollout"), NAMES)


def painted(name: str, colour: str, strategy: dict[str, Any], **spec: Any) -> dict[str, Any]:
    one = daemonset(name, env=[{"name": "COLOUR", "value": colour}])
    one["spec"] |= {"updateStrategy": strategy, **spec}
    return one


def rolling(max_unavailable: int | str) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": max_unavailable}}


def applied(inventory: Path, *manifests: dict[str, Any]) -> Run:
    done = play("apply", inventory, daemonset_manifests=list(manifests))
    assert done.code == 0, done.output
    return done


def colours(nodes: list[Node], name: str) -> list[str]:
    return [process(node, name)[1]["COLOUR"] for node in nodes]


def gap(node: Node, name: str) -> tuple[float, float]:
    """When the last process but one ended and the last began, by the clock that all these nodes share; seconds."""
    asked = "systemctl show -P InactiveEnterTimestampMonotonic -P ActiveEnterTimestampMonotonic " + unit(name)
    began, ended = (int(line) / 1e6 for line in node.run(asked).stdout.split())
    ended, began = sorted((began, ended))
    return ended, began


def most_at_once(gaps: list[tuple[float, float]]) -> int:
    return max(sum(start <= moment < end for start, end in gaps) for moment, _end in gaps)


def test_on_delete_waits_for_a_hand(nodes: list[Node], inventory: Callable[..., Path]) -> None:
    pair = nodes[:2]
    on_delete = {"type": "OnDelete"}
    applied(inventory(pair), painted("patient", "black", on_delete))
    before = invocations(pair, "patient")
    done = applied(inventory(pair), painted("patient", "blue", on_delete))
    assert done.changed == 0
    assert "updateStrategy is OnDelete: stop it here to have it replaced" in done.output
    assert invocations(pair, "patient") == before
    assert done.status["updatedNumberScheduled"] == 0
    pair[1].run(f"systemctl stop {unit('patient')}")
    done = applied(inventory(pair), painted("patient", "blue", on_delete))
    assert [bool(count) for count in changes(done).values()] == [False, True]
    assert colours(pair, "patient") == ["black", "blue"]
    assert done.status["updatedNumberScheduled"] == 1


@pytest.mark.soak
def test_min_ready_seconds_pass_before_the_next_node(nodes: list[Node], inventory: Callable[..., Path]) -> None:
    pair = [nodes[0], nodes[-1]]
    applied(inventory(pair), painted("steady", "black", rolling(1)))
    applied(inventory(pair), painted("steady", "blue", rolling(1), minReadySeconds=3))
    assert colours(pair, "steady") == ["blue", "blue"]
    (_ended, first_began), (second_ended, _began) = sorted(gap(node, "steady") for node in pair)
    assert second_ended - first_began >= 3


@pytest.mark.soak
def test_each_daemonset_has_its_own_budget(nodes: list[Node], inventory: Callable[..., Path]) -> None:
    def two(colour: str) -> list[dict[str, Any]]:
        return [painted("careful", colour, rolling("25%")), painted("brisk", colour, rolling("50%"))]

    applied(inventory(), *two("black"))
    planned = play("plan", inventory(), daemonset_manifests=two("blue"))
    assert "replace, at most 1 at a time: node1, node2, node3, node4: it has an older revision" in planned.output
    assert "replace, at most 2 at a time: node1, node2, node3, node4: it has an older revision" in planned.output
    done = applied(inventory(), *two("blue"))
    for name, budget in (("careful", 1), ("brisk", 2)):
        assert colours(nodes, name) == ["blue"] * 4
        assert most_at_once([gap(node, name) for node in nodes]) <= budget
    assert [item["status"]["numberAvailable"] for item in done.items] == [4, 4]
