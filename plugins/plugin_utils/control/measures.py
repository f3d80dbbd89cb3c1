# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of metrics for node_exporter's textfile collector, written at the end of a run, whatever its end is."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection

from ansible.errors import AnsibleActionFail

from .. import metrics
from ..plan import Plan
from . import run
from .files import replace_file, text_of


def write(path: str | None, plan: Plan, halted: Collection[str], success: bool) -> None:
    if path is not None:
        replace_file(path, metrics.metrics(plan, _run(success), halted))


def refused(path: str | None) -> None:
    """The run did not begin: what stood before is all that is known."""
    if path is None:
        return
    with contextlib.suppress(AnsibleActionFail):  # why it cannot be written may be among what was refused
        replace_file(path, metrics.refused(text_of(path), _run(success=False)))


def _run(success: bool) -> metrics.Run:
    return metrics.Run(time.time(), run.seconds(), success)
