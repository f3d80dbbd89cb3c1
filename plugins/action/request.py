# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leave a request with the instances on one node, for every apply from anywhere to find: pause, resume, restart.

A restart asks for each instance to be started anew; whoever applies next carries on with it where it was.
"""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import declaration, run
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.host import Host, StepFailed
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import DaemonSetPlan, Entry

display = Display()

PAUSE, RESUME, RESTART = "pause", "resume", "restart"
OPTIONS: dict[str, dict[str, Any]] = {
    "request": {"type": "str", "choices": [PAUSE, RESUME, RESTART], "required": True},
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        request = declaration.options(self, OPTIONS)["request"]
        host = Host(self, task_vars)
        plan = run.current_plan()
        changed = False
        for daemonset in plan.daemonsets if plan else ():
            for entry in daemonset.entries:
                if entry.node == task_vars["inventory_hostname"] and entry.present:
                    try:
                        changed |= host.note(daemonset.settings.names, _values(request, daemonset, entry)).changed
                    except StepFailed as error:
                        return {**result, "failed": True, "msg": str(error)}
        result.update(changed=changed)
        return result


def _values(request: str, daemonset: DaemonSetPlan, entry: Entry) -> dict[str, Any]:
    """See module_utils/record.py."""
    if request == PAUSE:
        return {"paused": declaration.signature()}
    if request == RESUME:
        passed = {"revision": entry.wanted, "steps": daemonset.completed_steps}
        return {"paused": "", **({"passed": passed} if entry.revision == entry.wanted else {})}
    return {"restart": time.time()}
