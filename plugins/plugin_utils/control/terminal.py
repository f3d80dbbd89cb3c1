# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is printed, and where: on a terminal as wide as it is, as JSON or YAML for programs, or into a file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.utils.display import Display

display = Display()

TABLE, WIDE, JSON, YAML = "table", "wide", "json", "yaml"
OUTPUTS = (TABLE, WIDE, JSON, YAML)
OPTIONS: dict[str, dict[str, Any]] = {
    "output": {"type": "str", "choices": list(OUTPUTS), "default": TABLE},
    "output_file": {"type": "path"},
}
YAML_FILES = (".yaml", ".yml")


def _width() -> int | None:
    """None where nobody reads on a terminal: what a program gets is never broken."""
    if not os.isatty(1):
        return None
    told = os.environ.get("COLUMNS", "")
    return int(told) if told.isdecimal() and int(told) else os.get_terminal_size(1).columns or None


WIDTH = _width()  # now, for the process that runs a task later has no terminal any more


def show(items: dict[str, Any], output: str, output_file: str | None, for_people: Callable[[], str]) -> None:
    """People read the terminal; the file is for programs, and takes the place of JSON or YAML on the terminal."""
    if output in (TABLE, WIDE):
        display.display(for_people())
    elif output_file is None:
        display.display(_as_text(items, output))
    if output_file is None:
        return
    form = YAML if output == YAML or output_file.endswith(YAML_FILES) else JSON
    try:
        with open(output_file, "w", encoding="utf-8") as file:
            file.write(_as_text(items, form) + "\n")
    except OSError as error:
        raise AnsibleActionFail(f"cannot write the report to {output_file}: {os.strerror(error.errno or 0)}") from error


def _as_text(items: dict[str, Any], form: str) -> str:
    if form == JSON:
        return json.dumps(items)
    return str(yaml.safe_dump(items, sort_keys=False, allow_unicode=True)).rstrip("\n")
