#!/usr/bin/python
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What it does is in plugins/action/lead.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: lead
short_description: Say which batch of a rollout begins
version_added: 0.1.0
description:
  - Begins a batch of the plan that M(everynode.daemonset.plan) made in this run. For each DaemonSet that is switched in
    it, one line says which nodes are next, how many are updated and how many failed, and from the second batch on about
    how long it is going to take.
extends_documentation_fragment:
  - everynode.daemonset.attributes
author:
  - everynode contributors (@everynode)
seealso:
  - module: everynode.daemonset.step
"""

EXAMPLES = r"""
- name: Say what begins
  everynode.daemonset.lead:
"""

RETURN = r"""
lines:
  description: What was printed.
  returned: always
  type: list
  elements: str
  sample: ["batch 2 of 5: web3, web4 · 4 of 10 updated · 0 failed · about 40 s left"]
"""
