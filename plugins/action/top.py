# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print what the instances of the planned DaemonSets use of their nodes, as ``kubectl top pods`` does."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.everynode.daemonset.plugins.plugin_utils import usage
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import declaration, run, terminal
from ansible_collections.everynode.daemonset.plugins.plugin_utils.status import as_items

OPTIONS: dict[str, dict[str, Any]] = {
    "sort_by": {"type": "str", "choices": ["node", "cpu", "memory", "restarts"], "default": "node"},
    **terminal.OPTIONS,
}


class ActionModule(ActionBase):
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        options = declaration.options(self, OPTIONS)
        plan = run.needed_plan()
        details = run.details(plan.present)
        items = as_items(plan, details)
        terminal.show(
            items,
            options["output"],
            options["output_file"],
            lambda: usage.usage_table(plan, details, options["sort_by"], terminal.WIDTH),
        )
        result.update(changed=False, daemonsets=items["items"])
        return result
