# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
import yaml
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import terminal

ITEMS = {"items": [{"metadata": {"name": "fühler"}, "status": {"numberReady": 1}}]}


@pytest.fixture
def printed(monkeypatch):
    lines = []
    monkeypatch.setattr(terminal.display, "display", lines.append)
    return lines


@pytest.mark.parametrize("output", ["table", "wide"])
def test_people_get_the_table_also_beside_a_file(output, printed, tmp_path):
    terminal.show(ITEMS, output, str(tmp_path / "report.json"), lambda: "the table")
    assert printed == ["the table"]
    assert json.loads((tmp_path / "report.json").read_text()) == ITEMS


@pytest.mark.parametrize(("output", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_programs_get_data_on_the_terminal_or_in_a_file(output, read, printed, tmp_path):
    terminal.show(ITEMS, output, None, lambda: "the table")
    (text,) = printed
    assert read(text) == ITEMS
    terminal.show(ITEMS, output, str(tmp_path / "report"), lambda: "the table")
    assert printed == [text], "the file takes its place"
    assert read((tmp_path / "report").read_text()) == ITEMS


def test_a_file_of_yaml_says_so_in_its_name(printed, tmp_path):
    terminal.show(ITEMS, "table", str(tmp_path / "report.yaml"), lambda: "")
    text = (tmp_path / "report.yaml").read_text()
    assert text.startswith("items:\n- metadata:\n    name: fühler\n")
    assert yaml.safe_load(text) == ITEMS


@pytest.mark.parametrize(
    ("a_terminal", "columns", "width"), [(False, "72", None), (True, "72", 72), (True, "", 100), (True, "wide", 100)]
)
def test_only_a_terminal_has_a_width(a_terminal, columns, width, monkeypatch):
    monkeypatch.setattr(terminal.os, "isatty", lambda _descriptor: a_terminal)
    monkeypatch.setattr(terminal.os, "get_terminal_size", lambda _descriptor: terminal.os.terminal_size((100, 40)))
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal._width() == width
