#!/usr/bin/python
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What it does is in plugins/action/validate.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: validate
short_description: Check manifests, node labels and options on the control node
version_added: 0.1.0
description:
  - Loads manifests as an apply would, for each node, and refuses what is wrong with them or with the labels, taints and
    container engines of the inventory, everything at once, with the path of each field. No node is contacted.
  - Prints what is skipped, and which fields have no effect on a plain host.
options:
  names:
    description: DaemonSets to delete, as C([NAMESPACE/]NAME). With these the manifests are not read.
    type: list
    elements: str
    default: []
  drain:
    description: A pattern of hosts, those that M(everynode.daemonset.drain) is meant for. Then no manifests are read.
    type: raw
  prune:
    description: What M(everynode.daemonset.plan) will be given as O(everynode.daemonset.plan#module:prune).
    type: list
    elements: str
    default: []
  max_removals:
    description:
      - What M(everynode.daemonset.plan) will be given as O(everynode.daemonset.plan#module:max_removals).
      - With O(drain), how many nodes of O(hosts) that may match.
    type: str
    default: 50%
  since:
    description: What M(everynode.daemonset.details) will be given as O(everynode.daemonset.details#module:since).
    type: str
    default: ""
  node_selector:
    description:
      - What M(everynode.daemonset.details) will be given as O(everynode.daemonset.details#module:node_selector).
    type: str
    default: ""
  output:
    description: What M(everynode.daemonset.report) will be asked to print, V(table), V(wide), V(json) or V(yaml).
    type: str
    default: table
  output_file:
    description: The file that M(everynode.daemonset.report) will write.
    type: path
  metrics_file:
    description: The file of metrics that M(everynode.daemonset.report) will write; at once, if something is refused.
    type: path
  page:
    description: The page that M(everynode.daemonset.report) will write.
    type: path
extends_documentation_fragment:
  - everynode.daemonset.attributes
  - everynode.daemonset.manifests
  - everynode.daemonset.manifests.hosts
author:
  - everynode contributors (@everynode)
seealso:
  - module: everynode.daemonset.plan
"""

EXAMPLES = r"""
- name: Check the manifests of the site
  everynode.daemonset.validate:
    manifests: manifests/
"""

RETURN = r"""
daemonsets:
  description: The DaemonSets that the manifests declare or O(names) gives, as namespace/name.
  returned: success
  type: list
  elements: str
  sample: [default/node-exporter]
"""
