#!/usr/bin/python
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What it does is in plugins/action/details.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: details
short_description: Events, last log lines, memory and CPU of the instances on this host
version_added: 0.1.0
description:
  - Asks the host, with one read-only shell script and without Python on it, about the instances of the DaemonSets that
    M(everynode.daemonset.plan) planned for in this run.
  - The answer is kept for M(everynode.daemonset.report), M(everynode.daemonset.describe), M(everynode.daemonset.logs)
    and M(everynode.daemonset.top) of the same run; it is not in the task's result, for it may be long.
  - A host that cannot be reached is a result and not an error.
  - Needs root on the host, by login or by C(become).
options:
  tail:
    description: How many of the last log lines of each container, V(-1) for all of them.
    type: int
    default: 0
  since:
    description:
      - Only log lines that are not older than this duration, such as V(10m) or V(1h30m), or than this time, such as
        V(2026-11-21T18:30), which is meant as the control node's own unless it has a zone.
      - With an empty string however old they are.
    type: str
    default: ""
  node_selector:
    description: Only ask hosts whose labels match this selector, such as V(tier=web,disk!=hdd).
    type: str
    default: ""
  samples:
    description:
      - How often memory and CPU are read. Two samples, a second apart, also tell how many cores are at work now.
    type: int
    choices: [0, 1, 2]
    default: 1
  timeout:
    description:
      - Seconds after which a host that does not answer, as one that is frozen, counts as unreachable; V(0) is no limit.
    type: int
    default: 60
extends_documentation_fragment:
  - everynode.daemonset.attributes.looks
  - everynode.daemonset.printed.observed
author:
  - everynode contributors (@everynode)
seealso:
  - module: everynode.daemonset.plan
"""

EXAMPLES = r"""
- name: Ask for the last log lines
  everynode.daemonset.details:
    tail: 20
"""

RETURN = r"""
reachable:
  description: Whether the host answered.
  returned: always
  type: bool
reason:
  description: Why the host could not be asked.
  returned: when it could not
  type: str
  sample: "ssh: connect to host web3 port 22: Connection refused"
daemonsets:
  description: What it was asked about, by namespace/name.
  returned: always
  type: list
  elements: str
  sample: [default/heartbeat]
"""
