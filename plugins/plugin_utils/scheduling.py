# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which nodes run a DaemonSet: node selectors, required node affinity, taints and tolerations.

The rules are those of the DaemonSet controller (NodeShouldRunDaemonPod in pkg/controller/daemon/daemon_controller.go)
and of k8s.io/component-helpers (scheduling/corev1). Taints and tolerations are mappings as in manifests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .selectors import Requirement, label_key_problems, label_value_problems, parse_int64, requirement

HOSTNAME = "kubernetes.io/hostname"
OS = "kubernetes.io/os"
ARCH = "kubernetes.io/arch"
GROUP_PREFIX = "group/"
UNSCHEDULABLE_TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")

# Names of `uname -m`, and Go's names for them.
ARCHITECTURES = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "armv5tel": "arm",
    "armv6l": "arm",
    "armv7l": "arm",
    "armv8l": "arm",
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
    "ppc64": "ppc64",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "loongarch64": "loong64",
    "mips64": "mips64",
}


@dataclass(frozen=True)
class Node:
    """What the inventory says of a node: name (inventory_hostname), labels, and taints with key, value and effect."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Mapping[str, str], ...] = ()
    engine: str = ""  # the one that it shall use of its container engines, "" if that is all the same


@dataclass(frozen=True)
class Eligibility:
    """Whether an instance is to be created (should_run), and whether one that is there stays (should_continue).

    ``(True, False)`` never occurs. reason is empty if should_run, else it says in plain words what does not match.
    """

    should_run: bool
    should_continue: bool
    reason: str


def eligibility(node: Node, pod_spec: Mapping[str, Any]) -> Eligibility:
    """Decide whether the node runs a DaemonSet with this pod spec (``spec.template.spec``)."""
    mismatch = (
        _node_name_mismatch(node, pod_spec)
        or _node_selector_mismatch(node, pod_spec)
        or _affinity_mismatch(node, pod_spec)
    )
    if mismatch:
        return Eligibility(False, False, mismatch)
    untolerated = untolerated_taints(node.taints, daemon_tolerations(pod_spec))
    if not untolerated:
        return Eligibility(True, True, "")
    evicted = any(taint.get("effect") == "NoExecute" for taint in untolerated)
    named = ", ".join(taint_text(taint) for taint in untolerated)
    return Eligibility(False, not evicted, f"{'taint' if len(untolerated) == 1 else 'taints'} {named} not tolerated")


def matches_node_affinity(node: Node, pod_spec: Mapping[str, Any]) -> bool:
    """Say whether the node has what nodeSelector and the required node affinity want."""
    return not (_node_selector_mismatch(node, pod_spec) or _affinity_mismatch(node, pod_spec))


def _node_name_mismatch(node: Node, pod_spec: Mapping[str, Any]) -> str:
    wanted = pod_spec.get("nodeName")
    return f"nodeName wants the node {wanted}" if wanted and wanted != node.name else ""


def _node_selector_mismatch(node: Node, pod_spec: Mapping[str, Any]) -> str:
    wanted = pod_spec.get("nodeSelector") or {}
    misses = [
        _label_miss(node, key, f"{key}={value}") for key, value in wanted.items() if node.labels.get(key) != value
    ]
    return f"nodeSelector wants {'; '.join(misses)}" if misses else ""


def _label_miss(node: Node, key: str, wanted: str) -> str:
    found = f"{key}={node.labels[key]}" if key in node.labels else f"no label {key}"
    return f"{wanted}, the node has {found}"


def _affinity_mismatch(node: Node, pod_spec: Mapping[str, Any]) -> str:
    node_affinity = (pod_spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return ""
    terms = required.get("nodeSelectorTerms") or []
    misses = [_term_mismatch(node, term) for term in terms]
    if "" in misses:
        return ""
    if not misses:
        return "node affinity has no terms, which matches no node"
    return f"node affinity wants {' or '.join(misses)}"


def _term_mismatch(node: Node, term: Mapping[str, Any] | None) -> str:
    """Return what of a term the node does not meet; empty if it meets all of it."""
    expressions, fields = (term or {}).get("matchExpressions") or [], (term or {}).get("matchFields") or []
    if not expressions and not fields:
        return "(an empty term, which matches no node)"
    try:
        on_labels = [_label_requirement(expression) for expression in expressions]
        on_fields = [_FieldRequirement.read(field) for field in fields]
    except ValueError as error:
        # Kubernetes swallows this error too: such a term matches no node, the others still may.
        return f"(an unusable term: {error})"
    misses = [_label_miss(node, wanted.key, _words(wanted)) for wanted in on_labels if not wanted.matches(node.labels)]
    misses += [f"{field}, the node is {node.name}" for field in on_fields if not field.matches(node)]
    return "; ".join(misses)


_NODE_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")


def _label_requirement(expression: Mapping[str, Any]) -> Requirement:
    operator = expression.get("operator", "")
    if operator not in _NODE_OPERATORS:
        raise ValueError(f'"{operator}" is not an operator of node affinity, use one of {", ".join(_NODE_OPERATORS)}')
    return requirement(expression.get("key", ""), operator, expression.get("values") or ())


def _words(wanted: Requirement) -> str:
    return " ".join((wanted.key, wanted.operator, *([f"[{', '.join(wanted.values)}]"] if wanted.values else [])))


@dataclass(frozen=True)
class _FieldRequirement:
    key: str
    operator: str
    value: str

    @staticmethod
    def read(field: Mapping[str, Any]) -> _FieldRequirement:
        operator, values = field.get("operator", ""), field.get("values") or []
        if operator not in ("In", "NotIn"):
            raise ValueError(f'"{operator}" is not an operator of matchFields, use In or NotIn')
        if len(values) != 1:
            raise ValueError(f"matchFields takes exactly one value, found {len(values)}")
        return _FieldRequirement(field.get("key", ""), operator, values[0])

    def matches(self, node: Node) -> bool:
        # A node has this one field; Kubernetes reads every other as empty.
        found = node.name if self.key == "metadata.name" else ""
        return (found == self.value) == (self.operator == "In")

    def __str__(self) -> str:
        return f"{self.key} {self.operator} [{self.value}]"


def _automatic(name: str, effect: str) -> Mapping[str, Any]:
    return {"key": f"node.kubernetes.io/{name}", "operator": "Exists", "effect": effect}


_AUTOMATIC_TOLERATIONS = (
    _automatic("not-ready", "NoExecute"),
    _automatic("unreachable", "NoExecute"),
    _automatic("disk-pressure", "NoSchedule"),
    _automatic("memory-pressure", "NoSchedule"),
    _automatic("pid-pressure", "NoSchedule"),
    _automatic("unschedulable", "NoSchedule"),
)
_HOST_NETWORK_TOLERATION = _automatic("network-unavailable", "NoSchedule")


def daemon_tolerations(pod_spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the tolerations of a daemon pod: the template's, with the automatic ones added or put in their place."""
    tolerations: list[Mapping[str, Any]] = list(pod_spec.get("tolerations") or [])
    for automatic in _AUTOMATIC_TOLERATIONS:
        tolerations = _with_toleration(tolerations, automatic)
    if pod_spec.get("hostNetwork"):
        tolerations = _with_toleration(tolerations, _HOST_NETWORK_TOLERATION)
    return tolerations


def _with_toleration(tolerations: list[Mapping[str, Any]], added: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Replace what has the same key, effect, operator and value, or append (AddOrUpdateTolerationInPodSpec)."""
    same = [toleration for toleration in tolerations if _toleration_identity(toleration) == _toleration_identity(added)]
    if not same:
        return [*tolerations, added]
    if any(toleration.get("tolerationSeconds") is None for toleration in same):
        return tolerations
    return [added if toleration in same else toleration for toleration in tolerations]


def _toleration_identity(toleration: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(toleration.get(field) or "" for field in ("key", "effect", "operator", "value"))


def tolerates(toleration: Mapping[str, Any], taint: Mapping[str, str], comparison_operators: bool = False) -> bool:
    """Say whether one toleration tolerates one taint; a tolerationSeconds makes no difference.

    comparison_operators: let Gt and Lt count, as with the feature gate TaintTolerationComparisonOperators; it is off.
    """
    for field in ("effect", "key"):
        if toleration.get(field) and toleration[field] != taint.get(field):
            return False
    operator, value = toleration.get("operator") or "Equal", toleration.get("value") or ""
    if operator == "Equal":
        return bool(value == (taint.get("value") or ""))
    if comparison_operators and operator in ("Gt", "Lt"):
        return _compares(operator, value, taint.get("value") or "")
    return bool(operator == "Exists")


_CANONICAL_INTEGER = re.compile(r"0|-?[1-9][0-9]*")


def _compares(operator: str, toleration_value: str, taint_value: str) -> bool:
    if not _CANONICAL_INTEGER.fullmatch(toleration_value) or not _CANONICAL_INTEGER.fullmatch(taint_value):
        return False
    bound, number = parse_int64(toleration_value), parse_int64(taint_value)
    if bound is None or number is None:
        return False
    return number > bound if operator == "Gt" else number < bound


def untolerated_taints(
    taints: Iterable[Mapping[str, str]], tolerations: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, str]]:
    """Return the NoSchedule and NoExecute taints that no toleration tolerates. PreferNoSchedule never counts."""
    return [
        taint
        for taint in taints
        if taint.get("effect") in ("NoSchedule", "NoExecute")
        and not any(tolerates(toleration, taint) for toleration in tolerations)
    ]


def taint_text(taint: Mapping[str, str]) -> str:
    """Return a taint in kubectl's form: ``key=value:Effect``, or ``key:Effect`` without a value."""
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key', '')}{value}:{taint.get('effect', '')}"


class InventoryError(ValueError):
    """The labels or taints of a host are not usable; errors has one line each, with host, variable and remedy."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


def node_from_inventory(
    name: str, variables: Mapping[str, Any], groups: Iterable[str], arch: str | None = None
) -> Node:
    """Make a node of an inventory host.

    variables: those of the host; ``node_labels`` and every ``node_labels_*`` (mappings), ``node_taints`` and every
    ``node_taints_*`` (lists of key, value, effect) and ``node_unschedulable`` are read. groups: the groups it is in.
    arch: what ``uname -m`` says on it, if known. Raises InventoryError with everything that is wrong with this host.
    """
    errors: list[str] = []
    labels = {**_builtin_labels(name, groups, arch), **_merged_labels(name, variables, errors)}
    taints = _merged_taints(name, variables, errors)
    if _unschedulable(name, variables, errors) and UNSCHEDULABLE_TAINT not in taints:
        taints.append(UNSCHEDULABLE_TAINT)
    if errors:
        raise InventoryError(errors)
    return Node(name, labels, tuple(taints))


def _builtin_labels(name: str, groups: Iterable[str], arch: str | None) -> dict[str, str]:
    labels = {HOSTNAME: name, OS: "linux"}
    if arch in ARCHITECTURES:
        labels[ARCH] = ARCHITECTURES[arch]
    for group in groups:
        if not label_key_problems(GROUP_PREFIX + group):
            labels[GROUP_PREFIX + group] = "true"
    return labels


def _variables_named(stem: str, variables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for variable in sorted(variables):
        if variable == stem or variable.startswith(f"{stem}_"):
            value = variables[variable]
            if value is not None:
                yield variable, value


def _merged_labels(host: str, variables: Mapping[str, Any], errors: list[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    origin: dict[str, str] = {}
    for variable, value in _variables_named("node_labels", variables):
        where = f"host {host}: {variable}"
        if not isinstance(value, Mapping):
            errors.append(f"{where} must be a mapping of labels to values, found {value!r}")
            continue
        for key, text in value.items():
            if problem := _pair_problem("label", key, text):
                errors.append(f"{where}: {problem}")
            elif labels.get(key, text) != text:
                errors.append(
                    f'host {host}: label {key} is "{labels[key]}" in {origin[key]} but "{text}" in {variable}; '
                    f"let only one of them set it"
                )
            else:
                labels[str(key)] = str(text)
                origin[key] = variable
    return labels


def _pair_problem(what: str, key: Any, text: Any) -> str:
    """Say what is wrong with the key and value of a label or taint ("what"), which follow the same rules."""
    if not isinstance(key, str):
        return f"the key {key!r} of a {what} must be a string, write {_quoted(key)}"
    if problems := label_key_problems(key):
        return f'{what} "{key}": {"; ".join(problems)}'
    if not isinstance(text, str):
        return f'the value of {what} "{key}" must be a string, found {text!r}; write {_quoted(text)}, with the quotes'
    if problems := label_value_problems(text):
        return f'{what} "{key}", value "{text}": {"; ".join(problems)}'
    return ""


def _quoted(value: Any) -> str:
    return f'"{str(value).lower()}"' if isinstance(value, bool) else f'"{value}"'


def _merged_taints(host: str, variables: Mapping[str, Any], errors: list[str]) -> list[Mapping[str, str]]:
    taints: dict[tuple[str, str], Mapping[str, str]] = {}
    origin: dict[tuple[str, str], str] = {}
    for variable, value in _variables_named("node_taints", variables):
        if not isinstance(value, (list, tuple)):
            errors.append(
                f"host {host}: {variable} must be a list of taints (each with key, value and effect), found {value!r}"
            )
            continue
        for index, taint in enumerate(value):
            where = f"{variable}[{index}]"
            if problem := _taint_problem(taint):
                errors.append(f"host {host}: {where}: {problem}")
                continue
            identity = _taint_identity(taint)
            clean = {field: str(taint[field]) for field in ("key", "value", "effect") if taint.get(field)}
            if taints.setdefault(identity, clean) != clean:
                errors.append(
                    f"host {host}: taint {taint_text(clean)} in {where} and {taint_text(taints[identity])} in "
                    f"{origin[identity]} have the same key and effect; a node can hold only one of them"
                )
            origin.setdefault(identity, where)
    return list(taints.values())


def _taint_identity(taint: Mapping[str, Any]) -> tuple[str, str]:
    return taint["key"], taint["effect"]


def _taint_problem(taint: Any) -> str:
    if not isinstance(taint, Mapping):
        return f"a taint must be a mapping with key, value and effect, found {taint!r}"
    if unknown := [str(field) for field in taint if field not in ("key", "value", "effect")]:
        return f"unknown field {', '.join(unknown)}; a taint has key, value and effect"
    key, effect = taint.get("key"), taint.get("effect")
    if not key:
        return "a taint needs a key"
    if effect not in _EFFECTS:
        return f"effect must be one of {', '.join(_EFFECTS)}, found {effect!r}"
    # An absent value is the empty one.
    return _pair_problem("taint", key, "" if taint.get("value") is None else taint["value"])


_WORDS_FOR_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def _unschedulable(host: str, variables: Mapping[str, Any], errors: list[str]) -> bool:
    value = variables.get("node_unschedulable")
    if value is None or isinstance(value, bool):
        return bool(value)
    # -e node_unschedulable=true and INI inventories give text.
    if isinstance(value, str) and value.lower() in _WORDS_FOR_TRUTH:
        return _WORDS_FOR_TRUTH[value.lower()]
    errors.append(f"host {host}: node_unschedulable must be true or false, found {value!r}")
    return False
