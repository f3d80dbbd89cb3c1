# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.declaration import (
    REPORT_FILES,
    key_of,
    name_problems,
    output_problems,
)


def test_names_with_and_without_a_namespace():
    assert key_of(" agent ") == ("default", "agent")
    assert key_of("kube-system/agent") == ("kube-system", "agent")


def test_names_that_a_daemonset_can_have():
    assert name_problems(["agent", "kube-system/agent.v2"]) == []


@pytest.mark.parametrize("name", ["", "Agent", "a/b/c", "../../etc", "kube.system/agent", "/agent", "agent/"])
def test_names_that_no_daemonset_can_have(name):
    (line,) = name_problems(["agent", name])
    assert line.startswith(f'"{name}" is no [NAMESPACE/]NAME of a DaemonSet: ')


def options(output="table", **files):
    return {"output": output, **dict.fromkeys(REPORT_FILES), **{name: str(path) for name, path in files.items()}}


def test_a_report_that_can_be_written(tmp_path):
    assert output_problems(options()) == []
    assert output_problems(options("json", output_file=tmp_path / "report.json")) == []


def test_a_report_that_cannot_be_written(tmp_path):
    kind, folder = output_problems(options("xml", output_file=tmp_path))
    assert kind == 'daemonset_output is "xml": expected table, wide, json or yaml'
    assert folder.endswith("is a folder, expected a file")
    (missing,) = output_problems(options(metrics_file=tmp_path / "nowhere" / "everynode.prom"))
    assert missing.startswith("daemonset_metrics_file: ")
    assert missing.endswith(f"there is no folder {tmp_path}/nowhere")
