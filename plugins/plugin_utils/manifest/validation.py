# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes' validation of a DaemonSet: what ``kubectl apply`` would refuse, with its field paths and words.

This file holds the DaemonSet, its metadata and the pod spec's own fields (pkg/apis/apps/validation and
ValidatePodSpec); its neighbours validation_*.py hold the rest of the pod. Only what Kubernetes refuses is refused here:
what a plain host cannot do is schema.py's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from . import names
from .defaults import with_defaults
from .errors import ErrorList, FieldError
from .field_types import DAEMON_SET
from .type_checks import check
from .validation_containers import check_containers, check_not_negative
from .validation_resources import check_container_resources, check_pod_resources
from .validation_scheduling import (
    check_affinity,
    check_annotations,
    check_label_selector,
    check_labels,
    check_name,
    check_tolerations,
    check_topology_spread,
    selects,
)
from .validation_security import check_pod_security_context
from .validation_volumes import check_relative_path, check_volumes

_TEMPLATE: Final = "spec.template"
_POD: Final = "spec.template.spec"
_STRATEGY: Final = "spec.updateStrategy"
_DNS_POLICIES: Final = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_MAX_NAMESERVERS: Final = 3
_MAX_SEARCHES: Final = 32
_MAX_SEARCH_CHARACTERS: Final = 2048
_APP_ARMOR_ANNOTATION: Final = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_POD_ANNOTATION: Final = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_ANNOTATION: Final = "container.seccomp.security.alpha.kubernetes.io/"
_IMMUTABLE: Final = "field is immutable"


def validate_object(obj: Mapping[str, Any], old: Mapping[str, Any] | None = None) -> list[FieldError]:
    """All that Kubernetes has against an ``apps/v1`` DaemonSet as a user writes it: types, defaults, validation.

    ``old`` is the stored object when the validation is of an update.
    """
    errors = ErrorList()
    normalised = check(obj, DAEMON_SET, "", errors)
    stored = with_defaults(check(old, DAEMON_SET, "", ErrorList())) if old is not None else None
    validate(with_defaults(normalised), errors, stored)
    return errors.errors


def validate(daemonset: Mapping[str, Any], errors: ErrorList, old: Mapping[str, Any] | None = None) -> None:
    """Validate a type-checked and defaulted DaemonSet; with ``old``, as an update of it."""
    check_metadata(daemonset["metadata"], "metadata", errors)
    _check_spec(daemonset["spec"], errors)
    if old is not None:
        _check_update(daemonset, old, errors)


def _check_update(new: Mapping[str, Any], old: Mapping[str, Any], errors: ErrorList) -> None:
    for field in ("name", "namespace", "uid"):
        before, after = old["metadata"].get(field), new["metadata"].get(field)
        if before is not None and after is not None and before != after:
            errors.invalid(f"metadata.{field}", after, _IMMUTABLE)
    if new["metadata"].get("generation", 0) < 0:
        errors.invalid("metadata.generation", new["metadata"]["generation"], "must not be decremented")
    if _without_empty(new["spec"].get("selector", {})) != _without_empty(old["spec"].get("selector", {})):
        errors.invalid("spec.selector", new["spec"].get("selector", {}), _IMMUTABLE)


def _without_empty(selector: Mapping[str, Any]) -> Any:
    """For comparing as the API does: an empty list or map is an absent one, and nothing else is alike."""
    kept = {key: value for key, value in selector.items() if value not in ({}, [])}
    kept["matchExpressions"] = [
        {key: value for key, value in item.items() if value != []} for item in selector.get("matchExpressions", [])
    ]
    return kept


# --- metadata ---


def check_metadata(metadata: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    """ObjectMeta of a namespaced object with a DNS subdomain for a name: DaemonSet, ConfigMap, Secret."""
    if metadata.get("generateName"):
        check_name(metadata["generateName"], names.generate_name, f"{path}.generateName", errors)
    if metadata.get("name"):
        check_name(metadata["name"], names.dns_subdomain, f"{path}.name", errors)
    elif not metadata.get("generateName"):
        errors.required(f"{path}.name", "name or generateName is required")
    check_name(metadata.get("namespace") or "default", names.dns_label, f"{path}.namespace", errors)
    check_not_negative(metadata, "generation", path, errors)
    check_labels(metadata.get("labels", {}), f"{path}.labels", errors)
    check_annotations(metadata.get("annotations", {}), f"{path}.annotations", errors)
    for index, owner in enumerate(metadata.get("ownerReferences", [])):
        _check_owner(owner, f"{path}.ownerReferences[{index}]", errors)
    for index, finalizer in enumerate(metadata.get("finalizers", [])):
        _check_finalizer(finalizer, f"{path}.finalizers", index, errors)


def _check_owner(owner: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    for field in ("apiVersion", "kind", "name", "uid"):
        if not owner.get(field):
            errors.invalid(f"{path}.{field}", owner.get(field, ""), "must not be empty")


def _check_finalizer(finalizer: str, path: str, index: int, errors: ErrorList) -> None:
    check_name(finalizer, names.qualified_name, path, errors)
    if "/" not in finalizer and finalizer not in ("kubernetes", "orphan", "foregroundDeletion"):
        detail = "name is neither a standard finalizer name nor is it fully qualified"
        errors.invalid(f"{path}[{index}]", finalizer, detail)


# --- spec ---


def _check_spec(spec: Mapping[str, Any], errors: ErrorList) -> None:
    _check_selector(spec, errors)
    _check_template(spec["template"], errors)
    pod = spec["template"]["spec"]
    if pod["restartPolicy"] != "Always":
        errors.not_supported(f"{_POD}.restartPolicy", pod["restartPolicy"], ["Always"])
    if "activeDeadlineSeconds" in pod:
        errors.forbidden(f"{_POD}.activeDeadlineSeconds", "activeDeadlineSeconds in DaemonSet is not Supported")
    check_not_negative(spec, "minReadySeconds", "spec", errors)
    check_not_negative(spec, "revisionHistoryLimit", "spec", errors)
    _check_update_strategy(spec["updateStrategy"], errors)


def _check_selector(spec: Mapping[str, Any], errors: ErrorList) -> None:
    selector, labels = spec.get("selector"), spec["template"]["metadata"].get("labels", {})
    selector_errors = ErrorList()
    check_label_selector(selector or {}, "spec.selector", selector_errors)
    for error in selector_errors.errors:
        errors.add(error.path, error.reason, error.message)
    if not selector_errors and (selector is None or not selects(selector, labels)):
        # Without a selector nothing matches: apps/v1 does not make one from the labels.
        detail = "`selector` does not match template `labels`"
        if selector is None:
            detail += " (spec.selector is missing: add the labels that mark this DaemonSet's pods)"
        errors.invalid(f"{_TEMPLATE}.metadata.labels", labels, detail)
    if selector is not None and not selector.get("matchLabels") and not selector.get("matchExpressions"):
        errors.invalid("spec.selector", selector, "empty selector is invalid for daemonset")


def _check_update_strategy(strategy: Mapping[str, Any], errors: ErrorList) -> None:
    if strategy["type"] == "RollingUpdate":
        _check_rolling_update(strategy["rollingUpdate"], f"{_STRATEGY}.rollingUpdate", errors)
    elif strategy["type"] != "OnDelete":
        errors.not_supported(_STRATEGY, strategy["type"], ["RollingUpdate", "OnDelete"])


def _check_rolling_update(rolling: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    for field in ("maxUnavailable", "maxSurge"):
        _check_int_or_percent(rolling[field], f"{path}.{field}", errors)
    unavailable, surge = _leading_number(rolling["maxUnavailable"]), _leading_number(rolling["maxSurge"])
    if unavailable == 0 and surge == 0:
        errors.required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0")
    if unavailable != 0 and surge != 0:
        detail = "may not be set when maxUnavailable is non-zero"
        errors.invalid(f"{path}.maxSurge", rolling["maxSurge"], detail)
    for field in ("maxUnavailable", "maxSurge"):
        if _percent(rolling[field]) is not None and _leading_number(rolling[field]) > 100:
            errors.invalid(f"{path}.{field}", rolling[field], "must not be greater than 100%")


def _percent(value: int | str) -> int | None:
    match = re.fullmatch("([0-9]+)%", value) if isinstance(value, str) else None
    return int(match.group(1)) if match else None


def _leading_number(value: int | str) -> int:
    """Kubernetes compares percentages by their number, and takes what is neither number nor percentage for 0."""
    return value if isinstance(value, int) else _percent(value) or 0


def _check_int_or_percent(value: int | str, path: str, errors: ErrorList) -> None:
    if isinstance(value, int):
        if value < 0:
            errors.invalid(path, value, "must be greater than or equal to 0")
    elif _percent(value) is None:
        detail = (
            "a valid percent string must be a numeric string followed by an ending '%' "
            "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
        )
        if value.isdigit():
            detail += f" (did you mean {value}, without quotes, or {value}%?)"
        errors.invalid(path, value, detail)


def _check_template(template: Mapping[str, Any], errors: ErrorList) -> None:
    metadata, pod = template["metadata"], template["spec"]
    annotations = metadata.get("annotations", {})
    check_labels(metadata.get("labels", {}), f"{_TEMPLATE}.metadata.labels", errors)
    check_annotations(annotations, f"{_TEMPLATE}.metadata.annotations", errors)
    _check_pod_annotations(annotations, pod, f"{_TEMPLATE}.metadata.annotations", errors)
    _check_pod(pod, errors)
    if pod.get("ephemeralContainers"):
        errors.forbidden(f"{_POD}.ephemeralContainers", "ephemeral containers not allowed in pod template")


def _check_pod_annotations(
    annotations: Mapping[str, str], pod: Mapping[str, Any], path: str, errors: ErrorList
) -> None:
    containers = {item.get("name") for field in ("containers", "initContainers") for item in pod.get(field, [])}
    for key, value in annotations.items():
        if key.startswith(_APP_ARMOR_ANNOTATION):
            if key.removeprefix(_APP_ARMOR_ANNOTATION) not in containers:
                errors.invalid(f"{path}[{key}]", key.removeprefix(_APP_ARMOR_ANNOTATION), "container not found")
            if value not in ("", "runtime/default", "unconfined") and not value.startswith("localhost/"):
                errors.invalid(f"{path}[{key}]", value, f'invalid AppArmor profile name: "{value}"')
        elif key == _SECCOMP_POD_ANNOTATION or key.startswith(_SECCOMP_ANNOTATION):
            _check_seccomp_annotation(value, f"{path}.{key}", errors)


def _check_seccomp_annotation(profile: str, path: str, errors: ErrorList) -> None:
    if profile.startswith("localhost/"):
        check_relative_path(profile.removeprefix("localhost/"), path, errors)
    elif profile not in ("runtime/default", "docker/default", "unconfined"):
        errors.invalid(path, profile, "must be a valid seccomp profile")


def _check_pod(pod: Mapping[str, Any], errors: ErrorList) -> None:
    """ValidatePodSpec."""
    check_volumes(pod.get("volumes", []), f"{_POD}.volumes", errors)
    _check_resource_claims(pod.get("resourceClaims", []), f"{_POD}.resourceClaims", errors)
    check_containers(pod, _POD, errors)
    if "resources" in pod:
        check_pod_resources(pod, f"{_POD}.resources", errors)
    _check_host_network_ports(pod, errors)
    if pod["restartPolicy"] not in ("Always", "OnFailure", "Never"):
        errors.not_supported(f"{_POD}.restartPolicy", pod["restartPolicy"], ["Always", "OnFailure", "Never"])
    check_labels(pod.get("nodeSelector", {}), f"{_POD}.nodeSelector", errors)
    check_pod_security_context(pod, _POD, errors)
    check_affinity(pod.get("affinity", {}), f"{_POD}.affinity", errors)
    check_tolerations(pod.get("tolerations", []), f"{_POD}.tolerations", errors)
    check_topology_spread(pod.get("topologySpreadConstraints", []), f"{_POD}.topologySpreadConstraints", errors)
    _check_dns(pod, errors)
    _check_host_aliases(pod.get("hostAliases", []), f"{_POD}.hostAliases", errors)
    _check_gates(pod, errors)
    _check_host_users(pod, errors)
    _check_pod_names(pod, errors)
    if "overhead" in pod:
        check_container_resources({"limits": pod["overhead"]}, [], f"{_POD}.overhead", errors)
    _check_os(pod, errors)


def _check_pod_names(pod: Mapping[str, Any], errors: ErrorList) -> None:
    for field in ("serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"):
        # A runtime class is the only one of these that an empty string does not mean the absence of.
        if pod.get(field) or (field == "runtimeClassName" and field in pod):
            check_name(pod[field], names.dns_subdomain, f"{_POD}.{field}", errors)
    for field in ("hostname", "subdomain"):
        if pod.get(field):
            check_name(pod[field], names.dns_label, f"{_POD}.{field}", errors)
    if pod.get("hostnameOverride"):
        check_name(pod["hostnameOverride"], names.dns_subdomain, f"{_POD}.hostnameOverride", errors)
    if pod.get("preemptionPolicy", "Never") not in ("PreemptLowerPriority", "Never"):
        supported = ["PreemptLowerPriority", "Never"]
        errors.not_supported(f"{_POD}.preemptionPolicy", pod["preemptionPolicy"], supported)
    deadline = pod.get("activeDeadlineSeconds")
    if deadline is not None:
        for message in names.in_range(deadline, 1, 2**31 - 1):
            errors.invalid(f"{_POD}.activeDeadlineSeconds", deadline, message)


def _check_host_network_ports(pod: Mapping[str, Any], errors: ErrorList) -> None:
    if not pod.get("hostNetwork"):
        return
    for index, container in enumerate(pod.get("containers", [])):
        for number, port in enumerate(container.get("ports", [])):
            if port.get("hostPort") and port["hostPort"] != port.get("containerPort", 0):
                where = f"{_POD}.containers[{index}].ports[{number}].hostPort"
                errors.invalid(where, port["hostPort"], "must match `containerPort` when `hostNetwork` is true")


def _check_dns(pod: Mapping[str, Any], errors: ErrorList) -> None:
    policy, config, path = pod["dnsPolicy"], pod.get("dnsConfig"), f"{_POD}.dnsConfig"
    if policy not in _DNS_POLICIES:
        errors.not_supported(f"{_POD}.dnsPolicy", policy, _DNS_POLICIES)
    if policy == "None" and config is None:
        errors.required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
    if config is None:
        return
    servers, searches = config.get("nameservers", []), config.get("searches", [])
    if policy == "None" and not servers:
        detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        errors.required(f"{path}.nameservers", detail)
    if len(servers) > _MAX_NAMESERVERS:
        errors.invalid(f"{path}.nameservers", servers, f"must not have more than {_MAX_NAMESERVERS} nameservers")
    for index, server in enumerate(servers):
        check_name(server, names.ip_address, f"{path}.nameservers[{index}]", errors)
    _check_searches(searches, f"{path}.searches", errors)
    for index, option in enumerate(config.get("options", [])):
        if not option.get("name"):
            errors.required(f"{path}.options[{index}]", "must not be empty")


def _check_searches(searches: Sequence[str], path: str, errors: ErrorList) -> None:
    if len(searches) > _MAX_SEARCHES:
        errors.invalid(path, searches, f"must not have more than {_MAX_SEARCHES} search paths")
    if len(" ".join(searches)) > _MAX_SEARCH_CHARACTERS:
        detail = f"must not have more than {_MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list"
        errors.invalid(path, searches, detail)
    for index, search in enumerate(searches):
        if search != ".":
            check_name(search.removesuffix("."), names.dns_subdomain_with_underscore, f"{path}[{index}]", errors)


def _check_host_aliases(aliases: Sequence[Mapping[str, Any]], path: str, errors: ErrorList) -> None:
    for index, alias in enumerate(aliases):
        check_name(alias.get("ip", ""), names.ip_address, f"{path}[{index}].ip", errors)
        for number, hostname in enumerate(alias.get("hostnames", [])):
            check_name(hostname, names.dns_subdomain, f"{path}[{index}].hostnames[{number}]", errors)


def _check_gates(pod: Mapping[str, Any], errors: ErrorList) -> None:
    for index, gate in enumerate(pod.get("readinessGates", [])):
        where = f"{_POD}.readinessGates[{index}].conditionType"
        check_name(gate.get("conditionType", ""), names.qualified_name, where, errors)
    seen: set[str] = set()
    for index, gate in enumerate(pod.get("schedulingGates", [])):
        name, where = gate.get("name", ""), f"{_POD}.schedulingGates[{index}]"
        check_name(name, names.qualified_name, where, errors)
        if name in seen:
            errors.duplicate(where, name)
        seen.add(name)


def _check_resource_claims(claims: Sequence[Mapping[str, Any]], path: str, errors: ErrorList) -> None:
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        name, where = claim.get("name", ""), f"{path}[{index}]"
        if not name:
            errors.required(f"{where}.name")
        elif name in seen:
            errors.duplicate(f"{where}.name", name)
        else:
            check_name(name, names.dns_label, f"{where}.name", errors)
        seen.add(name)
        given = [field for field in ("resourceClaimName", "resourceClaimTemplateName") if field in claim]
        if not given:
            errors.invalid(where, claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`")
        elif len(given) > 1:
            detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            errors.invalid(where, claim, detail)
        for field in given:
            check_name(claim[field], names.dns_subdomain, f"{where}.{field}", errors)


def _check_host_users(pod: Mapping[str, Any], errors: ErrorList) -> None:
    if pod.get("hostUsers", True):
        return
    # HostPID and HostIPC are printed with a capital, unlike the fields.
    for field, printed in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")):
        if pod.get(field):
            errors.forbidden(f"{_POD}.{printed}", "when `pod.Spec.HostUsers` is false")


# --- operating systems ---

_LINUX_POD_FIELDS: Final = ("hostUsers", "hostPID", "hostIPC", "shareProcessNamespace")
_LINUX_POD_CONTEXT: Final = (
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "seLinuxChangePolicy",
)
_LINUX_CONTAINER_CONTEXT: Final = (
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
)


def _check_os(pod: Mapping[str, Any], errors: ErrorList) -> None:
    _check_windows_host_process(pod, errors)
    if "os" not in pod:
        return
    name = pod["os"].get("name", "")
    if not name:
        errors.required(f"{_POD}.os.name", "cannot be empty")
    elif name == "linux":
        for path, context in _security_contexts(pod):
            if "windowsOptions" in context:
                errors.forbidden(f"{path}.windowsOptions", "windows options cannot be set for a linux pod")
    elif name == "windows":
        _check_windows_pod(pod, errors)
    else:
        errors.not_supported(f"{_POD}.os", name, ["linux", "windows"])


def _check_windows_pod(pod: Mapping[str, Any], errors: ErrorList) -> None:
    for field in _LINUX_POD_FIELDS:
        if pod.get(field) or (field in pod and field in ("hostUsers", "shareProcessNamespace")):
            errors.forbidden(f"{_POD}.{field}", "cannot be set for a windows pod")
    for path, context in _security_contexts(pod):
        linux_only = _LINUX_POD_CONTEXT if path == f"{_POD}.securityContext" else _LINUX_CONTAINER_CONTEXT
        for field in linux_only:
            if field in context:
                errors.forbidden(f"{path}.{field}", "cannot be set for a windows pod")


def _security_contexts(pod: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    contexts = [(f"{_POD}.securityContext", pod["securityContext"])]
    for field in ("initContainers", "containers"):
        for index, container in enumerate(pod.get(field, [])):
            contexts.append((f"{_POD}.{field}[{index}].securityContext", container.get("securityContext", {})))
    return contexts


def _check_windows_host_process(pod: Mapping[str, Any], errors: ErrorList) -> None:
    (_path, pod_context), *containers = _security_contexts(pod)
    inherited = pod_context.get("windowsOptions", {}).get("hostProcess")
    count = 0
    for path, context in containers:
        own = context.get("windowsOptions", {}).get("hostProcess")
        if inherited is not None and own is not None and own != inherited:
            detail = f"pod hostProcess value must be identical if both are specified, was {str(inherited).lower()}"
            errors.invalid(f"{path}.windowsOptions.hostProcess", own, detail)
        count += bool(inherited if own is None else own)
    if count and count != len(containers):
        detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
        errors.invalid(_POD, "", detail)
    if count and not pod.get("hostNetwork"):
        detail = "hostNetwork must be true if pod contains any hostProcess containers"
        errors.invalid(f"{_POD}.hostNetwork", False, detail)
