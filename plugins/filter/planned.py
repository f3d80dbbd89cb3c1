# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes take part in a phase of the plan that this run has made; for `hosts:` and `serial:` of later plays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible import context
from ansible.errors import AnsibleFilterError
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import batches, leases
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.run import (
    current_plan,
    going_back,
    looking,
    standing,
    wrong,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import (
    CREATE,
    NOT_SELECTED,
    REMOVE,
    STAGE,
    SWITCH,
    Plan,
)

PHASES = (REMOVE, STAGE, CREATE, SWITCH)


NOTHING_PLANNED = (
    "nothing was planned, so nothing was done: no host of the inventory matches daemonset_hosts and --limit "
    "(see `ansible-inventory --graph`)"
)
ONLY_LISTING = ("syntax", "listhosts", "listtasks", "listtags")


def planned(what: str, node: str | None = None) -> list[Any]:
    """Empty where nothing is run (--syntax-check, --list-hosts), never all nodes by mistake; else a plan has to be.

    With ``node``, which goes with ``looking``: the nodes that this one is to look at.
    """
    if what == "looking":
        return list(looking()) if node is None else looking().get(node, [])
    plan = current_plan()
    if plan is None:
        if any(context.CLIARGS.get(option) for option in ONLY_LISTING):
            return []
        # Ansible itself would pass over each play without a host, and end with 0.
        raise AnsibleFilterError(NOTHING_PLANNED)
    if what in PHASES:
        # The batches are of all that was planned; who is refused is passed over in them.
        return plan.hosts(what) if what == SWITCH else _ours(plan).hosts(what)
    if what == "present":
        return plan.present
    if what == "standing":
        return list(standing())
    if what == "leading":
        return plan.touched[:1]
    if what == "touched":
        return plan.touched
    if what == "batches":
        return [len(batch) for batch in plan.batches]
    if what == "switchable":
        return _switchable(plan)
    if what == "rollback":
        return _going_back(plan)
    if what == "witnesses":
        return leases.load().to_ask()
    if what == "leased":
        return leases.load().witnesses()
    if what == "settled":
        return batches.settled(plan)
    if what == "baking":
        return batches.looks(plan)
    if what == "report":
        return _report(plan)
    if what == "wrong":
        found = wrong()
        return [node for node in _report(plan) if node in found]
    raise AnsibleFilterError(
        f"planned: {what!r} is none of {', '.join(PHASES)}, present, standing, looking, leading, touched, switchable, "
        "batches, rollback, witnesses, leased, settled, baking, report, wrong"
    )


def _ours(plan: Plan) -> Plan:
    """The plan without what is somebody else's."""
    refused = leases.refused()
    return replace(plan, daemonsets=tuple(one for one in plan.daemonsets if one.settings.key not in refused))


def _switchable(plan: Plan) -> list[str]:
    """The nodes of all batches with a DaemonSet whose rollout is not halted, and is this run's."""
    halted = batches.troubles(plan).halted
    return [
        entry.node
        for daemonset in plan.daemonsets
        if daemonset.settings.key not in halted
        for entry in daemonset.entries
        if entry.phase == SWITCH
    ]


def _going_back(plan: Plan) -> list[str]:
    refused = leases.refused()
    found = [nodes for key, nodes in going_back(plan).items() if key not in refused]
    return list(dict.fromkeys(node for nodes in found for node in nodes))


def _report(plan: Plan) -> list[str]:
    """The nodes that the report may find wrong; one node at least, for the report has to run somewhere."""
    nodes = dict.fromkeys([*plan.touched, *plan.not_as_declared])
    if nodes:
        return list(nodes)
    in_play = [
        entry.node
        for daemonset in plan.daemonsets
        for entry in daemonset.entries
        if entry.selected and entry.state != NOT_SELECTED
    ]
    return in_play[:1]


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"planned": planned}
