# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import host


class Archive:
    """The commands for one archive, as a node runs them."""

    def __init__(self, instance, room):
        self.path = instance / "archives" / "abc"
        self.room = instance / room
        self.new = self.room / "new"
        self._names = {
            "path": self.path,
            "archives": instance / "archives",
            "instance": instance,
            "new": self.new,
            "old": self.room / "old",
        }

    def run(self, command):
        return subprocess.run(["sh", "-c", command.format(**self._names)], check=False, capture_output=True)

    @property
    def whole(self):
        return self.run(host.ARCHIVE_IS_WHOLE).returncode == 0

    def unpack(self):
        assert self.run(host.MAKE_ROOM).returncode == 0
        (self.new / "bin").mkdir()
        (self.new / "bin" / "program").write_text("program")
        (self.new / "link").symlink_to("bin/program")

    def put_in_place(self):
        found = self.run(host.PUT_IN_PLACE)
        assert found.returncode == 0, found.stderr


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path, "unpacking.one")


def test_an_archive_is_whole_once_it_is_in_place(archive):
    assert not archive.whole
    archive.unpack()
    assert not archive.whole
    archive.put_in_place()
    assert archive.whole


def test_what_the_program_writes_next_to_itself_is_no_damage(archive):
    archive.unpack()
    archive.put_in_place()
    (archive.path / "log").touch()
    (archive.path / "bin" / "__pycache__").mkdir()
    assert archive.whole


@pytest.mark.parametrize("name", ["bin/program", "link", ".everynode"])
def test_what_the_archive_brought_and_is_gone_is_damage(archive, name):
    archive.unpack()
    archive.put_in_place()
    (archive.path / name).unlink()
    assert not archive.whole


def test_a_damaged_one_is_replaced(archive):
    archive.unpack()
    archive.put_in_place()
    (archive.path / "bin" / "program").write_text("something else")
    archive.unpack()
    archive.put_in_place()
    assert archive.whole
    assert (archive.path / "bin" / "program").read_text() == "program"


@pytest.mark.parametrize(("listed", "trusted"), [("abc", False), ("abcd", True)])
def test_what_was_started_from_a_damaged_one_is_not_trusted(archive, tmp_path, listed, trusted):
    archive.unpack()
    archive.put_in_place()
    current = tmp_path / "current"
    current.mkdir()
    (current / "archives").write_text(f"{listed}\n")
    (current / "fingerprints").touch()
    (archive.path / "bin" / "program").write_text("something else")
    archive.unpack()
    archive.put_in_place()
    assert archive.whole
    assert (current / "fingerprints").exists() == trusted


def test_of_two_runs_at_once_the_second_leaves_the_first_ones(archive, tmp_path):
    other = Archive(tmp_path, "unpacking.two")
    archive.unpack()
    other.unpack()
    archive.put_in_place()
    (archive.path / "log").touch()
    other.put_in_place()
    assert (archive.path / "log").exists()
    assert archive.whole
