#!/usr/bin/python
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What it does is in plugins/action/describe.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: describe
short_description: All that is known of a DaemonSet, as kubectl says it
version_added: 0.1.0
description:
  - Prints each DaemonSet that M(everynode.daemonset.plan) planned for in this run as C(kubectl describe daemonset)
    does, its counters, pod template and events; then its nodes, each that is not right with the reason and its last log
    lines.
  - What is in Secrets is not shown.
options:
  observed:
    description: The name of the variable in which M(everynode.daemonset.observe) was registered.
    type: str
    default: everynode_observed
  output:
    description: What to print. V(wide) is the same as V(table).
    type: str
    choices: [table, wide, json, yaml]
    default: table
  output_file:
    description: A file on the control node to write the data to, as YAML if its name says so, else as JSON.
    type: path
extends_documentation_fragment:
  - everynode.daemonset.attributes
  - everynode.daemonset.manifests
author:
  - everynode contributors (@everynode)
seealso:
  - module: everynode.daemonset.plan
  - module: everynode.daemonset.details
"""

EXAMPLES = r"""
- name: Describe
  everynode.daemonset.describe:
    manifests: [fluentd.yaml]
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
