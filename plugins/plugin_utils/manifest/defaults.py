# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The defaults of the Kubernetes API, as pkg/apis/{apps,core}/v1/defaults.go set them.

Only fields that the API sets on the DaemonSet itself: what it sets later, on each Pod (the service account, the
automatic tolerations, requests copied from limits), is the business of those who make an instance of the template.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Final

DEFAULT_NAMESPACE: Final = "default"
DEFAULT_FILE_MODE: Final = 0o644
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS: Final = ("postStart", "preStop")


def with_defaults(daemonset: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a type-checked ``apps/v1`` DaemonSet with every default filled in."""
    defaulted = copy.deepcopy(dict(daemonset))
    metadata = defaulted.setdefault("metadata", {})
    if not metadata.get("namespace"):
        metadata["namespace"] = DEFAULT_NAMESPACE
    spec = defaulted.setdefault("spec", {})
    _default_update_strategy(spec)
    spec.setdefault("revisionHistoryLimit", 10)
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    _default_pod_spec(template.setdefault("spec", {}))
    return defaulted


def _default_update_strategy(spec: dict[str, Any]) -> None:
    strategy = spec.setdefault("updateStrategy", {})
    _fill(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)


def _default_pod_spec(pod: dict[str, Any]) -> None:
    _fill(pod, "dnsPolicy", "ClusterFirst")
    _fill(pod, "restartPolicy", "Always")
    _fill(pod, "schedulerName", "default-scheduler")
    pod.setdefault("securityContext", {})
    pod.setdefault("terminationGracePeriodSeconds", 30)
    # serviceAccount is the old name of serviceAccountName; the API keeps both alike.
    account = pod.get("serviceAccountName") or pod.get("serviceAccount")
    if account:
        pod["serviceAccountName"] = pod["serviceAccount"] = account
    for volume in pod.get("volumes", []):
        _default_volume(volume)
    for container in containers_of(pod):
        _default_container(container)


def containers_of(pod: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All containers of a pod spec: the init ones first, as they start first."""
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from pod.get(field, [])


def _default_container(container: dict[str, Any]) -> None:
    _fill(container, "imagePullPolicy", default_pull_policy(container.get("image", "")))
    _fill(container, "terminationMessagePath", "/dev/termination-log")
    _fill(container, "terminationMessagePolicy", "File")
    container.setdefault("resources", {})
    for port in container.get("ports", []):
        _fill(port, "protocol", "TCP")
    for variable in container.get("env", []):
        if "valueFrom" not in variable:
            variable.setdefault("value", "")
        _default_field_ref(variable.get("valueFrom", {}))
    for probe in (container[name] for name in _PROBES if name in container):
        _default_probe(probe)
    lifecycle = container.get("lifecycle", {})
    for hook in (lifecycle[name] for name in _HOOKS if name in lifecycle):
        _default_http_get(hook)


def default_pull_policy(image: str) -> str:
    """Always for ``latest`` (or neither tag nor digest), else IfNotPresent."""
    name, _at, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return "Always" if tag == "latest" or not (tag or digest) else "IfNotPresent"


def _default_probe(probe: dict[str, Any]) -> None:
    # 0 means unset here: Kubernetes cannot tell the two apart.
    _fill(probe, "timeoutSeconds", 1)
    _fill(probe, "periodSeconds", 10)
    _fill(probe, "successThreshold", 1)
    _fill(probe, "failureThreshold", 3)
    _default_http_get(probe)
    if "grpc" in probe:
        probe["grpc"].setdefault("service", "")


def _default_http_get(handler: dict[str, Any]) -> None:
    if "httpGet" in handler:
        _fill(handler["httpGet"], "path", "/")
        _fill(handler["httpGet"], "scheme", "HTTP")


def _default_field_ref(source: dict[str, Any]) -> None:
    if "fieldRef" in source:
        _fill(source["fieldRef"], "apiVersion", "v1")


def _default_volume(volume: dict[str, Any]) -> None:
    if not any(field != "name" for field in volume):
        volume["emptyDir"] = {}
    for kind in ("secret", "configMap", "downwardAPI", "projected"):
        if kind in volume:
            volume[kind].setdefault("defaultMode", DEFAULT_FILE_MODE)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    for item in volume.get("downwardAPI", {}).get("items", []):
        _default_field_ref(item)
    for source in volume.get("projected", {}).get("sources", []):
        for item in source.get("downwardAPI", {}).get("items", []):
            _default_field_ref(item)
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
    if "azureDisk" in volume:
        volume["azureDisk"].setdefault("cachingMode", "ReadWrite")
        volume["azureDisk"].setdefault("kind", "Shared")
    if "image" in volume:
        _fill(volume["image"], "pullPolicy", default_pull_policy(volume["image"].get("reference", "")))


def _fill(target: dict[str, Any], key: str, value: Any) -> None:
    """Set a field that is absent or has its type's zero value."""
    if not target.get(key):
        target[key] = value
