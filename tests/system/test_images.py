# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Container images on Docker and on Podman, old and new: what is pulled, with which login, what of it stays."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import Cluster, Node, Registry

from .conftest import MANIFESTS
from .evidence import differences, engines_standing, foretold_and_done, runs
from .playbook import Run, daemonset, play, until, write

NAMES = ("tool", "guarded", "keyed", "foretold", "fluentd", "kube-system/fluentd", "kube-system/log-agent")
QUIET = "PODMAN_IGNORE_CGROUPSV1_WARNING=1"


@pytest.fixture
def estate(cluster: Cluster, engine_nodes: list[Node], tmp_path: Path) -> Callable[..., Path]:
    def write_inventory(members: list[Node] | None = None, **variables: Any) -> Path:
        return cluster.write_inventory(members or engine_nodes, path=tmp_path / "inventory.yml", **variables)

    return write_inventory


@pytest.fixture(scope="module", autouse=True)
def as_before(cluster: Cluster, engine_nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = possessions(engine_nodes)
    yield
    inventory = cluster.write_inventory(engine_nodes, path=tmp_path_factory.mktemp("images") / "inventory.yml")
    assert play("delete", inventory, daemonset_names=list(NAMES)).code == 0
    assert differences(before, possessions(engine_nodes)) == {}


def engine(node: Node) -> str:
    return f"{QUIET} {node.engines[0]}"


def possessions(nodes: list[Node]) -> dict[str, list[str]]:
    """What engines have, and what of ours is on a node at all."""
    script = """
        ENGINE ps --all --quiet --no-trunc
        ENGINE images --all --no-trunc --format 'image {{.ID}} {{.Repository}} {{.Tag}}' | sort
        ENGINE network ls --format 'network {{.Name}}' | sort
        ENGINE volume ls --quiet | sort
        find /var/lib/everynode /run/everynode /etc/systemd/system /etc/containers/systemd -name '*everynode*' 2>&1 |
            grep -v 'No such file'
        systemctl list-units --all --no-legend --plain 'everynode.*'
    """
    return {
        node.name: node.run(script.replace("ENGINE", engine(node)), check=False).stdout.splitlines() for node in nodes
    }


def images(node: Node, repository: str) -> dict[str, str]:
    """{tag: id} of the images of this name; "<none>" for those without a tag."""
    form = "{{.Repository}} {{.Tag}} {{.ID}}"
    lines = node.run(f"{engine(node)} images --all --no-trunc --format '{form}'").stdout.split("\n")
    found = [line.split() for line in lines if line]
    return {tag: bare(identifier) for name, tag, identifier in found if name.split("/")[-1] == repository}


def bare(identifier: str) -> str:
    return identifier.removeprefix("sha256:")


def container(node: Node, name: str, namespace: str = "default") -> dict[str, Any]:
    """What the engine says of the one container of an instance."""
    wanted = f"--filter label=everynode.instance={namespace}/{name}"
    script = f"{engine(node)} inspect $({engine(node)} ps --quiet --no-trunc {wanted} --filter status=running)"
    found = json.loads(node.run(script).stdout)
    if "podman" in node.engines:
        found = [one for one in found if not one["IsInfra"] and not one.get("IsService")]
    (one,) = found
    return dict(one)


def tool(name: str, image: str, pod: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    pod = {"terminationGracePeriodSeconds": 1, **(pod or {})}
    return daemonset(name, pod, image=image, command=["sleep"], **more)


def applied(inventory: Path, folder: Path, *objects: Mapping[str, Any], arguments: tuple[str, ...] = ()) -> Run:
    done = play("apply", inventory, *arguments, daemonset_manifests=write(folder / "manifests.yaml", *objects))
    assert done.code == 0, done.output
    return done


# ------------------------------------------------------------------------------------------ the manifests as they stand

DOCKERS_LOGS = ("/var/lib/docker/containers", "/var/lib/docker/containers", False)
EXPECTED: dict[tuple[str, str], set[tuple[str, str, bool]]] = {
    ("kube-system", "fluentd"): {("/var/log", "/var/log", True), DOCKERS_LOGS},
    ("default", "fluentd"): {("/var/log", "/varlog", True), (*DOCKERS_LOGS[:2], True)},
    ("kube-system", "log-agent"): {("/var/log", "/var/log", True)},
}


def test_the_manifests_as_they_stand(engine_nodes: list[Node], estate: Callable[..., Path]) -> None:
    for node in engine_nodes:
        node.run("mkdir -p /var/lib/docker/containers; echo 'a line of the host' > /var/log/host.log")
    docker1, podman2 = engine_nodes[0], engine_nodes[-1]
    manifests = {"daemonset_manifests": [str(path) for path in sorted(MANIFESTS.glob("*.yaml"))]}
    (by_hand,) = re.findall(r"image: (\S+)", (MANIFESTS / "log-agent-ssd.yaml").read_text())
    for node in (docker1, podman2):
        node.run(f"{engine(node)} pull --quiet {by_hand}")
    before = possessions(engine_nodes)
    hosts = estate(group_vars={"all": {"node_labels": {"disktype": "ssd"}}})

    done = play("apply", hosts, **manifests)
    assert done.code == 0, done.output
    for node in engine_nodes:
        for (namespace, name), mounts in EXPECTED.items():
            one = container(node, name, namespace)
            assert {(each["Source"], each["Destination"], each["RW"]) for each in one["Mounts"]} == mounts
            assert one["Config"]["Labels"]["everynode.revision"]
            assert one["HostConfig"]["RestartPolicy"]["Name"] == "always"
            limits = (200 << 20, 100_000_000) if name == "log-agent" else (0, 0)
            assert (one["HostConfig"]["Memory"], one["HostConfig"]["NanoCpus"]) == limits
            # Podman 4 plays pods without it; there the unit's own stop tells.
            if node.name != podman2.name:
                assert one["Config"]["StopTimeout"] == 30
            logs = f"{engine(node)} logs {one['Id']} 2>&1"
            until(lambda node=node, logs=logs: "host.log: a line of the host" in node.run(logs).stdout, 30)  # type: ignore[misc]

    again = play("apply", hosts, **manifests)
    assert (again.code, again.changed) == (0, 0), again.output
    seen = play("status", hosts, **manifests)
    assert seen.code == 0, seen.output
    for item in seen.items:
        counted = {key: count for key, count in item["status"].items() if key != "numberMisscheduled"}
        assert set(counted.values()) == {4}, item

    gone = play("delete", hosts, **manifests)
    assert gone.code == 0, gone.output
    assert differences(before, possessions(engine_nodes)) == {}
    for node in (docker1, podman2):
        node.run(f"{engine(node)} image rm {by_hand}")


# --------------------------------------------------------------------------------------------------- policies, versions


@pytest.mark.soak
def test_what_is_pulled_and_what_stays(
    cluster: Cluster, engine_nodes: list[Node], registry: Registry, estate: Callable[..., Path], tmp_path: Path
) -> None:
    """A tag is pulled if it is not there, latest each time; of what came with us two revisions' images stay."""
    variants = {"1": "toolbox", "2": "node-exporter", "latest": "log-collector"}
    for tag, variant in variants.items():
        registry.push(cluster.container_image(variant), f"tool:{tag}")
    docker1, docker2, podman1, podman2 = engine_nodes
    # By hand: under tool:1 on two nodes, under the tag that is pulled anew each time on the two others.
    for node in (docker1, podman1):
        node.run(f"{engine(node)} pull --quiet toolbox:1 && {engine(node)} tag toolbox:1 {local(node, registry)}:1")
        node.run(f"{engine(node)} image rm toolbox:1")
    for node in (docker2, podman2):
        node.run(f"tar --create --directory=/etc hostname | {engine(node)} import - {local(node, registry)}:latest")
    stale = {node.name: images(node, "tool") for node in engine_nodes}
    hosts = estate()

    done = applied(hosts, tmp_path, tool("tool", "tool:1"))
    pulled = {node.name: f"{node.name}: tool: pull tool:1" in done.output for node in engine_nodes}
    assert pulled == {"docker1": False, "docker2": True, "podman1": False, "podman2": True}
    first = {node.name: images(node, "tool")["1"] for node in engine_nodes}

    applied(hosts, tmp_path, tool("tool", "tool"))
    for node in engine_nodes:
        latest = images(node, "tool")["latest"]
        assert latest != stale[node.name].get("latest")
        assert bare(container(node, "tool")["Image"]) == latest
        assert images(node, "tool")["1"] == first[node.name]

    by_hand = f"{registry.address}/tool:2"
    asked = f"pull --quiet {by_hand} >&2 && {engine(podman1)} image inspect --format '{{{{.Digest}}}}' {by_hand}"
    digest = podman1.run(f"{engine(podman1)} {asked} && {engine(podman1)} image rm {by_hand} >&2").stdout.strip()
    done = applied(hosts, tmp_path, tool("tool", f"tool@{digest}"))
    assert done.output.count(f"tool: pull tool@{digest}") == 4
    for node in engine_nodes:
        held = images(node, "tool")
        assert ("1" in held) == (node in (docker1, podman1)), held
        assert "latest" in held
        assert bare(container(node, "tool")["Image"]) in held.values()

    # An image that nobody may pull, on nodes that do not have it.
    standing = engines_standing(engine_nodes)
    never = tool("tool", "tool:2", imagePullPolicy="Never")
    refused = play("apply", hosts, daemonset_manifests=write(tmp_path / "never.yaml", never))
    assert refused.code != 0
    wanted = "container main: image: tool:2 is not on this node, and imagePullPolicy Never does not let it be pulled"
    assert refused.output.count(f"failed to stage: default/tool cannot run here: {wanted}\n") == 4, refused.output
    assert refused.changed == 0
    assert differences(standing, engines_standing(engine_nodes)) == {}

    assert play("delete", hosts, daemonset_names="tool").code == 0
    for node in engine_nodes:
        left = {bare(identifier) for identifier in node.run(f"{engine(node)} images -aq --no-trunc").stdout.split()}
        assert left == set(stale[node.name].values())
        node.run(f"{engine(node)} image rm {' '.join(left)}")


def local(node: Node, registry: Registry) -> str:
    """The name under which this node's engine keeps what it pulled as `tool`."""
    return "tool" if "docker" in node.engines else f"{registry.address}/tool"


# --------------------------------------------------------------------------------------------------------------- logins

PASSWORD = "open-sesame"
LOGIN = base64.b64encode(f"robot:{PASSWORD}".encode()).decode()


def login(name: str, address: str, kind: str) -> dict[str, Any]:
    auths = {address: {"auth": LOGIN}}
    key, content = (".dockercfg", auths) if kind == "dockercfg" else (".dockerconfigjson", {"auths": auths})
    data = {key: base64.b64encode(json.dumps(content).encode()).decode()}
    metadata = {"name": name}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": f"kubernetes.io/{kind}", "data": data}


@contextmanager
def process_lists(nodes: list[Node]) -> Iterator[dict[str, str]]:
    """Every command line that is seen on these nodes while this lasts, by node."""
    script = """
        while [ ! -e /run/enough ]; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; sleep 0.02; done >/run/seen
    """
    seen: dict[str, str] = {}
    with ThreadPoolExecutor() as pool:
        jobs = [pool.submit(node.run, script) for node in nodes]
        try:
            yield seen
        finally:
            for node in nodes:
                node.run("touch /run/enough")
            for job in jobs:
                job.result()
            for node in nodes:
                seen[node.name] = node.run("cat /run/seen; rm /run/seen /run/enough").stdout


@pytest.mark.soak
def test_a_login_is_told_to_the_registry_and_to_nobody_else(
    cluster: Cluster,
    engine_nodes: list[Node],
    private_registry: Registry,
    estate: Callable[..., Path],
    tmp_path: Path,
) -> None:
    private_registry.push(cluster.container_image("toolbox"), "toolbox:2")
    address = private_registry.address
    objects = [
        tool("guarded", f"{address}/toolbox:1", {"imagePullSecrets": [{"name": "config"}]}),
        tool("keyed", f"{address}/toolbox:2", {"imagePullSecrets": [{"name": "old-config"}]}),
        login("config", address, "dockerconfigjson"),
        login("old-config", address, "dockercfg"),
    ]
    began = engine_nodes[0].run("date '+%F %T'").stdout.strip()
    with process_lists(engine_nodes) as seen:
        done = applied(estate(), tmp_path, *objects, arguments=("-vvv", "--diff"))
    for node in engine_nodes:
        assert "pull" in seen[node.name]
        journal = node.run(f"journalctl --quiet --no-pager --since '{began}'").stdout
        labels = [json.dumps(container(node, name)) for name in ("guarded", "keyed")]
        for place, text in {"processes": seen[node.name], "journal": journal, "labels": str(labels)}.items():
            for secret in (PASSWORD, LOGIN):
                assert secret not in text, f"{node.name}: {place}"
        files = f"grep -rlE '{PASSWORD}|{LOGIN}' /etc /var/lib/everynode /run /root /tmp /var/tmp 2>/dev/null"
        assert node.run(files, check=False).stdout == ""
    for secret in (PASSWORD, LOGIN):
        assert secret not in done.output
    assert play("delete", estate(), daemonset_names=["guarded", "keyed"]).code == 0


# ------------------------------------------------------------------------------------------------------------- dry runs


@pytest.mark.soak
def test_a_dry_run_tells_exactly_what_a_real_one_does(
    engine_nodes: list[Node], estate: Callable[..., Path], tmp_path: Path
) -> None:
    pair = [engine_nodes[0], engine_nodes[-1]]
    secrets = ("h0rse-battery-staple", "c0rrect-horse-battery")

    def foretold(verb: str, level: str, secret: str, image: str) -> Run:
        token = {"valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}}
        one = tool(
            "foretold",
            image,
            env=[{"name": "LEVEL", "value": level}, {"name": "TOKEN", **token}],
            args=["1000000"],
        )
        keys = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"token": secret}}
        manifests = {"daemonset_manifests": write(tmp_path / "foretold.yaml", one, keys)}
        return foretold_and_done(lambda: engines_standing(pair), secrets, verb, estate(pair), **manifests)

    made = foretold("apply", "low", secrets[0], "toolbox:1")
    assert all(runs(node, "foretold") for node in pair)
    assert made.output.count("pull toolbox:1") >= 2
    changed = foretold("apply", "high", secrets[1], "node-exporter:1")
    assert "-LEVEL=low" in changed.output
    assert "+TOKEN=(secret, after)" in changed.output
    # Docker leaves a removed container removed; Podman's unit would notice.
    pair[0].run(f"docker rm --force {container(pair[0], 'foretold')['Id']}")
    pair[1].run("systemctl stop everynode.default.foretold.service")
    foretold("apply", "high", secrets[1], "node-exporter:1")
    for node in pair:
        assert container(node, "foretold")
    assert foretold("apply", "high", secrets[1], "node-exporter:1").changed == 0
    foretold("delete", "high", secrets[1], "node-exporter:1")
