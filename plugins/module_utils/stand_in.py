# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""maxSurge: while an instance is switched, another one of its new revision serves in its place.

Kubernetes starts the new pod beside the old one and deletes that when the new one is available; each pod has a name of
its own. Here an instance keeps its name from revision to revision, so the new revision first runs under a name that no
DaemonSet can have; when it is available the instance itself is switched, and then what stood in goes. At no moment
there are more than two, nor fewer than one that is available.
"""

from __future__ import annotations

from typing import Any, Mapping

SUFFIX = "_surge"  # Kubernetes' names hold no "_"
FETCHED = ("package", "archive")  # sources that are on the node once, for the instance itself


def name_of(name: str) -> str:
    """The name of what stands in for the instance of this name."""
    return name + SUFFIX


def stands_in(name: str) -> bool:
    return name.endswith(SUFFIX)


def instance_of(name: str) -> str:
    """The name, with or without its namespace, of the instance that it stands in for, or is."""
    return name[: -len(SUFFIX)] if stands_in(name) else name


def definition_of(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The same daemon under the other name. What it needs of the node is there, and is the instance's to give back."""
    sources = [
        {**source, "pullPolicy": "Never"} if source["kind"] == "image" else source
        for source in definition["sources"]
        if source["kind"] not in FETCHED
    ]
    return dict(definition, name=name_of(definition["name"]), sources=sources, replaces=[], validate=None)
