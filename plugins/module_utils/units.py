# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd's side of an instance: its units, asked and told through systemctl and journalctl."""

from __future__ import annotations

import os
from typing import Iterable, Mapping, Sequence

from . import files, keeper
from .commands import run_command
from .errors import InstanceError
from .observation import QUADLET_DIRECTORY, RUN, UNIT_DIRECTORY


def systemctl(*arguments: str, check: bool = True) -> str:
    process = run_command(["systemctl", "--no-ask-password", *arguments], capture_output=True)
    output, words = (stream.decode("utf-8", "replace") for stream in (process.stdout, process.stderr))
    if check and process.returncode:
        raise OSError("systemctl {} failed: {}".format(" ".join(arguments), words.strip() or output.strip()))
    return output


def show(units: Sequence[str], *properties: str) -> dict[str, dict[str, str]]:
    """The properties of units, those that do not exist too, by the names they were asked by."""
    if not units:
        return {}
    output = systemctl("show", "--property=" + ",".join(properties), "--", *units)
    blocks = output.strip("\n").split("\n\n")
    return {
        unit: dict(line.split("=", 1) for line in block.split("\n") if "=" in line)
        for unit, block in zip(units, blocks)
    }


def journal(unit: str, invocation: str = "", lines: int = 10) -> str:
    match = ["_SYSTEMD_INVOCATION_ID=" + invocation] if invocation else ["--unit=" + unit]
    process = run_command(
        ["journalctl", "--no-pager", "--quiet", "--output=cat", f"--lines={lines}", *match], capture_output=True
    )
    return process.stdout.decode("utf-8", "replace").strip("\n")


def remove_units(units: Sequence[str]) -> None:
    """Stop and disable units and remove their files, drop-ins too; afterwards nothing of them is left."""
    if not units:
        return
    systemctl("stop", "--", *units, check=False)
    systemctl("disable", "--quiet", "--", *units, check=False)
    for unit in units:
        files.remove(os.path.join(UNIT_DIRECTORY, unit))
        files.remove(quadlet_path(unit))
        files.remove(os.path.join(UNIT_DIRECTORY, unit + ".d"))
        files.remove(os.path.join(UNIT_DIRECTORY, "multi-user.target.wants", unit))
        for suffix in (".json", ".json.new", ".lock", ".backoff", ".backoff.new", ".killed"):
            keeper.forget(os.path.join(RUN, unit + suffix))
    files.sync_directory(UNIT_DIRECTORY)
    systemctl("daemon-reload")
    systemctl("reset-failed", "--", *units, check=False)


def quadlet_path(unit: str) -> str:
    """The file from which Podman's generator makes a service of this name."""
    return os.path.join(QUADLET_DIRECTORY, os.path.splitext(unit)[0] + ".kube")


def still_running(units: Iterable[str]) -> list[str]:
    return [unit for unit, state in show(sorted(units), "ActiveState").items() if may_run(state)]


def may_run(state: Mapping[str, str]) -> bool:
    return state.get("ActiveState") not in ("inactive", "failed")


def stop(units: Sequence[str], lost: bool = False) -> None:
    """Stop units, first those that could start others; nothing may be exchanged or removed under what still runs.

    ``lost``: their files are gone, and so they may be themselves by now.
    """
    for some in ([unit for unit in units if "._probes." in unit], [unit for unit in units if "._probes." not in unit]):
        try:
            if some:
                systemctl("stop", "--", *some)  # systemd waits for their end
            left = still_running(some) if lost else []
        except OSError:
            left = still_running(some)
        if left:
            raise InstanceError("could not be stopped: {}. Nothing was changed.".format(", ".join(left)))


def unit_of_file(path: str) -> str:
    name = os.path.basename(path)
    return name[: -len(".kube")] + ".service" if name.endswith(".kube") else name


def unit_path(unit: str) -> str:
    """Its file, or what Podman's generator makes it from."""
    quadlet = quadlet_path(unit)
    return quadlet if os.path.lexists(quadlet) else os.path.join(UNIT_DIRECTORY, unit)
