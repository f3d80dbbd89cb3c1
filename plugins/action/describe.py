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
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import DaemonSetPlan
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
            for daemonset in plan.daemonsets:
                settings = daemonset.settings
                running = sum(one.running for one in instances(seen, settings.namespace, settings.name).values())
                of_nodes = {node: found[settings.key] for node, found in details.items() if settings.key in found}
                manifest = self._manifest(task_vars, options["manifests"], daemonset, inventory)
                found = Found(running, of_nodes, time.time())
                texts.append(description(manifest, daemonset, found, terminal.WIDTH))
            return "\n\n\n".join(texts)

        terminal.show(items, options["output"], options["output_file"], for_people)
        result.update(changed=False, daemonsets=items["items"])
        return result

    def _manifest(
        self, task_vars: Mapping[str, Any], manifests: list[Any], daemonset: DaemonSetPlan, inventory: Inventory
    ) -> dict[str, Any]:
        """As one of its nodes has it, which for a template is not as every node has it."""
        for entry in sorted(daemonset.entries, key=lambda entry: not entry.should_run):
            loaded = declaration.load_manifests(self, task_vars, manifests, [entry.node], inventory)
            for one in loaded[entry.node].daemonsets:
                if one.key == daemonset.settings.key:
                    return one.object
        raise AssertionError(f"{daemonset.settings.key} is planned, and declared on no node")
