# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The options of every action that prints what is known."""

    DOCUMENTATION = r"""
options:
  output:
    description: What to print; V(wide) is V(table). JSON and YAML are not printed if there is an O(output_file).
    type: str
    choices: [table, wide, json, yaml]
    default: table
  output_file:
    description: A file on the control node to write the JSON to, or YAML if its name ends in C(.yaml) or C(.yml).
    type: path
"""

    OBSERVED = r"""
options:
  observed:
    description: The name of the variable in which M(everynode.daemonset.observe) was registered.
    type: str
    default: everynode_observed
"""
