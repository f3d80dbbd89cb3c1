# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""maxSurge: the new revision serves beside the old one before that stops, under every runtime."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.nodes import Cluster, Node

from .chaos import kill, refused
from .evidence import invocations
from .lanterns import SYSTEMD, Lanterns, lanterns_on
from .playbook import begin, until

SURGE = {"max_unavailable": 0, "max_surge": "100%"}
LEFT = "ls -d /var/lib/everynode/*/*_surge; systemctl list-units --all --no-legend '*_surge*' 'everynode-confirm*'"


@pytest.fixture(scope="module")
def surging(cluster: Cluster, engine_nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lanterns]:
    """Every runtime; two at once may run on a node for as long as one is replaced."""
    for lanterns in lanterns_on(cluster, engine_nodes, tmp_path_factory.mktemp("surge"), most=2):
        lanterns.runtimes["docker2"] = SYSTEMD
        yield lanterns


def assert_nothing_stands_in(nodes: list[Node]) -> None:
    for node in nodes:
        assert node.run(LEFT, check=False).stdout == "", node.name


def test_an_update_leaves_no_node_without_an_instance(surging: Lanterns) -> None:
    surging.stand("red", **SURGE)
    began = {name: len(sampler.moments()) - 1 for name, sampler in surging.samplers.items()}

    surging.converge("blue", **SURGE)

    for name, sampler in surging.samplers.items():
        running = [sorted(moment.running.values()) for moment in sampler.moments()[began[name] :]]
        assert [] not in running, f"{name}: {running}"
        assert ["single.blue", "single.red"] in running, f"{name}: {running}"
    assert_nothing_stands_in(surging.nodes)


@pytest.mark.soak
def test_a_revision_that_does_not_work_touches_nothing_that_serves(surging: Lanterns) -> None:
    surging.stand("red", **SURGE)
    before = [invocations(surging.nodes, "single"), *(sampler.now() for sampler in surging.samplers.values())]

    failed = refused(surging.apply("dead", program="exit 3", seconds=5, **SURGE))

    assert "What ran before has not been touched." in failed
    after = [invocations(surging.nodes, "single"), *(sampler.now() for sampler in surging.samplers.values())]
    assert after == before
    assert_nothing_stands_in(surging.nodes)
    assert surging.apply("dead", program="exit 3", seconds=5, **SURGE).changed == 0  # the failure is remembered


@pytest.mark.soak
def test_what_a_killed_run_left_standing_in_goes(surging: Lanterns) -> None:
    surging.stand("red", **SURGE)
    never_ready = {"readinessProbe": {"exec": {"command": ["/bin/false"]}, "periodSeconds": 1}}
    manifest = surging.manifest("blue", **SURGE, **never_ready)
    run = begin("apply", surging.inventory(), daemonset_manifests=manifest, daemonset_timeout=120)
    until(lambda: any(len(sampler.now()) == 2 for sampler in surging.samplers.values()))
    kill(run, with_workers=True)
    for node in surging.nodes:
        node.run("pkill -KILL -f /var/lib/everynode/.program/", check=False)
    assert any(len(sampler.now()) == 2 for sampler in surging.samplers.values())

    rebooted = surging.nodes[:3]  # Docker's, systemd's and Podman's
    for node in rebooted:
        node.reboot()
    for node in rebooted:
        until(lambda node=node: len(surging.samplers[node.name].now()) == 1)  # type: ignore[misc]

    surging.converge("red", **SURGE)

    for node in rebooted:
        began = max(index for index, moment in enumerate(surging.samplers[node.name].moments()) if moment.running == {})
        running = [len(moment.running) for moment in surging.samplers[node.name].moments()[began + 1 :]]
        assert running.count(2) == 0, f"{node.name}: what stood in came up with the node: {running}"

    for node in surging.nodes:
        node.run("systemctl stop 'everynode-confirm*.timer'")  # would find nothing to do
    assert_nothing_stands_in(surging.nodes)
