# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.everynode.daemonset.plugins.plugin_utils.desired import deletions, desired, not_feasible
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.model import load
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import Settings
from ansible_collections.everynode.daemonset.plugins.plugin_utils.scheduling import Node

MANIFEST = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: NAME}
spec:
  minReadySeconds: 7
  updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 25%}}
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      nodeSelector: {disk: ssd}
      containers:
        - {name: agent, image: "host:///usr/bin/sleep", args: ["ARGUMENT"]}
"""


def manifests(name="agent", argument="1"):
    return load([("x.yaml", MANIFEST.replace("NAME", name).replace("ARGUMENT", argument))])


FAST = Node("fast", {"disk": "ssd"}, ())
SLOW = Node("slow", {}, ())
NODES = {"fast": FAST, "slow": SLOW}


def test_settings_and_eligibility():
    loaded = manifests()
    ((settings, wanted),) = desired(dict.fromkeys(NODES, loaded), NODES)
    assert settings == Settings("default", "agent", False, "25%", 7, (("disk", "ssd"),))
    assert [wanted[name].should_run for name in NODES] == [True, False]
    assert wanted["fast"].revision == wanted["slow"].revision != ""
    assert "disk" in wanted["slow"].reason


def test_a_node_with_another_rendering_has_another_revision():
    ((_settings, wanted),) = desired({"fast": manifests(argument="1"), "slow": manifests(argument="2")}, NODES)
    assert wanted["fast"].revision != wanted["slow"].revision


def test_what_a_rendering_leaves_out_is_not_wanted_on_that_node():
    first, second = desired({"fast": manifests("zebra"), "slow": manifests("ant")}, NODES)
    assert (first[0].name, second[0].name) == ("ant", "zebra")
    assert not second[1]["slow"].should_run
    assert not second[1]["slow"].should_continue


def test_deletions_are_sorted_and_wanted_nowhere():
    (first, wanted), (second, _wanted) = deletions([("z", "x"), ("a", "y"), ("z", "x")], NODES)
    assert (first.key, second.key, first.deleted) == ("a/y", "z/x", True)
    assert not any(wish.should_continue for wish in wanted.values())


def test_everything_that_a_plain_host_can_run_is_feasible():
    assert not_feasible(dict.fromkeys(NODES, manifests()), NODES) == []


def test_what_it_cannot_run_is_told_once():
    container = load([("x.yaml", MANIFEST.replace("NAME", "agent").replace("host:///usr/bin/sleep", "busybox:1"))])
    (error,) = not_feasible(dict.fromkeys(NODES, container), NODES)
    assert error.path == "spec.template.spec.containers[0].image"
