# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.declaration import (
    REPORT_FILES,
    drain_problems,
    key_of,
    name_problems,
    output_problems,
    question_problems,
    removal_problems,
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


def test_which_log_lines():
    assert question_problems({"since": "10m", "node_selector": "tier=web,disk!=hdd"}) == []
    since, selector = question_problems({"since": "soon", "node_selector": "a=b=c"})
    assert since.startswith('daemonset_since is "soon": expected a duration such as 10m')
    assert selector.startswith('daemonset_node_selector is "a=b=c": ')


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


def test_what_may_be_removed():
    assert removal_problems(["all", "monitoring"], "0") == []
    namespace, limit = removal_problems(["Attic"], "half")
    assert namespace.startswith('daemonset_prune: "Attic" is no namespace: ')
    assert limit == 'daemonset_max_removals is "half": expected a number, or a percentage such as 25%'


NODES = ("a", "b", "c", "d", "e")


def undrainable(nodes, limit="50%", in_play=NODES):
    return drain_problems({"ansible_play_hosts_all": in_play}, nodes, NODES, limit)


def test_who_may_be_drained():
    assert undrainable(["a", "b", "c"]) == []
    assert undrainable(NODES, limit="5") == []
    (nobody,) = undrainable([])
    assert nobody.startswith("say which node is meant: -e daemonset_node=NODE")
    (many,) = undrainable(["a", "b", "c", "d"])
    assert many.split("\n") == [
        "4 of 5 nodes would be drained: a, b, c, d",
        "  that is more than daemonset_max_removals=50% allows, which is 3; "
        "if it is meant, allow it with -e daemonset_max_removals=4",
    ]
    assert undrainable(["a", "b"], in_play=["b"]) == [
        "--limit or daemonset_hosts leaves a out, and -e daemonset_node names it",
    ]
