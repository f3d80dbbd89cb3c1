# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""history, undo, restart, pause, resume and rollout_status, as kubectl has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import Cluster, Node

from .evidence import clean_up, invocations
from .playbook import Run, begin, daemonset, play, until

NAME = "annal"


@pytest.fixture(scope="module", autouse=True)
def nothing_left(cluster: Cluster, nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    clean_up(cluster, nodes, tmp_path_factory.mktemp("history"), (NAME,))


@pytest.fixture
def pair(nodes: list[Node]) -> list[Node]:
    return [nodes[0], nodes[-1]]


@pytest.fixture
def on(pair: list[Node], inventory: Callable[..., Path]) -> Callable[..., Run]:
    where = inventory(pair)
    return lambda verb, *objects, **variables: play(verb, where, daemonset_manifests=list(objects), **variables)


def annal(colour: str, **annotations: str) -> list[dict[str, Any]]:
    """A DaemonSet with a ConfigMap and a Secret that are of its colour too; one node at a time."""
    one = daemonset(
        NAME,
        {
            "terminationGracePeriodSeconds": 1,
            "volumes": [{"name": "paint", "configMap": {"name": "paint"}}],
        },
        {"kubernetes.io/change-cause": f"painted {colour} \\new", **annotations},
        image="host:///bin/sh",
        args=["-c", "cat /etc/paint/colour; echo $SECRET; sleep infinity"],
        env=[{"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "colour"}}}],
        volumeMounts=[{"name": "paint", "mountPath": "/etc/paint"}],
    )
    one["spec"]["updateStrategy"] = {"rollingUpdate": {"maxUnavailable": 1}}
    paint = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "paint"}, "data": {"colour": colour}}
    hidden = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hidden"}, "stringData": {"colour": colour}}
    return [one, paint, hidden]


def said(node: Node) -> list[str]:
    """What the process that runs now was given."""
    command = (
        f"journalctl --output=cat _SYSTEMD_INVOCATION_ID=$(systemctl show -P InvocationID everynode.default.{NAME})"
    )
    until(lambda: len(node.run(command).stdout.split()) > 1)
    return [word for word in node.run(command).stdout.split() if word in ("black", "blue", "green", "red")]


def table(run: Run) -> list[tuple[str, str, str]]:
    """Number, change cause, nodes."""
    assert run.code == 0, run.output
    return re.findall(r"^(\d+) +(.+?)  +(\d+) +[0-9a-f]{12}", run.output, re.MULTILINE)


def test_history_and_undo(pair: list[Node], on: Callable[..., Run]) -> None:
    for colour in ("black", "blue"):
        assert on("apply", *annal(colour)).code == 0
    told = on("history", *annal("blue"), daemonset_output="table")
    assert table(told) == [("1", r"painted black \new", "0"), ("2", r"painted blue \new", "2")]
    (item,) = told.items
    assert item["metadata"] == {"namespace": "default", "name": NAME}
    assert [one.keys() for one in item["revisions"]] == [{"revision", "changeCause", "hashes", "nodes"}] * 2
    assert item["revisions"][1]["nodes"] == [node.name for node in pair]

    back = on("undo", *annal("blue"))
    assert back.code == 0, back.output
    for node in pair:
        assert said(node) == ["black", "black"], "configuration and secrets come back together"
    assert table(on("history", *annal("blue"), daemonset_output="table")) == [
        ("2", r"painted blue \new", "0"),
        ("3", r"painted black \new", "2"),
    ]

    before = invocations(pair, NAME)
    again = on("apply", *annal("blue"))
    assert again.code != 0
    assert "it was undone" in again.output
    assert again.changed == 0
    assert invocations(pair, NAME) == before, "nothing rolls out by itself what somebody has undone"

    stopped, edited = pair
    stopped.run(f"systemctl stop everynode.default.{NAME}")
    edited.run(f"echo white >/var/lib/everynode/default/{NAME}/current/volumes/paint/colour")
    healed = on("apply", *annal("blue"))
    assert "it was undone" in healed.output
    assert healed.output.count("restored, revision") == 2, healed.output
    assert [said(node) for node in pair] == [["black", "black"]] * 2, "and what stands is kept as it is"
    assert invocations([edited], NAME)[edited.name] != before[edited.name]

    assert on("undo", *annal("blue"), daemonset_to_revision=2).code == 0
    assert [said(node) for node in pair] == [["blue", "blue"]] * 2
    assert on("apply", *annal("blue")).changed == 0
    unknown = on("undo", *annal("blue"), daemonset_to_revision=9)
    assert unknown.code != 0
    assert "unable to find specified revision 9 in history" in unknown.output


def test_no_more_history_than_wanted_is_kept(pair: list[Node], on: Callable[..., Run]) -> None:
    def forgetful(colour: str) -> list[dict[str, Any]]:
        one, *others = annal(colour)
        one["spec"]["revisionHistoryLimit"] = 0
        return [one, *others]

    for colour in ("red", "green"):
        assert on("apply", *forgetful(colour), daemonset_force=True).code == 0
    told = on("history", *forgetful("green"), daemonset_output="table")
    assert [(cause, count) for _number, cause, count in table(told)] == [(r"painted green \new", "2")]
    for node in pair:
        assert len(node.run(f"ls -A /var/lib/everynode/default/{NAME}/revisions").stdout.split()) == 1
    assert on("undo", *forgetful("green")).code != 0, "there is nothing to go back to"


def test_a_rolling_restart(pair: list[Node], on: Callable[..., Run]) -> None:
    assert on("apply", *annal("blue"), daemonset_force=True).code == 0
    before = invocations(pair, NAME)
    restarted = on("restart", *annal("green"))
    assert restarted.code == 0, restarted.output
    after = invocations(pair, NAME)
    assert all(after[node.name] != before[node.name] for node in pair)
    assert [said(node) for node in pair] == [["blue", "blue"]] * 2, "a restart rolls out nothing"
    assert on("apply", *annal("blue")).changed == 0


def test_pause_and_resume(pair: list[Node], on: Callable[..., Run], inventory: Callable[..., Path]) -> None:
    assert on("apply", *annal("blue"), daemonset_force=True).code == 0
    assert on("pause", *annal("blue")).code == 0
    held = on("apply", *annal("green"))
    assert held.code == 0, held.output
    assert held.changed == 0
    assert "the rollout is paused" in held.output
    waiting = begin("rollout_status", inventory(pair), daemonset_manifests=annal("green"), daemonset_deadline=100)
    resumed = on("resume", *annal("green"))
    assert resumed.code == 0, resumed.output
    assert [said(node) for node in pair] == [["green", "green"]] * 2
    assert waiting.wait(timeout=120) == 0
    assert on("rollout_status", *annal("green")).code == 0


def test_steps_wait_for_resume(pair: list[Node], on: Callable[..., Run]) -> None:
    steps = {"everynode/steps": "1 pause, 100%"}
    assert on("apply", *annal("green")).code == 0
    first = on("apply", *annal("red", **steps))
    assert first.code == 0, first.output
    assert sorted(said(node)[0] for node in pair) == ["green", "red"]
    assert on("apply", *annal("red", **steps)).changed == 0, "it waits until somebody resumes"
    assert on("resume", *annal("red", **steps)).code == 0
    assert [said(node)[0] for node in pair] == ["red", "red"]
