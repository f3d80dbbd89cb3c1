# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands, as Prometheus' text format: kube-state-metrics' names, and our own for nodes, rollouts and the run.

Pure. Only nodes of this run count: what --limit leaves out has its own run, or will be told of by the next whole one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from . import judgement, restraint
from .judgement import NOT_ELIGIBLE, Entry
from .plan import DaemonSetPlan, Plan
from .status import Status, first_created, status

GAUGE, COUNTER = "gauge", "counter"
OF_THE_RUN = "everynode_last_run_"
# Every state has its number, zero too, or an alert on one would have nothing to look at.
STATES = tuple(
    state
    for state in judgement.STATES
    if state not in (NOT_ELIGIBLE, judgement.NOT_SELECTED, judgement.ABSENT, judgement.DELETING, judgement.ORPHAN)
)


@dataclass(frozen=True)
class Run:
    """How the run went that found this."""

    ended: float  # seconds since the epoch
    seconds: float
    success: bool


@dataclass(frozen=True)
class Family:
    """All samples of one name."""

    name: str
    help: str
    samples: tuple[tuple[Mapping[str, str], float], ...]
    type: str = GAUGE

    def __str__(self) -> str:
        lines = [f"# HELP {self.name} {self.help}", f"# TYPE {self.name} {self.type}"]
        lines += [f"{self.name}{_labels(labels)} {_number(value)}" for labels, value in self.samples]
        return "\n".join(lines) + "\n"


# As kube-state-metrics names them; a DaemonSet's generation is unknown to a fleet without an API.
OF_KUBERNETES: tuple[tuple[str, str, Callable[[Status], int]], ...] = (
    ("current_number_scheduled", "Nodes that should run the daemon and do.", lambda counted: counted.current),
    ("desired_number_scheduled", "Nodes that should run the daemon.", lambda counted: counted.desired),
    ("number_available", "Nodes that should run the daemon and have it available.", lambda counted: counted.available),
    ("number_misscheduled", "Nodes that run the daemon and should not.", lambda counted: counted.misscheduled),
    ("number_ready", "Nodes that should run the daemon and have it ready.", lambda counted: counted.ready),
    (
        "number_unavailable",
        "Nodes that should run the daemon and do not have it available.",
        lambda counted: counted.unavailable,
    ),
    (
        "updated_number_scheduled",
        "Nodes that should run the daemon and have its newest revision.",
        lambda counted: counted.updated,
    ),
)


def metrics(plan: Plan, run: Run, halted: Collection[str] = ()) -> str:
    """``halted``: the NAMESPACE/NAME of the DaemonSets whose rollout this run had to halt."""
    standing = [_of_this_run(daemonset) for daemonset in plan.daemonsets if not daemonset.settings.deleted]
    families = [*_of_daemonsets(standing, halted), *_of_nodes(standing), *_of_run(run)]
    return "".join(str(family) for family in families if family.samples)


def refused(before: str, run: Run) -> str:
    """The same metrics as ``before``, told of a run that could not even begin to look."""
    kept = [line for line in before.splitlines(keepends=True) if not _name(line).startswith(OF_THE_RUN)]
    return "".join([*kept, *map(str, _of_run(run))])


def _name(line: str) -> str:
    return line.split()[2] if line.startswith("# ") else line


def _of_this_run(daemonset: DaemonSetPlan) -> DaemonSetPlan:
    return replace(daemonset, entries=tuple(entry for entry in daemonset.entries if entry.selected))


def _of_daemonsets(daemonsets: list[DaemonSetPlan], halted: Collection[str]) -> Iterator[Family]:
    def family(name: str, text: str, value: Callable[[DaemonSetPlan], float | None]) -> Family:
        values = [(_labels_of(daemonset), value(daemonset)) for daemonset in daemonsets]
        return Family(name, text, tuple((labels, number) for labels, number in values if number is not None))

    yield family("kube_daemonset_created", "When the oldest instance was made, in seconds since 1970.", _created)
    for name, text, counter in OF_KUBERNETES:
        yield family(f"kube_daemonset_status_{name}", text, partial(_counted, counter))
    yield family(
        "everynode_daemonset_nodes_not_as_declared",
        "Nodes where something is left to be done, or wrong.",
        lambda one: sum(not entry.as_declared for entry in one.entries),
    )
    yield Family(
        "everynode_daemonset_nodes",
        "Nodes by what stands there.",
        tuple(
            ({**_labels_of(one), "state": state}, sum(entry.state == state for entry in one.entries))
            for one in daemonsets
            for state in STATES
        ),
    )
    yield family("everynode_rollout_revision", "The number of the newest revision.", _newest)
    yield family(
        "everynode_rollout_failed_nodes",
        "Nodes where the newest revision failed, and is not tried again by itself.",
        lambda one: sum(entry.failed for entry in one.entries),
    )
    yield family(
        "everynode_rollout_halted",
        "Whether something that is wrong keeps nodes from being updated.",
        lambda one: one.settings.key in halted or any(entry.blocked for entry in one.entries),
    )
    yield family(
        "everynode_rollout_paused",
        "Whether the manifest, a step or a person keeps nodes from being updated.",
        lambda one: restraint.is_paused(one.settings, one.steps, one.entries),
    )


def _counted(counter: Callable[[Status], int], daemonset: DaemonSetPlan) -> float:
    return counter(status(daemonset))


def _created(daemonset: DaemonSetPlan) -> float | None:
    oldest = first_created(daemonset)
    return None if oldest is None or oldest.created is None else float(int(oldest.created))


def _newest(daemonset: DaemonSetPlan) -> float | None:
    return max((entry.number for entry in daemonset.entries if entry.should_run), default=None)


def _of_nodes(daemonsets: list[DaemonSetPlan]) -> Iterator[Family]:
    known = [(one, entry) for one in daemonsets for entry in one.entries if entry.state != NOT_ELIGIBLE]
    present = [(one, entry) for one, entry in known if entry.present]

    def family(name: str, text: str, value: Callable[[Entry], float], kind: str = GAUGE) -> Family:
        return Family(name, text, tuple((_labels_of(one, entry), value(entry)) for one, entry in present), kind)

    yield Family(
        "everynode_node_state",
        "What stands on a node.",
        tuple(({**_labels_of(one, entry), "state": entry.state}, 1) for one, entry in known),
    )
    yield Family(
        "everynode_instance_info",
        "What runs on a node.",
        tuple(
            ({**_labels_of(one, entry), "revision": entry.revision or "", "runtime": entry.runtime}, 1)
            for one, entry in present
        ),
    )
    yield family("everynode_instance_ready", "Whether the instance is ready.", lambda entry: entry.ready)
    yield family(
        "everynode_instance_available",
        "Whether the instance is ready, and has been for minReadySeconds.",
        lambda entry: entry.available,
    )
    yield family(
        "everynode_instance_restarts_total", "Restarts of the instance.", lambda entry: entry.restarts, COUNTER
    )


def _of_run(run: Run) -> Iterator[Family]:
    yield Family(f"{OF_THE_RUN}timestamp_seconds", "When the last run ended, since 1970.", (({}, run.ended),))
    yield Family(f"{OF_THE_RUN}duration_seconds", "How long it took.", (({}, run.seconds),))
    yield Family(f"{OF_THE_RUN}success", "Whether all went well and all is as declared.", (({}, run.success),))


def _labels_of(daemonset: DaemonSetPlan, entry: Entry | None = None) -> dict[str, str]:
    labels = {"namespace": daemonset.settings.namespace, "daemonset": daemonset.settings.name}
    return labels if entry is None else {**labels, "node": entry.node}


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
