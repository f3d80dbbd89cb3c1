# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order the nodes of a rollout are switched: steps, and batches within them.

Pure. A step of a rollout is called a wave here, for a step is what is due on one node: the canary, if there is one,
then those of everynode/steps, then the rest. How far a rollout has come is never stored: it is counted on the nodes.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from .judgement import CREATE, REPAIRS, SWITCH, Entry
from .policy import ALL, Policy, Step

CANARY = "canary"


@dataclass(frozen=True)
class Wave:
    name: str  # CANARY, or the step as it was written: "10%"
    target: int  # how many eligible nodes are updated when it is completed; of the canary: one of so many kinds
    bake: int = 0  # seconds that they must stay available before the next one
    pause: bool = False  # whether the next one waits for `resume`, which has not come yet
    completed: bool = False  # whether so many are updated and available now

    @property
    def title(self) -> str:
        return "the canary" if self.name == CANARY else f"step {self.name}"


def waves_of(policy: Policy, entries: Sequence[Entry]) -> tuple[Wave, ...]:
    """All waves of a DaemonSet, in their order; the last one is of all eligible nodes.

    A kind of nodes of which none can be switched now (unreachable, held, failed) has no canary to wait for.
    """
    eligible = [entry for entry in entries if entry.should_run]
    done = [entry for entry in eligible if entry.updated and entry.available]
    passed = max((entry.passed for entry in entries), default=0)
    waves = []
    if policy.canary is not None:
        open_kinds = {entry.kind for entry in eligible if entry.phase} - {entry.kind for entry in done}
        kinds = len({entry.kind for entry in eligible})
        waves.append(Wave(CANARY, kinds, policy.canary.bake, policy.canary.pause, not open_kinds))
    target = 0
    for step in _up_to_all(policy.steps):
        target = max(target, step.target(len(eligible)))
        pause = step.pause and target < len(eligible)  # after all nodes there is nothing to wait with
        waves.append(Wave(str(step.nodes), target, step.bake, pause, len(done) >= target))
    return tuple(replace(wave, pause=wave.pause and index >= passed) for index, wave in enumerate(waves))


def _up_to_all(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    return steps if steps and steps[-1].nodes == ALL else (*steps, Step(ALL))


def in_waves(waves: Sequence[Wave], entries: Sequence[Entry]) -> list[Entry]:
    """Say of each entry that is to be switched which wave it belongs to. What is damaged comes first in its wave.

    When the first batch begins, the phase CREATE has made everything in it available, or has halted the rollout.
    """
    settled = [entry for entry in entries if _is_settled(entry)]
    pending = sorted((entry for entry in entries if entry.phase == SWITCH), key=lambda entry: entry.step not in REPAIRS)
    first = 1 if waves[0].name == CANARY else 0
    canaries = _first_of_each_kind(pending, {entry.kind for entry in settled}) if first else []
    chosen = {entry.node: 0 for entry in canaries}
    others = [entry for entry in pending if entry.node not in chosen]
    wave = first
    for count, entry in enumerate(others, sum(map(_takes_a_place, entries)) + len(canaries) + 1):
        while waves[wave].target < count:
            wave += 1
        chosen[entry.node] = wave
    return [replace(entry, wave=chosen[entry.node]) if entry.phase == SWITCH else entry for entry in entries]


def _is_settled(entry: Entry) -> bool:
    """Whether it is updated when the first batch begins."""
    return entry.should_run and (entry.phase == CREATE or (entry.updated and entry.available and entry.phase != SWITCH))


def _takes_a_place(entry: Entry) -> bool:
    """Whether it counts for the steps before any batch: also one that is updated, and may be available any moment."""
    return entry.should_run and (entry.phase == CREATE or (entry.updated and entry.phase != SWITCH))


def _first_of_each_kind(pending: Sequence[Entry], known: set[str]) -> list[Entry]:
    first = {entry.kind: entry for entry in reversed(pending) if entry.kind not in known}
    return [entry for entry in pending if first.get(entry.kind) is entry]


def bake_left(waves: Sequence[Wave], entries: Sequence[Entry], min_ready_seconds: int) -> float:
    """Seconds that what is updated must stay available before the first batch: an earlier run may have been killed."""
    begun = min((entry.wave for entry in entries if entry.phase == SWITCH), default=0)
    settled = [entry for entry in entries if _is_settled(entry)]
    left = 0.0
    for wave in waves[:begun]:
        ages = _ages(settled, wave.name == CANARY, min_ready_seconds)
        if wave.bake and ages:
            left = max(left, wave.bake - ages[min(wave.target, len(ages)) - 1])
    return left


def _ages(settled: Sequence[Entry], by_kind: bool, min_ready_seconds: int) -> list[float]:
    """For how many seconds they have been available, the oldest first; by kind: the oldest of each."""
    oldest: dict[str, float] = {}
    for entry in settled:
        key = entry.kind if by_kind else entry.node
        age = (entry.ready_for or 0.0) - min_ready_seconds if entry.available and entry.phase != CREATE else 0.0
        oldest[key] = max(oldest.get(key, 0.0), age)
    return sorted(oldest.values(), reverse=True)


class Completion(NamedTuple):
    """A wave that is completed with a batch, and what follows before the next one."""

    daemonset: str  # NAMESPACE/NAME
    wave: int  # its place among the DaemonSet's steps
    bake: int  # seconds
    pause: bool


def completions(
    daemonset: str, waves: Sequence[Wave], entries: Sequence[Entry], batches: int
) -> list[list[Completion]]:
    """For each of so many batches, what one DaemonSet completes with it."""
    found: list[list[Completion]] = [[] for _number in range(batches)]
    switched = [entry for entry in entries if entry.batch is not None]
    if not switched:
        return found
    last_of_wave: dict[int, int] = {}
    for entry in switched:
        last_of_wave[entry.wave] = max(last_of_wave.get(entry.wave, 0), entry.batch or 0)
    reached = sum(map(_takes_a_place, entries)) + len(switched)
    begun = min(last_of_wave)
    batch = 0
    for index, wave in enumerate(waves[begun:], begun):
        if wave.name != CANARY and wave.target > reached:
            break
        batch = last_of_wave.get(index, batch)  # it may need no node of its own
        found[batch].append(Completion(daemonset, index, wave.bake, wave.pause))
    return found


class Turn(NamedTuple):
    """When a node may be switched for a DaemonSet: after all earlier waves, never beside another topology value."""

    node: str
    wave: int
    topology: str


def turns(entries: Sequence[Entry]) -> list[Turn]:
    """One DaemonSet's nodes in the order of their turns: wave by wave, in each what is damaged first, rack by rack."""
    pending = [entry for entry in entries if entry.phase == SWITCH]
    rank = {topology: index for index, topology in enumerate(dict.fromkeys(entry.topology for entry in pending))}
    pending.sort(key=lambda entry: (entry.wave, entry.step not in REPAIRS, rank[entry.topology]))
    return [Turn(entry.node, entry.wave, entry.topology) for entry in pending]


class Packing(NamedTuple):
    batches: tuple[tuple[str, ...], ...]
    left: frozenset[tuple[int, str]]  # (DaemonSet, node) whose turn cannot come beside those of other DaemonSets


def pack(queues: Sequence[Sequence[Turn]], rooms: Sequence[int]) -> Packing:
    """Put each node into one batch, the first that suits all its DaemonSets.

    ``queues`` and ``rooms`` are by DaemonSet: its turns, and how many of them a batch may have. A node waits until the
    earlier waves of all its DaemonSets are placed. If DaemonSets wait for each other, the later one of them gives way,
    with all of its later waves: those may not come before the node that is left.
    """
    tracks = [_Track(queue, room) for queue, room in zip(queues, rooms, strict=True)]
    by_node: dict[str, dict[int, Turn]] = {}
    for index, queue in enumerate(queues):
        for turn in queue:
            by_node.setdefault(turn.node, {})[index] = turn
    nodes = list(by_node)
    order = {node: number for number, node in enumerate(nodes)}
    batches: list[list[str]] = []
    left: set[tuple[int, str]] = set()
    ready: list[int] = []  # a heap of the numbers of those whose turn it is

    def call(candidates: Iterable[str]) -> None:
        for node in candidates:
            if all(turn.wave == tracks[index].wave for index, turn in by_node[node].items()):
                heapq.heappush(ready, order[node])

    call(nodes)
    while by_node:
        if not ready:
            for index, node in _giving_way(tracks, by_node):
                left.add((index, node))
                tracks[index].forget(by_node[node].pop(index))
                if not by_node[node]:
                    del by_node[node]
            call(by_node)
            continue
        node = nodes[heapq.heappop(ready)]
        its_turns = by_node.pop(node)
        batch = max(tracks[index].first_room(turn.topology) for index, turn in its_turns.items())
        while not all(tracks[index].has_room(batch, turn.topology) for index, turn in its_turns.items()):
            batch += 1
        batches += [[] for _number in range(batch + 1 - len(batches))]
        batches[batch].append(node)
        for index, turn in its_turns.items():
            if tracks[index].put(batch, turn):
                call(tracks[index].waiting)
    return Packing(tuple(map(tuple, batches)), frozenset(left))


def _giving_way(tracks: Sequence[_Track], by_node: Mapping[str, Mapping[int, Turn]]) -> list[tuple[int, str]]:
    """The (DaemonSet, node) that give way to the first DaemonSet that waits for others, whose nodes all do."""
    first = next(track for track in tracks if track.waiting)
    node = next(iter(first.waiting))
    way: dict[tuple[int, str], None] = {}
    for index, turn in by_node[node].items():
        if turn.wave != tracks[index].wave:
            way[index, node] = None
            way.update(((index, later), None) for later in tracks[index].after(turn.wave))
    return list(way)


class _Track:
    """The turns of one DaemonSet that are not placed yet, and what it has of each batch."""

    def __init__(self, queue: Sequence[Turn], room: int) -> None:
        self._room = room
        self._waves: dict[int, dict[str, None]] = {}
        for turn in queue:
            self._waves.setdefault(turn.wave, {})[turn.node] = None
        self.wave = min(self._waves, default=0)
        self._used: list[int] = []  # how many of its nodes each batch has
        self._topology: list[str] = []  # the value that they have
        self._begin_wave()

    def _begin_wave(self) -> None:
        """In batches after all of the waves before."""
        self._untouched = len(self._used)
        self._first: dict[str, int] = {}

    @property
    def waiting(self) -> Mapping[str, None]:
        """The nodes of the current wave."""
        return self._waves.get(self.wave, {})

    def after(self, wave: int) -> list[str]:
        return [node for number, nodes in self._waves.items() if number > wave for node in nodes]

    def has_room(self, batch: int, topology: str) -> bool:
        if batch >= len(self._used) or not self._used[batch]:
            return True
        return self._used[batch] < self._room and self._topology[batch] == topology

    def first_room(self, topology: str) -> int:
        """Each value's search goes on where its last one ended, so all of them together are linear."""
        while self._untouched < len(self._used) and self._used[self._untouched]:
            self._untouched += 1
        batch = self._first.get(topology, self._untouched)
        while not self.has_room(batch, topology):
            batch += 1
        self._first[topology] = batch
        return batch

    def put(self, batch: int, turn: Turn) -> bool:
        """Whether that was the last one of its wave."""
        missing = batch + 1 - len(self._used)
        self._used += [0] * missing
        self._topology += [""] * missing
        self._used[batch] += 1
        self._topology[batch] = turn.topology
        self.forget(turn)
        if self.wave in self._waves:
            return False
        self.wave = min(self._waves, default=0)
        self._begin_wave()
        return True

    def forget(self, turn: Turn) -> None:
        del self._waves[turn.wave][turn.node]
        if not self._waves[turn.wave]:
            del self._waves[turn.wave]
