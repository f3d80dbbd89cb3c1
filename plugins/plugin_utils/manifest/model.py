# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests in, a validated model out.

The way of a document: YAML → kind → types (type_checks) → defaults → Kubernetes' validation → images, annotations →
what a plain host makes of each field (schema) → references. All errors of all documents are raised together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from .annotations import check_annotations
from .defaults import containers_of, with_defaults
from .documents import Document, parse
from .errors import ErrorList, FieldError, ManifestError
from .field_types import DAEMON_SET, DAEMON_SET_EXTENSIONS_V1BETA1
from .images import Kind, check_image, image_runtime
from .references import Contents, check_pull_secrets, check_references, read_config_map, read_secret
from .schema import judge
from .type_checks import check
from .validation import validate

__all__ = ["DaemonSet", "Manifests", "Skipped", "image_runtime", "load", "load_objects"]

API_VERSION: Final = "apps/v1"
_EXTENSIONS: Final = "extensions/v1beta1"
_DAEMON_SET_VERSIONS: Final = (API_VERSION, "apps/v1beta2", _EXTENSIONS)
_READ_KINDS: Final = ("DaemonSet", "ConfigMap", "Secret", "List")

_FILE_NAME_LIMIT: Final = 255  # bytes, of most file systems
_LONGEST_FILE_NAME: Final = ".{}.backoff.new"  # longer than all that module_utils derives from a unit's name
_SYSTEMD_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_POD: Final = "spec.template.spec"


@dataclass(frozen=True)
class DaemonSet:
    """A DaemonSet that can be applied.

    ``object`` is ``apps/v1`` whatever was written, without nulls and status, with every default, and valid: modes are
    integers, quantities are strings that Quantity.parse() takes.
    """

    source: str
    document: int
    namespace: str
    name: str
    object: dict[str, Any]

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.object["metadata"].get("labels", {}))

    @property
    def annotations(self) -> dict[str, str]:
        return dict(self.object["metadata"].get("annotations", {}))

    @property
    def selector(self) -> dict[str, Any]:
        return dict(self.object["spec"]["selector"])

    @property
    def template(self) -> dict[str, Any]:
        return dict(self.object["spec"]["template"])

    @property
    def pod_spec(self) -> dict[str, Any]:
        return dict(self.object["spec"]["template"]["spec"])

    @property
    def update_strategy(self) -> dict[str, Any]:
        return dict(self.object["spec"]["updateStrategy"])

    @property
    def min_ready_seconds(self) -> int:
        return int(self.object["spec"].get("minReadySeconds", 0))


@dataclass(frozen=True)
class Skipped:
    """A document of a kind that means nothing without a Kubernetes API."""

    source: str
    document: int
    kind: str
    name: str


@dataclass(frozen=True)
class Manifests:
    """Everything that was loaded. ConfigMaps and Secrets are keyed by (namespace, name), then by key."""

    daemonsets: tuple[DaemonSet, ...]
    config_maps: Mapping[tuple[str, str], Contents]
    secrets: Mapping[tuple[str, str], Contents]
    skipped: tuple[Skipped, ...]
    without_effect: tuple[FieldError, ...]


def load(texts: Iterable[tuple[str, str]]) -> Manifests:
    """Read manifests from YAML texts, each with the name that errors call it; raises ManifestError with all errors."""
    loader = _Loader()
    for source, text in texts:
        documents, errors = parse(source, text)
        loader.errors += errors
        for document in documents:
            loader.add(document)
    return loader.finish()


def load_objects(objects: Iterable[tuple[str, Mapping[str, Any]]]) -> Manifests:
    """Read manifests given as data; raises ManifestError with all errors."""
    loader = _Loader()
    for source, data in objects:
        loader.add(Document(source, 1, data))
    return loader.finish()


@dataclass(frozen=True)
class _Place:
    """Where an object is: its document, and its path inside it when it is an item of a List."""

    source: str
    document: int
    prefix: str

    def __str__(self) -> str:
        inside = f", {self.prefix.rstrip('.')}" if self.prefix else ""
        return f"{self.source} (document {self.document}{inside})"


@dataclass
class _Loader:
    errors: list[FieldError] = field(default_factory=list)
    daemonsets: list[tuple[DaemonSet, _Place]] = field(default_factory=list)
    stores: dict[str, dict[tuple[str, str], Contents]] = field(default_factory=lambda: {"ConfigMap": {}, "Secret": {}})
    skipped: list[Skipped] = field(default_factory=list)
    without_effect: list[FieldError] = field(default_factory=list)
    places: dict[tuple[str, str, str], _Place] = field(default_factory=dict)
    found_daemonset: bool = False

    def add(self, document: Document) -> None:
        place = _Place(document.source, document.number, "")
        self._add_object(document.data, place, document.problems)

    def _add_object(self, data: Any, place: _Place, problems: tuple[FieldError, ...]) -> None:
        errors = ErrorList(place.source, place.document, place.prefix)
        kind = _kind(data, errors)
        if kind == "List":
            self._add_items(data, place, problems)
            return
        if kind in _READ_KINDS:
            self.errors += [problem for problem in problems if problem.path.startswith(place.prefix)]
        if kind == "DaemonSet":
            self._add_daemonset(data, place, errors)
        elif kind in self.stores:
            self._add_store(kind, data, place, errors)
        elif kind:
            metadata = data.get("metadata")
            name = metadata.get("name") if isinstance(metadata, Mapping) else None
            self.skipped.append(Skipped(place.source, place.document, kind, str(name or "")))
        self.errors += errors.errors

    def _add_items(self, data: Mapping[str, Any], place: _Place, problems: tuple[FieldError, ...]) -> None:
        items = data.get("items")
        if items is not None and not isinstance(items, list):
            errors = ErrorList(place.source, place.document, place.prefix)
            errors.add("items", "TypeInvalid", "Invalid type: expected a list of objects")
            self.errors += errors.errors
            return
        for index, item in enumerate(items or []):
            self._add_object(item, replace(place, prefix=f"{place.prefix}items[{index}]."), problems)

    def _add_daemonset(self, data: Mapping[str, Any], place: _Place, errors: ErrorList) -> None:
        self.found_daemonset = True
        daemonset = _read_daemonset(data, errors, self.without_effect)
        if daemonset is None or not self._is_first("DaemonSet", daemonset.namespace, daemonset.name, place, errors):
            return
        self.daemonsets.append((daemonset, place))

    def _add_store(self, kind: str, data: Mapping[str, Any], place: _Place, errors: ErrorList) -> None:
        read = read_config_map if kind == "ConfigMap" else read_secret
        namespace, name, contents = read(data, errors)
        if name and self._is_first(kind, namespace, name, place, errors):
            self.stores[kind][namespace, name] = contents

    def _is_first(self, kind: str, namespace: str, name: str, place: _Place, errors: ErrorList) -> bool:
        first = self.places.setdefault((kind, namespace, name), place)
        if first is not place:
            errors.duplicate("metadata.name", name, f"{kind} {namespace}/{name} is in {first} too; keep one")
        return first is place

    def finish(self) -> Manifests:
        owners: dict[str, str] = {}
        for daemonset, place in self.daemonsets:
            errors = ErrorList(place.source, place.document, place.prefix)
            _check_unit_names(daemonset, owners, errors)
            check_references(daemonset.pod_spec, daemonset.namespace, self.stores, errors)
            notes = ErrorList(place.source, place.document, place.prefix)
            check_pull_secrets(daemonset.pod_spec, daemonset.namespace, self.stores["Secret"], errors, notes)
            self.errors += errors.errors
            self.without_effect += notes.errors
        if not self.found_daemonset and not self.errors:
            self._no_daemonset()
        if self.errors:
            raise ManifestError(self.errors)
        return Manifests(
            daemonsets=tuple(daemonset for daemonset, _use in self.daemonsets),
            config_maps=self.stores["ConfigMap"],
            secrets=self.stores["Secret"],
            skipped=tuple(self.skipped),
            without_effect=tuple(self.without_effect),
        )

    def _no_daemonset(self) -> None:
        kinds = sorted({skipped.kind for skipped in self.skipped} | {kind for kind, *_where in self.places})
        found = f"found {', '.join(kinds)}" if kinds else "found no objects"
        source = (
            self.skipped[0].source
            if self.skipped
            else next((str(at.source) for at in self.places.values()), "manifests")
        )
        message = (
            f"No DaemonSet: {found}, expected at least one document with apiVersion: {API_VERSION} and kind: DaemonSet"
        )
        self.errors.append(FieldError(source, 1, "", "Required", message))


def _kind(data: Any, errors: ErrorList) -> str:
    """The kind of an object; "" if it is none, which is reported."""
    if not isinstance(data, Mapping):
        errors.add("", "TypeInvalid", "Invalid type: expected a Kubernetes object (a mapping with apiVersion and kind)")
        return ""
    for name in ("apiVersion", "kind"):
        value = data.get(name)
        if not value:
            errors.required(name, "expected a Kubernetes object")
        elif not isinstance(value, str):
            errors.add(name, "TypeInvalid", "Invalid type: expected a string (put it in quotes)")
    if errors:
        return ""
    version, kind = str(data["apiVersion"]), str(data["kind"])
    meant = next((known for known in _READ_KINDS if known.lower() == kind.lower() and known != kind), None)
    if meant:
        errors.invalid("kind", kind, f"did you mean {meant}?")
    elif kind == "DaemonSet" and version not in _DAEMON_SET_VERSIONS:
        errors.not_supported("apiVersion", version, _DAEMON_SET_VERSIONS)
    elif kind in ("ConfigMap", "Secret", "List") and version != "v1":
        errors.not_supported("apiVersion", version, ["v1"])
    return "" if errors else kind


def _read_daemonset(data: Mapping[str, Any], errors: ErrorList, without_effect: list[FieldError]) -> DaemonSet | None:
    """Check everything about a DaemonSet but its references; None if it is not even sure which one it is."""
    written = _written(data, errors)
    type_errors = list(errors.errors)
    daemonset = with_defaults(written)
    found = ErrorList(errors.source, errors.document, errors.prefix)
    validate(daemonset, found)
    _check_own_rules(daemonset, found)
    _check_runtime(written, daemonset, found, without_effect)
    # A field of the wrong type is read as empty: what follows from that is no second error.
    errors.errors += [
        error for error in found.errors if not any(_overlap(error.path, other.path) for other in type_errors)
    ]
    metadata = daemonset["metadata"]
    if not metadata.get("name"):
        return None
    return DaemonSet(errors.source, errors.document, metadata["namespace"], metadata["name"], daemonset)


def _written(data: Mapping[str, Any], errors: ErrorList) -> dict[str, Any]:
    """The type-checked object as apps/v1.

    The selector that extensions/v1beta1 made of the template's labels is made here too. Its old default strategy,
    OnDelete, is not: nobody who applies such a manifest today expects an update that does nothing.
    """
    old = data["apiVersion"] == _EXTENSIONS
    written: dict[str, Any] = check(data, DAEMON_SET_EXTENSIONS_V1BETA1 if old else DAEMON_SET, "", errors)
    written["apiVersion"] = API_VERSION
    if old:
        spec = written.setdefault("spec", {})
        labels = spec.get("template", {}).get("metadata", {}).get("labels")
        if labels and "selector" not in spec:
            spec["selector"] = {"matchLabels": dict(labels)}
    return written


def _overlap(path: str, other: str) -> bool:
    """Whether one path is the other or holds it."""
    short, long = sorted((path, other), key=len)
    return long == short or (long.startswith(short) and long[len(short)] in ".[")


def _check_own_rules(daemonset: Mapping[str, Any], errors: ErrorList) -> None:
    """What Kubernetes leaves to the kubelet, or takes in silence, and a plain host must know beforehand."""
    check_annotations(daemonset["metadata"].get("annotations", {}), errors)
    pod = daemonset["spec"]["template"]["spec"]
    if pod["terminationGracePeriodSeconds"] < 0:
        detail = "must be greater than or equal to 0"
        errors.invalid(f"{_POD}.terminationGracePeriodSeconds", pod["terminationGracePeriodSeconds"], detail)
    _check_container_names(pod, errors)
    for index, volume in enumerate(pod.get("volumes", [])):
        host_path = volume.get("hostPath", {}).get("path")
        if host_path and not host_path.startswith("/"):
            errors.invalid(f"{_POD}.volumes[{index}].hostPath.path", host_path, "must be an absolute path on the node")


def _check_unit_names(daemonset: DaemonSet, owners: dict[str, str], errors: ErrorList) -> None:
    """A name may hold dots, so a DaemonSet «a.b» and a container «b» of a DaemonSet «a» could be one unit."""
    for unit in _units_of(daemonset):
        owner = owners.setdefault(unit, f"{daemonset.key} ({errors.source}, document {errors.document})")
        if not owner.startswith(f"{daemonset.key} ("):
            detail = f"its unit {unit} would also be one of DaemonSet {owner}; give one of them another name"
            errors.invalid("metadata.name", daemonset.name, detail)
        excess = len(_LONGEST_FILE_NAME.format(unit).encode()) - _FILE_NAME_LIMIT
        if excess > 0:
            detail = f"the name of its unit {unit} would be {excess} characters too long for files on the node"
            errors.invalid("metadata.name", daemonset.name, detail)


def _units_of(daemonset: DaemonSet) -> list[str]:
    """As module_utils/runtimes/systemd.py names them."""
    base = f"everynode.{daemonset.namespace}.{daemonset.name}"
    mains = daemonset.pod_spec.get("containers", [])
    named = [*daemonset.pod_spec.get("initContainers", []), *(mains if len(mains) > 1 else [])]
    units = [f"{base}.{container.get('name', '')}.service" for container in named]
    return [f"{base}._probes.service", *([f"{base}.service"] if len(mains) == 1 else []), *units]


def _check_container_names(pod: Mapping[str, Any], errors: ErrorList) -> None:
    """The containers whose resources env and downwardAPI volumes show."""
    known = [container.get("name", "") for container in containers_of(pod)]
    for path, reference in _resource_field_refs(pod):
        name = reference.get("containerName")
        if name and name not in known:
            errors.not_found(f"{path}.containerName", name, f"expected one of the containers: {', '.join(known)}")


def _resource_field_refs(pod: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name in ("initContainers", "containers"):
        for index, container in enumerate(pod.get(name, [])):
            for number, variable in enumerate(container.get("env", [])):
                if "resourceFieldRef" in variable.get("valueFrom", {}):
                    path = f"{_POD}.{name}[{index}].env[{number}].valueFrom.resourceFieldRef"
                    yield path, variable["valueFrom"]["resourceFieldRef"]
    for index, volume in enumerate(pod.get("volumes", [])):
        path = f"{_POD}.volumes[{index}]"
        sources = [(f"{path}.downwardAPI", volume.get("downwardAPI", {}))]
        for number, source in enumerate(volume.get("projected", {}).get("sources", [])):
            sources.append((f"{path}.projected.sources[{number}].downwardAPI", source.get("downwardAPI", {})))
        for where, source in sources:
            for number, item in enumerate(source.get("items", [])):
                if "resourceFieldRef" in item:
                    yield f"{where}.items[{number}].resourceFieldRef", item["resourceFieldRef"]


def _check_runtime(
    written: Mapping[str, Any], daemonset: dict[str, Any], errors: ErrorList, without_effect: list[FieldError]
) -> None:
    """Images, and what their runtime makes of each field that was written."""
    runtime = _pod_runtime(daemonset["spec"]["template"]["spec"], errors)
    if runtime is None:
        return
    noted = ErrorList(errors.source, errors.document, errors.prefix)
    runs = "a host process" if runtime == "systemd" else "a container"
    for path, use in judge(written, runtime):
        if use.kind == "refused":
            errors.add(path, "NotSupported", f"Not supported for {runs} on a plain host: {use.text}")
        else:
            noted.add(path, "NoEffect", use.text)
    without_effect += noted.errors
    daemonset.pop("status", None)


def _pod_runtime(pod: Mapping[str, Any], errors: ErrorList) -> Kind | None:
    """The one runtime of a pod's containers; None if there are none, or both kinds, which is reported."""
    first: tuple[str, Kind] | None = None
    mixed = False
    for name in ("containers", "initContainers"):
        for index, container in enumerate(pod.get(name, [])):
            path = f"{_POD}.{name}[{index}]"
            check_image(container, path, errors)
            if not container.get("image"):
                continue
            runtime = image_runtime(container["image"])
            first = first or (path, runtime)
            if runtime != first[1]:
                mixed = True
                kinds = {"systemd": "a host process", "container": "a container"}
                detail = f"is {kinds[runtime]}, but {first[0]} is {kinds[first[1]]}; a pod is all of one kind"
                errors.invalid(f"{path}.image", container["image"], detail)
            if runtime == "systemd":
                _check_variable_names(container, path, errors)
    return None if mixed or first is None else first[1]


def _check_variable_names(container: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    for index, variable in enumerate(container.get("env", [])):
        name = variable.get("name", "")
        if name and _SYSTEMD_VARIABLE.fullmatch(name) is None:
            detail = "a host process's variable must consist of letters, digits and '_', and not start with a digit"
            errors.invalid(f"{path}.env[{index}].name", name, detail)
