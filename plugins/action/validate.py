# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuse bad manifests and bad labels on the control node, before any node is touched."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import declaration
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.nodes import Inventory

display = Display()


class ActionModule(ActionBase):
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        options = declaration.options(self, {"manifests": declaration.MANIFESTS, "hosts": declaration.HOSTS})
        names = declaration.node_names(self, task_vars, options["hosts"])
        loaded, _nodes = declaration.load_everything(
            self, task_vars, options["manifests"], names, Inventory(task_vars["hostvars"])
        )
        for line in declaration.notes(loaded):
            display.display(line)
        daemonsets = {daemonset.key: None for manifests in loaded.values() for daemonset in manifests.daemonsets}
        result.update(changed=False, daemonsets=list(daemonsets))
        return result
