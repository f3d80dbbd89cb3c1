# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fields of a pod mean under systemd what they mean in Kubernetes, seen from the process and from the node."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import Node

from .playbook import daemonset, play, until, write

NAME = "witness"
UNIT = f"everynode.default.{NAME}.service"
STATE = f"/var/lib/everynode/default/{NAME}"
OUT = "/var/tmp/witness"
SECRET = "tr0ub4dor&3 $(HOME) ${PATH} %n"
# Tells what it was given, then stays.
TELL = "import json,os,sys,time;json.dump([sys.argv[1:],dict(os.environ)],open('/out/told','w'));time.sleep(1e9)"
WORDS = [
    "plain",
    "two words",
    "",
    "-dash",
    ";",
    "quote\"s and 'single'",
    "back\\slash \\n \\x41",
    "$HOME ${HOME} $$HOME $$$",
    "%n %i %% 100%",
    "line\nbreak\ttab",
    "ünïcödé ☃",
    "#comment",
    " leading and trailing ",
]


@pytest.fixture
def pair(nodes: list[Node]) -> list[Node]:
    """A node of each distribution: what a field means does not depend on how many there are."""
    return [nodes[0], nodes[-1]]


@pytest.fixture(autouse=True)
def removed_afterwards(pair: list[Node], inventory: Callable[..., Path]) -> Iterator[None]:
    yield
    assert play("delete", inventory(pair), daemonset_names=NAME).code == 0
    for node in pair:
        node.run(f"rm -rf {OUT}")
        assert node.run("ls -d /var/lib/everynode /out /config /scratch", check=False).stdout == ""


def applied(inventory: Path, tmp_path: Path, *objects: dict[str, Any], arguments: tuple[str, ...] = ()) -> str:
    done = play("apply", inventory, *arguments, daemonset_manifests=write(tmp_path / "witness.yaml", *objects))
    assert done.code == 0, done.output
    return done.output


def witness(pod: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    """A DaemonSet whose process writes what it was given into OUT of the node."""
    pod = dict(pod or {})
    pod["volumes"] = [
        {"name": "out", "hostPath": {"path": OUT, "type": "DirectoryOrCreate"}},
        *pod.get("volumes", []),
    ]
    mounts = [{"name": "out", "mountPath": "/out"}, *container.pop("volumeMounts", [])]
    words = container.pop("words", [])
    return daemonset(
        NAME, pod, image="host:///usr/bin/python3", args=["-c", TELL, *words], volumeMounts=mounts, **container
    )


def told(node: Node) -> tuple[list[str], dict[str, str]]:
    node.run(f"timeout 10 sh -c 'until [ -s {OUT}/told ]; do sleep 0.05; done'")
    words, environment = json.loads(node.read(f"{OUT}/told"))
    return words, environment


def pid(node: Node, unit: str = UNIT) -> str:
    return node.run(f"systemctl show -P MainPID {unit}").stdout.strip()


def inside(node: Node, command: str) -> str:
    """What a command prints in the process' own mount namespace."""
    return node.run(f"nsenter --target {pid(node)} --mount -- sh -c '{command}' 2>&1", check=False).stdout


def test_every_word_arrives_as_it_was_written(pair: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> None:
    values = {f"V{index}": word for index, word in enumerate(WORDS)}
    # $$ is Kubernetes' own way to write a dollar, in arguments and in values alike.
    escape = {key: value.replace("$$", "$$$$") for key, value in values.items()}
    manifest = witness(
        words=list(escape.values()), env=[{"name": key, "value": value} for key, value in escape.items()]
    )
    applied(inventory(pair), tmp_path, manifest)
    for node in pair:
        words, environment = told(node)
        assert words == WORDS
        assert {key: environment[key] for key in values} == values


def test_environment_from_everywhere(pair: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"LEVEL": "debug"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"password": SECRET}}
    field = {"valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    manifest = witness(
        envFrom=[{"configMapRef": {"name": "settings"}, "prefix": "APP_"}],
        env=[
            {"name": "NODE", **field},
            {"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "password"}}},
            {"name": "URL", "value": "http://$(NODE)/$(APP_LEVEL)/$(UNKNOWN)"},
            {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        ],
        words=["--node=$(NODE)", "--password=$(PASSWORD)"],
        resources={"limits": {"memory": "256Mi"}},
    )
    output = applied(inventory(pair), tmp_path, config, secret, manifest, arguments=("-vvv", "--diff"))
    assert SECRET not in output
    assert base64.b64encode(SECRET.encode()).decode() not in output
    for node in pair:
        words, environment = told(node)
        assert words == [f"--node={node.name}", f"--password={SECRET}"]
        assert environment["URL"] == f"http://{node.name}/debug/$(UNKNOWN)"
        assert (environment["PASSWORD"], environment["MEMORY"]) == (SECRET, "256")
        assert environment["HOST_IP"] == node.address
        world = node.run(
            f"systemctl cat {UNIT}; systemctl show {UNIT}; find /var/lib/everynode /etc/systemd/system /run/everynode "
            "-type f -perm /044 -exec cat {} +"
        ).stdout
        assert SECRET not in world


def test_volumes(pair: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> None:
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings"},
        "data": {"a.conf": "key = {{ not a template }}\n", "b.conf": "other"},
        "binaryData": {"blob": base64.b64encode(bytes(range(256))).decode()},
    }
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"token": SECRET}}
    volumes = [
        {
            "name": "config",
            "configMap": {"name": "settings", "items": [{"key": "a.conf", "path": "deep/a", "mode": 0o440}]},
        },
        {"name": "whole", "configMap": {"name": "settings"}},
        {"name": "token", "secret": {"secretName": "keys"}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "fast", "emptyDir": {"medium": "Memory", "sizeLimit": "2Mi"}},
        {
            "name": "all",
            "projected": {
                "sources": [
                    {"secret": {"name": "keys", "items": [{"key": "token", "path": "secret"}]}},
                    {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                ]
            },
        },
        {"name": "etc", "hostPath": {"path": "/etc", "type": "Directory"}},
    ]
    mounts = [
        {"name": "config", "mountPath": "/config"},
        {"name": "whole", "mountPath": "/config/whole.conf", "subPath": "b.conf"},
        {"name": "whole", "mountPath": "/scratch/whole"},
        {"name": "token", "mountPath": "/scratch/token"},
        {"name": "scratch", "mountPath": "/scratch"},
        {"name": "fast", "mountPath": "/scratch/fast"},
        {"name": "all", "mountPath": "/scratch/all"},
        {"name": "etc", "mountPath": "/scratch/etc", "readOnly": True},
    ]
    applied(
        inventory(pair),
        tmp_path,
        settings,
        secret,
        witness({"volumes": volumes}, volumeMounts=mounts),
    )
    for node in pair:
        assert inside(node, "cat /config/deep/a; stat -c %a /config/deep/a") == "key = {{ not a template }}\n440\n"
        assert inside(node, "cat /config/whole.conf") == "other"
        assert inside(node, "sha256sum </scratch/whole/blob").startswith(
            "40aff2e9d2d8922e47afd4648e6967497158785fbd1da870e7110266bf944880"
        )
        assert inside(node, "cat /scratch/token/token") == SECRET
        assert inside(node, "cat /scratch/all/secret /scratch/all/labels") == f'{SECRET}app="{NAME}"'
        assert inside(node, "stat -f -c %T /scratch/fast") == "tmpfs\n"
        assert "No space left" in inside(node, "dd if=/dev/zero of=/scratch/fast/big bs=1M count=3")
        assert "Read-only" in inside(node, "touch /scratch/etc/x")
        assert "Read-only" in inside(node, "touch /config/x")
        assert inside(node, "echo kept >/scratch/file; cat /scratch/file") == "kept\n"
        assert node.run(f"find {STATE} -type f -perm /044 -exec grep -lF 'tr0ub4dor' {{}} +", check=False).stdout == ""
        # An emptyDir outlives a restart of the container.
        node.run(f"systemctl restart {UNIT}")
        assert inside(node, "cat /scratch/file") == "kept\n"


def test_security_and_resources(pair: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"token": SECRET}}
    pod = {
        "securityContext": {"runAsUser": 65534, "runAsGroup": 65534, "runAsNonRoot": True, "supplementalGroups": [4]},
        "volumes": [{"name": "token", "secret": {"secretName": "keys"}}],
        "priorityClassName": "system-node-critical",
    }
    manifest = witness(
        pod,
        volumeMounts=[{"name": "token", "mountPath": "/scratch"}],
        securityContext={
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        },
        resources={"limits": {"memory": "200Mi", "cpu": "150m"}, "requests": {"memory": "10Mi", "cpu": "100m"}},
    )
    for node in pair:
        node.run(f"install -d -o 65534 {OUT}")
    applied(inventory(pair), tmp_path, secret, manifest)
    for node in pair:
        told(node)
        lines = (line.partition(":") for line in node.read(f"/proc/{pid(node)}/status").splitlines())
        status = {key: value.split() for key, _colon, value in lines}
        assert status["Uid"] == ["65534"] * 4
        assert status["Gid"] == ["65534"] * 4
        assert "4" in status["Groups"]
        assert status["NoNewPrivs"] == ["1"]
        assert {status[key][0] for key in ("CapEff", "CapBnd", "CapAmb")} == {f"{1 << 10:016x}"}
        assert "Read-only" in inside(node, "touch /usr/x /etc/x")
        # It reads its secret as an ordinary user; another ordinary user of the node does not find it.
        enter = f"nsenter --target {pid(node)} --mount --setuid 65534 --setgid 65534 -- cat /scratch/token"
        assert node.run(enter).stdout == SECRET
        find = f"find {STATE} -name token -exec cat {{}} +"
        assert SECRET not in node.run(f"setpriv --reuid 65534 --regid 65534 --clear-groups {find}", check=False).stdout
        # Asked of systemd: on a machine without CAP_SYS_RESOURCE the kernel refuses it to lower a score.
        asked = "MemoryMax,CPUQuotaPerSecUSec,MemoryLow,CPUWeight,OOMScoreAdjust"
        assert sorted(node.run(f"systemctl show -p {asked} {UNIT}").stdout.split()) == [
            "CPUQuotaPerSecUSec=150ms",
            "CPUWeight=10",
            f"MemoryLow={10 << 20}",
            f"MemoryMax={200 << 20}",
            "OOMScoreAdjust=-997",
        ]


def test_init_containers_sidecars_and_hooks(pair: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> None:
    def step(name: str, script: str, **more: Any) -> dict[str, Any]:
        mounts = [{"name": "out", "mountPath": "/out"}]
        return {"name": name, "image": "host:///bin/sh", "args": ["-c", script], "volumeMounts": mounts, **more}

    log = "echo {0} >>/out/log"
    manifest = witness(
        {
            "initContainers": [
                step("first", "sleep 0.3; " + log.format("first")),
                step(
                    "helper",
                    log.format("helper") + "; exec sleep infinity",
                    restartPolicy="Always",
                    startupProbe={"exec": {"command": ["grep", "-q", "helper", "/out/log"]}, "periodSeconds": 1},
                ),
                # Fails at first, as what waits for something does.
                step("second", log.format("second") + "; [ $(grep -c second /out/log) = 2 ]"),
            ]
        },
        lifecycle={
            "postStart": {"exec": {"command": ["/bin/sh", "-c", log.format("started")]}},
            "preStop": {"exec": {"command": ["/bin/sh", "-c", log.format("stopping")]}},
        },
    )
    applied(inventory(pair), tmp_path, manifest)
    begun = ["first", "helper", "second", "second", "started"]
    for node in pair:
        told(node)
        assert node.read(f"{OUT}/log").split() == begun
        helper = pid(node, f"everynode.default.{NAME}.helper.service")
        before = pid(node)
        node.run(
            f"kill -KILL {before}; timeout 20 sh -c 'until [ $(systemctl show -P MainPID {UNIT}) -gt 0 ] && "
            f"[ $(systemctl show -P MainPID {UNIT}) != {before} ]; do sleep 0.1; done'"
        )
        node.run(f"timeout 10 sh -c 'until [ $(systemctl is-active {UNIT}) = active ]; do sleep 0.1; done'")
        # A crash repeats neither the init containers nor the preStop hook, and does not disturb the sidecar.
        assert node.read(f"{OUT}/log").split() == [*begun, "started"]
        assert pid(node, f"everynode.default.{NAME}.helper.service") == helper
        node.run(f"systemctl stop everynode.default.{NAME}.target")
        assert node.read(f"{OUT}/log").split() == [*begun, "started", "stopping"]
        assert node.run(f"systemctl is-active {UNIT}", check=False).stdout.strip() == "inactive"


def test_probes(pair: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> None:
    """Readiness is what status tells and restarts nothing; liveness restarts; nobody runs an apply in between."""
    manifest = witness(
        readinessProbe={
            "exec": {"command": ["test", "!", "-e", "/out/unready"]},
            "periodSeconds": 1,
            "failureThreshold": 1,
        },
        livenessProbe={
            "exec": {"command": ["test", "!", "-e", "/out/dead"]},
            "periodSeconds": 1,
            "failureThreshold": 2,
        },
    )
    applied(inventory(pair), tmp_path, manifest)
    manifests = str(tmp_path / "witness.yaml")
    node, before = pair[-1], pid(pair[-1])

    def is_ready(wanted: bool) -> bool:
        state = json.loads(node.read(f"/run/everynode/{UNIT}.json"))
        invocation = node.run(f"systemctl show -P InvocationID {UNIT}").stdout.strip()
        return state["invocation"] == invocation and state["ready"] is wanted

    node.run(f"touch {OUT}/unready")
    until(lambda: is_ready(False))
    status = play("status", inventory(pair), daemonset_manifests=manifests)
    assert status.code != 0
    assert status.status["numberReady"] == len(pair) - 1
    assert not status.node(node.name)["ready"]
    assert pid(node) == before
    node.run(f"rm {OUT}/unready; touch {OUT}/dead")
    until(lambda: pid(node) not in ("0", before))
    node.run(f"rm {OUT}/dead")
    until(lambda: is_ready(True))
    done = play("status", inventory(pair), daemonset_manifests=manifests)
    assert done.code == 0, done.output
    journal = node.run(f"journalctl --unit=everynode.default.{NAME}._probes.service --output=cat").stdout
    assert "repeated too quickly" not in journal, "systemd takes frequent probes for a service that cannot start"


@pytest.mark.soak
def test_a_daemon_that_crashes_is_reported_with_its_own_words(
    pair: list[Node], inventory: Callable[..., Path], tmp_path: Path
) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"password": SECRET}}
    manifest = daemonset(
        NAME,
        image="host:///bin/sh",
        args=["-c", 'echo "cannot open the spool, password was $PASSWORD" >&2; exit 3'],
        env=[{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "password"}}}],
    )
    files = write(tmp_path / "witness.yaml", secret, manifest)
    done = play("apply", inventory(pair[:1]), daemonset_manifests=files)
    assert done.code != 0
    assert "cannot open the spool" in done.output
    assert SECRET not in done.output
    assert "Traceback" not in done.output
