# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which images go with which revisions: those that came with us, and that nobody needs any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.everynode.daemonset.plugins.module_utils import images, record


class Node:
    """Instances on a node with an engine that only tells what it was to forget."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.forgotten: list[str] = []
        self.there: dict[str, str] = {}  # the engine's images

    def begin(self, name: str, found: dict[str, str | None]) -> dict[str, str | None]:
        directory, held = self.root / "default" / name, self.load(name)
        directory.mkdir(parents=True, exist_ok=True)
        before = images.begin(held, "docker", found)
        record.save(str(directory), held)
        return before

    def load(self, name: str) -> dict[str, Any]:
        return record.load(str(self.root / "default" / name))

    def note(self, name: str, folder: str, ids: dict[str, str], before: dict[str, str]) -> None:
        directory, held = self.root / "default" / name, self.load(name)
        directory.mkdir(parents=True, exist_ok=True)
        images.note(str(directory), held, "docker", folder, ids, before)
        record.save(str(directory), held)

    def keep(self, name: str, *folders: str) -> list[str]:
        """What is forgotten, once only these revisions are left."""
        directory, held = self.root / "default" / name, self.load(name)
        self.forgotten.clear()
        images.forget(str(directory), held, set(folders))
        record.save(str(directory), held)
        return list(self.forgotten)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    node = Node(tmp_path)

    class Engine:
        def __init__(self, name: str) -> None:
            assert name == "docker"

        def image_id(self, reference: str) -> str | None:
            return node.there.get(reference)

        def forget_image(self, reference: str, identifier: str) -> None:
            node.forgotten.append(f"{reference} {identifier}")

        def forget_images(self, repository: str) -> None:
            node.forgotten.append(repository)

    monkeypatch.setattr(images, "ROOT", str(tmp_path))
    monkeypatch.setattr(images, "Engine", Engine)
    monkeypatch.setattr(images.engine, "in_use", lambda name: True)
    return node


def test_what_came_with_us_goes_with_the_last_revision_that_takes_it(node: Node) -> None:
    node.note("one", "r1", {"tool:1": "a"}, {})
    node.note("one", "r2", {"tool:2": "b"}, {"tool:1": "a"})
    node.note("one", "r3", {"tool:2": "b"}, {"tool:2": "b"})
    assert node.keep("one", "r3", "r2") == ["tool:1 a"]
    assert node.keep("one", "r3") == []
    assert node.keep("one") == ["tool:2 b"]


def test_what_was_there_before_stays(node: Node) -> None:
    node.note("one", "r1", {"tool:1": "a"}, {"tool:1": "a"})
    assert node.keep("one") == []


def test_a_name_that_we_gave_to_an_image_that_was_there_goes(node: Node) -> None:
    node.note("one", "r1", {"tool:1": "a"}, {"mine": "a"})
    assert node.keep("one") == ["tool:1 a"]


def test_a_name_that_has_moved_on_is_two_images(node: Node) -> None:
    node.note("one", "r1", {"tool": "a"}, {})
    node.note("one", "r2", {"tool": "b"}, {"tool": "a"})
    assert node.keep("one", "r2") == ["tool a"]
    assert node.keep("one") == ["tool b"]


def test_the_last_of_several_instances_takes_it_along(node: Node) -> None:
    node.note("one", "r1", {"tool:1": "a", "pause": ""}, {})
    node.note("two", "r1", {"tool:1": "a", "pause": ""}, {"tool:1": "a", "pause": ""})
    assert node.keep("one") == []
    assert node.keep("two") == ["tool:1 a", "pause"]


def test_what_a_killed_run_had_fetched_counts_as_fetched_by_us(node: Node) -> None:
    assert node.begin("agent", {"tool:1": None, "old:1": "x"}) == {"tool:1": None, "old:1": "x"}
    before = node.begin(
        "agent", {"tool:1": "y", "old:1": "x"}
    )  # the one before this was killed after it had fetched it
    assert before == {"tool:1": None, "old:1": "x"}


def test_what_a_killed_run_had_fetched_goes(node: Node) -> None:
    node.begin("agent", {"tool:1": None, "moved:1": "x", "old:1": "x", "pause": None, "their_pause": ""})
    node.there = {"tool:1": "y", "moved:1": "z", "old:1": "x"}
    assert sorted(node.keep("agent")) == ["moved:1 z", "pause", "tool:1 y"]
    assert node.load("agent")["fetching"] == {}
    assert node.keep("agent") == []


def test_what_a_killed_run_had_fetched_stays_for_whoever_takes_it(node: Node) -> None:
    node.note("other", "a.docker", {"tool:1": "y", "pause": ""}, {})
    node.note("agent", "a.docker", {"mine:1": "z"}, {})
    node.begin("agent", {"tool:1": None, "pause": None, "mine:1": None})
    node.there = {"tool:1": "y", "mine:1": "z"}
    assert node.keep("agent", "a.docker") == []
