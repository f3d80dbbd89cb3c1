# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What holds for many actions; a module says itself what is otherwise with it.

    Unnamed: what only thinks, once for all hosts, on the control node. LOOKS: what asks each host something through
    its connection. ACTS: what changes something on a host.
    """

    DOCUMENTATION = r"""
attributes:
  action:
    support: full
    description: Runs on the control node.
  async:
    support: none
    description: It is over in a moment, or has to stay with the run.
  bypass_host_loop:
    support: full
    description: Runs once for all hosts of the play.
  check_mode:
    support: full
    description: It only reads.
  diff_mode:
    support: none
    description: It only reads.
  idempotent:
    support: full
    description: It only reads.
  platform:
    support: full
    description: The control node alone is concerned.
    platforms: posix
"""

    LOOKS = r"""
attributes:
  action:
    support: full
    description: Runs on the control node and through the connection.
  async:
    support: none
    description: It is over in a moment, or has to stay with the run.
  bypass_host_loop:
    support: none
    description: Runs for each host.
  check_mode:
    support: full
    description: It only reads.
  diff_mode:
    support: none
    description: It only reads.
  idempotent:
    support: full
    description: It only reads.
  platform:
    support: full
    description: Needs a POSIX shell and systemd.
    platforms: posix
"""

    ACTS = r"""
attributes:
  action:
    support: full
    description: Runs on the control node and, for each change, on the node.
  async:
    support: none
    description: It has to stay with the run.
  bypass_host_loop:
    support: none
    description: Runs for each host.
  platform:
    support: full
    description: Needs systemd and Python 3.8 or newer on the node.
    platforms: posix
"""
