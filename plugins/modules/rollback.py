#!/usr/bin/python
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What it does is in plugins/action/rollback.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: rollback
short_description: Go back after a failed rollout
version_added: 0.1.0
description:
  - Where a failure in this run halted the rollout of a DaemonSet, and its annotation C(everynode/on-failure) is
    V(rollback), this host goes back to the revision that it had before. What it came to more than a day ago stays.
options:
  timeout:
    description: Seconds to wait until the former revision is ready, as for M(everynode.daemonset.step).
    type: int
  step_timeout:
    description: Seconds after which a step whose end is not seen counts as a lost connection.
    type: int
    default: 3600
extends_documentation_fragment:
  - everynode.daemonset.attributes.acts
attributes:
  check_mode:
    support: full
    description: Nothing fails in a dry run that would have to be taken back.
  diff_mode:
    support: none
    description: What comes back was shown when it was first brought.
  idempotent:
    support: full
    description: Who has gone back stays there.
author:
  - everynode contributors (@everynode)
seealso:
  - module: everynode.daemonset.step
"""

EXAMPLES = r"""
- name: Go back where the policy says so
  everynode.daemonset.rollback:
"""

RETURN = r"""# There is none."""
