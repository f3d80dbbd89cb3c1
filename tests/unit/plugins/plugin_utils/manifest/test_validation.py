# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the cases in tests/conformance do not cover; those hold most of the rules."""

# ruff: noqa: E501  (tables with one case a line)

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.validation import validate_object

POD = "spec.template.spec"
CONTAINER = f"{POD}.containers[0]"


def daemonset(
    pod: dict[str, Any] | None = None, container: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "abc"},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [{"name": "c", "image": "i", **(container or {})}], **(pod or {})},
            },
            **spec,
        },
    }


def found(obj: dict[str, Any]) -> list[tuple[str, str]]:
    return [(error.path, error.reason) for error in validate_object(obj)]


def test_the_base_of_these_tests_is_valid() -> None:
    assert found(daemonset()) == []


@pytest.mark.parametrize(
    ("pod", "path", "reason"),
    [
        ({"volumes": [{"name": "v", "emptyDir": {}, "nfs": {}}]}, "volumes[0].nfs", "Forbidden"),
        ({"volumes": [{"name": "v", "nfs": {"server": "s", "path": "x"}}]}, "volumes[0].nfs.path", "Invalid"),
        ({"volumes": [{"name": "v", "csi": {}}]}, "volumes[0].csi.driver", "Required"),
        ({"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "-1"}}]}, "volumes[0].emptyDir.sizeLimit", "Forbidden"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/", "type": "X"}}]}, "volumes[0].hostPath.type", "NotSupported"),
        ({"volumes": [{"name": "v", "secret": {"secretName": "s", "defaultMode": 0o1000}}]}, "volumes[0].secret.defaultMode", "Invalid"),
        ({"volumes": [{"name": "v", "downwardAPI": {"items": [{"path": "p"}]}}]}, "volumes[0].downwardAPI", "Required"),
        ({"volumes": [{"name": "v", "azureDisk": {"diskName": "d", "diskURI": "x"}}]}, "volumes[0].azureDisk.diskURI", "NotSupported"),
        ({"volumes": [{"name": "v", "ephemeral": {}}]}, "volumes[0].ephemeral.volumeClaimTemplate", "Required"),
        ({"volumes": [{"name": "v", "iscsi": {"targetPortal": "t", "iqn": "x"}}]}, "volumes[0].iscsi.iqn", "Invalid"),
        ({"volumes": [{"name": "v", "gcePersistentDisk": {"pdName": "d"}}]}, "volumes[0].gcePersistentDisk.readOnly", "Invalid"),
        ({"nodeSelector": {"a": "b c"}}, "nodeSelector", "Invalid"),
        ({"hostAliases": [{"ip": "300.1.1.1"}]}, "hostAliases[0].ip", "Invalid"),
        ({"dnsConfig": {"searches": ["a b"]}}, "dnsConfig.searches[0]", "Invalid"),
        ({"dnsConfig": {"options": [{"value": "1"}]}}, "dnsConfig.options[0]", "Required"),
        ({"priorityClassName": "A_b"}, "priorityClassName", "Invalid"),
        ({"securityContext": {"runAsUser": -1}}, "securityContext.runAsUser", "Invalid"),
        ({"securityContext": {"seccompProfile": {"type": "Localhost"}}}, "securityContext.seccompProfile.localhostProfile", "Required"),
        ({"securityContext": {"appArmorProfile": {}}}, "securityContext.appArmorProfile.type", "Required"),
        ({"securityContext": {"sysctls": [{"name": "net.x", "value": "1"}]}, "hostNetwork": True}, "securityContext.sysctls[0].name", "Invalid"),
        ({"hostPID": True, "shareProcessNamespace": True}, "securityContext.shareProcessNamespace", "Invalid"),
        ({"hostUsers": False, "hostPID": True}, "HostPID", "Forbidden"),
        ({"os": {"name": "plan9"}}, "os", "NotSupported"),
        ({"os": {"name": "windows"}, "securityContext": {"fsGroup": 1}}, "securityContext.fsGroup", "Forbidden"),
        (
            {"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}]},
            "topologySpreadConstraints[0].maxSkew",
            "Invalid",
        ),
        (
            {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}},
            "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey",
            "Required",
        ),
        ({"resourceClaims": [{"name": "c"}]}, "resourceClaims[0]", "Invalid"),
        ({"resources": {"limits": {"storage": "1"}}}, "resources.limits[storage]", "NotSupported"),
        ({"initContainers": [{"name": "c", "image": "i"}]}, "initContainers[0].name", "Duplicate"),
        ({"initContainers": [{"name": "d", "image": "i", "restartPolicy": "Never"}]}, "initContainers[0].restartPolicy", "NotSupported"),
        ({"ephemeralContainers": [{"name": "d", "image": "i"}]}, "ephemeralContainers", "Forbidden"),
    ],
)  # fmt: skip
def test_pod(pod: dict[str, Any], path: str, reason: str) -> None:
    assert (f"{POD}.{path}", reason) in found(daemonset(pod))


@pytest.mark.parametrize(
    ("container", "path", "reason"),
    [
        ({"image": ""}, "image", "Required"),
        ({"imagePullPolicy": "Sometimes"}, "imagePullPolicy", "NotSupported"),
        ({"env": [{"name": "a=b"}]}, "env[0].name", "Invalid"),
        ({"envFrom": [{}]}, "envFrom", "Invalid"),
        ({"envFrom": [{"configMapRef": {}}]}, "envFrom[0].configMapRef.name", "Required"),
        ({"env": [{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels"}}}]}, "env[0].valueFrom.fieldRef.fieldPath", "NotSupported"),
        (
            {"env": [{"name": "a", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "2"}}}]},
            "env[0].valueFrom.resourceFieldRef.divisor",
            "Invalid",
        ),
        ({"ports": [{"containerPort": 1, "protocol": "ICMP"}]}, "ports[0].protocol", "NotSupported"),
        ({"readinessProbe": {}}, "readinessProbe", "Required"),
        ({"livenessProbe": {"exec": {}}}, "livenessProbe.exec.command", "Required"),
        ({"livenessProbe": {"grpc": {"port": 0}}}, "livenessProbe.grpc.port", "Invalid"),
        ({"livenessProbe": {"httpGet": {"port": 1, "httpHeaders": [{"name": "a b"}]}}}, "livenessProbe.httpGet.httpHeaders", "Invalid"),
        ({"startupProbe": {"tcpSocket": {"port": "No"}}}, "startupProbe.tcpSocket.port", "Invalid"),
        ({"livenessProbe": {"tcpSocket": {"port": 1}, "periodSeconds": -1}}, "livenessProbe.periodSeconds", "Invalid"),
        ({"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}}, "lifecycle.preStop.sleep", "Invalid"),
        ({"volumeMounts": [{"name": "v", "mountPath": "/x", "subPath": "/y"}]}, "volumeMounts.subPath", "Invalid"),
        ({"volumeMounts": [{"name": "v", "mountPath": "/x"}, {"name": "v", "mountPath": "/x"}]}, "volumeMounts[1].mountPath", "Invalid"),
        ({"volumeMounts": [{"name": "v", "mountPath": "/x", "recursiveReadOnly": "Enabled"}]}, "volumeMounts.recursiveReadOnly", "Forbidden"),
        ({"volumeDevices": [{"name": "v", "devicePath": "/dev/x"}]}, "volumeDevices[0].name", "Invalid"),
        ({"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}}, "resources.requests", "Invalid"),
        ({"resources": {"limits": {"gpu": "1"}}}, "resources.limits[gpu]", "Invalid"),
        ({"resources": {"requests": {"a.com/gpu": "1"}}}, "resources.limits", "Required"),
        ({"resources": {"limits": {"a.com/gpu": "1500m"}}}, "resources.limits[a.com/gpu]", "Invalid"),
        ({"resources": {"limits": {"hugepages-2Mi": "2Mi"}}}, "resources", "Forbidden"),
        ({"resources": {"limits": {"cpu": "1", "hugepages-2Mi": "3Mi"}}}, "resources.limits[hugepages-2Mi]", "Invalid"),
        ({"resources": {"claims": [{"name": "c"}]}}, "resources.claims[0]", "NotFound"),
        ({"securityContext": {"procMount": "Unmasked"}}, "securityContext.procMount", "Invalid"),
        ({"securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"add": ["CAP_SYS_ADMIN"]}}}, "securityContext", "Invalid"),
        ({"resizePolicy": [{"resourceName": "disk", "restartPolicy": "NotRequired"}]}, "resizePolicy", "NotSupported"),
        ({"terminationMessagePolicy": "X"}, "terminationMessagePolicy", "NotSupported"),
    ],
)  # fmt: skip
def test_container(container: dict[str, Any], path: str, reason: str) -> None:
    volumes = {"volumes": [{"name": "v", "emptyDir": {}}]}
    assert (f"{CONTAINER}.{path}", reason) in found(daemonset(volumes, container))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"image": 1}, 'Invalid type: found the number 1, expected a string (put it in quotes)'),
        ({"stdin": "yes"}, 'Invalid type: found the string "yes", expected true or false (remove the quotes: true)'),
        ({"ports": {"containerPort": 80}}, "Invalid type: found a map, expected a list (start each item with '- ')"),
        ({"ports": [{"containerPort": "80"}]}, 'Invalid type: found the string "80", expected an integer (remove the quotes: 80)'),
        ({"comand": ["x"]}, 'Unknown field "comand" (did you mean command?)'),
        ({"resources": {"limits": {"memory": "200Mo"}}}, 'Invalid value: "200Mo" is not a quantity (did you mean 200M or 200Mi?)'),
        ({"env": [None]}, "Invalid type: found nothing, expected an object (remove the empty item)"),
    ],
)  # fmt: skip
def test_types(written: dict[str, Any], message: str) -> None:
    assert message in [error.message for error in validate_object(daemonset(container=written))]


def test_null_is_absent() -> None:
    assert found(daemonset({"tolerations": None, "nodeSelector": None}, {"env": [{"name": "A", "value": None}]})) == []


def test_all_errors_at_once() -> None:
    obj = daemonset({"dnsPolicy": "X"}, {"name": "", "image": ""}, minReadySeconds=-1)
    assert {path for path, _reason in found(obj)} == {
        f"{CONTAINER}.name",
        f"{CONTAINER}.image",
        f"{POD}.dnsPolicy",
        "spec.minReadySeconds",
    }


def test_garbage_is_refused_without_a_traceback() -> None:
    for garbage in (None, 1, "x", [], True):
        for field in ("metadata", "spec"):
            obj = daemonset()
            obj[field] = garbage
            assert found(obj)
