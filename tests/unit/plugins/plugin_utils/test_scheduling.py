# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.scheduling import (
    InventoryError,
    Node,
    daemon_tolerations,
    eligibility,
    node_from_inventory,
)
from hypothesis import given
from hypothesis import strategies as st

taint_keys = st.sampled_from(["dedicated", "node.kubernetes.io/not-ready", "node.kubernetes.io/unschedulable"])


def taints(*effects: str) -> st.SearchStrategy[list[dict[str, str]]]:
    fields = {"key": taint_keys, "value": st.sampled_from(["", "a", "b"]), "effect": st.sampled_from(effects)}
    return st.lists(st.fixed_dictionaries(fields), max_size=4)


all_taints = taints("NoSchedule", "PreferNoSchedule", "NoExecute")
tolerations = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "key": taint_keys,
            "operator": st.sampled_from(["Exists", "Equal"]),
            "value": st.sampled_from(["a", "b"]),
            "effect": st.sampled_from(["NoSchedule", "NoExecute"]),
            "tolerationSeconds": st.integers(0, 9),
        },
    ),
    max_size=4,
)
labels = st.dictionaries(st.sampled_from(["disk", "zone"]), st.sampled_from(["a", "b", "7"]))
expressions = st.fixed_dictionaries(
    {
        "key": st.sampled_from(["disk", "zone", "not valid"]),
        "operator": st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Near"]),
        "values": st.lists(st.sampled_from(["a", "b", "5"]), max_size=2),
    }
)
terms = st.lists(st.fixed_dictionaries({"matchExpressions": st.lists(expressions, max_size=2)}), max_size=3)


def pod_spec_of(terms_wanted: list[Any]) -> dict[str, Any]:
    required = {"nodeSelectorTerms": terms_wanted}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}


@given(labels, all_taints, tolerations, terms, labels)
def test_what_should_run_should_continue_and_only_what_should_not_run_has_a_reason(
    has: dict[str, str], tainted: list[Any], tolerated: list[Any], wanted: list[Any], selector: dict[str, str]
) -> None:
    pod_spec = {"tolerations": tolerated, "nodeSelector": selector, **(pod_spec_of(wanted) if wanted else {})}
    verdict = eligibility(Node("node", has, tuple(tainted)), pod_spec)
    assert verdict.should_continue or not verdict.should_run
    assert (verdict.reason == "") is verdict.should_run


@given(taints("NoSchedule", "PreferNoSchedule"), tolerations)
def test_noschedule_never_removes(tainted: list[Any], tolerated: list[Any]) -> None:
    assert eligibility(Node("node", {}, tuple(tainted)), {"tolerations": tolerated}).should_continue


@given(all_taints)
def test_an_untolerated_noexecute_always_removes(tainted: list[Any]) -> None:
    tainted.append({"key": "maintenance", "value": "now", "effect": "NoExecute"})
    assert not eligibility(Node("node", {}, tuple(tainted)), {}).should_continue


@given(all_taints)
def test_exists_tolerates_everything(tainted: list[Any]) -> None:
    assert eligibility(Node("node", {}, tuple(tainted)), {"tolerations": [{"operator": "Exists"}]}).should_run


@given(terms, labels)
def test_terms_are_alternatives(wanted: list[Any], has: dict[str, str]) -> None:
    node = Node("node", has)
    alone = [eligibility(node, pod_spec_of([term])).should_run for term in wanted]
    assert eligibility(node, pod_spec_of(wanted)).should_run is any(alone)


@given(tolerations, st.booleans())
def test_the_automatic_tolerations_are_there_once_and_adding_them_again_changes_nothing(
    tolerated: list[Any], host_network: bool
) -> None:
    once = daemon_tolerations({"tolerations": tolerated, "hostNetwork": host_network})
    assert daemon_tolerations({"tolerations": once, "hostNetwork": host_network}) == once
    assert len(once) - len(tolerated) <= 6 + host_network


@pytest.mark.parametrize(
    ("pod_spec", "reason"),
    [
        ({"nodeName": "web2"}, "nodeName wants the node web2"),
        ({"nodeSelector": {"disk": "ssd"}}, "nodeSelector wants disk=ssd, the node has disk=hdd"),
        ({"nodeSelector": {"gpu": "a"}}, "nodeSelector wants gpu=a, the node has no label gpu"),
        (
            pod_spec_of([{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd", "nvme"]}]}]),
            "node affinity wants disk In [nvme, ssd], the node has disk=hdd",
        ),
        (
            pod_spec_of([{}, {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["web2"]}]}]),
            "node affinity wants (an empty term, which matches no node) or metadata.name In [web2], the node is web1",
        ),
        (
            pod_spec_of([{"matchExpressions": [{"key": "disk", "operator": "Gt", "values": ["x"]}]}]),
            'node affinity wants (an unusable term: label "disk": Gt compares integers, "x" is not a 64-bit integer)',
        ),
        (pod_spec_of([]), "node affinity has no terms, which matches no node"),
        ({}, "taints dedicated=db:NoSchedule, broken:NoExecute not tolerated"),
        ({"tolerations": [{"key": "broken", "operator": "Exists"}]}, "taint dedicated=db:NoSchedule not tolerated"),
    ],
)
def test_the_reason_names_what_does_not_match(pod_spec: dict[str, Any], reason: str) -> None:
    tainted = (
        {"key": "dedicated", "value": "db", "effect": "NoSchedule"},
        {"key": "broken", "effect": "NoExecute"},
    )
    assert eligibility(Node("web1", {"disk": "hdd"}, tainted), pod_spec).reason == reason


def test_a_toleration_of_the_user_is_replaced_only_by_one_that_differs_in_nothing_but_seconds() -> None:
    same = {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}
    other = {"key": "node.kubernetes.io/not-ready", "operator": "Equal", "effect": "NoExecute", "tolerationSeconds": 5}
    first, second, *_rest = daemon_tolerations({"tolerations": [other, {**same, "tolerationSeconds": 5}]})
    assert (first, second) == (other, same)


def test_a_node_has_labels_of_its_own_of_its_groups_and_of_every_variable() -> None:
    node = node_from_inventory(
        "web1",
        {
            "node_labels": {"disk": "ssd"},
            "node_labels_rack": {"rack": "r1", "disk": "ssd"},
            "node_labels_none": None,
            "node_labelsx": {"no": "label"},
            "other": 1,
        },
        ["web", "eu-west", "_hidden"],
        arch="x86_64",
    )
    assert node.labels == {
        "kubernetes.io/hostname": "web1",
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "group/web": "true",
        "group/eu-west": "true",
        "disk": "ssd",
        "rack": "r1",
    }
    assert node.taints == ()


def test_labels_of_the_inventory_win_over_those_a_node_has_by_itself() -> None:
    node = node_from_inventory("web1", {"node_labels": {"kubernetes.io/hostname": "w"}}, [], arch="vax")
    assert node.labels == {"kubernetes.io/hostname": "w", "kubernetes.io/os": "linux"}


def test_taints_of_every_variable_are_merged() -> None:
    shared = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
    node = node_from_inventory(
        "db1",
        {
            "node_taints": [shared, {"key": "dedicated", "value": "db", "effect": "NoExecute"}],
            "node_taints_again": [dict(shared), {"key": "old", "value": None, "effect": "PreferNoSchedule"}],
            "node_unschedulable": "yes",
        },
        [],
    )
    assert node.taints == (
        shared,
        {**shared, "effect": "NoExecute"},
        {"key": "old", "effect": "PreferNoSchedule"},
        {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
    )
    assert eligibility(Node("db1", {}, node.taints[3:]), {}).should_run


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"node_labels": {"gpu": True}},
            'host h: node_labels: the value of label "gpu" must be a string, found True; write "true", with the quotes',
        ),
        (
            {"node_labels_a": {"cores": 8}},
            'host h: node_labels_a: the value of label "cores" must be a string, found 8',
        ),
        ({"node_labels": {8: "a"}}, 'the key 8 of a label must be a string, write "8"'),
        ({"node_labels": {"a b": "c"}}, 'label "a b": the name must consist of'),
        ({"node_labels": {"a": "b c"}}, 'label "a", value "b c": the value must consist of'),
        ({"node_labels": "a=b"}, "host h: node_labels must be a mapping of labels to values, found 'a=b'"),
        (
            {"node_labels_x": {"a": "1"}, "node_labels_y": {"a": "2"}},
            'host h: label a is "1" in node_labels_x but "2" in node_labels_y',
        ),
        ({"node_taints": {"key": "a"}}, "host h: node_taints must be a list of taints"),
        ({"node_taints": ["a:NoSchedule"]}, "host h: node_taints[0]: a taint must be a mapping"),
        ({"node_taints": [{"effect": "NoSchedule"}]}, "host h: node_taints[0]: a taint needs a key"),
        (
            {"node_taints": [{"key": "a", "effect": "Never"}]},
            "one of NoSchedule, PreferNoSchedule, NoExecute, found 'Never'",
        ),
        (
            {"node_taints": [{"key": "a", "efect": "NoSchedule"}]},
            "unknown field efect; a taint has key, value and effect",
        ),
        ({"node_taints": [{"key": "a", "value": 1, "effect": "NoExecute"}]}, 'the value of taint "a" must be a string'),
        (
            {
                "node_taints": [{"key": "a", "value": "1", "effect": "NoExecute"}],
                "node_taints_x": [{"key": "a", "effect": "NoExecute"}],
            },
            "taint a:NoExecute in node_taints_x[0] and a=1:NoExecute in node_taints[0] have the same key and effect",
        ),
        ({"node_unschedulable": "maybe"}, "host h: node_unschedulable must be true or false, found 'maybe'"),
    ],
)
def test_what_is_wrong_in_the_inventory_is_said(variables: dict[str, Any], message: str) -> None:
    with pytest.raises(InventoryError) as error:
        node_from_inventory("h", variables, [])
    assert len(error.value.errors) == 1
    assert message in str(error.value)


def test_everything_that_is_wrong_with_a_host_is_said_at_once() -> None:
    with pytest.raises(InventoryError) as error:
        node_from_inventory("h", {"node_labels": {"a": 1, "b": 2}, "node_taints": "x", "node_unschedulable": 3}, [])
    assert len(error.value.errors) == 4
