# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real nodes for the tests of this folder: started once for all of them, removed at the end.

With EVERYNODE_KEEP_NODES=1 they are still there afterwards (`python -m tests.nodes list --cluster tests`), and the next
run goes on with them. Where several workers share the tests (pytest -n 2), each has nodes of its own: those of the
clusters tests-gw0 and tests-gw1.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.nodes import Cluster, Node, NodeSpec, Registry
from tests.nodes.cluster import CACHE

from .control import Control

NODES = (
    NodeSpec("node1", "trixie"),
    NodeSpec("node2", "trixie"),
    NodeSpec("node3", "trixie"),
    NodeSpec("node4", "bookworm"),
)
ENGINE_NODES = (
    NodeSpec("docker1", "trixie", ("docker",)),
    NodeSpec("docker2", "bookworm", ("docker",)),
    NodeSpec("podman1", "trixie", ("podman",)),
    NodeSpec("podman2", "bookworm", ("podman",)),
)
TWO_ENGINE_NODES = (
    NodeSpec("both1", "trixie", ("docker", "podman")),
    NodeSpec("both2", "bookworm", ("docker", "podman")),
)
MANIFESTS = Path(__file__).resolve().parents[1] / "data" / "manifests"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    cluster = Cluster(f"tests-{worker}" if worker else "tests")
    yield cluster
    if not os.environ.get("EVERYNODE_KEEP_NODES"):
        cluster.down()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Workers that are interrupted leave everything behind: whoever started them takes it away."""
    if config.getoption("numprocesses", None) and not os.environ.get("EVERYNODE_KEEP_NODES"):
        for folder in CACHE.glob("tests-gw*"):
            Cluster(folder.name).down()


@pytest.fixture(scope="session")
def nodes(cluster: Cluster) -> list[Node]:
    """Three nodes of trixie and one of bookworm. A test leaves them running and without instances of its own."""
    return cluster.up(NODES)


@pytest.fixture(scope="session")
def control(cluster: Cluster) -> Control:
    """A node with an ansible-core of its own, from where the others can be reached."""
    (node,) = cluster.up([NodeSpec("control", "trixie", ("ansible",))])
    return Control(cluster, node)


@pytest.fixture(scope="session")
def engine_nodes(cluster: Cluster, registry: Registry, private_registry: Registry) -> list[Node]:
    """Docker and Podman on trixie and on bookworm; what they pull comes from `registry`, whatever the name says."""
    nodes = cluster.up(ENGINE_NODES)
    for node in nodes:
        registry.stand_in(node, manifest_images(), beside=[private_registry])
    return nodes


@pytest.fixture(scope="session")
def two_engine_nodes(cluster: Cluster, registry: Registry) -> list[Node]:
    """Docker and Podman on the same node, of trixie and of bookworm."""
    nodes = cluster.up(TWO_ENGINE_NODES)
    for node in nodes:
        registry.stand_in(node, manifest_images())
    return nodes


@pytest.fixture(scope="session")
def registry(cluster: Cluster) -> Registry:
    """Serves log-collector under the names of the manifests, and toolbox:1 and node-exporter:1 under their own."""
    registry = cluster.registry()
    for name in manifest_images():
        registry.push(cluster.container_image("log-collector"), name)
    for name in ("toolbox", "node-exporter"):
        registry.push(cluster.container_image(name), f"{name}:1")
    return registry


@pytest.fixture(scope="session")
def private_registry(cluster: Cluster) -> Registry:
    """Serves toolbox:1 to those who log in."""
    registry = cluster.registry("private", login=("robot", "open-sesame"))
    registry.push(cluster.container_image("toolbox"), "toolbox:1")
    return registry


def manifest_images() -> list[str]:
    """The images that the manifests of tests/data name."""
    daemonsets = [yaml.safe_load(path.read_text()) for path in sorted(MANIFESTS.glob("*.yaml"))]
    return [each["image"] for daemonset in daemonsets for each in daemonset["spec"]["template"]["spec"]["containers"]]


@pytest.fixture
def inventory(cluster: Cluster, nodes: list[Node], tmp_path: Path) -> Callable[..., Path]:
    """Writes an inventory of all nodes or some: inventory(nodes[:2], group_vars={"all": {...}}, user="admin")."""

    def write(members: list[Node] | None = None, **variables: object) -> Path:
        return cluster.write_inventory(members or nodes, path=tmp_path / "inventory.yml", **variables)  # type: ignore[arg-type]

    return write
