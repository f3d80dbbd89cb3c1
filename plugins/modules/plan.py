#!/usr/bin/python
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What it does is in plugins/action/plan.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: What to do on which node, in which order, and why
version_added: 0.1.0
description:
  - Compares what the manifests declare with what M(everynode.daemonset.observe) saw, and says in words what follows.
  - The plan is kept for the tasks that follow in this run, M(everynode.daemonset.step) and
    M(everynode.daemonset.report).
  - A node with one container engine runs container images under that, one with both under the one that runs the
    instance already, or else under Docker; its inventory variable C(daemonset_engine) decides otherwise. What that
    engine cannot do is refused here. A node without an engine is left as it is, reported, and in no other node's way.
  - Nothing is changed on any node.
options:
  others:
    description:
      - The name of the variable in which M(everynode.daemonset.observe) was registered that looked, delegated, at nodes
        that C(--limit) leaves out. Nothing is done there, but what is not available there counts for the budget.
      - Without it, a plan that would need them is not printed.
    type: str
  state:
    description: With V(absent) the plan is to remove the DaemonSets from all nodes.
    type: str
    choices: [present, absent]
    default: present
  names:
    description:
      - Which of the DaemonSets of O(manifests), as name or namespace/name; without it all of them. With
        O(state=absent) they may stand without O(manifests).
    type: list
    elements: str
    default: []
  prune:
    description:
      - Namespaces, or V(all). What stands there on the nodes and is in none of O(manifests) is removed; if there are
        O(names), only what is one of them.
    type: list
    elements: str
    default: []
  max_removals:
    description:
      - How many instances of each DaemonSet, and of all that O(prune) concerns, the plan may remove. A number, or a
        percentage of those that there are or should be. A plan that would remove more is refused. What O(state=absent)
        removes is not counted.
    type: str
    default: 50%
  only_restarts:
    description: Plan nothing but the restarts that M(everynode.daemonset.request) asked for.
    type: bool
    default: false
  undo:
    description: Plan to go back to a revision that the nodes have kept, instead of to what O(manifests) declare.
    type: bool
    default: false
  to_revision:
    description: With O(undo), the number of that revision; V(0) is the one before the last.
    type: int
    default: 0
  force:
    description: Try revisions again that failed, or were undone.
    type: bool
    default: false
  pull:
    description:
      - The one node of this play applies to itself, and nobody looks at the others. What serves is touched only when it
        is its turn, so that among all nodes that do so the budget is kept; see O(pull_slot).
    type: bool
    default: false
  pull_slot:
    description: With O(pull), the seconds of a turn. It has to be the same on all nodes, and long enough for a
      replacement that fails and goes back.
    type: int
    default: 600
  pull_since:
    description: With O(pull), when this node learned of what is declared now, in seconds since the epoch. For two turns
      from then on it only looks, so that all others can learn of it too.
    type: float
    default: 0
  timeout:
    description: With O(pull), the seconds that a node may take to become ready, as for M(everynode.daemonset.step).
    type: int
  plan_file:
    description:
      - A file on the control node for the plan, as JSON. An apply with a plan that was saved is refused if anything
        that the plan depends on has changed since.
    type: path
  plan_file_use:
    description: With V(save) the plan is written there, with V(compare) this plan has to be that one.
    type: str
    choices: [compare, save]
    default: compare
  metrics_file:
    description: The file of M(everynode.daemonset.report), which then tells that the run was refused if the plan is.
    type: path
  quiet:
    description: Do not print the plan.
    type: bool
    default: false
extends_documentation_fragment:
  - everynode.daemonset.printed.observed
  - everynode.daemonset.attributes
  - everynode.daemonset.manifests
  - everynode.daemonset.manifests.hosts
author:
  - everynode contributors (@everynode)
seealso:
  - module: everynode.daemonset.observe
  - module: everynode.daemonset.step
"""

EXAMPLES = r"""
- name: Observe the nodes
  everynode.daemonset.observe:
  register: everynode_observed

- name: Plan what to do
  everynode.daemonset.plan:
    manifests: node-exporter.yaml
"""

RETURN = r"""
plan:
  description:
    - For each DaemonSet its settings and one entry for each node; and the batches in which outdated nodes are switched.
  returned: success
  type: dict
  contains:
    daemonsets:
      description: The settings and the entries of each DaemonSet.
      type: list
      elements: dict
    batches:
      description: The nodes to switch, batch by batch.
      type: list
      elements: list
"""
