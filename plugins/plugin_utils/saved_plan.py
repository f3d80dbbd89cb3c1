# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a plan that was saved, and maybe reviewed, is still the plan.

What was saved may be applied as long as a fresh plan would do the same: the same settings, on each node the same
revision found and wanted, the same state and step, and the same batches. What nobody decides by (ages, restarts,
readiness of what is left alone) may differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from .judgement import Entry, Settings
from .plan import Plan
from .words import names

_COMPARED = {
    "state": "state",
    "step": "what is to be done",
    "revision": "revision that runs there",
    "runtime": "runtime that runs it",
    "wanted": "revision that it should have",
    "wanted_runtime": "runtime that should run it",
    "phase": "phase",
    "batch": "batch",
}


def fingerprint(plan: Plan) -> str:
    """64 hexadecimal digits, the same for plans that do the same."""
    essence = {
        "daemonsets": [
            [daemonset.settings.as_dict(), [[entry.node, *_essence(entry).values()] for entry in daemonset.entries]]
            for daemonset in plan.daemonsets
        ],
        "batches": plan.batches,
    }
    return hashlib.sha256(json.dumps(essence, sort_keys=True).encode()).hexdigest()


def differences(saved: Plan, fresh: Plan) -> list[str]:
    """What has changed since a plan was saved, in sentences; empty if and only if the fingerprints are equal."""
    if fingerprint(saved) == fingerprint(fresh):
        return []
    then, now = ({one.settings.key: one for one in plan.daemonsets} for plan in (saved, fresh))
    found = [f"{key} is not declared any more" for key in then if key not in now]
    found += [f"{key} is new" for key in now if key not in then]
    for key in [key for key in then if key in now]:
        found += _of_settings(key, then[key].settings, now[key].settings)
        found += _of_nodes(key, then[key].entries, now[key].entries)
    # Each node's own batch is among the above; what is left is their order.
    return found or ["the order of the nodes or of the DaemonSets has changed"]


def _essence(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in _COMPARED}


def _of_settings(key: str, then: Settings, now: Settings) -> list[str]:
    before, after = then.as_dict(), now.as_dict()
    before.update(before.pop("policy"))
    after.update(after.pop("policy"))
    return [
        f"{key}: {name} was {_shown(before[name])} and is {_shown(after[name])}"
        for name in before
        if before[name] != after[name]
    ]


def _of_nodes(key: str, then: Iterable[Entry], now: Iterable[Entry]) -> list[str]:
    """The same change of many nodes is one sentence; of each node only the first thing that differs."""
    before, after = ({entry.node: entry for entry in entries} for entries in (then, now))
    groups: dict[str, list[str]] = {}
    for node, entry in after.items():
        if node not in before:
            groups.setdefault("new in the inventory", []).append(node)
            continue
        old, new = _essence(before[node]), _essence(entry)
        changed = next((name for name in _COMPARED if old[name] != new[name]), None)
        if changed:
            sentence = f"{_COMPARED[changed]} was {_shown(old[changed])} and is {_shown(new[changed])}"
            groups.setdefault(sentence, []).append(node)
    gone = [node for node in before if node not in after]
    if gone:
        groups["not in the inventory any more"] = gone
    return [f"{key} on {names(nodes)}: {what}" for what, nodes in groups.items()]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)
