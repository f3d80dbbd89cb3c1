# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make demo` and `make demo-down`: six throwaway nodes, a node exporter on three, containers on two.

python scripts/demo.py         boot, apply, look
python scripts/demo.py down    remove everything again
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

import yaml  # noqa: E402
from docker.errors import DockerException  # noqa: E402

from tests.nodes import Cluster, Node, NodesError, NodeSpec  # noqa: E402

INVENTORY = "inventories/demo"
ADDRESSES = CHECKOUT / INVENTORY / "addresses.yml"
MANIFEST = "examples/manifests/node-exporter.yaml"
APPLY = f"ansible-playbook everynode.daemonset.apply -i {INVENTORY} -e daemonset_manifests={MANIFEST}"
UNIT = "everynode.monitoring.node-exporter"
METRICS_PORT = 9100

CONTAINER_MANIFEST = "tests/data/manifests/fluentd-apps-v1.yaml"
ENGINES = {"box1": "docker", "box2": "podman"}
APPLY_CONTAINERS = (
    f"ansible-playbook everynode.daemonset.apply -i {INVENTORY} -e daemonset_manifests={CONTAINER_MANIFEST} "
    "-e daemonset_hosts=containers"
)
COLLECTED = "/var/log/demo.log"

TO_TRY = f"""
  Stop the daemon on one node behind our back, and apply again: only that node is repaired.
    .venv/bin/ansible web1 -i {INVENTORY} -a "systemctl stop {UNIT}"
    .venv/bin/{APPLY}

  Remove the container behind our back, or stop the engine, and apply again.
    .venv/bin/ansible box1 -i {INVENTORY} -a "docker rm -f everynode.kube-system.fluentd"
    .venv/bin/{APPLY_CONTAINERS}

  Give the label to all nodes; lab1 and the boxes get their instances. (Without it, the next apply takes it away again.)
    .venv/bin/{APPLY} \\
      -e '{{"node_labels_try": {{"metrics": "prometheus"}}}}'

  Change an argument in {MANIFEST}, and see what an apply would do before you do it.
    .venv/bin/{APPLY} --check --diff

  make demo-down removes the nodes.
"""


def main() -> int:
    os.chdir(CHECKOUT)
    cluster = Cluster("demo")
    try:
        if sys.argv[1:] == ["down"]:
            cluster.down()
            ADDRESSES.unlink(missing_ok=True)
            print("The demo's nodes are gone.")
            return 0
        return demo(cluster)
    except (NodesError, DockerException) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def demo(cluster: Cluster) -> int:
    began = time.monotonic()
    heading("Six nodes", "real systemd, real sshd, reached over SSH on this machine; two with a container engine")
    labels = inventory_labels()
    nodes = cluster.up(NodeSpec(name, engines=engines_of(name)) for name in labels)
    cluster.write_inventory(nodes, path=ADDRESSES)
    for node in nodes:
        shown = " ".join(f"{key}={value}" for key, value in sorted(labels[node.name].items()))
        print(f"  {node.name:<6} 127.0.0.1:{node.port:<6} {' '.join(node.engines):<8} {shown}")

    heading("One daemon", f"{MANIFEST} asks for nodes with metrics=prometheus")
    print(f"  $ {APPLY}\n", flush=True)
    code = subprocess.run(ansible(APPLY), check=False).returncode
    if code != 0:
        return code

    heading("Its metrics", "fetched from every node")
    for node in nodes:
        print(f"  {node.name:<6} {metrics(node)}")

    heading("The same, in containers", f"{CONTAINER_MANIFEST} as it is, on Docker and on Podman at once")
    serve_image(cluster, nodes)
    print("  (A registry on this machine serves a small log collector under the image's name.)")
    print(f"  $ {APPLY_CONTAINERS}\n", flush=True)
    code = subprocess.run(ansible(APPLY_CONTAINERS), check=False).returncode
    if code != 0:
        return code

    heading("What it collects", f"a line was written to {COLLECTED} on each of the two, outside the container")
    for node in nodes:
        if node.engines:
            print(f"  {node.name:<6} {node.engines[0]:<7} {collected(node)}")

    heading("Four things to try", f"all of the above took {time.monotonic() - began:.0f} s")
    print(TO_TRY)
    return 0


def heading(title: str, explanation: str) -> None:
    strong, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{strong}{title}{plain} - {explanation}\n", flush=True)


def ansible(command: str) -> list[str]:
    """The command as the virtual environment has it."""
    program, *arguments = command.split()
    return [str(Path(sys.executable).with_name(program)), *arguments]


def inventory_labels() -> dict[str, dict[str, str]]:
    """The labels of each host of the demo's inventory, as its groups give them."""
    listed = subprocess.run(
        ansible(f"ansible-inventory -i {INVENTORY}/hosts.yml --list"), capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        raise NodesError(f"the inventory {INVENTORY} cannot be read:\n{listed.stderr.strip()}")
    hosts: dict[str, dict[str, Any]] = json.loads(listed.stdout)["_meta"]["hostvars"]
    merged: dict[str, dict[str, str]] = {}
    for host, variables in hosts.items():
        parts = [value for name, value in variables.items() if name.startswith("node_labels")]
        merged[host] = {key: value for part in parts for key, value in part.items()}
    return merged


def engines_of(name: str) -> tuple[str, ...]:
    return (ENGINES[name],) if name in ENGINES else ()


def serve_image(cluster: Cluster, nodes: list[Node]) -> None:
    manifest = yaml.safe_load((CHECKOUT / CONTAINER_MANIFEST).read_text(encoding="utf-8"))
    images = [container["image"] for container in manifest["spec"]["template"]["spec"]["containers"]]
    registry = cluster.registry()
    for image in images:
        registry.push(cluster.container_image("log-collector"), image)
    for node in nodes:
        if node.engines:
            registry.stand_in(node, images)


def collected(node: Node) -> str:
    """What the container printed of a line that is written to a file of the node now."""
    node.run(f"date '+a line written at %T' >> {COLLECTED}")
    line = node.read(COLLECTED).splitlines()[-1]
    name = "everynode.kube-system.fluentd" + ("-fluentd" if node.engines[0] == "podman" else "")
    for _attempt in range(100):
        printed = node.run(f"{node.engines[0]} logs {name}", check=False).stdout.splitlines()
        found = [text for text in printed if line in text]
        if found:
            return found[-1]
        time.sleep(0.1)
    return "nothing yet"


def metrics(node: Node) -> str:
    url = f"http://{node.address}:{METRICS_PORT}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except urllib.error.URLError:
        return "nothing listens here, as it should be: the label is missing"
    samples = [line for line in lines if not line.startswith("#")]
    load = next((line for line in samples if line.startswith("node_load1 ")), "no node_load1")
    return f"{url}  {len(samples)} samples, {load}"


if __name__ == "__main__":
    sys.exit(main())
