# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make bench`: what an apply costs, against the least that Ansible can do and against a role written by hand.

`--update` measures updates instead, whose daemon is ready half a second after its start.

All on the same nodes, over SSH with pipelining, in rounds that take turns, so that whatever else the machine does hits
all alike. The nodes share this machine: compare the ratios, not the seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from docker.errors import DockerException

from tests.nodes import Cluster, Node, NodesError, NodeSpec, ansible

HERE = Path(__file__).resolve().parent
PLAYBOOKS = HERE / "playbooks"
MANIFESTS = {None: "heartbeat.yaml", "docker": "heartbeat-container.yaml", "podman": "heartbeat-container.yaml"}
IMAGE = "toolbox:1"
# Of the time of a ping, and of a hand-written role. Looking at a node's engine takes a little more.
WANTED = {None: 0.6, "docker": 0.7, "podman": 0.7}
# Of the time of a ping to each node: what an update of all of them may take, by maxUnavailable.
WANTED_OF_UPDATES = {"100%": 2.5, "25%": 4.0}
RESULTS = ansible.CHECKOUT / ".cache" / "benchmarks.json"


@dataclass(frozen=True)
class Case:
    name: str
    run: Callable[[], None]
    # What has to be done, unmeasured, before each measurement.
    prepare: Callable[[], None] = lambda: None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--nodes", type=int, default=20, help="how many (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each case is measured (default: %(default)s)")
    parser.add_argument(
        "--json", type=Path, default=RESULTS, metavar="FILE", help="where the numbers go (default: %(default)s)"
    )
    parser.add_argument("--engine", choices=["docker", "podman"], help="run a container of this engine on each node")
    parser.add_argument("--update", action="store_true", help="measure updates, of host processes")
    parser.add_argument("--keep", action="store_true", help="leave the nodes running")
    options = parser.parse_args()
    cluster = Cluster("bench")
    try:
        print(f"Booting {options.nodes} nodes", flush=True)
        engines = (options.engine,) if options.engine else ()
        nodes = cluster.up(NodeSpec(f"node{n + 1:02}", engines=engines) for n in range(options.nodes))
        if engines:
            serve_image(cluster, nodes)
        manifest = PLAYBOOKS / MANIFESTS[options.engine]
        bench = Bench(cluster.write_inventory(nodes), options.nodes, manifest)
        seconds = measure_updates(bench, options.rounds) if options.update else measure(bench, options.rounds)
    except (NodesError, DockerException) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        if not options.keep:
            cluster.down()
    ratios = ratios_of_updates() if options.update else ratios_of_rest(WANTED[options.engine])
    result = summary(seconds, options.nodes, ratios)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(table(result))
    print(f"\nAll numbers: {options.json}")
    return 0


def serve_image(cluster: Cluster, nodes: list[Node]) -> None:
    registry = cluster.registry()
    registry.push(cluster.container_image("toolbox"), IMAGE)
    for node in nodes:
        registry.stand_in(node, [IMAGE])


class Bench:
    """The measured commands, each checked to have done what it is measured for."""

    def __init__(self, inventory: Path, nodes: int, manifest: Path) -> None:
        self.inventory = inventory
        self.nodes = nodes
        self.manifest = manifest
        self.revision = 0

    def ping(self) -> None:
        self._play(PLAYBOOKS / "ping.yml", unchanged=True)

    def handwritten(self, *, unchanged: bool = True) -> None:
        self._play(PLAYBOOKS / "handwritten.yml", unchanged=unchanged)

    def apply(self, *, unchanged: bool = True) -> None:
        self._play("everynode.daemonset.apply", *self._manifest(), unchanged=unchanged)

    def delete(self) -> None:
        self._play("everynode.daemonset.delete", *self._manifest(), unchanged=False)

    def update(self, max_unavailable: str) -> None:
        """A new revision everywhere, with the strategy given."""
        self.revision += 1
        given = {"daemonset_manifests": str(PLAYBOOKS / "beacon.yaml.j2"), **self._beacon(max_unavailable)}
        self._play("everynode.daemonset.apply", "-e", json.dumps(given), unchanged=False)

    def handwritten_update(self) -> None:
        self.revision += 1
        self._play(PLAYBOOKS / "handwritten-update.yml", "-e", json.dumps(self._beacon("25%")), unchanged=False)

    def _beacon(self, max_unavailable: str) -> dict[str, str]:
        return {"beacon_revision": str(self.revision), "beacon_max_unavailable": max_unavailable}

    def _manifest(self) -> tuple[str, str]:
        return "-e", json.dumps({"daemonset_manifests": str(self.manifest)})

    def _play(self, playbook: str | Path, *arguments: str, unchanged: bool) -> None:
        env = {"ANSIBLE_FORKS": str(self.nodes), "ANSIBLE_ROLES_PATH": str(HERE / "roles")}
        done = ansible.run("ansible-playbook", playbook, *arguments, inventory=self.inventory, env=env)
        if done.returncode != 0:
            raise NodesError(f"{playbook} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        recap = [line for line in done.stdout.splitlines() if "changed=" in line and "ok=" in line]
        if unchanged and (len(recap) < self.nodes or not all("changed=0" in line for line in recap)):
            raise NodesError(f"{playbook} changed something, and is measured for changing nothing:\n{done.stdout}")


def measure(bench: Bench, rounds: int) -> dict[str, list[float]]:
    bench.handwritten(unchanged=False)
    cases = [
        # An apply that finds nothing on the nodes comes first, and leaves them as the next case wants them.
        Case("apply, first", lambda: bench.apply(unchanged=False), prepare=bench.delete),
        Case("apply, nothing to change", bench.apply),
        Case("ping", bench.ping),
        Case("hand-written role, nothing to change", bench.handwritten),
    ]
    return in_turns(cases, rounds)


def measure_updates(bench: Bench, rounds: int) -> dict[str, list[float]]:
    bench.update("100%")
    bench.handwritten_update()
    cases = [
        Case("ping", bench.ping),
        *(Case(f"update, {size} at a time", partial(bench.update, size)) for size in WANTED_OF_UPDATES),
        Case("hand-written update, serial 25%", bench.handwritten_update),
    ]
    return in_turns(cases, rounds)


def in_turns(cases: list[Case], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {case.name: [] for case in cases}
    for number in range(rounds):
        for case in cases:
            case.prepare()
            began = time.perf_counter()
            case.run()
            seconds[case.name].append(time.perf_counter() - began)
        print(
            f"Round {number + 1} of {rounds}: {'  '.join(f'{each[-1]:.2f} s' for each in seconds.values())}", flush=True
        )
    return seconds


# What is divided by what, and how much of it is wanted at most.
Ratios = dict[tuple[str, str], float]


def ratios_of_rest(of_ping: float) -> Ratios:
    name = "apply, nothing to change"
    return {(name, "ping"): of_ping, (name, "hand-written role, nothing to change"): 0.15}


def ratios_of_updates() -> Ratios:
    ratios = {(f"update, {size} at a time", "ping"): wanted for size, wanted in WANTED_OF_UPDATES.items()}
    return {**ratios, ("update, 25% at a time", "hand-written update, serial 25%"): 1.0}


def summary(seconds: dict[str, list[float]], nodes: int, ratios: Ratios) -> dict[str, Any]:
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "machine": {
            "processors": os.cpu_count(),
            "architecture": platform.machine(),
            "python": platform.python_version(),
        },
        "nodes": nodes,
        "forks": nodes,
        "seconds": {name: [round(value, 3) for value in values] for name, values in seconds.items()},
        "median": {name: round(value, 3) for name, value in medians.items()},
        "ratio": {f"{one} / {other}": round(medians[one] / medians[other], 3) for one, other in ratios},
        "wanted at most": {f"{one} / {other}": wanted for (one, other), wanted in ratios.items()},
    }


def table(result: dict[str, Any]) -> str:
    lines = [f"\n{result['nodes']} nodes, medians of {len(next(iter(result['seconds'].values())))} rounds\n"]
    lines += [f"  {name:<62}{value:>8.2f} s" for name, value in result["median"].items()]
    lines.append("")
    for name, value in result["ratio"].items():
        lines.append(f"  {name:<62}{value:>8.2f}    wanted at most {result['wanted at most'][name]}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
