# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of an engine's command: why it failed, and whether its download still moves."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.everynode.daemonset.plugins.module_utils import engine

PATIENCE = 1.5
# As Go's runtime does while it waits: eight bytes to itself, again and again.
WAITS = """
import os, time
end = os.eventfd(0)
while True:
    os.eventfd_write(end, 1)
    os.eventfd_read(end)
    time.sleep(0.02)
"""
MOVES = """
import time
with open("/dev/null", "wb", buffering=0) as sink:
    for _ in range(30):
        sink.write(bytes(4096))
        time.sleep(0.1)
"""


@pytest.mark.skipif(sys.version_info < (3, 10), reason="os.eventfd came with Python 3.10")
@pytest.mark.parametrize(("program", "ends"), [(WAITS, False), (MOVES, True)], ids=["waits", "moves"])
def test_a_download_that_stands_still_is_told_from_one_that_is_slow(program: str, ends: bool) -> None:
    with subprocess.Popen([sys.executable, "-c", program], start_new_session=True) as process:
        try:
            assert engine._ends(process, PATIENCE) is ends
        finally:
            engine._end(process)


@pytest.mark.parametrize(
    ("output", "wanted"),
    [
        ("Error response from daemon: no such thing\nError: failed to start containers: x\n", "no such thing"),
        (
            'time="now" level=warning msg="old"\nError: reading manifest 9: manifest unknown\n',
            "reading manifest 9: manifest unknown",
        ),
        ("docker: Error response from daemon: invalid CapAdd.\nSee 'docker run --help'.\n", "invalid CapAdd."),
        ("line 7 is wrong\n", "line 7 is wrong"),
        ("", ""),
    ],
)
def test_the_line_that_says_why(output: str, wanted: str) -> None:
    assert engine._reason(output.encode()) == wanted
