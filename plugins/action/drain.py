# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take every instance from one node and keep others away, or take that back.

The mark comes first and lies on the node: from then on nobody's apply brings anything there, also one that has planned
to already. So no lease is needed, and what stands after the mark is all there is to remove.
"""

from __future__ import annotations

import os
import shlex
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.everynode.daemonset.plugins.module_utils.observation import DRAINED, VETO, Observation
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import declaration
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.host import (
    OBSERVE_SECONDS,
    STEP_SECONDS,
    Host,
    StepFailed,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.limit import time_limit
from ansible_collections.everynode.daemonset.plugins.plugin_utils.words import last_line

display = Display()

PRESENT, ABSENT = "present", "absent"
OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": [PRESENT, ABSENT], "default": PRESENT},
    "observe_timeout": {"type": "int", "default": OBSERVE_SECONDS},
    "step_timeout": {"type": "int", "default": STEP_SECONDS},
}

# Written beside and renamed, for a node that is switched off next must not lose it.
MARK = "mkdir -p {folder} && printf '%s\\n' {text} >{path}.new && sync {path}.new && mv {path}.new {path}"
UNMARK = "rm -f {path} && rmdir --ignore-fail-on-non-empty {folder}"
STAYS_AWAY = "nothing comes back until `uncordon`; take the host out of the inventory if it does not return"
COMES_BACK = "the next apply brings back what it is eligible for"


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        node = _Node(self, task_vars or {})
        try:
            if node.options["state"] == PRESENT:
                node.drain()
            else:
                node.uncordon()
        except (StepFailed, AnsibleError) as error:
            result.update(failed=True, msg=str(error))
        result.update(changed=node.changed, actions=node.actions)
        if node.diffs:
            result["diff"] = node.diffs
        return result


class _Node:
    def __init__(self, action: ActionBase, task_vars: dict[str, Any]) -> None:
        self.options = declaration.options(action, OPTIONS)
        self.changed = False
        self.actions: list[str] = []
        self.diffs: list[dict[str, Any]] = []
        self._name = str(task_vars["inventory_hostname"])
        self._action = action
        self._check_mode = bool(action._task.check_mode)
        self._host = Host(action, task_vars)

    def drain(self) -> None:
        found = self._look()
        if not found.facts.drained:
            self._mark(f"write {DRAINED}", MARK, declaration.signature())
            found = found if self._check_mode else self._look()
        for instance in found.instances:
            with self._host.within(self.options["step_timeout"]):
                outcome = self._host.absent(instance.namespace, instance.name)
            self.changed |= outcome.changed
            self.actions += outcome.actions
            self.diffs += [outcome.diff] if outcome.diff else []
            self._say(f"{instance.namespace}/{instance.name} {'would be removed' if self._check_mode else 'removed'}")
        self._say(f"would be drained; {STAYS_AWAY}" if self._check_mode else f"drained; {STAYS_AWAY}")

    def uncordon(self) -> None:
        if self._look().facts.drained:
            self._mark(f"remove {DRAINED}", UNMARK)
            self._say(f"would be open again; {COMES_BACK}" if self._check_mode else f"open again; {COMES_BACK}")
        else:
            self._say("was not drained")

    def _look(self) -> Observation:
        seen = self._host.look(self.options["observe_timeout"])
        if seen.observation is None:
            raise StepFailed(f"this node is {seen.state}: {seen.reason}")
        if seen.observation.facts.veto:
            raise StepFailed(f"this node is left as it is: {VETO} says: {seen.observation.facts.veto}")
        return seen.observation

    def _mark(self, words: str, command: str, text: str = "") -> None:
        self.changed = True
        self.actions.append(words)
        if self._check_mode:
            return
        quoted = {"path": DRAINED, "folder": os.path.dirname(DRAINED), "text": shlex.quote(text)}
        with time_limit(self.options["observe_timeout"]):
            done = self._action._low_level_execute_command(command.format(**quoted))
        if done["rc"] != 0:
            raise StepFailed(f"{DRAINED} cannot be changed: {last_line(done['stderr'] or done['stdout'])}")

    def _say(self, what: str) -> None:
        display.display(f"{self._name}: {what}")
