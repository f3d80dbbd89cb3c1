# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A revision that fails, or that nobody confirms: the node goes back to its last good one, and remembers it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import Cluster, Node

from .chaos import kill
from .evidence import clean_up, invocations, unit
from .playbook import Run, begin, daemonset, play, until

NAMES = ("fickle", "cutter")
# It takes the node's SSH away for as long as it runs, as a firewall's agent might.
CUTS_SSH = "trap 'systemctl start ssh; exit' TERM; systemctl stop ssh.socket ssh; while :; do sleep 1; done"
READY_SOON = {"exec": {"command": ["true"]}, "periodSeconds": 1}


@pytest.fixture(scope="module", autouse=True)
def nothing_left(cluster: Cluster, nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    clean_up(cluster, nodes, tmp_path_factory.mktemp("recovery"), NAMES)


def fickle(colour: str, program: str = "sleep infinity", policy: str = "revert", **container: Any) -> dict[str, Any]:
    """One node at a time; ``colour`` makes a revision."""
    one = daemonset(
        "fickle",
        {"terminationGracePeriodSeconds": 1},
        {"everynode/on-failure": policy, "everynode/confirm-timeout": "3s"},
        image="host:///bin/sh",
        args=["-c", program],
        env=[{"name": "COLOUR", "value": colour}],
        **container,
    )
    one["spec"]["updateStrategy"] = {"rollingUpdate": {"maxUnavailable": 1}}
    return one


def apply(inventory: Path, manifest: dict[str, Any], **variables: Any) -> Run:
    return play("apply", inventory, daemonset_manifests=[manifest], daemonset_timeout=8, **variables)


def colour(node: Node, name: str = "fickle") -> str:
    """Of the instance that runs at this moment, "" between two."""
    environment = f"cat /proc/$(systemctl show -P MainPID {unit(name)})/environ"
    words = node.run(environment, check=False).stdout.split("\0")
    return next((word.partition("=")[2] for word in words if word.startswith("COLOUR=")), "")


def record(node: Node, name: str = "fickle") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(node.run(f"cat /var/lib/everynode/default/{name}/record.json").stdout)
    return found


def unconfirmed(node: Node, name: str = "fickle") -> list[str]:
    """What its timer may yet put back."""
    timers = f"systemctl list-units --all --plain --no-legend 'everynode-confirm.default.{name}.*.timer'"
    return node.run(f"ls -A /var/lib/everynode/default/{name} | grep unconfirmed; {timers}", check=False).stdout.split()


@pytest.mark.soak
def test_a_failed_revision_is_not_tried_again_until_it_changes_or_is_forced(
    nodes: list[Node], inventory: Callable[..., Path]
) -> None:
    pair = nodes[:2]
    assert apply(inventory(pair), fickle("black")).code == 0
    bad = fickle("bad", "test -e /run/mended && exec sleep infinity; exit 3")
    failed = apply(inventory(pair), bad)
    assert failed.code != 0
    assert [colour(node) for node in pair] == ["black", "black"]
    before = invocations(pair, "fickle")
    again = apply(inventory(pair), bad)
    assert again.code != 0
    assert again.changed == 0
    assert invocations(pair, "fickle") == before, "what had failed was tried again"
    assert "failed here on" in again.output
    assert "daemonset_force" in again.output
    for node in pair:
        node.run("touch /run/mended")
    assert apply(inventory(pair), bad, daemonset_force=True).code == 0
    assert [colour(node) for node in pair] == ["bad", "bad"]
    assert [record(node)["failed"] for node in pair] == [[], []], "it has not failed after all"
    assert apply(inventory(pair), fickle("blue")).code == 0
    assert [colour(node) for node in pair] == ["blue", "blue"]


@pytest.mark.soak
def test_with_halt_the_failed_instance_stays_as_in_kubernetes(
    nodes: list[Node], inventory: Callable[..., Path]
) -> None:
    pair = nodes[:2]
    assert apply(inventory(pair), fickle("black")).code == 0
    never_ready = {"readinessProbe": {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}}
    assert apply(inventory(pair), fickle("grey", policy="halt", **never_ready)).code != 0
    assert sorted(colour(node) for node in pair) == ["black", "grey"]
    assert apply(inventory(pair), fickle("black")).code == 0


@pytest.mark.soak
def test_with_rollback_all_of_this_rollout_go_back(nodes: list[Node], inventory: Callable[..., Path]) -> None:
    three = nodes[:3]
    assert apply(inventory(three), fickle("black")).code == 0
    three[2].run("touch /run/bad")
    bad = fickle("bad", "test -e /run/bad && exit 3; exec sleep infinity", policy="rollback")
    failed = apply(inventory(three), bad)
    assert failed.code != 0
    assert failed.output.count("went back from revision") == 2, failed.output
    assert [colour(node) for node in three] == ["black"] * 3
    again = apply(inventory(three), bad)
    assert again.changed == 0
    assert again.code != 0
    assert apply(inventory(three), fickle("black")).code == 0


@pytest.mark.soak
def test_with_continue_so_many_may_fail(nodes: list[Node], inventory: Callable[..., Path]) -> None:
    assert apply(inventory(nodes), fickle("black")).code == 0
    for node in nodes[1:3]:
        node.run("touch /run/worse")
    worse = fickle("worse", "test -e /run/worse && exit 3; exec sleep infinity", policy="continue")
    worse["metadata"]["annotations"]["everynode/max-failures"] = "1"
    assert apply(inventory(nodes), worse).code != 0
    assert [colour(node) for node in nodes] == ["worse", "black", "black", "black"], "the second failure halts it"
    worse["metadata"]["annotations"]["everynode/max-failures"] = "50%"
    assert apply(inventory(nodes), worse).code != 0
    assert [colour(node) for node in nodes] == ["worse", "black", "black", "worse"]
    assert apply(inventory(nodes), fickle("black")).code == 0


@pytest.mark.soak
def test_a_node_that_nobody_confirms_goes_back_by_itself(nodes: list[Node], inventory: Callable[..., Path]) -> None:
    pair = nodes[:2]
    assert apply(inventory(pair), fickle("black")).code == 0
    slow = fickle("slow", readinessProbe={**READY_SOON, "initialDelaySeconds": 2, "failureThreshold": 1})
    run = begin("apply", inventory(pair), daemonset_manifests=[slow], daemonset_timeout=2)
    until(lambda: any(colour(node) == "slow" for node in pair))
    kill(run, with_workers=True)
    touched = next(node for node in pair if colour(node) == "slow")
    until(lambda: colour(touched) == "black")
    assert unconfirmed(touched) == []
    assert record(touched)["unheard"], "its record says why it went back"
    again = apply(inventory(pair), slow)
    assert again.code == 0, again.output  # a control node that died says nothing against the revision
    assert [colour(node) for node in pair] == ["slow", "slow"]


def test_the_next_apply_carries_on_where_a_killed_one_was(nodes: list[Node], inventory: Callable[..., Path]) -> None:
    pair = nodes[:2]
    assert apply(inventory(pair), fickle("black")).code == 0
    patient = fickle("green", readinessProbe={**READY_SOON, "initialDelaySeconds": 2})
    patient["metadata"]["annotations"]["everynode/confirm-timeout"] = "5m"
    run = begin("apply", inventory(pair), daemonset_manifests=[patient])
    until(lambda: any(colour(node) == "green" for node in pair))
    kill(run, with_workers=True)
    touched = next(node for node in pair if colour(node) == "green")
    before = invocations([touched], "fickle")
    assert apply(inventory(pair), patient).code == 0
    assert [colour(node) for node in pair] == ["green", "green"]
    assert invocations([touched], "fickle") == before, "nothing is restarted twice"
    assert [unconfirmed(node) for node in pair] == [[], []]


def test_a_revision_that_cuts_the_node_off_heals_without_hands(
    nodes: list[Node], inventory: Callable[..., Path]
) -> None:
    def cutter(colour: str, program: str) -> dict[str, Any]:
        one = fickle(colour, program, readinessProbe=READY_SOON)
        one["metadata"]["name"] = "cutter"
        one["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 10
        return one

    pair = nodes[:2]
    assert apply(inventory(pair), cutter("black", "sleep infinity")).code == 0
    lost = apply(inventory(pair), cutter("dark", CUTS_SSH))
    assert lost.code != 0
    assert "it cannot be reached any more since it was switched" in lost.output
    assert sorted(colour(node, "cutter") for node in pair) == ["black", "dark"], "the rollout halts at the first"
    until(lambda: [colour(node, "cutter") for node in pair] == ["black", "black"])
    until(lambda: play("status", inventory(pair), daemonset_manifests=[cutter("black", "sleep infinity")]).code == 0)
