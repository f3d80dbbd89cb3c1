# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watch that what is updated on one node stays available, before the next step of the rollout begins.

As with a step that fails, what does not stay available is recorded, printed, and halts the rollout; it does not fail
the host.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import batches, declaration, run
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.host import (
    OBSERVE_SECONDS,
    STEP_SECONDS,
    Host,
    StepFailed,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import (
    SWITCH,
    DaemonSetPlan,
    Entry,
    Plan,
    Seen,
    judge,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.policy import HALT
from ansible_collections.everynode.daemonset.plugins.plugin_utils.progress import (
    LOOK_SECONDS,
    baking_line,
    due,
    moments,
    to_watch,
    why_not_available,
)

display = Display()

OPTIONS: dict[str, dict[str, Any]] = {
    "node": {"type": "str"},
    "moment": {"type": "float"},
    "observe_timeout": {"type": "int", "default": OBSERVE_SECONDS},
    "step_timeout": {"type": "int", "default": STEP_SECONDS},
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        options = declaration.options(self, OPTIONS)
        plan = run.current_plan()
        result.update(changed=False)
        if plan and not self._task.check_mode:
            node = options["node"] or str(task_vars["inventory_hostname"])
            watcher = _Watcher(plan, node, Host(self, task_vars), options)
            if options["moment"] is not None:
                watcher.look_at(options["moment"], speak=True)
            else:
                watcher.look_often(speak=node == task_vars["ansible_play_hosts"][0])
        return result


class _Watcher:
    """Looks at one node while something bakes there."""

    def __init__(self, plan: Plan, node: str, host: Host, options: Mapping[str, Any]) -> None:
        self._plan = plan
        self._node = node
        self._host = host
        self._patience = options["observe_timeout"]
        self._step_timeout = options["step_timeout"]
        self._batch = batches.current()

    def look_often(self, speak: bool) -> None:
        for moment in moments(max(due(self._plan, self._batch).values(), default=0.0), nodes=1):
            self.look_at(moment, speak)

    def look_at(self, moment: float, speak: bool) -> None:
        """``moment``: seconds since it began to bake."""
        baking = to_watch(self._plan, self._batch, batches.troubles(self._plan)).get(self._node)
        if not baking:
            return  # it failed already, or something else has halted the rollout
        self._wait_until(moment, speak)
        seen = self._look()
        watched = batches.baked_for(self._batch)
        for daemonset in self._plan.daemonsets:
            if daemonset.settings.key in baking:
                why = self._why_not(daemonset, seen, watched)
                if why:
                    self._fail(daemonset, seen, why)

    def _wait_until(self, moment: float, speak: bool) -> None:
        watched = batches.baked_for(self._batch)
        if watched >= moment:
            return
        if speak:
            display.display(baking_line(due(self._plan, self._batch), watched, len(self._plan.daemonsets) > 1))
        time.sleep(moment - watched)

    def _look(self) -> Seen:
        """One lost answer is none: the second counts."""
        seen = self._host.look(self._patience)
        if seen.observation is None:
            time.sleep(LOOK_SECONDS)
            seen = self._host.look(self._patience)
        return seen

    def _why_not(self, daemonset: DaemonSetPlan, seen: Seen, watched: float) -> str:
        if seen.observation is None:
            return f"it is {seen.state} by now: {seen.reason}"
        settings = daemonset.settings
        found = judge(settings, self._node, self._entry(daemonset).declared, seen)
        return why_not_available(settings, found, watched)

    def _fail(self, daemonset: DaemonSetPlan, seen: Seen, why: str) -> None:
        settings = daemonset.settings
        message = f"it did not stay available while its step was baking: {why}"
        returned = False
        if seen.observation is not None and settings.policy.on_failure != HALT:
            try:
                returned = self._go_back(daemonset)
            except StepFailed as error:
                message += f"; it could not go back: {error}"
        if returned:
            message += "; it went back to its former revision"
        run.add_problem(run.Problem(self._node, settings.key, SWITCH, message, halts=True, serves=returned))
        display.display(f"{self._node}: {settings.name}: {message}", color="red")

    def _go_back(self, daemonset: DaemonSetPlan) -> bool:
        with self._host.within(self._step_timeout):
            outcome = self._host.go_back(daemonset.settings, self._entry(daemonset).wanted)
        if self._host.seen is not None:
            run.save_seen(self._node, self._host.seen)
        return outcome.changed

    def _entry(self, daemonset: DaemonSetPlan) -> Entry:
        return next(entry for entry in daemonset.entries if entry.node == self._node)
