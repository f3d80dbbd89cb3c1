#!/usr/bin/python
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What it does is in plugins/action/bake.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: bake
short_description: Watch what is updated, before the next step begins
version_added: 0.1.0
description:
  - Where a batch ends a step of the rollout that has C(bake=) in the annotation C(everynode/steps) or
    C(everynode/canary), what is updated has to stay available for so long. This looks at one host meanwhile.
  - What does not stay available halts the rollout of its DaemonSet, and goes back to its former revision unless
    C(everynode/on-failure) is V(halt). The host fails only in M(everynode.daemonset.verdict).
options:
  node:
    description: The host to look at, which the task is delegated to; by default this one.
    type: str
  moment:
    description:
      - Look once, so many seconds after it began to bake. Without it, look again and again until the time is over.
    type: float
  observe_timeout:
    description:
      - Seconds after which a host that does not answer, as one that is frozen, counts as unreachable; V(0) is no limit.
    type: int
    default: 60
  step_timeout:
    description: Seconds after which going back counts as a lost connection if its end is not seen.
    type: int
    default: 3600
extends_documentation_fragment:
  - everynode.daemonset.attributes.looks
attributes:
  async:
    description: It has to stay with the run.
  bypass_host_loop:
    description: Runs for each host, or in a loop.
  check_mode:
    description: Nothing bakes in a dry run.
  diff_mode:
    description: What comes back was shown when it was first brought.
  idempotent:
    description: Who has gone back stays there.
author:
  - everynode contributors (@everynode)
seealso:
  - module: everynode.daemonset.lead
  - module: everynode.daemonset.step
"""

EXAMPLES = r"""
- name: Watch what is updated while the step bakes
  everynode.daemonset.bake:
    node: "{{ item.node }}"
    moment: "{{ item.moment }}"
  loop: "{{ 'baking' | everynode.daemonset.planned }}"
  loop_control:
    label: "{{ item.node }}"
  delegate_to: "{{ item.node }}"
  run_once: true
"""

RETURN = r"""# There is none."""
