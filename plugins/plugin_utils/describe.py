# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A DaemonSet as ``kubectl describe daemonset`` prints it, and then its nodes one by one, which no pod does here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .plan import NOT_SELECTED, UP_TO_DATE, DaemonSetPlan, Entry
from .pod_template import NONE, pairs, tabbed, template_lines, titled
from .selectors import selector_from_object
from .status import status
from .table import fitted, human_duration, listed
from .words import LISTED, names, nodes_of, printable

HIDDEN_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
EVENTS = 40  # so many are shown
LOGS = 5  # of so many nodes that are not right the last log lines are shown
INDENT = "  "

Details = Mapping[str, Any]  # of one DaemonSet on one node, see details.py


@dataclass(frozen=True)
class Found:
    """What the nodes told about one DaemonSet."""

    running: int  # instances that run, ready or not
    details: Mapping[str, Details]  # by node
    now: float  # seconds since the epoch


def description(manifest: Mapping[str, Any], daemonset: DaemonSetPlan, found: Found, width: int | None = None) -> str:
    """``manifest``: the DaemonSet's object as it was loaded. ``width``: of the terminal, None if there is none."""
    inner = None if width is None else width - len(INDENT)
    blocks = [
        tabbed([*_head(manifest, daemonset, found), *template_lines(manifest["spec"]["template"])]),
        *_events(found, inner),
        *_nodes(daemonset.entries, inner),
        *_logs(daemonset.entries, found),
    ]
    return "\n".join(blocks)


def _head(manifest: Mapping[str, Any], daemonset: DaemonSetPlan, found: Found) -> Iterator[str]:
    settings, counted = daemonset.settings, status(daemonset)
    metadata, spec = manifest["metadata"], manifest["spec"]
    annotations = {key: text for key, text in metadata.get("annotations", {}).items() if key != HIDDEN_ANNOTATION}
    yield f"Name:\t{settings.name}"
    yield f"Namespace:\t{settings.namespace}"
    yield f"Selector:\t{selector_from_object(spec['selector']) or NONE}"
    yield from titled("Node-Selector", [",".join(f"{key}={value}" for key, value in settings.node_selector) or NONE])
    yield from pairs("Labels", metadata.get("labels", {}))
    yield from pairs("Annotations", annotations, separator=": ")
    yield from titled("Revision", _revisions(daemonset.entries))
    paused = next((entry.paused for entry in daemonset.entries if entry.paused), "")
    if paused:
        yield f"Paused:\tby {paused}"
    yield f"Desired Number of Nodes Scheduled: {counted.desired}"
    yield f"Current Number of Nodes Scheduled: {counted.current}"
    yield f"Number of Nodes Scheduled with Up-to-date Pods: {counted.updated}"
    yield f"Number of Nodes Scheduled with Available Pods: {counted.available}"
    yield f"Number of Nodes Misscheduled: {counted.misscheduled}"
    waiting = sum(entry.present for entry in daemonset.entries) - found.running
    yield f"Pods Status:\t{found.running} Running / {waiting} Waiting / 0 Succeeded / 0 Failed"


def _revisions(entries: Sequence[Entry]) -> list[str]:
    """``3 (1f2e3d4c5b6a)``; if the manifest is a template, the nodes share a number and have hashes of their own."""
    wanted = {entry.wanted: entry.number for entry in entries if entry.should_run and entry.number}
    if len(wanted) > 1:
        return [f"{max(wanted.values())} ({len(wanted)} different ones, for the manifest is a template)"]
    return [f"{number} ({hashed})" for hashed, number in wanted.items()]


# --------------------------------------------------------------------------------------------------------------- events


@dataclass
class _Event:
    """What was told in the same words, on however many nodes."""

    kind: str
    reason: str
    message: str
    nodes: list[str] = field(default_factory=list)
    count: int = 0
    first: float = 0.0
    last: float = 0.0

    def add(self, node: str, event: Mapping[str, Any]) -> None:
        first, last = _seconds(event["first"]), _seconds(event["at"])
        self.first, self.last = min(self.first or first, first), max(self.last, last)
        self.nodes.append(node)
        self.count += event["count"]

    def cells(self, now: float) -> tuple[str, ...]:
        age = human_duration(max(0.0, now - self.last))
        if self.count > len(self.nodes):
            age += f" (x{self.count} over {human_duration(max(0.0, now - self.first))})"
        return self.kind, self.reason, age, names(sorted(self.nodes), 3), self.message


def _events(found: Found, width: int | None) -> Iterator[str]:
    together: dict[tuple[str, str, str], _Event] = {}
    for node, details in found.details.items():
        for event in details.get("events", []):
            words = (event["type"], event["reason"], printable(event["message"]))
            together.setdefault(words, _Event(*words)).add(node, event)
    newest_last = sorted(together.values(), key=lambda event: event.last)
    if not newest_last:
        yield f"Events:  {NONE}"
        return
    left_out = len(newest_last) - EVENTS
    yield "Events:" if left_out <= 0 else f"Events (and {left_out} that are older):"
    header = ("Type", "Reason", "Age", "Node", "Message")
    rows = [header, tuple("-" * len(name) for name in header)]
    rows += [event.cells(found.now) for event in newest_last[-EVENTS:]]
    yield _indented(fitted(rows, width))


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


# ---------------------------------------------------------------------------------------------------------------- nodes


def _nodes(entries: Sequence[Entry], width: int | None) -> Iterator[str]:
    """All that are not right, and of those that are, as many as somebody reads."""
    concerned = [entry for entry in entries if _concerned(entry)]
    right = [entry for entry in concerned if entry.state == UP_TO_DATE]
    more = [entry.node for entry in right[LISTED:]] if len(right) > LISTED + 1 else []
    left_out = frozenset(more)
    shown = [entry for entry in concerned if entry.node not in left_out]
    if shown:
        yield "Nodes:"
        rows = [("Node", "State", "Restarts", "Age", "Revision", "Runtime", "Reason"), *map(_cells, shown)]
        if not any(entry.reason for entry in shown):
            rows = [row[:-1] for row in rows]
        yield _indented(fitted(rows, width))
    if more:
        yield f"{INDENT}and {nodes_of(len(more))} more, up to date: {names(more)}"
    others: dict[str, list[str]] = {}
    for entry in entries:
        if not _concerned(entry) and entry.state != NOT_SELECTED:
            others.setdefault(entry.reason, []).append(entry.node)
    if others:
        yield "Not on:"
        yield _indented(listed([(names(nodes), reason) for reason, nodes in others.items()], width))


def _concerned(entry: Entry) -> bool:
    return entry.should_run or entry.present or not entry.as_declared


def _cells(entry: Entry) -> tuple[str, ...]:
    there = entry.present
    return (
        entry.node,
        entry.state,
        str(entry.restarts) if there else "",
        human_duration(entry.age) if entry.age is not None else "",
        entry.revision or "",
        entry.runtime if there else "",
        printable(entry.reason),
    )


def _logs(entries: Sequence[Entry], found: Found) -> Iterator[str]:
    """What those said last that are there and not ready."""
    troubled = [entry.node for entry in entries if entry.present and not entry.ready]
    spoken = [node for node in troubled if found.details.get(node, {}).get("log")]
    for node in spoken[:LOGS]:
        yield f"Last log lines of {node}:"
        yield _indented("\n".join(_log_lines(found.details[node]["log"])))


def _log_lines(log: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for line in log:
        yield f"{line['at'][:19]}Z {line['container']} | {printable(line['line'])}"


def _indented(text: str) -> str:
    return "\n".join(INDENT + line if line else line for line in text.split("\n"))
