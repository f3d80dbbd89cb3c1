# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import stat
import threading
from pathlib import Path
from typing import Any

from ansible_collections.everynode.daemonset.plugins.module_utils import events


def written(folder: Path) -> list[dict[str, Any]]:
    return events.read((folder / events.FILE).read_text().splitlines())


def test_an_event_is_kept_for_root_alone(tmp_path: Path) -> None:
    events.add(str(tmp_path), events.NORMAL, "Created", "revision a")
    (one,) = written(tmp_path)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", one["at"])
    assert one == {
        "at": one["at"],
        "type": "Normal",
        "reason": "Created",
        "message": "revision a",
        "count": 1,
        "first": one["at"],
    }
    assert stat.S_IMODE((tmp_path / events.FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [events.FILE]


def test_what_happens_again_counts_and_is_the_newest(tmp_path: Path) -> None:
    for reason in ("Unhealthy", "Killing", "Ready", "Unhealthy", "Killing"):
        events.add(str(tmp_path), events.WARNING, reason, "x")
    assert [(one["reason"], one["count"]) for one in written(tmp_path)] == [
        ("Ready", 1),
        ("Unhealthy", 2),
        ("Killing", 2),
    ]


def test_the_last_hundred_are_kept(tmp_path: Path) -> None:
    for number in range(events.KEPT + 5):
        events.add(str(tmp_path), events.NORMAL, "Updated", str(number))
    kept = [one["message"] for one in written(tmp_path)]
    assert kept == [str(number) for number in range(5, events.KEPT + 5)]


def test_an_event_that_cannot_be_written_is_left_out(tmp_path: Path) -> None:
    events.add(str(tmp_path / "removed"), events.NORMAL, "Updated", "x")
    assert not list(tmp_path.iterdir()), "nothing of an instance that was removed comes back"
    (tmp_path / f"{events.FILE}.new").mkdir()  # as if the disk refused
    events.add(str(tmp_path), events.NORMAL, "Updated", "x")
    assert not (tmp_path / events.FILE).exists()


def test_whatever_lies_there_is_read(tmp_path: Path) -> None:
    (tmp_path / events.FILE).write_bytes(b'\xff\xfe\n[]\n{"at": "x"}\n{"type": 1}\nnull\n')
    events.add(str(tmp_path), events.NORMAL, "Updated", "x")
    assert [one["reason"] for one in written(tmp_path)] == ["Updated"]


def test_nothing_is_lost_when_several_tell_at_once(tmp_path: Path) -> None:
    def tell(name: str) -> None:
        for number in range(10):
            events.add(str(tmp_path), events.NORMAL, name, str(number))

    threads = [threading.Thread(target=tell, args=(f"From{number}",)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(written(tmp_path)) == 50
