# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes' validation of labels, selectors, affinity, tolerations and topology spread.

After pkg/apis/core/validation and k8s.io/apimachinery ``pkg/apis/meta/v1/validation``. All input is type-checked and
defaulted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from . import names
from .errors import ErrorList

MAX_ANNOTATIONS_SIZE: Final = 256 * 1024
_SET_OPERATORS: Final = ("In", "NotIn")
_PRESENCE_OPERATORS: Final = ("Exists", "DoesNotExist")
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"


def check_name(value: str, rule: Callable[[str], Sequence[str]], path: str, errors: ErrorList) -> None:
    """Report every sentence that a rule of names.py has against a value."""
    for message in rule(value):
        errors.invalid(path, value, message)


def check_labels(labels: Mapping[str, str], path: str, errors: ErrorList) -> None:
    for key, value in labels.items():
        check_name(key, names.qualified_name, path, errors)
        check_name(value, names.label_value, path, errors)


def check_annotations(annotations: Mapping[str, str], path: str, errors: ErrorList) -> None:
    for key in annotations:
        for message in names.qualified_name(key.lower()):
            errors.invalid(path, key, message)
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > MAX_ANNOTATIONS_SIZE:
        errors.too_long(path, MAX_ANNOTATIONS_SIZE)


def check_label_selector(selector: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    check_labels(selector.get("matchLabels", {}), f"{path}.matchLabels", errors)
    for index, requirement in enumerate(selector.get("matchExpressions", [])):
        where = f"{path}.matchExpressions[{index}]"
        operator, values = requirement.get("operator", ""), requirement.get("values", [])
        if operator in _SET_OPERATORS:
            if not values:
                errors.required(f"{where}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in _PRESENCE_OPERATORS:
            if values:
                errors.forbidden(
                    f"{where}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                )
        else:
            errors.invalid(f"{where}.operator", operator, "not a valid selector operator")
        check_name(requirement.get("key", ""), names.qualified_name, f"{where}.key", errors)
        for number, value in enumerate(values):
            check_name(value, names.label_value, f"{where}.values[{number}]", errors)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a valid LabelSelector matches; an empty one matches everything."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(_requirement_holds(item, labels) for item in selector.get("matchExpressions", []))


def _requirement_holds(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator = requirement.get("key", ""), requirement.get("operator", "")
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    listed = key in labels and labels[key] in requirement.get("values", [])
    return listed if operator == "In" else not listed


def check_affinity(affinity: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    if "nodeAffinity" in affinity:
        _check_node_affinity(affinity["nodeAffinity"], f"{path}.nodeAffinity", errors)
    for field in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(field, {})
        for index, term in enumerate(terms.get(_REQUIRED, [])):
            _check_pod_affinity_term(term, f"{path}.{field}.{_REQUIRED}[{index}]", errors)
        for index, weighted in enumerate(terms.get(_PREFERRED, [])):
            where = f"{path}.{field}.{_PREFERRED}[{index}]"
            _check_weight(weighted, where, errors)
            _check_pod_affinity_term(weighted.get("podAffinityTerm", {}), f"{where}.podAffinityTerm", errors)


def _check_weight(weighted: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    weight = weighted.get("weight", 0)
    if not 1 <= weight <= 100:
        errors.invalid(f"{path}.weight", weight, "must be in the range 1-100")


def _check_node_affinity(affinity: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    if _REQUIRED in affinity:
        where = f"{path}.{_REQUIRED}.nodeSelectorTerms"
        terms = affinity[_REQUIRED].get("nodeSelectorTerms", [])
        if not terms:
            errors.required(where, "must have at least one node selector term")
        for index, term in enumerate(terms):
            _check_node_selector_term(term, f"{where}[{index}]", errors, check_values=True)
    for index, preferred in enumerate(affinity.get(_PREFERRED, [])):
        where = f"{path}.{_PREFERRED}[{index}]"
        _check_weight(preferred, where, errors)
        _check_node_selector_term(preferred.get("preference", {}), f"{where}.preference", errors, check_values=False)


def _check_node_selector_term(term: Mapping[str, Any], path: str, errors: ErrorList, *, check_values: bool) -> None:
    for index, requirement in enumerate(term.get("matchExpressions", [])):
        _check_node_requirement(requirement, f"{path}.matchExpressions[{index}]", errors, check_values=check_values)
    for index, requirement in enumerate(term.get("matchFields", [])):
        _check_node_field_requirement(requirement, f"{path}.matchFields[{index}]", errors)


def _check_node_requirement(
    requirement: Mapping[str, Any], path: str, errors: ErrorList, *, check_values: bool
) -> None:
    operator, values = requirement.get("operator", ""), requirement.get("values", [])
    if operator in _SET_OPERATORS:
        if not values:
            errors.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in _PRESENCE_OPERATORS:
        if values:
            errors.forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            errors.required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
    else:
        errors.invalid(f"{path}.operator", operator, "not a valid selector operator")
    check_name(requirement.get("key", ""), names.qualified_name, f"{path}.key", errors)
    for index, value in enumerate(values if check_values else []):
        check_name(value, names.label_value, f"{path}.values[{index}]", errors)


def _check_node_field_requirement(requirement: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    operator, values, key = requirement.get("operator", ""), requirement.get("values", []), requirement.get("key", "")
    if operator in _SET_OPERATORS:
        if len(values) != 1:
            errors.required(
                f"{path}.values", "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            )
    else:
        errors.invalid(f"{path}.operator", operator, "not a valid selector operator")
    if key != "metadata.name":
        errors.invalid(f"{path}.key", key, "not a valid field selector key")
        return
    for index, value in enumerate(values):
        check_name(value, names.dns_subdomain, f"{path}.values[{index}]", errors)


def _check_pod_affinity_term(term: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    for field in ("labelSelector", "namespaceSelector"):
        if field in term:
            check_label_selector(term[field], f"{path}.{field}", errors)
    for namespace in term.get("namespaces", []):
        check_name(namespace, names.dns_label, f"{path}.namespace", errors)
    _check_label_keys(term, path, errors)
    if not term.get("topologyKey"):
        errors.required(f"{path}.topologyKey", "can not be empty")
    check_name(term.get("topologyKey", ""), names.qualified_name, f"{path}.topologyKey", errors)


def _check_label_keys(term: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    """matchLabelKeys and mismatchLabelKeys of a pod affinity term."""
    for field in ("matchLabelKeys", "mismatchLabelKeys"):
        keys = term.get(field, [])
        if keys and "labelSelector" not in term:
            errors.forbidden(f"{path}.{field}", "must not be specified when labelSelector is not set")
            continue
        for index, key in enumerate(keys):
            check_name(key, names.qualified_name, f"{path}.{field}[{index}]", errors)
    mismatched = set(term.get("mismatchLabelKeys", []))
    for index, key in enumerate(term.get("matchLabelKeys", [])):
        if key in mismatched:
            errors.invalid(
                f"{path}.matchLabelKeys[{index}]", key, "exists in both matchLabelKeys and mismatchLabelKeys"
            )


_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def check_tolerations(tolerations: Sequence[Mapping[str, Any]], path: str, errors: ErrorList) -> None:
    for index, toleration in enumerate(tolerations):
        _check_toleration(toleration, f"{path}[{index}]", errors)


def _check_toleration(toleration: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    key, operator = toleration.get("key", ""), toleration.get("operator", "")
    value, effect = toleration.get("value", ""), toleration.get("effect", "")
    if key:
        check_name(key, names.qualified_name, f"{path}.key", errors)
    elif operator != "Exists":
        detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        errors.invalid(f"{path}.operator", operator, detail)
    if "tolerationSeconds" in toleration and effect != "NoExecute":
        errors.invalid(f"{path}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
    if operator in ("", "Equal"):
        check_name(value, names.label_value, f"{path}.operator", errors)
    elif operator == "Exists":
        if value:
            errors.invalid(f"{path}.operator", value, "value must be empty when `operator` is 'Exists'")
    else:
        errors.not_supported(f"{path}.operator", operator, ["Equal", "Exists"])
    if effect and effect not in _EFFECTS:
        errors.not_supported(f"{path}.effect", effect, _EFFECTS)


def check_topology_spread(constraints: Sequence[Mapping[str, Any]], path: str, errors: ErrorList) -> None:
    seen: set[tuple[str, str]] = set()
    for index, constraint in enumerate(constraints):
        where = f"{path}[{index}]"
        kind = (constraint.get("topologyKey", ""), constraint.get("whenUnsatisfiable", ""))
        later = [(item.get("topologyKey", ""), item.get("whenUnsatisfiable", "")) for item in constraints[index + 1 :]]
        if kind in later and kind not in seen:
            errors.duplicate(f"{where}.{{topologyKey, whenUnsatisfiable}}", f"{{{kind[0]}, {kind[1]}}}")
        seen.add(kind)
        _check_spread_constraint(constraint, where, errors)


def _check_spread_constraint(constraint: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    if constraint.get("maxSkew", 0) <= 0:
        errors.invalid(f"{path}.maxSkew", constraint.get("maxSkew", 0), "must be greater than zero")
    if not constraint.get("topologyKey"):
        errors.required(f"{path}.topologyKey", "can not be empty")
    action = constraint.get("whenUnsatisfiable", "")
    if action not in ("DoNotSchedule", "ScheduleAnyway"):
        errors.not_supported(f"{path}.whenUnsatisfiable", action, ["DoNotSchedule", "ScheduleAnyway"])
    if "minDomains" in constraint:
        if constraint["minDomains"] <= 0:
            errors.invalid(f"{path}.minDomains", constraint["minDomains"], "must be greater than zero")
        if action != "DoNotSchedule":
            detail = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
            errors.invalid(f"{path}.minDomains", constraint["minDomains"], detail)
    for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
        if constraint.get(field, "Honor") not in ("Honor", "Ignore"):
            errors.not_supported(f"{path}.{field}", constraint[field], ["Honor", "Ignore"])
    _check_spread_label_keys(constraint, f"{path}.matchLabelKeys", errors)
    if "labelSelector" in constraint:
        check_label_selector(constraint["labelSelector"], f"{path}.labelSelector", errors)


def _check_spread_label_keys(constraint: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    keys = constraint.get("matchLabelKeys", [])
    if keys and "labelSelector" not in constraint:
        errors.forbidden(path, "must not be specified when labelSelector is not set")
    selector = constraint.get("labelSelector", {})
    selected = set(selector.get("matchLabels", {})) | {item.get("key") for item in selector.get("matchExpressions", [])}
    for index, key in enumerate(keys):
        check_name(key, names.qualified_name, f"{path}[{index}]", errors)
        if key in selected:
            errors.invalid(f"{path}[{index}]", key, "exists in both matchLabelKeys and labelSelector")
