# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line: python -m tests.nodes up|list|down."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from docker.errors import DockerException

from . import Cluster, NodesError, NodeSpec
from .image import ENGINES, SUITES


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except (NodesError, DockerException) as error:
        print(f"tests/nodes: {error}", file=sys.stderr)
        return 1
    return 0


def up(options: argparse.Namespace) -> None:
    began = time.monotonic()
    cluster = Cluster(options.cluster)
    names = _hosts_of(options.hosts_from) if options.hosts_from else [f"node{n + 1}" for n in range(options.count)]
    suites = itertools.cycle(options.suite or ["trixie"])
    engines = tuple(options.engines.split(",")) if options.engines else ()
    members = cluster.up(NodeSpec(name, suite, engines) for name, suite in zip(names, suites, strict=False))
    path = cluster.write_inventory(members, path=options.inventory, user=options.user)
    for node in members:
        kind = ",".join((node.suite, *node.engines))
        print(f"{node.name:<16} {kind:<22} 127.0.0.1:{node.port:<6} {node.address}")
    print(f"{len(members)} nodes up after {time.monotonic() - began:.1f} s; inventory: {path}")


def show(options: argparse.Namespace) -> None:
    for node in Cluster(options.cluster).nodes():
        kind = ",".join((node.suite, *node.engines))
        print(f"{node.name:<16} {kind:<22} 127.0.0.1:{node.port:<6} {node.state:<10} {node.container}")


def down(options: argparse.Namespace) -> None:
    gone = Cluster(options.cluster).down(options.nodes or None)
    print(f"{len(gone)} nodes removed")


def _hosts_of(inventory: Path) -> list[str]:
    """The hosts that a YAML inventory lists, group by group."""

    def walk(group: dict[str, Any] | None) -> list[str]:
        group = group or {}
        below = [walk(child) for child in (group.get("children") or {}).values()]
        return [*(group.get("hosts") or {}), *itertools.chain.from_iterable(below)]

    try:
        groups = yaml.safe_load(inventory.read_text(encoding="utf-8"))
    except OSError as error:
        raise NodesError(f"cannot read the inventory {inventory}: {error.strerror}") from error
    return list(dict.fromkeys(itertools.chain.from_iterable(walk(group) for group in groups.values())))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.nodes", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--cluster", default="default", help="the name that the nodes belong to (default: %(default)s)")
    verbs = parser.add_subparsers(required=True, metavar="up|list|down")

    start = verbs.add_parser("up", parents=[common], help="start nodes that are not there yet and write an inventory")
    start.add_argument("--count", type=int, default=1, help="how many: node1, node2, ... (default: %(default)s)")
    start.add_argument("--hosts-from", type=Path, metavar="FILE", help="instead: a node for each host of this one")
    start.add_argument(
        "--suite", action="append", choices=SUITES, help="given several times, nodes take turns (default: trixie)"
    )
    start.add_argument("--engines", metavar="LIST", help=f"with container engines: {','.join(ENGINES)} or one of them")
    start.add_argument("--user", choices=("root", "admin", "guest"), default="root", help="who logs in")
    start.add_argument("--inventory", type=Path, metavar="FILE", help="default: .cache/nodes/CLUSTER/inventory.yml")
    start.set_defaults(command=up)

    verbs.add_parser("list", parents=[common], help="list the nodes").set_defaults(command=show)

    stop = verbs.add_parser("down", parents=[common], help="remove nodes")
    stop.add_argument("nodes", nargs="*", help="only these (default: all of the cluster)")
    stop.set_defaults(command=down)
    return parser


if __name__ == "__main__":
    sys.exit(main())
