# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judged entries → Kubernetes' DaemonSetStatus, and the JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .plan import MISSCHEDULED, OUTDATED, UNREACHABLE, UNUSABLE, DaemonSetPlan, Entry, Plan, Settings


@dataclass(frozen=True)
class Status:
    """The counters of DaemonSetStatus. Nodes that were not looked at count as desired and as nothing else."""

    desired: int
    current: int
    misscheduled: int
    ready: int
    available: int
    updated: int

    @property
    def unavailable(self) -> int:
        return self.desired - self.available

    def as_kubernetes(self) -> dict[str, int]:
        counters = {
            "currentNumberScheduled": self.current,
            "desiredNumberScheduled": self.desired,
            "numberAvailable": self.available,
            "numberMisscheduled": self.misscheduled,
            "numberReady": self.ready,
            "numberUnavailable": self.unavailable,
            "updatedNumberScheduled": self.updated,
        }
        if not self.unavailable:
            del counters["numberUnavailable"]  # `omitempty` in Kubernetes' API
        return counters


def status(daemonset: DaemonSetPlan) -> Status:
    """Count as the DaemonSet controller does (updateDaemonSetStatus): only eligible nodes, but for the misscheduled."""
    eligible = [entry for entry in daemonset.entries if entry.should_run]
    return Status(
        desired=len(eligible),
        current=sum(entry.present for entry in eligible),
        misscheduled=sum(entry.present and not entry.should_run for entry in daemonset.entries),
        ready=sum(entry.ready for entry in eligible),
        available=sum(entry.available for entry in eligible),
        updated=sum(entry.updated for entry in eligible),
    )


def needs_attention(entry: Entry) -> bool:
    """Whether something is left to wish for or to know on this node."""
    return not entry.as_declared or (entry.selected and entry.state in (OUTDATED, MISSCHEDULED))


def first_created(daemonset: DaemonSetPlan) -> Entry | None:
    """The entry whose instance is the oldest: the DaemonSet is as old as that, for nothing else says so."""
    aged = [entry for entry in daemonset.entries if entry.age is not None]
    return max(aged, key=lambda entry: entry.age or 0.0, default=None)


def unasked(plan: Plan) -> list[str]:
    """A line for each node that could not be looked at."""
    nodes = {
        entry.node: f"Nothing from {entry.node}, which is {entry.state}: {entry.reason}"
        for daemonset in plan.daemonsets
        for entry in daemonset.entries
        if entry.selected and entry.state in (UNREACHABLE, UNUSABLE)
    }
    return list(nodes.values())


Details = Mapping[str, Mapping[str, Mapping[str, Any]]]  # by node and by DaemonSet: details.py


def as_items(plan: Plan, details: Details | None = None) -> dict[str, Any]:
    """``{"items": [{"metadata": …, "status": …, "nodes": […]}]}``, one item a DaemonSet, JSON-safe."""
    return {"items": [_item(daemonset, details or {}) for daemonset in plan.daemonsets]}


def _item(daemonset: DaemonSetPlan, details: Details) -> dict[str, Any]:
    metadata = {"name": daemonset.settings.name, "namespace": daemonset.settings.namespace}
    oldest = first_created(daemonset)
    if oldest is not None and oldest.created is not None:
        created = datetime.fromtimestamp(oldest.created, UTC)
        metadata["creationTimestamp"] = created.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "metadata": metadata,
        **({} if daemonset.settings.deleted else {"spec": _spec(daemonset.settings)}),
        "status": status(daemonset).as_kubernetes(),
        "nodes": [
            {**_node(entry), **details.get(entry.node, {}).get(daemonset.settings.key, {})}
            for entry in daemonset.entries
        ],
    }


def _spec(settings: Settings) -> dict[str, Any]:
    """The part of Kubernetes' DaemonSetSpec that `kubectl get -o wide` shows."""
    containers = [{"name": name, "image": image} for name, image in settings.containers]
    pod = {"nodeSelector": dict(settings.node_selector), "containers": containers}
    return {"selector": dict(settings.selector), "template": {"spec": pod}}


def _node(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.node,
        "eligible": entry.should_run,
        "state": entry.state,
        "reason": entry.reason,
        "revision": entry.revision,
        "updatedRevision": entry.wanted,
        "number": (entry.number or None) if entry.wanted else None,
        "batch": None if entry.batch is None else entry.batch + 1,
        "runtime": entry.runtime or None,
        "ready": entry.ready,
        "available": entry.available,
        "restarts": entry.restarts,
    }
