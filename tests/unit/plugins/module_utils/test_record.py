# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept on the node about one instance."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from ansible_collections.everynode.daemonset.plugins.module_utils import record


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    saved = {**record.load(str(tmp_path)), "revision": "0123456789ab", "created": 1.5}
    record.save(str(tmp_path), saved)
    assert record.load(str(tmp_path)) == saved


def test_it_is_one_line_for_the_observations_shell(tmp_path: Path) -> None:
    record.save(str(tmp_path), {**record.load(str(tmp_path)), "runtime": "two\nlines"})
    text = (tmp_path / "record.json").read_text()
    assert text.count("\n") == 1
    assert text.endswith("}\n")
    assert stat.S_IMODE((tmp_path / "record.json").stat().st_mode) == 0o644


def test_the_same_record_is_not_written_again(tmp_path: Path) -> None:
    record.save(str(tmp_path), record.load(str(tmp_path)))
    before = (tmp_path / "record.json").stat().st_ino
    record.save(str(tmp_path), record.load(str(tmp_path)))
    assert (tmp_path / "record.json").stat().st_ino == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100000])
def test_a_broken_record_is_an_empty_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "record.json").write_bytes(content)
    assert record.load(str(tmp_path)) == record.load(str(tmp_path / "none"))


def test_a_record_of_an_older_version_gets_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text('{"revision": "0123456789ab"}')
    loaded = record.load(str(tmp_path))
    assert (loaded["revision"], loaded["units"], loaded["replaced"]) == ("0123456789ab", [], {})


def test_one_record_is_not_another(tmp_path: Path) -> None:
    record.load(str(tmp_path))["units"].append("x")
    assert record.load(str(tmp_path))["units"] == []
