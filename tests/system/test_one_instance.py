# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exactly one instance: made, changed, put right after anybody's hand, and gone without a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.nodes import Cluster, Node

from .playbook import Run, daemonset, play, write

NAME = "beacon"
UNIT = f"everynode.default.{NAME}.service"
# What a process of this DaemonSet looks like; nothing else on a node sleeps so long.
SECONDS = 987654321


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    return write(tmp_path / "beacon.yaml", beacon())


def beacon(**container: object) -> dict[str, object]:
    return daemonset(NAME, args=[str(SECONDS)], **container)


@pytest.fixture(scope="module", autouse=True)
def nothing_left(cluster: Cluster, nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    delete(nodes, cluster.write_inventory(nodes, path=tmp_path_factory.mktemp("beacon") / "inventory.yml"))


@pytest.fixture
def nothing_yet(nodes: list[Node], inventory: Callable[..., Path]) -> None:
    """The tests of this file go on with what they find; these begin with nothing."""
    if any(node.run("ls /var/lib/everynode", check=False).stdout for node in nodes):
        delete(nodes, inventory())


def delete(nodes: list[Node], inventory: Path) -> None:
    done = play("delete", inventory, daemonset_names=NAME)
    assert done.code == 0, done.output
    for node in nodes:
        left = node.run(
            "ls -d /var/lib/everynode /etc/systemd/system/*everynode* /etc/systemd/system/*/*everynode* "
            "/run/everynode/*; systemctl list-units --all --no-legend --plain 'everynode.*'",
            check=False,
        ).stdout
        assert left == "", f"{node.name}: {left}"


def processes(node: Node) -> int:
    return len(node.run(f"pgrep -f 'sleep {SECONDS}$'", check=False).stdout.split())


def assert_one_each(nodes: list[Node], inventory: Path, manifest: str) -> None:
    """One process on every node, of a unit that is active and enabled; and a further apply finds nothing to do."""
    for node in nodes:
        assert processes(node) == 1, node.run("ps ax").stdout
        assert node.run(f"systemctl is-active {UNIT}; systemctl is-enabled {UNIT}").stdout.split() == [
            "active",
            "enabled",
        ]
    again = play("apply", inventory, daemonset_manifests=manifest)
    assert again.code == 0, again.output
    assert again.changed == 0, again.output


def apply(inventory: Path, manifest: str, *arguments: str) -> Run:
    return play("apply", inventory, *arguments, daemonset_manifests=manifest)


def test_created_then_left_alone(
    nothing_yet: None, nodes: list[Node], inventory: Callable[..., Path], manifest: str
) -> None:
    first = apply(inventory(), manifest)
    assert first.code == 0, first.output
    assert first.status["desiredNumberScheduled"] == first.status["numberAvailable"] == len(nodes)
    assert_one_each(nodes, inventory(), manifest)


def test_check_mode_tells_and_does_nothing(
    nothing_yet: None, nodes: list[Node], inventory: Callable[..., Path], manifest: str
) -> None:
    foretold = apply(inventory(), manifest, "--check", "--diff")
    assert f'+ExecStart="/usr/bin/sleep" "{SECONDS}"' in foretold.output
    assert [processes(node) for node in nodes] == [0] * len(nodes)
    assert nodes[0].run("ls -d /var/lib/everynode /run/everynode", check=False).stdout == ""
    done = apply(inventory(), manifest)
    assert done.recap.keys() == foretold.recap.keys()
    for host, counts in done.recap.items():
        assert counts["changed"] == foretold.recap[host]["changed"], (foretold.output, done.output)


def test_a_change_replaces_it(nodes: list[Node], inventory: Callable[..., Path], manifest: str, tmp_path: Path) -> None:
    apply(inventory(), manifest)
    before = [node.run(f"systemctl show -P MainPID {UNIT}").stdout for node in nodes]
    units = [node.run(f"ls --inode /etc/systemd/system/{UNIT}").stdout for node in nodes]
    changed = write(tmp_path / "beacon.yaml", beacon(env=[{"name": "COLOUR", "value": "blue"}]))
    done = apply(inventory(), changed)
    assert done.code == 0, done.output
    for node, pid in zip(nodes, before, strict=True):
        now = node.run(f"systemctl show -P MainPID {UNIT}").stdout
        assert now != pid
        assert "COLOUR=blue" in node.run(f"tr '\\0' '\\n' </proc/{now.strip()}/environ").stdout.split("\n")
    # A variable is nothing of the unit, so systemd need not read that anew.
    assert [node.run(f"ls --inode /etc/systemd/system/{UNIT}").stdout for node in nodes] == units
    assert_one_each(nodes, inventory(), changed)


@pytest.mark.soak
def test_a_revision_that_fails_leaves_what_ran_running(
    nodes: list[Node], inventory: Callable[..., Path], manifest: str, tmp_path: Path
) -> None:
    good = apply(inventory(), manifest)
    # The fourth node has nothing to lose: there the failing one is left for systemd to try again.
    play("delete", inventory(), "--limit", nodes[3].name, daemonset_names=NAME)
    bad = write(
        tmp_path / "bad.yaml", daemonset(NAME, image="host:///bin/sh", args=["-c", "echo no such spool; exit 3"])
    )
    failed = apply(inventory(nodes[:3]), bad)
    assert failed.code != 0
    assert "no such spool" in failed.output
    assert "was put back and is ready" in failed.output
    for node in nodes[:3]:
        assert processes(node) == 1
        assert node.run(f"readlink /var/lib/everynode/default/{NAME}/current").stdout.strip() == (
            "revisions/" + good.node(node.name)["revision"]
        )
    assert apply(inventory(), manifest).code == 0
    assert_one_each(nodes, inventory(), manifest)


def test_a_port_that_is_taken_is_refused_before_anything_stops(
    nodes: list[Node], inventory: Callable[..., Path], manifest: str, tmp_path: Path
) -> None:
    apply(inventory(), manifest)
    nodes[0].run("systemd-run --unit=squatter python3 -m http.server 8098")
    nodes[0].run("timeout 10 sh -c 'until ss -ltn | grep -q :8098; do sleep 0.1; done'")
    try:
        ports = [{"containerPort": 8098, "hostPort": 8098}]
        refused = apply(inventory(), write(tmp_path / "port.yaml", beacon(ports=ports)))
        assert refused.code != 0
        assert "8098" in refused.output
        assert "squatter" in refused.output
        assert [processes(node) for node in nodes] == [1] * len(nodes)
    finally:
        nodes[0].run("systemctl stop squatter")


DAMAGE = {
    "stopped": f"systemctl stop {UNIT}",
    "disabled": f"systemctl disable -q {UNIT}",
    "killed for good": f"systemctl kill -s KILL {UNIT}; systemctl stop {UNIT}",
    "unit edited": f"sed -i s/KillMode=mixed/KillMode=process/ /etc/systemd/system/{UNIT}",
    "unit edited and loaded": f"echo '# x' >>/etc/systemd/system/{UNIT}; "
    f"systemctl daemon-reload; systemctl restart {UNIT}",
    "unit overridden": f"mkdir /etc/systemd/system/{UNIT}.d; "
    f"printf '[Service]\\nNice=5\\n' >/etc/systemd/system/{UNIT}.d/override.conf; systemctl daemon-reload",
    "unit removed while it runs": f"rm /etc/systemd/system/{UNIT}; systemctl daemon-reload",
    "unit removed and stopped": f"systemctl disable -q --now {UNIT}; rm /etc/systemd/system/{UNIT}; "
    "systemctl daemon-reload",
    "masked": f"systemctl stop {UNIT}; ln -sf /dev/null /etc/systemd/system/{UNIT}; systemctl daemon-reload",
    "masked while it runs": f"ln -sf /dev/null /etc/systemd/system/{UNIT}; systemctl daemon-reload",
    "environment edited": f"echo X=1 >>/var/lib/everynode/default/{NAME}/current/environment/main",
    "file added": f"touch /var/lib/everynode/default/{NAME}/current/extra",
    "mode changed": f"chmod 644 /var/lib/everynode/default/{NAME}/current/definition.json",
    "record removed": f"rm /var/lib/everynode/default/{NAME}/record.json",
    "record emptied": f": >/var/lib/everynode/default/{NAME}/record.json",
    "state removed": "rm -r /var/lib/everynode",
    "revision removed": f"rm -r /var/lib/everynode/default/{NAME}/revisions",
    "link removed": f"rm /var/lib/everynode/default/{NAME}/current",
    "fingerprints emptied": f": >/var/lib/everynode/default/{NAME}/current/fingerprints",
    "a second copy of the unit runs": f"cd /etc/systemd/system; cp {UNIT} everynode.default.{NAME}.copy.service; "
    f"systemctl daemon-reload; systemctl enable -q --now everynode.default.{NAME}.copy.service",
}


# Every file, folder and link of ours with its mode, but for what a former revision left behind.
BELONGINGS = (
    f"now=$(readlink -f /var/lib/everynode/default/{NAME}/current); "
    "find /var/lib/everynode /etc/systemd/system -path '*/revisions/*' ! -path \"$now*\" -prune "
    "-o -path '*everynode*' -printf '%p %y %m %l\\n' | sort"
)


def belongings(node: Node) -> list[str]:
    return node.run(BELONGINGS).stdout.splitlines()


# A round damages each node in another way.
ROUNDS = [list(DAMAGE)[start : start + 4] for start in range(0, len(DAMAGE), 4)]
SHORT_ROUNDS = 1  # the rest is for the long tests


@pytest.mark.parametrize(
    "damages",
    [
        pytest.param(damages, id=", ".join(damages), marks=[pytest.mark.soak] if index >= SHORT_ROUNDS else [])
        for index, damages in enumerate(ROUNDS)
    ],
)
def test_put_right_after_anybodys_hand(
    damages: list[str], nodes: list[Node], inventory: Callable[..., Path], manifest: str
) -> None:
    assert apply(inventory(), manifest).code == 0
    before = [belongings(node) for node in nodes]
    for node, damage in zip(nodes, damages, strict=False):
        node.run(DAMAGE[damage])
    foretold = apply(inventory(), manifest, "--check")
    repaired = apply(inventory(), manifest)
    assert repaired.code == 0, repaired.output
    for node, damage in zip(nodes, damages, strict=False):
        assert repaired.recap[node.name]["changed"] > 0, f"{damage}: {repaired.output}"
    assert {h: c["changed"] for h, c in foretold.recap.items()} == {h: c["changed"] for h, c in repaired.recap.items()}
    assert_one_each(nodes, inventory(), manifest)
    assert [belongings(node) for node in nodes] == before


def test_a_killed_process_comes_back_by_itself(
    nodes: list[Node], inventory: Callable[..., Path], manifest: str
) -> None:
    apply(inventory(), manifest)
    for node in nodes:
        node.run(f"pkill -KILL -f 'sleep {SECONDS}$'")
        node.run(f"timeout 30 sh -c 'until pgrep -f \"sleep {SECONDS}$\"; do sleep 0.1; done'")
    assert_one_each(nodes, inventory(), manifest)


def test_it_starts_again_with_the_node(nodes: list[Node], inventory: Callable[..., Path], manifest: str) -> None:
    apply(inventory(), manifest)
    nodes[0].reboot()
    nodes[-1].reboot()
    assert_one_each(nodes, inventory(), manifest)


def test_a_foreign_unit_of_its_name_is_named_and_kept(
    nothing_yet: None, nodes: list[Node], inventory: Callable[..., Path], manifest: str
) -> None:
    foreign = "[Service]\nExecStart=/usr/bin/sleep 4321\n[Install]\nWantedBy=multi-user.target\n"
    nodes[0].write(f"/etc/systemd/system/{UNIT}", foreign)
    nodes[0].run(f"systemctl daemon-reload; systemctl start {UNIT}")
    try:
        refused = apply(inventory(), manifest)
        assert refused.code != 0
        assert f"{UNIT} exists" in refused.output
        assert "Traceback" not in refused.output
        assert refused.recap[nodes[0].name]["failed"] == 1
        assert nodes[0].read(f"/etc/systemd/system/{UNIT}") == foreign
        assert nodes[0].run(f"systemctl is-active {UNIT}").stdout.strip() == "active"
        # Another node's trouble keeps nobody from getting the instance that was missing.
        assert [processes(node) for node in nodes[1:]] == [1] * (len(nodes) - 1)
    finally:
        nodes[0].run(f"systemctl stop {UNIT}; rm /etc/systemd/system/{UNIT}; systemctl daemon-reload")


def test_an_unreachable_node_is_reported_and_stops_nobody(
    nothing_yet: None, nodes: list[Node], inventory: Callable[..., Path], manifest: str
) -> None:
    nodes[0].stop()
    try:
        done = apply(inventory(), manifest)
        assert done.code != 0
        assert done.recap[nodes[0].name]["failed"] == 1, done.output
        assert done.status["desiredNumberScheduled"] == len(nodes)
        assert done.status["numberAvailable"] == len(nodes) - 1
        assert [processes(node) for node in nodes[1:]] == [1] * (len(nodes) - 1)
    finally:
        nodes[0].start()
        nodes[0].wait()
    caught_up = apply(inventory(), manifest)
    assert caught_up.code == 0, caught_up.output
    assert_one_each(nodes, inventory(), manifest)


def test_a_node_that_loses_its_label_loses_its_instance(
    nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path
) -> None:
    manifest = write(
        tmp_path / "beacon.yaml", daemonset(NAME, {"nodeSelector": {"beacon": "yes"}}, args=[str(SECONDS)])
    )
    labelled = {node.name: {"node_labels": {"beacon": "yes"}} for node in nodes}
    assert apply(inventory(host_vars=labelled), manifest).status["numberReady"] == len(nodes)
    del labelled[nodes[1].name]
    done = apply(inventory(host_vars=labelled), manifest)
    assert done.code == 0, done.output
    assert done.status["desiredNumberScheduled"] == len(nodes) - 1
    assert processes(nodes[1]) == 0
    assert nodes[1].run("ls -d /var/lib/everynode", check=False).stdout == ""
