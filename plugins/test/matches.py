# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: matches
short_description: Test whether labels match a label selector
version_added: 0.1.0
author:
  - everynode contributors (@everynode)
description:
  - Selects by labels as Kubernetes does, with a selector of C(kubectl get -l) or a LabelSelector of a manifest.
  - V(!=) and V(notin) match labels without that key, too. All conditions must hold.
positional: selector
options:
  _input:
    description: The labels, a mapping of strings to strings.
    type: dict
    required: true
  selector:
    description:
      - A string such as V(disk=ssd,zone in (a,b\),!retired,cores>4). An empty one matches everything.
      - Or a mapping with V(matchLabels), V(matchExpressions) or both. An empty one matches everything, V(null) nothing.
    type: raw
    required: true
seealso:
  - plugin: everynode.daemonset.eligibility
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Do something on hosts with fast disks only
  ansible.builtin.debug:
    msg: This host has fast disks
  when: node_labels | default({}) is everynode.daemonset.matches('disk in (ssd, nvme),!retired')

- name: Test with a LabelSelector
  ansible.builtin.assert:
    that: labels is everynode.daemonset.matches(selector)
  vars:
    labels:
      app: fluentd
      tier: logging
    selector:
      matchLabels:
        app: fluentd
      matchExpressions:
        - key: tier
          operator: NotIn
          values: [frontend]
"""

RETURN = r"""
_value:
  description: Whether the labels match.
  type: bool
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleTemplatePluginError
from ansible_collections.everynode.daemonset.plugins.plugin_utils.selectors import (
    Selector,
    parse_selector,
    selector_from_object,
)


def _selector(selector: Any) -> Selector:
    if isinstance(selector, str):
        return parse_selector(selector)
    if selector is None or isinstance(selector, Mapping):
        return selector_from_object(selector)
    raise ValueError(f"a selector is a string or a mapping with matchLabels or matchExpressions, found {selector!r}")


def _check_labels(labels: Any) -> None:
    if not isinstance(labels, Mapping):
        raise ValueError(f"labels must be a mapping of strings to strings, found {labels!r}")
    for key, value in labels.items():
        if not isinstance(value, str):
            raise ValueError(f'label {key} must be a string, found {value!r}; write "{str(value).lower()}"')


def matches(labels: Any, selector: Any) -> bool:
    """Say whether labels match a selector in either form; AnsibleTemplatePluginError for bad input."""
    try:
        _check_labels(labels)
        return _selector(selector).matches(labels)
    except ValueError as error:
        raise AnsibleTemplatePluginError(f"matches: {error}") from error


class TestModule:
    """The test matches."""

    def tests(self) -> dict[str, Callable[..., Any]]:
        return {"matches": matches}
