#!/usr/bin/python
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What it does is in plugins/action/request.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: request
short_description: Ask the instances on this host to pause, to go on, or to be restarted
version_added: 0.1.0
description:
  - Leaves a request with the instances on this host of all DaemonSets that M(everynode.daemonset.plan) planned for in
    this run. It is kept on the host, so that an apply from anywhere finds it.
options:
  request:
    description:
      - With V(pause) no apply replaces an outdated instance until V(resume).
      - V(resume) takes V(pause) back, and lets a rollout that waits after one of its steps go on with the next one.
      - With V(restart) the next apply, within its budget, restarts each instance.
    type: str
    choices: [pause, resume, restart]
    required: true
extends_documentation_fragment:
  - everynode.daemonset.attributes.acts
attributes:
  action:
    description: Runs on the control node, and on the node where there is something to note.
  check_mode:
    support: full
    description: Says whether anything would change.
  diff_mode:
    support: none
    description: There is nothing to show.
  idempotent:
    support: partial
    description: It says who asked for it, and when.
author:
  - everynode contributors (@everynode)
seealso:
  - module: everynode.daemonset.plan
"""

EXAMPLES = r"""
- name: Let no rollout go on for now
  everynode.daemonset.request:
    request: pause
"""

RETURN = r"""# There is none."""
