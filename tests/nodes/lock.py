# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clusters that are started at the same time, by several programs, do not get in each other's way."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def one_at_a_time(function: Callable[P, R]) -> Callable[P, R]:
    """On this machine, for this user: one engine is started, one image is built, and no port is given twice."""

    @wraps(function)
    def alone(*args: P.args, **kwargs: P.kwargs) -> R:
        with Path(f"/var/tmp/everynode-{os.getuid()}.lock").open("w") as lock:
            # Given back when the file is closed, and so when its holder dies.
            fcntl.flock(lock, fcntl.LOCK_EX)
            return function(*args, **kwargs)

    return alone
