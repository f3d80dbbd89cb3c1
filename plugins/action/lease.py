# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take, renew or give back this run's leases on one witness, without Python there.

It never fails its host, for it runs once for all of them: a DaemonSet that is somebody else's is left alone by the
steps, and ``verdict`` says so in the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.everynode.daemonset.plugins.module_utils.observation import Lease
from ansible_collections.everynode.daemonset.plugins.plugin_utils import lease as leasing
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control import declaration, leases
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.host import connection_words
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.limit import time_limit
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.sources import words_of
from ansible_collections.everynode.daemonset.plugins.plugin_utils.words import last_line

display = Display()

ACQUIRED, RELEASED = "acquired", "released"
WITNESS_SECONDS = 30  # a node that does not answer within this is passed over
OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": [ACQUIRED, RELEASED], "default": ACQUIRED},
    "witness": {"type": "str", "required": True},
    "seconds": {"type": "int"},
    "take_over": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": WITNESS_SECONDS},
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        options = declaration.options(self, OPTIONS)
        result.update(changed=False)
        if not self._task.check_mode:
            witness = _Witness(self, options)
            if options["state"] == ACQUIRED:
                witness.acquire()
            else:
                witness.release()
        return result


class _Witness:
    def __init__(self, action: ActionBase, options: Mapping[str, Any]) -> None:
        self._action = action
        self._options = options
        self._name: str = options["witness"]
        self._leases = leases.load()
        self._seconds: int = options["seconds"] or self._leases.seconds

    def acquire(self) -> None:
        self._refuse_what_is_seen_to_be_held()
        wanted = {key: self._replaceable_here(key) for key in self._leases.wanted_from(self._name)}
        if wanted:
            self._take(wanted)
        leases.save(self._leases)

    def _refuse_what_is_seen_to_be_held(self) -> None:
        """Before anybody is asked for the first time, by the observation that the plan was made from."""
        for key, need in self._leases.needs.items():
            for node, (lease, now) in need.others.items():
                if need.begun is None and not self._may_replace(key, lease, now):
                    self._refuse(key, leasing.refusal(lease, node, now))

    def _replaceable_here(self, key: str) -> str:
        """The run whose lease was seen on this node, and may be taken."""
        other = self._leases.needs[key].others.get(self._name)
        return other[0].run if other else ""

    def _take(self, wanted: Mapping[str, str], again: bool = True) -> None:
        """``wanted``: DaemonSet → the run that it may be taken from."""
        for key in wanted:
            self._leases.needs[key].begin()
        asked_at = leases.clock()
        answer = self._ask(leasing.taking(self._leases.me, wanted, self._seconds))
        for key in answer.taken:
            self._leases.needs[key].confirm(self._name, asked_at, self._seconds)
        replaceable = {
            key: lease.run for key, lease in answer.held.items() if again and self._may_replace(key, lease, answer.now)
        }
        if replaceable:
            self._take(replaceable, again=False)
        for key, lease in answer.held.items():
            if key not in replaceable:
                self._lose(key, lease, answer.now)

    def _lose(self, key: str, lease: Lease, now: float) -> None:
        if self._leases.needs[key].confirmed:
            self._refuse(key, leasing.loss(lease, now))
        else:
            self._refuse(key, leasing.refusal(lease, self._name, now))

    def _may_replace(self, key: str, lease: Lease, now: float) -> bool:
        if leases.is_dead(lease.process):
            return True
        return bool(self._options["take_over"]) and self._leases.needs[key].was_before(lease, now)

    def _refuse(self, key: str, why: str) -> None:
        if not self._leases.needs[key].refusal:
            self._leases.needs[key].refusal = why
            display.display(why, color="red")

    def release(self) -> None:
        kept = self._leases.kept_by(self._name)
        if kept:
            self._ask(leasing.releasing(kept))
        for need in self._leases.needs.values():
            need.confirmed.pop(self._name, None)
        leases.save(self._leases)

    def _ask(self, script: str) -> leasing.Answer:
        """An empty answer is none; why there is none is noted, and the node is passed over from here on."""
        try:
            with time_limit(self._options["timeout"]):
                printed = self._action._low_level_execute_command(script)
        except AnsibleConnectionFailure as error:
            return self._pass_over(connection_words(error))
        except AnsibleError as error:
            return self._pass_over(words_of(error))
        answer = leasing.read_answer(printed["stdout"])
        if answer is None:
            return self._pass_over(last_line(printed["stderr"] or printed["stdout"]))
        return answer

    def _pass_over(self, why: str) -> leasing.Answer:
        self._leases.mute[self._name] = why
        return leasing.Answer()
