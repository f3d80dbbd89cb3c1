# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In a play of the user's own: the role in batches, the module as a task, the filters and the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.nodes import Cluster, Node

from .evidence import changes, clean_up, differences, invocations, process, runs, standing, where_it_runs
from .playbook import Run, daemonset, play

NAMES = ("lodger", "guest")


@pytest.fixture(scope="module", autouse=True)
def nothing_left(cluster: Cluster, nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    clean_up(cluster, nodes, tmp_path_factory.mktemp("own-play"), NAMES)


def played(inventory: Path, book: Path, *plays: dict[str, Any], arguments: tuple[str, ...] = ()) -> Run:
    book.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, **one} for one in plays], sort_keys=False))
    return play(str(book), inventory, *arguments)


def lodger(colour: str) -> dict[str, Any]:
    return daemonset("lodger", {"nodeSelector": {"room": "free"}}, env=[{"name": "COLOUR", "value": colour}])


def rooms(nodes: list[Node]) -> dict[str, dict[str, Any]]:
    return {node.name: {"node_labels": {"room": "free"}} for node in nodes}


@pytest.mark.soak
def test_the_role_in_batches(nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> None:
    """Beside the play lies a manifest that is a template, which sees the variables of the play."""
    trio, book = nodes[:3], tmp_path / "site.yml"
    hosts = inventory(trio, host_vars=rooms(trio[:2]))
    (tmp_path / "lodger.yaml.j2").write_text(yaml.safe_dump(lodger("{{ colour }}")))
    role = {"role": "everynode.daemonset.daemonset", "vars": {"daemonset_manifests": ["lodger.yaml.j2"]}}

    def site(colour: str, *arguments: str) -> Run:
        return played(hosts, book, {"serial": 1, "vars": {"colour": colour}, "roles": [role]}, arguments=arguments)

    first = site("black")
    assert first.code == 0, first.output
    assert first.output.count("PLAY [all]") == 3
    assert where_it_runs(trio, "lodger") == [node.name for node in trio[:2]]
    assert changes(first) == {trio[0].name: 1, trio[1].name: 1, trio[2].name: 0}
    assert site("black").changed == 0

    before = standing(trio)
    told = site("blue", "--check", "--diff")
    assert differences(before, standing(trio)) == {}
    done = site("blue", "--diff")
    assert changes(told) == changes(done) == {trio[0].name: 1, trio[1].name: 1, trio[2].name: 0}
    assert "+COLOUR=blue" in told.output
    assert [process(node, "lodger")[1]["COLOUR"] for node in trio[:2]] == ["blue", "blue"]

    # What fails on the first host ends the play there, as in any play; the others keep what they have.
    broken = lodger("red")
    broken["spec"]["template"]["spec"]["containers"][0]["image"] = "host:///usr/bin/nonesuch"
    (tmp_path / "lodger.yaml.j2").write_text(yaml.safe_dump(broken))
    before = standing(trio)
    failed = site("red")
    assert failed.code != 0
    assert set(failed.recap) == {trio[0].name}
    assert "/usr/bin/nonesuch" in failed.output
    assert "Traceback" not in failed.output
    assert differences(before, standing(trio)) == {}

    role["vars"] = {"daemonset_name": "lodger", "daemonset_state": "absent"}
    gone = site("blue")
    assert gone.code == 0, gone.output
    assert where_it_runs(trio, "lodger") == []
    assert site("blue").changed == 0


def test_the_module_as_a_task(nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> None:
    pair, book = nodes[2:], tmp_path / "site.yml"
    node, other = pair
    hosts = inventory(pair, host_vars=rooms([node]))

    def task(*arguments: str, **options: Any) -> tuple[Run, dict[str, Any]]:
        """What the task registered, by host."""
        steps = [
            {"everynode.daemonset.instance": options, "register": "result"},
            {
                "ansible.builtin.copy": {
                    "content": "{{ result | to_json }}",
                    "dest": f"{tmp_path}/{{{{ inventory_hostname }}}}.json",
                },
                "delegate_to": "localhost",
                "vars": {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"},
                "check_mode": False,
                "diff": False,
            },
        ]
        done = played(hosts, book, {"tasks": steps}, arguments=arguments)
        assert done.code == 0, done.output
        return done, {one.name: json.loads((tmp_path / f"{one.name}.json").read_text()) for one in pair}

    before = standing(pair)
    _run, told = task("--check", manifests=lodger("black"))
    assert differences(before, standing(pair)) == {}
    _run, made = task(manifests=lodger("black"))
    assert runs(node, "lodger")
    assert not runs(other, "lodger")
    assert (told[node.name]["changed"], told[node.name]["actions"]) == (True, made[node.name]["actions"])
    assert (made[other.name]["changed"], made[other.name]["actions"]) == (False, [])
    (judged,) = made[other.name]["daemonsets"]
    assert (judged["eligible"], judged["reason"]) == (False, "nodeSelector wants room=free, the node has no label room")

    running = invocations([node], "lodger")
    _run, staged = task(manifests=lodger("blue"), state="staged")
    assert [action.split()[0] for action in staged[node.name]["actions"]] == ["write"]
    assert invocations([node], "lodger") == running
    revision = staged[node.name]["actions"][0].split()[-1]
    assert node.run(f"ls /var/lib/everynode/default/lodger/revisions/{revision}").stdout
    assert not task(manifests=lodger("blue"), state="staged")[1][node.name]["changed"]
    _run, switched = task(manifests=lodger("blue"))
    assert not [action for action in switched[node.name]["actions"] if action.startswith("write")]
    assert process(node, "lodger")[1]["COLOUR"] == "blue"
    assert not task(manifests=lodger("blue"))[1][node.name]["changed"]

    # Of several DaemonSets only the one that is meant.
    several = [lodger("blue"), daemonset("guest")]
    assert not task(manifests=several, name="lodger")[1][node.name]["changed"]
    assert where_it_runs(pair, "guest") == []
    _run, absent = task(name="lodger", state="absent")
    assert {name: result["changed"] for name, result in absent.items()} == {node.name: True, other.name: False}
    assert node.run("ls /var/lib/everynode", check=False).stdout == ""
    assert not task(name="lodger", state="absent")[1][node.name]["changed"]


def test_filters_and_the_test(nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> None:
    """As the README names them; no host is needed for any of it."""
    node = "{'name': inventory_hostname, 'labels': node_labels | default({}), 'taints': node_taints | default([])}"
    right = [
        "{'disk': 'ssd'} is everynode.daemonset.matches('disk in (ssd, nvme),!retired')",
        "{'disk': 'hdd'} is not everynode.daemonset.matches({'matchLabels': {'disk': 'ssd'}})",
        "'200Mi' | everynode.daemonset.quantity == 209715200",
        "'0.25' | everynode.daemonset.quantity(unit='milli') == 250",
        "'25%' | everynode.daemonset.scaled(10) == 3",
        f"({node} | everynode.daemonset.eligibility(lodger)).should_run == (inventory_hostname == 'node1')",
        f"({node} | everynode.daemonset.eligibility(lodger)).should_continue == (inventory_hostname != 'node3')",
    ]
    host_vars = rooms(nodes[:2])
    host_vars["node2"]["node_taints"] = [{"key": "a", "effect": "NoSchedule"}]
    tasks = [{"ansible.builtin.assert": {"that": right}}]
    book = tmp_path / "site.yml"
    hosts = inventory(nodes[:3], host_vars=host_vars)
    done = played(hosts, book, {"vars": {"lodger": lodger("black")}, "tasks": tasks})
    assert done.code == 0, done.output
    wrong = [{"ansible.builtin.debug": {"msg": "{{ '200Mo' | everynode.daemonset.quantity }}"}}]
    done = played(hosts, book, {"tasks": wrong})
    assert done.code != 0
    assert "did you mean 200M or 200Mi?" in done.output
    assert "Traceback" not in done.output
