# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask one node for the events, the last log lines and the usage of the planned DaemonSets' instances there."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.everynode.daemonset.plugins.module_utils.details import Question
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import declaration, run
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.host import OBSERVE_SECONDS, Host
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import UNREACHABLE, Seen

OPTIONS: dict[str, dict[str, Any]] = {
    "tail": {"type": "int", "default": 0},
    "since": {"type": "str", "default": ""},
    "samples": {"type": "int", "choices": [0, 1, 2], "default": 1},
    "timeout": {"type": "int", "default": OBSERVE_SECONDS},
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        options = declaration.options(self, OPTIONS)
        node = str((task_vars or {})["inventory_hostname"])
        plan = run.current_plan()
        keys = tuple(
            daemonset.settings.key
            for daemonset in (plan.daemonsets if plan else ())
            if any(entry.node == node and entry.present for entry in daemonset.entries)
        )
        result.update(changed=False, reachable=True, daemonsets=list(keys))
        if keys:
            question = Question(keys, options["tail"], options["since"], options["samples"])
            found = Host(self, task_vars or {}).ask(question, options["timeout"])
            if isinstance(found, Seen):
                result.update(reachable=found.state != UNREACHABLE, reason=found.reason)
            else:
                run.save_details(node, found)
        return result
