# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs case files of Kubernetes' behaviour against the code: ``pytest tests/conformance --cases DIR``.

What a case asks is recognised by the keys of its input. Whatever is not understood fails: a file that holds no cases, a
case of no known kind, a key that nothing here reads. What the keys mean is said under "about" in each file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils import (
    int_or_percent,
    rollout,
    scheduling,
    selectors,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest import environment

Json = dict[str, Any]

FILE_KEYS = {"source", "about", "cases"}
CASE_KEYS = {"id", "input", "expect", "note", "quirk", "versionDependent"}


@dataclass(frozen=True)
class Kind:
    """How to run one kind of case: its input keys, the keys of each form its expectation may have, and the check."""

    check: Callable[[Json], None]
    required: frozenset[str]
    optional: frozenset[str]
    expect: frozenset[str]
    expect_optional: frozenset[str]

    def takes(self, inputs: Json) -> bool:
        return self.required <= inputs.keys() <= self.required | self.optional


KINDS: list[Kind] = []


def kind(
    required: str, optional: str = "", *, expect: str = "", expect_optional: str = ""
) -> Callable[[Callable[[Json], None]], Callable[[Json], None]]:
    def register(check: Callable[[Json], None]) -> Callable[[Json], None]:
        sets = (frozenset(keys.split()) for keys in (required, optional, expect, expect_optional))
        KINDS.append(Kind(check, *sets))
        return check

    return register


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cases = list(_cases(metafunc.config.getoption("cases", default=Path(__file__).parent / "cases")))
    metafunc.parametrize("case", [case for name, case in cases], ids=[name for name, case in cases])


def _cases(directory: Path) -> Iterator[tuple[str, Json]]:
    """Yield each case with its name; what cannot be read is a case that says so."""
    files = sorted(directory.iterdir()) if directory.is_dir() else []
    if not files:
        yield str(directory), {"problem": f"{directory} is no folder with case files"}
    for file in files:
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            assert content.keys() <= FILE_KEYS, f"unknown keys: {sorted(content.keys() - FILE_KEYS)}"
            cases = content["cases"]
            assert cases, "it holds no cases"
            yield from [(f"{file.name}:{case['id']}", case) for case in cases]
        except Exception as error:  # whatever is wrong with the file, the run must say so and go on
            yield file.name, {"problem": f"{file} is not a file of cases: {error!r}"}


def test_case(case: Json) -> None:
    assert "problem" not in case, case["problem"]
    assert {"id", "input", "expect"} <= case.keys() <= CASE_KEYS, f"unknown or missing keys: {sorted(case)}"
    kinds = [candidate for candidate in KINDS if candidate.takes(case["input"])]
    assert len(kinds) == 1, f"input keys of no known kind of case: {sorted(case['input'])}"
    expected = case["expect"].keys()
    if expected != {"error"}:
        unknown = expected - kinds[0].expect - kinds[0].expect_optional
        assert not unknown, f"unknown keys in expect: {sorted(unknown)}"
        assert kinds[0].expect <= expected, f"missing in expect: {sorted(kinds[0].expect - expected)}"
    kinds[0].check(case)


def expect_error(case: Json, action: Callable[[], object]) -> bool:
    """Run the action if it is expected to fail, and say whether it was."""
    if "error" not in case["expect"]:
        return False
    assert case["expect"]["error"] is True, "expect.error says nothing but true"
    with pytest.raises(ValueError, match=r"\w"):
        action()
    return True


# Labels and selectors


def _check_selector(case: Json, read: Callable[[Any], selectors.Selector], selector: Any) -> None:
    if not case["expect"]["valid"]:
        assert "match" not in case["expect"]
        with pytest.raises(ValueError, match=r"\w"):
            read(selector)
        return
    labels = case["input"].get("labels", {})
    assert read(selector).matches(labels) is case["expect"]["match"]


@kind("selector", "labels", expect="valid", expect_optional="match")
def check_selector_text(case: Json) -> None:
    _check_selector(case, selectors.parse_selector, case["input"]["selector"])


@kind("labelSelector", "labels", expect="valid", expect_optional="match")
def check_selector_object(case: Json) -> None:
    _check_selector(case, selectors.selector_from_object, case["input"]["labelSelector"])


@kind("labelKey", expect="valid")
def check_label_key(case: Json) -> None:
    assert (not selectors.label_key_problems(case["input"]["labelKey"])) is case["expect"]["valid"]


@kind("labelValue", expect="valid")
def check_label_value(case: Json) -> None:
    assert (not selectors.label_value_problems(case["input"]["labelValue"])) is case["expect"]["valid"]


# Nodes

# Of these a node's name, labels and taints count; the others must make no difference, and so are not passed on.
NODE_KEYS = {"name", "labels", "taints", "exists", "unschedulable", "conditions", "deletionTimestamp"}


def _node(node: Json) -> scheduling.Node:
    assert node.keys() <= NODE_KEYS, f"unknown keys of the node: {sorted(node.keys() - NODE_KEYS)}"
    return scheduling.Node(node["name"], node.get("labels") or {}, tuple(node.get("taints") or ()))


@kind("node", "nodeSelector nodeSelectorTerms", expect="match")
def check_node_affinity(case: Json) -> None:
    inputs = case["input"]
    pod_spec: Json = {"nodeSelector": inputs.get("nodeSelector")}
    if "nodeSelectorTerms" in inputs:
        required = {"nodeSelectorTerms": inputs["nodeSelectorTerms"]}
        pod_spec["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    node = _node(inputs["node"])
    assert scheduling.matches_node_affinity(node, pod_spec) is case["expect"]["match"]
    assert scheduling.eligibility(node, pod_spec).should_run is case["expect"]["match"]


@kind("node templateSpec", expect="shouldRun shouldContinueRunning")
def check_eligibility(case: Json) -> None:
    node = case["input"]["node"]
    listed = [_node(node)] if node.get("exists", True) else []
    verdicts = {each.name: scheduling.eligibility(each, case["input"]["templateSpec"]) for each in listed}
    _check_verdict(case, verdicts.get(node["name"], scheduling.Eligibility(False, False, "not in the inventory")))


def _check_verdict(case: Json, verdict: scheduling.Eligibility) -> None:
    assert verdict.should_run is case["expect"]["shouldRun"], verdict.reason
    assert verdict.should_continue is case["expect"]["shouldContinueRunning"], verdict.reason
    assert bool(verdict.reason) is not verdict.should_run


@kind("toleration taint", "comparisonOperators", expect="tolerates")
def check_toleration(case: Json) -> None:
    inputs = case["input"]
    found = scheduling.tolerates(inputs["toleration"], inputs["taint"], inputs.get("comparisonOperators", False))
    assert found is case["expect"]["tolerates"]


@kind("tolerations taints", "hostNetwork", expect="tolerated shouldRun shouldContinueRunning")
def check_taints(case: Json) -> None:
    inputs = case["input"]
    pod_spec = {"tolerations": inputs["tolerations"], "hostNetwork": inputs.get("hostNetwork", False)}
    untolerated = scheduling.untolerated_taints(inputs["taints"], scheduling.daemon_tolerations(pod_spec))
    assert (not untolerated) is case["expect"]["tolerated"]
    _check_verdict(case, scheduling.eligibility(scheduling.Node("node", {}, tuple(inputs["taints"])), pod_spec))


@kind("templateTolerations", "hostNetwork", expect="podTolerations")
def check_daemon_tolerations(case: Json) -> None:
    inputs = case["input"]
    pod_spec = {"tolerations": inputs["templateTolerations"], "hostNetwork": inputs.get("hostNetwork", False)}
    assert scheduling.daemon_tolerations(pod_spec) == case["expect"]["podTolerations"]


# Numbers


@kind("value total", "roundUp", expect="result")
def check_scaled_value(case: Json) -> None:
    inputs = case["input"]

    def scaled() -> int:
        return int_or_percent.scaled_value(inputs["value"], inputs["total"], inputs.get("roundUp", True))

    if not expect_error(case, scaled):
        assert scaled() == case["expect"]["result"]


@kind("rollingUpdate desiredNumberScheduled", expect="maxUnavailable maxSurge")
def check_rolling_numbers(case: Json) -> None:
    inputs = case["input"]

    def numbers() -> int_or_percent.RollingNumbers:
        return int_or_percent.rolling_numbers(inputs["rollingUpdate"], inputs["desiredNumberScheduled"])

    if not expect_error(case, numbers):
        assert numbers() == (case["expect"]["maxUnavailable"], case["expect"]["maxSurge"])


@kind("quantity", expect="valid", expect_optional="milli value canonical")
def check_quantity(case: Json) -> None:
    from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.quantity import Quantity

    expect = case["expect"]
    try:
        quantity = Quantity.parse(case["input"]["quantity"])
    except ValueError:
        # A quirk of the parser in Kubernetes may be refused.
        assert not expect["valid"] or case.get("quirk")
        return
    assert expect["valid"]
    found = {"milli": quantity.milli(), "value": quantity.value(), "canonical": quantity.canonical()}
    stated = {key: value for key, value in expect.items() if key != "valid" and value is not None}
    assert {key: found[key] for key in stated} == stated


# Environment


@kind("string vars", expect="result")
def check_expansion(case: Json) -> None:
    assert environment.expand(case["input"]["string"], case["input"]["vars"]) == case["expect"]["result"]


def _no_field(source: Mapping[str, Any]) -> str:
    raise AssertionError(f"the case asks for a field, which it gives no values for: {source}")


@kind("env", "envFrom configMaps secrets command args", expect_optional="env command args")
def check_environment(case: Json) -> None:
    inputs, expect = case["input"], case["expect"]

    def encoded(objects: str) -> dict[str, dict[str, bytes]]:
        contents = inputs.get(objects) or {}
        return {name: {key: text.encode() for key, text in data.items()} for name, data in contents.items()}

    def resolved() -> environment.Environment:
        container = {"env": inputs["env"], "envFrom": inputs.get("envFrom")}
        return environment.resolve_environment(container, encoded("configMaps"), encoded("secrets"), _no_field)

    if expect_error(case, resolved):
        return
    assert expect, "nothing is expected"
    values = resolved().values
    assert values == expect.get("env", values)
    for line in expect.keys() & {"command", "args"}:
        assert [environment.expand(word, values) for word in inputs[line]] == expect[line]


# Rollout

STRATEGY_KEYS = {"type", "maxUnavailable", "maxSurge"}
POD_FIELDS = {
    "name": "name",
    "node": "node",
    "revision": "revision",
    "ready": "ready",
    "readySince": "ready_since",
    "created": "created",
    "phase": "phase",
    "terminating": "terminating",
    "bound": "bound",
}
TARGET_FIELDS = {"name": "name", "shouldRun": "should_run", "shouldContinueRunning": "should_continue"}
STAGES = {"manage": rollout.manage, "rollingUpdate": rollout.rolling_update, "sync": rollout.sync}


def _renamed(content: Json, fields: Mapping[str, str]) -> Json:
    assert content.keys() <= fields.keys(), f"unknown keys: {sorted(content.keys() - fields.keys())}"
    return {fields[key]: value for key, value in content.items()}


def _strategy(content: Json, min_ready_seconds: int) -> rollout.Strategy:
    assert content.keys() <= STRATEGY_KEYS, f"unknown keys of the strategy: {sorted(content.keys() - STRATEGY_KEYS)}"
    return rollout.Strategy(
        content["type"], content.get("maxUnavailable", 1), content.get("maxSurge", 0), min_ready_seconds
    )


def _pod(content: Json) -> rollout.Pod:
    # The clock of the cases begins at 0, and what is ready was so from the start unless they say otherwise.
    return rollout.Pod(**{"ready_since": 0, **_renamed(content, POD_FIELDS)})


@kind(
    "stage strategy nodes pods",
    "minReadySeconds now",
    expect="createNodes deletePods",
    expect_optional="createAnyOf deleteAnyOf",
)
def check_stage(case: Json) -> None:
    inputs, expect = case["input"], case["expect"]
    assert inputs["stage"] in STAGES, f"unknown stage: {inputs['stage']}"
    decision = STAGES[inputs["stage"]](
        [rollout.Target(**_renamed(node, TARGET_FIELDS)) for node in inputs["nodes"]],
        [_pod(pod) for pod in inputs["pods"]],
        _strategy(inputs["strategy"], inputs.get("minReadySeconds", 0)),
        inputs.get("now", 0),
    )
    _check_choice(decision.create_nodes, expect["createNodes"], expect.get("createAnyOf"))
    _check_choice(decision.delete_pods, expect["deletePods"], expect.get("deleteAnyOf"))


def _check_choice(found: list[str], always: list[str], any_of: Json | None) -> None:
    assert set(always) <= set(found)
    chosen = [name for name in found if name not in always]
    assert len(found) == len(set(found)), "something is decided twice"
    if any_of is None:
        assert chosen == []
    else:
        assert any_of.keys() == {"count", "from"}
        assert len(chosen) == any_of["count"]
        assert set(chosen) <= set(any_of["from"])


@kind("scenario nodeCount steps", expect="syncs")
def check_scenario(case: Json) -> None:
    assert case["input"]["scenario"] is True
    scenario = Scenario(case["input"]["nodeCount"])
    for step in case["input"]["steps"]:
        operation = getattr(scenario, f"step_{step['op']}", None)
        assert operation is not None, f"unknown step: {step}"
        operation(**{key: value for key, value in step.items() if key != "op"})
    assert scenario.syncs == case["expect"]["syncs"]


class Scenario:
    """Nodes whose pods appear at once and not ready, and vanish at once."""

    def __init__(self, node_count: int) -> None:
        self.nodes = [rollout.Target(f"node-{number}") for number in range(node_count)]
        self.pods: list[rollout.Pod] = []
        self.strategy = rollout.Strategy()
        self.now = 0.0
        self.created = 0
        self.syncs: list[list[int]] = []

    def step_strategy(self, strategy: Json) -> None:
        self.strategy = _strategy(strategy, self.strategy.min_ready_seconds)

    def step_minReadySeconds(self, value: int) -> None:  # noqa: N802 - named as the step is
        self.strategy = replace(self.strategy, min_ready_seconds=value)

    def step_clock(self, now: float) -> None:
        self.now = now

    def step_newTemplate(self) -> None:  # noqa: N802
        self.pods = [replace(pod, revision="old") for pod in self.pods]

    def step_sync(self) -> None:
        decision = rollout.sync(self.nodes, self.pods, self.strategy, self.now)
        self.pods = [pod for pod in self.pods if pod.name not in decision.delete_pods]
        for node in decision.create_nodes:
            self.created += 1
            self.pods.append(rollout.Pod(f"pod-{self.created}", node, created=self.now))
        self.syncs.append([len(decision.create_nodes), len(decision.delete_pods)])

    def step_markReady(self, which: str = "all", count: int | None = None) -> None:  # noqa: N802
        self._mark(which, count, ready=True)

    def step_markUnready(self, which: str = "all", count: int | None = None) -> None:  # noqa: N802
        self._mark(which, count, ready=False)

    def _mark(self, which: str, count: int | None, *, ready: bool) -> None:
        updated = {pod.node for pod in self.pods if pod.revision == "new"}
        among = {
            "all": self.pods,
            "new": [pod for pod in self.pods if pod.revision == "new"],
            "oldAlone": [pod for pod in self.pods if pod.revision == "old" and pod.node not in updated],
        }
        assert which in among, f"unknown choice of pods: {which}"
        changing = [pod for pod in among[which] if pod.ready is not ready][:count]
        self.pods = [
            replace(pod, ready=ready, ready_since=self.now if ready else None) if pod in changing else pod
            for pod in self.pods
        ]


# Validation


@kind("op object", "old", expect="valid", expect_optional="errors")
def check_validation(case: Json) -> None:
    from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.validation import validate_object

    inputs, expect = case["input"], case["expect"]
    assert (inputs["op"] == "update") is ("old" in inputs) and inputs["op"] in ("create", "update")
    found = {(error.path, error.reason): str(error) for error in validate_object(inputs["object"], inputs.get("old"))}
    wanted = {(error["field"], error["reason"]) for error in expect.get("errors", [])}
    assert all(error.keys() == {"field", "reason", "gist"} for error in expect.get("errors", []))
    as_stated = (not found) is expect["valid"] and wanted <= found.keys()
    if not as_stated and "versionDependent" in case:
        pytest.xfail(f"another version of Kubernetes: {case['versionDependent']}")
    assert as_stated, f"missing: {sorted(wanted - found.keys())}, found: {list(found.values())}"
