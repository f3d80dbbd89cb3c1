# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: quantity
short_description: Turn a Kubernetes quantity into a number
version_added: 0.1.0
author:
  - everynode contributors (@everynode)
description:
  - Reads an amount as manifests have it, such as V(200Mi) of memory or V(100m) of a CPU, and returns it as a whole
    number.
  - Mind that V(m) means a thousandth, V(k), V(M) and V(G) powers of 1000, and V(Ki), V(Mi) and V(Gi) powers of 1024.
  - What is not whole is rounded up, as Kubernetes does.
options:
  _input:
    description: The quantity. A plain number is one, too.
    type: raw
    required: true
  unit:
    description: What to count.
    type: str
    default: one
    choices:
      one: Whole units, such as bytes of memory.
      milli: Thousandths, such as millicores of a CPU.
"""

EXAMPLES = r"""
- name: Count bytes
  ansible.builtin.assert:
    that:
      - "'200Mi' | everynode.daemonset.quantity == 209715200"
      - "'1.5k' | everynode.daemonset.quantity == 1500"

- name: Count millicores
  ansible.builtin.assert:
    that:
      - "'0.25' | everynode.daemonset.quantity(unit='milli') == 250"
      - "2 | everynode.daemonset.quantity(unit='milli') == 2000"

- name: Give a service as much memory as the manifest allows it
  ansible.builtin.debug:
    msg: "MemoryMax={{ limits.memory | everynode.daemonset.quantity }}"
  vars:
    limits:
      memory: 512Mi
"""

RETURN = r"""
_value:
  description: The number, rounded up.
  type: int
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleTemplatePluginError
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.quantity import Quantity

UNITS: dict[str, Callable[[Quantity], int]] = {"one": Quantity.value, "milli": Quantity.milli}


def number(quantity: Any, unit: Any = "one") -> int:
    """Return a quantity as a whole number of units or thousandths; AnsibleTemplatePluginError for bad input."""
    if unit not in ("one", "milli"):
        raise AnsibleTemplatePluginError(f"quantity: unit must be one or milli, found {unit!r}")
    if not isinstance(quantity, (str, int, float)):
        raise AnsibleTemplatePluginError(
            f"quantity: a quantity is a string such as 200Mi, or a number; found {quantity!r}"
        )
    try:
        return UNITS[unit](Quantity.parse(quantity))
    except ValueError as error:
        raise AnsibleTemplatePluginError(f"quantity: {error}") from error


class FilterModule:
    """The filter quantity."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"quantity": number}
