# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics of a run on their real way: a file, a real node_exporter, a real Prometheus that scrapes it."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.nodes import Cluster, Node
from tests.nodes.cluster import CACHE
from tests.nodes.host import unpacked_program
from tests.nodes.node import free_port

from .evidence import clean_up, unit
from .playbook import daemonset, play, until, write

PROGRAMS = CACHE.parent / "programs"
NAME = "measured"


def program(package: str, name: str) -> str:
    return str(unpacked_program(package, f"/usr/bin/{name}", PROGRAMS / package))


class Prometheus:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, query: str) -> dict[str, str]:
        """The values of a query by the label that tells them apart, if there is one."""
        with urllib.request.urlopen(f"{self.url}/api/v1/query?query={urllib.parse.quote(query)}", timeout=10) as answer:
            found = json.load(answer)["data"]["result"]
        return {one["metric"].get("state", ""): one["value"][1] for one in found}

    def comes_to_say(self, query: str, value: str) -> None:
        def says() -> bool:
            try:
                return list(self.ask(query).values()) == [value]
            except OSError:
                return False

        until(says, 30)


@pytest.fixture
def metrics_file(tmp_path: Path) -> Path:
    (tmp_path / "textfiles").mkdir()
    return tmp_path / "textfiles" / "everynode.prom"


@pytest.fixture
def prometheus(tmp_path: Path, metrics_file: Path) -> Iterator[Prometheus]:
    scraped, port = free_port(), free_port()
    config = {
        "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"},
        "scrape_configs": [{"job_name": "node", "static_configs": [{"targets": [f"127.0.0.1:{scraped}"]}]}],
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    exporter = [
        program("prometheus-node-exporter", "prometheus-node-exporter"),
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={metrics_file.parent}",
        f"--web.listen-address=127.0.0.1:{scraped}",
    ]
    server = [
        program("prometheus", "prometheus"),
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with ExitStack() as stack:
        for command in (exporter, server):
            log = stack.enter_context((tmp_path / f"{Path(command[0]).name}.log").open("wb"))
            process = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path))
            stack.callback(process.kill)
        yield Prometheus(port)


def test_prometheus_knows_the_fleet(
    cluster: Cluster,
    nodes: list[Node],
    inventory: Callable[..., Path],
    tmp_path: Path,
    metrics_file: Path,
    prometheus: Prometheus,
) -> None:
    pair = nodes[:2]
    manifest = write(tmp_path / "manifest.yaml", daemonset(NAME))
    variables = {"daemonset_manifests": manifest, "daemonset_metrics_file": str(metrics_file)}
    try:
        done = play("apply", inventory(pair), **variables)
        assert done.code == 0, done.output
        check = [program("prometheus", "promtool"), "check", "metrics"]
        linted = subprocess.run(check, input=metrics_file.read_text(), capture_output=True, text=True, check=False)
        assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")
        of_ours = f'{{daemonset="{NAME}",namespace="default"}}'
        prometheus.comes_to_say(f"kube_daemonset_status_number_available{of_ours}", str(len(pair)))
        assert prometheus.ask("node_textfile_scrape_error") == {"": "0"}
        assert prometheus.ask(f"kube_daemonset_status_desired_number_scheduled{of_ours}") == {"": str(len(pair))}
        assert prometheus.ask("everynode_last_run_success") == {"": "1"}

        pair[0].run(f"systemctl stop {unit(NAME)}")
        assert play("status", inventory(pair), **variables).code != 0
        prometheus.comes_to_say("everynode_last_run_success", "0")
        assert prometheus.ask(f"kube_daemonset_status_number_unavailable{of_ours}") == {"": "1"}
        assert prometheus.ask(f'everynode_node_state{{node="{pair[0].name}"}}') == {"damaged": "1"}

        assert play("apply", inventory(pair), **variables).code == 0
        prometheus.comes_to_say("everynode_last_run_success", "1")
        write(tmp_path / "manifest.yaml", daemonset(NAME, image="nothing://"))
        assert play("apply", inventory(pair), **variables).code != 0
        prometheus.comes_to_say("everynode_last_run_success", "0")
        assert prometheus.ask(f"kube_daemonset_status_number_available{of_ours}") == {"": str(len(pair))}
    finally:
        clean_up(cluster, pair, tmp_path, [NAME])
