# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at one node, without Python on it. A node that cannot be reached is a result and not an error."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import declaration
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.host import OBSERVE_SECONDS, Host
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import UNREACHABLE

OPTIONS: dict[str, dict[str, Any]] = {"timeout": {"type": "int", "default": OBSERVE_SECONDS}}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        options = declaration.options(self, OPTIONS)
        seen = Host(self, task_vars or {}).look(options["timeout"])
        result.update(changed=False, reachable=seen.state != UNREACHABLE)
        if seen.observation is None:
            result["reason"] = seen.reason
        else:
            result["observation"] = seen.observation.as_dict()
        return result
