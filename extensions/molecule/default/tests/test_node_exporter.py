# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The node after a converge, as anybody who logs in would find it."""

from __future__ import annotations

from typing import Any

UNIT = "everynode.monitoring.node-exporter.service"


def test_the_instance_runs_and_starts_at_boot(host: Any) -> None:
    service = host.service(UNIT)
    assert service.is_running
    assert service.is_enabled


def test_there_is_exactly_one_instance(host: Any) -> None:
    assert len(host.process.filter(comm="prometheus-node")) == 1


def test_the_package_s_own_unit_does_not_run_beside_it(host: Any) -> None:
    assert not host.service("prometheus-node-exporter.service").is_running


def test_it_serves_metrics(host: Any) -> None:
    fetch = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9100/metrics').read().decode())"
    assert "node_load1" in host.check_output("python3 -c %s", fetch)


def test_it_does_not_run_as_root(host: Any) -> None:
    assert host.process.get(comm="prometheus-node").user == "nobody"
