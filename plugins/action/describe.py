# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say all that is known of each planned DaemonSet, as ``kubectl describe daemonset`` does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import declaration, run, terminal
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.host import observed
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.nodes import Inventory
from ansible_collections.everynode.daemonset.plugins.plugin_utils.describe import Found, description
from ansible_collections.everynode.daemonset.plugins.plugin_utils.history import instances
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import DaemonSetPlan, Plan
from ansible_collections.everynode.daemonset.plugins.plugin_utils.status import as_items

OPTIONS: dict[str, dict[str, Any]] = {
    "manifests": declaration.MANIFESTS,
    "observed": declaration.OBSERVED,
    **terminal.OPTIONS,
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
        plan = run.needed_plan()
        details = run.details(plan.present)
        inventory = Inventory(task_vars["hostvars"])
        items = as_items(plan, details)

        def for_people() -> str:
            texts = []
            seen = observed(inventory, options["observed"], plan.nodes, task_vars)
            manifests = self._manifests(task_vars, options["manifests"], plan, inventory)
            for daemonset in plan.daemonsets:
                settings = daemonset.settings
                running = sum(one.running for one in instances(seen, settings.namespace, settings.name).values())
                of_nodes = {node: found[settings.key] for node, found in details.items() if settings.key in found}
                found = Found(running, of_nodes, time.time())
                texts.append(description(manifests[settings.key], daemonset, found, terminal.WIDTH))
            return "\n\n\n".join(texts)

        terminal.show(items, options["output"], options["output_file"], for_people)
        result.update(changed=False, daemonsets=items["items"])
        return result

    def _manifests(
        self, task_vars: Mapping[str, Any], manifests: list[Any], plan: Plan, inventory: Inventory
    ) -> dict[str, dict[str, Any]]:
        """By DaemonSet, as one of its nodes has it, which for a template is not as every node has it."""
        nodes = {one.settings.key: _declares(one) for one in plan.daemonsets}
        loaded = declaration.load_manifests(self, task_vars, manifests, dict.fromkeys(nodes.values()), inventory)
        return {one.key: one.object for key, node in nodes.items() for one in loaded[node].daemonsets if one.key == key}


def _declares(daemonset: DaemonSetPlan) -> str:
    """A node for which it is declared, if possible one that should run it."""
    declared = [entry for entry in daemonset.entries if entry.wanted]
    return min(declared, key=lambda entry: not entry.should_run).node
