# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples as they stand, with the distribution's own daemons, on nodes of their own: each does its job.

The tests go on from one another, from the first apply to the delete.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.nodes import Cluster, Node, NodeSpec

from .playbook import Run, play, until, write

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "manifests"
# So long a daemon may take until it does its job: collectd writes every ten seconds.
SECONDS = 60
LAST_WORDS = "systemctl status --no-pager --lines=5 {0} || true"


def serves_metrics(node: Node) -> bool:
    try:
        with urllib.request.urlopen(f"http://{node.address}:9100/metrics", timeout=5) as answer:
            return b"\nnode_load1 " in answer.read()
    except (urllib.error.URLError, ConnectionError):
        return False


def files_what_is_logged(node: Node) -> bool:
    word = uuid.uuid4().hex
    node.run(f"logger -t somebody {word}")
    found = f"timeout 5 sh -c 'until grep -q \"somebody.* {word}\" /var/log/syslog; do sleep 0.1; done'"
    return node.run(found, check=False).returncode == 0


ASK_ZABBIX = r"""
import socket
with socket.create_connection(("127.0.0.1", 10050), 5) as agent:
    agent.sendall(b"ZBXD\x01" + (10).to_bytes(8, "little") + b"agent.ping")
    print(b"".join(iter(lambda: agent.recv(100), b"")))
"""


def answers_zabbix(node: Node) -> bool:
    said = node.run(f"python3 -c '{ASK_ZABBIX}'", check=False).stdout.strip()
    return said == repr(b"ZBXD\x01" + (1).to_bytes(8, "little") + b"1")


def writes_values(node: Node) -> bool:
    recent = "find /var/lib/collectd/csv -path '*/load/load-*' -newermt '-15 seconds' -size +0"
    return node.run(recent, check=False).stdout != ""


def looks_at_its_disks(node: Node) -> bool:
    alive = node.run("stat -c %u /run/everynode/everynode.operations.disk-watch/state/alive", check=False)
    return alive.stdout == "65534\n"


@dataclass(frozen=True)
class Daemon:
    key: str
    manifest: str  # a file or folder of the examples
    does_its_job: Callable[[Node], bool]
    package: str | None  # brings a unit of the same name

    @property
    def unit(self) -> str:
        return f"everynode.{self.key.replace('/', '.')}.service"


DAEMONS = (
    Daemon("monitoring/node-exporter", "node-exporter.yaml", serves_metrics, "prometheus-node-exporter"),
    Daemon("logging/rsyslog", "rsyslog", files_what_is_logged, "rsyslog"),
    Daemon("monitoring/zabbix-agent", "zabbix-agent", answers_zabbix, "zabbix-agent"),
    Daemon("monitoring/collectd", "collectd", writes_values, "collectd"),
    Daemon("operations/disk-watch", "disk-watch", looks_at_its_disks, None),
)
PACKAGED = [daemon.package for daemon in DAEMONS if daemon.package]
MANIFESTS = [str(EXAMPLES / daemon.manifest) for daemon in DAEMONS]
# Where the distribution's own unit ran before we came.
BEFORE = {"node2": "rsyslog", "node4": "prometheus-node-exporter"}


@pytest.fixture(scope="module")
def fleet(cluster: Cluster) -> Iterator[list[Node]]:
    """Nodes of their own, because what a package leaves behind is not taken away again."""
    own = Cluster(f"{cluster.name}-daemons")
    own.down()
    suites = ("trixie", "trixie", "bookworm", "bookworm")
    fleet = own.up(NodeSpec(f"node{number}", suite) for number, suite in enumerate(suites, 1))
    install = "DEBIAN_FRONTEND=noninteractive apt-get -qq -y install {0} && systemctl is-active {0}"
    each([node for node in fleet if node.name in BEFORE], lambda node: node.run(install.format(BEFORE[node.name])))
    yield fleet
    if not os.environ.get("EVERYNODE_KEEP_NODES"):
        own.down()


@pytest.fixture(scope="module")
def estate(cluster: Cluster, fleet: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Path:
    own = Cluster(f"{cluster.name}-daemons")
    labels = {"all": {"node_labels": {"metrics": "prometheus"}}}
    return own.write_inventory(fleet, path=tmp_path_factory.mktemp("estate") / "inventory.yml", group_vars=labels)


@pytest.fixture(scope="module")
def applied(estate: Path) -> Run:
    return play("apply", estate, daemonset_manifests=MANIFESTS)


def each(nodes: list[Node], act: Callable[[Node], object]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(act, nodes))


def shown(node: Node, unit: str, name: str) -> str:
    return node.run(f"systemctl show -P {name} {unit}").stdout.strip()


def assert_all_do_their_jobs(fleet: list[Node]) -> None:
    def idle(node: Node) -> list[str]:
        """Those that do not do their jobs, however long one waits."""
        end = time.monotonic() + SECONDS
        waiting = list(DAEMONS)
        while waiting and time.monotonic() < end:
            waiting = [daemon for daemon in waiting if not daemon.does_its_job(node)]
        return [f"{daemon.key} on {node.name}: {node.run(LAST_WORDS.format(daemon.unit)).stdout}" for daemon in waiting]

    with ThreadPoolExecutor() as pool:
        assert list(pool.map(idle, fleet)) == [[]] * len(fleet)


def assert_nothing_to_do(estate: Path) -> None:
    again = play("apply", estate, daemonset_manifests=MANIFESTS)
    assert again.code == 0, again.output
    assert again.changed == 0, again.output


def test_one_that_runs_already_and_is_not_named_is_left_alone(fleet: list[Node], estate: Path, tmp_path: Path) -> None:
    manifest = yaml.safe_load((EXAMPLES / "node-exporter.yaml").read_text())
    del manifest["metadata"]["annotations"]
    node, unit = fleet[3], "prometheus-node-exporter.service"
    before = shown(node, unit, "InvocationID")
    files = write(tmp_path / "node-exporter.yaml", manifest)
    refused = play("apply", estate, "--limit", node.name, daemonset_manifests=files)
    assert refused.code != 0
    assert f"{unit} is running on this node and would be a second instance" in refused.output
    assert f"everynode/replaces: {unit}" in refused.output
    assert "Traceback" not in refused.output
    assert shown(node, unit, "ActiveState") == "active"
    assert shown(node, unit, "InvocationID") == before
    assert node.run("ls -d /var/lib/everynode /etc/systemd/system/everynode.*", check=False).stdout == ""


def test_each_does_its_job(fleet: list[Node], applied: Run) -> None:
    assert applied.code == 0, applied.output
    assert [item["status"]["numberAvailable"] for item in applied.items] == [len(fleet)] * len(DAEMONS), applied.output
    assert_all_do_their_jobs(fleet)


def test_a_second_apply_finds_nothing_to_do(estate: Path, applied: Run) -> None:
    assert applied.code == 0
    assert_nothing_to_do(estate)


@pytest.mark.parametrize("daemon", [pytest.param(daemon, id=daemon.key) for daemon in DAEMONS if daemon.package])
def test_the_packages_own_unit_does_not_run_beside_ours(daemon: Daemon, fleet: list[Node], applied: Run) -> None:
    theirs = f"{daemon.package}.service"
    for node in fleet:
        assert node.run(f"systemctl is-enabled {theirs}; systemctl is-active {theirs}", check=False).stdout == (
            "masked\ninactive\n"
        )
        assert bool(starts(node, theirs)) == (BEFORE.get(node.name) == daemon.package)
        assert max(starts(node, theirs), default=0) < min(starts(node, daemon.unit))


def starts(node: Node, unit: str) -> list[int]:
    """When systemd began to start it, in microseconds, since the node's first boot."""
    entries = node.run(f"journalctl --quiet --output=json --unit={unit} JOB_TYPE=start", check=False).stdout
    return [int(json.loads(entry)["__REALTIME_TIMESTAMP"]) for entry in entries.splitlines()]


def test_a_killed_one_is_back_by_itself(fleet: list[Node], applied: Run) -> None:
    def kill_all(node: Node) -> None:
        killed = {daemon: shown(node, daemon.unit, "MainPID") for daemon in DAEMONS}
        node.run("kill -KILL " + " ".join(killed.values()))
        for daemon, before in killed.items():
            until(lambda unit=daemon.unit, before=before: shown(node, unit, "MainPID") not in ("0", before))  # type: ignore[misc]

    each(fleet, kill_all)
    assert_all_do_their_jobs(fleet)


def test_all_are_back_after_a_reboot(fleet: list[Node], estate: Path, applied: Run) -> None:
    each(fleet, Node.reboot)
    assert_all_do_their_jobs(fleet)
    for node in fleet:
        for package in PACKAGED:
            assert shown(node, f"{package}.service", "ActiveState") == "inactive"
    assert_nothing_to_do(estate)


def test_delete_gives_back_what_was_replaced_and_leaves_nothing(fleet: list[Node], estate: Path, applied: Run) -> None:
    done = play("delete", estate, daemonset_manifests=MANIFESTS)
    assert done.code == 0, done.output
    for node in fleet:
        for package in PACKAGED:
            states = node.run(f"systemctl is-active {package}; systemctl is-enabled {package}", check=False).stdout
            assert states == ("active\nenabled\n" if BEFORE.get(node.name) == package else "inactive\ndisabled\n")
        left = node.run(
            "ls -d /var/lib/everynode /etc/systemd/system/*everynode* /etc/systemd/system/*/*everynode* "
            "/run/everynode; systemctl list-units --all --no-legend --plain 'everynode.*'",
            check=False,
        )
        assert left.stdout == "", node.name
        assert node.run("pgrep -fa '[e]verynode'", check=False).stdout == ""
