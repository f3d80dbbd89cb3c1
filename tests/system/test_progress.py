# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The callback for people who wait for a long apply: on a terminal a last line that moves, elsewhere nothing of it."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.nodes import Cluster, Node, ansible

from .evidence import clean_up, unit
from .playbook import SECONDS, arguments_for, daemonset, write

NAME = "watched"
CALLBACK = {"ANSIBLE_STDOUT_CALLBACK": "everynode.daemonset.progress"}
ERASED = "\r\x1b[2K"
NOISE = ("TASK [", "PLAY ", "ok=", "changed: [", "fatal: [", "Traceback", "[WARNING]", "[ERROR]")


def on_a_terminal(inventory: Path, verb: str, **variables: object) -> tuple[int, str]:
    """The exit code, and all that was written to the terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["ansible-playbook", "-i", str(inventory), *arguments_for(verb, **variables)],
        env=ansible.environment(TERM="xterm", COLUMNS="120", **CALLBACK),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    try:
        while said := os.read(ours, 1 << 16):
            written += said
    except OSError:
        pass  # how a terminal says that nobody is left who writes to it
    os.close(ours)
    return process.wait(SECONDS), written.decode()


def seen_at_last(written: str) -> list[str]:
    """What stands on the terminal at the end, line by line."""
    return [line.rpartition(ERASED)[2].rstrip("\r") for line in written.split("\n")]


def test_what_an_operator_sees(
    cluster: Cluster, nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path
) -> None:
    pair = nodes[:2]
    first = write(tmp_path / "first.yaml", daemonset(NAME))
    second = daemonset(NAME, args=["1000000"])
    second["spec"]["updateStrategy"] = {"rollingUpdate": {"maxUnavailable": 1}}
    try:
        done = ansible.run(
            "ansible-playbook",
            *arguments_for("apply", daemonset_manifests=first),
            inventory=inventory(pair),
            env=CALLBACK,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "\x1b" not in done.stdout
        assert "waiting for" not in done.stdout
        assert f"{pair[0].name}: {NAME}: created" in done.stdout
        assert done.stdout.splitlines()[-1].startswith(f"{len(pair)} nodes · {len(pair)} changed · ")
        assert not [noise for noise in NOISE if noise in done.stdout + done.stderr]

        code, written = on_a_terminal(
            inventory(pair), "apply", daemonset_manifests=write(tmp_path / "second.yaml", second)
        )
        assert code == 0, written
        assert "Switch to the new revision · since " in written
        assert f"waiting for {pair[0].name}" in written
        shown = seen_at_last(written)
        assert not [line for line in shown if "waiting for" in line or "since" in line]
        assert [line for line in shown if line.startswith("batch 2 of 2: ")]
        assert [line for line in shown if line.startswith(f"{NAME} ")]
        assert not [noise for noise in NOISE if noise in written]

        pair[0].run(f"systemctl stop {unit(NAME)}")
        code, written = on_a_terminal(inventory(pair), "status", daemonset_manifests=str(tmp_path / "second.yaml"))
        assert code != 0
        assert f"1 failed: {pair[0].name}" in seen_at_last(written)[-2]
        assert not [noise for noise in NOISE if noise in written]
    finally:
        clean_up(cluster, pair, tmp_path, [NAME])
