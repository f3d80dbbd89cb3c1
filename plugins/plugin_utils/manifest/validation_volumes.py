# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes' validation of volumes, every source, and of what containers mount.

After pkg/apis/core/validation. All input is type-checked and defaulted. Where Kubernetes prints a path without an
index (``volumeMounts.mountPropagation``), so does this.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from . import names
from .errors import ErrorList
from .quantity import Quantity
from .validation_resources import check_resource_field_ref
from .validation_scheduling import check_annotations, check_label_selector, check_labels, check_name

_FILE_MODE: Final = "must be a number between 0 and 0777 (octal), both inclusive"
_HOST_PATH_TYPES: Final = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
_PROPAGATIONS: Final = ("Bidirectional", "HostToContainer", "None")
_VOLUME_FIELD_PATHS: Final = (
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
)
_KNOWN_FIELD_PATHS: Final = (
    *_VOLUME_FIELD_PATHS,
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.phase",
    "status.podIP",
    "status.podIPs",
)
_SUBSCRIPT: Final = re.compile(r"(.+?)\['(.*)'\]", re.DOTALL)
_ACCESS_MODES: Final = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_MIN_TOKEN_SECONDS: Final = 600
_MAX_TOKEN_SECONDS: Final = 2**32

Source = Mapping[str, Any]


def check_volumes(volumes: Sequence[Mapping[str, Any]], path: str, errors: ErrorList) -> None:
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        where, name = f"{path}[{index}]", volume.get("name", "")
        _check_volume_source(volume, where, errors)
        if not name:
            errors.required(f"{where}.name")
        else:
            check_name(name, names.dns_label, f"{where}.name", errors)
        if name in seen:
            errors.duplicate(f"{where}.name", name)
        seen.add(name)
        disk = volume.get("gcePersistentDisk")
        if disk is not None and not disk.get("readOnly"):
            detail = (
                "must be true for replicated pods > 1; "
                "GCE PD can only be mounted on multiple machines if it is read-only"
            )
            errors.invalid(f"{where}.gcePersistentDisk.readOnly", False, detail)


def _check_volume_source(volume: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    given = [kind for kind in _SOURCE_ORDER if kind in volume]
    for kind in given[1:]:
        errors.forbidden(f"{path}.{_FORBIDDEN_NAMES.get(kind, kind)}", "may not specify more than 1 volume type")
    for kind in given[:1]:
        _SOURCE_CHECKS[kind](volume[kind], f"{path}.{_PRINTED_NAMES.get(kind, kind)}", errors)
    if not given:
        errors.required(path, "must specify a volume type")
    iscsi = volume.get("iscsi", {})
    if "initiatorName" in iscsi and len(f"{volume.get('name', '')}:{iscsi.get('targetPortal', '')}") > 64:
        detail = (
            "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters "
            "if iscsi.initiatorName is specified."
        )
        errors.invalid(f"{path}.name", volume.get("name", ""), detail)


# --- paths and modes ---


def check_no_backsteps(value: str, path: str, errors: ErrorList) -> None:
    if ".." in value.split("/"):
        errors.invalid(path, value, "must not contain '..'")


def check_relative_path(value: str, path: str, errors: ErrorList) -> None:
    if posixpath.isabs(value):
        errors.invalid(path, value, "must be a relative path")
    check_no_backsteps(value, path, errors)


def _check_file_path(value: str, path: str, errors: ErrorList) -> None:
    """A file inside a volume: '..' at its start is Kubernetes' own, for atomic updates."""
    check_relative_path(value, path, errors)
    if value.startswith("..") and not value.startswith("../"):
        errors.invalid(path, value, "must not start with '..'")


def _check_mode(source: Source, field: str, path: str, errors: ErrorList) -> None:
    if field in source and not 0 <= source[field] <= 0o777:
        errors.invalid(f"{path}.{field}", source[field], _FILE_MODE)


def _check_required(source: Source, fields: Sequence[str], path: str, errors: ErrorList) -> None:
    for field in fields:
        if not source.get(field):
            errors.required(f"{path}.{field}")


# --- the sources a host can offer ---


def _check_empty_dir(source: Source, path: str, errors: ErrorList) -> None:
    if "sizeLimit" in source and Quantity.parse(source["sizeLimit"]).number < 0:
        errors.forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")


def _check_host_path(source: Source, path: str, errors: ErrorList) -> None:
    if not source.get("path"):
        errors.required(f"{path}.path")
        return
    check_no_backsteps(source["path"], f"{path}.path", errors)
    if source.get("type", "") not in _HOST_PATH_TYPES:
        errors.not_supported(f"{path}.type", source["type"], _HOST_PATH_TYPES)


def _check_config_map(source: Source, path: str, errors: ErrorList) -> None:
    _check_required(source, ["name"], path, errors)
    _check_mode(source, "defaultMode", path, errors)
    _check_items(source, path, errors)


def _check_secret(source: Source, path: str, errors: ErrorList) -> None:
    _check_required(source, ["secretName"], path, errors)
    _check_mode(source, "defaultMode", path, errors)
    _check_items(source, path, errors)


def _check_items(source: Source, path: str, errors: ErrorList) -> None:
    for index, item in enumerate(source.get("items", [])):
        where = f"{path}.items[{index}]"
        _check_required(item, ["key", "path"], where, errors)
        _check_file_path(item.get("path", ""), f"{where}.path", errors)
        _check_mode(item, "mode", where, errors)


def _check_downward_api(source: Source, path: str, errors: ErrorList) -> None:
    _check_mode(source, "defaultMode", path, errors)
    for item in source.get("items", []):
        # Kubernetes prints the volume's path here, without the item's index.
        _check_downward_api_file(item, path, errors)


def _check_downward_api_file(item: Source, path: str, errors: ErrorList) -> None:
    _check_required(item, ["path"], path, errors)
    _check_file_path(item.get("path", ""), f"{path}.path", errors)
    if "fieldRef" in item:
        check_field_ref(item["fieldRef"], _VOLUME_FIELD_PATHS, f"{path}.fieldRef", errors)
        if "resourceFieldRef" in item:
            errors.invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
    elif "resourceFieldRef" in item:
        check_resource_field_ref(item["resourceFieldRef"], f"{path}.resourceFieldRef", errors, in_volume=True)
    else:
        errors.required(path, "one of fieldRef and resourceFieldRef is required")
    _check_mode(item, "mode", path, errors)


def check_field_ref(source: Source, supported: Sequence[str], path: str, errors: ErrorList) -> None:
    """A fieldRef of env or of a downwardAPI volume."""
    for field in ("apiVersion", "fieldPath"):
        if not source.get(field):
            errors.required(f"{path}.{field}")
            return
    version, field_path = source["apiVersion"], source["fieldPath"]
    subscripted = _SUBSCRIPT.fullmatch(field_path)
    problem = ""
    if version != "v1":
        problem = f"unsupported pod version: {version}"
    elif subscripted and subscripted.group(1) not in ("metadata.annotations", "metadata.labels"):
        problem = f"field label does not support subscript: {field_path}"
    elif not subscripted and field_path not in (*_KNOWN_FIELD_PATHS, "spec.host"):
        problem = f"field label not supported: {field_path}"
    if problem:
        errors.invalid(f"{path}.fieldPath", field_path, f"error converting fieldPath: {problem}")
    elif subscripted:
        key = subscripted.group(2)
        annotation = subscripted.group(1) == "metadata.annotations"
        check_name(key.lower() if annotation else key, names.qualified_name, path, errors)
    elif field_path.replace("spec.host", "spec.nodeName") not in supported:
        errors.not_supported(f"{path}.fieldPath", field_path, sorted(supported))


def _check_projected(source: Source, path: str, errors: ErrorList) -> None:
    _check_mode(source, "defaultMode", path, errors)
    taken: set[str] = set()
    for index, projection in enumerate(source.get("sources", [])):
        where = f"{path}.sources[{index}]"
        if len(projection) > 1:
            errors.forbidden(where, "may not specify more than 1 volume type per source")
        for kind in ("secret", "configMap"):
            if kind in projection:
                _check_required(projection[kind], ["name"], f"{where}.{kind}", errors)
                _check_items(projection[kind], f"{where}.{kind}", errors)
                for item in projection[kind].get("items", []):
                    _check_not_taken(item.get("path", ""), projection[kind].get("name", ""), taken, path, errors)
        for item in projection.get("downwardAPI", {}).get("items", []):
            _check_downward_api_file(item, f"{where}.downwardAPI", errors)
            _check_not_taken(item.get("path", ""), item.get("path", ""), taken, path, errors)
        if "serviceAccountToken" in projection:
            _check_token(projection["serviceAccountToken"], f"{where}.serviceAccountToken", path, errors)
        if "clusterTrustBundle" in projection:
            bundle = projection["clusterTrustBundle"]
            _check_trust_bundle(bundle, f"{where}.clusterTrustBundle", errors)
            _check_not_taken(bundle.get("path", ""), bundle.get("path", ""), taken, path, errors)


def _check_not_taken(file: str, value: str, taken: set[str], path: str, errors: ErrorList) -> None:
    if file and file in taken:
        errors.invalid(path, value, "conflicting duplicate paths")
    taken.add(file)


def _check_token(token: Source, path: str, volume_path: str, errors: ErrorList) -> None:
    seconds = token.get("expirationSeconds", 0)
    if seconds < _MIN_TOKEN_SECONDS:
        errors.invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    if seconds > _MAX_TOKEN_SECONDS:
        errors.invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")
    _check_required(token, ["path"], volume_path, errors)
    _check_file_path(token.get("path", ""), f"{volume_path}.path", errors)


def _check_trust_bundle(bundle: Source, path: str, errors: ErrorList) -> None:
    if "name" in bundle and "signerName" in bundle:
        errors.invalid(path, bundle, "only one of name and signerName may be used")
    elif "name" in bundle:
        _check_required(bundle, ["name"], path, errors)
        if "labelSelector" in bundle:
            detail = "labelSelector must be unset if name is specified"
            errors.invalid(f"{path}.labelSelector", bundle["labelSelector"], detail)
    elif "signerName" in bundle:
        _check_required(bundle, ["signerName"], path, errors)
        check_label_selector(bundle.get("labelSelector", {}), f"{path}.labelSelector", errors)
    else:
        errors.required(path, "either name or signerName must be specified")
    _check_required(bundle, ["path"], path, errors)
    _check_file_path(bundle.get("path", ""), f"{path}.path", errors)


# --- the sources of clusters and clouds: refused later by schema.py, but with Kubernetes' own errors first ---


def _needs(*fields: str) -> Callable[[Source, str, ErrorList], None]:
    """The check of a source that only requires some fields."""

    def check(source: Source, path: str, errors: ErrorList) -> None:
        _check_required(source, fields, path, errors)

    return check


def _check_git_repo(source: Source, path: str, errors: ErrorList) -> None:
    _check_required(source, ["repository"], path, errors)
    check_relative_path(source.get("directory", ""), f"{path}.directory", errors)


def _check_partition(source: Source, path: str, errors: ErrorList) -> None:
    if not 0 <= source.get("partition", 0) <= 255:
        errors.invalid(f"{path}.partition", source["partition"], "must be between 1 and 255, inclusive")


def _check_gce_disk(source: Source, path: str, errors: ErrorList) -> None:
    _check_required(source, ["pdName"], path, errors)
    _check_partition(source, path, errors)


def _check_aws_disk(source: Source, path: str, errors: ErrorList) -> None:
    _check_required(source, ["volumeID"], path, errors)
    _check_partition(source, path, errors)


def _check_nfs(source: Source, path: str, errors: ErrorList) -> None:
    _check_required(source, ["server", "path"], path, errors)
    if not posixpath.isabs(source.get("path", "")):
        errors.invalid(f"{path}.path", source.get("path", ""), "must be an absolute path")


_ISCSI_NAMES: Final = {
    "iqn": r"iqn\.\d{4}-\d{2}\.([A-Za-z0-9.-]+)(:[^,;*&$|\s]+)",
    "eui": r"eui.[A-Za-z0-9]{16}",
    "naa": r"naa.[A-Za-z0-9]{32}",
}


def _check_iscsi_name(name: str, path: str, errors: ErrorList) -> None:
    pattern = _ISCSI_NAMES.get(name[:3])
    if pattern is None:
        errors.invalid(path, name, "must be valid format starting with iqn, eui, or naa")
    elif re.fullmatch(pattern, name) is None:
        errors.invalid(path, name, "must be valid format")


def _check_iscsi(source: Source, path: str, errors: ErrorList) -> None:
    _check_required(source, ["targetPortal", "iqn"], path, errors)
    if source.get("iqn"):
        _check_iscsi_name(source["iqn"], f"{path}.iqn", errors)
    _check_lun(source, path, errors)
    if (source.get("chapAuthDiscovery") or source.get("chapAuthSession")) and "secretRef" not in source:
        errors.required(f"{path}.secretRef")
    if "initiatorName" in source:
        _check_iscsi_name(source["initiatorName"], f"{path}.initiatorname", errors)


def _check_lun(source: Source, path: str, errors: ErrorList) -> None:
    if not 0 <= source.get("lun", 0) <= 255:
        errors.invalid(f"{path}.lun", source["lun"], "must be between 0 and 255, inclusive")


def _check_fc(source: Source, path: str, errors: ErrorList) -> None:
    targets, wwids = source.get("targetWWNs"), source.get("wwids")
    if not targets and not wwids:
        errors.required(f"{path}.targetWWNs", "must specify either targetWWNs or wwids, but not both")
    if targets and wwids:
        errors.invalid(f"{path}.targetWWNs", targets, "targetWWNs and wwids can not be specified simultaneously")
    if targets:
        if "lun" not in source:
            errors.required(f"{path}.lun", "lun is required if targetWWNs is specified")
        _check_lun(source, path, errors)


def _check_flocker(source: Source, path: str, errors: ErrorList) -> None:
    name, uuid = source.get("datasetName", ""), source.get("datasetUUID", "")
    if not name and not uuid:
        errors.required(path, "one of datasetName and datasetUUID is required")
    if name and uuid:
        errors.invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously")
    if "/" in name:
        errors.invalid(f"{path}.datasetName", name, "must not contain '/'")


def _check_quobyte(source: Source, path: str, errors: ErrorList) -> None:
    pairs = "must be a host:port pair or multiple pairs separated by commas"
    registry = source.get("registry", "")
    if not registry:
        errors.required(f"{path}.registry", pairs)
    elif len(source.get("tenant", "")) >= 65:
        errors.required(f"{path}.tenant", "must be a UUID and may not exceed a length of 64 characters")
    elif any(re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*):[^:]*", pair) is None for pair in registry.split(",")):
        errors.invalid(f"{path}.registry", registry, pairs)
    _check_required(source, ["volume"], path, errors)


def _check_secret_ref(source: Source, path: str, errors: ErrorList) -> None:
    if "secretRef" in source:
        _check_required(source["secretRef"], ["name"], f"{path}.secretRef", errors)


def _check_cinder(source: Source, path: str, errors: ErrorList) -> None:
    _check_required(source, ["volumeID"], path, errors)
    _check_secret_ref(source, path, errors)


def _check_storage_os(source: Source, path: str, errors: ErrorList) -> None:
    if not source.get("volumeName"):
        errors.required(f"{path}.volumeName")
    for field in ("volumeName", "volumeNamespace"):
        if source.get(field):
            check_name(source[field], names.dns_label, f"{path}.{field}", errors)
    _check_secret_ref(source, path, errors)


def _check_flex(source: Source, path: str, errors: ErrorList) -> None:
    _check_required(source, ["driver"], path, errors)
    for key in source.get("options", {}):
        namespace = f".{key.partition('/')[0].lower()}"
        if namespace.endswith((".kubernetes.io", ".k8s.io")):
            errors.invalid(f"{path}.options[{key}]", key, "kubernetes.io and k8s.io namespaces are reserved")


def _check_azure_disk(source: Source, path: str, errors: ErrorList) -> None:
    _check_required(source, ["diskName", "diskURI"], path, errors)
    kinds, caching = ("Dedicated", "Managed", "Shared"), ("None", "ReadOnly", "ReadWrite")
    kind, uri = source["kind"], source.get("diskURI", "")
    if source["cachingMode"] not in caching:
        errors.not_supported(f"{path}.cachingMode", source["cachingMode"], caching)
    if kind not in kinds:
        errors.not_supported(f"{path}.kind", kind, kinds)
    if kind == "Managed" and not uri.startswith("/subscriptions/"):
        managed = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
        errors.not_supported(f"{path}.diskURI", uri, [managed])
    if kind != "Managed" and not uri.startswith("https://"):
        blob = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
        errors.not_supported(f"{path}.diskURI", uri, [blob])


def _check_csi(source: Source, path: str, errors: ErrorList) -> None:
    _check_required(source, ["driver"], path, errors)
    driver = source.get("driver", "")
    if len(driver) > names.MAX_LABEL:
        errors.too_long(f"{path}.driver", names.MAX_LABEL)
    for message in names.dns_subdomain(driver.lower()):
        errors.invalid(f"{path}.driver", driver, message)
    if "nodePublishSecretRef" in source:
        _check_required(source["nodePublishSecretRef"], ["name"], f"{path}.nodePublishSecretRef", errors)
        name = source["nodePublishSecretRef"].get("name", "")
        if name:
            check_name(name, names.dns_subdomain, f"{path}.name", errors)


def _check_ephemeral(source: Source, path: str, errors: ErrorList) -> None:
    where = f"{path}.volumeClaimTemplate"
    if "volumeClaimTemplate" not in source:
        errors.required(where)
        return
    template = source["volumeClaimTemplate"]
    metadata = template.get("metadata", {})
    check_annotations(metadata.get("annotations", {}), f"{where}.metadata.annotations", errors)
    check_labels(metadata.get("labels", {}), f"{where}.metadata.labels", errors)
    for field in sorted(set(metadata) - {"annotations", "labels"}):
        if metadata[field]:
            errors.forbidden(f"{where}.metadata.{field}", "cannot be set")
    _check_claim_spec(template.get("spec", {}), f"{where}.spec", errors)


def _check_claim_spec(spec: Source, path: str, errors: ErrorList) -> None:
    modes = spec.get("accessModes", [])
    if not modes:
        errors.required(f"{path}.accessModes", "at least 1 access mode is required")
    for mode in modes:
        if mode not in _ACCESS_MODES:
            errors.not_supported(f"{path}.accessModes", mode, _ACCESS_MODES)
    if "ReadWriteOncePod" in modes and set(modes) & set(_ACCESS_MODES) != {"ReadWriteOncePod"}:
        errors.forbidden(f"{path}.accessModes", "may not use ReadWriteOncePod with other access modes")
    check_label_selector(spec.get("selector", {}), f"{path}.selector", errors)
    requested = spec.get("resources", {}).get("requests", {}).get("storage")
    if requested is None:
        errors.required(f"{path}.resources[storage]")
    elif Quantity.parse(requested).number <= 0:
        errors.invalid(f"{path}.resources[storage]", requested, "must be greater than zero")
    if spec.get("storageClassName"):
        check_name(spec["storageClassName"], names.dns_subdomain, f"{path}.storageClassName", errors)
    if spec.get("volumeMode", "Filesystem") not in ("Block", "Filesystem"):
        errors.not_supported(f"{path}.volumeMode", spec["volumeMode"], ["Block", "Filesystem"])


def _check_image(source: Source, path: str, errors: ErrorList) -> None:
    if source["pullPolicy"] not in ("Always", "IfNotPresent", "Never"):
        errors.not_supported(f"{path}.pullPolicy", source["pullPolicy"], ["Always", "IfNotPresent", "Never"])


_SOURCE_CHECKS: Final[dict[str, Callable[[Source, str, ErrorList], None]]] = {
    "emptyDir": _check_empty_dir,
    "hostPath": _check_host_path,
    "gitRepo": _check_git_repo,
    "gcePersistentDisk": _check_gce_disk,
    "awsElasticBlockStore": _check_aws_disk,
    "secret": _check_secret,
    "nfs": _check_nfs,
    "iscsi": _check_iscsi,
    "glusterfs": _needs("endpoints", "path"),
    "flocker": _check_flocker,
    "persistentVolumeClaim": _needs("claimName"),
    "rbd": _needs("monitors", "image"),
    "cinder": _check_cinder,
    "cephfs": _needs("monitors"),
    "quobyte": _check_quobyte,
    "downwardAPI": _check_downward_api,
    "fc": _check_fc,
    "flexVolume": _check_flex,
    "configMap": _check_config_map,
    "azureFile": _needs("secretName", "shareName"),
    "vsphereVolume": _needs("volumePath"),
    "photonPersistentDisk": _needs("pdID"),
    "portworxVolume": _needs("volumeID"),
    "azureDisk": _check_azure_disk,
    "storageos": _check_storage_os,
    "projected": _check_projected,
    "scaleIO": _needs("gateway", "system", "volumeName"),
    "csi": _check_csi,
    "ephemeral": _check_ephemeral,
    "image": _check_image,
}
_SOURCE_ORDER: Final = tuple(_SOURCE_CHECKS)
"""Kubernetes' order: of several sources, the first here is the volume, and the others are forbidden."""

_PRINTED_NAMES: Final = {"gcePersistentDisk": "persistentDisk"}
_FORBIDDEN_NAMES: Final = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}
"""Names that Kubernetes' errors print differently from the field."""


# --- mounts ---


def check_volume_mounts(
    container: Mapping[str, Any], volumes: Mapping[str, Mapping[str, Any]], path: str, errors: ErrorList
) -> None:
    """``path`` is the container's; ``volumes`` are the pod's by name."""
    devices = {device.get("name", ""): device.get("devicePath", "") for device in container.get("volumeDevices", [])}
    mount_paths: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts", [])):
        where, mount_path = f"{path}.volumeMounts[{index}]", mount.get("mountPath", "")
        _check_mounted_volume(mount, volumes, where, errors)
        if not mount_path:
            errors.required(f"{where}.mountPath")
        if mount_path in mount_paths:
            errors.invalid(f"{where}.mountPath", mount_path, "must be unique")
        mount_paths.add(mount_path)
        if mount.get("name", "") in devices:
            errors.invalid(f"{where}.name", mount["name"], "must not already exist in volumeDevices")
        if mount_path in devices.values():
            errors.invalid(f"{where}.mountPath", mount_path, "must not already exist as a path in volumeDevices")
        _check_sub_path(mount, where, f"{path}.volumeMounts", errors)
        _check_propagation(mount, container, f"{path}.volumeMounts", errors)


def _check_mounted_volume(
    mount: Mapping[str, Any], volumes: Mapping[str, Mapping[str, Any]], path: str, errors: ErrorList
) -> None:
    name = mount.get("name", "")
    if not name:
        errors.required(f"{path}.name")
    if name not in volumes:
        declared = ", ".join(sorted(volumes)) or "none"
        errors.not_found(f"{path}.name", name, f"expected one of the pod's volumes (declared: {declared})")
    elif "image" in volumes[name]:
        for field in ("subPath", "subPathExpr"):
            if mount.get(field):
                errors.invalid(f"{path}.{field}", mount[field], "not allowed in image volume sources")


def _check_sub_path(mount: Mapping[str, Any], path: str, list_path: str, errors: ErrorList) -> None:
    check_relative_path(mount.get("subPath", ""), f"{list_path}.subPath", errors)
    if mount.get("subPathExpr"):
        if mount.get("subPath"):
            detail = "subPathExpr and subPath are mutually exclusive"
            errors.invalid(f"{path}.subPathExpr", mount["subPathExpr"], detail)
        check_relative_path(mount["subPathExpr"], f"{list_path}.subPathExpr", errors)


def _check_propagation(
    mount: Mapping[str, Any], container: Mapping[str, Any], list_path: str, errors: ErrorList
) -> None:
    propagation = mount.get("mountPropagation")
    if propagation is not None and propagation not in _PROPAGATIONS:
        errors.not_supported(f"{list_path}.mountPropagation", propagation, _PROPAGATIONS)
    if propagation == "Bidirectional" and not container.get("securityContext", {}).get("privileged"):
        detail = "Bidirectional mount propagation is available only to privileged containers"
        errors.forbidden(f"{list_path}.mountPropagation", detail)
    recursive, where = mount.get("recursiveReadOnly", "Disabled"), f"{list_path}.recursiveReadOnly"
    if recursive not in ("Disabled", "Enabled", "IfPossible"):
        errors.not_supported(where, recursive, ["Disabled", "Enabled", "IfPossible"])
    elif recursive != "Disabled":
        if not mount.get("readOnly"):
            errors.forbidden(where, "may only be specified when readOnly is true")
        if propagation not in (None, "None"):
            errors.forbidden(where, "may only be specified when mountPropagation is None or not specified")


def check_volume_devices(
    container: Mapping[str, Any], volumes: Mapping[str, Mapping[str, Any]], path: str, errors: ErrorList
) -> None:
    mounts = {mount.get("name", ""): mount.get("mountPath", "") for mount in container.get("volumeMounts", [])}
    seen_names: set[str] = set()
    seen_paths: set[str] = set()
    for index, device in enumerate(container.get("volumeDevices", [])):
        where = f"{path}.volumeDevices[{index}]"
        name, device_path = device.get("name", ""), device.get("devicePath", "")
        _check_required(device, ["name", "devicePath"], where, errors)
        if name and name in seen_names:
            errors.invalid(f"{where}.name", name, "must be unique")
        if name not in volumes:
            errors.not_found(f"{where}.name", name)
        elif not {"persistentVolumeClaim", "ephemeral"} & set(volumes[name]):
            detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            errors.invalid(f"{where}.name", name, detail)
        if device_path in seen_paths:
            errors.invalid(f"{where}.devicePath", device_path, "must be unique")
        if ".." in device_path.split("/"):
            errors.invalid(f"{where}.devicePath", device_path, "can not contain backsteps ('..')")
        if name in mounts:
            errors.invalid(f"{where}.name", name, "must not already exist in volumeMounts")
        if device_path in mounts.values():
            errors.invalid(f"{where}.devicePath", device_path, "must not already exist as a path in volumeMounts")
        seen_names.add(name)
        seen_paths.add(device_path)
