# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a failure, by ``everynode/on-failure: rollback``: this node goes back to what it had before the rollout."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import declaration, leases, run
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.host import STEP_SECONDS, Host, StepFailed
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import SWITCH, DaemonSetPlan

display = Display()

OPTIONS: dict[str, dict[str, Any]] = {
    "timeout": {"type": "int"},
    "step_timeout": {"type": "int", "default": STEP_SECONDS},
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        options = declaration.options(self, OPTIONS)
        node = str(task_vars["inventory_hostname"])
        host = Host(self, task_vars, timeout=options["timeout"])
        plan = run.current_plan()
        nodes = run.going_back(plan) if plan else {}
        taken = leases.refused()
        result.update(changed=False)
        for daemonset in plan.daemonsets if plan else ():
            key = daemonset.settings.key
            if node in nodes.get(key, []) and key not in taken and not leases.obstacle(key):
                result["changed"] |= self._go_back(host, node, daemonset, options["step_timeout"])
        if host.seen is not None:
            run.save_seen(node, host.seen)
        return result

    def _go_back(self, host: Host, node: str, daemonset: DaemonSetPlan, seconds: int) -> bool:
        settings = daemonset.settings
        revision = next(entry.wanted for entry in daemonset.entries if entry.node == node)
        try:
            with run.turn(settings.key, max(1, daemonset.room)), host.within(seconds):
                outcome = host.go_back(settings, revision)
        except StepFailed as error:
            run.add_problem(run.Problem(node, settings.key, SWITCH, f"could not go back: {error}", True))
            display.display(f"{node}: {settings.name}: failed to go back: {error}", color="red")
            return error.changed
        if outcome.changed:
            display.display(f"{node}: {settings.name}: went back from revision {revision}")
        return outcome.changed
