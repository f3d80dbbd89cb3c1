# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The conformance runner fails on whatever it does not understand, and needs neither Ansible nor a special path."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
GOOD = {"id": "good", "input": {"labelKey": "a"}, "expect": {"valid": True}}


def run(cases: Path, checkout: Path = CHECKOUT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", "tests/conformance", "--cases", str(cases)],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ({**GOOD, "input": {"labelKee": "a"}}, "input keys of no known kind"),
        ({**GOOD, "input": {"labelKey": "a", "labels": {}}}, "input keys of no known kind"),
        ({**GOOD, "expect": {"valid": True, "beautiful": True}}, "unknown keys in expect"),
        ({**GOOD, "expect": {}}, "missing in expect"),
        ({**GOOD, "wish": 1}, "unknown or missing keys"),
        ({**GOOD, "expect": {"valid": False}}, "assert"),
    ],
    ids=["unknown kind", "unknown input", "unknown expectation", "no expectation", "unknown key", "wrong"],
)
def test_what_is_not_understood_or_not_so_fails(case: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text(json.dumps({"cases": [GOOD, {**case, "id": "bad"}]}), encoding="utf-8")
    done = run(tmp_path)
    assert "1 failed, 1 passed" in done.stdout
    assert message in done.stdout
    assert "[file.json:good] PASSED" in done.stdout
    assert "[file.json:bad] FAILED" in done.stdout


@pytest.mark.parametrize("content", ["no json", "{}", '{"cases": []}', '{"cases": [], "more": 1}', "[]"])
def test_a_file_without_cases_fails(content: str, tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text(content, encoding="utf-8")
    done = run(tmp_path)
    assert "1 failed" in done.stdout
    assert "is not a file of cases" in done.stdout


def test_a_missing_folder_fails(tmp_path: Path) -> None:
    assert run(tmp_path / "none").returncode == 1


def test_it_runs_from_a_checkout_at_any_path(tmp_path: Path) -> None:
    checkout = tmp_path / "a path with spaces"
    for folder in ("plugins/plugin_utils", "tests/conformance"):
        shutil.copytree(CHECKOUT / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "tests/conftest.py", checkout / "tests")
    (checkout / "cases").mkdir()
    (checkout / "cases" / "file.json").write_text(json.dumps({"cases": [GOOD]}), encoding="utf-8")
    # Were it the other checkout that is tested, this would go unnoticed.
    (checkout / "plugins/plugin_utils/selectors.py").write_text(
        "raise RuntimeError('this very file')\n", encoding="utf-8"
    )
    assert "this very file" in run(checkout / "cases", checkout).stdout
    shutil.copy(CHECKOUT / "plugins/plugin_utils/selectors.py", checkout / "plugins/plugin_utils")
    assert "1 passed" in run(checkout / "cases", checkout).stdout
