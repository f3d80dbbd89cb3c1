# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Between two steps of a rollout, what is updated has to stay available for a while."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import Node

from .chaos import refused
from .playbook import Run, daemonset, play, until, write

pytestmark = pytest.mark.soak

NAME = "sourdough"
PROGRAM = "import time\nwhile True: time.sleep(60)"
SECONDS = 12


class Bakery:
    def __init__(self, nodes: list[Node], inventory: Path, folder: Path) -> None:
        self.nodes = nodes
        self._inventory = inventory
        self._folder = folder

    def apply(self, word: str, steps: str = "1 bake=12s") -> Run:
        args = ["-c", PROGRAM, NAME, word]
        manifest = daemonset(NAME, annotations={"everynode/steps": steps}, image="host:///usr/bin/python3", args=args)
        path = write(self._folder / f"{word}.yaml", manifest)
        return play("apply", self._inventory, daemonset_manifests=path)

    def delete(self) -> None:
        assert play("delete", self._inventory, daemonset_names=NAME).code == 0

    def words(self) -> list[str]:
        """What runs on each node."""
        found = [node.run(f"pgrep -af '{NAME} [a-z]+$'", check=False).stdout for node in self.nodes]
        return [commands.strip().rpartition(" ")[2] for commands in found]

    def age(self, node: Node) -> float:
        """For how many seconds it has been running there."""
        return float(node.run(f"ps -o etimes= -p $(pgrep -of '{NAME} [a-z]+$')").stdout)


@pytest.fixture(scope="module")
def bakery(nodes: list[Node], cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bakery]:
    folder = tmp_path_factory.mktemp("bakery")
    some = nodes[:3]
    bakery = Bakery(some, cluster.write_inventory(some, path=folder / "inventory.yml"), folder)
    yield bakery
    bakery.delete()


def test_the_next_step_begins_when_the_one_before_has_baked(bakery: Bakery) -> None:
    assert bakery.apply("rye").code == 0
    done = bakery.apply("oats")
    assert done.code == 0, done.output
    assert bakery.words() == ["oats"] * 3
    first, second, third = map(bakery.age, bakery.nodes)
    assert first - max(second, third) >= SECONDS
    assert re.search(
        r"^baking for 12s: what is updated has to stay available · about \d+ s left$", done.output, re.MULTILINE
    )
    assert "batch 2 of 2: node2, node3 · 1 of 3 updated · 0 failed · about " in done.output


def test_what_fails_while_it_bakes_halts_the_rollout_and_goes_back(bakery: Bakery) -> None:
    assert bakery.apply("rye", steps="100%").code == 0
    with ThreadPoolExecutor() as pool:
        run = pool.submit(bakery.apply, "oats")
        until(lambda: run.done() or bakery.words()[0] == "oats")
        until(lambda: run.done() or bakery.age(bakery.nodes[0]) > SECONDS / 2)
        # It comes back by itself, and between two looks nobody would see it.
        bakery.nodes[0].run(f"pkill -KILL -f '{NAME} oats$'")
        said = refused(run.result())
    assert re.search(r"node1: sourdough: it did not stay available while its step was baking: .*", said)
    assert "it went back to its former revision" in said
    assert bakery.words() == ["rye"] * 3
