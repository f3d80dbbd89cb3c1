# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print what the instances of the planned DaemonSets logged on all nodes, in the order of time: ``kubectl logs``."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.color import stringc
from ansible_collections.everynode.daemonset.plugins.plugin_utils import loglines
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import declaration, run, terminal

COLOURS = ("cyan", "green", "yellow", "magenta", "bright blue", "bright green", "bright cyan", "bright purple")
OPTIONS: dict[str, dict[str, Any]] = {
    "container": {"type": "str", "default": ""},
    "timestamps": {"type": "bool", "default": False},
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
        lines = loglines.merged(details, options["container"])
        nodes = list(dict.fromkeys(line["node"] for line in lines))

        def for_people() -> str:
            several = len({line["daemonset"] for line in lines}) > 1
            printed = [
                stringc(prefix, COLOURS[nodes.index(line["node"]) % len(COLOURS)]) + text
                for line in lines
                for prefix, text in [loglines.printed(line, several, options["timestamps"])]
            ]
            return "\n".join([*printed, *loglines.remarks(plan, details, lines, options["container"])])

        terminal.show({"items": lines}, options["output"], options["output_file"], for_people)
        result.update(changed=False, lines=len(lines))
        return result
