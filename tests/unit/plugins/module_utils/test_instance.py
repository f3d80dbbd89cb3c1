# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an instance tells of itself. What it does is tested on real nodes."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.everynode.daemonset.plugins.module_utils import instance as module
from ansible_collections.everynode.daemonset.plugins.module_utils.instance import Terms

WANTED = {"revision": "b", "runtime": "systemd"}


@pytest.mark.parametrize(
    ("placed", "damage", "terms", "told"),
    [
        ((None, "systemd"), (), Terms(), ("Created", "revision b was put in place")),
        (("a", "systemd"), (), Terms(), ("Updated", "from revision a to revision b")),
        (("a", "systemd"), (), Terms(undo=True), ("Undone", "from revision a to revision b")),
        (("b", "docker"), (), Terms(), ("Moved", "from docker to systemd")),
        (("b", "systemd"), (), Terms(restart=True), ("Restarted", "revision b, because somebody asked for it")),
        (
            ("b", "systemd"),
            ("x is stopped", "y was changed"),
            Terms(),
            ("Repaired", "x is stopped; y was changed"),
        ),
    ],
)
def test_an_event_says_what_was_done(
    placed: tuple[str | None, str], damage: tuple[str, ...], terms: Terms, told: tuple[str, str]
) -> None:
    assert module._what_was_done(placed, damage, WANTED, terms) == told


def test_an_event_says_what_was_asked_for() -> None:
    def told(before: str, **values: Any) -> list[tuple[str, str]]:
        return list(module._what_was_noted({"paused": before}, values))

    assert told("", paused="joe at 10:00") == [("Paused", "by joe at 10:00")]
    assert told("joe at 10:00", paused="", passed=None) == [("Resumed", "was paused by joe at 10:00")]
    assert told("", restart=1.0) == [("RestartRequested", "with the next apply")]
    assert told("joe", paused="joe") == []


def test_an_event_does_not_repeat_the_log() -> None:
    error = (
        "a did not become ready within 5 s.\na.service has failed.\n  Traceback\n  boom\nSee it whole with: journalctl"
    )
    assert module._gist(error) == "a did not become ready within 5 s. a.service has failed."
