# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time on one instance."""

from __future__ import annotations

import fcntl
import os
import time
from typing import ContextManager

from . import files, keeper
from .errors import InstanceError
from .observation import RUN

LOCK_SECONDS = 60.0


class InstanceLock(ContextManager[None]):
    """One run at a time on one instance; the kernel frees it when its holder dies."""

    def __init__(self, path: str, key: str):
        self.path = path
        self.key = key

    def __enter__(self) -> None:
        deadline = time.monotonic() + LOCK_SECONDS
        while not self._taken():
            if time.monotonic() > deadline:
                raise InstanceError(
                    f"another run has been at work on {self.key} for a minute: let it end, then try again"
                )
            time.sleep(0.2)

    def _taken(self) -> bool:
        os.makedirs(RUN, mode=0o755, exist_ok=True)
        try:
            self.file = open(self.path, "a", encoding="ascii")  # noqa: SIM115 - held until the lock is given back
        except FileNotFoundError:
            return False  # the folder went with the last instance just now
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(self.file.fileno()), os.stat(self.path)):
                return True
        except (BlockingIOError, FileNotFoundError):
            pass  # held by another run, or its holder has just removed it
        self.file.close()
        return False

    def __exit__(self, *_exception: object) -> None:
        keeper.forget(self.path)
        self.file.close()
        files.remove_if_empty(RUN)
