#!/usr/bin/python
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What it does is in plugins/action/lease.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: lease
short_description: One run at a time rolls out a DaemonSet
version_added: 0.1.0
description:
  - Takes, renews or gives back the leases on the DaemonSets that the plan of M(everynode.daemonset.plan) changes. They
    are kept on up to three hosts, the witnesses, as files in C(/run/everynode); what matters there is the witness's own
    clock.
  - If somebody else has the lease of a DaemonSet, it says who, since when and what to do, and that DaemonSet is left
    alone in this run. The hosts fail only in M(everynode.daemonset.verdict).
  - The lease of a run that has certainly ended, on the same control node, is taken at once; any other one when it has
    expired, or with O(take_over).
  - A witness that cannot be reached is passed over. It needs no Python there, but C(flock).
options:
  state:
    description:
      - V(acquired) takes the leases that this run needs and has not, and renews those that it has.
      - V(released) gives all of them back.
    type: str
    choices: [acquired, released]
    default: acquired
  witness:
    description: The host of this task, which a loop with C(delegate_to) goes through.
    type: str
    required: true
  seconds:
    description:
      - The lease expires when it was not renewed for so long. It is renewed before each batch.
      - Without it, it is ten minutes and what the largest batch may take with the forks of this run.
    type: int
  take_over:
    description: Whether to take leases from runs that have them. They then leave the rest of their rollout as it is.
    type: bool
    default: false
  timeout:
    description: Seconds after which a witness that does not answer is passed over; V(0) is no limit.
    type: int
    default: 30
extends_documentation_fragment:
  - everynode.daemonset.attributes.looks
attributes:
  bypass_host_loop:
    description: Runs for each host; meant for C(run_once) with a loop.
  check_mode:
    description: Takes nothing and asks nobody.
  diff_mode:
    description: A lease is no part of what a host is like.
  idempotent:
    description: A lease that this run has is renewed.
  platform:
    description: Needs a POSIX shell and C(flock).
author:
  - everynode contributors (@everynode)
seealso:
  - module: everynode.daemonset.plan
  - module: everynode.daemonset.step
"""

EXAMPLES = r"""
- name: Take the leases
  everynode.daemonset.lease:
    witness: "{{ item }}"
  loop: "{{ 'witnesses' | everynode.daemonset.planned }}"
  delegate_to: "{{ item }}"
  run_once: true
"""

RETURN = r"""# There is none."""
