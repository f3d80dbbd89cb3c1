# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what is declared with what was observed, and say in words what will be done where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import declaration, run
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.host import observed
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.nodes import Inventory
from ansible_collections.everynode.daemonset.plugins.plugin_utils.desired import (
    deletions,
    desired,
    refused_by_engines,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import (
    Seen,
    Settings,
    Wanted,
    described,
    make_plan,
)

display = Display()

OPTIONS: dict[str, dict[str, Any]] = {
    "manifests": declaration.MANIFESTS,
    "hosts": declaration.HOSTS,
    "observed": {"type": "str", "default": "everynode_observed"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "names": declaration.NAMES,
    "quiet": {"type": "bool", "default": False},
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
        names = declaration.node_names(self, task_vars, options["hosts"])
        inventory = Inventory(task_vars["hostvars"])
        seen = observed(inventory, options["observed"], names, task_vars)
        plan = make_plan(self._declared(task_vars, options, names, inventory, seen), names, seen)
        run.begin(plan)
        if not options["quiet"]:
            display.display("\n".join(described(plan)))
        result.update(changed=False, plan=plan.as_dict())
        return result

    def _declared(
        self,
        task_vars: Mapping[str, Any],
        options: Mapping[str, Any],
        names: list[str],
        inventory: Inventory,
        seen: Mapping[str, Seen],
    ) -> list[tuple[Settings, dict[str, Wanted]]]:
        deleting = options["state"] == "absent"
        keys = [declaration.key_of(name) for name in options["names"]]
        if deleting and keys:
            return deletions(keys, names)
        loaded, _nodes = declaration.load_everything(self, task_vars, options["manifests"], names, inventory)
        if deleting:
            found = [(one.namespace, one.name) for manifests in loaded.values() for one in manifests.daemonsets]
            return deletions(found, names)
        # Only now is the architecture known, which is a label of the node too, and the container engine.
        arch = {name: look.observation.facts.arch for name, look in seen.items() if look.observation is not None}
        nodes = inventory.nodes(names, arch)
        declared = desired(loaded, nodes, seen)
        errors = refused_by_engines(loaded, nodes, declared)
        if errors:
            declaration.refuse(errors)
        return declared
