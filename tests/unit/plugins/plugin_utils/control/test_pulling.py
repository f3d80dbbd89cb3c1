# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.everynode.daemonset.plugins.module_utils.observation import Observation
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import pulling
from ansible_collections.everynode.daemonset.plugins.plugin_utils.desired import ANY_NODE, deletions, desired
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.model import load
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import Seen
from ansible_collections.everynode.daemonset.plugins.plugin_utils.scheduling import node_from_inventory

MANIFEST = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, annotations: {everynode/confirm-timeout: 7s}}
spec:
  updateStrategy: {rollingUpdate: {maxUnavailable: BUDGET}}
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      terminationGracePeriodSeconds: 5
      nodeSelector: SELECTOR
      containers: [{name: agent, image: "host:///usr/bin/sleep", args: [infinity]}]
"""
HOSTS = [f"web{number}" for number in range(1, 9)]
OPTIONS = {"pull_slot": 600, "pull_since": 0.0, "timeout": None}


class Inventory:
    """Every second host is labelled as a web server; no architecture is known unless it is given."""

    def nodes(self, names, arch):
        return {
            name: node_from_inventory(name, {"node_labels": {"even": str(int(name[3:]) % 2 == 0)}}, [], arch.get(name))
            for name in names
        }


def turn(node, selector="{}", budget="25%", **options):
    loaded = dict.fromkeys(HOSTS, load([("x.yaml", MANIFEST.replace("SELECTOR", selector).replace("BUDGET", budget))]))
    look = Seen(Observation(ANY_NODE, []), "", "")
    seen = {node: look}
    declared = desired(loaded, Inventory().nodes(HOSTS, {node: "x86_64"}), seen)
    ((settings, _wanted),) = pulling.with_turns(declared, node, loaded, Inventory(), look, {**OPTIONS, **options})
    return settings.turn


def test_the_eligible_nodes_share_the_budget():
    assert [(turn(name).group, turn(name).groups) for name in HOSTS] == [
        (0, 4), (0, 4), (1, 4), (1, 4), (2, 4), (2, 4), (3, 4), (3, 4)
    ]  # fmt: skip
    assert [turn(name, "{even: 'True'}").groups for name in HOSTS[1::2]] == [4, 4, 4, 4]


def test_where_the_architecture_decides_all_may_be_eligible_and_none_is_for_certain():
    """Else a percentage would be of more nodes than there are."""
    found = turn("web3", "{kubernetes.io/arch: amd64}", "50%")
    assert (found.group, found.groups) == (2, 8)


def test_it_takes_as_long_as_to_be_replaced_and_to_come_back():
    assert turn("web1").need == 2 * (2 * 5 + 60) + 7 + pulling.CONNECTION_SECONDS
    assert turn("web1", timeout=8).need == 2 * (2 * 5 + 8) + 7 + pulling.CONNECTION_SECONDS


def test_what_is_removed_waits_for_nobody():
    removed = deletions([("default", "gone")], HOSTS)
    loaded = dict.fromkeys(HOSTS, load([("x.yaml", MANIFEST.replace("SELECTOR", "{}").replace("BUDGET", "1"))]))
    look = Seen(Observation(ANY_NODE, []), "", "")
    ((settings, _wanted),) = pulling.with_turns(removed, "web1", loaded, Inventory(), look, OPTIONS)
    assert settings.turn is None


def test_a_node_applies_to_itself_alone(capsys):
    assert pulling.only_one({"web1": Seen()}) == "web1"
    with pytest.raises(AnsibleActionFail):
        pulling.only_one({"web1": Seen(), "web2": Seen()})
