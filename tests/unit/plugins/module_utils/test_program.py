# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module leaves on a node has to be what the control node looks for there, and all that it needs."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

from ansible_collections.everynode.daemonset.plugins.module_utils import program
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import host

SOURCES = Path(program.__file__).parent
INSTALL = """
import sys
sys.path.insert(0, sys.argv[1])
from everynode import orders, program
program.PROGRAMS = sys.argv[2]
print(program.install(sys.executable))
"""


def imports_of(path: Path) -> set[Path]:
    """The files of this folder that a file imports."""
    found: set[Path] = set()
    for statement in ast.walk(ast.parse(path.read_text())):
        if isinstance(statement, ast.ImportFrom) and statement.level:
            base = path.parents[statement.level - 1].joinpath(*(statement.module or "").split("."))
            names = [base / alias.name for alias in statement.names]
            found |= {one.with_suffix(".py") for one in (base, *names) if one.with_suffix(".py").exists()}
    return found


def sent() -> set[Path]:
    """What Ansible sends along with the module: all that it imports, and what that imports."""
    left, found = {SOURCES / "orders.py"}, set[Path]()
    while left:
        found |= left
        left = {path for one in left for path in imports_of(one)} - found
    return found


def installed(tmp_path: Path) -> Path:
    for path in {*sent(), *SOURCES.rglob("__init__.py")}:
        copy = tmp_path / "source" / "everynode" / path.relative_to(SOURCES)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    command = [sys.executable, "-c", INSTALL, str(tmp_path / "source"), str(tmp_path / "programs")]
    return Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


def test_the_control_node_knows_what_it_left(tmp_path):
    assert installed(tmp_path).name == host._own_program()


def test_it_runs_from_there_alone(tmp_path):
    root = installed(tmp_path)
    shutil.rmtree(tmp_path / "source")
    request = {"namespace": "default", "name": "nobody", "check_mode": True, "order": {"act": "sing"}}
    done = subprocess.run([root / "run"], input=json.dumps(request), capture_output=True, text=True, check=False)
    result = json.loads(done.stdout.removeprefix("everynode-result "))
    assert result["failed"]
    assert "knows no order 'sing'" in result["msg"]


def test_it_is_compiled_once_for_all(tmp_path):
    root = installed(tmp_path)
    compiled = {path.name.partition(".")[0] for path in root.rglob("*.pyc")}
    assert compiled >= {path.stem for path in SOURCES.rglob("*.py")}
