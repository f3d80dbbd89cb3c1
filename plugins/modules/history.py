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
extends_documentation_fragment:
  - everynode.daemonset.attributes
  - everynode.daemonset.printed
  - everynode.daemonset.printed.observed
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
daemonsets:
  description: One item for each DaemonSet, with its revisions in the order of their numbers. See docs/output.md.
  returned: success
  type: list
  elements: dict
  sample:
    - metadata: {namespace: default, name: heartbeat}
      revisions:
        - revision: 1
          changeCause: ""
          hashes: [1b2c3d4e5f60]
          nodes: [web1, web2]
"""
