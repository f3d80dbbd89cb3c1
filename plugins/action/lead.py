# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say which batch begins and how far the rollout has come, in one line that a person understands."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import batches, run
from ansible_collections.everynode.daemonset.plugins.plugin_utils.progress import batch_lines

display = Display()


class ActionModule(ActionBase):
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset()

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        plan = run.current_plan()
        batch = batches.batch_of(plan, (task_vars or {})["ansible_play_batch"]) if plan else None
        result.update(changed=False, lines=[])
        if plan and batch is not None and not self._task.check_mode:
            result["lines"] = batch_lines(plan, batch, batches.begin(batch), batches.troubles(plan))
            for line in result["lines"]:
                display.display(line)
        return result
