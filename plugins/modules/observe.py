#!/usr/bin/python
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What it does is in plugins/action/observe.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: observe
short_description: What stands of any DaemonSet on this host
version_added: 0.1.0
description:
  - Looks at the host with one read-only shell script, without Python on it.
  - A host that cannot be reached is a result and not an error, so that it never stops the others.
  - Needs root on the host, by login or by C(become).
options:
  timeout:
    description:
      - Seconds after which a host that does not answer, as one that is frozen, counts as unreachable; V(0) is no limit.
    type: int
    default: 60
extends_documentation_fragment:
  - everynode.daemonset.attributes.looks
author:
  - everynode contributors (@everynode)
seealso:
  - module: everynode.daemonset.plan
"""

EXAMPLES = r"""
- name: Observe the nodes
  everynode.daemonset.observe:
  register: everynode_observed
"""

RETURN = r"""
reachable:
  description: Whether the host answered.
  returned: always
  type: bool
reason:
  description: Why the host could not be looked at.
  returned: when it could not
  type: str
  sample: "ssh: connect to host web3 port 22: Connection refused"
observation:
  description: Facts of the host, and what stands of each DaemonSet.
  returned: when the host could be looked at
  type: dict
"""
