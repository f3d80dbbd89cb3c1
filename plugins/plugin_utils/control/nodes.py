# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes of a run: inventory hosts by pattern, whatever --limit says, with the variables that make their labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.loader import lookup_loader

from ..engine import ENGINES, VARIABLE
from ..scheduling import InventoryError, Node, node_from_inventory
from .sources import words_of

_READ = ("node_labels", "node_taints", "node_unschedulable", VARIABLE)


def names_matching(pattern: str, groups: Mapping[str, list[str]], loader: Any) -> list[str]:
    """The hosts of a pattern in inventory order. --limit has no say, so that budgets count the whole inventory."""
    if pattern == "all":
        return list(groups["all"])
    lookup = lookup_loader.get("ansible.builtin.inventory_hostnames", loader=loader)
    matching = set(lookup.run([pattern], variables={"groups": groups}))
    return [name for name in groups["all"] if name in matching]


class Inventory:
    """Each node's own variables, looked up once: in Ansible that is the dear part."""

    def __init__(self, hostvars: Any) -> None:
        self._hostvars = hostvars
        self._known: dict[str, Any] = {}

    def variables(self, name: str) -> Mapping[str, Any]:
        """The variables of a host, templated as they are read."""
        if name not in self._known:
            self._known[name] = self._hostvars[name]
        return self._known[name]  # type: ignore[no-any-return]

    def raw_variables(self, name: str) -> dict[str, Any]:
        """The same variables untemplated, to render a whole file with."""
        return {**self._hostvars.raw_get(name), "hostvars": self._hostvars}

    def nodes(self, names: Iterable[str], arch: Mapping[str, str]) -> dict[str, Node]:
        """What the inventory says of the hosts; ``arch`` where it is known. Raises InventoryError with all errors."""
        nodes: dict[str, Node] = {}
        errors: list[str] = []
        for name in names:
            try:
                nodes[name] = node_of(name, self.variables(name), arch.get(name))
            except InventoryError as error:
                errors += error.errors
            except AnsibleError as error:
                errors.append(f"host {name}: {words_of(error)}")
        if errors:
            raise InventoryError(errors)
        return nodes


def templated(task_vars: Mapping[str, Any], templar: Any) -> dict[str, Any]:
    """What a task's own variables say of its host: unlike a host's variables they come as they were written."""
    return {
        name: templar.template(value) if name.startswith(_READ) else value
        for name, value in task_vars.items()
        if name.startswith(_READ) or name == "group_names"
    }


def node_of(name: str, variables: Mapping[str, Any], arch: str | None) -> Node:
    """One host's labels, taints and container engine out of its variables. Raises InventoryError."""
    errors: list[str] = []
    engine = variables.get(VARIABLE) or ""
    if engine and engine not in ENGINES:
        errors.append(f"host {name}: {VARIABLE} is {engine!r}, expected {' or '.join(ENGINES)}")
    try:
        node = node_from_inventory(name, variables, variables["group_names"], arch)
    except InventoryError as error:
        errors[:0] = error.errors
    if errors:
        raise InventoryError(errors)
    return replace(node, engine=str(engine))
