#!/usr/bin/python
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What it does is in plugins/action/drain.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: drain
short_description: Take every instance from this host, and keep others away
version_added: 0.1.0
description:
  - Removes the instances of all DaemonSets from this host with all that belongs to them, and gives back the units whose
    place they took.
  - A file on the host, C(/etc/everynode/drained), says so to every apply from anywhere; for these, the host is not
    eligible for any DaemonSet, whatever that tolerates.
options:
  state:
    description: With V(absent) the host is open again, and the next apply brings back what it is eligible for.
    type: str
    choices: [present, absent]
    default: present
  observe_timeout:
    description: Seconds after which a host that does not answer counts as lost.
    type: int
    default: 60
  step_timeout:
    description: Seconds after which the removal of one instance counts as lost.
    type: int
    default: 3600
extends_documentation_fragment:
  - everynode.daemonset.attributes.acts
attributes:
  action:
    description: Runs on the control node, and on the node where there is something to remove.
  check_mode:
    support: full
    description: Says what would be removed.
  diff_mode:
    support: full
    description: Shows what would be removed.
  idempotent:
    support: full
    description: A host that was drained stays as it is.
author:
  - everynode contributors (@everynode)
"""

EXAMPLES = r"""
- name: Take every instance from this host
  everynode.daemonset.drain:

- name: Let instances come back
  everynode.daemonset.drain:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, in order; in check mode, what would be done.
  returned: always
  type: list
  elements: str
"""
