# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of every field of a DaemonSet: honoured, refused, or without effect. This is the one table of it.

"No field is ever ignored in silence": a path that is in no row is a bug, and tests/unit fails on it.

A row reads: path, what it becomes for a host process (systemd), what it becomes for a container (Docker, Podman). What
Podman alone cannot do is in the same row, as ``podman=refused(…)``.
The row of a path is the longest one that is the path or its beginning. ``pod`` stands for ``spec.template.spec``,
``container`` for a container or init container, ``*`` for a key of the user's choice. A row with ``when`` holds only
for some values; the row without it, further down, holds for the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, TypeAlias

Engine: TypeAlias = Literal["docker", "podman"]
Runtime: TypeAlias = Literal["systemd"] | Engine
AnyRuntime: TypeAlias = Runtime | Literal["container"]
"""``container`` is whichever engine: a node's own is not known before somebody looked there."""


@dataclass(frozen=True)
class Use:
    """What a runtime makes of a field.

    ``text``: where it goes (honoured), why not and what to do (refused), why leaving it out changes nothing (no
    effect).
    """

    kind: Literal["honoured", "refused", "no effect"]
    text: str


def honoured(text: str) -> Use:
    return Use("honoured", text)


def refused(text: str) -> Use:
    return Use("refused", text)


def no_effect(text: str) -> Use:
    return Use("no effect", text)


When: TypeAlias = Callable[[Any, Mapping[str, Any], Mapping[str, Any]], bool]
"""Of the field's value, of the object that holds the field, and of the whole DaemonSet."""


@dataclass(frozen=True)
class Row:
    path: str
    systemd: Use
    container: Use
    when: When | None = None
    podman: Use | None = None
    """Where Podman differs from what the column for containers says."""

    def use(self, runtime: AnyRuntime) -> Use:
        if runtime == "systemd":
            return self.systemd
        return self.podman if runtime == "podman" and self.podman is not None else self.container


def _is(*values: Any) -> When:
    return lambda value, _holder, _daemonset: value in values


def _same_port(value: Any, holder: Mapping[str, Any], _daemonset: Mapping[str, Any]) -> bool:
    return bool(value == holder.get("containerPort"))


def _in_memory(_value: Any, holder: Mapping[str, Any], _daemonset: Mapping[str, Any]) -> bool:
    return holder.get("medium") == "Memory"


def _with_host_network(_value: Any, pod: Mapping[str, Any], _daemonset: Mapping[str, Any]) -> bool:
    return bool(pod.get("hostNetwork"))


def _has_colon(value: Any, _holder: Mapping[str, Any], _daemonset: Mapping[str, Any]) -> bool:
    return ":" in str(value)


def _apart_from_itself(terms: Sequence[Mapping[str, Any]], _holder: Any, daemonset: Mapping[str, Any]) -> bool:
    """Whether all that is kept off the node is this DaemonSet's own instances, of which there is one."""
    labels = daemonset["spec"]["template"].get("metadata", {}).get("labels", {})
    return all(
        set(term) == {"labelSelector", "topologyKey"}
        and term["topologyKey"] == "kubernetes.io/hostname"
        and set(term["labelSelector"]) == {"matchLabels"}
        and bool(term["labelSelector"]["matchLabels"])
        and term["labelSelector"]["matchLabels"].items() <= labels.items()
        for term in terms
    )


def _init_after_sidecar(containers: Sequence[Mapping[str, Any]], _pod: Any, _daemonset: Any) -> bool:
    sidecars = [container.get("restartPolicy") == "Always" for container in containers]
    return any(sidecar and not later for sidecar, later in zip(sidecars, sidecars[1:], strict=False))


def _listens(_value: Any, _rolling: Any, daemonset: Mapping[str, Any]) -> bool:
    """Whether it listens on a port that is known: then two of it in one network are in each other's way."""
    return any(
        container.get("ports") or any(_asks_a_port(container.get(f"{kind}Probe", {})) for kind in _PROBES)
        for container in _containers(daemonset)
    )


def _asks_a_port(probe: Mapping[str, Any]) -> bool:
    return any(kind in probe for kind in ("httpGet", "tcpSocket", "grpc"))


def _holds_a_port_of_the_node(value: Any, rolling: Any, daemonset: Mapping[str, Any]) -> bool:
    if daemonset["spec"]["template"]["spec"].get("hostNetwork"):
        return _listens(value, rolling, daemonset)
    return any(port.get("hostPort") for one in _containers(daemonset) for port in one.get("ports", []))


def _containers(daemonset: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    pod = daemonset["spec"]["template"]["spec"]
    return [*pod.get("initContainers", []), *pod.get("containers", [])]


def _row(
    path: str, systemd: Use, container: Use | None = None, when: When | None = None, podman: Use | None = None
) -> Row:
    """Without its own entry, a container is treated as a host process is."""
    return Row(path, systemd, container or systemd, when, podman)


_API_SERVER = no_effect("a Kubernetes API server writes it; there is none here")
_NO_API = no_effect("there is no Kubernetes API here to sign in to")
_NO_SCHEDULER = no_effect("it only ranks nodes for a scheduler; here the daemon runs on every matching node")
_NO_WINDOWS = refused("nodes here are Linux; remove it")
_CLUSTER_VOLUME = refused("only a cluster or cloud can attach this volume; mount it on the nodes and use hostPath")
_TOO_NEW = refused("this Kubernetes feature is not stable yet; remove it")
_ALWAYS_HOSTS = no_effect("a host process is always in the host's namespace")
_NOT_ISOLATED = refused("a host process is always in the host's namespace; remove the field, or use a container image")
_HOST_NAME = refused("a host process has the node's own name; remove it")
_HOST_RESOLVER = refused("a host process uses the node's own resolver and hosts file; configure them on the node")
_NAME_OF_THE_HOST = no_effect("with hostNetwork a container has the node's own name, in Kubernetes too")
_NO_PROFILE = refused(
    "its kube play takes no AppArmor profile of the node's; remove it, or run the daemon under Docker"
)
_OLD_SECCOMP = no_effect("Kubernetes has given up this annotation (1.27); only securityContext.seccompProfile counts")
_SECCOMP = honoured("--security-opt seccomp; without one the engine's own profile")
_LOCAL_SECCOMP = honoured("a file of the node, below /var/lib/kubelet/seccomp as on Kubernetes' nodes")
_NON_ROOT = honoured("checked before the start, against the image's own user where runAsUser says none")
_PROBE = honoured("checked on the node")
_PROBES = ("startup", "liveness", "readiness")
_PORT_IN_USE = refused("the new instance would wait for a port that the old one has; use maxUnavailable")
_STANDS_IN = honoured("so many nodes at a time start the new revision before the old one stops")

ROWS: Final[tuple[Row, ...]] = (
    # --- the object ---
    _row("apiVersion", honoured("how to read the document")),
    _row("kind", honoured("how to read the document")),
    _row("metadata.name", honoured("the name of the units, containers and folders")),
    _row("metadata.namespace", honoured("the name of the units, containers and folders")),
    _row("metadata.labels", honoured("shown with the DaemonSet")),
    _row("metadata.annotations", honoured("shown with the DaemonSet; everynode/… steer it")),
    _row(
        "metadata.annotations.everynode/canary",
        honoured("one node of each combination of labels first: `one-per=LABEL[,LABEL] [bake=DURATION] [pause]`"),
    ),
    _row(
        "metadata.annotations.everynode/confirm-timeout",
        honoured("how long a switched node that is ready waits for its confirmation before it goes back; 60s"),
    ),
    _row(
        "metadata.annotations.everynode/max-failures",
        honoured("with on-failure: continue, how many nodes may fail, a number or a percentage; all"),
    ),
    _row(
        "metadata.annotations.everynode/max-unreachable",
        honoured("with how many unreachable nodes something is still replaced, a number or a percentage; all"),
    ),
    _row(
        "metadata.annotations.everynode/on-failure",
        honoured("revert (that node goes back, the rollout halts), halt, rollback (all go back) or continue; revert"),
    ),
    _row(
        "metadata.annotations.everynode/pace",
        honoured("batch, or window: the next node is switched as soon as one is available; batch"),
    ),
    _row(
        "metadata.annotations.everynode/partition",
        honoured("how many nodes, the first of the inventory, keep their revision, a number or a percentage; 0"),
    ),
    _row("metadata.annotations.everynode/paused", honoured("true: nothing is replaced")),
    _row("metadata.annotations.everynode/replaces", honoured("units whose place the DaemonSet takes")),
    _row(
        "metadata.annotations.everynode/steps",
        honoured("how many nodes are updated before it bakes or pauses: `1 pause, 10% bake=10m, 100%`"),
    ),
    _row(
        "metadata.annotations.everynode/topology",
        honoured("a label; nodes of two different values of it are never switched at the same time"),
    ),
    _row(
        "metadata.annotations.everynode/validate",
        honoured("a command that has to succeed before anything is stopped"),
    ),
    _row(
        "metadata.annotations.everynode/window",
        honoured("when instances may be replaced: `[DAYS ]HH:MM-HH:MM[ ZONE]`, several separated by `;`"),
    ),
    _row("metadata.generateName", refused("every apply must mean the same DaemonSet; write metadata.name")),
    _row("metadata.creationTimestamp", _API_SERVER),
    _row("metadata.deletionGracePeriodSeconds", _API_SERVER),
    _row("metadata.deletionTimestamp", _API_SERVER),
    _row("metadata.finalizers", _API_SERVER),
    _row("metadata.generation", _API_SERVER),
    _row("metadata.managedFields", _API_SERVER),
    _row("metadata.ownerReferences", no_effect("nothing here owns a DaemonSet or deletes it with its owner")),
    _row("metadata.resourceVersion", _API_SERVER),
    _row("metadata.selfLink", _API_SERVER),
    _row("metadata.uid", _API_SERVER),
    _row("status", no_effect("it is what was observed, not what is wanted")),
    # --- the DaemonSet's spec ---
    _row("spec.selector", honoured("must match the template's labels")),
    _row("spec.minReadySeconds", honoured("how long an instance must stay ready to count as available")),
    _row("spec.revisionHistoryLimit", honoured("old revisions kept on each node")),
    _row("spec.updateStrategy.type", honoured("whether outdated instances are replaced")),
    _row("spec.updateStrategy.rollingUpdate.maxUnavailable", honoured("the size of a batch")),
    _row(
        "spec.updateStrategy.rollingUpdate.maxSurge", honoured("no second instance beside the first"), when=_is(0, "0%")
    ),
    _row("spec.updateStrategy.rollingUpdate.maxSurge", _PORT_IN_USE, when=_holds_a_port_of_the_node),
    _row("spec.updateStrategy.rollingUpdate.maxSurge", _PORT_IN_USE, _STANDS_IN, when=_listens),
    _row("spec.updateStrategy.rollingUpdate.maxSurge", _STANDS_IN),
    _row("spec.templateGeneration", _API_SERVER),
    # --- the template's metadata ---
    _row("spec.template.metadata.labels", honoured("part of the revision; read by fieldRef")),
    _row("spec.template.metadata.annotations", honoured("part of the revision; read by fieldRef")),
    _row(
        "spec.template.metadata.annotations.container.apparmor.security.beta.kubernetes.io/*",
        refused("write securityContext.appArmorProfile instead of the old annotation"),
        honoured("--security-opt apparmor"),
        when=_is("", "runtime/default", "unconfined"),
    ),
    _row(
        "spec.template.metadata.annotations.container.apparmor.security.beta.kubernetes.io/*",
        refused("write securityContext.appArmorProfile instead of the old annotation"),
        honoured("--security-opt apparmor"),
        podman=_NO_PROFILE,
    ),
    _row("spec.template.metadata.annotations.container.seccomp.security.alpha.kubernetes.io/*", _OLD_SECCOMP),
    _row("spec.template.metadata.annotations.seccomp.security.alpha.kubernetes.io/pod", _OLD_SECCOMP),
    _row(
        "spec.template.metadata.annotations.everynode/*",
        refused("annotations of everynode belong to the DaemonSet; move it to metadata.annotations"),
    ),
    _row("spec.template.metadata.name", no_effect("an instance is named after its DaemonSet")),
    _row("spec.template.metadata.namespace", no_effect("an instance is in its DaemonSet's namespace")),
    _row("spec.template.metadata.generateName", no_effect("an instance is named after its DaemonSet")),
    _row("spec.template.metadata.creationTimestamp", _API_SERVER),
    _row("spec.template.metadata.deletionGracePeriodSeconds", _API_SERVER),
    _row("spec.template.metadata.deletionTimestamp", _API_SERVER),
    _row("spec.template.metadata.finalizers", _API_SERVER),
    _row("spec.template.metadata.generation", _API_SERVER),
    _row("spec.template.metadata.managedFields", _API_SERVER),
    _row("spec.template.metadata.ownerReferences", _API_SERVER),
    _row("spec.template.metadata.resourceVersion", _API_SERVER),
    _row("spec.template.metadata.selfLink", _API_SERVER),
    _row("spec.template.metadata.uid", _API_SERVER),
    # --- which nodes ---
    _row("pod.nodeName", honoured("eligibility")),
    _row("pod.nodeSelector", honoured("eligibility")),
    _row("pod.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution", honoured("eligibility")),
    _row("pod.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution", _NO_SCHEDULER),
    _row(
        "pod.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution",
        refused("nodes are not chosen by what else runs there; use node labels and nodeSelector"),
    ),
    _row("pod.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution", _NO_SCHEDULER),
    _row(
        "pod.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution",
        no_effect("it keeps a second instance off the node, and there never is one"),
        when=_apart_from_itself,
    ),
    _row(
        "pod.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution",
        refused("nodes are not chosen by what else runs there; use node labels, or taints and tolerations"),
    ),
    _row("pod.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution", _NO_SCHEDULER),
    _row("pod.tolerations[].effect", honoured("eligibility")),
    _row("pod.tolerations[].key", honoured("eligibility")),
    _row("pod.tolerations[].operator", honoured("eligibility")),
    _row("pod.tolerations[].value", honoured("eligibility")),
    _row(
        "pod.tolerations[].tolerationSeconds",
        no_effect("a DaemonSet's instance that is evicted after the seconds is created again at once"),
    ),
    _row(
        "pod.topologySpreadConstraints[]",
        _NO_SCHEDULER,
        when=lambda value, _holder, _daemonset: value.get("whenUnsatisfiable") == "ScheduleAnyway",
    ),
    _row(
        "pod.topologySpreadConstraints[]",
        refused("the daemon runs on every matching node, however they are spread; remove it"),
    ),
    _row("pod.schedulerName", no_effect("there is no scheduler here"), when=_is("default-scheduler")),
    _row("pod.schedulerName", refused("there is no scheduler here; remove it")),
    _row("pod.schedulingGates", refused("nothing here lifts a gate, so the daemon would never start; remove it")),
    _row("pod.schedulingGroup", _TOO_NEW),
    _row("pod.preemptionPolicy", no_effect("nothing is preempted on a plain host")),
    _row("pod.priority", no_effect("nothing is preempted on a plain host")),
    _row(
        "pod.priorityClassName",
        honoured("OOMScoreAdjust="),
        honoured("--oom-score-adj"),
        when=_is("system-node-critical"),
    ),
    _row(
        "pod.priorityClassName",
        no_effect("it only ranks pods for preemption and eviction, which a plain host does not do"),
    ),
    _row("pod.evictionResponders", no_effect("there is no eviction API here")),
    _row("pod.os.name", honoured("nodes here are Linux"), when=_is("linux")),
    _row("pod.os.name", _NO_WINDOWS),
    _row("pod.overhead", refused("it belongs to a RuntimeClass, and there are none here; remove it")),
    _row("pod.runtimeClassName", refused("there are no RuntimeClasses here; remove it")),
    _row("pod.resourceClaims", refused("there is no dynamic resource allocation here; mount the device with hostPath")),
    # --- identity ---
    _row("pod.serviceAccountName", _NO_API),
    _row("pod.serviceAccount", _NO_API),
    _row("pod.automountServiceAccountToken", _NO_API),
    _row("pod.enableServiceLinks", no_effect("there are no Services here")),
    _row(
        "pod.imagePullSecrets",
        no_effect("a host process is not pulled from a registry"),
        honoured("logins for the pull; one that is not among the manifests leaves the node's own"),
    ),
    # --- the host's namespaces and name ---
    _row("pod.hostNetwork", _ALWAYS_HOSTS, honoured("network: host"), when=_is(True)),
    _row("pod.hostNetwork", _NOT_ISOLATED, honoured("a network namespace of the pod's own")),
    _row("pod.hostPID", _ALWAYS_HOSTS, honoured("pid: host"), when=_is(True)),
    _row("pod.hostPID", _NOT_ISOLATED, honoured("a pid namespace of the pod's own")),
    _row("pod.hostIPC", _ALWAYS_HOSTS, honoured("ipc: host"), when=_is(True)),
    _row("pod.hostIPC", _NOT_ISOLATED, honoured("an ipc namespace of the pod's own")),
    _row("pod.shareProcessNamespace", _ALWAYS_HOSTS, honoured("one pid namespace for the pod"), when=_is(True)),
    _row("pod.shareProcessNamespace", _NOT_ISOLATED, honoured("a pid namespace for each container")),
    _row("pod.hostUsers", no_effect("user ids are the host's, as is the default"), when=_is(True)),
    _row("pod.hostUsers", refused("there are no user namespaces here; remove it and set runAsUser")),
    _row("pod.hostname", _HOST_NAME, _NAME_OF_THE_HOST, when=_with_host_network),
    _row("pod.hostname", _HOST_NAME, honoured("--hostname; without it the node's name")),
    _row("pod.hostnameOverride", _HOST_NAME, _NAME_OF_THE_HOST, when=_with_host_network),
    _row("pod.hostnameOverride", _HOST_NAME, honoured("--hostname")),
    _row("pod.subdomain", refused("there is no cluster DNS here; remove it")),
    _row("pod.setHostnameAsFQDN", no_effect("without a subdomain, which takes a cluster's DNS, the two are the same")),
    _row("pod.hostAliases", _HOST_RESOLVER, honoured("lines of the hosts file")),
    _row("pod.dnsConfig", _HOST_RESOLVER, honoured("the resolver's servers, search domains and options")),
    _row("pod.dnsPolicy", _HOST_RESOLVER, honoured("only what dnsConfig says"), when=_is("None")),
    _row("pod.dnsPolicy", honoured("the node's resolver"), when=_is("Default")),
    _row("pod.dnsPolicy", no_effect("there is no cluster DNS here: the node's resolver is used")),
    # --- the pod's life ---
    _row("pod.restartPolicy", honoured("Restart=always"), honoured("the engine restarts it always")),
    _row("pod.terminationGracePeriodSeconds", honoured("TimeoutStopSec="), honoured("--stop-timeout")),
    _row("pod.activeDeadlineSeconds", refused("a daemon has no end; remove it")),
    _row("pod.ephemeralContainers", refused("they are added to a running pod for debugging; remove them")),
    _row("pod.readinessGates", refused("nothing here sets pod conditions, so it would never be ready; remove them")),
    _row("pod.resources", refused("limits for a whole pod are not supported; set them on its containers")),
    # --- the pod's security context ---
    _row("pod.securityContext.runAsUser", honoured("User="), honoured("--user")),
    _row("pod.securityContext.runAsGroup", honoured("Group="), honoured("--user")),
    _row("pod.securityContext.runAsNonRoot", honoured("checked before the start"), _NON_ROOT),
    _row("pod.securityContext.supplementalGroups", honoured("SupplementaryGroups="), honoured("--group-add")),
    _row(
        "pod.securityContext.supplementalGroupsPolicy",
        honoured("the user's groups on the node count too"),
        honoured("the user's groups in the image count too"),
        when=_is("Merge"),
    ),
    _row(
        "pod.securityContext.supplementalGroupsPolicy",
        refused("the user's other groups cannot be taken away; remove it"),
    ),
    _row(
        "pod.securityContext.fsGroup",
        honoured("SupplementaryGroups=, and the group of volumes"),
        honoured("--group-add, and the group of volumes"),
    ),
    _row("pod.securityContext.fsGroupChangePolicy", no_effect("volumes are written anew for each revision")),
    _row("pod.securityContext.seLinuxChangePolicy", no_effect("volumes are written anew for each revision")),
    _row("pod.securityContext.seLinuxOptions", honoured("SELinuxContext="), honoured("--security-opt label")),
    _row("pod.securityContext.seccompProfile", honoured("SystemCallFilter="), _SECCOMP),
    _row(
        "pod.securityContext.seccompProfile.localhostProfile",
        refused("systemd cannot read seccomp profiles in JSON; use RuntimeDefault"),
        _LOCAL_SECCOMP,
    ),
    _row("pod.securityContext.appArmorProfile", honoured("AppArmorProfile="), honoured("--security-opt apparmor")),
    _row(
        "pod.securityContext.appArmorProfile.type",
        refused("there is no default profile for host processes; use Localhost or Unconfined"),
        honoured("--security-opt apparmor"),
        when=_is("RuntimeDefault"),
    ),
    _row("pod.securityContext.appArmorProfile.type", honoured("AppArmorProfile="), honoured("--security-opt apparmor")),
    _row(
        "pod.securityContext.appArmorProfile.localhostProfile",
        honoured("AppArmorProfile="),
        honoured("--security-opt apparmor"),
        podman=_NO_PROFILE,
    ),
    _row(
        "pod.securityContext.sysctls",
        refused("a host process has no kernel settings of its own; set them on the node"),
        honoured("--sysctl; those of the whole node are refused"),
    ),
    _row("pod.securityContext.windowsOptions", _NO_WINDOWS),
    # --- volumes ---
    _row("pod.volumes[].name", honoured("what volumeMounts refer to")),
    _row("pod.volumes[].hostPath", honoured("BindPaths="), honoured("bind mount")),
    _row("pod.volumes[].emptyDir", honoured("a folder of the instance, BindPaths="), honoured("bind mount")),
    _row("pod.volumes[].emptyDir.medium", honoured("a folder or a tmpfs"), when=_is("", "Memory")),
    _row("pod.volumes[].emptyDir.medium", refused("huge pages are not handed out here; use Memory")),
    _row(
        "pod.volumes[].emptyDir.sizeLimit",
        honoured("the size of the tmpfs"),
        when=_in_memory,
    ),
    _row(
        "pod.volumes[].emptyDir.sizeLimit",
        no_effect("Kubernetes evicts a pod that fills its disk; nothing is evicted on a plain host"),
    ),
    _row("pod.volumes[].emptyDir.mode", _TOO_NEW),
    _row("pod.volumes[].configMap", honoured("files, BindReadOnlyPaths="), honoured("bind mount")),
    _row("pod.volumes[].configMap.defaultUser", _TOO_NEW),
    _row("pod.volumes[].configMap.items[].user", _TOO_NEW),
    _row("pod.volumes[].secret", honoured("files, BindReadOnlyPaths="), honoured("bind mount")),
    _row("pod.volumes[].secret.defaultUser", _TOO_NEW),
    _row("pod.volumes[].secret.items[].user", _TOO_NEW),
    _row("pod.volumes[].downwardAPI", honoured("files, BindReadOnlyPaths="), honoured("bind mount")),
    _row("pod.volumes[].downwardAPI.defaultUser", _TOO_NEW),
    _row("pod.volumes[].downwardAPI.items[].user", _TOO_NEW),
    _row("pod.volumes[].projected.defaultMode", honoured("the mode of the files")),
    _row("pod.volumes[].projected.defaultUser", _TOO_NEW),
    _row("pod.volumes[].projected.sources[].configMap", honoured("files, BindReadOnlyPaths="), honoured("bind mount")),
    _row("pod.volumes[].projected.sources[].configMap.items[].user", _TOO_NEW),
    _row("pod.volumes[].projected.sources[].secret", honoured("files, BindReadOnlyPaths="), honoured("bind mount")),
    _row("pod.volumes[].projected.sources[].secret.items[].user", _TOO_NEW),
    _row(
        "pod.volumes[].projected.sources[].downwardAPI", honoured("files, BindReadOnlyPaths="), honoured("bind mount")
    ),
    _row("pod.volumes[].projected.sources[].downwardAPI.items[].user", _TOO_NEW),
    _row(
        "pod.volumes[].projected.sources[].serviceAccountToken",
        refused("there is no Kubernetes API here to issue tokens; remove it, or give the daemon a Secret"),
    ),
    _row(
        "pod.volumes[].projected.sources[].clusterTrustBundle",
        refused("there is no Kubernetes API here; put the certificates into a ConfigMap"),
    ),
    _row(
        "pod.volumes[].projected.sources[].podCertificate",
        refused("there is no Kubernetes API here to issue certificates; give the daemon a Secret"),
    ),
    _row("pod.volumes[].awsElasticBlockStore", _CLUSTER_VOLUME),
    _row("pod.volumes[].azureDisk", _CLUSTER_VOLUME),
    _row("pod.volumes[].azureFile", _CLUSTER_VOLUME),
    _row("pod.volumes[].cephfs", _CLUSTER_VOLUME),
    _row("pod.volumes[].cinder", _CLUSTER_VOLUME),
    _row("pod.volumes[].csi", _CLUSTER_VOLUME),
    _row("pod.volumes[].ephemeral", _CLUSTER_VOLUME),
    _row("pod.volumes[].fc", _CLUSTER_VOLUME),
    _row("pod.volumes[].flexVolume", _CLUSTER_VOLUME),
    _row("pod.volumes[].flocker", _CLUSTER_VOLUME),
    _row("pod.volumes[].gcePersistentDisk", _CLUSTER_VOLUME),
    _row(
        "pod.volumes[].gitRepo",
        refused("Kubernetes has given up this volume; clone in an init container to an emptyDir"),
    ),
    _row("pod.volumes[].glusterfs", _CLUSTER_VOLUME),
    _row("pod.volumes[].image", refused("images cannot be mounted here; unpack it on the nodes and use hostPath")),
    _row("pod.volumes[].iscsi", _CLUSTER_VOLUME),
    _row("pod.volumes[].nfs", _CLUSTER_VOLUME),
    _row("pod.volumes[].persistentVolumeClaim", _CLUSTER_VOLUME),
    _row("pod.volumes[].photonPersistentDisk", _CLUSTER_VOLUME),
    _row("pod.volumes[].portworxVolume", _CLUSTER_VOLUME),
    _row("pod.volumes[].quobyte", _CLUSTER_VOLUME),
    _row("pod.volumes[].rbd", _CLUSTER_VOLUME),
    _row("pod.volumes[].scaleIO", _CLUSTER_VOLUME),
    _row("pod.volumes[].storageos", _CLUSTER_VOLUME),
    _row("pod.volumes[].vsphereVolume", _CLUSTER_VOLUME),
    # --- containers: what runs ---
    _row(
        "pod.initContainers",
        honoured("a sidecar is started before the init containers that follow it"),
        when=_init_after_sidecar,
        podman=refused(
            "it starts sidecars (restartPolicy: Always) together with the main containers; "
            "put the init containers that have an end before them"
        ),
    ),
    _row("container.name", honoured("the name of its unit"), honoured("the name of its container")),
    _row("container.image", honoured("the program"), honoured("image")),
    _row(
        "container.imagePullPolicy",
        no_effect("a host process is not pulled from a registry"),
        honoured("when to pull, before anything is stopped"),
    ),
    _row("container.command", honoured("ExecStart="), honoured("in place of the image's ENTRYPOINT and CMD")),
    _row("container.args", honoured("ExecStart="), honoured("in place of the image's CMD")),
    _row("container.workingDir", honoured("WorkingDirectory="), honoured("--workdir")),
    _row("container.env", honoured("environment file"), honoured("environment")),
    _row("container.env[].valueFrom.fileKeyRef", _TOO_NEW),
    _row("container.envFrom", honoured("environment file"), honoured("environment")),
    _row("container.stdin", no_effect("it is the default"), when=_is(False)),
    _row(
        "container.stdin",
        refused("nobody types into a daemon; remove it"),
        honoured("--interactive"),
        podman=refused("its kube play leaves the standard input closed; remove it, or run the daemon under Docker"),
    ),
    _row("container.stdinOnce", no_effect("it only counts once somebody attaches, which nothing here does")),
    _row("container.tty", no_effect("it is the default"), when=_is(False)),
    _row("container.tty", refused("a host process has no terminal; remove it"), honoured("--tty")),
    _row("container.restartPolicy", honoured("a unit of its own, started before the others"), honoured("a sidecar")),
    _row("container.restartPolicyRules", _TOO_NEW),
    _row("container.terminationMessagePath", no_effect("there is no pod status to copy the message to")),
    _row("container.terminationMessagePolicy", no_effect("there is no pod status to copy the message to")),
    _row("container.resizePolicy", no_effect("a change of resources is a new revision")),
    # --- containers: ports ---
    _row("container.ports[].name", honoured("what probes refer to")),
    _row(
        "container.ports[].containerPort", honoured("what probes refer to"), honoured("what is published as hostPort")
    ),
    _row("container.ports[].protocol", no_effect("a host process listens as it likes"), honoured("published port")),
    _row(
        "container.ports[].hostPort",
        no_effect("a host process listens on the host's own ports"),
        honoured("published port"),
        when=_same_port,
    ),
    _row(
        "container.ports[].hostPort",
        refused("ports of a host process are not mapped; make it listen on hostPort, and write the same containerPort"),
        honoured("published port"),
    ),
    _row(
        "container.ports[].hostIP",
        no_effect("it means every address"),
        honoured("published port"),
        _is("0.0.0.0", "::"),
    ),
    _row(
        "container.ports[].hostIP",
        refused("ports of a host process are not mapped; make it listen on this address itself"),
        honoured("published port"),
    ),
    # --- containers: resources ---
    _row("container.resources.limits.cpu", honoured("CPUQuota="), honoured("--cpus")),
    _row("container.resources.limits.memory", honoured("MemoryMax="), honoured("--memory")),
    _row("container.resources.requests.cpu", honoured("CPUWeight="), honoured("--cpu-shares")),
    _row("container.resources.requests.memory", honoured("MemoryLow="), honoured("--memory-reservation")),
    _row(
        "container.resources.limits.ephemeral-storage",
        no_effect("Kubernetes evicts a pod that fills its disk; nothing is evicted on a plain host"),
    ),
    _row("container.resources.requests.ephemeral-storage", _NO_SCHEDULER),
    _row(
        "container.resources.limits.*",
        refused("there are no device plugins or huge pages to hand out here; mount the device with hostPath"),
    ),
    _row(
        "container.resources.requests.*",
        refused("there are no device plugins or huge pages to hand out here; mount the device with hostPath"),
    ),
    _row(
        "container.resources.claims",
        refused("there is no dynamic resource allocation here; mount the device with hostPath"),
    ),
    # --- containers: probes and hooks ---
    *(
        row
        for probe in ("livenessProbe", "readinessProbe", "startupProbe")
        for row in (
            _row(f"container.{probe}", _PROBE),
            _row(f"container.{probe}.grpc.mode", _TOO_NEW),
            _row(f"container.{probe}.httpGet.protocol", _TOO_NEW),
            _row(
                f"container.{probe}.terminationGracePeriodSeconds",
                refused("a unit has one stop timeout; set terminationGracePeriodSeconds of the pod"),
                honoured("the time to stop before the restart"),
            ),
        )
    ),
    *(
        row
        for hook, directive in (("postStart", "ExecStartPost="), ("preStop", "ExecStop="))
        for row in (
            _row(f"container.lifecycle.{hook}", honoured(directive), honoured("run in the container, or sent to it")),
            _row(f"container.lifecycle.{hook}.httpGet.protocol", _TOO_NEW),
            _row(
                f"container.lifecycle.{hook}.tcpSocket",
                refused("Kubernetes takes it and then fails the hook; use exec, httpGet or sleep"),
            ),
        )
    ),
    _row(
        "container.lifecycle.stopSignal",
        refused("host processes are stopped with SIGTERM; remove it, or send another signal in preStop"),
        honoured("--stop-signal"),
        podman=refused("it takes the signal of the image; remove it, or send another signal in preStop"),
    ),
    # --- containers: mounts ---
    _row("container.volumeMounts", honoured("BindPaths=, BindReadOnlyPaths="), honoured("bind mount")),
    _row("container.volumeMounts[].bindMountOptions", _TOO_NEW),
    _row(
        "container.volumeMounts[].mountPath",
        honoured("BindPaths=, BindReadOnlyPaths="),
        honoured("bind mount"),
        when=_has_colon,
        podman=refused("it takes what follows a colon as options; choose a path without one"),
    ),
    _row("container.volumeMounts[].mountPath", honoured("BindPaths=, BindReadOnlyPaths="), honoured("bind mount")),
    _row(
        "container.volumeMounts[].recursiveReadOnly",
        honoured("BindReadOnlyPaths= holds for all mounts below"),
        honoured("mounts below are read-only too"),
        when=_is("Enabled"),
        podman=refused("its kube play cannot promise this of mounts below; use IfPossible, or run it under Docker"),
    ),
    _row(
        "container.volumeMounts[].recursiveReadOnly",
        honoured("BindReadOnlyPaths= holds for all mounts below"),
        honoured("mounts below are read-only too, where the engine can do it"),
    ),
    _row("container.volumeDevices", refused("only a cluster can attach block volumes; mount the device with hostPath")),
    # --- containers: security context ---
    _row(
        "container.securityContext.allowPrivilegeEscalation",
        honoured("NoNewPrivileges="),
        honoured("--security-opt no-new-privileges"),
    ),
    _row(
        "container.securityContext.capabilities",
        honoured("CapabilityBoundingSet=, AmbientCapabilities="),
        honoured("--cap-add, --cap-drop"),
    ),
    _row("container.securityContext.privileged", honoured("no restrictions"), honoured("--privileged")),
    _row(
        "container.securityContext.procMount",
        no_effect("a host process sees the host's /proc"),
        honoured("the engine's own masks; Unmasked takes user namespaces, in Kubernetes too"),
    ),
    _row(
        "container.securityContext.readOnlyRootFilesystem",
        honoured("ProtectSystem=strict"),
        honoured("--read-only; a newer Podman leaves /tmp, /run and /var/tmp writable, in memory"),
    ),
    _row("container.securityContext.runAsUser", honoured("User="), honoured("--user")),
    _row("container.securityContext.runAsGroup", honoured("Group="), honoured("--user")),
    _row("container.securityContext.runAsNonRoot", honoured("checked before the start"), _NON_ROOT),
    _row("container.securityContext.seLinuxOptions", honoured("SELinuxContext="), honoured("--security-opt label")),
    _row("container.securityContext.seccompProfile", honoured("SystemCallFilter="), _SECCOMP),
    _row(
        "container.securityContext.seccompProfile.localhostProfile",
        refused("systemd cannot read seccomp profiles in JSON; use RuntimeDefault"),
        _LOCAL_SECCOMP,
    ),
    _row(
        "container.securityContext.appArmorProfile", honoured("AppArmorProfile="), honoured("--security-opt apparmor")
    ),
    _row(
        "container.securityContext.appArmorProfile.type",
        refused("there is no default profile for host processes; use Localhost or Unconfined"),
        honoured("--security-opt apparmor"),
        when=_is("RuntimeDefault"),
    ),
    _row(
        "container.securityContext.appArmorProfile.type",
        honoured("AppArmorProfile="),
        honoured("--security-opt apparmor"),
    ),
    _row(
        "container.securityContext.appArmorProfile.localhostProfile",
        honoured("AppArmorProfile="),
        honoured("--security-opt apparmor"),
        podman=_NO_PROFILE,
    ),
    _row("container.securityContext.windowsOptions", _NO_WINDOWS),
)

_ABBREVIATIONS: Final = {
    "pod": ("spec.template.spec",),
    "container": ("spec.template.spec.containers[]", "spec.template.spec.initContainers[]"),
}


def _index() -> dict[str, list[Row]]:
    index: dict[str, list[Row]] = {}
    for row in ROWS:
        first, _dot, rest = row.path.partition(".")
        for start in _ABBREVIATIONS.get(first, (first,)):
            index.setdefault(f"{start}.{rest}" if rest else start, []).append(row)
    return index


_ROWS_BY_PATH: Final = _index()
_KEY_PATTERNS: Final = tuple(path for path in _ROWS_BY_PATH if path.endswith("*"))


def _beginnings() -> frozenset[str]:
    found: set[str] = set()
    for path in _ROWS_BY_PATH:
        found.update(path[: match.start()] for match in re.finditer(r"\.|\[\]", path))
    return frozenset(found)


_BEGINNINGS: Final = _beginnings()
"""Paths that have rows below them."""


def classify(path: str, runtime: AnyRuntime) -> Use | None:
    """What a runtime makes of a path (with indices or ``[]``); None if the path is in no row.

    Rows for some values only do not count.
    """
    generic = re.sub(r"\[[0-9]+\]", "[]", path)
    while True:
        rows = _rows_at(generic)
        for row in rows:
            if row.when is None:
                return row.use(runtime)
        shorter = re.sub(r"(\.[^.\[\]]*|\[\])$", "", generic)
        if shorter == generic:
            return None
        generic = shorter


def _rows_at(generic: str) -> list[Row]:
    if generic in _ROWS_BY_PATH:
        return _ROWS_BY_PATH[generic]
    for pattern in _KEY_PATTERNS:
        if fnmatchcase(generic.replace("[]", "()"), pattern.replace("[]", "()")):
            return _ROWS_BY_PATH[pattern]
    return []


def judge(daemonset: Mapping[str, Any], runtime: AnyRuntime) -> Iterator[tuple[str, Use]]:
    """The paths of a type-checked object, without its defaults, that are refused or have no effect.

    Each with the shortest path that says it: ``volumes[0].nfs``, not each field of it. Empty values are absent ones.
    """

    def judged(value: Any, holder: Mapping[str, Any], path: str, generic: str) -> Iterator[tuple[str, Use]]:
        rows = (row for row in _rows_at(generic) if row.when is None or row.when(value, holder, daemonset))
        use = next((row.use(runtime) for row in rows), None)
        if use is not None and use.kind != "honoured":
            if value not in (None, "", [], {}):
                yield path, use
            return
        if generic and generic not in _BEGINNINGS:
            return
        if isinstance(value, Mapping):
            for key, item in value.items():
                child = f"{path}.{key}" if path else key
                yield from judged(item, value, child, f"{generic}.{key}" if generic else key)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from judged(item, {}, f"{path}[{index}]", f"{generic}[]")

    yield from judged(daemonset, {}, "", "")
