# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd may ask of the keeper; the revision's keeper/__main__.py calls `main`."""

from __future__ import annotations

import json
import os
from typing import Any, Mapping, Sequence

from . import keeper


def main(arguments: Sequence[str], path: str) -> int:
    """``arguments``: VERB [UNIT]; ``path``: the revision's keeper.json. Returns the exit status."""
    verb, unit = arguments[0], arguments[1] if len(arguments) > 1 else ""
    directory = os.path.dirname(os.path.dirname(path))  # the instance's: the revision is its `current`
    if verb == "back-off":
        keeper.back_off(unit, directory)
        return 0
    with open(path, encoding="utf-8") as file:
        configuration = json.load(file)
    if verb == "probe":
        probe(configuration, directory)
        return 0
    if configuration["pod"]:
        from . import pods

        return pods.call(configuration["pod"], verb)
    entry = dict(configuration["units"][unit], journal=True, directory=directory)
    if verb == "wait-started":
        return 0 if keeper.Target(unit, entry).wait_started() else 1
    return keeper.call_hook(unit, verb, entry[verb]["httpGet"])


def probe(configuration: Mapping[str, Any], directory: str) -> None:
    if configuration["pod"]:
        from . import pods

        pods.call(configuration["pod"], "sync")
    for unit, entry in sorted(configuration["units"].items()):
        if entry["probes"].keys() & {"liveness", "readiness"}:
            keeper.Target(unit, dict(entry, journal=True, directory=directory)).tick()
