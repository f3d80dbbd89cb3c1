# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs a DaemonSet on a node: systemd for host processes, the node's container engine for container images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..module_utils.observation import Facts
from .manifest.model import DaemonSet, image_runtime
from .manifest.schema import Engine, Runtime
from .scheduling import Node

ENGINES: Final[tuple[Engine, ...]] = ("docker", "podman")
TITLES: Final[Mapping[Engine, str]] = {"docker": "Docker", "podman": "Podman"}
VARIABLE = "daemonset_engine"
ROLE = "everynode.daemonset.engine"
IMAGE = "spec.template.spec.containers[0].image"


class NoEngine(ValueError):
    """A node that cannot run containers as it should; the text says why, and what to do."""


def engine_of(wish: str, there: Sequence[str], running: str = "") -> Engine:
    """The engine for a node's containers; raises NoEngine.

    ``wish``: what the inventory says, "" if nothing. ``there``: the engines that the node has. ``running``: what runs
    the instance now, which stays where it is if that is all the same.
    """
    found = [engine for engine in ENGINES if engine in there]
    if wish and wish not in found:
        has = f"only {TITLES[found[0]]}" if found else "no container engine"
        raise NoEngine(f"its {VARIABLE} is {wish}, but it has {has}; install that with the role {ROLE}, or change it")
    if not found:
        raise NoEngine(f"it has neither Docker nor Podman; install one with the role {ROLE}")
    return next((engine for engine in found if engine == (wish or running)), found[0])


def runtime_on(daemonset: DaemonSet, node: Node, facts: Facts, running: str = "") -> Runtime:
    """``systemd``, ``docker`` or ``podman``; raises NoEngine that names the node."""
    if is_host_process(daemonset):
        return "systemd"
    try:
        return engine_of(node.engine, facts.engines, running)
    except NoEngine as error:
        image = _first_container(daemonset)["image"]
        raise NoEngine(f'"{image}" is a container image, and {node.name} cannot run it: {error}') from None


def is_host_process(daemonset: DaemonSet) -> bool:
    """A pod is all of one kind, as the manifest was checked for."""
    return image_runtime(_first_container(daemonset)["image"]) == "systemd"


def _first_container(daemonset: DaemonSet) -> Mapping[str, Any]:
    first: Mapping[str, Any] = daemonset.pod_spec["containers"][0]
    return first
