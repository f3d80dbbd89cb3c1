#!/usr/bin/python
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What it does is in plugins/action/watch.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: watch
short_description: Wait until this host has come to what is declared
version_added: 0.1.0
description:
  - Looks at this host again and again until every DaemonSet has there what the plan of M(everynode.daemonset.plan)
    wants, whoever brings that about, or until a deadline. Nothing is changed.
  - M(everynode.daemonset.report) then says how it went.
options:
  deadline:
    description: Seconds after which to stop waiting.
    type: int
    default: 600
  observe_timeout:
    description:
      - Seconds after which a host that does not answer, as one that is frozen, counts as unreachable; V(0) is no limit.
    type: int
    default: 60
extends_documentation_fragment:
  - everynode.daemonset.attributes.looks
attributes:
  action:
    description: Runs on the control node, and a shell script on the node.
  async:
    description: It has to stay with the run.
  platform:
    description: Needs systemd on the node.
author:
  - everynode contributors (@everynode)
seealso:
  - module: everynode.daemonset.plan
  - module: everynode.daemonset.report
"""

EXAMPLES = r"""
- name: Wait at most five minutes for a rollout
  everynode.daemonset.watch:
    deadline: 300
"""

RETURN = r"""
waiting:
  description: The DaemonSets, as namespace/name, that are not there yet.
  returned: always
  type: list
  elements: str
  sample: []
"""
