# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuse bad manifests, labels and options on the control node, before any node is touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import declaration, measures, run
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.nodes import Inventory

display = Display()

OPTIONS: dict[str, dict[str, Any]] = {
    "manifests": declaration.MANIFESTS,
    "names": declaration.NAMES,
    "drain": {"type": "raw"},
    "prune": declaration.PRUNE,
    "max_removals": declaration.MAX_REMOVALS,
    "hosts": declaration.HOSTS,
    "output": {"type": "str", "default": "table"},
    **declaration.QUESTION,
    **declaration.REPORT_FILES,
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
        run.start()
        try:
            keys = self._checked(task_vars, options)
        except AnsibleActionFail:
            measures.refused(options["metrics_file"])
            raise
        result.update(changed=False, daemonsets=keys)
        return result

    def _checked(self, task_vars: dict[str, Any], options: Mapping[str, Any]) -> list[str]:
        errors = declaration.output_problems(options)
        errors += declaration.question_problems(options)
        errors += declaration.removal_problems(options["prune"], options["max_removals"])
        if options["drain"] is None and not options["names"]:
            return self._declared(task_vars, options, errors)
        if options["drain"] is not None:
            errors = errors or self._undrainable(task_vars, options)
        errors += declaration.name_problems(options["names"])
        if errors:
            declaration.refuse(errors)
        return ["/".join(declaration.key_of(name)) for name in options["names"]]

    def _undrainable(self, task_vars: dict[str, Any], options: Mapping[str, Any]) -> list[str]:
        nodes = declaration.node_names(self, task_vars, options["drain"]) if options["drain"] else []
        names = declaration.node_names(self, task_vars, options["hosts"])
        return declaration.drain_problems(task_vars, nodes, names, options["max_removals"])

    def _declared(self, task_vars: dict[str, Any], options: Mapping[str, Any], errors: list[str]) -> list[str]:
        names = declaration.node_names(self, task_vars, options["hosts"])
        inventory = Inventory(task_vars["hostvars"])
        loaded, _nodes = declaration.load_everything(self, task_vars, options["manifests"], names, inventory, errors)
        for line in declaration.notes(loaded):
            display.display(line)
        return list(dict.fromkeys(daemonset.key for manifests in loaded.values() for daemonset in manifests.daemonsets))
