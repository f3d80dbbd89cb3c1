# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods of containers, whichever engine runs them: images, options, and what is checked before anything is stopped."""

from __future__ import annotations

import os
from typing import Any, Iterator, Mapping, Sequence

from .. import engine, files, keeper, pods
from ..engine import ANSWER_SECONDS, Engine, EngineError
from ..files import File
from ..observation import RUN
from .runtime import VALIDATION_SECONDS, Runtime, empty_dir_access, in_memory

SECCOMP_PROFILES = "/var/lib/kubelet/seccomp"  # where Kubernetes keeps them; Podman's paths begin there
ANSWERING = "Start it, and see what it says of itself, with: systemctl start {0}; journalctl -u {0}"
STOP_SECONDS = 60  # for all that stopping needs beyond the grace period
LOOK_SECONDS = 10  # between two looks at a pod without probes
RESOLVER_KINDS = ("nameservers", "searches", "options")
RESOLVER_FILES = ("/run/systemd/resolve/resolv.conf", "/etc/resolv.conf")  # the first one if there is a stub
# What a variable may not be called if it has to pass through the engine's own environment.
ENGINES_OWN = ("PATH", "HOME", "LC_ALL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
ENGINES_OWN_PREFIXES = ("DOCKER_", "LD_", "GO", "CONTAINERS_", "PODMAN_")
LONGEST_LINE = 60000  # bytes; Docker reads files of variables in lines of at most 64 KiB


class Containers(Runtime):
    """What Docker and Podman have in common; `name_of` and the unit are theirs."""

    def __init__(self, definition: Mapping[str, Any], secrets: Mapping[str, Any]):
        super().__init__(definition, secrets)
        self.engine = Engine(definition["runtime"])
        self.unit = self.base + ".service"
        self.pod = definition["pod"]
        self.lasting = [one for one in definition["containers"] if one["role"] != "init"]

    def name_of(self, container: Mapping[str, Any]) -> str:
        """The name under which the engine knows it."""
        raise NotImplementedError

    def container_entries(self) -> list[dict[str, Any]]:
        """See pods.py."""
        raise NotImplementedError

    def pause_entry(self) -> dict[str, Any] | None:
        return None

    def record_entries(self) -> list[dict[str, Any]]:
        """See record.py."""
        return [
            {
                "name": self.name_of(container),
                "container": container["name"],
                "readiness": "readiness" in container["probes"],
            }
            for container in self.lasting
        ]

    def keeper_order(self) -> dict[str, Any]:
        pod = {
            "engine": self.engine.name,
            "unit": self.unit,
            "instance": self.key,
            "revision": self.definition["revision"],
            "directory": self.directory,
            "grace": self.definition["terminationGracePeriodSeconds"],
            "memory": [self._memory_volume(volume) for volume in self.volumes.values() if in_memory(volume)],
            "pause": self.pause_entry(),
            "containers": self.container_entries(),
        }
        return {"units": {}, "pod": pod}

    def _memory_volume(self, volume: Mapping[str, Any]) -> dict[str, Any]:
        mode, group = empty_dir_access(volume)
        mounts = [mount for container in self.definition["containers"] for mount in container["mounts"]]
        return {
            "path": os.path.join(RUN, self.base, volume["name"]),
            "size": volume["sizeLimit"],
            "mode": mode,
            "group": group,
            "folders": sorted({m["subPath"] for m in mounts if m["volume"] == volume["name"] and m["subPath"]}),
        }

    def targets(self) -> dict[str, keeper.Target]:
        order = self.keeper_order()["pod"]
        pod = pods.Pod(order)
        return {entry["name"]: pods.ContainerTarget(pod, entry) for entry in pod.lasting}

    def needs_looking_after(self) -> bool:
        """Whether something has to be done between two applies that the engine does not do by itself."""
        return any(container["probes"] or container["lifecycle"] for container in self.lasting)

    def probe_period(self) -> int:
        return super().probe_period() or (LOOK_SECONDS if self.needs_looking_after() else 0)

    # ----------------------------------------------------------------------------------------------- before the switch

    def fetch(self, logins: Mapping[str, Any], again: bool, patience: float) -> list[tuple[str, Any]]:
        if self.engine.trouble():
            return []  # which is told with the other problems
        wanted = []
        for image, policy in dict.fromkeys(
            (source["image"], source["pullPolicy"]) for source in self.definition["sources"]
        ):
            missing = policy != "Never" and self.engine.image_id(image) is None
            if missing or (again and policy == "Always"):
                wanted.append((f"pull {image}", self._puller(image, logins, patience)))
        return wanted

    def _puller(self, image: str, logins: Mapping[str, Any], patience: float) -> Any:
        def pull() -> None:
            try:
                self.engine.pull(image, logins, patience)
            except EngineError as error:
                raise OSError(f"{self._image_field(image)}: {image} cannot be pulled: {error}") from error

        return pull

    def _image_field(self, image: str) -> str:
        container = next(one for one in self.definition["containers"] if one["source"]["image"] == image)
        return "container {}: image".format(container["name"])

    def image_ids(self) -> dict[str, str]:
        references = sorted({source["image"] for source in self.definition["sources"]})
        found = {reference: self.engine.image_id(reference) for reference in references}
        made = {reference: "" for reference in self.made_images() if self.engine.images(reference)}
        return {**{reference: identifier for reference, identifier in found.items() if identifier}, **made}

    def engine_trouble(self) -> str:
        trouble = self.engine.trouble()
        if not trouble:
            return ""
        return f"{self.engine.title} does not answer: {trouble}. " + ANSWERING.format(self.engine.name)

    def process_problems(self, sources_present: bool) -> list[str]:
        trouble = self.engine_trouble()
        if trouble:
            return [trouble]
        found = self._foreign_containers()
        for container in self.definition["containers"]:
            image, policy = container["source"]["image"], container["source"]["pullPolicy"]
            if not sources_present and policy != "Never":
                continue  # it may yet be pulled
            if self.engine.image_id(image) is None:
                found.append(
                    f"{self._image_field(image)}: {image} is not on this node, and imagePullPolicy {policy} does not "
                    "let it be pulled"
                )
            elif container["security"]["nonRoot"] and container["security"]["user"] is None:
                found += self._root_problems(container)
        return found

    def _foreign_containers(self) -> list[str]:
        found = []
        pause = self.pause_entry()
        for name in [self.name_of(one) for one in self.definition["containers"]] + ([pause["name"]] if pause else []):
            holder = self.engine.holder(name)
            if holder is not None and holder.labels.get(engine.INSTANCE) != self.key:
                found.append(self._foreign(f"container named {name}"))
        return found

    def _foreign(self, what: str) -> str:
        return (
            f"a {what} exists and was not made by everynode for {self.key}: it stays as it is. "
            "Remove it or rename it, or give the DaemonSet another name"
        )

    def _root_problems(self, container: Mapping[str, Any]) -> list[str]:
        """As the kubelet judges before it makes a container (verifyRunAsNonRoot)."""
        user = self.engine.image_user(container["source"]["image"]).partition(":")[0]
        if user.isdigit() and int(user):
            return []
        what = f"has the user {user!r}, which need not be a number of an ordinary user" if user else "runs as root"
        return [
            "container {}: securityContext.runAsNonRoot, but its image {}: set runAsUser".format(
                container["name"], what
            )
        ]

    def validate(self) -> None:
        """Every container is made once and removed, unstarted; then everynode/validate runs in the new image."""
        for container in self.definition["containers"]:
            self._rehearse(container)
        if not self.definition["validate"]:
            return
        container = next(one for one in self.definition["containers"] if one["role"] == "main")
        options = self._process_options(container, rehearsal=True)
        words = _command_options(self.definition["validate"], [], container["source"]["image"])
        try:
            self._try_out("run", container, [*options, *words], VALIDATION_SECONDS)
        except EngineError as error:
            raise OSError(f"everynode/validate failed, so nothing was changed: {error}") from error

    def _rehearse(self, container: Mapping[str, Any]) -> None:
        try:
            options = self._process_options(container, rehearsal=True)
            self._try_out("create", container, [*options, *self._command(container)], ANSWER_SECONDS)
            if _extraordinary(container["security"]) or self.pod["sysctls"]:
                self._rehearse_security(container)
        except EngineError as error:
            where = "container {}".format(container["name"])
            raise OSError(f"{where}: {self.engine.title} refuses it, so nothing was changed: {error}") from error

    def _rehearse_security(self, container: Mapping[str, Any]) -> None:
        """What an engine refuses only when a process starts, it refuses to one that does nothing, too."""
        options = [*self._labels(container), *_security(container["security"])]
        if not self.pod["hostNetwork"]:
            options += [word for pair in sorted(self.pod["sysctls"].items()) for word in ("--sysctl", "=".join(pair))]
        made = pods.ensure_pause_image(self.engine)
        try:
            words = ["--mount", pods.PAUSE_MOUNT, pods.PAUSE_IMAGE, "/usr/bin/true"]
            self._try_out("run", container, [*options, *words], ANSWER_SECONDS)
        finally:
            if made:
                self.engine.forget_images(pods.PAUSE_IMAGE)

    def _try_out(self, verb: str, container: Mapping[str, Any], words: Sequence[str], seconds: float) -> None:
        """Create or run a container like this one, and remove it; a killed run may have left one."""
        name = "{}.{}.rehearsal".format(self.base, container["name"])
        environment = self._special_environment(container["name"])
        self._remove_rehearsal(name)
        try:
            self.engine.call(verb, "--pull", "never", "--name", name, *words, environment=environment, seconds=seconds)
        finally:
            self._remove_rehearsal(name)

    def _remove_rehearsal(self, name: str) -> None:
        left = self.engine.holder(name)
        if left is not None and left.labels.get(engine.INSTANCE) == self.key:
            self.engine.call("rm", "--force", "--volumes", left.id)

    # --------------------------------------------------------------------------------------------------------- options

    def _process_options(self, container: Mapping[str, Any], rehearsal: bool = False) -> list[str]:
        """Of `create` and `run`: all that belongs to one container and not to the pod, but for its command."""
        security = container["security"]
        options = [*self._labels(container), *self._variables(container)]
        if container["workingDirectory"]:
            options += ["--workdir", container["workingDirectory"]]
        for mount in container["mounts"]:
            options += ["--mount", self._mount(mount, rehearsal)]
        options += _limits(container["resources"])
        options += ["--tty"] if container["tty"] else []
        options += ["--interactive"] if container["stdin"] else []
        options += ["--stop-signal", container["stopSignal"]] if container["stopSignal"] else []
        options += ["--stop-timeout", str(self.definition["terminationGracePeriodSeconds"])]
        if security["user"] is not None:
            group = "" if security["group"] is None else ":{}".format(security["group"])
            options += ["--user", "{}{}".format(security["user"], group)]
        for group in security["groups"]:
            options += ["--group-add", str(group)]
        return options + _security(security)

    def _labels(self, container: Mapping[str, Any]) -> list[str]:
        labels = {
            engine.INSTANCE: self.key,
            engine.REVISION: self.definition["revision"],
            engine.CONTAINER: container["name"],
            engine.ROLE: container["role"],
        }
        return [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]

    def _variables(self, container: Mapping[str, Any]) -> list[str]:
        """From a file that only root reads; what no line can hold passes through the engine's own environment."""
        options = ["--env-file", os.path.join(self.revision, "environment", container["name"])]
        for name in sorted(self._special_environment(container["name"])):
            options += ["--env", name]
        return options

    def environment_files(self) -> dict[str, File]:
        content = {}
        for container in self.definition["containers"]:
            special = self._special_environment(container["name"])
            lines = [
                f"{name}={value}\n"
                for name, (value, _secret) in sorted(self._variables_of(container["name"]).items())
                if name not in special
            ]
            content["environment/" + container["name"]] = File("".join(lines).encode(), 0o600, secret=True)
        return content

    def _variables_of(self, container: str) -> Mapping[str, tuple[str, bool]]:
        variables = self.environments()[container]
        return {name: value for name, value in variables.items() if not name.startswith("EVERYNODE_ARGUMENT_")}

    def _special_environment(self, container: str) -> dict[str, str]:
        special = {}
        for name, (value, _secret) in self._variables_of(container).items():
            if "\n" in value or "\r" in value or len(value) > LONGEST_LINE or name.startswith("#"):
                if name in ENGINES_OWN or name.startswith(ENGINES_OWN_PREFIXES):
                    raise OSError(
                        f"container {container}: the variable {name} has several lines, which {self.engine.title} "
                        "cannot be told; mount it as a file"
                    )
                special[name] = value
        return special

    def _mount(self, mount: Mapping[str, Any], rehearsal: bool = False) -> str:
        source, read_only = self.mount_source(mount)
        if rehearsal and (self.volumes[mount["volume"]]["kind"] == "emptyDir" or not os.path.exists(source)):
            return _csv(["type=tmpfs", "target={}".format(mount["target"])])  # it is made when the pod is switched
        fields = ["type=bind", f"source={source}", "target={}".format(mount["target"])]
        propagation = {"HostToContainer": "rslave", "Bidirectional": "rshared"}.get(mount["propagation"])
        fields += ["readonly"] if read_only else []
        fields += [f"bind-propagation={propagation}"] if propagation else []
        return _csv(fields)

    def arguments(self, container: Mapping[str, Any]) -> tuple[list[str] | None, list[str] | None]:
        """(command, args) with what comes from Secrets filled in."""
        hidden = self.secrets["arguments"].get(container["name"], {})
        command, words = container["command"], container["arguments"]
        count = len(command or [])
        full = [hidden.get(str(index), word) for index, word in enumerate([*(command or []), *(words or [])])]
        return (None if command is None else full[:count]), (None if words is None else full[count:])

    def _command(self, container: Mapping[str, Any]) -> list[str]:
        command, words = self.arguments(container)
        return _command_options(command, words or [], container["source"]["image"])


def _command_options(command: Sequence[str] | None, arguments: Sequence[str], image: str) -> list[str]:
    """The engines' --entrypoint takes one word, what follows it are arguments; the image's own CMD goes with it."""
    if not command:
        return [image, *arguments]
    return ["--entrypoint", command[0], image, *command[1:], *arguments]


def resolver(dns: Mapping[str, Any]) -> dict[str, list[str]]:
    """What /etc/resolv.conf is to hold, nothing if it is the node's own: dnsConfig adds to that, except with None."""
    given = {kind: list(dns[kind]) for kind in RESOLVER_KINDS}
    if dns["none"] or not any(given.values()):
        return given
    node = _node_resolver()
    return {kind: list(dict.fromkeys([*node[kind], *given[kind]])) for kind in RESOLVER_KINDS}


def _node_resolver() -> dict[str, list[str]]:
    """Without what only answers on the node's own loopback, as engines leave it out too."""
    found: dict[str, list[str]] = {kind: [] for kind in RESOLVER_KINDS}
    for path in RESOLVER_FILES:
        text = (files.read(path) or b"").decode("utf-8", "replace")
        if text:
            break
    for line in text.splitlines():
        word, *values = line.split() or [""]
        if word == "nameserver" and values and not values[0].startswith(("127.", "::1")):
            found["nameservers"].append(values[0])
        elif word in ("search", "options"):
            found["searches" if word == "search" else word] += values
    return found


def _csv(fields: Sequence[str]) -> str:
    """--mount takes a line of comma-separated values, so that a path may hold commas and quotes."""
    import csv
    import io

    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


def _limits(resources: Mapping[str, int | None]) -> list[str]:
    options = []
    if resources["memoryLimit"]:
        options += ["--memory", str(resources["memoryLimit"])]
    if resources["memoryRequest"]:
        options += ["--memory-reservation", str(resources["memoryRequest"])]
    if resources["cpuLimit"]:
        options += ["--cpus", "{:.3f}".format(resources["cpuLimit"] / 1000)]
    shares = cpu_shares(resources)
    if shares:
        options += ["--cpu-shares", str(shares)]
    return options


def cpu_shares(resources: Mapping[str, int | None]) -> int | None:
    """A core is 1024 of the kernel's shares, of which it takes 2 at least (kubelet: MilliCPUToShares)."""
    request = resources["cpuRequest"]
    return max(2, request * 1024 // 1000) if request else None


def _security(security: Mapping[str, Any]) -> list[str]:
    options = []
    options += ["--privileged"] if security["privileged"] else []
    options += ["--read-only"] if security["readOnlyRoot"] else []
    for name in security["addCapabilities"]:
        options += ["--cap-add", name]
    for name in security["dropCapabilities"]:
        options += ["--cap-drop", name]
    if security["oomScore"] is not None:
        options += ["--oom-score-adj", str(security["oomScore"])]
    for option in _security_options(security):
        options += ["--security-opt", option]
    return options


def _extraordinary(security: Mapping[str, Any]) -> bool:
    """Whether it asks for something that an engine may not be able to give."""
    names = ("privileged", "addCapabilities", "seccomp", "appArmor", "seLinux", "procMount")
    return any(security[name] for name in names)


def _security_options(security: Mapping[str, Any]) -> Iterator[str]:
    if security["noNewPrivileges"]:
        yield "no-new-privileges"
    seccomp = security["seccomp"]
    if seccomp and seccomp["type"] == "Unconfined":
        yield "seccomp=unconfined"
    elif seccomp and seccomp["type"] == "Localhost":
        yield "seccomp=" + seccomp["profile"]
    if security["appArmor"] and security["appArmor"] != "runtime/default":
        yield "apparmor=" + security["appArmor"]
    for kind in ("user", "role", "type", "level"):
        if security["seLinux"].get(kind):
            yield "label={}:{}".format(kind, security["seLinux"][kind])
    if security["procMount"] == "Unmasked":
        yield "systempaths=unconfined"
