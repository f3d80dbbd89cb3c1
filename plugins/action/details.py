# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask one node for the events, the last log lines and the usage of the planned DaemonSets' instances there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import declaration, run
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.host import OBSERVE_SECONDS, Host
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.nodes import node_of, templated
from ansible_collections.everynode.daemonset.plugins.plugin_utils.details import Question
from ansible_collections.everynode.daemonset.plugins.plugin_utils.loglines import since_of
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import UNREACHABLE, Seen
from ansible_collections.everynode.daemonset.plugins.plugin_utils.selectors import parse_selector

display = Display()

OPTIONS: dict[str, dict[str, Any]] = {
    "tail": {"type": "int", "default": 0},
    **declaration.QUESTION,
    "observed": declaration.OBSERVED,
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
        task_vars = task_vars or {}
        options = declaration.options(self, OPTIONS)
        node = str(task_vars["inventory_hostname"])
        keys: tuple[str, ...] = ()
        if self._is_meant(task_vars, options):
            keys = tuple(run.standing().get(node, ()))
        result.update(changed=False, reachable=True, daemonsets=list(keys))
        if keys:
            question = Question(keys, options["tail"], since_of(options["since"]), options["samples"])
            found = Host(self, task_vars).ask(question, options["timeout"])
            if isinstance(found, Seen):
                result.update(reachable=found.state != UNREACHABLE, reason=found.reason)
                display.warning(f"{node} was not asked for details: {found.reason}")
            else:
                run.save_details(node, found)
        return result

    def _is_meant(self, task_vars: dict[str, Any], options: Mapping[str, Any]) -> bool:
        selector = parse_selector(options["node_selector"])
        if not selector.requirements:
            return True
        look = task_vars.get(options["observed"], {}).get("observation", {})
        arch = look.get("facts", {}).get("arch")
        node = node_of(str(task_vars["inventory_hostname"]), templated(task_vars, self._templar), arch)
        return selector.matches(node.labels)
