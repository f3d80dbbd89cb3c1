# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say which revisions the nodes remember of each planned DaemonSet, as ``kubectl rollout history`` does."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import declaration, run, terminal
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.host import observed
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.nodes import Inventory
from ansible_collections.everynode.daemonset.plugins.plugin_utils.history import as_item, history_table, instances

OPTIONS: dict[str, dict[str, Any]] = {
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
        seen = observed(Inventory(task_vars["hostvars"]), options["observed"], plan.nodes, task_vars)
        tables, items = [], []
        for daemonset in plan.daemonsets:
            settings = daemonset.settings
            found = instances(seen, settings.namespace, settings.name)
            tables.append(f"daemonset.apps/{settings.name}\n{history_table(found, terminal.WIDTH)}\n")
            items.append(as_item(settings, found))
        terminal.show({"items": items}, options["output"], options["output_file"], lambda: "\n".join(tables))
        result.update(changed=False, daemonsets=items)
        return result
