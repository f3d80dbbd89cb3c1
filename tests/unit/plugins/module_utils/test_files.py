# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are whole or not there, on a real file system."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.everynode.daemonset.plugins.module_utils import files
from ansible_collections.everynode.daemonset.plugins.module_utils.files import File

TREE = {"a": File(b"1", 0o644), "sub/deep/b": File(b"2", 0o400, group=7)}
DIRECTORIES = {"sub": 0o700, "empty": 0o755}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_write_sets_content_mode_and_group_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o777)
    try:
        files.write(str(tmp_path / "f"), File(b"\0\xff", 0o664, group=7))
    finally:
        os.umask(before)
    assert (tmp_path / "f").read_bytes() == b"\0\xff"
    assert mode(tmp_path / "f") == 0o664
    assert ((tmp_path / "f").stat().st_uid, (tmp_path / "f").stat().st_gid) == (0, 7)


def test_write_replaces_a_link_and_leaves_its_target(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("theirs")
    (tmp_path / "f").symlink_to("target")
    files.write(str(tmp_path / "f"), File(b"ours", 0o600))
    assert (tmp_path / "target").read_text() == "theirs"
    assert not (tmp_path / "f").is_symlink()


def test_write_does_not_mind_what_a_kill_left_behind(tmp_path: Path) -> None:
    (tmp_path / ".f.new").symlink_to("/etc/passwd")
    files.write(str(tmp_path / "f"), File(b"ours", 0o600))
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write(str(tmp_path / "f"), File(b"old", 0o600))

    def full(_descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        files.write(str(tmp_path / "f"), File(b"new", 0o600))
    assert (tmp_path / "f").read_bytes() == b"old"


def test_read_of_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    assert files.read(str(tmp_path / "none")) is None
    assert files.read(str(tmp_path / "f" / "below")) is None
    assert files.read(str(tmp_path)) is None
    assert files.read(str(tmp_path / "f")) == b"x"


def test_a_tree_is_as_it_was_asked_for(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    before = os.umask(0o077)
    try:
        files.create_tree(str(root), TREE, DIRECTORIES)
    finally:
        os.umask(before)
    assert {str(path.relative_to(root)): mode(path) for path in root.rglob("*")} == {
        "a": 0o644,
        "empty": 0o755,
        "sub": 0o700,
        "sub/deep": 0o755,
        "sub/deep/b": 0o400,
    }
    assert mode(root) == 0o755
    assert (root / "sub/deep/b").stat().st_gid == 7
    assert files.same_tree(str(root), TREE, DIRECTORIES)


def _replace_by_link(root: Path) -> None:
    (root / "a").rename(root.parent / "a")
    (root / "a").symlink_to(root.parent / "a")


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "a").write_text("2"),
        lambda root: (root / "a").chmod(0o600),
        lambda root: os.chown(root / "a", 1, 0),
        lambda root: os.chown(root / "a", 0, 1),
        lambda root: (root / "a").unlink(),
        lambda root: (root / "new").touch(),
        lambda root: (root / "sub" / "new").mkdir(),
        lambda root: (root / "sub").chmod(0o755),
        lambda root: (root / "empty").rmdir(),
        _replace_by_link,
    ],
)
def test_any_change_makes_it_another_tree(tmp_path: Path, change: Callable[[Path], object]) -> None:
    root = tmp_path / "tree"
    files.create_tree(str(root), TREE, DIRECTORIES)
    change(root)
    assert not files.same_tree(str(root), TREE, DIRECTORIES)


def test_no_tree_is_not_the_same(tmp_path: Path) -> None:
    assert not files.same_tree(str(tmp_path / "none"), {}, {})


def test_remove_takes_files_links_and_folders_and_nothing_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "f").touch()
    (tmp_path / "link").symlink_to("kept")
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "f").touch()
    for name in ("link", "folder", "f/below", "f", "none"):
        files.remove(str(tmp_path / name))
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept" / "f").exists()


def test_link_moves_in_one_step(tmp_path: Path) -> None:
    (tmp_path / "current.new").touch()
    files.link("revisions/1", str(tmp_path / "current"))
    files.link("revisions/2", str(tmp_path / "current"))
    assert os.readlink(tmp_path / "current") == "revisions/2"
    assert len(list(tmp_path.iterdir())) == 1
