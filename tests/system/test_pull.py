# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes that nobody reaches: each has an ansible-core, a checkout of the estate and a reconciler for itself.

The tests go on from one another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.nodes import Cluster, Node, NodeSpec

from .control import Reconciler, install
from .evidence import clean_up, invocations, runs, unit, where_it_runs
from .playbook import daemonset, until

NAMES = ("own", "slow")
REPOSITORY = "/srv/repository"
SLOT = 60
ALIKE = "git config --global user.name x; git config --global user.email x@example.test"


class Estate:
    """The same Git repository on each node, as if it were one that they all fetch from."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        hosts = {"all": {"hosts": {node.name: {"node_labels": {"site": node.name}} for node in nodes}}}
        for node in nodes:
            install(node)
            node.run(f"{ALIKE}; git init --quiet {REPOSITORY} && mkdir {REPOSITORY}/manifests")
            node.write(f"{REPOSITORY}/hosts.yml", yaml.safe_dump(hosts))

    def commit(self, *manifests: Mapping[str, Any]) -> None:
        for node in self.nodes:
            for manifest in manifests:
                path = f"{REPOSITORY}/manifests/{manifest['metadata']['name']}.yaml"
                node.write(path, json.dumps(manifest))
            node.run(f"cd {REPOSITORY} && git add --all && git commit --quiet --message change")


def own(max_unavailable: int | str, **container: Any) -> dict[str, Any]:
    made = daemonset("own", {"terminationGracePeriodSeconds": 1}, {"everynode/confirm-timeout": "1s"}, **container)
    made["spec"]["updateStrategy"] = {"rollingUpdate": {"maxUnavailable": max_unavailable}}
    return made


@pytest.fixture(scope="module")
def pullers(cluster: Cluster) -> list[Node]:
    return cluster.up([NodeSpec(name, "trixie", ("ansible",)) for name in ("pull1", "pull2")])


@pytest.fixture(scope="module")
def estate(pullers: list[Node]) -> Estate:
    return Estate(pullers)


@pytest.fixture(scope="module")
def reconcilers(
    cluster: Cluster, pullers: list[Node], estate: Estate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Reconciler]]:
    variables = {
        "reconciler_pull": True,
        "reconciler_git_repository": REPOSITORY,
        "reconciler_inventory": ["hosts.yml"],
        "reconciler_manifests": ["manifests"],
        "reconciler_private_key_file": "",
        "reconciler_vault_password_file": "",
        "reconciler_metrics_file": "",
        "reconciler_variables": {"daemonset_pull_slot": SLOT, "daemonset_timeout": 2},
    }
    found = [
        Reconciler(cluster, node, "everynode-reconciler", tmp_path_factory.mktemp(node.name), **variables)
        for node in pullers
    ]
    yield found
    for one in found:
        one.idle()
        one.role(reconciler_state="absent")
    clean_up(cluster, pullers, tmp_path_factory.mktemp("pulled"), NAMES)


@pytest.mark.soak
def test_each_node_makes_itself_as_the_repository_says(
    reconcilers: list[Reconciler], estate: Estate, pullers: list[Node]
) -> None:
    only_here = daemonset("slow", {"nodeSelector": {"site": "pull2"}})
    estate.commit(own("100%", env=[{"name": "WORD", "value": "one"}]), only_here)
    for one in reconcilers:
        assert one.role().code == 0
    until(lambda: where_it_runs(pullers, "own") == ["pull1", "pull2"], 120)
    until(lambda: where_it_runs(pullers, "slow") == ["pull2"])
    for node in pullers:
        node.run("test ! -e /root/.ssh/known_hosts")


@pytest.mark.soak
def test_it_heals_and_follows_the_repository(
    reconcilers: list[Reconciler], estate: Estate, pullers: list[Node]
) -> None:
    pullers[0].run(f"systemctl stop {unit('own')}")
    until(lambda: runs(pullers[0], "own"))
    estate.commit(own("100%", env=[{"name": "WORD", "value": "two"}]))
    until(lambda: all(word(node) == "two" for node in pullers), 120)
    assert reconcilers[0].next_run() == "success", reconcilers[0].journal()


@pytest.mark.soak
def test_without_its_repository_it_fails_and_heals_all_the_same(
    reconcilers: list[Reconciler], pullers: list[Node]
) -> None:
    pullers[0].run(f"mv {REPOSITORY} {REPOSITORY}.away && systemctl stop {unit('own')}")
    assert reconcilers[0].next_run() == "exit-code"
    assert runs(pullers[0], "own")
    assert "What follows is with the last checkout" in reconcilers[0].journal()
    pullers[0].run(f"mv {REPOSITORY}.away {REPOSITORY}")


@pytest.mark.soak
def test_what_serves_is_replaced_in_turns(reconcilers: list[Reconciler], estate: Estate, pullers: list[Node]) -> None:
    before = invocations(pullers, "own")
    estate.commit(own(1, env=[{"name": "WORD", "value": "three"}]))
    committed = float(pullers[0].run("date +%s").stdout)
    assert reconcilers[0].next_run() == "success", reconcilers[0].journal()
    assert "it waits for its turn (what is declared is new here)" in reconcilers[0].journal()
    assert invocations(pullers, "own") == before
    until(lambda: all(word(node) == "three" for node in pullers), 8 * SLOT)
    begun = {node.name: started(node) for node in pullers}
    assert min(begun.values()) >= committed + 2 * SLOT
    assert {name: int(moment // SLOT % 2) for name, moment in begun.items()} == {"pull1": 0, "pull2": 1}


@pytest.mark.soak
def test_what_fails_is_put_back_by_each_node_itself_and_not_tried_again(
    reconcilers: list[Reconciler], estate: Estate, pullers: list[Node]
) -> None:
    bad = own("100%", image="host:///bin/sh", args=["-c", "exit 3"])
    estate.commit(own("100%", env=[{"name": "WORD", "value": "four"}]))
    for one in reconcilers:
        assert one.role().code == 0
    until(lambda: all(word(node) == "four" for node in pullers), 120)
    estate.commit(bad)
    for one, node in zip(reconcilers, pullers, strict=True):
        assert one.next_run() == "exit-code", one.journal()
        told = node.run("journalctl --output=cat --no-pager --unit=everynode-reconciler").stdout
        assert "was put back and is ready" in told, told
        assert word(node) == "four"
    before = invocations(pullers, "own")
    pullers[0].run(f"systemctl stop {unit('own')}")
    assert reconcilers[0].next_run() == "exit-code"
    assert reconcilers[1].next_run() == "exit-code"
    assert word(pullers[0]) == "four", "what was stopped comes back as it was"
    assert invocations(pullers[1:], "own") == {pullers[1].name: before[pullers[1].name]}


def word(node: Node) -> str:
    """Of the instance that runs at this moment, "" between two."""
    environment = f"cat /proc/$(systemctl show -P MainPID {unit('own')})/environ"
    words = node.run(environment, check=False).stdout.split("\0")
    return next((one.partition("=")[2] for one in words if one.startswith("WORD=")), "")


def started(node: Node) -> float:
    """When its instance was started, in seconds since the epoch."""
    return float(node.run(f'date +%s -d "$(systemctl show -P ExecMainStartTimestamp {unit("own")})"').stdout)
