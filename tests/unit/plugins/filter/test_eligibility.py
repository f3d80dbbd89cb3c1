# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleTemplatePluginError
from ansible_collections.everynode.daemonset.plugins.filter.eligibility import FilterModule

judge = FilterModule().filters()["eligibility"]

DAEMONSET = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "fluentd"},
    "spec": {"template": {"spec": {"nodeSelector": {"group/web": "true"}, "tolerations": None}}},
}


def test_a_daemonset_is_judged_by_its_pod_spec() -> None:
    assert judge({"name": "web1", "groups": ["web"]}, DAEMONSET) == {
        "should_run": True,
        "should_continue": True,
        "reason": "",
    }


def test_a_pod_spec_will_do() -> None:
    node = {"name": "web1", "taints": [{"key": "a", "effect": "NoSchedule"}], "labels": None}
    assert judge(node, {"containers": [{"name": "c"}]}) == {
        "should_run": False,
        "should_continue": True,
        "reason": "taint a:NoSchedule not tolerated",
    }


def test_a_cordoned_node_still_runs_it() -> None:
    assert judge({"name": "web1", "unschedulable": True}, {})["should_run"]


def required(terms: Any) -> dict[str, Any]:
    node_affinity = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {"affinity": {"nodeAffinity": node_affinity}}


@pytest.mark.parametrize(
    ("node", "daemonset", "message"),
    [
        ("web1", {}, "the node must be a mapping, found 'web1'"),
        ({}, {}, "the node needs a name"),
        ({"name": "n", "lables": {}}, {}, "unknown field lables; known are name, labels, taints"),
        ({"name": "n", "labels": {"a": 1}}, {}, 'the value of label "a" must be a string, found 1'),
        ({"name": "n", "groups": "web"}, {}, "groups of the node must be a list, found 'web'"),
        ({"name": "n"}, "fluentd.yaml", "the DaemonSet must be a mapping, found 'fluentd.yaml'"),
        ({"name": "n"}, {"kind": "Deployment"}, 'kind must be DaemonSet, found "Deployment"'),
        ({"name": "n"}, {"kind": "DaemonSet", "spec": {}}, "template of the DaemonSet must be a mapping, found None"),
        ({"name": "n"}, {"spec": {}, "metadata": {}}, "found metadata, spec without a kind"),
        ({"name": "n"}, {"nodeSelector": {"a": True}}, 'nodeSelector.a must be a string, found True (write "true"'),
        ({"name": "n"}, {"nodeSelector": ["a"]}, "nodeSelector must be a mapping, found ['a']"),
        ({"name": "n"}, {"hostNetwork": "yes"}, "hostNetwork must be true or false, found 'yes'"),
        ({"name": "n"}, {"tolerations": ["all"]}, "tolerations[0] must be a mapping, found 'all'"),
        ({"name": "n"}, {"tolerations": {"key": "a"}}, "tolerations must be a list"),
        ({"name": "n"}, required("a"), "nodeSelectorTerms must be a list, found 'a'"),
        ({"name": "n"}, required([{"matchExpressions": [{"values": [1]}]}]), "matchExpressions[0].values[0] must be"),
    ],
)
def test_what_is_wrong_is_said(node: Any, daemonset: Any, message: str) -> None:
    with pytest.raises(AnsibleTemplatePluginError) as error:
        judge(node, daemonset)
    assert message in str(error.value)
    assert str(error.value).startswith("eligibility: ")
