# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker or Podman on this node, through the engine's own command; both understand the same words.

Nothing here changes what does not carry our label, but for images, which the callers have noted as pulled by us.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import signal
import subprocess
import time
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from .commands import PATH, run_command, start_command

ENGINES = ("docker", "podman")
TITLES = {"docker": "Docker", "podman": "Podman"}
# The marks on every container; a pod of Podman's carries the first two.
INSTANCE, REVISION, CONTAINER, ROLE = (
    "everynode.instance",
    "everynode.revision",
    "everynode.container",
    "everynode.role",
)

SIGNS_OF_USE = {
    "docker": ("/run/docker.pid",),
    "podman": ("/var/lib/containers/storage/db.sql", "/var/lib/containers/storage/libpod/bolt_state.db"),
}
ANSWER_SECONDS = 60
PROGRESS_BYTES = 512  # so many more must have moved for a download to count as alive

# What is asked of a container, and in which order; one line of JSON for each, from either engine.
FIELDS = (
    "Id",
    "Name",
    "Image",
    "Config.Labels",
    "State.Status",
    "State.Pid",
    "State.StartedAt",
    "State.ExitCode",
    "State.Error",
    "RestartCount",
    "NetworkSettings.Networks",
    # What `update` changes of a container that runs.
    "HostConfig.RestartPolicy.Name",
    "HostConfig.Memory",
    "HostConfig.MemoryReservation",
    "HostConfig.NanoCpus",
    "HostConfig.CpuShares",
)
LIMITS = 5  # so many of them, at the end
TEMPLATE = "[{}]".format(",".join("{{json .%s}}" % field for field in FIELDS))
TEMPLATES = {"docker": TEMPLATE, "podman": TEMPLATE.replace(".Id}", ".ID}")}  # by its field, not by its name in JSON
UP = ("running", "restarting", "stopping", "removing")  # in these a process may be there


def in_use(name: str) -> bool:
    """Whether the engine can be asked without starting it or making its storage; as the observation judges."""
    if not any(os.access(os.path.join(folder, name), os.X_OK) for folder in PATH.split(":")):
        return False
    return any(os.path.exists(path) for path in SIGNS_OF_USE[name])


class EngineError(Exception):
    """What the engine said when it refused, in one line."""


class Container(NamedTuple):
    id: str
    name: str
    image: str  # its id
    labels: dict[str, str]
    status: str  # created, running, paused, restarting, removing, exited, dead
    pid: int
    started: str  # RFC 3339; of the latest start
    exit_code: int
    error: str
    restarts: int  # by the engine itself
    address: str  # "" if it has none of its own
    limits: tuple[Any, ...]

    @property
    def running(self) -> bool:
        return self.status == "running"

    @property
    def invocation(self) -> str:
        """Another one after every start."""
        return f"{self.id} {self.started}"

    @property
    def made(self) -> dict[str, Any]:
        """What an apply can tell it by, whatever somebody did to it since."""
        return {"id": self.id, "limits": list(self.limits)}


def read_container(line: str) -> Container:
    """One line that a template of these printed; raises ValueError."""
    try:
        values = json.loads(line)
        networks = values[10] or {}
        return Container(
            id=str(values[0]),
            name=str(values[1]).lstrip("/"),
            image=str(values[2]),
            labels={str(key): str(value) for key, value in (values[3] or {}).items()},
            status=str(values[4]),
            pid=int(values[5]),
            started=str(values[6]),
            exit_code=int(values[7]),
            error=str(values[8] or ""),
            restarts=int(values[9]),
            address=next((str(one["IPAddress"]) for one in networks.values() if one.get("IPAddress")), ""),
            limits=tuple(values[-LIMITS:]),
        )
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"not a container: {line}") from error


def epoch(timestamp: str) -> float | None:
    """Seconds since the epoch of RFC 3339, nanoseconds and all; None for the zero time of one that never ran."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(?:Z|([+-])(\d\d):(\d\d))", timestamp)
    if match is None or timestamp.startswith("0001-"):
        return None
    import calendar

    seconds = calendar.timegm(time.strptime(match[1], "%Y-%m-%dT%H:%M:%S")) + float(match[2] or 0)
    offset = (int(match[4]) * 60 + int(match[5])) * 60 if match[3] else 0
    return seconds - offset if match[3] == "+" else seconds + offset


class Engine:
    def __init__(self, name: str):
        self.name = name
        self.title = TITLES[name]

    def call(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        seconds: float | None = ANSWER_SECONDS,
        **options: Any,
    ) -> str:
        """What the command printed; EngineError if it failed or took longer than ``seconds``."""
        settings = self._environment(environment or {})
        try:
            process = run_command(
                [self.name, *arguments], env=settings, timeout=seconds, capture_output=True, **options
            )
        except FileNotFoundError as error:
            raise EngineError(f"the command {self.name} is not on this node") from error
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"{self.title} did not answer `{self.name} {arguments[0]}` in {seconds:g} s") from error
        if process.returncode:
            raise EngineError(_reason(process.stderr) or _reason(process.stdout) or "it failed without a word")
        return process.stdout.decode("utf-8", "replace")

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        known = {key: os.environ[key] for key in ("HOME", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY") if key in os.environ}
        return {"PATH": PATH, "LC_ALL": "C", "PODMAN_IGNORE_CGROUPSV1_WARNING": "1", **known, **more}

    def trouble(self) -> str:
        """Why the engine does not answer, "" if it does."""
        try:
            self.call(
                "version", "--format", "{{.Client.Version}} {{.Server.Version}}" if self.name == "docker" else "x"
            )
        except EngineError as error:
            return str(error)
        return ""

    def version(self) -> tuple[int, ...]:
        """Of the command that is here; () if it does not say."""
        try:
            said = self.call("--version")  # nobody else is asked, so it is the same whatever state the engine is in
        except EngineError:
            return ()
        match = re.search(r"version (\d+(?:\.\d+)*)", said)
        return tuple(map(int, match[1].split("."))) if match else ()

    # ------------------------------------------------------------------------------------------------------ containers

    def containers(self, instance: str) -> list[Container]:
        """All that carry this instance's label, whoever started them."""
        return self.inspect(
            self.call("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={INSTANCE}={instance}").split()
        )

    def inspect(self, names: Sequence[str]) -> list[Container]:
        if not names:
            return []
        printed = self.call("container", "inspect", "--format", TEMPLATES[self.name], *names)
        return [read_container(line) for line in printed.splitlines() if line]

    def holder(self, name: str) -> Container | None:
        """The container of this name, whoever made it."""
        try:
            return self.inspect([name])[0]
        except EngineError:
            return None

    def pod_labels(self, name: str) -> dict[str, str] | None:
        """Those of the pod of this name, whoever made it, if there is one."""
        try:
            labels = json.loads(self.call("pod", "inspect", "--format", "{{json .Labels}}", name))
        except EngineError:
            return None
        return {str(key): str(value) for key, value in (labels or {}).items()}

    def logs(self, name: str, lines: int = 10) -> str:
        """The last lines that a container printed, on either stream."""
        process = run_command(
            [self.name, "logs", "--tail", str(lines), name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        return process.stdout.decode("utf-8", "replace").strip("\n")

    def thaw(self, standing: Sequence[Container]) -> None:
        """What somebody paused cannot hear that it shall end, and Podman would wait for it for minutes."""
        paused = [container.id for container in standing if container.status == "paused"]
        if paused:
            self.call("unpause", *paused)

    def remove(self, instance: str, grace: int) -> None:
        """Stop and remove all that carries this instance's label; their anonymous volumes go too."""
        self.thaw(self.containers(instance))
        if self.name == "podman":
            pods = self.call("pod", "ps", "--quiet", "--no-trunc", "--filter", f"label={INSTANCE}={instance}").split()
            if pods:
                self.call("pod", "stop", "--time", str(grace), *pods, seconds=grace + ANSWER_SECONDS)
                self.call("pod", "rm", "--force", *pods)
        standing = self.containers(instance)
        up = [container.id for container in standing if container.status in UP]
        if up:
            self.call("stop", "--time", str(grace), *up, seconds=grace + ANSWER_SECONDS)
        if standing:
            self.call("rm", "--force", "--volumes", *[container.id for container in standing])

    # ---------------------------------------------------------------------------------------------------------- images

    def image_id(self, reference: str) -> str | None:
        try:
            return self.call("image", "inspect", "--format", "{{.Id}}", reference).strip()
        except EngineError:
            return None

    def image_user(self, reference: str) -> str:
        return self.call("image", "inspect", "--format", "{{.Config.User}}", reference).strip()

    def pull(self, reference: str, logins: Mapping[str, Any], patience: float) -> None:
        """``logins``: the ``auths`` of a config.json; they are on disk only for as long as this takes.

        ``patience``: so many seconds may pass without anything arriving; Podman would wait for ever.
        """
        import tempfile

        with _login_options(self.name, logins) as options, tempfile.TemporaryFile() as output:
            words = [*options, "pull"] if self.name == "docker" else ["pull", *options]
            process = start_command(
                [self.name, *words, "--quiet", reference],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment({}),
                start_new_session=True,
            )
            try:
                stalled = not _ends(process, patience)
            finally:
                _end(process)
            if stalled:
                raise EngineError(f"nothing has arrived for {patience:g} s")
            if process.returncode:
                output.seek(0)
                raise EngineError(_reason(output.read()) or "it failed without a word")

    def forget_image(self, reference: str, identifier: str) -> None:
        """Take this name from the image; the image goes with its last one, unless something else still uses it."""
        with contextlib.suppress(EngineError):
            if self.image_id(reference) == identifier:
                self.call("image", "rm", reference)
            elif not int(self.call("image", "inspect", "--format", "{{len .RepoTags}}", identifier)):
                self.call("image", "rm", identifier)  # the name has moved on to a newer one

    def images(self, repository: str) -> list[str]:
        """The ids of all images of this name, whatever their tags."""
        try:
            return self.call("image", "ls", "--quiet", "--no-trunc", "--filter", f"reference={repository}").split()
        except EngineError:
            return []

    def forget_images(self, repository: str) -> None:
        for identifier in self.images(repository):
            with contextlib.suppress(EngineError):  # it refuses while a container uses it
                self.call("image", "rm", identifier)


@contextlib.contextmanager
def _login_options(engine: str, logins: Mapping[str, Any]) -> Iterator[list[str]]:
    """Options that make the engine sign in with these logins, beside root's own."""
    if not logins:
        yield []
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="everynode-", dir="/run") as folder:  # in memory, for root alone
        path = os.path.join(folder, "config.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(dict(_own_config(), auths={**_own_config().get("auths", {}), **logins}), file)
        yield ["--config", folder] if engine == "docker" else ["--authfile", path]


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)


def _ends(process: subprocess.Popen[bytes], patience: float) -> bool:
    """Wait for it; false if it reads and writes nothing any more for so many seconds."""
    moved, since = 0, time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
            return True
        now = _bytes_moved(process.pid)
        if now > moved + PROGRESS_BYTES:
            moved, since = now, time.monotonic()
        elif time.monotonic() - since > patience:
            return False


def _bytes_moved(session: int) -> int:
    """What the processes of a session have read and written so far, sockets and pipes included.

    Not the eight bytes with which Go's runtime wakes its own threads, again and again.
    """
    total = 0
    for folder in glob.glob("/proc/[0-9]*"):
        with contextlib.suppress(OSError, ValueError, LookupError):
            with open(os.path.join(folder, "stat"), encoding="ascii", errors="replace") as file:
                if int(file.read().rpartition(")")[2].split()[3]) != session:
                    continue
            with open(os.path.join(folder, "io"), encoding="ascii") as file:
                counted = {line.split(":")[0]: int(line.split(":")[1]) for line in file}
            total += counted["rchar"] + counted["wchar"] - 8 * (counted["syscr"] + counted["syscw"])
    return total


def _own_config() -> dict[str, Any]:
    try:
        with open(os.path.expanduser("~root/.docker/config.json"), encoding="utf-8") as file:
            config: dict[str, Any] = json.load(file)
            return config
    except (OSError, ValueError):
        return {}


def _reason(output: bytes) -> str:
    """The line that says why, and not those that lead on to it or sum it up."""
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("See '", "time=", "Error: failed to start containers:"))]
    line = (telling or lines or [""])[-1]
    for prefix in ("docker: ", "Error response from daemon: ", "Error: "):
        line = line[len(prefix) :] if line.startswith(prefix) else line
    return line
