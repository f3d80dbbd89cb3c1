# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes' validation of containers: names, ports, environment, probes, hooks.

After pkg/apis/core/validation. All input is type-checked and defaulted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from . import names
from .errors import ErrorList
from .validation_resources import check_container_resources, check_resource_field_ref
from .validation_scheduling import check_name
from .validation_security import check_container_security_context
from .validation_volumes import check_field_ref, check_volume_devices, check_volume_mounts

Container = Mapping[str, Any]

_PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
_PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
_ENV_FIELD_PATHS: Final = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_ENV_SOURCES: Final = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_HANDLERS: Final = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_ONLY_SIDECARS: Final = "may not be set for init containers without restartPolicy=Always"


def check_containers(pod: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    """``path`` is the pod spec's; all three lists of containers, and the names and ports they must not share."""
    containers = pod.get("containers", [])
    if not containers:
        errors.required(f"{path}.containers", "expected at least one container")
    taken: set[str] = set()
    for index, container in enumerate(containers):
        where = f"{path}.containers[{index}]"
        _check_container(container, pod, where, errors)
        _check_unique_name(container, taken, where, errors)
        _check_running(container, pod, where, errors)
        if "restartPolicy" in container:
            errors.forbidden(f"{where}.restartPolicy", "may not be set for non-init containers")
    _check_host_ports(containers, f"{path}.containers", errors)
    for index, container in enumerate(pod.get("initContainers", [])):
        where = f"{path}.initContainers[{index}]"
        _check_container(container, pod, where, errors)
        _check_unique_name(container, taken, where, errors)
        _check_init(container, pod, where, errors)
        # One after another: each only collides with itself. Kubernetes prints the index 0 here, whichever it is.
        _check_host_ports([container], f"{path}.initContainers", errors)


def _check_unique_name(container: Container, taken: set[str], path: str, errors: ErrorList) -> None:
    name = container.get("name", "")
    if name and name in taken:
        errors.duplicate(f"{path}.name", name)
    taken.add(name)


def _check_container(container: Container, pod: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    """What holds for every container."""
    if container.get("name"):
        check_name(container["name"], names.dns_label, f"{path}.name", errors)
    else:
        errors.required(f"{path}.name")
    if not container.get("image"):
        errors.required(f"{path}.image")
    if container["terminationMessagePolicy"] not in ("File", "FallbackToLogsOnError"):
        supported = ["File", "FallbackToLogsOnError"]
        errors.not_supported(f"{path}.terminationMessagePolicy", container["terminationMessagePolicy"], supported)
    if container["imagePullPolicy"] not in _PULL_POLICIES:
        errors.not_supported(f"{path}.imagePullPolicy", container["imagePullPolicy"], _PULL_POLICIES)
    volumes = {volume.get("name", ""): volume for volume in pod.get("volumes", [])}
    _check_ports(container.get("ports", []), f"{path}.ports", errors)
    _check_env(container.get("env", []), f"{path}.env", errors)
    _check_env_from(container.get("envFrom", []), f"{path}.envFrom", errors)
    check_volume_mounts(container, volumes, path, errors)
    check_volume_devices(container, volumes, path, errors)
    claims = [claim.get("name", "") for claim in pod.get("resourceClaims", [])]
    check_container_resources(container.get("resources", {}), claims, f"{path}.resources", errors)
    _check_resize_policy(container.get("resizePolicy", []), f"{path}.resizePolicy", errors)
    check_container_security_context(
        container.get("securityContext", {}),
        f"{path}.securityContext",
        errors,
        host_users=pod.get("hostUsers", True),
    )


def _check_init(container: Container, pod: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    policy = container.get("restartPolicy")
    if policy is not None and policy != "Always":
        errors.not_supported(f"{path}.restartPolicy", policy, ["Always"])
    if policy == "Always":
        _check_running(container, pod, path, errors)
        return
    for field in ("lifecycle", *_PROBES):
        if field in container:
            errors.forbidden(f"{path}.{field}", _ONLY_SIDECARS)


def _check_running(container: Container, pod: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    """Hooks and probes of a container that keeps running."""
    _check_lifecycle(container.get("lifecycle", {}), pod, f"{path}.lifecycle", errors)
    for field in _PROBES:
        if field in container:
            _check_probe(field, container[field], f"{path}.{field}", errors)


# --- ports ---


def _check_ports(ports: Sequence[Mapping[str, Any]], path: str, errors: ErrorList) -> None:
    taken: set[str] = set()
    for index, port in enumerate(ports):
        where, name = f"{path}[{index}]", port.get("name", "")
        if name and names.port_name(name):
            check_name(name, names.port_name, f"{where}.name", errors)
        elif name in taken:
            errors.duplicate(f"{where}.name", name)
        elif name:
            taken.add(name)
        if not port.get("containerPort"):
            errors.required(f"{where}.containerPort")
        for field in ("containerPort", "hostPort"):
            if port.get(field):
                for message in names.port_number(port[field]):
                    errors.invalid(f"{where}.{field}", port[field], message)
        if port["protocol"] not in _PROTOCOLS:
            errors.not_supported(f"{where}.protocol", port["protocol"], _PROTOCOLS)


def _check_host_ports(containers: Sequence[Container], path: str, errors: ErrorList) -> None:
    taken: set[str] = set()
    for index, container in enumerate(containers):
        for number, port in enumerate(container.get("ports", [])):
            if not port.get("hostPort"):
                continue
            used = f"{port['protocol']}/{port.get('hostIP', '')}/{port['hostPort']}"
            if used in taken:
                errors.duplicate(f"{path}[{index}].ports[{number}].hostPort", used)
            taken.add(used)


# --- environment ---


def _check_env(variables: Sequence[Mapping[str, Any]], path: str, errors: ErrorList) -> None:
    for index, variable in enumerate(variables):
        where = f"{path}[{index}]"
        if variable.get("name"):
            check_name(variable["name"], names.environment_name, f"{where}.name", errors)
        else:
            errors.required(f"{where}.name")
        if "valueFrom" in variable:
            _check_value_from(variable, f"{where}.valueFrom", errors)


def _check_value_from(variable: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    source = variable["valueFrom"]
    if "fieldRef" in source:
        check_field_ref(source["fieldRef"], _ENV_FIELD_PATHS, f"{path}.fieldRef", errors)
    if "resourceFieldRef" in source:
        check_resource_field_ref(source["resourceFieldRef"], f"{path}.resourceFieldRef", errors, in_volume=False)
    for field in ("configMapKeyRef", "secretKeyRef"):
        if field in source:
            _check_key_ref(source[field], f"{path}.{field}", errors)
    given = [field for field in _ENV_SOURCES if field in source]
    if not given:
        detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        errors.invalid(path, "", detail)
    elif variable.get("value"):
        errors.invalid(path, "", "may not be specified when `value` is not empty")
    elif len(given) > 1:
        errors.invalid(path, "", "may not have more than one field specified at a time")


def _check_key_ref(source: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    check_name(source.get("name", ""), names.dns_subdomain, f"{path}.name", errors)
    if source.get("key"):
        check_name(source["key"], names.config_key, f"{path}.key", errors)
    else:
        errors.required(f"{path}.key")


def _check_env_from(sources: Sequence[Mapping[str, Any]], path: str, errors: ErrorList) -> None:
    for index, source in enumerate(sources):
        where = f"{path}[{index}]"
        if source.get("prefix"):
            check_name(source["prefix"], names.environment_name, f"{where}.prefix", errors)
        given = [field for field in ("configMapRef", "secretRef") if field in source]
        for field in given:
            if source[field].get("name"):
                check_name(source[field]["name"], names.generate_name, f"{where}.{field}.name", errors)
            else:
                errors.required(f"{where}.{field}.name")
        # Kubernetes prints the list's path for these two, without the index.
        if not given:
            errors.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(given) > 1:
            errors.invalid(path, "", "may not have more than one field specified at a time")


# --- probes and hooks ---


def _check_probe(field: str, probe: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    _check_handler(probe, None, path, errors)
    for number in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        check_not_negative(probe, number, path, errors)
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        errors.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")
    if field == "readinessProbe":
        if grace is not None:
            errors.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes")
    elif probe["successThreshold"] != 1:
        errors.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")


def check_not_negative(target: Mapping[str, Any], field: str, path: str, errors: ErrorList) -> None:
    if target.get(field, 0) < 0:
        errors.invalid(f"{path}.{field}", target[field], "must be greater than or equal to 0")


def _check_lifecycle(lifecycle: Mapping[str, Any], pod: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    for field in ("postStart", "preStop"):
        if field in lifecycle:
            _check_handler(lifecycle[field], pod.get("terminationGracePeriodSeconds"), f"{path}.{field}", errors)
    if "stopSignal" in lifecycle and not pod.get("os", {}).get("name"):
        errors.forbidden(f"{path}.stopSignal", "may not be set for containers with empty os.name")


def _check_handler(handler: Mapping[str, Any], grace: int | None, path: str, errors: ErrorList) -> None:
    given = [field for field in _HANDLERS if field in handler]
    for field in given[1:]:
        errors.forbidden(f"{path}.{field}", "may not specify more than 1 handler type")
    if not given:
        errors.required(path, "must specify a handler type")
        return
    action, where = handler[given[0]], f"{path}.{given[0]}"
    if given[0] == "exec":
        if not action.get("command"):
            errors.required(f"{where}.command")
    elif given[0] == "httpGet":
        _check_http_get(action, where, errors)
    elif given[0] == "sleep":
        _check_sleep(action.get("seconds", 0), grace, where, errors)
    else:
        _check_port_or_name(action.get("port", 0), f"{where}.port", errors)


def _check_http_get(action: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    _check_port_or_name(action.get("port", 0), f"{path}.port", errors)
    if action["scheme"] not in ("HTTP", "HTTPS"):
        errors.not_supported(f"{path}.scheme", action["scheme"], ["HTTP", "HTTPS"])
    for header in action.get("httpHeaders", []):
        check_name(header.get("name", ""), names.http_header, f"{path}.httpHeaders", errors)


def _check_port_or_name(port: int | str, path: str, errors: ErrorList) -> None:
    for message in names.port_name(port) if isinstance(port, str) else names.port_number(port):
        errors.invalid(path, port, message)


def _check_sleep(seconds: int, grace: int | None, path: str, errors: ErrorList) -> None:
    if grace is not None and not 0 <= seconds <= grace:
        detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
        errors.invalid(path, seconds, detail)


def _check_resize_policy(policies: Sequence[Mapping[str, Any]], path: str, errors: ErrorList) -> None:
    seen: set[str] = set()
    choices = (("resourceName", ["cpu", "memory"]), ("restartPolicy", ["NotRequired", "RestartContainer"]))
    for index, policy in enumerate(policies):
        if policy.get("resourceName", "") in seen:
            errors.duplicate(f"{path}[{index}]", policy.get("resourceName", ""))
        seen.add(policy.get("resourceName", ""))
        for field, supported in choices:
            if not policy.get(field):
                errors.required(path)
            elif policy[field] not in supported:
                errors.not_supported(path, policy[field], supported)
