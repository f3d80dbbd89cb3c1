# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real nodes for the tests of this folder: started once for all of them, removed at the end.

With EVERYNODE_KEEP_NODES=1 they are still there afterwards (`python -m tests.nodes list --cluster tests`), and the next
run goes on with them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.nodes import Cluster, Node, NodeSpec

NODES = (
    NodeSpec("node1", "trixie"),
    NodeSpec("node2", "trixie"),
    NodeSpec("node3", "trixie"),
    NodeSpec("node4", "bookworm"),
)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster("tests")
    yield cluster
    if not os.environ.get("EVERYNODE_KEEP_NODES"):
        cluster.down()


@pytest.fixture(scope="session")
def nodes(cluster: Cluster) -> list[Node]:
    """Three nodes of trixie and one of bookworm. A test leaves them running and without instances of its own."""
    return cluster.up(NODES)


@pytest.fixture
def inventory(cluster: Cluster, nodes: list[Node], tmp_path: Path) -> Callable[..., Path]:
    """Writes an inventory of all nodes or some: inventory(nodes[:2], group_vars={"all": {...}}, user="admin")."""

    def write(members: list[Node] | None = None, **variables: object) -> Path:
        return cluster.write_inventory(members or nodes, path=tmp_path / "inventory.yml", **variables)  # type: ignore[arg-type]

    return write
