# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: eligibility
short_description: Tell whether a node runs a DaemonSet, and why not
version_added: 0.1.0
author:
  - everynode contributors (@everynode)
description:
  - Judges a node by node name, node selector, required node affinity, taints and tolerations, with the tolerations
    that every DaemonSet has by itself, exactly as the DaemonSet controller of Kubernetes does.
  - It only looks at what decides this; it does not check the rest of the DaemonSet.
positional: daemonset
options:
  _input:
    description:
      - The node, as a mapping with V(name) (needed) and any of V(labels) (a mapping), V(taints) (a list of mappings
        with V(key), V(value) and V(effect)), V(unschedulable) (a boolean) and V(groups) (a list of inventory groups).
      - As in an apply, the labels V(kubernetes.io/hostname), V(kubernetes.io/os) and V(group/<name>) are added to
        those given.
    type: dict
    required: true
  daemonset:
    description: A DaemonSet (a mapping with V(kind=DaemonSet)), or a pod spec such as its V(spec.template.spec).
    type: dict
    required: true
seealso:
  - plugin: everynode.daemonset.matches
    plugin_type: test
"""

EXAMPLES = r"""
- name: Tell which hosts get the daemon, and why the others do not
  ansible.builtin.debug:
    msg: "{{ verdict.should_run | ternary('runs it', verdict.reason) }}"
  vars:
    daemonset: "{{ lookup('ansible.builtin.file', 'fluentd.yaml') | from_yaml }}"
    node:
      name: "{{ inventory_hostname }}"
      labels: "{{ node_labels | default({}) }}"
      taints: "{{ node_taints | default([]) }}"
      groups: "{{ group_names }}"
    verdict: "{{ node | everynode.daemonset.eligibility(daemonset) }}"

- name: Judge a node by a node selector alone
  ansible.builtin.assert:
    that:
      - not verdict.should_run
      - verdict.reason == 'nodeSelector wants disk=ssd, the node has disk=hdd'
  vars:
    verdict: "{{ node | everynode.daemonset.eligibility(pod_spec) }}"
    node:
      name: web1
      labels:
        disk: hdd
    pod_spec:
      nodeSelector:
        disk: ssd
"""

RETURN = r"""
_value:
  description: The verdict.
  type: dict
  contains:
    should_run:
      description: Whether the node is to get an instance, if it has none.
      type: bool
    should_continue:
      description:
        - Whether an instance that runs on the node stays.
        - True while RV(_value.should_run) is false means that a taint of the effect V(NoSchedule) is not tolerated.
      type: bool
    reason:
      description: What does not match, in plain words. Empty if RV(_value.should_run) is true.
      type: str
  sample:
    should_run: false
    should_continue: true
    reason: taint dedicated=db:NoSchedule not tolerated
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleTemplatePluginError
from ansible_collections.everynode.daemonset.plugins.plugin_utils.scheduling import (
    Node,
    eligibility,
    node_from_inventory,
)

NODE_FIELDS = ("name", "labels", "taints", "unschedulable", "groups")

# What of a pod spec decides, and of which shape it is: a type, [shape of each entry], or a mapping of field to shape,
# where "*" stands for every field. Null is as good as absent everywhere.
REQUIREMENTS = [{"key": str, "operator": str, "values": [str]}]
POD_SPEC_SHAPE = {
    "nodeName": str,
    "nodeSelector": {"*": str},
    "hostNetwork": bool,
    "tolerations": [{"key": str, "operator": str, "value": str, "effect": str}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": REQUIREMENTS, "matchFields": REQUIREMENTS}]
            }
        }
    },
}
NAMES = {str: "a string", bool: "true or false"}


def _check_shape(path: str, value: Any, shape: Any) -> None:
    if value is None:
        return
    if isinstance(shape, type):
        if not isinstance(value, shape):
            hint = f' (write "{str(value).lower()}", with the quotes)' if shape is str and _is_scalar(value) else ""
            raise AnsibleTemplatePluginError(f"eligibility: {path} must be {NAMES[shape]}, found {value!r}{hint}")
    elif isinstance(shape, list):
        if not isinstance(value, (list, tuple)):
            raise AnsibleTemplatePluginError(f"eligibility: {path} must be a list, found {value!r}")
        for index, entry in enumerate(value):
            _check_shape(f"{path}[{index}]", entry, shape[0])
    else:
        _check_mapping(path, value)
        for key, entry in value.items():
            _check_shape(f"{path}.{key}" if path else str(key), entry, shape.get("*", shape.get(key, object)))


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (bool, int, float))


def _check_mapping(path: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise AnsibleTemplatePluginError(f"eligibility: {path} must be a mapping, found {value!r}")


def _pod_spec(daemonset: Any) -> Mapping[str, Any]:
    _check_mapping("the DaemonSet", daemonset)
    if "kind" not in daemonset:
        unexpected = {"spec", "template", "metadata"} & set(daemonset)
        if unexpected:
            raise AnsibleTemplatePluginError(
                f"eligibility: found {', '.join(sorted(unexpected))} without a kind; give a whole DaemonSet, with "
                "kind: DaemonSet, or a pod spec, which is its spec.template.spec"
            )
        return daemonset
    if daemonset["kind"] != "DaemonSet":
        raise AnsibleTemplatePluginError(f'eligibility: kind must be DaemonSet, found "{daemonset["kind"]}"')
    found: Any = daemonset
    for field in ("spec", "template", "spec"):
        found = found.get(field)
        _check_mapping(f"{field} of the DaemonSet", found)
    return found


def _node(node: Any) -> Node:
    _check_mapping("the node", node)
    if unknown := [str(field) for field in node if field not in NODE_FIELDS]:
        raise AnsibleTemplatePluginError(
            f"eligibility: the node has an unknown field {', '.join(unknown)}; known are {', '.join(NODE_FIELDS)}"
        )
    name, groups = node.get("name"), node.get("groups") or []
    if not name or not isinstance(name, str):
        raise AnsibleTemplatePluginError(
            f"eligibility: the node needs a name, such as its inventory_hostname, found {name!r}"
        )
    _check_shape("groups of the node", groups, [str])
    variables = {f"node_{field}": node.get(field) for field in ("labels", "taints", "unschedulable")}
    return node_from_inventory(name, variables, groups)


def judge(node: Any, daemonset: Any) -> dict[str, Any]:
    """Return should_run, should_continue and reason; AnsibleTemplatePluginError for bad input."""
    pod_spec = _pod_spec(daemonset)
    _check_shape("", pod_spec, POD_SPEC_SHAPE)
    try:
        verdict = eligibility(_node(node), pod_spec)
    except ValueError as error:
        raise AnsibleTemplatePluginError(f"eligibility: {error}") from error
    return {
        "should_run": verdict.should_run,
        "should_continue": verdict.should_continue,
        "reason": verdict.reason,
    }


class FilterModule:
    """The filter eligibility."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"eligibility": judge}
