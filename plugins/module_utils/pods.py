# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pod of containers on its node, as its unit and its timer keep it: starting, probing, mending, stopping.

On Docker the pod is made here: a pause container holds the namespaces that several containers share, init containers
run one after the other, and the engine's own restart policy keeps the others running. Podman plays the pod itself;
here is what its `kube play` leaves out. A container that a probe condemns is killed, and started again by the engine.

A POD in keeper.json is ``{"engine", "unit", "instance": "NAMESPACE/NAME", "revision", "directory", "grace": seconds,
"memory": [{"path", "size": bytes or null, "mode", "group", "folders": [sub-paths]}], "pause": CONTAINER or null,
"containers": [CONTAINER]}``. A CONTAINER is ``{"name", "role": "pause"|"init"|"sidecar"|"main", "create": the words
after `docker create`, "environment": {what no file of variables can hold}, "cpuShares", "oomScore", "probes",
"postStart", "preStop"}``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from typing import Any, Callable, Mapping, Sequence

from . import events, keeper
from .commands import PATH, run_command, tell
from .engine import CONTAINER, REVISION, Container, Engine, EngineError, epoch
from .events import NORMAL, WARNING
from .keeper import Process, Target
from .probes import LOOPBACK

PAUSE_IMAGE = "everynode/pause"
# Only links: what runs in it is the host's own /usr, which is mounted there.
PAUSE_LINKS = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64"}
PAUSE_MOUNT = "type=bind,source=/usr,target=/usr,readonly"
# It collects the dead of a shared pid namespace, too; a shell does that while it waits.
PAUSE_COMMAND = ("/usr/bin/sh", "-c", "trap exit TERM; while :; do sleep 86400 & wait $!; done")
STARTUP_PAUSE = 0.5  # seconds between two looks at a sidecar that is starting


class PodError(Exception):
    """What keeps the pod from running, for the unit's journal."""


def call(order: Mapping[str, Any], verb: str) -> int:
    pod = Pod(order, journal=True)
    verbs: dict[str, Callable[[], None]] = {
        "prepare": pod.prepare,
        "start": pod.start,
        "started": pod.started,
        "stop": pod.stop,
        "sync": pod.sync,
    }
    try:
        verbs[verb]()
    except (PodError, EngineError, OSError) as error:
        tell(f"<3>{error}")
        events.add(order["directory"], WARNING, "Failed", str(error))
        return 1
    return 0


class Pod:
    def __init__(self, order: Mapping[str, Any], journal: bool = False):
        """``journal``: whether what goes wrong is told there, which is right for the keeper only."""
        self.order = order
        self.journal = journal
        self.engine = Engine(order["engine"])
        self.lasting = [entry for entry in order["containers"] if entry["role"] != "init"]
        self.made_path = os.path.join(order["directory"], "containers.json")

    # -------------------------------------------------------------------------------------------------------- starting

    def prepare(self) -> None:
        """Volumes in memory: made before the first start after a boot, found by every later one."""
        for volume in self.order["memory"]:
            base, path = os.path.dirname(volume["path"]), volume["path"]
            os.makedirs(base, exist_ok=True)
            os.chmod(base, 0o700)
            os.makedirs(path, exist_ok=True)
            if volume["size"] and not os.path.ismount(path):
                options = "size={}".format(volume["size"])
                run_command(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True, env={"PATH": PATH})
            os.chown(path, 0, volume["group"])
            os.chmod(path, volume["mode"])
            for folder in volume["folders"]:
                os.makedirs(os.path.join(path, folder), exist_ok=True)

    def start(self) -> None:
        """Docker: the whole pod. What already runs of it, the engine having been quicker at boot, is left alone."""
        self.prepare()
        if not self._whole(self._standing()):
            self.engine.remove(self.order["instance"], self.order["grace"])
            self._make()
        for entry in self.lasting:
            if not self._standing()[entry["name"]].running:
                self.engine.call("start", entry["name"])
            if entry["role"] == "sidecar" and "startup" in entry["probes"]:
                self._wait_started(entry)
        self.started()

    def _standing(self) -> dict[str, Container]:
        return {container.name: container for container in self.engine.containers(self.order["instance"])}

    def _whole(self, standing: Mapping[str, Container]) -> bool:
        """Whether all containers of this revision are there; without its pause container the others cannot run."""
        pause = self.order["pause"]
        revision = {name: one.labels.get(REVISION) for name, one in standing.items()}
        wanted = [entry["name"] for entry in self.lasting] + ([pause["name"]] if pause else [])
        if any(revision.get(name) != self.order["revision"] for name in wanted):
            return False
        return not pause or standing[pause["name"]].running

    def _make(self) -> None:
        pause = self.order["pause"]
        if pause:
            ensure_pause_image(self.engine)
            self._create(pause)
            self.engine.call("start", pause["name"])
        for entry in self.order["containers"]:
            self._create(entry)
            if entry["role"] == "init":
                self._run_to_its_end(entry)
            elif entry["role"] == "sidecar":
                self.engine.call("start", entry["name"])
                if "startup" in entry["probes"]:
                    self._wait_started(entry)

    def _create(self, entry: Mapping[str, Any]) -> None:
        self.engine.call("create", *entry["create"], environment=entry["environment"])

    def _run_to_its_end(self, entry: Mapping[str, Any]) -> None:
        """What it prints goes to the unit's journal; afterwards nothing is left of it."""
        run_command([self.engine.name, "start", "--attach", entry["name"]])
        ended = self.engine.inspect([entry["name"]])[0]
        self.engine.call("rm", "--force", "--volumes", ended.id)
        if ended.exit_code or ended.error:
            container = ended.labels.get(CONTAINER, entry["name"])
            why = ended.error or f"it ended with exit status {ended.exit_code}"
            raise PodError(f"init container {container} failed: {why}")

    def _wait_started(self, entry: Mapping[str, Any]) -> None:
        target = ContainerTarget(self, entry)
        while not target.tick(eager=True).get("began"):
            time.sleep(STARTUP_PAUSE)

    def started(self) -> None:
        """Afterwards it is on record which containers these are; hooks ran, and what `kube play` cannot set is set."""
        standing = self._standing()
        for entry in self.lasting:
            container = standing.get(entry["name"])
            if container is None:
                raise PodError("{} is not there after the start".format(entry["name"]))
            if self.engine.name == "podman":
                self._complete(entry, container)
            if "postStart" in entry:
                ContainerTarget(self, entry).tick()
        made = {name: container.made for name, container in sorted(self._standing().items())}
        beside = self.made_path + ".new"
        with open(beside, "w", encoding="utf-8") as file:
            file.write(json.dumps(made, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.rename(beside, self.made_path)

    def _complete(self, entry: Mapping[str, Any], container: Container) -> None:
        if entry["cpuShares"]:
            self.engine.call("update", "--cpu-shares", str(entry["cpuShares"]), container.id)
        if entry["oomScore"] is not None and container.pid:
            with open(f"/proc/{container.pid}/oom_score_adj", "w", encoding="ascii") as file:
                file.write(str(entry["oomScore"]))

    # --------------------------------------------------------------------------------------------- between two applies

    def sync(self) -> None:
        """Probe; what the engine does not start again by itself is started here, as the kubelet would."""
        if keeper.unit_state(self.order["unit"]).get("ActiveState") != "active":
            return
        standing = self._standing()
        if not self._whole_enough(standing):
            self._restarting(self.order["unit"], "not all of its containers are there", "restarting it")
            keeper.restart_unit(self.order["unit"])
            return
        for entry in self.lasting:
            ended = standing[entry["name"]].status in ("created", "exited", "dead")
            if ended and keeper.may_restart(entry["name"]):
                self._restarting(entry["name"], "it does not run", "starting it")
                self.engine.call("start", entry["name"])
            elif entry["probes"] or "postStart" in entry:
                ContainerTarget(self, entry, standing[entry["name"]]).tick()

    def _restarting(self, name: str, why: str, what: str) -> None:
        tell(f"<4>{name}: {why}: {what}")
        events.add(self.order["directory"], WARNING, "Restarted", f"{name}: {why}: {what}")

    def _whole_enough(self, standing: Mapping[str, Container]) -> bool:
        if self.engine.name == "docker":
            return self._whole(standing)
        return all(entry["name"] in standing for entry in self.lasting)

    # -------------------------------------------------------------------------------------------------------- stopping

    def stop(self) -> None:
        """preStop hooks, then the stop signal, all within the grace period; sidecars go last, as in Kubernetes."""
        deadline = time.monotonic() + self.order["grace"]
        self.engine.thaw(list(self._standing().values()))
        standing = self._standing()
        for role in ("main", "sidecar"):
            entries = [entry for entry in self.lasting if entry["role"] == role and entry["name"] in standing]
            for entry in entries:
                if "preStop" in entry and standing[entry["name"]].running:
                    self.hook(entry, "preStop", max(1.0, deadline - time.monotonic()))
            if self.engine.name == "docker":
                self._stop([standing[entry["name"]].id for entry in entries], deadline)
        if self.engine.name == "docker":
            self._stop([one.id for one in self._standing().values() if one.status != "exited"], deadline)
        else:
            left = str(max(0, int(deadline - time.monotonic())))
            self.engine.call("pod", "stop", "--time", left, pod_name(self.order), seconds=None)

    def _stop(self, containers: Sequence[str], deadline: float) -> None:
        if containers:
            left = str(max(0, round(deadline - time.monotonic())))
            self.engine.call("stop", "--time", left, *containers, seconds=None)

    # ------------------------------------------------------------------------------------------------------------ hooks

    def hook(self, entry: Mapping[str, Any], name: str, seconds: float | None = None) -> bool:
        """Run postStart or preStop; false if it failed."""
        action, container = entry[name], entry["name"]
        try:
            if "exec" in action:
                self.engine.call("exec", container, *action["exec"]["command"], seconds=seconds)
            elif "sleep" in action:
                time.sleep(min(action["sleep"]["seconds"], seconds or action["sleep"]["seconds"]))
            else:
                from . import network

                network.http_answer(action["httpGet"], self.address(self.engine.inspect([container])[0]), seconds)
        except (EngineError, OSError, ValueError) as error:
            tell(f"<4>{container}: {name} hook failed: {error}")
            events.add(
                self.order["directory"], WARNING, f"Failed{name[0].upper()}{name[1:]}Hook", f"{container}: {error}"
            )
            return False
        return True

    def address(self, container: Container) -> str:
        """Where the pod is asked from its node."""
        if container.address:
            return container.address
        pause = self.order["pause"]
        return (self.engine.inspect([pause["name"]])[0].address if pause else "") or LOOPBACK


def pod_name(order: Mapping[str, Any]) -> str:
    return str(order["unit"])[: -len(".service")]


def ensure_pause_image(engine: Engine) -> bool:
    """Whether it had to be made."""
    if engine.image_id(PAUSE_IMAGE) is not None:
        return False
    engine.call("import", "-", PAUSE_IMAGE, input=pause_archive())
    return True


def pause_archive() -> bytes:
    import io
    import tarfile

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        folder = tarfile.TarInfo("usr")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        for name, target in PAUSE_LINKS.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
    return stream.getvalue()


class ContainerTarget(Target):
    """One container under probes. The engine starts it again after its end, so its startup probe is counted here."""

    def __init__(self, pod: Pod, entry: Mapping[str, Any], container: Container | None = None):
        """``container``: as it was seen just now, if it was."""
        name = entry["name"]
        directory = pod.order["directory"] if pod.journal else ""
        enter = [pod.engine.name, "exec", name]
        super().__init__(name, dict(entry, enter=enter, journal=pod.journal, directory=directory))
        self.pod = pod
        self.container = container
        self.path = os.path.join(keeper.RUN, state_file(name))

    def process(self, known: Mapping[str, str] | None) -> Process:
        container = self.container or self.pod.engine.inspect([self.unit])[0]
        since = epoch(container.started)
        age = time.time() - since if since else 0.0
        return Process(
            running=container.running,
            invocation=container.invocation,
            pid=container.pid,
            started=time.clock_gettime(time.CLOCK_MONOTONIC) - age,
            address=self.pod.address(container) if container.running else LOOPBACK,
        )

    def _probe(self, state: dict[str, Any], process: Process, eager: bool) -> bool:
        state["pid"] = process.pid
        if "kill_at" in state:
            return True
        if "postStart" in self.entry and not state.get("hooked"):
            state["hooked"] = True
            if not self.pod.hook(self.entry, "postStart"):
                return True
        if "startup" in self.probes and not state.get("began"):
            verdict = self._count(state, "startup", process, eager)
            if verdict is False:
                tell("<4>{}: startup probe failed: {}".format(self.unit, state["probes"]["startup"]["why"]))
                self.tell(WARNING, "Unhealthy", "startup probe: {}".format(state["probes"]["startup"]["why"]))
                return True
            if verdict is None:
                state["message"] = "its startup probe has not succeeded yet"
                return False
        state["began"] = True
        return super()._probe(state, process, eager)

    def _restart(self, state: Mapping[str, Any]) -> None:
        """As if it had died: the engine starts it again. The next look kills what outlives the grace period."""
        pid, now = state["pid"], time.clock_gettime(time.CLOCK_MONOTONIC)
        if "kill_at" not in state:
            liveness = state["probes"].get("liveness", {})
            if not keeper.may_restart(self.unit):
                return  # it was restarted too often lately; the next look asks again
            if "preStop" in self.entry:
                self.pod.hook(self.entry, "preStop", self._grace())
            tell("<4>{}: restarting it{}".format(self.unit, ": liveness probe: " + liveness["why"] if liveness else ""))
            if liveness:
                self.tell(WARNING, "Unhealthy", "liveness probe: {}".format(liveness["why"]))
            self.tell(NORMAL, "Killing", "it is restarted")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, self._stop_signal())
            self._save(dict(state, kill_at=now + self._grace()))
        elif now >= state["kill_at"]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _grace(self) -> float:
        own = self.probes.get("liveness", {}).get("terminationGracePeriodSeconds")
        return float(self.pod.order["grace"] if own is None else own)

    def _stop_signal(self) -> int:
        return int(getattr(signal, self.entry.get("stopSignal") or "SIGTERM", signal.SIGTERM))


def state_file(container: str) -> str:
    """What the observation reads; the ending keeps it apart from a unit of the same name."""
    return f"{container}.container.json"
