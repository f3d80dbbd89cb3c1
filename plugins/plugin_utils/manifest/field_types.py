# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The types of every field of a DaemonSet (and of the parts of ConfigMap and Secret that are read).

A type is a scalar name, ``{"field": type}`` for an object, ``{ANY_KEY: type}`` for a map with keys of the user's
choice, or ``[type]`` for a list. The fields are those of k8s.io/api ``apps/v1.DaemonSet`` and what it holds; tests hold
this table against the schema file in tests/data.
"""

from __future__ import annotations

from typing import Final, TypeAlias

STRING: Final = "string"
INTEGER: Final = "integer"
BOOLEAN: Final = "boolean"
QUANTITY: Final = "quantity"
INTEGER_OR_STRING: Final = "integer or string"
ANYTHING: Final = "anything"

ANY_KEY: Final = "*"

Type: TypeAlias = "str | dict[str, Type] | list[Type]"

_STRINGS: Final[Type] = [STRING]
_STRING_MAP: Final[Type] = {ANY_KEY: STRING}
_QUANTITY_MAP: Final[Type] = {ANY_KEY: QUANTITY}
_NAMED: Final[Type] = {"name": STRING}

_REQUIREMENTS: Final[Type] = [{"key": STRING, "operator": STRING, "values": _STRINGS}]
_LABEL_SELECTOR: Final[Type] = {"matchLabels": _STRING_MAP, "matchExpressions": _REQUIREMENTS}

METADATA: Final[Type] = {
    "annotations": _STRING_MAP,
    "creationTimestamp": STRING,
    "deletionGracePeriodSeconds": INTEGER,
    "deletionTimestamp": STRING,
    "finalizers": _STRINGS,
    "generateName": STRING,
    "generation": INTEGER,
    "labels": _STRING_MAP,
    "managedFields": [
        {
            "apiVersion": STRING,
            "fieldsType": STRING,
            "fieldsV1": {ANY_KEY: ANYTHING},
            "manager": STRING,
            "operation": STRING,
            "subresource": STRING,
            "time": STRING,
        }
    ],
    "name": STRING,
    "namespace": STRING,
    "ownerReferences": [
        {
            "apiVersion": STRING,
            "blockOwnerDeletion": BOOLEAN,
            "controller": BOOLEAN,
            "kind": STRING,
            "name": STRING,
            "uid": STRING,
        }
    ],
    "resourceVersion": STRING,
    "selfLink": STRING,
    "uid": STRING,
}

_NODE_SELECTOR_TERM: Final[Type] = {"matchExpressions": _REQUIREMENTS, "matchFields": _REQUIREMENTS}
_POD_AFFINITY_TERM: Final[Type] = {
    "labelSelector": _LABEL_SELECTOR,
    "matchLabelKeys": _STRINGS,
    "mismatchLabelKeys": _STRINGS,
    "namespaceSelector": _LABEL_SELECTOR,
    "namespaces": _STRINGS,
    "topologyKey": STRING,
}
_POD_AFFINITY: Final[Type] = {
    "preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": _POD_AFFINITY_TERM, "weight": INTEGER}],
    "requiredDuringSchedulingIgnoredDuringExecution": [_POD_AFFINITY_TERM],
}
_AFFINITY: Final[Type] = {
    "nodeAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [{"preference": _NODE_SELECTOR_TERM, "weight": INTEGER}],
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [_NODE_SELECTOR_TERM]},
    },
    "podAffinity": _POD_AFFINITY,
    "podAntiAffinity": _POD_AFFINITY,
}

_EXEC: Final[Type] = {"command": _STRINGS}
_HTTP_GET: Final[Type] = {
    "host": STRING,
    "httpHeaders": [{"name": STRING, "value": STRING}],
    "path": STRING,
    "port": INTEGER_OR_STRING,
    "protocol": STRING,
    "scheme": STRING,
}
_TCP_SOCKET: Final[Type] = {"host": STRING, "port": INTEGER_OR_STRING}
_HOOK: Final[Type] = {"exec": _EXEC, "httpGet": _HTTP_GET, "sleep": {"seconds": INTEGER}, "tcpSocket": _TCP_SOCKET}
_PROBE: Final[Type] = {
    "exec": _EXEC,
    "failureThreshold": INTEGER,
    "grpc": {"mode": STRING, "port": INTEGER, "service": STRING},
    "httpGet": _HTTP_GET,
    "initialDelaySeconds": INTEGER,
    "periodSeconds": INTEGER,
    "successThreshold": INTEGER,
    "tcpSocket": _TCP_SOCKET,
    "terminationGracePeriodSeconds": INTEGER,
    "timeoutSeconds": INTEGER,
}

_RESOURCES: Final[Type] = {
    "claims": [{"name": STRING, "request": STRING}],
    "limits": _QUANTITY_MAP,
    "requests": _QUANTITY_MAP,
}
_APP_ARMOR: Final[Type] = {"localhostProfile": STRING, "type": STRING}
_SECCOMP: Final[Type] = {"localhostProfile": STRING, "type": STRING}
_SE_LINUX: Final[Type] = {"level": STRING, "role": STRING, "type": STRING, "user": STRING}
_WINDOWS: Final[Type] = {
    "gmsaCredentialSpec": STRING,
    "gmsaCredentialSpecName": STRING,
    "hostProcess": BOOLEAN,
    "runAsUserName": STRING,
}

_KEY_REF: Final[Type] = {"key": STRING, "name": STRING, "optional": BOOLEAN}
_FIELD_REF: Final[Type] = {"apiVersion": STRING, "fieldPath": STRING}
_RESOURCE_FIELD_REF: Final[Type] = {"containerName": STRING, "divisor": QUANTITY, "resource": STRING}
_ENV_SOURCE: Final[Type] = {"name": STRING, "optional": BOOLEAN}

_CONTAINER: Final[dict[str, Type]] = {
    "args": _STRINGS,
    "command": _STRINGS,
    "env": [
        {
            "name": STRING,
            "value": STRING,
            "valueFrom": {
                "configMapKeyRef": _KEY_REF,
                "fieldRef": _FIELD_REF,
                "fileKeyRef": {"key": STRING, "optional": BOOLEAN, "path": STRING, "volumeName": STRING},
                "resourceFieldRef": _RESOURCE_FIELD_REF,
                "secretKeyRef": _KEY_REF,
            },
        }
    ],
    "envFrom": [{"configMapRef": _ENV_SOURCE, "prefix": STRING, "secretRef": _ENV_SOURCE}],
    "image": STRING,
    "imagePullPolicy": STRING,
    "lifecycle": {"postStart": _HOOK, "preStop": _HOOK, "stopSignal": STRING},
    "livenessProbe": _PROBE,
    "name": STRING,
    "ports": [
        {"containerPort": INTEGER, "hostIP": STRING, "hostPort": INTEGER, "name": STRING, "protocol": STRING},
    ],
    "readinessProbe": _PROBE,
    "resizePolicy": [{"resourceName": STRING, "restartPolicy": STRING}],
    "resources": _RESOURCES,
    "restartPolicy": STRING,
    "restartPolicyRules": [{"action": STRING, "exitCodes": {"operator": STRING, "values": [INTEGER]}}],
    "securityContext": {
        "allowPrivilegeEscalation": BOOLEAN,
        "appArmorProfile": _APP_ARMOR,
        "capabilities": {"add": _STRINGS, "drop": _STRINGS},
        "privileged": BOOLEAN,
        "procMount": STRING,
        "readOnlyRootFilesystem": BOOLEAN,
        "runAsGroup": INTEGER,
        "runAsNonRoot": BOOLEAN,
        "runAsUser": INTEGER,
        "seLinuxOptions": _SE_LINUX,
        "seccompProfile": _SECCOMP,
        "windowsOptions": _WINDOWS,
    },
    "startupProbe": _PROBE,
    "stdin": BOOLEAN,
    "stdinOnce": BOOLEAN,
    "terminationMessagePath": STRING,
    "terminationMessagePolicy": STRING,
    "tty": BOOLEAN,
    "volumeDevices": [{"devicePath": STRING, "name": STRING}],
    "volumeMounts": [
        {
            "bindMountOptions": _STRINGS,
            "mountPath": STRING,
            "mountPropagation": STRING,
            "name": STRING,
            "readOnly": BOOLEAN,
            "recursiveReadOnly": STRING,
            "subPath": STRING,
            "subPathExpr": STRING,
        }
    ],
    "workingDir": STRING,
}

_KEY_TO_PATH: Final[Type] = [{"key": STRING, "mode": INTEGER, "path": STRING, "user": INTEGER}]
_DOWNWARD_API_FILES: Final[Type] = [
    {
        "fieldRef": _FIELD_REF,
        "mode": INTEGER,
        "path": STRING,
        "resourceFieldRef": _RESOURCE_FIELD_REF,
        "user": INTEGER,
    }
]
_VOLUME_CLAIM_TEMPLATE: Final[Type] = {
    "metadata": METADATA,
    "spec": {
        "accessModes": _STRINGS,
        "dataSource": {"apiGroup": STRING, "kind": STRING, "name": STRING},
        "dataSourceRef": {"apiGroup": STRING, "kind": STRING, "name": STRING, "namespace": STRING},
        "resources": {"limits": _QUANTITY_MAP, "requests": _QUANTITY_MAP},
        "selector": _LABEL_SELECTOR,
        "storageClassName": STRING,
        "volumeAttributesClassName": STRING,
        "volumeMode": STRING,
        "volumeName": STRING,
    },
}
_PROJECTION: Final[Type] = {
    "clusterTrustBundle": {
        "labelSelector": _LABEL_SELECTOR,
        "name": STRING,
        "optional": BOOLEAN,
        "path": STRING,
        "signerName": STRING,
        "user": INTEGER,
    },
    "configMap": {"items": _KEY_TO_PATH, "name": STRING, "optional": BOOLEAN},
    "downwardAPI": {"items": _DOWNWARD_API_FILES},
    "podCertificate": {
        "certificateChainPath": STRING,
        "credentialBundlePath": STRING,
        "keyPath": STRING,
        "keyType": STRING,
        "maxExpirationSeconds": INTEGER,
        "signerName": STRING,
        "user": INTEGER,
        "userAnnotations": {ANY_KEY: STRING},
    },
    "secret": {"items": _KEY_TO_PATH, "name": STRING, "optional": BOOLEAN},
    "serviceAccountToken": {"audience": STRING, "expirationSeconds": INTEGER, "path": STRING, "user": INTEGER},
}
_VOLUME: Final[dict[str, Type]] = {
    "name": STRING,
    "awsElasticBlockStore": {"fsType": STRING, "partition": INTEGER, "readOnly": BOOLEAN, "volumeID": STRING},
    "azureDisk": {
        "cachingMode": STRING,
        "diskName": STRING,
        "diskURI": STRING,
        "fsType": STRING,
        "kind": STRING,
        "readOnly": BOOLEAN,
    },
    "azureFile": {"readOnly": BOOLEAN, "secretName": STRING, "shareName": STRING},
    "cephfs": {
        "monitors": _STRINGS,
        "path": STRING,
        "readOnly": BOOLEAN,
        "secretFile": STRING,
        "secretRef": _NAMED,
        "user": STRING,
    },
    "cinder": {"fsType": STRING, "readOnly": BOOLEAN, "secretRef": _NAMED, "volumeID": STRING},
    "configMap": {
        "defaultMode": INTEGER,
        "defaultUser": INTEGER,
        "items": _KEY_TO_PATH,
        "name": STRING,
        "optional": BOOLEAN,
    },
    "csi": {
        "driver": STRING,
        "fsType": STRING,
        "nodePublishSecretRef": _NAMED,
        "readOnly": BOOLEAN,
        "volumeAttributes": _STRING_MAP,
    },
    "downwardAPI": {"defaultMode": INTEGER, "defaultUser": INTEGER, "items": _DOWNWARD_API_FILES},
    "emptyDir": {"medium": STRING, "mode": INTEGER, "sizeLimit": QUANTITY},
    "ephemeral": {"volumeClaimTemplate": _VOLUME_CLAIM_TEMPLATE},
    "fc": {"fsType": STRING, "lun": INTEGER, "readOnly": BOOLEAN, "targetWWNs": _STRINGS, "wwids": _STRINGS},
    "flexVolume": {
        "driver": STRING,
        "fsType": STRING,
        "options": _STRING_MAP,
        "readOnly": BOOLEAN,
        "secretRef": _NAMED,
    },
    "flocker": {"datasetName": STRING, "datasetUUID": STRING},
    "gcePersistentDisk": {"fsType": STRING, "partition": INTEGER, "pdName": STRING, "readOnly": BOOLEAN},
    "gitRepo": {"directory": STRING, "repository": STRING, "revision": STRING},
    "glusterfs": {"endpoints": STRING, "path": STRING, "readOnly": BOOLEAN},
    "hostPath": {"path": STRING, "type": STRING},
    "image": {"pullPolicy": STRING, "reference": STRING},
    "iscsi": {
        "chapAuthDiscovery": BOOLEAN,
        "chapAuthSession": BOOLEAN,
        "fsType": STRING,
        "initiatorName": STRING,
        "iqn": STRING,
        "iscsiInterface": STRING,
        "lun": INTEGER,
        "portals": _STRINGS,
        "readOnly": BOOLEAN,
        "secretRef": _NAMED,
        "targetPortal": STRING,
    },
    "nfs": {"path": STRING, "readOnly": BOOLEAN, "server": STRING},
    "persistentVolumeClaim": {"claimName": STRING, "readOnly": BOOLEAN},
    "photonPersistentDisk": {"fsType": STRING, "pdID": STRING},
    "portworxVolume": {"fsType": STRING, "readOnly": BOOLEAN, "volumeID": STRING},
    "projected": {"defaultMode": INTEGER, "defaultUser": INTEGER, "sources": [_PROJECTION]},
    "quobyte": {
        "group": STRING,
        "readOnly": BOOLEAN,
        "registry": STRING,
        "tenant": STRING,
        "user": STRING,
        "volume": STRING,
    },
    "rbd": {
        "fsType": STRING,
        "image": STRING,
        "keyring": STRING,
        "monitors": _STRINGS,
        "pool": STRING,
        "readOnly": BOOLEAN,
        "secretRef": _NAMED,
        "user": STRING,
    },
    "scaleIO": {
        "fsType": STRING,
        "gateway": STRING,
        "protectionDomain": STRING,
        "readOnly": BOOLEAN,
        "secretRef": _NAMED,
        "sslEnabled": BOOLEAN,
        "storageMode": STRING,
        "storagePool": STRING,
        "system": STRING,
        "volumeName": STRING,
    },
    "secret": {
        "defaultMode": INTEGER,
        "defaultUser": INTEGER,
        "items": _KEY_TO_PATH,
        "optional": BOOLEAN,
        "secretName": STRING,
    },
    "storageos": {
        "fsType": STRING,
        "readOnly": BOOLEAN,
        "secretRef": _NAMED,
        "volumeName": STRING,
        "volumeNamespace": STRING,
    },
    "vsphereVolume": {
        "fsType": STRING,
        "storagePolicyID": STRING,
        "storagePolicyName": STRING,
        "volumePath": STRING,
    },
}

_POD_SPEC: Final[Type] = {
    "activeDeadlineSeconds": INTEGER,
    "affinity": _AFFINITY,
    "automountServiceAccountToken": BOOLEAN,
    "containers": [_CONTAINER],
    "dnsConfig": {"nameservers": _STRINGS, "options": [{"name": STRING, "value": STRING}], "searches": _STRINGS},
    "dnsPolicy": STRING,
    "enableServiceLinks": BOOLEAN,
    "ephemeralContainers": [{**_CONTAINER, "targetContainerName": STRING}],
    "evictionResponders": [{"name": STRING, "priority": INTEGER}],
    "hostAliases": [{"hostnames": _STRINGS, "ip": STRING}],
    "hostIPC": BOOLEAN,
    "hostNetwork": BOOLEAN,
    "hostPID": BOOLEAN,
    "hostUsers": BOOLEAN,
    "hostname": STRING,
    "hostnameOverride": STRING,
    "imagePullSecrets": [_NAMED],
    "initContainers": [_CONTAINER],
    "nodeName": STRING,
    "nodeSelector": _STRING_MAP,
    "os": _NAMED,
    "overhead": _QUANTITY_MAP,
    "preemptionPolicy": STRING,
    "priority": INTEGER,
    "priorityClassName": STRING,
    "readinessGates": [{"conditionType": STRING}],
    "resourceClaims": [{"name": STRING, "resourceClaimName": STRING, "resourceClaimTemplateName": STRING}],
    "resources": _RESOURCES,
    "restartPolicy": STRING,
    "runtimeClassName": STRING,
    "schedulerName": STRING,
    "schedulingGates": [_NAMED],
    "schedulingGroup": {"podGroupName": STRING},
    "securityContext": {
        "appArmorProfile": _APP_ARMOR,
        "fsGroup": INTEGER,
        "fsGroupChangePolicy": STRING,
        "runAsGroup": INTEGER,
        "runAsNonRoot": BOOLEAN,
        "runAsUser": INTEGER,
        "seLinuxChangePolicy": STRING,
        "seLinuxOptions": _SE_LINUX,
        "seccompProfile": _SECCOMP,
        "supplementalGroups": [INTEGER],
        "supplementalGroupsPolicy": STRING,
        "sysctls": [{"name": STRING, "value": STRING}],
        "windowsOptions": _WINDOWS,
    },
    "serviceAccount": STRING,
    "serviceAccountName": STRING,
    "setHostnameAsFQDN": BOOLEAN,
    "shareProcessNamespace": BOOLEAN,
    "subdomain": STRING,
    "terminationGracePeriodSeconds": INTEGER,
    "tolerations": [
        {"effect": STRING, "key": STRING, "operator": STRING, "tolerationSeconds": INTEGER, "value": STRING},
    ],
    "topologySpreadConstraints": [
        {
            "labelSelector": _LABEL_SELECTOR,
            "matchLabelKeys": _STRINGS,
            "maxSkew": INTEGER,
            "minDomains": INTEGER,
            "nodeAffinityPolicy": STRING,
            "nodeTaintsPolicy": STRING,
            "topologyKey": STRING,
            "whenUnsatisfiable": STRING,
        }
    ],
    "volumes": [_VOLUME],
}

_DAEMON_SET_SPEC: Final[dict[str, Type]] = {
    "minReadySeconds": INTEGER,
    "revisionHistoryLimit": INTEGER,
    "selector": _LABEL_SELECTOR,
    "template": {"metadata": METADATA, "spec": _POD_SPEC},
    "updateStrategy": {
        "rollingUpdate": {"maxSurge": INTEGER_OR_STRING, "maxUnavailable": INTEGER_OR_STRING},
        "type": STRING,
    },
}

DAEMON_SET: Final[dict[str, Type]] = {
    "apiVersion": STRING,
    "kind": STRING,
    "metadata": METADATA,
    "spec": _DAEMON_SET_SPEC,
    "status": {
        "collisionCount": INTEGER,
        "conditions": [
            {"lastTransitionTime": STRING, "message": STRING, "reason": STRING, "status": STRING, "type": STRING},
        ],
        "currentNumberScheduled": INTEGER,
        "desiredNumberScheduled": INTEGER,
        "numberAvailable": INTEGER,
        "numberMisscheduled": INTEGER,
        "numberReady": INTEGER,
        "numberUnavailable": INTEGER,
        "observedGeneration": INTEGER,
        "updatedNumberScheduled": INTEGER,
    },
}

DAEMON_SET_EXTENSIONS_V1BETA1: Final[dict[str, Type]] = {
    **DAEMON_SET,
    "spec": {**_DAEMON_SET_SPEC, "templateGeneration": INTEGER},
}
"""extensions/v1beta1 had one field more, which a client could only read."""

CONFIG_MAP: Final[Type] = {
    "apiVersion": STRING,
    "kind": STRING,
    "metadata": METADATA,
    "data": _STRING_MAP,
    "binaryData": _STRING_MAP,
    "immutable": BOOLEAN,
}

SECRET: Final[Type] = {
    "apiVersion": STRING,
    "kind": STRING,
    "metadata": METADATA,
    "data": _STRING_MAP,
    "stringData": _STRING_MAP,
    "immutable": BOOLEAN,
    "type": STRING,
}
