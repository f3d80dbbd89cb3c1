# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a run writes for others on the control node."""

from __future__ import annotations

import os
import tempfile

from ansible.errors import AnsibleActionFail


def replace_file(path: str, text: str) -> None:
    """Whoever reads it, at any moment, finds the old text or the new one, and never half of one."""
    target = os.path.realpath(path)
    try:
        if os.path.exists(target) and not os.path.isfile(target):  # /dev/null is not to be replaced
            with open(target, "w", encoding="utf-8") as file:
                file.write(text)
            return
        # Its name ends otherwise, for a collector reads whatever looks like a file of metrics.
        descriptor, beside = tempfile.mkstemp(prefix=f".{os.path.basename(target)}.", dir=os.path.dirname(target))
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
            os.chmod(beside, 0o644)
            os.replace(beside, target)
        except BaseException:
            os.unlink(beside)
            raise
    except OSError as error:
        raise AnsibleActionFail(f"cannot write {path}: {os.strerror(error.errno or 0)}") from error


def text_of(path: str) -> str:
    """Nothing, if there is none that can be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError):
        return ""
