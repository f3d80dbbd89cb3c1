# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role everynode.daemonset.reconciler on a real control node: its timer keeps real nodes as declared.

Nobody applies anything here but the timer. The tests go on from one another.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes import Cluster, Node

from .control import Control, Reconciler
from .evidence import clean_up, invocations, runs, unit, where_it_runs
from .playbook import daemonset, play, until

NAMES = ("keeper", "picky")
UNIT = "everynode-reconciler@fleet"
QUICK = {"terminationGracePeriodSeconds": 1}


@pytest.fixture(scope="module")
def reconciler(
    control: Control, cluster: Cluster, nodes: list[Node], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reconciler]:
    folder = tmp_path_factory.mktemp("reconciler")
    reconciler = Reconciler(cluster, control.node, UNIT, folder, reconciler_name="fleet")
    control.enlist(nodes[:3], {"node1": {"node_labels": {"picky": "yes"}}})
    control.declare(
        keeper=daemonset("keeper", QUICK), picky=daemonset("picky", {**QUICK, "nodeSelector": {"picky": "yes"}})
    )
    control.encrypt("picky")
    yield reconciler
    reconciler.idle()  # a run that is broken off keeps its leases for a while
    reconciler.role(reconciler_state="absent")
    clean_up(cluster, nodes, tmp_path_factory.mktemp("reconciled"), NAMES)


def test_a_check_of_the_role_writes_nothing(reconciler: Reconciler, control: Control) -> None:
    told = reconciler.role("--check")
    assert told.code == 0, told.output
    assert told.changed > 0
    assert control.node.run(f"ls -d /etc/{UNIT} /etc/systemd/system/{UNIT}.*", check=False).stdout == ""


def test_the_timer_makes_the_nodes_as_declared_without_root(
    reconciler: Reconciler, control: Control, nodes: list[Node]
) -> None:
    assert reconciler.role().code == 0
    until(lambda: reconciler.show("ExecMainExitTimestampMonotonic") != "0", 120)
    assert where_it_runs(nodes, "keeper") == ["node1", "node2", "node3"]
    assert where_it_runs(nodes, "picky") == ["node1"]
    assert reconciler.next_run() == "success", reconciler.journal()
    assert reconciler.show("User") == "everynode"
    assert 'everynode_last_run_success{reconciler="fleet"} 1' in reconciler.metrics()
    assert 'kube_daemonset_status_number_ready{namespace="default",daemonset="keeper"} 3' in reconciler.metrics()
    assert control.node.run(f"ls /run/{UNIT}", check=False).stdout == "", "the key stayed"
    assert reconciler.role().changed == 0


def test_damage_heals_and_hosts_come_and_change_within_one_run(
    reconciler: Reconciler, control: Control, nodes: list[Node]
) -> None:
    """Stopped, killed for good, edited, deleted; a host that is new, and one that is relabelled: all in one run."""
    one, two, three, four = nodes
    before = invocations([three], "keeper")
    one.run(f"systemctl stop {unit('keeper')}")
    two.run(f"rm -rf /var/lib/everynode /etc/systemd/system/everynode.* && systemctl kill {unit('keeper')}")
    three.run(f"sed -i s/infinity/3600/ /etc/systemd/system/{unit('keeper')}")
    control.enlist(nodes, {"node4": {"node_labels": {"picky": "yes"}}})
    assert reconciler.next_run() == "success", reconciler.journal()
    assert where_it_runs(nodes, "keeper") == ["node1", "node2", "node3", "node4"]
    assert invocations([three], "keeper") != before, "an edited unit went on as it was"
    assert where_it_runs(nodes, "picky") == ["node4"]
    assert one.run("ls -d /var/lib/everynode/default/picky", check=False).stdout == ""
    assert four.run("systemctl is-enabled " + unit("keeper"), check=False).returncode == 0


@pytest.mark.soak
def test_what_was_undone_stays_undone(
    reconciler: Reconciler, control: Control, nodes: list[Node], cluster: Cluster, tmp_path: Path
) -> None:
    assert reconciler.role().code == 0
    for value in ("0", "1"):
        control.declare(keeper=daemonset("keeper", QUICK, env=[{"name": "NEW", "value": value}]))
        assert reconciler.next_run() == "success", reconciler.journal()
    reconciler.idle()
    inventory = cluster.write_inventory(nodes, path=tmp_path / "inventory.yml")
    undone = play("undo", inventory, daemonset_manifests=[daemonset("keeper", QUICK)])
    assert undone.code == 0, undone.output
    before = invocations(nodes, "keeper")
    reconciler.next_run()
    assert invocations(nodes, "keeper") == before


@pytest.mark.soak
def test_a_run_that_hangs_is_ended_and_the_next_one_goes_on(
    reconciler: Reconciler, control: Control, nodes: list[Node]
) -> None:
    control.node.write(
        "/etc/systemd/system/alarm.service", "[Service]\nType=oneshot\nExecStart=/usr/bin/touch /run/alarm\n"
    )
    control.declare(keeper=daemonset("keeper", QUICK))
    assert reconciler.role().code == 0
    assert reconciler.next_run() == "success", reconciler.journal()
    nodes[0].run(f"systemctl stop {unit('keeper')}")
    nodes[1].run("pkill -STOP sshd")
    try:
        assert reconciler.role(reconciler_time_limit="8s", reconciler_on_failure=["alarm.service"]).code == 0
        assert reconciler.next_run() == "timeout"
    finally:
        nodes[1].run("pkill -CONT sshd")
    until(lambda: control.node.run("test -e /run/alarm", check=False).returncode == 0)
    assert 'everynode_last_run_success{reconciler="fleet"} 0' in reconciler.metrics()
    assert reconciler.role().code == 0
    assert reconciler.next_run() == "success", reconciler.journal()
    assert runs(nodes[0], "keeper")
    control.node.run("rm /etc/systemd/system/alarm.service")


def test_what_failed_is_not_rolled_out_again(reconciler: Reconciler, control: Control, nodes: list[Node]) -> None:
    before = invocations(nodes, "keeper")
    bad = daemonset("keeper", QUICK, image="host:///bin/sh", args=["-c", "exit 3"])
    bad["spec"]["updateStrategy"] = {"rollingUpdate": {"maxUnavailable": 1}}
    control.declare(keeper=bad)
    assert reconciler.next_run() == "exit-code"
    # A run that was under way may have been the one to try it.
    assert "was put back" in control.node.run(f"journalctl --output=cat --no-pager --unit={UNIT}").stdout
    after = invocations(nodes, "keeper")
    assert len(set(before.items()) - set(after.items())) == 1, "it went on after the first node had failed"
    for node in nodes:
        node.run(f"systemctl stop {unit('keeper')}")
    assert reconciler.next_run() == "exit-code"
    healed = invocations(nodes, "keeper")
    assert all(runs(node, "keeper") for node in nodes), reconciler.journal()
    assert reconciler.next_run() == "exit-code"
    assert invocations(nodes, "keeper") == healed
    assert 'everynode_last_run_success{reconciler="fleet"} 0' in reconciler.metrics()


def test_a_manifest_that_is_not_valid_touches_nothing(
    reconciler: Reconciler, control: Control, nodes: list[Node]
) -> None:
    before = invocations(nodes, "keeper")
    broken = daemonset("keeper", QUICK, resources={"limits": {"memory": "200Mo"}})
    control.declare(keeper=broken)
    assert reconciler.next_run() == "exit-code"
    assert '"200Mo" is not a quantity' in reconciler.journal()
    assert invocations(nodes, "keeper") == before


def test_a_report_changes_nothing_and_fails_where_something_is_wrong(
    reconciler: Reconciler, control: Control, nodes: list[Node]
) -> None:
    control.declare(keeper=daemonset("keeper", QUICK))
    assert reconciler.role(reconciler_mode="report").code == 0
    reconciler.idle()  # the last run that applied something has ended
    nodes[0].run(f"systemctl stop {unit('keeper')}")
    assert reconciler.next_run() == "exit-code"
    assert not runs(nodes[0], "keeper")
    assert "node1" in reconciler.journal()
    nodes[0].run(f"systemctl start {unit('keeper')}")
    assert reconciler.next_run() == "success", reconciler.journal()


def test_it_goes_without_a_trace(reconciler: Reconciler, control: Control, nodes: list[Node]) -> None:
    reconciler.idle()
    gone = reconciler.role(reconciler_state="absent")
    assert gone.code == 0, gone.output
    home = "/var/lib/everynode-reconciler"  # of the account, which stays
    found = control.node.run(f"find /etc /var/lib /run /srv/metrics -name '*everynode*' -not -path {home}").stdout
    assert found == ""
    assert control.node.run("systemctl list-units --all --no-legend 'everynode*'").stdout == ""
    assert runs(nodes[0], "keeper"), "what it applied went with it"
    again = reconciler.role(reconciler_state="absent")
    assert (again.code, again.changed) == (0, 0), again.output
