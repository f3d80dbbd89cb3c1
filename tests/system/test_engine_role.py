# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role everynode.daemonset.engine on bare nodes: what it installs runs containers.

The tests go on from one another, from the check on a fresh node to the run that changes nothing.
"""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes import Cluster, Node, NodeSpec

from .playbook import Run, play, until

pytestmark = pytest.mark.soak  # four nodes install an engine each

PLAY = """
- hosts: all
  gather_facts: false
  roles:
    - everynode.daemonset.engine
"""
SUITES = ("trixie", "bookworm")
ENGINES = ("docker", "podman")
SEARCHED = ["registry.example.test", "other.example.test"]


@pytest.fixture(scope="module")
def bare(cluster: Cluster) -> Iterator[dict[str, Node]]:
    """Nodes of their own, because an engine is not taken away again; a name is the suite and the engine to be."""
    own = Cluster(f"{cluster.name}-engine-role")
    own.down()
    names = [(f"{suite}-{engine}", suite) for suite in SUITES for engine in ENGINES]
    yield {node.name: node for node in own.up(NodeSpec(*name) for name in names)}
    if not os.environ.get("EVERYNODE_KEEP_NODES"):
        own.down()


@pytest.fixture(scope="module")
def estate(bare: dict[str, Node], cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    own = Cluster(f"{cluster.name}-engine-role")
    wanted: dict[str, dict[str, object]] = {name: {"engine_name": name.partition("-")[2]} for name in bare}
    wanted["trixie-podman"]["engine_podman_search_registries"] = SEARCHED
    folder = tmp_path_factory.mktemp("engine-role")
    folder.joinpath("engine.yml").write_text(PLAY)
    return own.write_inventory(list(bare.values()), path=folder / "inventory.yml", host_vars=wanted)


def served(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read(), "utf-8")
    except OSError:
        return ""


@pytest.fixture(scope="module")
def installed(estate: Path) -> Run:
    return play(str(estate.with_name("engine.yml")), estate)


def test_a_check_says_what_would_come_and_leaves_it_at_that(estate: Path, bare: dict[str, Node]) -> None:
    run = play(str(estate.with_name("engine.yml")), estate, "--check", "--limit=trixie-*")
    assert run.code == 0, run.output
    assert {host: counts["changed"] for host, counts in run.recap.items()} == {"trixie-docker": 1, "trixie-podman": 1}
    for host in run.recap:
        assert bare[host].run("command -v docker podman", check=False).stdout == ""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("suite", SUITES)
def test_a_container_runs(installed: Run, cluster: Cluster, bare: dict[str, Node], suite: str, engine: str) -> None:
    assert installed.code == 0, installed.output
    node = bare[f"{suite}-{engine}"]
    image = cluster.container_image("toolbox")
    node.write("/root/toolbox.tar", b"".join(cluster.client.images.get(image).save(named=True)))
    node.run(f"{engine} load --input /root/toolbox.tar")
    # Networks and published ports take more packages than the engine itself.
    node.run(f"{engine} run --detach --publish 8080:80 {image} httpd -f -h /etc")
    until(lambda: "root:" in served(f"http://{node.address}:8080/passwd"), 10)


def test_docker_comes_back_at_boot(installed: Run, bare: dict[str, Node]) -> None:
    assert bare["trixie-docker"].run("systemctl is-enabled docker").stdout == "enabled\n"


def test_podman_looks_where_it_is_told(installed: Run, bare: dict[str, Node]) -> None:
    searched = "podman info --format '{{range .Registries.search}}{{.}} {{end}}'"
    assert bare["trixie-podman"].run(searched).stdout.split() == SEARCHED
    assert "registries.conf.d/50-everynode.conf" not in bare["bookworm-podman"].run("find /etc/containers").stdout


def test_a_second_run_changes_nothing(installed: Run, estate: Path) -> None:
    run = play(str(estate.with_name("engine.yml")), estate)
    assert (run.code, run.changed) == (0, 0), run.output
