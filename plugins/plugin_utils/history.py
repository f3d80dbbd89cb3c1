# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The revisions of a DaemonSet, put together from what its nodes remember: ``kubectl rollout history`` and ``undo``.

A revision's number is the same on all nodes, and stands for one hash, or for several if the manifest is a template.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..module_utils.observation import UNDONE, Instance, Past
from .plan import Seen, Settings, Wanted
from .table import NOTHING, fitted


@dataclass
class Revision:
    number: int
    cause: str = ""
    hashes: list[str] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)  # that run it now


class UnknownRevision(ValueError):
    """No node remembers that revision."""


def instances(seen: Mapping[str, Seen], namespace: str, name: str) -> dict[str, Instance]:
    """What runs of it, by node."""
    found = {
        node: look.observation.instance(namespace, name) for node, look in seen.items() if look.observation is not None
    }
    return {node: instance for node, instance in found.items() if instance is not None}


def revisions(found: Mapping[str, Instance]) -> list[Revision]:
    """All that any node remembers, by number."""
    by_number: dict[int, Revision] = {}
    for node, instance in found.items():
        for past in instance.history:
            revision = by_number.setdefault(past.number, Revision(past.number))
            revision.cause = revision.cause or past.cause
            if past.revision not in revision.hashes:
                revision.hashes.append(past.revision)
            if past is _current(instance):
                revision.nodes.append(node)
    return [by_number[number] for number in sorted(by_number)]


def history_table(found: Mapping[str, Instance], width: int | None = None) -> str:
    """As ``kubectl rollout history`` prints it, and where each revision runs; ``width``: of the terminal."""
    rows = [("REVISION", "CHANGE-CAUSE", "NODES", "HASH")]
    rows += [
        (str(one.number), one.cause or NOTHING, str(len(one.nodes)), ",".join(sorted(one.hashes)))
        for one in revisions(found)
    ]
    return fitted(rows, width)


def as_item(settings: Settings, found: Mapping[str, Instance]) -> dict[str, Any]:
    """The same for programs, JSON-safe."""
    return {
        "metadata": settings.names,
        "revisions": [
            {"revision": one.number, "changeCause": one.cause, "hashes": sorted(one.hashes), "nodes": one.nodes}
            for one in revisions(found)
        ],
    }


def target_of_undo(found: Mapping[str, Instance], number: int = 0) -> int:
    """The revision to go back to: this one, or with 0 the one before the highest (kubectl) that did not fail anywhere.

    Raises UnknownRevision.
    """
    remembered = revisions(found)
    known = [revision.number for revision in remembered]
    if number:
        if number not in known:
            raise UnknownRevision(f"unable to find specified revision {number} in history")
        return number
    if len(known) < 2:
        raise UnknownRevision("no rollout history found: there is no revision before the one that runs")
    failures = [failure for instance in found.values() for failure in instance.failed]
    failed = {failure.revision for failure in failures if failure.reason != UNDONE}
    good = [one.number for one in remembered[:-1] if not failed.intersection(one.hashes)]
    return good[-1] if good else known[-2]


def undone(wanted: Mapping[str, Wanted], found: Mapping[str, Instance], number: int) -> dict[str, Wanted]:
    """What every node should have after going back to that revision; one that never had it keeps what it has."""
    return {node: _undone_on(wish, found.get(node), number) for node, wish in wanted.items()}


def in_haste(settings: Settings) -> Settings:
    """To go back is no rollout of anything new: no steps and no windows, but the budget and the racks as ever."""
    return replace(
        settings, policy=replace(settings.policy, steps=(), canary=None, partition=0, window="", paused=False)
    )


def as_it_is(wanted: Mapping[str, Wanted], found: Mapping[str, Instance]) -> dict[str, Wanted]:
    """What every node should have if it should only go on with what it has."""
    return {node: _kept(wish, _current(found[node])) if node in found else wish for node, wish in wanted.items()}


def _undone_on(wish: Wanted, instance: Instance | None, number: int) -> Wanted:
    if instance is None or instance.revision is None or not wish.should_run:
        return wish
    return _kept(wish, next((one for one in instance.history if one.number == number), None) or _current(instance))


def _kept(wish: Wanted, past: Past | None) -> Wanted:
    return wish if past is None else replace(wish, revision=past.revision, runtime=past.runtime, on_disk=True)


def _current(instance: Instance) -> Past | None:
    return next((past for past in reversed(instance.history) if past.revision == instance.revision), None)
