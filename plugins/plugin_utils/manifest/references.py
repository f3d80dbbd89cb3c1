# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read ConfigMap and Secret documents, and check that what a DaemonSet refers to is among them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeAlias

from . import names
from .defaults import DEFAULT_NAMESPACE
from .errors import ErrorList
from .field_types import CONFIG_MAP, SECRET
from .images import image_runtime
from .registries import logins
from .type_checks import check
from .validation import check_metadata

Contents: TypeAlias = Mapping[str, bytes]
"""The keys of a ConfigMap or Secret and their decoded values."""

MAX_SIZE: Final = 1024 * 1024


def read_config_map(data: Mapping[str, Any], errors: ErrorList) -> tuple[str, str, Contents]:
    """Namespace, name and contents."""
    checked = check(data, CONFIG_MAP, "", errors)
    binary, text = checked.get("binaryData", {}), checked.get("data", {})
    for key in sorted(set(binary) & set(text)):
        errors.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    contents = {key: value.encode() for key, value in text.items()}
    contents.update(_decoded(binary, "binaryData", errors))
    _check_keys(contents, "data", errors)
    return (*_identity(checked, errors), contents)


def read_secret(data: Mapping[str, Any], errors: ErrorList) -> tuple[str, str, Contents]:
    """Namespace, name and contents. No error repeats a value."""
    raw = ErrorList(errors.source, errors.document, errors.prefix)
    checked = check(data, SECRET, "", raw)
    errors.errors += [
        replace(error, message="Invalid type: expected a string (put it in quotes)")
        if error.reason == "TypeInvalid" and error.path.startswith(f"{errors.prefix}{field}.")
        else error
        for error in raw.errors
        for field in ("stringData" if "stringData." in error.path else "data",)
    ]
    contents = _decoded(checked.get("data", {}), "data", errors)
    contents.update((key, value.encode()) for key, value in checked.get("stringData", {}).items())
    _check_keys(contents, "data", errors)
    return (*_identity(checked, errors), contents)


def _identity(data: Mapping[str, Any], errors: ErrorList) -> tuple[str, str]:
    metadata = data.get("metadata", {})
    check_metadata(metadata, "metadata", errors)
    return metadata.get("namespace") or DEFAULT_NAMESPACE, metadata.get("name", "")


def _decoded(encoded: Mapping[str, str], field: str, errors: ErrorList) -> dict[str, bytes]:
    decoded = {}
    for key, value in encoded.items():
        try:
            decoded[key] = base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
        except (binascii.Error, ValueError):
            hint = "; write plain text under stringData" if field == "data" else "; write plain text under data"
            errors.add(f"{field}.{key}", "Invalid", f"Invalid value: is not base64{hint}")
    return decoded


def _check_keys(contents: Contents, field: str, errors: ErrorList) -> None:
    for key in contents:
        for message in names.config_key(key):
            errors.invalid(f"{field}[{key}]", key, message)
    if sum(len(value) for value in contents.values()) > MAX_SIZE:
        errors.too_long(field, MAX_SIZE)


class Reference(NamedTuple):
    """One place where a pod template names a ConfigMap or Secret."""

    kind: str
    name: str
    path: str
    """Of the field that holds the name."""
    optional: bool
    keys: tuple[tuple[str, str], ...] = ()
    """Keys that must be in it, with the path of the field that holds each."""


def references(pod: Mapping[str, Any]) -> Iterator[Reference]:
    """All ConfigMaps and Secrets that the pod's environment and volumes take their contents from."""
    for field in ("initContainers", "containers"):
        for index, container in enumerate(pod.get(field, [])):
            yield from _environment_references(container, f"spec.template.spec.{field}[{index}]")
    for index, volume in enumerate(pod.get("volumes", [])):
        yield from _volume_references(volume, f"spec.template.spec.volumes[{index}]")


def _environment_references(container: Mapping[str, Any], path: str) -> Iterator[Reference]:
    for index, variable in enumerate(container.get("env", [])):
        for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            source = variable.get("valueFrom", {}).get(field)
            if source is not None:
                where = f"{path}.env[{index}].valueFrom.{field}"
                keys = ((source.get("key", ""), f"{where}.key"),)
                yield Reference(kind, source.get("name", ""), f"{where}.name", source.get("optional", False), keys)
    for index, source in enumerate(container.get("envFrom", [])):
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if field in source:
                where = f"{path}.envFrom[{index}].{field}.name"
                yield Reference(kind, source[field].get("name", ""), where, source[field].get("optional", False))


def _volume_references(volume: Mapping[str, Any], path: str) -> Iterator[Reference]:
    if "configMap" in volume:
        yield _files_reference("ConfigMap", volume["configMap"], "name", f"{path}.configMap")
    if "secret" in volume:
        yield _files_reference("Secret", volume["secret"], "secretName", f"{path}.secret")
    for index, source in enumerate(volume.get("projected", {}).get("sources", [])):
        where = f"{path}.projected.sources[{index}]"
        if "configMap" in source:
            yield _files_reference("ConfigMap", source["configMap"], "name", f"{where}.configMap")
        if "secret" in source:
            yield _files_reference("Secret", source["secret"], "name", f"{where}.secret")


def _files_reference(kind: str, source: Mapping[str, Any], name_field: str, path: str) -> Reference:
    keys = tuple(
        (item.get("key", ""), f"{path}.items[{index}].key") for index, item in enumerate(source.get("items", []))
    )
    return Reference(kind, source.get(name_field, ""), f"{path}.{name_field}", source.get("optional", False), keys)


def check_references(
    pod: Mapping[str, Any],
    namespace: str,
    stores: Mapping[str, Mapping[tuple[str, str], Contents]],
    errors: ErrorList,
) -> None:
    """``stores`` are the ConfigMaps and Secrets of the load, by kind and then by (namespace, name)."""
    for reference in references(pod):
        if reference.optional or not reference.name:
            continue
        contents = stores[reference.kind].get((namespace, reference.name))
        if contents is None:
            elsewhere = sorted(where for where, name in stores[reference.kind] if name == reference.name)
            detail = f"expected a {reference.kind} document of this name in namespace {namespace} among the manifests"
            if elsewhere:
                detail += f" (there is one in {', '.join(elsewhere)})"
            errors.not_found(reference.path, reference.name, f"{detail}; add it, or set optional: true")
            continue
        for key, path in reference.keys:
            if key and key not in contents:
                held = ", ".join(sorted(contents)) or "none"
                errors.not_found(path, key, f"expected a key of {reference.kind} {reference.name} (it has: {held})")


def check_pull_secrets(
    pod: Mapping[str, Any],
    namespace: str,
    secrets: Mapping[tuple[str, str], Contents],
    errors: ErrorList,
    notes: ErrorList,
) -> None:
    """Kubernetes pulls without a Secret that is not there, and so do we; but what is there must hold logins."""
    if all(image_runtime(container.get("image", "")) == "systemd" for container in pod.get("containers", [])):
        return
    for index, reference in enumerate(pod.get("imagePullSecrets", [])):
        name, path = reference.get("name", ""), f"spec.template.spec.imagePullSecrets[{index}].name"
        contents = secrets.get((namespace, name))
        if not name:
            continue
        if contents is None:
            detail = f"there is no Secret {name} among the manifests; images are pulled with the node's own login"
            notes.add(path, "NoEffect", detail)
            continue
        try:
            logins(contents)
        except ValueError as error:
            errors.invalid(path, name, f"expected a Secret of type kubernetes.io/dockerconfigjson: {error}")
