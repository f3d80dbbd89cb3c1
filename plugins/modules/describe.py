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
extends_documentation_fragment:
  - everynode.daemonset.attributes
  - everynode.daemonset.printed
  - everynode.daemonset.printed.observed
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
