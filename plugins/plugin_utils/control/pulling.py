# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that applies to itself: whom it shares the budget with, and when its turn is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ...module_utils.observation import Observation
from ...module_utils.patience import DEFAULT_TIMEOUT, seconds_to_replace
from .. import words
from ..definition import define
from ..desired import desired
from ..manifest.errors import ManifestError
from ..manifest.model import Manifests
from ..plan import Seen, Settings, Wanted
from ..pull import Turn, turn_of
from ..scheduling import ARCHITECTURES, Node
from .declaration import refuse
from .nodes import Inventory

CONNECTION_SECONDS = 10  # what the run itself may take beside what the node does
Declared = Sequence[tuple[Settings, dict[str, Wanted]]]


def only_one(seen: Mapping[str, Seen]) -> str:
    """The node that applies to itself. To all that follows there are no others."""
    if len(seen) != 1:
        given = words.names(list(seen)) or "none"
        refuse([f"daemonset_pull: a node applies to itself alone, name it with --limit; these are {given}"])
    return next(iter(seen))


def with_turns(
    declared: Declared,
    node: str,
    loaded: Mapping[str, Manifests],
    inventory: Inventory,
    seen: Seen,
    options: Mapping[str, Any],
) -> list[tuple[Settings, dict[str, Wanted]]]:
    """The same, with each DaemonSet's turn on this node. ``options``: pull_slot, pull_since and timeout."""
    sharing = _sharing(loaded, inventory)
    look = seen.observation
    own = inventory.nodes([node], {node: look.facts.arch} if look else {})[node]

    def turn(settings: Settings, wanted: Wanted) -> Turn:
        certain, possible = sharing[settings.key]
        need = 0.0
        if look is not None and wanted.should_run and wanted.runtime:
            longest = _seconds(settings, loaded[node], own, look, wanted.runtime, options["timeout"])
            need = 2 * longest + settings.policy.confirm_timeout + CONNECTION_SECONDS
        slot, since = options["pull_slot"], options["pull_since"]
        budget = settings.strategy.numbers(len(certain)).budget
        return turn_of(node, possible, budget, settings.policy, slot=slot, need=need, since=since)

    return [
        (settings if settings.deleted else replace(settings, turn=turn(settings, wanted[node])), wanted)
        for settings, wanted in declared
    ]


class _Sharing(NamedTuple):
    """The nodes that share a DaemonSet's budget, as far as the inventory tells, for all nodes have to come to the same;
    it does not say everybody's architecture.
    """

    certain: set[str]  # they are eligible, whatever their architecture
    possible: set[str]  # they are if it is the right one


def _sharing(loaded: Mapping[str, Manifests], inventory: Inventory) -> dict[str, _Sharing]:
    found: dict[str, _Sharing] = {}
    for arch in (None, *ARCHITECTURES):
        nodes = inventory.nodes(loaded, {} if arch is None else dict.fromkeys(loaded, arch))
        for settings, wanted in desired(loaded, nodes):
            eligible = {name for name, wish in wanted.items() if wish.should_run}
            certain, possible = found.get(settings.key, (eligible, eligible))
            found[settings.key] = _Sharing(certain & eligible, possible | eligible)
    return found


def _seconds(
    settings: Settings, manifests: Manifests, node: Node, look: Observation, runtime: str, timeout: int | None
) -> float:
    """The longest that a revision may take to be ready in the place of another."""
    daemonset = next((one for one in manifests.daemonsets if one.key == settings.key), None)
    if daemonset is None:
        return 0.0
    try:
        definition, _secrets = define(daemonset, manifests, node, look.facts, runtime)
    except ManifestError:
        return 0.0  # there is nothing to replace it with, as its step will say
    starts = 2 if settings.strategy.surges else 1
    return starts * seconds_to_replace(definition, timeout or DEFAULT_TIMEOUT)
