# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: stdout
short_description: What an operator wants to see of a long apply
version_added: 0.1.0
description:
  - Leaves what the playbooks of this collection say themselves (the plan, each batch, each node that was changed or
    failed, the table at the end) and drops the banners and the line for each host around it.
  - On a terminal the last line says what is being done, since when, and which hosts are still at it. Where the output
    is no terminal, as in CI, there is no such line.
  - What is not a task of this collection is printed as by P(ansible.builtin.default#callback), and so is everything
    with C(-v).
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - C(stdout_callback = everynode.daemonset.progress) in C(ansible.cfg), or the same in C(ANSIBLE_STDOUT_CALLBACK).
author:
  - everynode contributors (@everynode)
"""

import atexit
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from ansible import constants as C
from ansible.plugins.callback.default import CallbackModule as Default
from ansible.utils.display import Display
from ansible_collections.everynode.daemonset.plugins.plugin_utils.words import duration, names, nodes_of

OURS = "everynode.daemonset."
VERDICT = f"{OURS}verdict"  # the report has said all that it says
LISTED = 4  # so many hosts fit into the line
ERASE = b"\r\x1b[2K"


class CallbackModule(Default):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "everynode.daemonset.progress"

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._line = Line(self._display)
        self._untold: Any = None  # the play whose banner waits for a task that is not ours
        self._others = False  # whether there was one

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._play = play
        self._untold = play
        if self._display.verbosity or not all(map(self._is_ours, _flat(play.get_tasks()))):
            self._tell_play()

    def v2_playbook_on_no_hosts_matched(self) -> None:
        if self._untold is None:
            super().v2_playbook_on_no_hosts_matched()

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        if self._is_ours(task):
            self._line.begin(task.get_name().rpartition(" : ")[2])
        else:
            self._line.end()
            super().v2_playbook_on_task_start(task, is_conditional)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        if self._is_ours(task):
            self._line.start(host.get_name())
        else:
            super().v2_runner_on_start(host, task)

    def v2_runner_on_ok(self, result: Any) -> None:
        if not self._is_quiet(result):
            super().v2_runner_on_ok(result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        if not self._is_quiet(result):
            super().v2_runner_on_skipped(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if not self._is_quiet(result):
            super().v2_runner_on_failed(result, ignore_errors)
        elif result.task.action != VERDICT and not (result.task.loop and "results" in result.result):
            self._complain(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        if self._is_quiet(result):
            self._complain(result)
        else:
            super().v2_runner_on_unreachable(result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        if not self._is_ours(result.task):
            super().v2_runner_item_on_ok(result)

    def v2_runner_item_on_skipped(self, result: Any) -> None:
        if not self._is_ours(result.task):
            super().v2_runner_item_on_skipped(result)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        if self._is_ours(result.task):
            self._complain(result)
        else:
            super().v2_runner_item_on_failed(result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._line.end()
        if self._others or self._display.verbosity:
            super().v2_playbook_on_stats(stats)
            return
        bad = [host for host in stats.processed if host in stats.failures or host in stats.dark]
        words = [
            nodes_of(len(stats.processed)),
            f"{len(stats.changed)} changed",
            duration(time.monotonic() - self._began),
        ]
        if bad:
            words.insert(2, f"{len(bad)} failed: {names(bad)}")
        self._display.display("\n" + " · ".join(words), color=C.COLOR_ERROR if bad else C.COLOR_OK)

    def _print_task_banner(self, task: Any) -> None:
        """Also called for a difference that is shown."""
        if self._is_ours(task):
            self._last_task_banner = task._uuid
            return
        self._tell_play()
        super()._print_task_banner(task)

    def _tell_play(self) -> None:
        if self._untold is not None:
            self._others = True
            super().v2_playbook_on_play_start(self._untold)
            self._untold = None

    def _is_ours(self, task: Any) -> bool:
        if self._display.verbosity:
            return False
        return str(task.action).startswith(OURS) or task.action in C._ACTION_META

    def _is_quiet(self, result: Any) -> bool:
        if not self._is_ours(result.task):
            return False
        self._line.stop(result.host.get_name())
        self._handle_warnings(result.result)
        return True

    def _complain(self, result: Any) -> None:
        first, *rest = str(result.result.get("msg", "it failed and did not say why")).splitlines()
        self._display.display(f"{result.host.get_name()}: {first}", color=C.COLOR_ERROR)
        for line in rest:
            self._display.display(f"    {line}", color=C.COLOR_ERROR)


def _flat(tasks: Iterable[Any]) -> Iterator[Any]:
    """A play gives those of a block as a list."""
    for task in tasks:
        if isinstance(task, list):
            yield from _flat(task)
        else:
            yield task


class Line:
    """The last line of the terminal. Whatever is printed meanwhile comes above it."""

    def __init__(self, display: Display) -> None:
        self._what = ""
        self._since = ""
        self._done = 0
        self._waiting: dict[str, None] = {}
        self._process = os.getpid()  # the workers are forks of it
        self._lock = threading.RLock()  # what workers want to have printed comes from another thread
        self._shown = False
        if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not display.verbosity:
            self._watch(display)

    def _watch(self, display: Display) -> None:
        printed = display.display

        def display_above(*arguments: Any, **options: Any) -> None:
            if os.getpid() != self._process:
                printed(*arguments, **options)
                return
            with self._lock:
                self._write(ERASE)
                printed(*arguments, **options)
                self._draw()

        display.display = display_above  # type: ignore[method-assign]
        self._shown = True
        atexit.register(self.end)

    def begin(self, what: str) -> None:
        with self._lock:
            self._what, self._since = what, time.strftime("%H:%M:%S")
            self._done, self._waiting = 0, {}
            self._draw()

    def start(self, host: str) -> None:
        with self._lock:
            self._waiting[host] = None
            self._draw()

    def stop(self, host: str) -> None:
        with self._lock:
            if host in self._waiting:
                del self._waiting[host]
                self._done += 1
            self._draw()

    def end(self) -> None:
        with self._lock:
            if self._what:
                self._what = ""
                self._write(ERASE)

    def _draw(self) -> None:
        if self._what:
            parts = [self._what, f"since {self._since}"]
            if self._done:
                parts.append(f"{self._done} done")
            if self._waiting:
                parts.append(f"waiting for {names(list(self._waiting), LISTED)}")
            text = " · ".join(parts)[: shutil.get_terminal_size().columns - 1]
            self._write(ERASE + b"\x1b[2m" + text.encode(errors="replace") + b"\x1b[0m")

    def _write(self, data: bytes) -> None:
        if self._shown and os.getpid() == self._process:
            sys.stdout.flush()
            os.write(sys.stdout.fileno(), data)
