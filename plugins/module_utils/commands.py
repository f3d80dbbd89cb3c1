# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other programs, for the module and for the keeper.

What ansible-test would have instead, AnsibleModule's run_command, is not there where systemd starts the keeper.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any, Sequence

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # systemd's own, whatever the manifest sets


def run_command(arguments: Sequence[str], check: bool = False, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """subprocess.run; nothing raises for the exit status unless ``check`` says so."""
    return subprocess.run(arguments, check=check, **options)  # pylint: disable=ansible-bad-function


def start_command(arguments: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(arguments, **options)  # pylint: disable=ansible-bad-function


def tell(message: str) -> None:
    """Into the unit's journal; ``<4>`` and ``<5>`` are its priorities, warning and notice."""
    sys.stderr.write(message + "\n")
    sys.stderr.flush()
