# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: scaled
short_description: Turn a number or percentage into a number of nodes
version_added: 0.1.0
author:
  - everynode contributors (@everynode)
description:
  - Reads values such as V(maxUnavailable) of a DaemonSet. A whole number stays as it is, a percentage is taken of the
    total and rounded up, as Kubernetes does for DaemonSets.
  - The result may exceed the total.
positional: total
options:
  _input:
    description: A whole number, or a percentage such as V(25%). A number written as a string is refused.
    type: raw
    required: true
  total:
    description: The number of nodes that 100% means.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Take a quarter of ten nodes, rounded up
  ansible.builtin.assert:
    that:
      - "'25%' | everynode.daemonset.scaled(10) == 3"
      - "2 | everynode.daemonset.scaled(10) == 2"

- name: Tell how many hosts may be down at once
  ansible.builtin.debug:
    msg: "{{ '10%' | everynode.daemonset.scaled(groups['all'] | length) }} at a time"
"""

RETURN = r"""
_value:
  description: The number of nodes.
  type: int
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleTemplatePluginError
from ansible_collections.everynode.daemonset.plugins.plugin_utils.int_or_percent import scaled_value


def scaled(value: Any, total: Any) -> int:
    """Return a number as it is and a percentage of the total, rounded up; AnsibleTemplatePluginError for bad input."""
    if not isinstance(total, int) or isinstance(total, bool) or total < 0:
        raise AnsibleTemplatePluginError(f"scaled: the total must be a whole number of 0 or more, found {total!r}")
    try:
        return scaled_value(value, total)
    except ValueError as error:
        raise AnsibleTemplatePluginError(f"scaled: {error}") from error


class FilterModule:
    """The filter scaled."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"scaled": scaled}
