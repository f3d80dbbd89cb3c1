# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator may forbid or put first: a hold, a reviewed plan, canaries, racks; and the budget under --limit."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.nodes import Cluster, Node

from .evidence import clean_up, differences, invocations, standing
from .playbook import Run, daemonset, play

NAME = "careful"


@pytest.fixture(scope="module", autouse=True)
def nothing_left(cluster: Cluster, nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    clean_up(cluster, nodes, tmp_path_factory.mktemp("care"), (NAME,))


def careful(colour: str, size: int | str = 1, **annotations: str) -> dict[str, Any]:
    one = daemonset(
        NAME,
        {"terminationGracePeriodSeconds": 1},
        {f"everynode/{name}": value for name, value in annotations.items()},
        env=[{"name": "COLOUR", "value": colour}],
    )
    one["spec"]["updateStrategy"] = {"rollingUpdate": {"maxUnavailable": size}}
    return one


def apply(inventory: Path, manifest: dict[str, Any], *arguments: str, **variables: Any) -> Run:
    return play("apply", inventory, *arguments, daemonset_manifests=[manifest], **variables)


def labelled(inventory: Path, labels: dict[str, dict[str, str]]) -> Path:
    """The same inventory with labels on its hosts."""
    content = yaml.safe_load(inventory.read_text())
    for host, own in labels.items():
        content["all"]["hosts"][host]["node_labels"] = own
    inventory.write_text(yaml.safe_dump(content))
    return inventory


def batches(run: Run) -> list[list[str]]:
    """Who was in each batch, from the lines that say which one begins."""
    return [line.split(", ") for line in re.findall(r"^batch \d+ of \d+: (.*?) · ", run.output, re.MULTILINE)]


def test_a_hold_forbids_every_change_on_its_node(nodes: list[Node], inventory: Callable[..., Path]) -> None:
    pair = nodes[:2]
    assert apply(inventory(pair), careful("black")).code == 0
    pair[0].run(
        r"mkdir -p /etc/everynode; printf '%s\n' 'measuring \current until Friday, ask Ada' >/etc/everynode/hold"
    )
    before = standing(pair[:1])
    held = apply(inventory(pair), careful("blue"))
    assert held.code != 0
    assert r"measuring \current until Friday, ask Ada" in held.output
    assert differences(before, standing(pair[:1])) == {}
    assert held.node(pair[0].name)["state"] == "held"
    assert held.node(pair[1].name)["state"] == "up to date"
    pair[0].run("rm -r /etc/everynode")
    assert apply(inventory(pair), careful("blue")).code == 0, "it is caught up with"


def test_a_saved_plan_is_applied_or_refused(nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> None:
    pair, saved = nodes[:2], str(tmp_path / "plan.json")
    assert apply(inventory(pair), careful("black")).code == 0
    planned = play("plan", inventory(pair), daemonset_manifests=[careful("blue")], daemonset_plan_file=saved)
    assert planned.code == 0, planned.output
    assert "+COLOUR=blue" in planned.output, "the difference on each node is part of the plan"
    before = invocations(pair, NAME)
    other = apply(inventory(pair), careful("green"), daemonset_plan_file=saved)
    assert other.code != 0
    assert "is not the plan any more" in other.output
    assert invocations(pair, NAME) == before
    assert apply(inventory(pair), careful("blue"), daemonset_plan_file=saved).code == 0
    again = apply(inventory(pair), careful("blue"), daemonset_plan_file=saved)
    assert again.code != 0, "it was applied already"
    assert "Traceback" not in again.output


def test_the_budget_is_of_all_nodes_whatever_the_limit(nodes: list[Node], inventory: Callable[..., Path]) -> None:
    assert apply(inventory(), careful("black")).code == 0
    nodes[3].run(f"systemctl stop everynode.default.{NAME}.service")
    before = invocations(nodes[:1], NAME)
    limited = apply(inventory(), careful("blue"), "--limit", nodes[0].name)
    assert limited.code != 0
    assert f"is used up by {nodes[3].name}" in limited.output
    assert invocations(nodes[:1], NAME) == before
    assert apply(inventory(), careful("blue")).code == 0


@pytest.mark.soak
def test_canaries_come_first_and_racks_one_after_the_other(nodes: list[Node], inventory: Callable[..., Path]) -> None:
    names = [node.name for node in nodes]
    labels = {name: {"rack": "ab"[index % 2], "os": "old" if index == 3 else "new"} for index, name in enumerate(names)}
    racks = labelled(inventory(), labels)
    assert apply(racks, careful("black", "100%")).code == 0
    done = apply(racks, careful("blue", "100%", canary="one-per=os", topology="rack"))
    assert done.code == 0, done.output
    first, second, third, last = names
    assert batches(done) == [[first], [last], [third], [second]] or batches(done) == [
        [first],
        [last],
        [second],
        [third],
    ]


@pytest.mark.soak
def test_a_window_that_closes_meanwhile_is_no_failure(nodes: list[Node], inventory: Callable[..., Path]) -> None:
    assert apply(inventory(), careful("black")).code == 0
    before = invocations(nodes, NAME)
    now = float(nodes[0].run("date +%s.%N").stdout)
    closes = datetime.fromtimestamp(now + 15 + 60, UTC)  # the end of the minute in which it will be in 15 seconds
    slow = careful("blue", window=f"{closes - timedelta(hours=2):%H:%M}-{closes:%H:%M}")
    slow["spec"]["minReadySeconds"] = 25
    done = apply(inventory(), slow)
    assert done.code == 0, done.output
    assert "left as it is, its maintenance window has closed; it opens" in done.output
    after = invocations(nodes, NAME)
    left = [node for node in nodes if after[node.name] == before[node.name]]
    assert 0 < len(left) < len(nodes)
    for node in left:
        assert "it waits for its maintenance window, which opens" in done.node(node.name)["reason"]


@pytest.mark.soak
def test_as_soon_as_one_is_available_the_next_begins(nodes: list[Node], inventory: Callable[..., Path]) -> None:
    assert apply(inventory(), careful("black")).code == 0
    before = invocations(nodes, NAME)
    done = apply(inventory(), careful("blue", pace="window"))
    assert done.code == 0, done.output
    assert all(before[name] != new for name, new in invocations(nodes, NAME).items())
    assert len(batches(done)) == 1
    began = [
        int(node.run(f"systemctl show -P ActiveEnterTimestampMonotonic everynode.default.{NAME}").stdout)
        for node in nodes
    ]
    # Each has to run steadily for a second before the next is stopped.
    assert all(later - earlier > 900_000 for earlier, later in itertools.pairwise(sorted(began)))
