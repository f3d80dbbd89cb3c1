# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands on the nodes and is declared nowhere, and the guard against removing more than anybody meant to.

A wrong letter in a label, or the wrong folder of manifests, makes instances superfluous everywhere at once. So of each
DaemonSet that is declared, and of all that is pruned together, only so much is removed unless somebody says more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from .int_or_percent import scaled_value
from .judgement import NOT_SELECTED, ORPHAN, REMOVE, UNREACHABLE, UNUSABLE, Entry, Seen
from .plan import DaemonSetPlan, Plan
from .words import names, nodes_of

EVERYWHERE = "all"  # a scope, beside the names of namespaces
UNSEEN = (NOT_SELECTED, UNREACHABLE, UNUSABLE)
MAX_REMOVALS = "50%"  # rounded up, so that the only instance may go


def limit_of(text: str) -> int | str:
    """A number of instances, or a percentage. Raises ValueError for anything else."""
    limit = int(text) if text.isdecimal() else text
    if scaled_value(limit, 100) < 0:
        raise ValueError(f'"{text}" is less than nothing')
    return limit


def too_much(limit: int | str, allowed: int, count: int) -> str:
    """The line that says what allows so many, where the limit allows less."""
    return (
        f"  that is more than daemonset_max_removals={limit} allows, which is {allowed}; "
        f"if it is meant, allow it with -e daemonset_max_removals={count}"
    )


def in_scope(namespace: str, scope: Collection[str]) -> bool:
    return EVERYWHERE in scope or namespace in scope


def orphans(declared: Collection[str], seen: Mapping[str, Seen], scope: Collection[str]) -> list[tuple[str, str]]:
    """(namespace, name) of what stands on a node of this run within the scope, and is none of ``declared``."""
    found = {
        (instance.namespace, instance.name)
        for look in seen.values()
        if look.selected and look.observation is not None
        for instance in look.observation.instances
    }
    return sorted(key for key in found if in_scope(key[0], scope) and "/".join(key) not in declared)


def too_many(plan: Plan, limit: int | str, scope: Collection[str] = ()) -> list[str]:
    """Why this plan would remove more than it may; empty if it would not.

    A percentage is of the nodes that have an instance or should have one: what this run is going to start counts, so
    that a DaemonSet can be renamed. Who should have one is known of nodes that nobody has looked at as well (--limit),
    what is an orphan there is not.
    """
    found = []
    for daemonset in plan.daemonsets:
        if not daemonset.settings.deleted:
            turn = daemonset.settings.turn
            nowhere = turn is not None and not turn.members
            found += _refusal(daemonset.settings.key, list(daemonset.entries), _going([daemonset]), limit, nowhere)
    pruned = [daemonset for daemonset in plan.daemonsets if daemonset.settings.removal == ORPHAN]
    kept = [one for one in plan.daemonsets if not one.settings.deleted and in_scope(one.settings.namespace, scope)]
    counted = [entry for one in [*pruned, *kept] for entry in one.entries if entry.state not in UNSEEN]
    what = ", ".join(daemonset.settings.key for daemonset in pruned)
    pulls = any(one.settings.turn is not None for one in plan.daemonsets)
    return found + _refusal(f"daemonset_prune: {what}", counted, _going(pruned), limit, pulls)


def _going(daemonsets: Iterable[DaemonSetPlan]) -> list[Entry]:
    return [entry for daemonset in daemonsets for entry in daemonset.entries if entry.step == REMOVE]


def _refusal(
    what: str, counted: Sequence[Entry], going: Sequence[Entry], limit: int | str, alone: bool = False
) -> list[str]:
    """``alone``: there are other nodes, and what they have is not among what is counted."""
    total = sum(entry.present or entry.should_run for entry in counted)
    # Where nobody should have it, and --limit leaves nodes out, the only instance is no exception: nodes that pull
    # would lose theirs one by one.
    blind = not any(entry.should_run for entry in counted) and (
        alone or any(entry.state == NOT_SELECTED for entry in counted)
    )
    allowed = scaled_value(limit, total, round_up=not blind)
    if len(going) <= allowed:
        return []
    (reason, _count), *others = Counter(entry.reason for entry in going).most_common()
    nodes = list(dict.fromkeys(entry.node for entry in going))
    return [
        f"{what}: {len(going)} of {total} instances would be removed, from {nodes_of(len(nodes))} ({names(nodes)}): "
        f"{reason}{', and other reasons' if others else ''}\n{too_much(limit, allowed, len(going))}"
    ]
