# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who decides what becomes of a revision that was switched to: whoever removes the file, and that is one."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
from pathlib import Path

import pytest
from ansible_collections.everynode.daemonset.plugins.module_utils import confirmation, events
from ansible_collections.everynode.daemonset.plugins.module_utils import record as records
from ansible_collections.everynode.daemonset.plugins.module_utils.confirmation import Unconfirmed
from ansible_collections.everynode.daemonset.plugins.module_utils.instance import Enforcer

NEW, OLD = "abcdef012345.docker", "0123456789ab"
LEFT = Unconfirmed(OLD, "everynode-confirm.default.agent.1")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An instance's, with a space in the way to it."""
    root = tmp_path / "var lib"
    monkeypatch.setattr(confirmation, "ROOT", str(root))
    folder = root / "default" / "agent"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl that only notes what it is asked for."""
    programs, noted = tmp_path / "bin", tmp_path / "stopped"
    programs.mkdir()
    (programs / "systemctl").write_text(f'#!/bin/sh\necho "$*" >>{noted}\n')
    (programs / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return noted


def said() -> str:
    command = ["/bin/sh", "-c", confirmation.script("default", "agent", NEW)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_a_shell_confirms_a_revision_once(directory: Path, stopped: Path) -> None:
    confirmation.note(str(directory), NEW, LEFT)
    assert said() == confirmation.CONFIRMED + "\n"
    assert confirmation.pending(str(directory), NEW) is None
    assert stopped.read_text() == f"--no-ask-password stop -- {LEFT.timer}.timer\n"
    (event,) = events.read((directory / events.FILE).read_text().splitlines())
    assert (event["type"], event["reason"], event["count"]) == ("Normal", "Confirmed", 1)
    assert event["message"] == "revision abcdef012345: the node can still be reached"
    assert stat.S_IMODE((directory / events.FILE).stat().st_mode) == 0o600
    assert said() == "", "there is nothing to confirm any more"


def test_what_a_shell_confirms_is_told_after_what_was_told_before(directory: Path, stopped: Path) -> None:
    events.add(str(directory), events.NORMAL, "Ready", "revision abcdef012345 is ready")
    confirmation.note(str(directory), NEW, LEFT)
    said()
    events.add(str(directory), events.NORMAL, "Updated", "and so on")
    found = events.read((directory / events.FILE).read_text().splitlines())
    assert [event["reason"] for event in found] == ["Ready", "Confirmed", "Updated"]
    assert sorted(event["at"] for event in found) == [event["at"] for event in found]


@pytest.mark.parametrize("left", [{}, {OLD: LEFT}, {NEW: LEFT._replace(then="settle")}])
def test_a_shell_leaves_what_takes_more(directory: Path, stopped: Path, left: dict[str, Unconfirmed]) -> None:
    for folder, what in left.items():
        confirmation.note(str(directory), folder, what)
    assert said() == ""
    assert {folder: confirmation.pending(str(directory), folder) for folder in left} == left
    assert not stopped.exists()


def test_a_claim_succeeds_once(directory: Path) -> None:
    confirmation.note(str(directory), NEW, LEFT)
    assert confirmation.claim(str(directory), NEW)
    assert not confirmation.claim(str(directory), NEW)


def test_all_that_is_pending_is_withdrawn(directory: Path) -> None:
    confirmation.note(str(directory), NEW, LEFT)
    confirmation.note(str(directory), OLD, LEFT._replace(then="settle"))
    (directory / "unconfirmed.half").write_bytes(b"")
    assert sorted(one.then for one in confirmation.withdraw(str(directory))) == ["", "settle"]
    assert list(directory.iterdir()) == []


def test_a_timer_that_comes_too_late_puts_nothing_back(
    tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody confirms the revision between the timer's look and its claim."""
    enforcer = Enforcer("default", "agent", timeout=1)
    enforcer.directory = str(directory)
    monkeypatch.setattr(Enforcer, "_lock", lambda _self: contextlib.nullcontext())
    monkeypatch.setattr(Enforcer, "_revision", lambda _self, _folder, _seconds: object())
    monkeypatch.setattr(Enforcer, "_switch", lambda *_arguments: pytest.fail("it was put back"))
    record = {**records.DEFAULTS, "revision": NEW, "good": NEW, "unheard": NEW}
    records.save(str(directory), record)
    confirmation.note(str(directory), NEW, LEFT)
    monkeypatch.setattr(confirmation, "claim", lambda folder, revision: bool(os.unlink(f"{folder}/unconfirmed.{NEW}")))
    enforcer.put_back_unconfirmed(LEFT.timer)
    assert records.load(str(directory)) == {**record, "unheard": None}
