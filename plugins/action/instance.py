# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control node's half of the module: manifests, labels and taints are judged here; what is right is left alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.everynode.daemonset.plugins.module_utils.observation import Facts, folder_of
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import declaration
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.host import (
    CONFIRM_SECONDS,
    INSTANCE_MODULE,
    ConnectionLost,
    Host,
    Outcome,
    StepFailed,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.nodes import node_of, templated
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.sources import (
    SourceError,
    load_for_nodes,
    read_sources,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.definition import define
from ansible_collections.everynode.daemonset.plugins.plugin_utils.desired import DELETED, settings_of, wanted_on
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.model import DaemonSet, Manifests
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import (
    DELETING,
    NONE,
    REPLACE,
    STAGED_STEPS,
    UNREACHABLE,
    Entry,
    Seen,
    Settings,
    judge,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.revision import revision
from ansible_collections.everynode.daemonset.plugins.plugin_utils.scheduling import Node

OPTIONS: dict[str, dict[str, Any]] = {
    "manifests": declaration.MANIFESTS,
    "name": {"type": "str"},
    "namespace": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "staged", "absent"], "default": "present"},
    "timeout": {"type": "int"},
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        if self._task.args.get("order"):
            # Already resolved, by whoever calls the module itself.
            module = self._execute_module(module_name=INSTANCE_MODULE, task_vars=task_vars)
            return {**result, **module}
        options = declaration.options(self, OPTIONS)
        try:
            return {**result, **self._enforce(options, task_vars)}
        except ConnectionLost as error:
            raise AnsibleConnectionFailure(str(error)) from error
        except (StepFailed, ValueError) as error:
            raise AnsibleActionFail(str(error)) from error

    def _enforce(self, options: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        if options["state"] == "absent" and not options["manifests"]:
            if not options["name"]:
                raise AnsibleActionFail("say which DaemonSet is to be absent: give manifests or name")
            removal = Settings(options["namespace"] or "default", options["name"], removal=DELETING)
            return _Node(self, task_vars, options).enforce([(removal, None, None)])
        manifests = self._manifests(options["manifests"], task_vars)
        chosen = _chosen(manifests, options["name"], options["namespace"])
        if options["state"] == "absent":
            removals = [Settings(daemonset.namespace, daemonset.name, removal=DELETING) for daemonset in chosen]
            return _Node(self, task_vars, options).enforce([(removal, None, None) for removal in removals])
        wishes = [(settings_of(daemonset), daemonset, manifests) for daemonset in chosen]
        return _Node(self, task_vars, options).enforce(wishes)

    def _manifests(self, given: list[Any], task_vars: dict[str, Any]) -> Manifests:
        """A templated manifest sees everything that the task sees, its own variables and the role's included."""
        node = str(task_vars["inventory_hostname"])
        try:
            sources = read_sources(self._loader, given, declaration.search_path(task_vars))
            return load_for_nodes(sources, [node], lambda _node: task_vars, self._templar)[node]
        except SourceError as error:
            lines = str(error).split("\n")
            if len(lines) == 1:
                raise
            raise AnsibleActionFail(f"{len(lines)} errors in the manifests:\n{error}") from error


def _chosen(manifests: Manifests, name: str | None, namespace: str | None) -> list[DaemonSet]:
    found = [
        daemonset
        for daemonset in manifests.daemonsets
        if name in (None, daemonset.name) and namespace in (None, daemonset.namespace)
    ]
    if not found:
        there = ", ".join(daemonset.key for daemonset in manifests.daemonsets)
        raise AnsibleActionFail(f"the manifests declare no DaemonSet {namespace or '*'}/{name or '*'}, only {there}")
    return found


class _Step(NamedTuple):
    """What one DaemonSet needs on this task's host; without a definition there is to be none of it."""

    settings: Settings
    entry: Entry
    definition: dict[str, Any] | None
    secrets: str


class _Node:
    """This task's host, and what is enforced on it."""

    def __init__(self, action: ActionBase, task_vars: dict[str, Any], options: Mapping[str, Any]) -> None:
        self._name = str(task_vars["inventory_hostname"])
        self._variables = templated(task_vars, action._templar)
        self._options = options
        self._check_mode = bool(action._task.check_mode)
        self._host = Host(action, task_vars, timeout=options["timeout"])

    def enforce(self, wishes: list[tuple[Settings, DaemonSet | None, Manifests | None]]) -> dict[str, Any]:
        seen = self._host.look()
        if seen.state == UNREACHABLE:
            raise ConnectionLost(seen.reason)
        if seen.observation is None:
            raise StepFailed(seen.reason)
        observation = seen.observation
        node = node_of(self._name, self._variables, observation.facts.arch)
        steps = [self._planned(*wish, node=node, seen=seen, facts=observation.facts) for wish in wishes]
        result: dict[str, Any] = {"changed": False, "actions": [], "daemonsets": []}
        for step in steps:
            if step.entry.step != NONE:
                outcome = self._take(step, observation.facts.package_manager)
                result["changed"] |= outcome.changed
                result["actions"] += outcome.actions
                if outcome.diff:
                    result.setdefault("diff", []).append(outcome.diff)
            result["daemonsets"].append(_told(step))
        return result

    def _planned(
        self,
        settings: Settings,
        daemonset: DaemonSet | None,
        manifests: Manifests | None,
        node: Node,
        seen: Seen,
        facts: Facts,
    ) -> _Step:
        """What is to be done, the definition included, so that all that is wrong shows before anything is done."""
        wanted, definition, secrets = DELETED, None, ""
        if daemonset is not None and manifests is not None:
            wanted = wanted_on(node, daemonset, revision(daemonset, manifests), seen.observation)
            if wanted.should_run:
                definition, secrets = define(daemonset, manifests, node, facts, wanted.runtime)
        return _Step(settings, judge(settings, self._name, wanted, seen), definition, secrets)

    def _take(self, step: _Step, package_manager: str) -> Outcome:
        settings, definition = step.settings, step.definition
        staging = self._options["state"] == "staged"
        if definition is None:
            return Outcome() if staging else self._host.absent(settings.namespace, settings.name)
        if staging:
            return self._host.stage(definition, step.secrets, package_manager)
        fetched = Outcome()
        if step.entry.step in STAGED_STEPS:
            fetched = self._host.fetch(definition, package_manager)
        replacing = step.entry.step == REPLACE and not self._check_mode
        terms = {"confirm": CONFIRM_SECONDS if replacing else 0, "surge": settings.strategy.surges}
        outcome = self._host.present(definition, step.secrets, terms)
        if replacing:
            self._host.confirm(definition, folder_of(definition["revision"], definition["runtime"]))
        outcome.actions[:0] = fetched.actions
        outcome.changed |= fetched.changed
        return outcome


def _told(step: _Step) -> dict[str, Any]:
    """What the host was like when the task began, and what followed."""
    return {
        "namespace": step.settings.namespace,
        "name": step.settings.name,
        "eligible": step.entry.should_run,
        "found": step.entry.state,
        "step": step.entry.step,
        "reason": step.entry.reason,
    }
