# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what is declared with what was observed, and say in words what will be done where."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.everynode.daemonset.plugins.module_utils.observation import Facts
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import (
    declaration,
    leases,
    measures,
    pulling,
    run,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.host import observed, others
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.nodes import Inventory
from ansible_collections.everynode.daemonset.plugins.plugin_utils.definition import define, holds_secrets
from ansible_collections.everynode.daemonset.plugins.plugin_utils.description import described
from ansible_collections.everynode.daemonset.plugins.plugin_utils.desired import (
    deletions,
    desired,
    refused_by_engines,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.history import (
    UnknownRevision,
    as_it_is,
    in_haste,
    instances,
    target_of_undo,
    undone,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.errors import ManifestError
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.model import DaemonSet, Manifests
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import (
    ORPHAN,
    REMOVE,
    RESTART,
    Plan,
    Seen,
    Settings,
    Wanted,
    make_plan,
    narrowed,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.prune import limit_of, orphans, too_many
from ansible_collections.everynode.daemonset.plugins.plugin_utils.pull import SLOT_SECONDS
from ansible_collections.everynode.daemonset.plugins.plugin_utils.saved_plan import differences
from ansible_collections.everynode.daemonset.plugins.plugin_utils.scheduling import Node

display = Display()

OPTIONS: dict[str, dict[str, Any]] = {
    "manifests": declaration.MANIFESTS,
    "hosts": declaration.HOSTS,
    "observed": declaration.OBSERVED,
    "others": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "names": declaration.NAMES,
    "prune": declaration.PRUNE,
    "max_removals": declaration.MAX_REMOVALS,
    "only_restarts": {"type": "bool", "default": False},
    "undo": {"type": "bool", "default": False},
    "to_revision": {"type": "int", "default": 0},
    "force": {"type": "bool", "default": False},
    "metrics_file": {"type": "path"},
    "quiet": {"type": "bool", "default": False},
    "pull": {"type": "bool", "default": False},
    "pull_slot": {"type": "int", "default": SLOT_SECONDS},
    "pull_since": {"type": "float", "default": 0},
    "timeout": {"type": "int"},
    "plan_file": {"type": "path"},
    "plan_file_use": {"type": "str", "choices": ["compare", "save"], "default": "compare"},
}


class ActionModule(ActionBase):
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        options = declaration.options(self, OPTIONS)
        try:
            plan = self._made(task_vars, options)
        except AnsibleActionFail:
            measures.refused(options["metrics_file"])
            raise
        result.update(changed=False, plan=plan.as_dict())
        return result

    def _made(self, task_vars: dict[str, Any], options: Mapping[str, Any]) -> Plan:
        names = declaration.node_names(self, task_vars, options["hosts"])
        inventory = Inventory(task_vars["hostvars"])
        seen = observed(inventory, options["observed"], names, task_vars)
        if options["others"]:
            seen |= others(inventory, options["others"], task_vars)
        if options["state"] == "absent":
            plan = make_plan(self._deletions(task_vars, options, names, inventory), names, seen)
            run.begin(plan, {name: _part(look) for name, look in seen.items()})
        else:
            plan = self._plan(task_vars, options, names, inventory, seen)
        if not self._task.check_mode:
            leases.begin(plan, seen)
        if not options["quiet"] and (options["others"] or not plan.unseen):
            display.display("\n".join(described(plan)))
            _refuse_removals(plan, options)
        if options["plan_file"] and (options["others"] or not plan.unseen):
            _keep_to(plan, options["plan_file"], save=options["plan_file_use"] == "save")
        return plan

    def _deletions(
        self, task_vars: Mapping[str, Any], options: Mapping[str, Any], names: list[str], inventory: Inventory
    ) -> list[tuple[Settings, dict[str, Wanted]]]:
        keys = [declaration.key_of(name) for name in options["names"]]
        if not keys:
            loaded, _nodes = declaration.load_everything(self, task_vars, options["manifests"], names, inventory)
            keys = [(one.namespace, one.name) for manifests in loaded.values() for one in manifests.daemonsets]
        return deletions(keys, names)

    def _plan(
        self,
        task_vars: Mapping[str, Any],
        options: Mapping[str, Any],
        names: list[str],
        inventory: Inventory,
        seen: Mapping[str, Seen],
    ) -> Plan:
        loaded, _nodes = declaration.load_everything(self, task_vars, options["manifests"], names, inventory)
        # Only now is the architecture known, which is a label of the node too, and the container engine.
        arch = {name: look.observation.facts.arch for name, look in seen.items() if look.observation is not None}
        nodes = inventory.nodes(names, arch)
        declared = desired(loaded, nodes, seen)
        errors = refused_by_engines(loaded, nodes, declared)
        if errors:
            declaration.refuse(errors)
        if not options["undo"] and not options["only_restarts"]:
            keys = orphans({settings.key for settings, _wanted in declared}, seen, options["prune"])
            declared = sorted([*declared, *deletions(keys, names, ORPHAN)], key=lambda one: one[0].key.split("/"))
        declared = _named(declared, options["names"])
        if options["undo"]:
            declared = _undone(declared, seen, options["to_revision"])
        if options["only_restarts"]:
            declared = [
                (settings, as_it_is(wanted, instances(seen, settings.namespace, settings.name)))
                for settings, wanted in declared
            ]
        if options["pull"]:
            node = pulling.only_one(seen)
            declared = pulling.with_turns(declared, node, loaded, inventory, seen[node], options)
            names = [node]
        plan = make_plan(declared, names, seen, forced=options["force"] or options["undo"])
        if options["only_restarts"]:
            plan = narrowed(plan, lambda entry: entry.step == RESTART)
        if options["undo"]:
            plan = narrowed(plan, lambda entry: entry.on_disk)
        run.begin(plan, _parts(plan, loaded, nodes, seen))
        return plan


def _refuse_removals(plan: Plan, options: Mapping[str, Any]) -> None:
    """Nobody has been touched yet."""
    refused = too_many(plan, limit_of(options["max_removals"]), options["prune"])
    if refused:
        run.end()
        declaration.refuse(refused)


def _keep_to(plan: Plan, path: str, save: bool) -> None:
    """Save the plan, or refuse to do anything else than what was saved."""
    try:
        if save:
            with open(path, "w", encoding="utf-8") as file:
                file.write(json.dumps(plan.as_dict()) + "\n")
            return
        with open(path, encoding="utf-8") as file:
            saved = Plan.from_dict(json.load(file))
    except OSError as error:
        declaration.refuse([f"daemonset_plan_file: {path}: {os.strerror(error.errno or 0)}"])
    except (ValueError, KeyError, TypeError):
        declaration.refuse([f"daemonset_plan_file: {path} is no plan that this version of everynode.daemonset saved"])
    else:
        changed = differences(saved, plan)
        if changed:
            run.end()
            declaration.refuse([f"the plan in {path} is not the plan any more:", *(f"  {one}" for one in changed)])


Declared = list[tuple[Settings, dict[str, Wanted]]]


def _named(declared: Declared, names: list[str]) -> Declared:
    """Those of the manifests' DaemonSets that are named; all, if none is."""
    keys = {"/".join(declaration.key_of(name)) for name in names}
    unknown = keys - {settings.key for settings, _wanted in declared}
    if unknown:
        there = ", ".join(settings.key for settings, _wanted in declared)
        declaration.refuse([f"the manifests declare no DaemonSet {name}, only {there}" for name in sorted(unknown)])
    return [(settings, wanted) for settings, wanted in declared if not keys or settings.key in keys]


def _undone(declared: Declared, seen: Mapping[str, Seen], to_revision: int) -> Declared:
    """The same DaemonSets with what the nodes have kept of an earlier revision."""
    result, errors = [], []
    for settings, wanted in declared:
        found = instances(seen, settings.namespace, settings.name)
        try:
            number = target_of_undo(found, to_revision)
        except UnknownRevision as error:
            errors.append(f"{settings.key}: {error}")
        else:
            result.append((in_haste(settings), undone(wanted, found, number)))
    if errors:
        declaration.refuse(errors)
    return result


def _parts(
    plan: Plan, loaded: Mapping[str, Manifests], nodes: Mapping[str, Node], seen: Mapping[str, Seen]
) -> dict[str, run.Part]:
    """What the steps on each node need, made here once: in its step every node would read all manifests again."""
    parts = {}
    for name, steps in plan.by_node().items():
        rendered = [(settings, entry) for settings, entry in steps if entry.step != REMOVE and not entry.on_disk]
        runtimes = {settings.key: entry.wanted_runtime for settings, entry in rendered}
        chosen = [one for one in loaded[name].daemonsets if one.key in runtimes]
        part = _part(seen[name])
        look = seen[name].observation
        if look is not None:
            for one in chosen:
                part.definitions[one.key] = _defined(one, loaded[name], nodes[name], look.facts, runtimes[one.key])
        parts[name] = part
    return parts


def _part(seen: Seen) -> run.Part:
    look = seen.observation
    return run.Part({} if look is None else look.as_dict()["facts"], {})


def _defined(daemonset: DaemonSet, manifests: Manifests, node: Node, facts: Facts, runtime: str) -> dict[str, Any]:
    """Secrets are not kept, not even for the length of a run: whoever needs them makes them anew."""
    try:
        definition, secrets = define(daemonset, manifests, node, facts, runtime)
    except ManifestError as error:
        return {"error": str(error)}
    return {"definition": definition, "secrets": None if holds_secrets(secrets) else secrets}
