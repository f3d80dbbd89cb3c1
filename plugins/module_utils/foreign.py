# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units that are not ours, and of which ours take the place: what the user names, and what packages bring."""

from __future__ import annotations

import os
import subprocess
from typing import Any, Iterator, Mapping, Sequence

from . import files
from .commands import run_command
from .units import show, systemctl


def states_of(units: Sequence[str]) -> dict[str, dict[str, Any]]:
    states = show(units, "LoadState", "ActiveState", "UnitFileState", "FragmentPath")
    return {
        unit: {
            "active": state.get("ActiveState") in ("active", "activating", "reloading"),
            "enabled": state.get("UnitFileState") == "enabled",
            "path": state.get("FragmentPath", ""),
        }
        for unit, state in states.items()
        if state.get("LoadState") == "loaded"
    }


def restore(unit: str, state: Mapping[str, Any]) -> None:
    if state["masked"]:
        systemctl("unmask", "--quiet", "--", unit)
    if state["enabled"]:
        systemctl("enable", "--quiet", "--", unit, check=False)
    if state["active"]:
        systemctl("start", "--", unit, check=False)


def units_of_packages(definition: Mapping[str, Any]) -> list[str]:
    """Services and sockets that the packages of this instance bring and that would be started at boot."""
    units = set()
    for source in definition["sources"]:
        if source["kind"] == "package":
            units |= {os.path.basename(path) for path in _package_files(source["package"]) if _starts_at_boot(path)}
    return sorted(units)


def _package_files(package: str) -> Iterator[str]:
    for command in (["dpkg-query", "--listfiles", package], ["rpm", "--query", "--list", package]):
        try:
            output = run_command(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        except FileNotFoundError:
            continue
        yield from output.decode("utf-8", "replace").splitlines()


def _starts_at_boot(path: str) -> bool:
    if "/systemd/system/" not in path or "@" in path or not path.endswith((".service", ".socket")):
        return False
    return b"[Install]" in (files.read(path) or b"")
