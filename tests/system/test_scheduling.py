# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Labels and taints out of an ordinary inventory decide where an instance runs, comes and goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import Cluster, Node

from .evidence import clean_up, invocations, where_it_runs
from .playbook import daemonset, play

NAME = "scout"


@pytest.fixture(scope="module", autouse=True)
def nothing_left(cluster: Cluster, nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    clean_up(cluster, nodes, tmp_path_factory.mktemp("scheduling"), [NAME])


def affinity(*terms: dict[str, Any]) -> dict[str, Any]:
    required = {"nodeSelectorTerms": [*terms]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def tolerating(**toleration: str) -> dict[str, Any]:
    return {"tolerations": [toleration]}


# node1 and node2 are in group web, node2 and node3 in group fast, node4 is cordoned; node3 is tainted.
GROUPS = {"web": ["node1", "node2"], "fast": ["node2", "node3"]}
GROUP_VARS = {
    "all": {"node_labels": {"estate": "test"}},
    "web": {"node_labels_web": {"tier": "front"}},
    "fast": {"node_labels_fast": {"disk": "nvme", "cores": "16"}},
}
HOST_VARS = {
    "node1": {"node_labels_own": {"cores": "4"}},
    "node3": {"node_taints": [{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]},
    "node4": {"node_unschedulable": True},
}
UNTAINTED = {"node1", "node2", "node4"}
ALL = UNTAINTED | {"node3"}

# The pod spec → the nodes that should run it.
SELECTIONS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "everywhere": ({}, UNTAINTED),
    "of-the-estate": ({"nodeSelector": {"estate": "test"}}, UNTAINTED),
    "merged": ({"nodeSelector": {"tier": "front", "disk": "nvme", "estate": "test"}}, {"node2"}),
    "group": ({"nodeSelector": {"group/web": "true"}}, {"node1", "node2"}),
    "hostname": ({"nodeSelector": {"kubernetes.io/hostname": "node4"}}, {"node4"}),
    "arch": ({"nodeSelector": {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}}, UNTAINTED),
    "other-arch": ({"nodeSelector": {"kubernetes.io/arch": "s390x"}}, set()),
    "tolerated": (tolerating(key="dedicated", operator="Equal", value="db", effect="NoSchedule"), ALL),
    "tolerates-anything": (tolerating(operator="Exists"), ALL),
    "tolerates-another": (tolerating(key="dedicated", value="web"), UNTAINTED),
    "not-in": (affinity({"matchExpressions": [expression("tier", "NotIn", "front")]}), {"node4"}),
    "more-cores": (affinity({"matchExpressions": [expression("cores", "Gt", "8")]}), {"node2"}),
    "either": (
        affinity(
            {"matchExpressions": [expression("group/fast", "DoesNotExist"), expression("tier", "Exists")]},
            {"matchFields": [expression("metadata.name", "In", "node4")]},
        ),
        {"node1", "node4"},
    ),
}


def test_who_is_eligible(nodes: list[Node], inventory: Callable[..., Path]) -> None:
    assert {node.name for node in nodes} == ALL
    hosts = inventory(groups=GROUPS, group_vars=GROUP_VARS, host_vars=HOST_VARS)
    manifests = [daemonset(name, pod) for name, (pod, _nodes) in SELECTIONS.items()]
    done = play("status", hosts, daemonset_manifests=manifests)
    found = {item["metadata"]["name"]: {n["name"] for n in item["nodes"] if n["eligible"]} for item in done.items}
    assert found == {name: eligible for name, (_pod, eligible) in SELECTIONS.items()}
    assert [item["status"]["desiredNumberScheduled"] for item in done.items] == [
        len(SELECTIONS[name][1]) for name in sorted(SELECTIONS)
    ]
    reasons = {item["metadata"]["name"]: {n["name"]: n["reason"] for n in item["nodes"]} for item in done.items}
    assert reasons["everywhere"]["node3"] == "taint dedicated=db:NoSchedule not tolerated"
    assert reasons["other-arch"]["node1"] == (
        "nodeSelector wants kubernetes.io/arch=s390x, the node has kubernetes.io/arch=amd64"
    )
    assert reasons["hostname"]["node2"] == (
        "nodeSelector wants kubernetes.io/hostname=node4, the node has kubernetes.io/hostname=node2"
    )


def test_an_instance_comes_stays_and_goes(nodes: list[Node], inventory: Callable[..., Path]) -> None:
    trio = nodes[:3]
    names = [node.name for node in trio]
    scout = daemonset(NAME, {"nodeSelector": {"scouted": "yes"}})
    labels = {name: {"node_labels": {"scouted": "yes"}} for name in names[:2]}

    def applied(**host_vars: dict[str, Any]) -> dict[str, Any]:
        merged = {name: {**labels.get(name, {}), **host_vars.get(name, {})} for name in names}
        done = play("apply", inventory(trio, host_vars=merged), daemonset_manifests=scout)
        assert done.code == 0, done.output
        return done.status

    assert applied()["desiredNumberScheduled"] == 2
    assert where_it_runs(trio, NAME) == names[:2]
    before = invocations(trio, NAME)

    # NoSchedule leaves what is there and lets nothing new in, NoExecute takes it away, a cordon does neither.
    keep, evict = {"key": "a", "effect": "NoSchedule"}, {"key": "b", "value": "c", "effect": "NoExecute"}
    cordoned = {"node_labels_late": {"scouted": "yes"}, "node_unschedulable": True}
    status = applied(**{names[0]: {"node_taints": [keep]}, names[1]: {"node_taints_b": [evict]}, names[2]: cordoned})
    assert where_it_runs(trio, NAME) == [names[0], names[2]]
    assert invocations(trio, NAME)[names[0]] == before[names[0]]
    assert (status["desiredNumberScheduled"], status["numberMisscheduled"]) == (1, 1)
    assert trio[1].run("ls /var/lib/everynode", check=False).stdout == ""

    new = {"node_labels_late": {"scouted": "yes"}, "node_taints": [keep]}
    labels.pop(names[0])
    status = applied(**{names[1]: {"node_taints": [keep]}, names[2]: new})
    # The label is gone: so is the instance. The one on the third node stays under its taint.
    assert where_it_runs(trio, NAME) == [names[2]]
    assert (status["desiredNumberScheduled"], status["numberMisscheduled"]) == (0, 1)
