# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

from ansible_collections.everynode.daemonset.plugins.module_utils.observation import Instance, Observation
from ansible_collections.everynode.daemonset.plugins.plugin_utils.desired import (
    ANY_NODE,
    deletions,
    desired,
    not_feasible,
    refused_by_engines,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.model import load
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import Seen, Settings
from ansible_collections.everynode.daemonset.plugins.plugin_utils.policy import Policy, Step
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
    assert settings == Settings(
        "default",
        "agent",
        max_unavailable="25%",
        min_ready_seconds=7,
        node_selector=(("disk", "ssd"),),
        selector={"matchLabels": {"app": "agent"}},
        containers=(("agent", "host:///usr/bin/sleep"),),
    )
    assert [wanted[name].should_run for name in NODES] == [True, False]
    assert wanted["fast"].revision == wanted["slow"].revision != ""
    assert "disk" in wanted["slow"].reason


def test_the_policy_and_the_change_cause_are_settings():
    annotations = '{everynode/steps: "1 pause, 100%", kubernetes.io/change-cause: "fix the leak"}'
    text = MANIFEST.replace("{name: NAME}", f"{{name: agent, annotations: {annotations}}}")
    ((settings, _wanted),) = desired(dict.fromkeys(NODES, load([("x.yaml", text)])), NODES)
    assert settings.policy == Policy(steps=(Step(1, pause=True), Step("100%")))
    assert settings.change_cause == "fix the leak"
    assert Settings.from_dict(json.loads(json.dumps(settings.as_dict()))) == settings


def test_a_node_with_another_rendering_has_another_revision():
    ((_settings, wanted),) = desired({"fast": manifests(argument="1"), "slow": manifests(argument="2")}, NODES)
    assert wanted["fast"].revision != wanted["slow"].revision


def test_what_a_rendering_leaves_out_is_not_wanted_on_that_node():
    first, second = desired({"fast": manifests("zebra"), "slow": manifests("ant")}, NODES)
    assert (first[0].name, second[0].name) == ("ant", "zebra")
    assert not second[1]["slow"].should_run
    assert not second[1]["slow"].should_continue


def test_a_node_that_was_drained_gets_nothing_whatever_is_tolerated():
    tolerant = MANIFEST.replace("nodeSelector: {disk: ssd}", "tolerations: [{operator: Exists}]")
    drained = Seen(Observation(ANY_NODE._replace(drained="ada@control at noon"), ()), "", "")
    loaded = load([("x.yaml", tolerant.replace("NAME", "agent"))])
    ((_settings, wanted),) = desired(dict.fromkeys(NODES, loaded), NODES, {"slow": drained})
    assert wanted["fast"].should_run
    assert not wanted["slow"].should_run
    assert not wanted["slow"].should_continue
    assert wanted["slow"].reason == "the node was drained by ada@control at noon; `uncordon` takes that back"


def test_deletions_are_sorted_and_wanted_nowhere():
    (first, wanted), (second, _wanted) = deletions([("z", "x"), ("a", "y"), ("z", "x")], NODES)
    assert (first.key, second.key, first.deleted) == ("a/y", "z/x", True)
    assert not any(wish.should_continue for wish in wanted.values())


def test_everything_that_a_plain_host_can_run_is_feasible():
    assert not_feasible(dict.fromkeys(NODES, manifests()), NODES) == []


def test_what_it_cannot_run_is_told_once():
    wrong = load([("x.yaml", MANIFEST.replace("NAME", "agent").replace("ARGUMENT", "\\0"))])
    (error,) = not_feasible(dict.fromkeys(NODES, wrong), NODES)
    assert error.path == "spec.template.spec.containers[0].args[0]"


CONTAINER = MANIFEST.replace("NAME", "agent").replace("host:///usr/bin/sleep", "busybox:1")
SIGNAL = f"{CONTAINER.rstrip()[:-1]}, lifecycle: {{stopSignal: SIGINT}}}}\n      os: {{name: linux}}\n"
IMAGE_PATH = "spec.template.spec.containers[0].image"
SIGNAL_PATH = "spec.template.spec.containers[0].lifecycle.stopSignal"


def look(*engines, running=None):
    there = () if running is None else (instance_of("agent", running),)
    return Seen(Observation(ANY_NODE._replace(engines=engines), there), "", "")


def instance_of(name, runtime):
    return Instance("default", name, "old", runtime, True, (), True, True, 0.0, "", 0, 0.0)


def test_what_runs_it_is_known_once_somebody_looked():
    loaded = dict.fromkeys(["a", "b", "c", "d"], load([("x.yaml", CONTAINER)]))
    nodes = {name: Node(name, {"disk": "ssd"}, (), "podman" if name == "c" else "") for name in loaded}
    seen = {
        "a": look("docker", "podman"),
        "b": look("docker", "podman", running="podman"),
        "c": look("docker", "podman", running="docker"),
    }
    ((_settings, wanted),) = desired(loaded, nodes, seen)
    assert {name: wish.runtime for name, wish in wanted.items()} == {
        "a": "docker",
        "b": "podman",
        "c": "podman",
        "d": "",
    }
    ((_settings, wanted),) = desired(dict.fromkeys(["a"], manifests()), {"a": nodes["a"]}, seen)
    assert wanted["a"].runtime == "systemd"


def test_a_node_without_an_engine_has_an_obstacle_of_its_own():
    loaded = dict.fromkeys(["fast", "slow"], load([("x.yaml", CONTAINER)]))
    assert not_feasible(loaded, NODES) == []
    ((_settings, wanted),) = desired(loaded, NODES, dict.fromkeys(NODES, look()))
    assert IMAGE_PATH in wanted["fast"].obstacle
    assert "fast" in wanted["fast"].obstacle
    assert wanted["slow"].obstacle == ""  # nothing is to run there


def test_what_one_engine_cannot_do_is_refused_before_anybody_looks_if_the_inventory_names_it():
    loaded = load([("x.yaml", SIGNAL)])
    podman = Node("fast", {"disk": "ssd"}, (), "podman")
    assert not_feasible({"fast": loaded}, {"fast": FAST}) == []
    assert [error.path for error in not_feasible({"fast": loaded}, {"fast": podman})] == [SIGNAL_PATH]


def test_what_one_engine_cannot_do_is_refused_with_the_nodes_that_have_it():
    nodes = {name: Node(name, {"disk": "ssd"}, ()) for name in ("a", "b", "c")} | {"slow": SLOW}
    loaded = dict.fromkeys(nodes, load([("x.yaml", SIGNAL)]))
    seen = {"a": look("docker"), "b": look("podman"), "c": look("podman"), "slow": look("podman")}
    (line,) = refused_by_engines(loaded, nodes, desired(loaded, nodes, seen))
    assert SIGNAL_PATH in line
    assert line.endswith("(Podman is the engine of b, c)")
    assert refused_by_engines(loaded, nodes, desired(loaded, nodes)) == []
