#!/usr/bin/python
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What it does is in plugins/action/history.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: history
short_description: The revisions that the nodes remember
version_added: 0.1.0
description:
  - Prints the revisions of each DaemonSet that M(everynode.daemonset.plan) planned for in this run, as kubectl does,
    with the number of nodes that run each of them.
options:
  observed:
    description: The name of the variable in which M(everynode.daemonset.observe) was registered.
    type: str
    default: everynode_observed
extends_documentation_fragment:
  - everynode.daemonset.attributes
author:
  - everynode contributors (@everynode)
seealso:
  - module: everynode.daemonset.plan
"""

EXAMPLES = r"""
- name: Show the history
  everynode.daemonset.history:
"""

RETURN = r"""
revisions:
  description: By namespace/name, the revisions in the order of their numbers.
  returned: success
  type: dict
  sample:
    default/heartbeat:
      - number: 1
        cause: ""
        hashes: [1b2c3d4e5f60]
        nodes: [web1, web2]
"""
