# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes that join and leave, DaemonSets that are declared no more, and typos that match nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import Cluster, Node

from .evidence import assert_clear, clean_up, differences, foretold_and_done, invocations, runs, standing, where_it_runs
from .playbook import daemonset, play

KEEP, OLD, OTHER = "resident", "attic/lodger", "lodger"
REPLACED = "gardener.service"


@pytest.fixture(scope="module", autouse=True)
def nothing_left(cluster: Cluster, nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    clean_up(cluster, nodes, tmp_path_factory.mktemp("joining"), [KEEP, OLD, OTHER])
    for node in nodes:
        node.run(f"systemctl disable --now {REPLACED}", check=False)
        node.run(f"rm -rf /etc/everynode /etc/systemd/system/{REPLACED}; systemctl daemon-reload")


def named(key: str, pod: dict[str, Any] | None = None, **annotations: str) -> dict[str, Any]:
    namespace, _slash, name = key.rpartition("/")
    one = daemonset(name, pod, annotations)
    one["metadata"]["namespace"] = namespace or "default"
    return one


def states(run: Any) -> dict[str, list[str]]:
    return {
        "/".join((item["metadata"]["namespace"], item["metadata"]["name"])): [node["state"] for node in item["nodes"]]
        for item in run.items
    }


def test_a_new_host_gets_everything_in_one_go_and_one_that_leaves_a_group_loses_it_all(
    nodes: list[Node], inventory: Callable[..., Path]
) -> None:
    first, second = nodes[:2]
    manifests = [named(KEEP), named(OLD), named(OTHER, {"nodeSelector": {"group/db": "true"}})]
    assert play("apply", inventory([first]), daemonset_manifests=manifests).code == 0
    before = invocations([first], KEEP)
    joined = play("apply", inventory([first, second], groups={"db": [second.name]}), daemonset_manifests=manifests)
    assert joined.code == 0, joined.output
    assert runs(second, KEEP)
    assert runs(second, "lodger", "attic")
    assert where_it_runs([first, second], OTHER) == [second.name]
    assert joined.recap[first.name]["changed"] == 0
    assert play("apply", inventory([first, second]), daemonset_manifests=manifests).code == 0
    for node in (first, second):
        assert node.run(f"find / /run -xdev -path '*{OTHER}*' -path '*default*'").stdout == ""
    assert invocations([first], KEEP) == before


def test_what_is_declared_no_more_is_pruned_where_somebody_says_so(
    nodes: list[Node], inventory: Callable[..., Path]
) -> None:
    pair = nodes[:2]
    hosts = inventory(pair)
    assert play("apply", hosts, daemonset_manifests=[named(KEEP), named(OLD), named(OTHER)]).code == 0
    here = {"daemonset_manifests": [named(KEEP)]}
    assert play("apply", hosts, **here).changed == 0, "nobody asked for it"

    # All of a namespace: the wrong folder of manifests, maybe.
    before = standing(pair)
    refused = play("apply", hosts, daemonset_prune="attic", **here)
    assert_clear(refused)
    assert "daemonset_prune: attic/lodger: 2 of 2 instances would be removed" in refused.output
    assert "allow it with -e daemonset_max_removals=2" in refused.output
    assert "no node was touched" in refused.output

    told = play("status", hosts, daemonset_prune="attic", daemonset_output="wide", **here)
    assert told.code != 0
    assert re.search(r"^resident +2 +2 .* main +host:///usr/bin/sleep +app=resident$", told.output, re.MULTILINE)
    assert (
        len(re.findall(r"^attic +node\d +lodger +yes +orphan +0 +\d+m?\d*s? .* systemd$", told.output, re.MULTILINE))
        == 2
    )
    assert states(told) == {"attic/lodger": ["orphan"] * 2, "default/resident": ["up to date"] * 2}
    assert differences(before, standing(pair)) == {}

    meant = {"daemonset_prune": "attic", "daemonset_max_removals": 2, **here}
    done = foretold_and_done(lambda: standing(pair), (), "apply", hosts, **meant)
    assert states(done) == {"attic/lodger": ["absent"] * 2, "default/resident": ["up to date"] * 2}
    for node in pair:
        assert node.run("cd /var/lib/everynode && ls -d */*").stdout.split() == ["default/lodger", "default/resident"]


@pytest.mark.soak
def test_a_selector_that_matches_nothing_is_taken_for_a_typo(nodes: list[Node], inventory: Callable[..., Path]) -> None:
    pair = nodes[:2]
    hosts = inventory(pair)
    assert play("apply", hosts, daemonset_manifests=[named(KEEP), named(OTHER)]).code == 0
    before = standing(pair)
    typo = [named(KEEP, {"nodeSelector": {"kubernetes.io/os": "linxu"}}), named(OTHER)]
    refused = play("apply", hosts, daemonset_manifests=typo)
    assert_clear(refused)
    assert "default/resident: 2 of 2 instances would be removed, from 2 nodes" in refused.output
    assert "nodeSelector wants kubernetes.io/os=linxu" in refused.output
    assert differences(before, standing(pair)) == {}
    meant = play("apply", hosts, daemonset_manifests=typo, daemonset_max_removals="100%")
    assert meant.code == 0, meant.output
    assert where_it_runs(pair, KEEP) == []
    assert where_it_runs(pair, OTHER) == [node.name for node in pair]


def test_a_node_that_leaves_is_drained_and_stays_empty(nodes: list[Node], inventory: Callable[..., Path]) -> None:
    pair = nodes[:2]
    leaving, staying = pair
    hosts = inventory(pair)
    unit = "[Service]\nExecStart=/usr/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
    leaving.run(
        f"printf '{unit}' >/etc/systemd/system/{REPLACED}; systemctl daemon-reload; systemctl enable --now {REPLACED}"
    )
    tolerant = named(KEEP, {"tolerations": [{"operator": "Exists"}]}, **{"everynode/replaces": REPLACED})
    here = {"daemonset_manifests": [tolerant, named(OTHER)]}
    assert play("apply", hosts, **here).code == 0
    assert leaving.run(f"systemctl is-active {REPLACED}", check=False).stdout.strip() != "active"
    before, there = standing(pair), invocations([staying], KEEP)

    for node, why in (
        ("nonesuch", "say which node is meant: -e daemonset_node=NODE"),
        ("all", "2 of 2 nodes would be drained: "),
    ):
        refused = play("drain", hosts, daemonset_node=node)
        assert_clear(refused)
        assert why in refused.output
    dry = play("drain", hosts, "--check", daemonset_node=leaving.name)
    assert dry.code == 0, dry.output
    assert f"{leaving.name}: default/{KEEP} would be removed" in dry.output
    assert differences(before, standing(pair)) == {}

    drained = play("drain", hosts, daemonset_node=leaving.name)
    assert drained.code == 0, drained.output
    for line in (f"default/{KEEP} removed", f"default/{OTHER} removed", "drained; nothing comes back until `uncordon`"):
        assert f"{leaving.name}: {line}" in drained.output
    assert leaving.run("ls -d /var/lib/everynode /etc/systemd/system/everynode.*", check=False).stdout == ""
    assert leaving.run(f"systemctl is-active {REPLACED}").stdout.strip() == "active", "it is given back"
    assert play("drain", hosts, daemonset_node=leaving.name).changed == 0

    later = play("apply", hosts, **here)
    assert (later.code, later.changed) == (0, 0), later.output
    assert states(later) == {f"default/{name}": ["not eligible", "up to date"] for name in (OTHER, KEEP)}
    assert re.match("the node was drained by .*@.* at ", later.items[0]["nodes"][0]["reason"])
    assert invocations([staying], KEEP) == there

    assert play("uncordon", hosts, daemonset_node=leaving.name).code == 0
    assert leaving.run("ls -d /etc/everynode", check=False).stdout == ""
    assert play("apply", hosts, **here).code == 0
    assert runs(leaving, KEEP)
