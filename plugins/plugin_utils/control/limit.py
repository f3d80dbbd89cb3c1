# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A limit of time for what goes through a connection: a node that freezes answers nothing, not even an error.

A task's own ``timeout`` would fail the task, and so take the host out of the run with nothing recorded.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType

from ansible.errors import AnsibleConnectionFailure


class _TimeIsUp(BaseException):
    """No Exception, so that nothing in between takes it for an error of its own."""


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise AnsibleConnectionFailure if the block takes longer; 0 is no limit. One around this one goes on counting."""

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise _TimeIsUp

    outer_handler = signal.signal(signal.SIGALRM, ring)
    started = time.monotonic()
    outer_rest, _interval = signal.setitimer(signal.ITIMER_REAL, max(0, seconds))
    try:
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _TimeIsUp:
        raise AnsibleConnectionFailure(f"no answer within {seconds} seconds") from None
    finally:
        signal.signal(signal.SIGALRM, outer_handler)
        if outer_rest:
            left = outer_rest - (time.monotonic() - started)
            signal.setitimer(signal.ITIMER_REAL, max(left, 0.001))
