# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One node, seen and changed through the connection of a task's action plugin."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import unquote, urlsplit

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.plugins.connection import ConnectionBase

from ...module_utils import confirmation, observation, program
from .. import details
from ..plan import UNREACHABLE, UNUSABLE, Seen, Settings
from ..words import last_line
from .limit import time_limit
from .nodes import Inventory
from .sources import plain, words_of

INSTANCE_MODULE = "everynode.daemonset.instance"
OBSERVE_SECONDS = 60  # to look at a node; a busy one takes one or two
STEP_SECONDS = 3600  # for all that one step does on a node, downloads included
DO_NOT_START_SERVICES = 101  # policy-rc.d: the package's own unit must not run beside ours
# Nothing says when a rollout ended; what a node was switched to longer ago is taken for one that has.
ROLLOUT_SECONDS = 86400
CONFIRM_SECONDS = 120  # that a node waits, once it is ready, to be told that it can be reached
MODULE_WITHOUT_RESULT = "Module result deserialization failed"  # how ansible-core puts it
NO_RESULT = "the module ended without a result"

# An unpacked archive carries what its files looked like, so that one that was tampered with is unpacked again.
# Each run unpacks in a folder of its own, for another control node may be at the same archive.
IN_C = "LC_ALL=C; export LC_ALL; umask 022; "
ARCHIVE_IS_WHOLE = f'{IN_C}cd {{path}} 2>/dev/null && test -f .everynode && test -z "$({observation.ARCHIVE_DAMAGE})"'
MAKE_ROOM = (
    f"{IN_C}mkdir -p {{archives}} {{new}} && "
    "find {instance} -maxdepth 1 -name 'unpacking.*' -mmin +1440 -exec rm -rf {{}} +"  # left by runs that died
)
# What runs may have been started from the archive that is now replaced: without its fingerprints the revision counts as
# damaged until it has been restarted, whoever does that.
MOVE_AWAY = (
    '{{ if grep -qsxF "$(basename {path})" {instance}/current/archives; '
    "then rm -f {instance}/current/fingerprints; fi; "
    "mv -T {path} {old}; }}"
)
PUT_IN_PLACE = (
    f"{IN_C}cd {{new}} && {observation.ARCHIVE_FILES} >.everynode && sync -f . && cd / || exit; "
    f"if ! ({ARCHIVE_IS_WHOLE}); then "
    f"test ! -e {{path}} || {MOVE_AWAY}; mv -T {{new}} {{path}} || ({ARCHIVE_IS_WHOLE}); fi"
)
CLEAN_UP = "rm -rf {room}"
LEAVE_NOTHING = f"{CLEAN_UP}; rmdir -p --ignore-fail-on-non-empty {{archives}}"


class StepFailed(Exception):
    """A step that did not succeed on this node; the text says why, in one or more lines."""

    def __init__(self, message: str, changed: bool = False) -> None:
        super().__init__(message)
        self.changed = changed


class ConnectionLost(StepFailed):
    """The node went away in the middle of a step, so nobody knows how far it came."""


class Outcome:
    """What was done on a node, or in check mode would be."""

    def __init__(self) -> None:
        self.actions: list[str] = []
        self.changed = False
        self.diff: dict[str, Any] = {}

    def add(self, action: str) -> None:
        self.actions.append(action)
        self.changed = True


class Host:
    def __init__(
        self, action: ActionBase, task_vars: dict[str, Any], timeout: int | None = None, programs: str = ""
    ) -> None:
        """``timeout``: seconds to wait for readiness, the module's own default if it is None.

        ``programs``: what was observed of the node's program.
        """
        self._action = action
        self._timeout = timeout
        self._task_vars = task_vars
        self._check_mode = bool(action._task.check_mode)
        self._programs = programs
        self.seen: Seen | None = None  # what the node was like after the last order, if that told

    def look(self, patience: int = OBSERVE_SECONDS) -> Seen:
        """Observe the node: one round trip, no Python there; a node that is frozen gets ``patience`` seconds.

        Never raises.
        """
        printed = self._printed(observation.SCRIPT, patience)
        if isinstance(printed, Seen):
            return printed
        seen = _read(printed)
        if seen.observation is not None:
            self._programs = seen.observation.facts.programs
            self.seen = seen
        return seen

    def ask(self, question: details.Question, patience: int) -> dict[str, Any] | Seen:
        """By namespace/name, events, log lines and usage; or why nobody knows. Never raises."""
        printed = self._printed(question.script(), patience)
        if isinstance(printed, Seen):
            return printed
        try:
            return details.parse(printed["stdout"], question.keys)
        except ValueError as error:
            return Seen(None, UNUSABLE, last_line(printed["stderr"]) if printed["rc"] else str(error))

    def _printed(self, script: str, patience: int) -> Mapping[str, Any] | Seen:
        """What a script that only reads printed as root, or why it did not run."""
        try:
            with time_limit(patience):
                return self._action._low_level_execute_command(script)  # type: ignore[no-any-return]
        except AnsibleConnectionFailure as error:
            return Seen(None, UNREACHABLE, connection_words(error))
        except AnsibleError as error:  # become: no password, a wrong one
            return Seen(None, UNUSABLE, f"root is needed there: {words_of(error)}")

    def is_reachable(self, patience: int) -> str:
        """ "" if the node answers, else why it does not: the least that can be asked, before something is stopped."""
        try:
            with time_limit(patience):
                self._action._low_level_execute_command(":")
        except AnsibleConnectionFailure as error:
            return connection_words(error)
        except AnsibleError as error:
            return words_of(error)
        return ""

    def stage(self, definition: Mapping[str, Any], secrets: str, package_manager: str) -> Outcome:
        """Fetch what the definition needs and write its revision beside what runs. Nothing that runs is touched."""
        outcome = self.fetch(definition, package_manager)
        self._order(outcome, definition, {"act": "staged", "definition": definition}, secrets)
        outcome.diff = {}  # shown where it takes effect
        return outcome

    def fetch(self, definition: Mapping[str, Any], package_manager: str) -> Outcome:
        """Install the packages and unpack the archives that the definition names."""
        outcome = Outcome()
        for source in definition["sources"]:
            if source["kind"] == "package":
                self._install(outcome, source["package"], source["version"], package_manager)
            elif source["kind"] == "archive":
                self._unpack(outcome, source["url"], source["sha256"], source["path"])
        return outcome

    def present(
        self, definition: Mapping[str, Any], secrets: str, terms: Mapping[str, Any], staged: bool = False
    ) -> Outcome:
        """Put the definition's revision in place and wait until it is ready.

        ``staged``: it was staged before, though in a dry run nothing shows that.
        """
        outcome = Outcome()
        self._order(outcome, definition, {"act": "present", "definition": definition, "terms": terms}, secrets, staged)
        return outcome

    def switch(self, instance: Mapping[str, Any], revision: str, min_ready: int, terms: Mapping[str, Any]) -> Outcome:
        """Put a revision that lies on the node in place and wait until it is ready. ``instance``: namespace, name."""
        outcome = Outcome()
        order = {"act": "switched", "revision": revision, "minReadySeconds": min_ready, "terms": terms}
        self._order(outcome, instance, order)
        return outcome

    def go_back(self, settings: Settings, revision: str) -> Outcome:
        """Have the node go back to what it had, if it came to this revision with the rollout that goes on now."""
        outcome = Outcome()
        order = {"act": "returned", "revision": revision, "within": ROLLOUT_SECONDS}
        self._order(outcome, settings.names, {**order, "minReadySeconds": settings.min_ready_seconds})
        return outcome

    def confirm(self, instance: Mapping[str, Any], revision: str) -> None:
        """Tell the node that it can be reached, over a connection of its own: an old one may outlive what it needs."""
        connection = self._action._connection
        if type(connection).reset is not ConnectionBase.reset:
            connection.reset()
        script = confirmation.script(instance["namespace"], instance["name"], revision)
        printed = self._shell(script + observation.SCRIPT)
        if confirmation.CONFIRMED in printed["stdout"].splitlines():
            self.seen = _read(printed)
        else:
            self._order(Outcome(), instance, {"act": "confirmed", "revision": revision})

    def note(self, instance: Mapping[str, Any], values: Mapping[str, Any]) -> Outcome:
        """Have the node's record say so; see record.py."""
        outcome = Outcome()
        self._order(outcome, instance, {"act": "noted", "values": values})
        return outcome

    def absent(self, namespace: str, name: str) -> Outcome:
        outcome = Outcome()
        self._order(outcome, {"namespace": namespace, "name": name}, {"act": "absent"})
        return outcome

    def _order(
        self,
        outcome: Outcome,
        instance: Mapping[str, Any],
        order: Mapping[str, Any],
        secrets: str = "",
        staged: bool = False,
    ) -> None:
        arguments: dict[str, Any] = {name: instance[name] for name in ("namespace", "name")}
        arguments.update(order=order)
        if secrets:
            arguments["secrets"] = secrets
        if self._timeout is not None:
            arguments["timeout"] = self._timeout
        result = self._checked(INSTANCE_MODULE, lambda: self._program(arguments) or self._run(arguments))
        told_already = len(result.get("staging", [])) if staged and self._check_mode else 0
        for action in result.get("actions", [])[told_already:]:
            outcome.add(action)
        outcome.changed |= bool(result.get("changed"))
        diff = result.get("diff") or {}
        if diff.get("before") != diff.get("after"):
            header = f"{instance['namespace']}/{instance['name']}"
            outcome.diff = {**diff, "before_header": header, "after_header": header}

    def _run(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The module, which leaves its code on the node; see module_utils/program.py."""
        return self._action._execute_module(  # type: ignore[no-any-return]
            module_name=INSTANCE_MODULE, module_args=dict(arguments), task_vars=self._task_vars
        )

    def _program(self, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What the module left, if it is of this version; None if it is not there, or not any more."""
        if not self._action._connection.has_pipelining or OWN_PROGRAM not in self._programs.split():
            return None
        request = {**arguments, "check_mode": self._check_mode, "diff": self._action._task.diff}
        printed = self._action._low_level_execute_command(
            os.path.join(program.folder(OWN_PROGRAM), "run"), in_data=json.dumps(plain(request)).encode()
        )
        lines = [line for line in printed["stdout"].splitlines() if line.startswith(program.RESULT)]
        if not lines:
            if printed["rc"] in (126, 127):
                return None
            why = last_line(printed["stderr"] or printed["stdout"] or "was it killed?")
            return {"failed": True, "msg": f"{NO_RESULT}, exit status {printed['rc']}: {why}"}
        result: Mapping[str, Any] = json.loads(lines[-1].removeprefix(program.RESULT))
        return result

    def _install(self, outcome: Outcome, package: str, version: str | None, package_manager: str) -> None:
        if package_manager == "apt":
            result = self._install_with_apt(f"{package}={version}" if version else package)
        else:
            module = "ansible.builtin.dnf" if package_manager == "dnf" else "ansible.builtin.package"
            wanted = f"{package}-{version}" if version else package
            result = self._action_or_module(module, {"name": wanted, "state": "present"})
        if result.get("changed"):
            outcome.add(f"install the package {package}{f' {version}' if version else ''}")

    def _install_with_apt(self, package: str) -> Mapping[str, Any]:
        arguments = {"name": package, "state": "present", "policy_rc_d": DO_NOT_START_SERVICES}
        try:
            return self._module("ansible.builtin.apt", arguments)
        except ConnectionLost:
            raise
        except StepFailed:
            if self._check_mode:
                return {"changed": True}  # only fresh package lists could tell, and fetching them would be a change
            return self._module("ansible.builtin.apt", {**arguments, "update_cache": True})

    def _unpack(self, outcome: Outcome, url: str, sha256: str, path: str) -> None:
        """Unpack an archive into ``path``, which afterwards is whole or not there at all."""
        instance = path.rpartition("/archives/")[0]
        room = f"{instance}/unpacking.{token_hex(8)}"
        names = {"path": path, "archives": f"{instance}/archives", "instance": instance, "room": room}
        names |= {name: f"{room}/{name}" for name in ("download", "new", "old")}
        quoted = {key: shlex.quote(value) for key, value in names.items()}
        if self._shell(ARCHIVE_IS_WHOLE.format(**quoted))["rc"] == 0:
            return
        local = unquote(urlsplit(url).path) if url.startswith("file://") else ""
        if local:
            _verify(local, sha256)
        outcome.add(f"unpack {url}")
        if self._check_mode:
            return
        try:
            self._must(MAKE_ROOM.format(**quoted))
            if local:
                copied = {"src": local, "dest": names["download"], "mode": "0600"}
                self._action_or_module("ansible.builtin.copy", copied)
            else:
                fetched = {"url": url, "dest": names["download"], "mode": "0600", "checksum": f"sha256:{sha256}"}
                self._module("ansible.builtin.get_url", fetched)
            extracted = {"src": names["download"], "dest": names["new"], "owner": "root", "group": "root"}
            self._action_or_module("ansible.builtin.unarchive", {**extracted, "remote_src": True})
            self._must(PUT_IN_PLACE.format(**quoted))
        except ConnectionLost:
            raise
        except StepFailed:
            self._shell(LEAVE_NOTHING.format(**quoted))
            raise
        self._must(CLEAN_UP.format(**quoted))

    def _must(self, command: str) -> None:
        result = self._shell(command)
        if result["rc"] != 0:
            raise StepFailed(last_line(result["stderr"] or result["stdout"]))

    @contextlib.contextmanager
    def within(self, seconds: int) -> Iterator[None]:
        """A limit around several of the calls below."""
        try:
            with time_limit(seconds):
                yield
        except AnsibleConnectionFailure as error:
            raise self._lost(error) from error

    def _lost(self, error: AnsibleConnectionFailure) -> ConnectionLost:
        # Ansible would connect once more, to clean up, and take the host out of the run when that fails.
        self._action._connection._shell.tmpdir = None
        return ConnectionLost(connection_words(error))

    def _shell(self, command: str) -> Mapping[str, Any]:
        try:
            return self._action._low_level_execute_command(command)  # type: ignore[no-any-return]
        except AnsibleConnectionFailure as error:
            raise self._lost(error) from error
        except AnsibleError as error:
            raise StepFailed(words_of(error)) from error

    def _module(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._checked(
            name,
            lambda: self._action._execute_module(
                module_name=name, module_args=dict(arguments), task_vars=self._task_vars
            ),
        )

    def _action_or_module(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run what has an action plugin of its own, as Ansible's own actions do among each other."""
        loader = self._action._shared_loader_obj.action_loader
        if not loader.has_plugin(name):
            return self._module(name, arguments)
        task = self._action._task.copy()
        task.args = dict(arguments)
        plugin = loader.get(
            name,
            task=task,
            connection=self._action._connection,
            play_context=self._action._play_context,
            loader=self._action._loader,
            templar=self._action._templar,
            shared_loader_obj=self._action._shared_loader_obj,
        )
        return self._checked(name, lambda: plugin.run(task_vars=self._task_vars))

    def _checked(self, name: str, call: Any) -> Mapping[str, Any]:
        try:
            result: Mapping[str, Any] = call()
        except AnsibleConnectionFailure as error:
            raise self._lost(error) from error
        except AnsibleError as error:
            raise StepFailed(f"{name}: {words_of(error)}") from error
        if result.get("observation"):
            self.seen = Seen(observation.Observation.from_dict(result["observation"]), "", "")
        if result.get("failed"):
            message = str(result.get("msg") or "it failed without a message").strip()
            if result.get("response") and result.get("url"):  # of get_url: what the server said, and where
                message += f": {result['url']}: {result['response']}"
            detail = str(result.get("module_stderr") or result.get("module_stdout") or "").strip()
            if message.startswith(MODULE_WITHOUT_RESULT):
                why = last_line(detail) if detail else "was it killed?"
                message, detail = f"{NO_RESULT}, exit status {result.get('rc')}: {why}", ""
            spoken = message if name == INSTANCE_MODULE else f"{name}: {message}"
            raise StepFailed(f"{spoken}\n{detail}" if detail else spoken, changed=bool(result.get("changed")))
        return result


def _read(printed: Mapping[str, Any]) -> Seen:
    """What observation.SCRIPT printed."""
    try:
        return Seen(observation.parse(printed["stdout"]), "", "")
    except ValueError as error:
        return Seen(None, UNUSABLE, last_line(printed["stderr"]) if printed["rc"] else str(error))


def _own_program() -> str:
    """The version that a node's program has if it is of this very collection."""
    root = Path(program.__file__).parent
    sources = [path for path in root.rglob("*.py") if path.name != "__init__.py"]
    return program.version_of({str(path.relative_to(root)): path.read_bytes() for path in sources})


OWN_PROGRAM = _own_program()  # once, before there is a process for each node


def observed(
    inventory: Inventory, variable: str, names: Iterable[str], task_vars: Mapping[str, Any]
) -> dict[str, Seen]:
    """What the action ``observe`` registered on the hosts of this play; what --limit leaves out is not among them."""
    in_play = set(task_vars["ansible_play_hosts_all"])
    still_there = set(task_vars["ansible_play_hosts"])
    seen = {}
    for name in names:
        if name in still_there:
            seen[name] = _seen_from(inventory.variables(name)[variable])
        elif name in in_play:
            seen[name] = Seen(None, UNUSABLE, "it failed earlier in this run")
    return seen


def registered(inventory: Inventory, variable: str, names: Iterable[str]) -> dict[str, Seen]:
    """The same in a later play of the run, which has other hosts."""
    found = ((name, inventory.variables(name).get(variable)) for name in names)
    return {name: _seen_from(result) for name, result in found if result and "reachable" in result}


def others(inventory: Inventory, variable: str, task_vars: Mapping[str, Any]) -> dict[str, Seen]:
    """What the hosts of this play saw of others, which --limit leaves out: ``observe`` in a loop, delegated."""
    seen = {}
    for name in task_vars["ansible_play_hosts"]:
        for result in inventory.variables(name).get(variable, {}).get("results", []):
            seen[str(result["item"])] = replace(_seen_from(result), selected=False)
    return seen


def _seen_from(result: Mapping[str, Any]) -> Seen:
    if "observation" in result:
        return Seen(observation.Observation.from_dict(result["observation"]), "", "")
    return Seen(None, UNUSABLE if result["reachable"] else UNREACHABLE, str(result["reason"]))


def connection_words(error: AnsibleConnectionFailure) -> str:
    """The last line of what ssh said, which is the one with the cause."""
    said = re.sub(r'Data could not be sent to remote host "[^"]*"\.', "", str(error.message))
    for frame in ("Failed to connect to the host via ssh:", "Make sure this host can be reached over ssh:"):
        said = said.replace(frame, "")
    return last_line(said) if said.strip() else "the connection was closed without a word"


def _verify(path: str, sha256: str) -> None:
    """An archive on the control node is checked before anything is sent."""
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StepFailed(
            f"the archive {path} on the control node cannot be read: {os.strerror(error.errno or 0)}"
        ) from error
    if found != sha256:
        raise StepFailed(f"the archive {path} on the control node has the sha256 {found}, expected {sha256}")
