# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what stands now: the table of ``kubectl get daemonsets``, or JSON; and judge each node for ``verdict``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.everynode.daemonset.plugins.module_utils.observation import Instance
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import (
    batches,
    declaration,
    leases,
    measures,
    run,
    terminal,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.files import replace_file
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.host import registered
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.nodes import Inventory
from ansible_collections.everynode.daemonset.plugins.plugin_utils.history import instances
from ansible_collections.everynode.daemonset.plugins.plugin_utils.page import page
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import (
    ABSENT,
    INFEASIBLE,
    ORPHAN,
    UNREACHABLE,
    UNUSABLE,
    DaemonSetPlan,
    Entry,
    Plan,
    Seen,
    renewed,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.status import as_items
from ansible_collections.everynode.daemonset.plugins.plugin_utils.table import (
    attention_list,
    daemonset_table,
    instance_table,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.words import nodes_of

OPTIONS: dict[str, dict[str, Any]] = {
    **terminal.OPTIONS,
    **declaration.REPORT_FILES,
    "observed": declaration.OBSERVED,
}


class ActionModule(ActionBase):
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        options = declaration.options(self, OPTIONS)
        planned = run.current_plan()
        if planned is None:
            raise AnsibleActionFail("there is no plan to report on: everynode.daemonset.plan comes first")
        seen = run.seen_after(planned.touched)
        plan = renewed(planned, seen)
        problems = run.problems()
        plan = _explained(plan, problems)
        details = run.details(plan.present)
        items = as_items(plan, details)
        terminal.show(items, options["output"], options["output_file"], lambda: _for_people(plan, options["output"]))
        verdict = _verdict(plan, problems, leases.refused(), bool(self._task.check_mode))
        run.set_verdict(verdict)
        halted = set(batches.troubles(planned).halted) - leases.refused().keys()  # these are another run's
        measures.write(options["metrics_file"], plan, halted, success=not verdict)
        if options["page"] is not None:
            found = self._instances(plan, options["observed"], task_vars or {}, seen)
            replace_file(options["page"], page(plan, found, details, time.time(), halted))
        result.update(changed=False, daemonsets=items["items"])
        return result

    def _instances(
        self, plan: Plan, variable: str, task_vars: Mapping[str, Any], newer: Mapping[str, Seen]
    ) -> dict[str, dict[str, Instance]]:
        """What was found on the nodes, by DaemonSet: of their pasts the plan knows nothing."""
        seen = {**registered(Inventory(task_vars["hostvars"]), variable, plan.nodes), **newer}
        return {
            daemonset.settings.key: instances(seen, daemonset.settings.namespace, daemonset.settings.name)
            for daemonset in plan.daemonsets
        }


def _explained(plan: Plan, problems: list[run.Problem]) -> Plan:
    """What is left undone says why: its own failure, or the one that halted the rollout."""
    failures = {(problem.node, problem.daemonset): problem for problem in problems}

    def explained(daemonset: DaemonSetPlan, entry: Entry) -> Entry:
        failure = failures.get((entry.node, daemonset.settings.key))
        if failure is not None:
            return replace(entry, reason=_first_line(failure))
        gate = run.in_the_way(
            daemonset.settings.key, entry.phase, entry.step, problems, daemonset.tolerated_failures, entry.wave
        )
        if gate is None:
            return entry
        return replace(entry, reason=f"{entry.reason}; the rollout is halted because {gate.node} failed")

    return Plan(
        tuple(
            replace(daemonset, entries=tuple(explained(daemonset, entry) for entry in daemonset.entries))
            for daemonset in plan.daemonsets
        ),
        plan.batches,
    )


def _first_line(problem: run.Problem) -> str:
    """The rest, the log lines above all, was printed when it happened."""
    return problem.message.split("\n")[0].removeprefix(problem.daemonset).lstrip(": ")


def _for_people(plan: Plan, output: str) -> str:
    wide = output == terminal.WIDE
    lines = [_deletion(daemonset) for daemonset in plan.daemonsets if daemonset.settings.deleted]
    standing = Plan(tuple(daemonset for daemonset in plan.daemonsets if not daemonset.settings.deleted), ())
    if standing.daemonsets:
        lines.append(daemonset_table(standing, terminal.WIDTH, wide))
    if wide:
        lines += ["", instance_table(plan, terminal.WIDTH)]
    attention = attention_list(plan, terminal.WIDTH)
    return "\n".join([*lines, "", attention] if attention else lines)


def _deletion(daemonset: DaemonSetPlan) -> str:
    """As kubectl says it, if it is true."""
    what = f'daemonset.apps "{daemonset.settings.name}"'
    if all(entry.state == ABSENT for entry in daemonset.entries):
        return f"{what} deleted from {daemonset.settings.namespace} namespace"
    there = sum(entry.present for entry in daemonset.entries)
    unknown = sum(not entry.present and entry.state != ABSENT for entry in daemonset.entries)
    looked = f", {unknown} were not looked at" if unknown else ""
    return f"{what} in {daemonset.settings.namespace} namespace: still on {nodes_of(there)}{looked}"


def _verdict(
    plan: Plan, problems: list[run.Problem], refused: Mapping[str, str], check_mode: bool
) -> dict[str, list[str]]:
    """For each node that is not as declared: why. A dry run only has to answer for what went wrong in it.

    ``refused``: what was left to another run, and why; that is said once, of the first node where it matters.
    """
    verdict: dict[str, list[str]] = {}
    for problem in problems:
        verdict.setdefault(problem.node, []).append(f"{problem.daemonset}: {_first_line(problem)}")
    told = {(problem.node, problem.daemonset) for problem in problems}
    for daemonset in plan.daemonsets:
        wrong = [entry for entry in daemonset.entries if not entry.as_declared]
        why = refused.get(daemonset.settings.key)
        if why and wrong:
            verdict.setdefault(wrong[0].node, []).append(why)
            continue
        for entry in wrong:
            if (entry.node, daemonset.settings.key) in told:
                continue
            if entry.state in (UNREACHABLE, UNUSABLE):
                verdict[entry.node] = [f"this node is {entry.state}: {entry.reason}"]
            elif entry.state == INFEASIBLE or not check_mode:
                state = "an orphan" if entry.state == ORPHAN else entry.state
                sentence = f"{daemonset.settings.key} is {state}: {entry.reason}"
                verdict.setdefault(entry.node, []).append(sentence)
    return verdict
