# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who ran when: a service on the node looks many times a second; it knows nothing of the collection."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass

from tests.nodes import Node

UNIT = "/etc/systemd/system/sampler.service"
SCRIPT = "/usr/local/lib/sampler.py"
LOG = "/var/tmp/sampler.log"
# So often it must have looked on average, however busy the machine was, for its silence to prove anything.
LOOKS_PER_SECOND = 10

# Its log has a line for every change: the machine's clock, which all nodes share; {process: the word after the mark};
# how often it has looked since the line before, null in the first one after a boot.
SERVICE = f"""
[Unit]
DefaultDependencies=no
After=local-fs.target
[Service]
ExecStart=/usr/bin/python3 {SCRIPT}
Nice=-5
[Install]
WantedBy=sysinit.target
"""
PROGRAM = r"""
import json, os, signal, sys, time

ENGINES = ("docker", "podman")  # their command lines name the words of what they are to run

def parent(pid):
    try:
        with open("/proc/%s/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()[1]
    except OSError:
        return ""

def look():
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as file:
                words = file.read().decode().split("\0")
        except OSError:
            continue
        if len(words) > 2 and words[-3] == MARK and os.path.basename(words[0]) not in ENGINES:
            found[pid] = words[-2]
    # A child that has yet to become another program looks like its parent.
    return {pid: word for pid, word in found.items() if parent(pid) not in found}

def tell():
    global looks
    log.write(json.dumps([time.monotonic(), found, looks]) + "\n")
    log.flush()
    looks = 0

def end(*_signal):
    tell()
    sys.exit()

log = open(LOG, "a")
found, looks = {}, None
signal.signal(signal.SIGTERM, end)
tell()
while True:
    now = look()
    if len(now) > 1:
        # One that has ended meanwhile may have done so before the other began.
        again = look()
        now = {pid: word for pid, word in now.items() if pid in again}
    looks += 1
    if now != found:
        found = now
        tell()
    time.sleep(0.02)
"""


@dataclass(frozen=True)
class Moment:
    """From ``at`` (seconds of the machine's clock) on these processes ran, and no others, until the next moment."""

    at: float
    running: dict[str, str]  # process id: the word after the mark


class Sampler:
    """Watches the processes of one node whose last words but one are ``mark``."""

    def __init__(self, node: Node, mark: str) -> None:
        self.node = node
        node.run(f"rm -f {LOG}")
        node.write(SCRIPT, f"MARK, LOG = {mark!r}, {LOG!r}\n{PROGRAM}")
        node.write(UNIT, SERVICE)
        node.run("systemctl daemon-reload; systemctl enable --quiet sampler; systemctl restart sampler")

    def moments(self) -> list[Moment]:
        return [Moment(at, running) for at, running, _looks in self._lines()]

    def now(self) -> list[str]:
        """The words of the processes that run."""
        return sorted(self.moments()[-1].running.values())

    def stop(self) -> list[Moment]:
        """All that was seen; fails if it did not look often enough for what it did not see to prove anything."""
        self.node.run(f"systemctl disable --quiet --now sampler.service; rm {UNIT} {SCRIPT}; systemctl daemon-reload")
        lines = self._lines()
        looked = sum(looks or 0 for _at, _running, looks in lines)
        seconds = sum(
            at - before for (before, _r, _l), (at, _running, looks) in itertools.pairwise(lines) if looks is not None
        )
        assert looked >= LOOKS_PER_SECOND * seconds, f"{self.node.name}: only {looked} looks in {seconds:.1f} s"
        return self.moments()

    def _lines(self) -> list[tuple[float, dict[str, str], int | None]]:
        return [json.loads(line) for line in self.node.read(LOG).splitlines()]
