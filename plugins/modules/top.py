#!/usr/bin/python
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What it does is in plugins/action/top.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: top
short_description: What instances use of their nodes, as kubectl says it
version_added: 0.1.0
description:
  - Prints the table of C(kubectl top pods) for the DaemonSets that M(everynode.daemonset.plan) planned for in this run,
    with the share of the memory limit and the restarts.
  - Takes what M(everynode.daemonset.details) read, with two samples.
options:
  sort_by:
    description: V(node) is the order of the inventory; the others put the largest first.
    type: str
    choices: [node, cpu, memory, restarts]
    default: node
extends_documentation_fragment:
  - everynode.daemonset.attributes
  - everynode.daemonset.printed
author:
  - everynode contributors (@everynode)
seealso:
  - module: everynode.daemonset.details
"""

EXAMPLES = r"""
- name: Print what is used
  everynode.daemonset.top:
    sort_by: memory
"""

RETURN = r"""
daemonsets:
  description:
    - One item for each DaemonSet, as M(everynode.daemonset.report) returns it; each node also has what
      M(everynode.daemonset.details) asked it for.
  returned: success
  type: list
  elements: dict
"""
