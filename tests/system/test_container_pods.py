# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fields of a pod mean on Docker and on Podman, old and new, what they mean in Kubernetes: seen from inside."""

from __future__ import annotations

import base64
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import Cluster, Node

from .playbook import daemonset, play, until, write

Inventory = Callable[[list[Node]], Path]
NAME = "witness"
IMAGE = "toolbox:1"
SECRET = "tr0ub4dor&3 $(HOME) ${PATH} %n"
WORDS = ["plain", "two words", "", "-dash", "$HOME ${HOME} $x", "$(date)", "line\nbreak", "ünïcödé ☃", 'a,b="c"']


@pytest.fixture
def inventory(cluster: Cluster, tmp_path: Path) -> Inventory:
    return lambda members: cluster.write_inventory(members, path=tmp_path / "inventory.yml")


@pytest.fixture(autouse=True)
def removed_afterwards(engine_nodes: list[Node], inventory: Inventory) -> Iterator[None]:
    yield
    done = play("delete", inventory(engine_nodes), daemonset_names=NAME)
    assert done.code == 0, done.output
    for node in engine_nodes:
        left = node.run(f"ls -d /var/lib/everynode /run/everynode; {engine(node)} ps --all --quiet", check=False).stdout
        assert left == "", f"{node.name}: {left}"


def engine(node: Node) -> str:
    return node.engines[0]


def container_of(node: Node, container: str = "main", alone: bool = True) -> str:
    if engine(node) == "podman":
        return f"everynode.default.{NAME}-{container}"
    return f"everynode.default.{NAME}" + ("" if alone and container == "main" else f".{container}")


def inside(node: Node, command: str, container: str = "main", alone: bool = True) -> str:
    """What a shell command prints in a container."""
    name = container_of(node, container, alone)
    node.write("/root/command", command)
    return node.run(f'{engine(node)} exec {name} sh -c "$(cat /root/command)"').stdout


def inspected(node: Node, field: str) -> str:
    return node.run(f"{engine(node)} inspect --format '{{{{{field}}}}}' {container_of(node)}").stdout.strip()


def applied(inventory: Path, tmp_path: Path, *objects: dict[str, Any]) -> None:
    variables = {"daemonset_manifests": write(tmp_path / "witness.yaml", *objects)}
    done = play("apply", inventory, **variables)
    assert done.code == 0, done.output
    again = play("apply", inventory, **variables)
    assert (again.code, again.changed) == (0, 0), again.output


def witness(pod: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    defaults = {"image": IMAGE, "command": ["sleep", "100000"], "args": None}
    return daemonset(NAME, {"terminationGracePeriodSeconds": 1, **(pod or {})}, **{**defaults, **container})


def mount(volume: str, path: str, **more: Any) -> dict[str, Any]:
    return {"name": volume, "mountPath": path, **more}


def test_a_whole_pod(engine_nodes: list[Node], inventory: Inventory, tmp_path: Path) -> None:
    """Init containers in order, a sidecar, one network, every kind of volume, every kind of variable."""
    tool = {"image": IMAGE}
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "one", "b": "two"}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "s"},
            "data": {"password": base64.b64encode(SECRET.encode()).decode()},
        },
    ]
    first = {
        **tool,
        "name": "first",
        "command": ["sh", "-c", "echo first >> /shared/order; cat /proc/mounts > /shared/mounts"],
        "volumeMounts": [mount("shared", "/shared")],
    }
    second = {
        **tool,
        "name": "second",
        "command": ["sh", "-c", "echo second >> /shared/order"],
        "volumeMounts": [mount("shared", "/shared")],
    }
    sidecar = {
        **tool,
        "name": "sidecar",
        "restartPolicy": "Always",
        "command": ["sh", "-c", "mkdir -p /tmp/www; echo served > /tmp/www/page; exec httpd -f -p 8080 -h /tmp/www"],
    }
    helper = {
        **tool,
        "name": "helper",
        "command": ["sh", "-c", "echo aye; echo nay >&2; exec sleep 100000"],
        "volumeMounts": [mount("memory", "/memory")],
    }
    volumes = [
        {"name": "shared", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "2Mi"}},
        {"name": "config", "configMap": {"name": "c", "items": [{"key": "a", "path": "deep/er", "mode": 0o440}]}},
        {"name": "whole", "configMap": {"name": "c", "defaultMode": 0o600}},
        {"name": "secret", "secret": {"secretName": "s", "defaultMode": 0o400}},
        {
            "name": "downward",
            "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]},
        },
        {
            "name": "projected",
            "projected": {
                "sources": [
                    {"configMap": {"name": "c", "items": [{"key": "b", "path": "from-config"}]}},
                    {"secret": {"name": "s", "items": [{"key": "password", "path": "from-secret"}]}},
                ]
            },
        },
        {"name": "host", "hostPath": {"path": "/var/tmp/witness", "type": "DirectoryOrCreate"}},
        {"name": "device", "hostPath": {"path": "/dev/null", "type": "CharDevice"}},
    ]
    env = [
        {"name": "PLAIN", "value": "x $(NODE) $$(NODE) $(UNKNOWN)"},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "LATER", "value": "node $(NODE)"},
        {"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
        {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
        {"name": "LINES", "value": "one\ntwo"},
    ]
    pod = daemonset(
        NAME,
        {
            "terminationGracePeriodSeconds": 1,
            "initContainers": [first, second, sidecar],
            "volumes": volumes,
            "hostAliases": [{"ip": "192.0.2.9", "hostnames": ["elsewhere", "else.where"]}],
        },
        image=IMAGE,
        command=["sh", "-c", 'for word; do printf "%s\\0" "$word"; done > /shared/words; sleep 100000', "sh"],
        args=[*WORDS, "$(NODE)", "$(PASSWORD)"],
        env=env,
        envFrom=[{"configMapRef": {"name": "c"}, "prefix": "MAP_"}],
        resources={"limits": {"memory": "48Mi"}},
        volumeMounts=[
            mount("shared", "/shared"),
            mount("memory", "/memory"),
            mount("config", "/config"),
            mount("whole", "/one", subPath="b"),
            mount("secret", "/secret"),
            mount("downward", "/downward"),
            mount("projected", "/projected"),
            mount("host", "/host/inner", subPath="inner"),
            mount("device", "/dev/witness"),
        ],
    )
    pod["spec"]["template"]["spec"]["containers"].append(helper)
    applied(inventory(engine_nodes), tmp_path, *objects, pod)
    for node in engine_nodes:

        def told(command: str, container: str = "main", node: Node = node) -> str:
            return inside(node, command, container, alone=False)

        assert told("cat /shared/order").split() == ["first", "second"]
        assert told("wget -q -O - http://127.0.0.1:8080/page") == "served\n"  # the sidecar's, in the same network
        assert told("cat /shared/words").split("\0")[:-1] == [*WORDS, node.name, SECRET]
        variables = dict(line.partition("=")[::2] for line in told("env").splitlines())
        assert variables["PLAIN"] == "x $(NODE) $(NODE) $(UNKNOWN)"
        assert (variables["NODE"], variables["LATER"]) == (node.name, f"node {node.name}")
        assert (variables["POD"], variables["LIMIT"]) == (f"{NAME}-{node.name}", "48")
        assert (variables["HOST_IP"], variables["PASSWORD"]) == (node.address, SECRET)
        assert (variables["MAP_a"], variables["MAP_b"]) == ("one", "two")
        assert told('printf %s "$LINES"') == "one\ntwo"
        assert told("cat /config/deep/er; stat -L -c %a /config/deep/er") == "one440\n"
        assert told("cat /one") == "two"
        assert told("cat /secret/password; stat -L -c %a /secret/password").endswith("%n400\n")
        assert 'app="witness"' in told("cat /downward/labels")
        assert told("cat /projected/from-config /projected/from-secret") == "two" + SECRET
        assert told("echo x > /config/new 2>/dev/null || echo refused") == "refused\n"
        told("echo through > /memory/note; echo kept > /host/inner/note")
        assert told("cat /memory/note", "helper") == "through\n"
        assert "2.0M" in told("df -h /memory")
        assert node.read("/var/tmp/witness/inner/note") == "kept\n"
        assert told("[ -c /dev/witness ] && echo device") == "device\n"
        assert {"elsewhere", "else.where"} <= set(told("grep ^192.0.2.9 /etc/hosts").split())
        places = "/var/lib/everynode /etc/systemd /etc/containers /run/everynode"
        secrets = node.run(f"grep -rlF '{SECRET}' {places}", check=False).stdout
        assert secrets
        for path in secrets.split():
            assert node.run(f"su guest -c 'cat {path}'", check=False).returncode != 0, path
        node.run("rm -r /var/tmp/witness")
    told_by_logs_and_top(engine_nodes, inventory(engine_nodes), str(tmp_path / "witness.yaml"))


def told_by_logs_and_top(nodes: list[Node], inventory: Path, manifests: str) -> None:
    logged = play("logs", inventory, daemonset_manifests=manifests, daemonset_container="helper").items
    assert {node.name: {one["line"] for one in logged if one["node"] == node.name} for node in nodes} == {
        node.name: {"aye", "nay"} for node in nodes
    }
    used = play("top", inventory, daemonset_manifests=manifests)
    for node in nodes:
        usage = used.node(node.name)["usage"]
        assert usage["memoryBytes"] > 0, node.name
        assert usage["memoryLimitBytes"] is None, "only one of its containers has a limit"
        assert 0 <= usage["memoryLimitPercent"] < 100


@pytest.mark.soak
def test_one_container_and_what_it_may(engine_nodes: list[Node], inventory: Inventory, tmp_path: Path) -> None:
    published = {"containerPort": 8080, "hostPort": 18080}
    pod = {
        "dnsPolicy": "None",
        "dnsConfig": {
            "nameservers": ["192.0.2.53"],
            "searches": ["example.org"],
            "options": [{"name": "ndots", "value": "3"}],
        },
        "securityContext": {
            "supplementalGroups": [4242],
            "fsGroup": 4343,
        },
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
    manifest = witness(
        pod,
        command=["sh", "-c", "echo page > /scratch/page; exec httpd -f -p 8080 -h /scratch"],
        ports=[published, {"containerPort": 9090}],
        workingDir="/scratch",
        resources={"limits": {"memory": "48Mi", "cpu": "300m"}, "requests": {"memory": "24Mi", "cpu": "250m"}},
        securityContext={
            "runAsUser": 1234,
            "runAsGroup": 2345,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        },
        volumeMounts=[mount("scratch", "/scratch")],
    )
    applied(inventory(engine_nodes), tmp_path, manifest)
    for node in engine_nodes:
        assert urllib.request.urlopen(f"http://{node.address}:18080/page", timeout=10).read() == b"page\n"
        assert "9090" not in node.run(f"{engine(node)} port {container_of(node)}", check=False).stdout
        identity = inside(node, "id -u; id -g; id -G; pwd").split("\n")
        assert identity[:2] == ["1234", "2345"]
        assert set(identity[2].split()) == {"2345", "4242", "4343"}
        assert identity[3] == "/scratch"
        status = dict(line.split(":", 1) for line in inside(node, "cat /proc/self/status").splitlines())
        assert int(status["CapBnd"], 16) == 1 << 10
        assert status["NoNewPrivs"].strip() == "1"
        assert inside(node, "echo x > /file 2>/dev/null || echo refused") == "refused\n"
        resolver = inside(node, "cat /etc/resolv.conf").split()
        assert [resolver[resolver.index(word) + 1] for word in ("nameserver", "search", "options")] == [
            "192.0.2.53",
            "example.org",
            "ndots:3",
        ]
        limits = [
            ".HostConfig.Memory",
            ".HostConfig.MemoryReservation",
            ".HostConfig.NanoCpus",
            ".HostConfig.CpuShares",
        ]
        found = [inspected(node, field) for field in limits]
        shares = "256" if node.name != "podman2" else found[3]  # Podman 4.3 sets it and does not tell
        assert found == [str(48 << 20), str(24 << 20), "300000000", shares]
        assert inspected(node, ".HostConfig.RestartPolicy.Name") == "always"


@pytest.mark.soak
def test_in_the_hosts_own_namespaces(engine_nodes: list[Node], inventory: Inventory, tmp_path: Path) -> None:
    *able, old_podman = engine_nodes
    own = {"hostPID": True, "securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "321"}]}}
    refused = play("apply", inventory([old_podman]), daemonset_manifests=write(tmp_path / "own.yaml", witness(own)))
    assert refused.code != 0
    for field in ("hostPID", "securityContext.sysctls"):
        assert f"spec.template.spec.{field}: this node's Podman is too old" in refused.output, refused.output
    applied(inventory(able), tmp_path, witness(own))
    for node in able:
        assert inside(node, "cat /proc/sys/net/core/somaxconn") == "321\n"
        assert namespace_of_container(node, "pid") == namespace_of_host(node, "pid")
        assert namespace_of_container(node, "net") != namespace_of_host(node, "net")
    probe = {"httpGet": {"path": "/etc/passwd", "port": 18081}, "periodSeconds": 1}
    command = ["httpd", "-f", "-p", "18081", "-h", "/"]
    hosts = {"hostNetwork": True, "hostIPC": True}
    applied(inventory(able), tmp_path, witness(hosts, command=command, readinessProbe=probe))
    for node in able:
        for kind in ("net", "ipc"):
            assert namespace_of_container(node, kind) == namespace_of_host(node, kind)
        assert namespace_of_container(node, "pid") != namespace_of_host(node, "pid")
        assert inside(node, "hostname").strip() == node.name


def namespace_of_container(node: Node, kind: str) -> str:
    return inside(node, f"readlink /proc/self/ns/{kind}").strip()


def namespace_of_host(node: Node, kind: str) -> str:
    return node.run(f"readlink /proc/1/ns/{kind}").stdout.strip()


def test_probes_and_hooks(engine_nodes: list[Node], inventory: Inventory, tmp_path: Path) -> None:
    """Readiness is what `status` shows; what liveness condemns is started again, in the same container."""
    pod = {"volumes": [{"name": "host", "hostPath": {"path": "/var/tmp/witness"}}], "terminationGracePeriodSeconds": 5}
    header = {"name": "X-Witness", "value": "yes"}
    manifest = witness(
        pod,
        # It ends at once when it is told to; what it is told lies outside.
        command=[
            "sh",
            "-c",
            "trap exit TERM; mkdir -p /tmp/www; echo ok > /tmp/www/up; httpd -p 8080 -h /tmp/www; touch /tmp/up; "
            "while :; do sleep 1; done",
        ],
        startupProbe={"exec": {"command": ["test", "-e", "/tmp/up"]}, "timeoutSeconds": 20, "failureThreshold": 30},
        livenessProbe={
            "exec": {"command": ["test", "!", "-e", "/host/dead"]},
            "periodSeconds": 1,
            "timeoutSeconds": 20,
            "failureThreshold": 1,
        },
        readinessProbe={
            "httpGet": {"path": "/up", "port": 8080, "httpHeaders": [header]},
            "periodSeconds": 1,
            "timeoutSeconds": 20,
        },
        lifecycle={
            "postStart": {"exec": {"command": ["sh", "-c", "echo started >> /host/hooks"]}},
            "preStop": {"exec": {"command": ["sh", "-c", "echo stopping >> /host/hooks"]}},
        },
        volumeMounts=[mount("host", "/host")],
    )
    applied(inventory(engine_nodes), tmp_path, manifest)
    before = {node.name: inspected(node, ".Id") for node in engine_nodes}

    def ready() -> dict[str, bool]:
        shown = play("status", inventory(engine_nodes), daemonset_manifests=str(tmp_path / "witness.yaml"))
        return {node.name: shown.node(node.name)["ready"] for node in engine_nodes}

    for node in engine_nodes:
        assert node.read("/var/tmp/witness/hooks") == "started\n"
        inside(node, "rm /tmp/www/up")
    until(lambda: not any(ready().values()))
    for node in engine_nodes:
        node.run("touch /var/tmp/witness/dead")
    for node in engine_nodes:
        until(lambda node=node: "stopping" in node.read("/var/tmp/witness/hooks"))  # type: ignore[misc]
        node.run("rm /var/tmp/witness/dead")
    for node in engine_nodes:
        hooks = "started\nstopping\nstarted\n"
        until(lambda node=node, hooks=hooks: node.read("/var/tmp/witness/hooks").startswith(hooks))  # type: ignore[misc]
    until(lambda: all(ready().values()))
    assert {node.name: inspected(node, ".Id") for node in engine_nodes} == before
    done = play("delete", inventory(engine_nodes), daemonset_names=NAME)
    assert done.code == 0, done.output
    for node in engine_nodes:
        assert node.run("tail -1 /var/tmp/witness/hooks; rm -r /var/tmp/witness").stdout == "stopping\n"
