#!/usr/bin/python
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What it does is in plugins/action/logs.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: logs
short_description: What instances logged, of all nodes in the order of time
version_added: 0.1.0
description:
  - Prints the lines that M(everynode.daemonset.details) read, of journald, Docker and Podman alike, each with its node
    and container before it, in the order of time.
options:
  container:
    description: Only the lines of the containers of this name.
    type: str
    default: ""
  timestamps:
    description: Whether to print the time of each line.
    type: bool
    default: false
extends_documentation_fragment:
  - everynode.daemonset.attributes
  - everynode.daemonset.printed
author:
  - everynode contributors (@everynode)
seealso:
  - module: everynode.daemonset.details
"""

EXAMPLES = r"""
- name: Print the logs
  everynode.daemonset.logs:
    timestamps: true
"""

RETURN = r"""
lines:
  description: How many lines there are.
  returned: success
  type: int
"""
