# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until one node has come to what is declared, changed by whoever: ``kubectl rollout status`` on each node."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import declaration, run
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.host import OBSERVE_SECONDS, Host
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import NONE, judge

display = Display()

PAUSE_SECONDS = 2.0
OPTIONS: dict[str, dict[str, Any]] = {
    "deadline": {"type": "int", "default": 600},
    "observe_timeout": {"type": "int", "default": OBSERVE_SECONDS},
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
        host = Host(self, task_vars or {})
        deadline = time.monotonic() + options["deadline"]
        waiting = run.steps_on(node)
        while waiting and time.monotonic() < deadline:
            time.sleep(min(PAUSE_SECONDS, max(0.0, deadline - time.monotonic())))
            seen = host.look(options["observe_timeout"])
            run.save_seen(node, seen)
            if seen.observation is None:
                continue
            left = [
                (settings, entry)
                for settings, entry in waiting
                if judge(settings, node, entry.declared, seen).step != NONE
            ]
            for settings, entry in waiting:
                if (settings, entry) not in left:
                    display.display(f"{node}: {settings.name}: revision {entry.wanted} is available")
            waiting = left
        result.update(changed=False, waiting=[settings.key for settings, _entry in waiting])
        return result
