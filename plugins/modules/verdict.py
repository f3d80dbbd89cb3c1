#!/usr/bin/python
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What it does is in plugins/action/verdict.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: verdict
short_description: Fail the hosts that are not as declared
version_added: 0.1.0
description:
  - Fails this host if M(everynode.daemonset.report) found it not as declared, with the reason. So the exit code of a
    run is 0 only if all is as declared.
extends_documentation_fragment:
  - everynode.daemonset.attributes
attributes:
  bypass_host_loop:
    support: none
    description: Runs for each host.
  check_mode:
    description: In check mode only what could not be predicted fails a host.
author:
  - everynode contributors (@everynode)
seealso:
  - module: everynode.daemonset.report
"""

EXAMPLES = r"""
- name: Fail the nodes that are not as declared
  everynode.daemonset.verdict:
"""

RETURN = r"""# There is none."""
