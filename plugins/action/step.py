# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take one phase's planned steps on one node.

A step that fails is recorded, printed and closes the gate for later batches, but it does not fail the host: a batch
whose hosts all failed would end the whole run, and with it the report. The action ``verdict`` fails it at the end.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.everynode.daemonset.plugins.module_utils.observation import Facts, folder_of
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import declaration, leases, run
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.host import (
    OBSERVE_SECONDS,
    STEP_SECONDS,
    ConnectionLost,
    Host,
    Outcome,
    StepFailed,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.nodes import Inventory, node_of
from ansible_collections.everynode.daemonset.plugins.plugin_utils.definition import define
from ansible_collections.everynode.daemonset.plugins.plugin_utils.maintenance import closed_until
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import (
    CREATE,
    REMOVE,
    REPLACE,
    RESTART,
    RESTORE,
    STAGE,
    STAGED_STEPS,
    SWITCH,
    UNREACHABLE,
    UPDATES,
    Entry,
    Seen,
    Settings,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.policy import HALT

display = Display()

OPTIONS: dict[str, dict[str, Any]] = {
    "phase": {"type": "str", "choices": [REMOVE, STAGE, CREATE, SWITCH], "required": True},
    "manifests": declaration.MANIFESTS,
    "timeout": {"type": "int"},
    "observe_timeout": {"type": "int", "default": OBSERVE_SECONDS},
    "step_timeout": {"type": "int", "default": STEP_SECONDS},
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        options = declaration.options(self, OPTIONS)
        taken = _Steps(self, task_vars or {}, options)
        for settings, entry in run.steps_on(taken.node):
            if entry.takes_part(taken.phase):
                taken.take(settings, entry)
        taken.save()
        result.update(changed=taken.changed, actions=taken.actions)
        if taken.diffs:
            result["diff"] = taken.diffs
        return result


class _Steps:
    def __init__(self, action: ActionBase, task_vars: dict[str, Any], options: Mapping[str, Any]) -> None:
        self.node = str(task_vars["inventory_hostname"])
        self.phase = options["phase"]
        self.changed = False
        self.actions: list[str] = []
        self.diffs: list[dict[str, Any]] = []
        self._action = action
        self._task_vars = task_vars
        self._options = options
        self._check_mode = bool(action._task.check_mode)
        self._part = run.part_of(self.node)
        programs = str(self._part.facts.get("programs", ""))
        self._host = Host(action, task_vars, timeout=options["timeout"], programs=programs)

    def take(self, settings: Settings, entry: Entry) -> None:
        if any(problem.node == self.node and problem.daemonset == settings.key for problem in run.problems()):
            return  # it failed here before, and that was said
        if self.phase != SWITCH or self._check_mode:
            self._take(settings, entry)
            return
        with run.turn(settings.key, self._part.rooms[settings.key]):
            self._take(settings, entry)

    def _take(self, settings: Settings, entry: Entry) -> None:
        tolerated = self._part.tolerated[settings.key]
        gate = run.in_the_way(settings.key, self.phase, entry.step, run.problems(), tolerated, entry.wave)
        if gate is not None:
            self._say(settings, f"left as it is, the rollout is halted because {gate.node} failed")
            return
        if settings.key in leases.refused():
            return  # it is somebody else's, and that was said
        obstacle = "" if self.phase == STAGE else leases.obstacle(settings.key)
        if obstacle:
            self._fail(settings, obstacle, halts=True)
            return
        late = self._too_late(settings, entry) if self.phase == SWITCH else ""
        if late:
            self._say(settings, f"left as it is, {late}")
            self._host.look(self._options["observe_timeout"])  # judged by the clock of now, it is as it should be
            return
        # Staging disturbs nothing, so it needs no question before; what is to be stopped must not be lost unawares.
        why = "" if self.phase == STAGE else self._host.is_reachable(self._options["observe_timeout"])
        if why:
            self._host.seen = Seen(None, UNREACHABLE, why)
            self._fail(settings, f"unreachable, so it was not touched: {why}", halts=False, wave=entry.wave)
            return
        try:
            with self._host.within(self._options["step_timeout"]):
                outcome = self._act(settings, entry)
        except ConnectionLost as error:
            self._host.seen = Seen(None, UNREACHABLE, str(error))
            self._fail(settings, f"the connection was lost: {error}", halts=self.phase != STAGE)
        except StepFailed as error:
            self.changed |= error.changed
            self._fail(settings, str(error), halts=self.phase != REMOVE)
        except ValueError as error:  # the manifest or the inventory, read anew
            self._fail(settings, str(error), halts=self.phase != REMOVE)
        else:
            self._record(settings, entry, outcome)

    def _too_late(self, settings: Settings, entry: Entry) -> str:
        """What has closed since the plan was made, by the node's own clock."""
        if entry.step in UPDATES and settings.policy.window:
            opens = closed_until(settings.policy.window, self._now(), self._part.facts["utc_offset"])
            if opens:
                return f"its maintenance window has closed; it opens {opens}"
        return settings.turn.closed(self._now()) if settings.turn else ""

    def _now(self) -> float:
        """By the node's own clock."""
        return float(self._part.facts["now"]) + time.time() - self._part.planned

    def save(self) -> None:
        """What the node is like now; a step that failed on the way may not have told."""
        if self.phase == STAGE or self._check_mode:
            return
        if self._host.seen is None and self._failed_here():
            self._host.look(self._options["observe_timeout"])
        if self._host.seen is not None:
            run.save_seen(self.node, self._host.seen)

    def _failed_here(self) -> bool:
        return any(problem.node == self.node and problem.phase == self.phase for problem in run.problems())

    def _act(self, settings: Settings, entry: Entry) -> Outcome:
        if self.phase == REMOVE:
            return self._host.absent(settings.namespace, settings.name)
        # In a dry run nothing was staged, so what a replacement would do is asked with the definition.
        on_disk = entry.on_disk or entry.step in (RESTART, RESTORE) or (entry.step == REPLACE and not self._check_mode)
        if self.phase != STAGE and on_disk:
            return self._switch(settings, entry)
        definition, secrets = self._definition(settings, entry)
        if self.phase == STAGE:
            return self._host.stage(definition, secrets, str(self._part.facts["package_manager"]))
        outcome = self._host.present(definition, secrets, _terms(settings, entry), staged=entry.step in STAGED_STEPS)
        seen = self._host.seen.observation if self._host.seen else None
        instance = seen.instance(settings.namespace, settings.name) if seen else None
        if instance is not None and not instance.confirmed and not self._check_mode:
            self._confirm(settings, entry)  # a run that was killed may have switched it
        return outcome

    def _switch(self, settings: Settings, entry: Entry) -> Outcome:
        """What lies on the node takes the place of what runs, and is confirmed."""
        revision = folder_of(*_revision(entry))
        terms = {
            **_terms(settings, entry),
            "confirm": settings.policy.confirm_timeout,
            "restart": entry.step == RESTART,
            "undo": entry.on_disk,
        }
        outcome = self._host.switch(settings.names, revision, settings.min_ready_seconds, terms)
        if not self._check_mode:
            self._confirm(settings, entry)
        return outcome

    def _confirm(self, settings: Settings, entry: Entry) -> None:
        try:
            self._host.confirm(settings.names, folder_of(*_revision(entry)))
        except ConnectionLost as error:
            raise ConnectionLost(
                f"it cannot be reached any more since it was switched: {error}; unless that was for a moment only, it "
                f"puts its last good revision back by itself, some time after {settings.policy.confirm_timeout} seconds"
            ) from error

    def _definition(self, settings: Settings, entry: Entry) -> tuple[dict[str, Any], str]:
        known = self._part.definitions[settings.key]
        if "error" in known:
            raise StepFailed(known["error"])
        if known["secrets"] is not None:
            return known["definition"], known["secrets"]
        inventory = Inventory(self._task_vars["hostvars"])
        loaded = declaration.load_manifests(
            self._action, self._task_vars, self._options["manifests"], [self.node], inventory
        )
        facts = Facts(**{**self._part.facts, "engines": tuple(self._part.facts["engines"])})
        node = node_of(self.node, inventory.variables(self.node), facts.arch)
        for daemonset in loaded[self.node].daemonsets:
            if daemonset.key == settings.key:
                definition, secrets = define(daemonset, loaded[self.node], node, facts, entry.wanted_runtime)
                if definition == known["definition"]:
                    return definition, secrets
        raise StepFailed("the manifest has changed since the plan was made; run it again")

    def _record(self, settings: Settings, entry: Entry, outcome: Outcome) -> None:
        self.changed |= outcome.changed
        self.actions += outcome.actions
        if outcome.diff:
            self.diffs.append(outcome.diff)
        if outcome.changed:
            self._say(settings, self._words(entry, outcome))

    def _words(self, entry: Entry, outcome: Outcome) -> str:
        """What to tell the operator; the details are in the task's result (-v)."""
        if self._check_mode:
            return "would " + ", ".join(outcome.actions)
        if self.phase == STAGE:
            return ", ".join(outcome.actions)
        if self.phase == REMOVE:
            return "removed"
        return f"{_PAST[entry.step]}, revision {_revision(entry)[0]} is available"

    def _fail(self, settings: Settings, message: str, halts: bool, wave: int = 0) -> None:
        look = self._host.seen.observation if self._host.seen else None
        instance = look.instance(settings.namespace, settings.name) if look else None
        serves = instance is not None and instance.ready
        run.add_problem(run.Problem(self.node, settings.key, self.phase, message, halts, serves, wave))
        first, *rest = message.split("\n")
        self._say(settings, f"failed to {self.phase}: {first}", color="red")
        for line in rest:
            display.display(f"    {line}", color="red")

    def _say(self, settings: Settings, what: str, color: str | None = None) -> None:
        display.display(f"{self.node}: {settings.name}: {what}", color=color)


def _revision(entry: Entry) -> tuple[str, str]:
    """The one that the step is about, and what runs it."""
    if entry.step == RESTORE:
        return str(entry.revision), entry.runtime
    return entry.wanted, entry.wanted_runtime


def _terms(settings: Settings, entry: Entry) -> dict[str, Any]:
    """See module_utils/instance.Terms."""
    return {
        "number": 0 if entry.step == RESTORE else entry.number,
        "cause": settings.change_cause,
        "revert": settings.policy.on_failure != HALT,
        "surge": settings.strategy.surges,
        "expected": entry.revision or "none",
    }


_PAST = {
    "create": "created",
    "replace": "replaced",
    "repair": "repaired",
    "wait": "waited for",
    "restart": "restarted",
    "restore": "restored",
}
