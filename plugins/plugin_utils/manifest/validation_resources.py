# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes' validation of resources: requests and limits, and references to them.

After pkg/apis/core/validation and pkg/apis/core/helper. All input is type-checked and defaulted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

from . import names
from .errors import ErrorList
from .quantity import Quantity

HUGE_PAGES: Final = "hugepages-"
_CONTAINER_RESOURCES: Final = ("cpu", "memory", "ephemeral-storage")
_STANDARD_RESOURCES: Final = (
    *_CONTAINER_RESOURCES,
    "configmaps",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
    "storage",
)
_FIELD_RESOURCES: Final = tuple(f"{kind}.{name}" for kind in ("limits", "requests") for name in _CONTAINER_RESOURCES)
_BYTE_DIVISORS: Final = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")


def check_container_resources(
    resources: Mapping[str, Any], claim_names: Iterable[str], path: str, errors: ErrorList
) -> None:
    _check_requirements(resources, path, errors, pod_level=False)
    _check_claims(resources.get("claims", []), set(claim_names), f"{path}.claims", errors)


def check_pod_resources(pod: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    """``spec.resources``: what the whole pod may use."""
    resources = pod["resources"]
    if "claims" in resources:
        errors.forbidden(f"{path}.claims", "claims cannot be set for Resources at pod-level")
    _check_requirements(resources, path, errors, pod_level=True)
    _check_pod_covers_containers(pod, path, errors)


def _check_requirements(resources: Mapping[str, Any], path: str, errors: ErrorList, *, pod_level: bool) -> None:
    limits, requests = resources.get("limits", {}), resources.get("requests", {})
    for field, quantities in (("limits", limits), ("requests", requests)):
        for name, text in quantities.items():
            where = f"{path}.{field}[{name}]"
            _check_resource_name(name, where, errors, pod_level=pod_level)
            _check_quantity(name, text, where, errors)
    for name, text in requests.items():
        _check_request_against_limit(name, text, limits.get(name), path, errors)
    named = {*limits, *requests}
    if any(name.startswith(HUGE_PAGES) for name in named) and not named & {"cpu", "memory"}:
        errors.forbidden(path, "HugePages require cpu or memory")


def _check_resource_name(name: str, path: str, errors: ErrorList, *, pod_level: bool) -> None:
    for message in names.qualified_name(name):
        errors.invalid(path, name, message)
    if pod_level:
        if name not in ("cpu", "memory") and not name.startswith(HUGE_PAGES):
            errors.not_supported(path, name, ["cpu", HUGE_PAGES, "memory"])
    elif "/" not in name:
        if name not in _STANDARD_RESOURCES and not name.startswith(HUGE_PAGES):
            errors.invalid(path, name, "must be a standard resource type or fully qualified")
        if name not in _CONTAINER_RESOURCES and not name.startswith(HUGE_PAGES):
            errors.invalid(path, name, "must be a standard resource for containers")
    elif not _is_native(name) and not _is_extended(name):
        errors.invalid(path, name, "doesn't follow extended resource name standard")


def _is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def _is_extended(name: str) -> bool:
    return not _is_native(name) and not name.startswith("requests.") and not names.qualified_name(f"requests.{name}")


def _may_overcommit(name: str) -> bool:
    return _is_native(name) and not name.startswith(HUGE_PAGES)


def _check_quantity(name: str, text: str, path: str, errors: ErrorList) -> None:
    quantity = Quantity.parse(text)
    if quantity.number < 0:
        errors.invalid(path, text, "must be greater than or equal to 0")
    if _is_extended(name) and quantity.milli() % 1000:
        errors.invalid(path, text, "must be an integer")
    if name.startswith(HUGE_PAGES) and not _is_whole_pages(name, quantity):
        errors.invalid(path, text, f"{text} is not positive integer multiple of {name}")


def _is_whole_pages(name: str, quantity: Quantity) -> bool:
    try:
        page = Quantity.parse(name.removeprefix(HUGE_PAGES)).number
    except ValueError:
        return False
    return page > 0 and quantity.number >= 0 and quantity.number % page == 0


def _check_request_against_limit(name: str, text: str, limit: str | None, path: str, errors: ErrorList) -> None:
    if limit is None:
        if not _may_overcommit(name):
            errors.required(f"{path}.limits", "Limit must be set for non overcommitable resources")
        return
    request, bound = Quantity.parse(text).number, Quantity.parse(limit).number
    if request != bound and not _may_overcommit(name):
        errors.invalid(f"{path}.requests", text, f"must be equal to {name} limit of {limit}")
    elif request > bound:
        errors.invalid(f"{path}.requests", text, f"must be less than or equal to {name} limit of {limit}")


def _check_claims(claims: Sequence[Mapping[str, Any]], known: set[str], path: str, errors: ErrorList) -> None:
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        name, request, where = claim.get("name", ""), claim.get("request", ""), f"{path}[{index}]"
        if not name:
            errors.required(where)
            continue
        if request:
            for message in names.dns_label(request):
                errors.invalid(f"{where}.request", request, message)
        key = f"{name}/{request}" if request else name
        if name in seen or key in seen or (not request and any(item.startswith(f"{name}/") for item in seen)):
            errors.duplicate(where, key)
        seen.add(key)
        if name not in known:
            listed = f": {', '.join(sorted(known))}" if known else " which is empty"
            errors.not_found(where, name, f"must be one of the names in pod.spec.resourceClaims{listed}")


def _check_pod_covers_containers(pod: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    limits, requests = pod["resources"].get("limits", {}), pod["resources"].get("requests", {})
    containers = pod.get("containers", [])
    for name, total in _total_requests(containers).items():
        given = requests.get(name, limits.get(name, "0"))
        if total > Quantity.parse(given).number:
            detail = "must be greater than or equal to aggregate container requests"
            errors.invalid(f"{path}.requests[{name}]", given, detail)
    for index, container in enumerate(containers):
        for name, text in container.get("resources", {}).get("limits", {}).items():
            if name in limits and Quantity.parse(text).number > Quantity.parse(limits[name]).number:
                where = f"{path}.containers[{index}][{name}].limits"
                errors.invalid(where, text, f"must be less than or equal to pod limits of {limits[name]}")


def _total_requests(containers: Sequence[Mapping[str, Any]]) -> dict[str, Fraction]:
    totals: dict[str, Fraction] = {}
    for container in containers:
        for name, text in container.get("resources", {}).get("requests", {}).items():
            totals[name] = totals.get(name, Fraction(0)) + Quantity.parse(text).number
    return totals


def check_resource_field_ref(source: Mapping[str, Any], path: str, errors: ErrorList, *, in_volume: bool) -> None:
    """A resourceFieldRef of env or of a downwardAPI volume."""
    resource = source.get("resource", "")
    if in_volume and not source.get("containerName"):
        errors.required(f"{path}.containerName")
    elif not resource:
        errors.required(f"{path}.resource")
    elif resource not in _FIELD_RESOURCES and not _is_huge_pages_field(resource):
        errors.not_supported(f"{path}.resource", resource, sorted(_FIELD_RESOURCES))
    _check_divisor(resource, source.get("divisor", "0"), f"{path}.divisor", errors)


def _is_huge_pages_field(resource: str) -> bool:
    return resource.startswith((f"limits.{HUGE_PAGES}", f"requests.{HUGE_PAGES}"))


def _check_divisor(resource: str, divisor: str, path: str, errors: ErrorList) -> None:
    quantity = Quantity.parse(divisor)
    if quantity.number == 0:
        return
    kind = resource.partition(".")[2]
    if kind == "cpu":
        if quantity.canonical() not in ("1m", "1"):
            errors.invalid(path, resource, "only divisor's values 1m and 1 are supported with the cpu resource")
        return
    counts_bytes = resource in _FIELD_RESOURCES or _is_huge_pages_field(resource)
    if counts_bytes and quantity.canonical() not in _BYTE_DIVISORS:
        called = "local ephemeral storage" if kind == "ephemeral-storage" else kind.partition("-")[0]
        listed = ", ".join(_BYTE_DIVISORS)
        errors.invalid(path, resource, f"only divisor's values {listed} are supported with the {called} resource")
