# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user types, and what the terminal, the report and the exit code then say; held against the nodes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import Cluster, Node, ansible

from . import evidence
from .evidence import (
    actions,
    assert_clear,
    changes,
    clean_up,
    differences,
    invocations,
    runs,
    shown,
    standing,
    unit,
    where_it_runs,
)
from .playbook import SECONDS, Run, arguments_for, daemonset, play, write

NAMES = ("ledger", "quill", "archive/ledger")
SECRETS = ("h0rse-battery-staple", "c0rrect-horse-battery")
HEADER = "NAME     DESIRED   CURRENT   READY   UP-TO-DATE   AVAILABLE   NODE SELECTOR   AGE"


@pytest.fixture(scope="module", autouse=True)
def nothing_left(cluster: Cluster, nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    clean_up(cluster, nodes, tmp_path_factory.mktemp("commands"), NAMES)


def ledger(level: str, token: str) -> list[dict[str, Any]]:
    """A DaemonSet with configuration and a secret, in all the places where these can be.

    With level low there is a file more, and a file is a secret that with another level is none.
    """
    files = {"level": f"{level}\n"} | ({"retired": "old and grey\n"} if level == "low" else {})
    turned = {"configMap": {"name": "settings", "items": [{"key": "level", "path": "token"}]}}
    one = daemonset(
        "ledger",
        pod={
            "volumes": [
                {"name": "settings", "configMap": {"name": "settings"}},
                {"name": "keys", "secret": {"secretName": "keys"}},
                {"name": "turned", **({"secret": {"secretName": "keys"}} if level == "low" else turned)},
            ]
        },
        env=[
            {"name": "LEVEL", "value": level},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        ],
        volumeMounts=[
            {"name": "settings", "mountPath": "/mnt"},
            {"name": "keys", "mountPath": "/media"},
            {"name": "turned", "mountPath": "/srv"},
        ],
    )
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": files},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"token": token}},
        one,
    ]


def foretold_and_done(nodes: list[Node], verb: str, inventory: Path, **variables: Any) -> Run:
    return evidence.foretold_and_done(lambda: standing(nodes), SECRETS, verb, inventory, **variables)


def test_a_dry_run_tells_exactly_what_a_real_one_does(
    nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path
) -> None:
    pair = [nodes[0], nodes[-1]]
    first, second = pair[0].name, pair[1].name
    manifests = write(tmp_path / "ledger.yaml", *ledger("low", SECRETS[0]))

    made = foretold_and_done(pair, "apply", inventory(pair), daemonset_manifests=manifests)
    assert [runs(node, "ledger") for node in pair] == [True, True]
    assert '+ExecStart="/usr/bin/sleep" "infinity"' in made.output
    assert "+low" in made.output

    write(tmp_path / "ledger.yaml", *ledger("high", SECRETS[1]))
    changed = foretold_and_done(pair, "apply", inventory(pair), daemonset_manifests=manifests)
    lines = ["-low", "-old and grey", "-LEVEL=low", "+LEVEL=high", "-TOKEN=(secret, before)", "+TOKEN=(secret, after)"]
    lines += ["+(secret, after)"]
    assert {line: shown(changed).count(line) for line in lines} == dict.fromkeys(lines, 2)
    twice = ["+high", "-(secret, before)"]
    assert {line: shown(changed).count(line) for line in twice} == dict.fromkeys(twice, 4)

    # One is damaged, the other may not keep it.
    pair[0].run(f"systemctl stop {unit('ledger')}; echo '# mine' >>/etc/systemd/system/{unit('ledger')}")
    tainted = inventory(pair, host_vars={second: {"node_taints": [{"key": "broken", "effect": "NoExecute"}]}})
    mended = foretold_and_done(pair, "apply", tainted, daemonset_manifests=manifests)
    assert "-# mine" in shown(mended)
    assert [node.name for node in pair if runs(node, "ledger")] == [first]

    nothing = foretold_and_done(pair, "apply", tainted, daemonset_manifests=manifests)
    assert nothing.changed == 0
    assert actions(nothing) == {}
    assert shown(nothing) == []

    foretold_and_done(pair, "delete", inventory(pair), daemonset_manifests=manifests)
    assert [runs(node, "ledger") for node in pair] == [False, False]


@pytest.mark.soak
def test_limit_narrows_what_is_touched_and_not_what_a_percentage_is_of(
    nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path
) -> None:
    def quill(colour: str) -> str:
        one = daemonset("quill", env=[{"name": "COLOUR", "value": colour}])
        one["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] = "50%"
        return write(tmp_path / "quill.yaml", one)

    assert play("apply", inventory(), daemonset_manifests=quill("black")).code == 0
    limited, others = nodes[:2], nodes[2:]
    before, old = standing(others), invocations(limited, "quill")
    limit = ("--limit", ",".join(node.name for node in limited))
    done = play("apply", inventory(), *limit, daemonset_manifests=quill("blue"))
    assert done.code == 0, done.output
    # Two of the two at once, which is half of all four.
    assert f"replace, at most 2 at a time: {limited[0].name}, {limited[1].name}: " in done.output
    assert done.output.count("PLAY [Switch the outdated nodes, batch by batch]") == 1
    assert "4 of 4 nodes should run it (2 left out by --limit)" in done.output
    assert set(done.recap) == {node.name for node in limited}
    assert all(old[name] != new for name, new in invocations(limited, "quill").items())
    assert differences(before, standing(others)) == {}
    assert done.status["desiredNumberScheduled"] == 4
    assert {node["name"]: node["state"] for node in done.items[0]["nodes"]} == {
        **{node.name: "up to date" for node in limited},
        **{node.name: "outdated" for node in others},  # looked at, for the budget counts them
    }

    # Tags pick nothing out of a path that only makes sense as a whole.
    whole = play("apply", inventory(), "--tags", "nonesuch", daemonset_manifests=quill("blue"))
    assert whole.code == 0, whole.output
    assert {node.name for node in nodes if changes(whole)[node.name]} == {node.name for node in others}
    assert whole.status["updatedNumberScheduled"] == 4

    gone = play("delete", inventory(), *limit, daemonset_names="quill")
    assert gone.code == 0, gone.output
    assert where_it_runs(nodes, "quill") == [node.name for node in others]
    assert play("delete", inventory(), daemonset_names="quill").code == 0


def test_an_ordinary_user_with_sudo(nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> None:
    one = nodes[-1:]
    manifests = write(tmp_path / "ledger.yaml", *ledger("low", SECRETS[0]))
    done = play("apply", inventory(one, user="admin"), "-vvv", "--diff", daemonset_manifests=manifests)
    assert done.code == 0, done.output
    assert SECRETS[0] not in done.output
    assert runs(one[0], "ledger")
    # The same thing to whoever comes as root.
    again = play("apply", inventory(one), daemonset_manifests=manifests)
    assert (again.code, again.changed) == (0, 0), again.output
    by_hand = inventory(one, user="admin", host_vars={one[0].name: {"ansible_become": False}})
    refused = play("status", by_hand, daemonset_manifests=manifests)
    assert_clear(refused)
    assert "this node is unusable: looking at this node needs root: log in as root, or use become" in refused.output
    assert play("delete", by_hand, "-e", "ansible_become=true", daemonset_names="ledger").code == 0
    assert one[0].run("ls /var/lib/everynode", check=False).stdout == ""


def printed(verb: str, inventory: Path, *arguments: str, **variables: Any) -> tuple[int, str]:
    """The exit code and what goes to standard output, as a program gets it."""
    words = arguments_for(verb, *arguments, **variables)
    done = ansible.run("ansible-playbook", *words, inventory=inventory, timeout=SECONDS)
    return done.returncode, done.stdout


def table(output: str) -> list[str]:
    """The table's lines."""
    lines = output.splitlines()
    (start,) = (index for index, line in enumerate(lines) if line.startswith("NAME"))
    return list(takewhile(lambda line: not re.match(r"$|ok:|fatal:", line), lines[start:]))


STATUS_FIELDS = {
    "currentNumberScheduled",
    "desiredNumberScheduled",
    "numberAvailable",
    "numberMisscheduled",
    "numberReady",
    "updatedNumberScheduled",
}
NODE_FIELDS = {
    "name",
    "eligible",
    "state",
    "reason",
    "revision",
    "updatedRevision",
    "number",
    "batch",
    "runtime",
    "ready",
    "available",
    "restarts",
}


def test_plan_status_and_delete(nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> None:
    pair = nodes[1:3]
    first, second = (node.name for node in pair)
    labels = {first: {"node_labels": {"disk": "ssd"}}}
    hosts = inventory(pair, host_vars=labels)
    here = {
        "daemonset_manifests": write(tmp_path / "ledger.yaml", daemonset("ledger", {"nodeSelector": {"disk": "ssd"}}))
    }
    before = standing(pair)

    planned = play("plan", hosts, **here)
    assert planned.code == 0
    assert "default/ledger: 1 of 2 nodes should run it\n" in planned.output
    assert f"  create: {first}: there is no instance on this node\n" in planned.output
    code, output = printed("status", hosts, **here)
    assert code != 0
    assert table(output) == [
        HEADER,
        "ledger   1         0         0       0            0           disk=ssd        <unknown>",
    ]
    assert re.search(rf"^  {first} +ledger +missing +there is no instance on this node$", output, re.MULTILINE)
    assert differences(before, standing(pair)) == {}

    code, output = printed("apply", hosts, **here)
    assert code == 0, output
    header, row = table(output)
    assert header == HEADER
    assert re.fullmatch(r"ledger   1         1         1       1            1           disk=ssd        \d+s", row)
    assert "default/ledger: 1 of 2 nodes should run it; nothing to do\n" in play("plan", hosts, **here).output

    # Programs get JSON: on one line of standard output, or in a file, and then the terminal is for people.
    report = tmp_path / "report.json"
    code, output = printed("status", hosts, daemonset_output="json", **here)
    assert code == 0, output
    (line,) = (line for line in output.splitlines() if line.startswith("{"))
    code, output = printed("status", hosts, daemonset_output_file=str(report), **here)
    assert (code, table(output)[0]) == (0, HEADER)
    for text in (line, report.read_text()):
        data = json.loads(text)
        assert data.keys() == {"items"}
        (item,) = data["items"]
        assert item.keys() == {"metadata", "spec", "status", "nodes"}
        assert item["metadata"].keys() == {"name", "namespace", "creationTimestamp"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", item["metadata"]["creationTimestamp"])
        assert item["status"].keys() == STATUS_FIELDS
        assert item["status"] == dict.fromkeys(STATUS_FIELDS, 1) | {"numberMisscheduled": 0}
        assert [node.keys() for node in item["nodes"]] == [NODE_FIELDS] * 2
        assert [(node["name"], node["eligible"], node["state"]) for node in item["nodes"]] == [
            (first, True, "up to date"),
            (second, False, "not eligible"),
        ]
        assert item["nodes"][1]["reason"] == "nodeSelector wants disk=ssd, the node has no label disk"

    # What is not as declared: in the table, in the list, in the exit code; and status mends nothing.
    pair[0].run(f"systemctl stop {unit('ledger')}")
    before = standing(pair)
    broken = play("status", hosts, daemonset_output="table", **here)
    assert broken.code != 0
    assert broken.changed == 0
    assert re.search(r"^ledger   1         1         0       1            0 ", broken.output, re.MULTILINE)
    assert re.search(rf"^  {first} +ledger +damaged +{unit('ledger')} is stopped$", broken.output, re.MULTILINE)
    assert broken.status["numberUnavailable"] == 1
    planned = play("plan", hosts, **here)
    assert planned.code == 0
    assert f"  repair: {first}: {unit('ledger')} is stopped\n" in planned.output
    assert differences(before, standing(pair)) == {}

    # Another of the same name in another namespace is another one, and stays when this one goes.
    twin = daemonset("ledger")
    twin["metadata"]["namespace"] = "archive"
    assert play("apply", hosts, daemonset_manifests=[here["daemonset_manifests"], twin]).code == 0
    code, output = printed("status", hosts, daemonset_manifests=[here["daemonset_manifests"], twin])
    assert code == 0, output
    assert [line.split()[:7] for line in table(output)] == [
        ["NAMESPACE", "NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE"],
        ["archive", "ledger", "2", "2", "2", "2", "2"],
        ["default", "ledger", "1", "1", "1", "1", "1"],
    ]
    code, output = printed("delete", hosts, **here)
    assert code == 0, output
    assert 'daemonset.apps "ledger" deleted from default namespace' in output.splitlines()
    assert not runs(pair[0], "ledger")
    assert all(runs(node, "ledger", "archive") for node in pair)
    again = play("delete", hosts, daemonset_names=["ledger", "archive/ledger"])
    assert (again.code, changes(again)) == (0, {first: 1, second: 1}), again.output
    assert play("delete", hosts, daemonset_names="ledger,archive/ledger").changed == 0
