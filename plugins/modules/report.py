#!/usr/bin/python
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What it does is in plugins/action/report.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: What stands now, as kubectl says it
version_added: 0.1.0
description:
  - Prints the table of C(kubectl get daemonsets) and the nodes that need attention, or JSON for programs.
  - Takes the plan of this run, with newer observations where steps were taken, and judges each node for
    M(everynode.daemonset.verdict).
options:
  output:
    description:
      - What to print. With V(wide) there are kubectl's other columns, and a line for each instance. JSON (on one line)
        and YAML are not printed if there is an O(output_file).
  metrics_file:
    description:
      - A file on the control node to write metrics to, for the textfile collector of Prometheus' node_exporter.
      - It is replaced by a rename, so nobody reads half of it.
    type: path
  page:
    description:
      - A file on the control node to write an HTML page to, which needs no other file and no network.
      - It has the log lines and events that M(everynode.daemonset.details) asked for in this run, of nodes that need
        attention first, as many as keep it small.
    type: path
  observed:
    description: The variable that M(everynode.daemonset.observe) was registered as; the nodes' pasts are in it.
extends_documentation_fragment:
  - everynode.daemonset.attributes
  - everynode.daemonset.printed
  - everynode.daemonset.printed.observed
author:
  - everynode contributors (@everynode)
seealso:
  - module: everynode.daemonset.verdict
"""

EXAMPLES = r"""
- name: Report for programs
  everynode.daemonset.report:
    output: json
    output_file: status.json
"""

RETURN = r"""
daemonsets:
  description:
    - One item for each DaemonSet, with Kubernetes' C(status) and the state of each node. docs/output.md has all fields.
  returned: success
  type: list
  elements: dict
  contains:
    metadata:
      description: Name, namespace and creation time.
      type: dict
    spec:
      description: Selector, node selector and containers, in Kubernetes' own shape.
      type: dict
    status:
      description: The counters of Kubernetes' DaemonSetStatus.
      type: dict
    nodes:
      description: Each node's state, the reason, and its instance's revision, readiness and restarts.
      type: list
      elements: dict
"""
