# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make demo` and `make demo-down`: four throwaway nodes, a node exporter on three of them.

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

from docker.errors import DockerException  # noqa: E402

from tests.nodes import Cluster, Node, NodesError, NodeSpec  # noqa: E402

INVENTORY = "inventories/demo"
ADDRESSES = CHECKOUT / INVENTORY / "addresses.yml"
MANIFEST = "examples/manifests/node-exporter.yaml"
APPLY = f"ansible-playbook everynode.daemonset.apply -i {INVENTORY} -e daemonset_manifests={MANIFEST}"
UNIT = "everynode.monitoring.node-exporter"
METRICS_PORT = 9100

TO_TRY = f"""
  Stop the daemon on one node behind our back, and apply again: only that node is repaired.
    .venv/bin/ansible web1 -i {INVENTORY} -a "systemctl stop {UNIT}"
    .venv/bin/{APPLY}

  Give the label to all four nodes; lab1 gets its instance. (Without it, the next apply takes it away again.)
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
    heading("Four nodes", "real systemd, real sshd, reached over SSH on this machine")
    labels = inventory_labels()
    nodes = cluster.up(NodeSpec(name) for name in labels)
    cluster.write_inventory(nodes, path=ADDRESSES)
    for node in nodes:
        shown = " ".join(f"{key}={value}" for key, value in sorted(labels[node.name].items()))
        print(f"  {node.name:<6} 127.0.0.1:{node.port:<6} {shown}")

    heading("One daemon", f"{MANIFEST} asks for nodes with metrics=prometheus")
    print(f"  $ {APPLY}\n", flush=True)
    code = subprocess.run(ansible(APPLY), check=False).returncode
    if code != 0:
        return code

    heading("Its metrics", "fetched from every node")
    for node in nodes:
        print(f"  {node.name:<6} {metrics(node)}")

    heading("Three things to try", f"all of the above took {time.monotonic() - began:.0f} s")
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
