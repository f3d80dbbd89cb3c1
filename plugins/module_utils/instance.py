# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exactly one: what stands of an instance on this node against what should, and the way from the one to the other.

Every act is one call of `Enforcer._act`, which says it in words and does it, or only says it in check mode; so a dry
run tells exactly what a real one does. The order of the acts is what makes a kill at any point harmless: all of a
revision is on disk before anything is stopped, the old instance is stopped before anything of it is changed, and
nothing is started half.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import select
import subprocess
import time
from typing import Any, Callable, ContextManager, Iterable, Iterator, Mapping, NamedTuple, Sequence

from . import (
    confirmation,
    engine,
    events,
    files,
    foreign,
    guard,
    images,
    keeper,
    observation,
    pods,
    program,
    stand_in,
    units,
)
from . import record as records
from .commands import run_command
from .difference import Difference
from .engine import Container, Engine, EngineError
from .errors import InstanceError
from .events import NORMAL, WARNING
from .lock import InstanceLock
from .masking import without
from .observation import (
    DRAINED,
    LISTING,
    MARK,
    QUADLET_DIRECTORY,
    ROOT,
    RUN,
    UNIT_DIRECTORY,
    VETO,
    Instance,
    Observation,
)
from .patience import seconds_to_replace
from .readiness import wait_ready
from .runtimes.containers import Containers
from .runtimes.docker import Docker
from .runtimes.podman import Podman
from .runtimes.runtime import Rendered, Runtime, node_python, remove_memory_volumes
from .runtimes.systemd import Systemd
from .units import may_run, remove_units, show, still_running, stop, systemctl, unit_of_file, unit_path

RUNTIMES: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Runtime]] = {
    "systemd": Systemd,
    "docker": Docker,
    "podman": Podman,
}

# Bytes that must be free where the switch writes. It needs less, but may not fail between the old instance and the new.
ROOM = 1 << 20

Stage = Callable[[Runtime, "Instance | None"], Rendered]


class Terms(NamedTuple):
    """How a revision is brought in, apart from what it is."""

    number: int = 0  # its revision number; 0: one more than the highest here
    cause: str = ""  # its change cause
    confirm: float = 0.0  # seconds in which somebody is going to confirm it once it is ready; 0: nobody is
    revert: bool = True  # what served before serves again if it does not become ready
    restart: bool = False  # restart it also if it is as it should be
    undo: bool = False  # whoever comes from another revision to this one is not to go there again by itself
    expected: str = (
        ""  # the revision, by its hash, that whoever decided on this has seen here; "none"; "": anything goes
    )
    surge: bool = False  # the new revision serves beside the old one while that is replaced, see stand_in.py


def runtime_of(definition: Mapping[str, Any], secrets: Mapping[str, Any]) -> Runtime:
    return RUNTIMES[definition["runtime"]](definition, secrets)


class Enforcer:
    """One instance on this node.

    ``timeout``: seconds, within which it must be ready, and which a download may stand still.
    ``actions`` says in words what was done (in check mode: would be).
    """

    def __init__(self, namespace: str, name: str, timeout: float, check_mode: bool = False):
        self.namespace = namespace
        self.name = name
        self.key = f"{namespace}/{name}"
        self.directory = os.path.join(ROOT, namespace, name)
        self.timeout = timeout
        self.check_mode = check_mode
        self.actions: list[str] = []
        self.staging: list[str] = []  # the part of them that `staged` takes as well
        self.secrets: Mapping[str, Any] = {}  # of the revision at work, which no message may hold
        self.difference = Difference(self.directory)

    # ------------------------------------------------------------------------------------------------- the three states

    def present(
        self,
        definition: Mapping[str, Any],
        secrets: Mapping[str, Any],
        terms: Terms = Terms(),  # noqa: B008 - immutable
    ) -> None:
        """The instance runs this revision, whole and ready; InstanceError if it is not ready in time."""
        runtime = runtime_of(definition, secrets)
        self._bring_in(runtime, terms, self._stage)

    def switched(self, folder: str, min_ready_seconds: int, terms: Terms) -> None:
        """The same with a revision that was staged before, or ran here once: from what is on the disk alone."""
        runtime = self._revision(folder, min_ready_seconds)
        if runtime is None:
            raise InstanceError(f"{self.key}: revision {folder} is not on this node any more as a whole; apply again")
        # What is in place may be damaged, and is written again from its definition; what was staged must be as it was.
        stage = self._stage if self._is_placed(runtime.definition) else self._as_staged
        self._bring_in(runtime, terms, stage)

    def returned(self, revision: str, within: float, min_ready_seconds: int) -> None:
        """Back to the revision before this one, if this one was put in place not longer ago than so many seconds."""
        history = records.load(self.directory)["history"]
        if len(history) < 2 or observation.hash_of(history[-1]["revision"]) != revision:
            return
        if time.time() - history[-1]["at"] <= within:
            number = history[-1].get("number", 0) + 1
            self.switched(history[-2]["revision"], min_ready_seconds, Terms(number=number, undo=True))

    def _bring_in(self, runtime: Runtime, terms: Terms, stage: Stage) -> None:
        self.secrets = runtime.secrets
        self._refuse_if_overtaken(runtime, terms)
        with self._stand_in(runtime, terms):
            self._put_in_place(runtime, terms, stage)

    @contextlib.contextmanager
    def _stand_in(self, runtime: Runtime, terms: Terms) -> Iterator[None]:
        """With maxSurge another instance of this revision serves as long as this one does not.

        If this process dies before it has taken that away again, a timer does.
        """
        other = self._other()
        found = self.observe() if terms.surge or other.is_there() else None
        if other.is_there() and found is not None and found.ready:
            self._remove_stand_in()
            found = self.observe()
        serves = found is not None and found.ready
        if not (terms.surge and serves) or (not terms.restart and _is_as_wanted(found, runtime.definition)):
            yield
        elif self.check_mode:
            yield
            self.actions.append(_stood_in(runtime))
        else:
            self._refuse_veto()
            self._refuse_if_abandoned()
            seconds = 2 * seconds_to_replace(runtime.definition, self.timeout)
            timer = guard.arm(self.namespace, other.name, node_python(), seconds, "absent")
            try:
                self._start_stand_in(other, runtime)
                yield
                self.actions.append(_stood_in(runtime))
            finally:
                other.absent()
                guard.stop(timer)
        if other.is_there():
            self._remove_stand_in()  # a run that was killed has left it

    def _start_stand_in(self, other: Enforcer, runtime: Runtime) -> None:
        definition = stand_in.definition_of(runtime.definition)
        try:
            other.present(definition, runtime.secrets)
        except InstanceError as error:
            with self._lock():
                self._remember_failure(runtime, str(error))
            raise InstanceError(f"{error}\nWhat ran before has not been touched.") from error

    def _remove_stand_in(self) -> None:
        self._act("remove what stood in for it during an update", self._other().absent)

    def _other(self) -> Enforcer:
        """What stands in for this instance, or may have been left."""
        return Enforcer(self.namespace, stand_in.name_of(self.name), self.timeout, self.check_mode)

    def is_there(self) -> bool:
        return os.path.lexists(self.directory)

    def _put_in_place(self, runtime: Runtime, terms: Terms, stage: Stage) -> None:
        definition = runtime.definition
        with self._lock():
            self._refuse_veto()
            self._refuse_drained()
            placed, changes = self._placed(), not self._is_placed(definition)
            # What has served before is what to go back to, whatever it does now; else a look says whether it serves.
            proven = changes and not self.check_mode and self._last_good() == self._in_place()
            found = None if proven else self.observe()
            former = self._former() if changes and (proven or found and found.ready) else None
            if terms.restart or not _is_as_wanted(found, definition):
                rendered = stage(runtime, found)
                if changes:
                    self.staging = list(self.actions)
                self._switch(runtime, rendered, found, terms)
                if self.actions:
                    damage = found.damage if found else ()
                    self._tell(NORMAL, *_what_was_done(placed, damage, definition, terms))
        if self.check_mode:
            return
        try:
            wait_ready(runtime, self.timeout)
        except InstanceError as error:
            with self._lock():
                if records.load(self.directory)["revision"] == runtime.folder:  # else another run has changed it since
                    self._remember_failure(runtime, str(error))
                what = self._put_back(runtime.folder, former) if changes and terms.revert else ""
                if what:
                    self._tell(WARNING, "Reverted", _gist(what))
            raise InstanceError(f"{error}{what}") from None
        with self._lock():
            self._settle(runtime.folder)
            if self.actions:
                self._tell(NORMAL, "Ready", f"revision {definition['revision']} is ready")

    def confirmed(self, folder: str) -> None:
        """Somebody who came over the network says that all is well: the timer need not put anything back."""
        with self._lock():
            record = records.load(self.directory)
            if record["revision"] != folder:
                raise InstanceError(
                    f"{self.key}: revision {folder} was not confirmed in time, so {record['revision']} runs again"
                )
            guard.disarm(self.directory)
            self._settle(folder)
            self._tell(NORMAL, "Confirmed", confirmation.words(folder))

    def put_back_unconfirmed(self, timer: str) -> None:
        """What the timer does. A revision that this happens to twice is not tried again by itself."""
        with self._lock():
            record = records.load(self.directory)
            failed = record["revision"]
            pending = confirmation.pending(self.directory, failed)
            if pending is None or pending.timer != timer:
                return
            former = self._revision(pending.former, 0)
            if former is None:
                return  # nothing to go back to: better this one than none
            if record["unheard"] == failed:
                _add_failure(record, failed, "nobody confirmed it in time, twice: does it cut the node off?")
            record.update(good=pending.former, unheard=failed)
            records.save(self.directory, record)
            if not confirmation.claim(self.directory, failed):
                self._settle(failed)
                return
            self._switch(former, former.render(), None, self._as_before(former))
            message = "nobody confirmed revision {} in time, revision {} was put back"
            self._tell(WARNING, "Reverted", message.format(*map(observation.hash_of, (failed, former.folder))))
        wait_ready(former, self.timeout)
        with self._lock():
            self._settle(former.folder)

    def note(self, values: Mapping[str, Any]) -> None:
        """Set these values of the record, see record.py, on a node that has one."""
        with self._lock():
            if os.path.exists(os.path.join(self.directory, "record.json")):
                record = records.load(self.directory)
                if any(record[name] != value for name, value in values.items()):
                    words = "note " + ", ".join(f"{name}: {json.dumps(value)}" for name, value in values.items())
                    self._act(words, records.save, self.directory, {**record, **values})
                    for reason, message in _what_was_noted(record, values):
                        self._tell(NORMAL, reason, message)

    def staged(self, definition: Mapping[str, Any], secrets: Mapping[str, Any]) -> None:
        """Everything of this revision is on the node beside what runs, which is not touched.

        If it is the one that runs, and damaged, it is left to the switch: its files are written where the process that
        may have read the damaged ones is restarted as well.
        """
        with self._lock():
            self._refuse_veto()
            self._refuse_drained()
            if not self._is_placed(definition):
                self._stage(runtime_of(definition, secrets), self.observe() if self.check_mode else None)

    def absent(self) -> None:
        """Nothing of the instance is left, and what it took the place of is given back."""
        if not stand_in.stands_in(self.name) and self._other().is_there():
            self._remove_stand_in()
        with self._lock():
            self._refuse_veto()
            own_units = self._own_units()
            record = records.load(self.directory)
            if not self.check_mode:
                guard.disarm(self.directory)
            containers = self._own_containers(record["runtime"])
            for unit in own_units:
                self.difference.of_file(unit_path(unit), files.read(unit_path(unit)), None)
            self._end(still_running(own_units), containers)
            if own_units:
                self._act("remove " + ", ".join(own_units), self._remove_units, own_units)
            self._give_back(record, [])
            if os.path.isdir(self.directory):
                self._act("remove " + self.directory, self._remove_directories, record)

    def _placed(self) -> tuple[str | None, str]:
        """Revision and runtime of what was put in place here, as `observe` sees them, with no look at what runs."""
        record = (files.read(os.path.join(self.directory, "record.json")) or b"").decode("utf-8", "replace")
        return observation.placed(record.partition("\n")[0], self._in_place() or "")

    def _is_placed(self, definition: Mapping[str, Any]) -> bool:
        return self._placed() == (definition["revision"], definition["runtime"])

    def observe(self) -> Instance | None:
        """This instance as the control node's own script sees it."""
        return self.look().instance(self.namespace, self.name)

    def look(self) -> Observation:
        output = run_command(["/bin/sh", "-c", observation.SCRIPT], stdout=subprocess.PIPE).stdout
        try:
            return observation.parse(output.decode("utf-8", "replace"))
        except ValueError as error:
            raise InstanceError(str(error)) from error

    def _refuse_if_overtaken(self, runtime: Runtime, terms: Terms) -> None:
        """A whole other run may lie between the look that was planned with and the lease that was taken then."""
        revision, _runtime = self._placed()
        if terms.expected and revision not in (None, terms.expected, runtime.definition["revision"]):
            raise InstanceError(
                f"{self.key} is left as it is: another run has put revision {revision} in place since this one looked "
                f"(it saw {terms.expected}); apply again"
            )

    def _refuse_veto(self) -> None:
        self._refuse_by(VETO, "forbids changes on this node")

    def _refuse_drained(self) -> None:
        """Whoever observed the node before it was drained must not bring anything back."""
        self._refuse_by(DRAINED, "says that this node was drained")

    def _refuse_by(self, path: str, what: str) -> None:
        content = files.read(path)
        if content is not None:
            why = content.decode("utf-8", "replace").strip().split("\n")[0]
            raise InstanceError(f"{self.key} is left as it is: {path} {what}: {why or '(empty)'}")

    # ---------------------------------------------------------------------------------------------------------- staging

    def _stage(self, runtime: Runtime, found: Instance | None) -> Rendered:
        rendered = runtime.render()
        self._refuse_foreign_units(rendered)
        try:
            self._put_beside(runtime, rendered, found)
        except (InstanceError, OSError):
            self._forget_refused(runtime)
            raise
        return rendered

    def _as_staged(self, runtime: Runtime, _found: Instance | None) -> Rendered:
        rendered = runtime.render()
        self._refuse_foreign_units(rendered)
        if not self._is_staged(runtime.revision, rendered):
            raise InstanceError(f"{self.key}: revision {runtime.folder} was changed on this node; apply again")
        self.difference.of_revisions(self._former(), runtime, rendered)
        return rendered

    def _put_beside(self, runtime: Runtime, rendered: Rendered, found: Instance | None) -> None:
        """Get all that the revision needs, and write it, if nothing speaks against it."""
        definition = runtime.definition
        root = runtime.revision
        self._refuse_problems(runtime, sources_present=False)  # what speaks against it even before anything is got
        written = self._is_staged(root, rendered)
        images_before = self._images_before(runtime)
        fetched = self._fetch(runtime, written, images_before)
        # In a dry run what would have been fetched is not there; what is damaged would be fetched again.
        if not self.check_mode or (
            (found is None or found.intact)
            and not fetched
            and all(
                source["kind"] in ("host", "image") or source["kind"] == "archive" and os.path.isdir(source["path"])
                for source in definition["sources"]
            )
        ):
            self._refuse_problems(runtime, sources_present=True)
        self._take_over(definition)
        self.difference.of_revisions(self._former(), runtime, rendered)
        self._require_room(0 if written else sum(len(file.content) for file in rendered.files.values()))
        if not written:
            words = "write revision " + definition["revision"]
            self._act(words, self._write_revision, root, rendered)
            if not self.check_mode:
                self._validate(runtime)
                self._seal(root, rendered)
        self._note_images(runtime, images_before, that_is_all=True)

    def _refuse_problems(self, runtime: Runtime, sources_present: bool) -> None:
        definition = runtime.definition
        given_up = {*self._own_units(), *definition["replaces"], *foreign.units_of_packages(definition)}
        problems = runtime.problems(sources_present) + runtime.held_ports(sorted(given_up), self._own_ports())
        if problems:
            raise InstanceError("{} cannot run here: {}".format(self.key, "; ".join(problems)))

    def _forget_refused(self, runtime: Runtime) -> None:
        """Nothing of a revision stays that was not even staged."""
        if self.check_mode:
            return
        record = records.load(self.directory)
        staged = {runtime.folder} if os.path.lexists(runtime.revision) else set()
        images.forget(self.directory, record, images.revisions(record) - {runtime.folder} | staged)
        if not staged and not record["replaced"]:
            self.actions.clear()
        if staged or record["revision"] or record["replaced"]:
            records.save(self.directory, record)
        elif os.path.isdir(self.directory) and set(os.listdir(self.directory)) <= {"record.json"}:
            self._remove_directories(record)

    def _images_before(self, runtime: Runtime) -> Mapping[str, str | None]:
        """What is there of what may be fetched now, by reference; noted, in case that this run is killed meanwhile."""
        references = [source["image"] for source in runtime.definition["sources"] if source["kind"] == "image"]
        found = {**dict.fromkeys([*references, *runtime.made_images()]), **runtime.image_ids()}
        if self.check_mode or not found:
            return found
        record = records.load(self.directory)
        before = images.begin(record, runtime.definition["runtime"], found)
        os.makedirs(self.directory, mode=0o755, exist_ok=True)
        records.save(self.directory, record)
        return before

    def _fetch(self, runtime: Runtime, written: bool, before: Mapping[str, str | None]) -> bool:
        """Get what is missing; whether that was anything. A revision that is here already was fetched once."""
        logins = runtime.secrets.get("registries", {})
        wanted = runtime.fetch(logins, again=not written, patience=self.timeout)
        for words, get in wanted:
            self._act(words, get)
            self._note_images(runtime, before)
        return bool(wanted)

    def _note_images(self, runtime: Runtime, before: Mapping[str, str | None], that_is_all: bool = False) -> None:
        ids = {} if self.check_mode else {**runtime.image_ids(), **dict.fromkeys(runtime.made_images(), "")}
        if ids:
            record = records.load(self.directory)
            images.note(self.directory, record, runtime.definition["runtime"], runtime.folder, ids, before)
            if that_is_all:
                record["fetching"].pop(runtime.definition["runtime"], None)
            os.makedirs(self.directory, mode=0o755, exist_ok=True)
            records.save(self.directory, record)

    def _validate(self, runtime: Runtime) -> None:
        try:
            runtime.validate()
        except OSError as error:
            if not self._is_placed(runtime.definition):  # what is in place may be running
                files.remove(runtime.revision)
                files.remove_if_empty(os.path.dirname(runtime.revision))
            raise InstanceError(f"{self.key}: {error}") from error

    def _own_ports(self) -> list[Mapping[str, Any]]:
        """What the containers of the revision in place hold: their sockets are the engine's or in its own groups."""
        former = self._former()
        return list(former.definition["ports"]) if isinstance(former, Containers) else []

    def _require_room(self, revision_bytes: int) -> None:
        for folder, needed in ((ROOT, ROOM + revision_bytes), (UNIT_DIRECTORY, ROOM)):
            free = files.free_bytes(folder)
            if free < needed:
                raise InstanceError(
                    f"{self.key} is left as it is: only {free >> 10} KiB are free in {folder}, and a new revision "
                    f"needs {-(-needed >> 10)} KiB"
                )

    def _is_staged(self, root: str, rendered: Rendered) -> bool:
        fingerprints = files.read(os.path.join(root, "fingerprints"))
        if fingerprints is None:
            return False
        wanted = dict(rendered.files, fingerprints=files.File(fingerprints, 0o600))
        return files.same_tree(root, wanted, rendered.directories) and fingerprints == _fingerprints(root, rendered)

    def _write_revision(self, root: str, rendered: Rendered) -> None:
        beside = os.path.join(os.path.dirname(root), f".{os.path.basename(root)}.new")
        old = os.path.join(os.path.dirname(root), f".{os.path.basename(root)}.old")
        os.makedirs(os.path.dirname(root), mode=0o755, exist_ok=True)
        files.remove(beside)
        files.remove(old)
        try:
            files.create_tree(beside, rendered.files, rendered.directories)
        except OSError:
            files.remove(beside)
            raise
        if os.path.lexists(root):
            os.rename(root, old)
        os.rename(beside, root)
        files.sync_directory(os.path.dirname(root))
        files.remove(old)

    def _seal(self, root: str, rendered: Rendered) -> None:
        """Last: a revision without it was not validated, for it may be that a run was killed meanwhile."""
        files.write(os.path.join(root, "fingerprints"), files.File(_fingerprints(root, rendered), 0o600))

    def _refuse_foreign_units(self, rendered: Rendered) -> None:
        ours = set(self._own_units())
        for unit, state in show(
            [entry["unit"] for entry in rendered.units if entry["unit"] not in ours], "FragmentPath"
        ).items():
            path = state.get("FragmentPath") or os.path.join(UNIT_DIRECTORY, unit)
            if os.path.lexists(path):
                raise InstanceError(
                    f"{unit} exists ({path}) and was not made by everynode for {self.key}: it stays as it is. "
                    "Remove it or rename it, or give the DaemonSet another name."
                )

    def _own_units(self) -> list[str]:
        """Units that the record names, and every unit file that carries this instance's mark, whoever copied it."""
        own = {entry["unit"] for entry in records.load(self.directory)["units"]}
        mark = (f"{MARK}={self.key}\n").encode()
        for folder in (UNIT_DIRECTORY, QUADLET_DIRECTORY):
            for name in os.listdir(folder) if os.path.isdir(folder) else []:
                path = os.path.join(folder, name)
                if name.startswith("everynode.") and os.path.isfile(path) and mark in (files.read(path) or b""):
                    own.add(unit_of_file(path))
        return sorted(own)

    # ------------------------------------------------------------------------------------------------------- containers

    def _own_containers(self, former_runtime: str) -> dict[str, list[Container]]:
        """By engine, what carries this instance's label, whoever started it."""
        found = {}
        for name in engine.ENGINES:
            if engine.in_use(name):
                try:
                    found[name] = Engine(name).containers(self.key)
                except EngineError as error:
                    raise InstanceError(self._unknown_containers(name, str(error))) from error
            elif name == former_runtime:
                raise InstanceError(self._unknown_containers(name, "it is not running"))
        return found

    def _unknown_containers(self, name: str, why: str) -> str:
        return (
            f"{self.key} is left as it is: {engine.TITLES[name]} does not answer ({why}), so nobody knows what it runs "
            f"of it. Start it, with: systemctl start {name}"
        )

    def _remove_copies(self) -> None:
        """What somebody started in an engine beside what systemd runs, which goes on.

        An engine that does not answer is no reason to leave the rest as it is.
        """
        copies = {}
        for name in filter(engine.in_use, engine.ENGINES):
            with contextlib.suppress(EngineError):
                copies[name] = Engine(name).containers(self.key)
        self._end([], copies)

    def _remove_containers(self, containers: Mapping[str, Sequence[Container]]) -> None:
        former = self._former()
        grace = former.definition["terminationGracePeriodSeconds"] if former else 30
        for name, several in containers.items():
            Engine(name).remove(self.key, grace)
            for container in several:
                _forget_state(container.name)

    # ---------------------------------------------------------------------------------------- units that ours replace

    def _take_over(self, definition: Mapping[str, Any]) -> None:
        """Mask what a package brings beside ours; refuse what runs already and was not named in everynode/replaces."""
        record = records.load(self.directory)
        packaged = foreign.units_of_packages(definition)
        for unit, state in foreign.states_of([unit for unit in packaged if unit not in definition["replaces"]]).items():
            if state["active"] and unit not in record["replaced"]:
                raise InstanceError(
                    f"{unit} is running on this node and would be a second instance of {self.key} beside ours. "
                    f"Add the annotation everynode/replaces: {unit} to let the DaemonSet take its place "
                    "(delete gives it back), or stop and disable it."
                )
            self._replace(record, unit, state, packaged)

    def _replace(self, record: dict[str, Any], unit: str, state: dict[str, Any], packaged: Sequence[str]) -> None:
        """Stop a unit for good. How it was before is kept from the first time; what a killed run left is done again."""
        known = record["replaced"].get(unit)
        if known and not (state["active"] or state["enabled"] or known["masked"]):
            return
        if known is None:
            known = dict(state, masked=not state["path"].startswith(UNIT_DIRECTORY))
            if unit in packaged and not state["active"]:
                # Installing the package enabled it, nobody started it: afterwards it shall not start at boot either.
                known["enabled"] = False

        def act() -> None:
            os.makedirs(self.directory, mode=0o755, exist_ok=True)
            record["replaced"][unit] = known
            records.save(self.directory, record)
            systemctl("stop", "--", unit, check=False)
            systemctl("disable", "--quiet", "--", unit, check=False)
            if known["masked"]:
                systemctl("mask", "--quiet", "--", unit)
                systemctl("stop", "--", unit, check=False)  # its socket or timer may have started it again meanwhile

        self._act("take the place of " + unit, act)

    def _give_back(self, record: dict[str, Any], still_replaced: Sequence[str]) -> None:
        for unit in sorted(set(record["replaced"]) - set(still_replaced)):
            state = record["replaced"].pop(unit)
            self._act("give back " + unit, foreign.restore, unit, state)

    # ----------------------------------------------------------------------------------------------------- the switch

    def _switch(
        self,
        runtime: Runtime,
        rendered: Rendered,
        found: Instance | None,
        terms: Terms = Terms(),  # noqa: B008
    ) -> None:
        definition = runtime.definition
        record = records.load(self.directory)
        wanted = [entry["unit"] for entry in rendered.units]
        own, unit_files = self._own_units(), rendered.unit_files()
        properties = ("ActiveState", "UnitFileState", "LoadState", "NeedDaemonReload", "DropInPaths")
        states = show(sorted({*own, *wanted}), *properties)
        restart = terms.restart or self._needs_restart(runtime, rendered, found)
        if restart:
            # Another runtime's unit may have the same name in another place.
            stale = [unit for unit in own if unit not in wanted or unit_path(unit) not in unit_files]
            running = [unit for unit, state in states.items() if may_run(state)]
            containers = self._own_containers(record["runtime"])
            exchanged = {
                path: file
                for path, file in unit_files.items()
                if unit_of_file(path) in stale or not files.same(path, file)
            }
            if not self.check_mode:
                self._prepare(runtime, rendered, exchanged, record, terms)
            self._end(running, containers)
            try:
                if stale:
                    self._act("remove " + ", ".join(stale), remove_units, stale)
                    states.update(dict.fromkeys(stale, {}))
                words = "put revision {} in place".format(definition["revision"])
                self._act(words, self._install, runtime, {unit: states[unit] for unit in wanted}, exchanged, record)
            except OSError:
                systemctl("start", "--no-block", "--", *running, check=False)  # better the old one than none
                raise
        else:
            self._remove_copies()
        self._replace_named_units(definition)
        enabled = [entry["unit"] for entry in rendered.units if entry["enabled"]]
        off = [unit for unit in enabled if states[unit].get("UnitFileState") != "enabled"]
        if off:
            self._act("enable " + ", ".join(off), systemctl, "enable", "--quiet", "--", *off)
        active = [entry["unit"] for entry in rendered.units if entry["active"]]
        idle = [unit for unit in active if restart or not may_run(states[unit])]
        if idle:
            self._act("start " + ", ".join(idle), self._start, idle)

    def _end(self, running: Sequence[str], containers: Mapping[str, Sequence[Container]]) -> None:
        """Stop the units, then what is left of the containers.

        A unit whose file was removed or masked no longer knows how to stop its containers: systemd would only kill
        what watches them, and wait for it in vain. It is stopped when they are gone.
        """
        states = show(running, "LoadState") if any(containers.values()) else {}
        lost = [unit for unit, state in states.items() if state.get("LoadState") != "loaded"]
        loaded = [unit for unit in running if unit not in lost]
        if loaded:
            self._act("stop " + ", ".join(loaded), stop, loaded)
        if any(containers.values()):
            self._act(_removal_words(containers), self._remove_containers, containers)
        if lost:
            self._act("stop " + ", ".join(lost), stop, lost, True)

    def _put_back(self, failed: str, former: Runtime | None) -> str:
        """After a new revision did not become ready: what served before serves again. Returns what to tell of it."""
        record = records.load(self.directory)
        if record["revision"] != failed:
            return "\nAnother run has changed it since."
        if former is not None:
            self._switch(former, former.render(), None, self._as_before(former))
            try:
                wait_ready(former, self.timeout)
            except InstanceError as error:
                return f"\nThe former revision was put back and is not ready either: {error}"
            return "\nThe former revision {} was put back and is ready.".format(former.definition["revision"])
        replaced = [unit for unit, state in record["replaced"].items() if state["active"]]
        if not replaced:
            return ""
        own_units = self._own_units()
        self._end(still_running(own_units), self._own_containers(record["runtime"]))
        self._remove_units(own_units)
        self._give_back(record, [])
        self._remove_directories(record)
        return "\nIt was removed again, and {} given back.".format(", ".join(replaced))

    def _remove_units(self, names: Sequence[str]) -> None:
        remove_units(names)
        for unit in names:
            for path in (os.path.join(UNIT_DIRECTORY, unit), units.quadlet_path(unit)):
                files.discard(path)

    def _needs_restart(self, runtime: Runtime, rendered: Rendered, found: Instance | None) -> bool:
        """False if files and links are all as they should be, so that starting or enabling is enough."""
        if found is None or _is_another(found, runtime.definition):
            return True
        if isinstance(runtime, Containers) and not found.intact:
            return True
        if records.load(self.directory)["units"] != rendered.units or set(self._own_units()) != {
            e["unit"] for e in rendered.units
        }:
            return True
        if self.actions:
            return True  # something of the revision had to be written again
        loaded = show([entry["unit"] for entry in rendered.units], "NeedDaemonReload", "DropInPaths", "LoadState")
        return any(files.read(path) != file.content for path, file in rendered.unit_files().items()) or any(
            _must_be_read(state) or unit + ".d/" in state.get("DropInPaths", "") for unit, state in loaded.items()
        )

    def _prepare(
        self,
        runtime: Runtime,
        rendered: Rendered,
        exchanged: Mapping[str, files.File],
        record: dict[str, Any],
        terms: Terms,
    ) -> None:
        """All that takes room on a disk, while the old instance still runs.

        The record comes first, so that whatever follows is known to be ours; the timer that would put back what stands
        now only does so if the record says that something else was put in place.
        """
        now, revision = time.time(), runtime.folder
        former, last_good = record["revision"], self._last_good()
        if terms.undo and former not in (None, revision):
            _add_failure(record, former, observation.UNDONE)
        if last_good == former == record["unheard"]:
            record["unheard"] = None  # it was confirmed in the end
        record.update(
            runtime=runtime.definition["runtime"],
            revision=revision,
            created=record["created"] or now,
            units=rendered.units,
            containers=rendered.containers,
            history=_history_with(record["history"], revision, now, terms),
            restart=None,
        )
        self._arm(runtime, record, terms, (last_good, former))
        for folder in {os.path.dirname(path) for path in rendered.unit_files()}:
            ours = not os.path.isdir(folder) or folder in _made_by_us()
            os.makedirs(folder, mode=0o755, exist_ok=True)
            if ours and folder not in record["mount_points"]:
                record["mount_points"].append(folder)
        records.save(self.directory, record)
        for path, file in exchanged.items():
            files.prepare(path, file)

    def _arm(self, runtime: Runtime, record: Mapping[str, Any], terms: Terms, candidates: Iterable[str | None]) -> None:
        """Have a timer put a former revision back, if there is one that can be, and somebody to confirm the new."""
        guard.disarm(self.directory)
        former = next((one for one in candidates if one and self._is_whole(one)), None)
        if not terms.confirm or former in (None, runtime.folder):
            return
        seconds = seconds_to_replace(runtime.definition, self.timeout) + terms.confirm
        timer = guard.arm(self.namespace, self.name, node_python(), seconds)
        limit = min(1, runtime.definition["revisionHistoryLimit"])  # of images, only those of the latest are kept
        stays = former in _kept(record["history"], runtime.folder, limit)
        confirmation.note(
            self.directory, runtime.folder, confirmation.Unconfirmed(former, timer, "" if stays else "settle")
        )

    def _last_good(self) -> str | None:
        """The last revision that was ready, and confirmed if somebody was to."""
        record = records.load(self.directory)
        pending = confirmation.pending(self.directory, record["good"] or "")
        return pending.former if pending else record["good"]

    def _is_whole(self, folder: str) -> bool:
        return os.path.exists(os.path.join(self.directory, "revisions", folder, "definition.json"))

    def _install(
        self,
        runtime: Runtime,
        states: Mapping[str, Mapping[str, str]],
        exchanged: Iterable[str],
        record: dict[str, Any],
    ) -> None:
        """Nothing of ours runs here."""
        runtime.empty_volumes()
        record["mount_points"] += [path for path in runtime.prepare_paths() if path not in record["mount_points"]]
        records.save(self.directory, record)
        drop_ins = _drop_ins(states)
        for path in drop_ins:
            files.remove(path)
        for path in sorted(exchanged):
            files.put(path)
        files.link(os.path.join("revisions", record["revision"]), os.path.join(self.directory, "current"))
        if exchanged or drop_ins or any(map(_must_be_read, states.values())):
            systemctl("daemon-reload")

    def _as_before(self, former: Runtime) -> Terms:
        """To put a revision back is no new revision: it keeps its number."""
        history = records.load(self.directory)["history"]
        return Terms(number=next((one.get("number", 0) for one in history if one["revision"] == former.folder), 0))

    def _replace_named_units(self, definition: Mapping[str, Any]) -> None:
        record = records.load(self.directory)
        packaged = foreign.units_of_packages(definition)
        for unit, state in foreign.states_of(definition["replaces"]).items():
            self._replace(record, unit, state, packaged)
        before = dict(record["replaced"])
        self._give_back(record, [*definition["replaces"], *packaged])
        if record["replaced"] != before and not self.check_mode:
            records.save(self.directory, record)

    def _start(self, units: Sequence[str]) -> None:
        for unit in units:
            for note in (".backoff", ".json"):
                keeper.forget(os.path.join(RUN, unit + note))
        systemctl("start", "--no-block", "--", *units)

    # ---------------------------------------------------------------------------------------------- how it has gone

    def _remember_failure(self, runtime: Runtime, error: str) -> None:
        record = records.load(self.directory)
        _add_failure(record, runtime.folder, error.split("\n")[0])
        guard.disarm(self.directory)
        records.save(self.directory, record)
        self._tell(WARNING, "Failed", "revision {}: {}".format(runtime.definition["revision"], _gist(error)))

    def _settle(self, folder: str) -> None:
        """It is ready; unless it has yet to be confirmed it is the last good revision now. Older ones may go."""
        record = records.load(self.directory)
        if record["revision"] != folder:
            return
        record["good"] = folder
        if record["unheard"] == folder and confirmation.pending(self.directory, folder) is None:
            record["unheard"] = None
        record["failed"] = [entry for entry in record["failed"] if entry["revision"] != observation.hash_of(folder)]
        records.save(self.directory, record)
        runtime = self._former()
        if runtime is not None:
            self._prune(runtime.definition["revisionHistoryLimit"])

    # ----------------------------------------------------------------------------------------------------- cleaning up

    def _prune(self, limit: int) -> None:
        """Keep the current revision and as many others as revisionHistoryLimit says, as Kubernetes counts them."""
        record, current = records.load(self.directory), self._in_place() or ""
        pending = confirmation.pending(self.directory, current)
        needed = {current, *([pending.former] if pending else [])}
        keep = {*needed, *_kept(record["history"], current, limit)}
        folder = os.path.join(self.directory, "revisions")
        for name in os.listdir(folder):
            if name not in keep:
                files.remove(os.path.join(folder, name))
        archives = os.path.join(self.directory, "archives")
        used = set()
        for name in keep:
            used |= set((files.read(os.path.join(folder, name, "archives")) or b"").decode().split())
        for name in os.listdir(archives) if os.path.isdir(archives) else []:
            if name not in used:
                files.remove(os.path.join(archives, name))
        record["history"] = [entry for entry in record["history"] if entry["revision"] in keep]
        images.forget(self.directory, record, {*needed, *_kept(record["history"], current, 1)})
        records.save(self.directory, record)

    def _remove_directories(self, record: dict[str, Any]) -> None:
        images.forget(self.directory, record, set())
        for path in reversed(record["mount_points"]):
            files.remove_if_empty(path)
        remove_memory_volumes(f"everynode.{self.namespace}.{self.name}")
        files.remove(self.directory)
        if not glob.glob(os.path.join(ROOT, "*", "*")):
            program.remove()
        for directory in (os.path.dirname(self.directory), ROOT):
            files.remove_if_empty(directory)

    # ---------------------------------------------------------------------------------------------------- small pieces

    def _act(self, words: str, act: Callable[..., Any], *arguments: Any) -> None:
        if not self.actions:
            self._refuse_if_abandoned()
        self.actions.append(words)
        if not self.check_mode:
            act(*arguments)

    def _tell(self, kind: str, reason: str, message: str) -> None:
        """An event, for people; see events.py."""
        if not self.check_mode:
            events.add(self.directory, kind, reason, without(message, self.secrets))

    def _refuse_if_abandoned(self) -> None:
        """A run that was killed may have been followed by one that wants something else: what it began, it ends, but
        what it only asked for is not done any more. Nobody holds the other end of our output then.
        """
        output = select.poll()
        output.register(1, 0)
        if any(event & (select.POLLHUP | select.POLLERR) for _descriptor, event in output.poll(0)):
            raise InstanceError(f"{self.key} is left as it is: the run that asked for a change has ended")

    def _lock(self) -> ContextManager[None]:
        if self.check_mode:
            return contextlib.nullcontext()  # it only looks, and a lock's file would be a change
        return InstanceLock(os.path.join(RUN, f"{self.namespace}.{stand_in.instance_of(self.name)}.instance"), self.key)

    def _in_place(self) -> str | None:
        """The revision that is in place, by its folder's name."""
        try:
            return os.path.basename(os.readlink(os.path.join(self.directory, "current")))
        except OSError:
            return None

    def _former(self) -> Runtime | None:
        """The revision that is in place, if it still says what it is."""
        folder = self._in_place()
        return self._revision(folder, 0) if folder else None

    def _revision(self, folder: str, min_ready_seconds: int) -> Runtime | None:
        """A revision that lies on the disk, if it still says what it is."""
        content = files.read(os.path.join(self.directory, "revisions", folder, "definition.json"))
        try:
            data = json.loads(content or b"")
            definition = dict(data["definition"], minReadySeconds=min_ready_seconds, validate=None)
            runtime = runtime_of(definition, data["secrets"])
            runtime.render()
        except (ValueError, KeyError, TypeError):  # damaged, or of another version of this collection
            return None
        return runtime


def _fingerprints(root: str, rendered: Rendered) -> bytes:
    """The listing's hash, then a line for sha256sum for every file of the revision and every unit that it installs."""
    listing = (
        run_command(
            ["/bin/sh", "-c", LISTING + "\neverynode_listing"],
            cwd=root,
            env=dict(os.environ, LC_ALL="C"),
            stdout=subprocess.PIPE,
            check=True,
        )
        .stdout.decode()
        .split()[0]
    )
    lines = [listing]
    lines += [f"{hashlib.sha256(file.content).hexdigest()}  ./{name}" for name, file in sorted(rendered.files.items())]
    lines += [
        f"{hashlib.sha256(file.content).hexdigest()}  {path}" for path, file in sorted(rendered.unit_files().items())
    ]
    return ("\n".join(lines) + "\n").encode()


def _is_another(found: Instance | None, definition: Mapping[str, Any]) -> bool:
    """Whether what is there is of another revision, or under another runtime, than the definition."""
    return found is None or (found.revision, found.runtime) != (definition["revision"], definition["runtime"])


def _is_as_wanted(found: Instance | None, definition: Mapping[str, Any]) -> bool:
    return found is not None and found.intact and not _is_another(found, definition)


def _stood_in(runtime: Runtime) -> str:
    return "let another instance of revision {} serve meanwhile".format(runtime.definition["revision"])


def _kept(history: Sequence[Mapping[str, Any]], current: str, limit: int) -> list[str]:
    """As many of the other revisions as revisionHistoryLimit says, the latest."""
    others = [entry["revision"] for entry in history if entry["revision"] != current]
    return others[-limit:] if limit else []


def _what_was_done(
    placed: tuple[str | None, str], damage: Sequence[str], definition: Mapping[str, Any], terms: Terms
) -> tuple[str, str]:
    """As an event's reason and message. ``placed``: revision and runtime that were in place, with this damage."""
    before, runtime = placed
    revision = "revision {}".format(definition["revision"])
    if before is None:
        return "Created", f"{revision} was put in place"
    if before != definition["revision"]:
        return "Undone" if terms.undo else "Updated", f"from revision {before} to {revision}"
    if runtime != definition["runtime"]:
        return "Moved", "from {} to {}".format(runtime, definition["runtime"])
    if not damage:
        return "Restarted", f"{revision}, because somebody asked for it"
    return "Repaired", "; ".join(damage)


def _what_was_noted(before: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if values.get("paused", before["paused"]) != before["paused"]:
        yield (
            ("Paused", "by " + values["paused"])
            if values["paused"]
            else ("Resumed", "was paused by " + before["paused"])
        )
    if values.get("restart"):
        yield "RestartRequested", "with the next apply"


def _gist(text: str) -> str:
    """Without the log lines, and what says where there are more of them."""
    lines = [line for line in text.split("\n") if line and not line.startswith(("  ", "See it whole"))]
    return " ".join(lines)


def _add_failure(record: dict[str, Any], folder: str, reason: str) -> None:
    others = [entry for entry in record["failed"] if entry["revision"] != observation.hash_of(folder)]
    record["failed"] = [*others, {"revision": observation.hash_of(folder), "at": time.time(), "reason": reason}]


def _history_with(
    history: Sequence[Mapping[str, Any]], revision: str, now: float, terms: Terms
) -> list[Mapping[str, Any]]:
    """The history after a switch; as in Kubernetes an older revision that comes back gets a new number."""
    known = next((entry for entry in history if entry["revision"] == revision), None)
    others = [entry for entry in history if entry is not known]
    highest = max((entry.get("number", 0) for entry in others), default=0)
    number = terms.number or max(known.get("number", 0) if known else 0, highest + 1)
    cause = known.get("cause", "") if known else terms.cause
    return [*others, {"revision": revision, "at": now, "number": number, "cause": cause}]


def _removal_words(containers: Mapping[str, Sequence[Container]]) -> str:
    names = [one.name for several in containers.values() for one in several]
    return "remove the container{} {}".format("s" if len(names) > 1 else "", ", ".join(sorted(names)))


def _forget_state(container: str) -> None:
    state = pods.state_file(container)
    for name in (state, state + ".new", container + ".lock", container + ".backoff", container + ".backoff.new"):
        keeper.forget(os.path.join(RUN, name))


def _made_by_us() -> set[str]:
    """The mount points that came to this node with any of our instances: the last of them takes a shared one along."""
    return {
        path
        for directory in glob.glob(os.path.join(ROOT, "*", "*"))
        for path in records.load(directory)["mount_points"]
    }


def _must_be_read(state: Mapping[str, str]) -> bool:
    """Whether systemd does not know a unit as it is on the disk."""
    return state.get("NeedDaemonReload") == "yes" or state.get("LoadState") != "loaded"


def _drop_ins(states: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Whatever was put beside our units by hand, by `systemctl edit` or `set-property`, lasting or until the reboot."""
    found = {path for path in (os.path.join(UNIT_DIRECTORY, unit + ".d") for unit in states) if os.path.lexists(path)}
    for unit, state in states.items():
        folders = {os.path.dirname(path) for path in state.get("DropInPaths", "").split()}
        found |= {path for path in folders if path.endswith(f"/{unit}.d") and path.startswith(("/etc/", "/run/"))}
    return sorted(found)
