# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environment of a container, and ``$(NAME)`` references to it, as the kubelet makes them.

The rules are those of third_party/forked/golang/expansion and of makeEnvironmentVariables in the kubelet
(pkg/kubelet/kubelet_pods.go). Service variables do not exist here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Objects = Mapping[str, Mapping[str, bytes]]

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")
# Kubernetes 1.32 and newer: any printable ASCII but '='.
_NAME = re.compile(r"[ -<>-~]+")


@dataclass(frozen=True)
class Environment:
    """The variables of a container, and the names of those that hold anything of a Secret, even by reference."""

    values: dict[str, str]
    secret_names: frozenset[str]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace each ``$(NAME)`` by the variable's value, once; values are not expanded again.

    An unknown reference stays as it is, ``$$`` becomes ``$``, and ``$NAME`` and ``${NAME}`` mean nothing.
    """

    def replacement(match: re.Match[str]) -> str:
        name = match[1]
        return "$" if name is None else variables.get(name, match[0])

    return _REFERENCE.sub(replacement, text)


def referenced(text: str, variables: Mapping[str, str]) -> set[str]:
    """Return the names of the variables that :func:`expand` would put into the text."""
    return {match[1] for match in _REFERENCE.finditer(text) if match[1] in variables}


def resolve_environment(
    container: Mapping[str, Any],
    config_maps: Objects,
    secrets: Objects,
    field_value: Callable[[Mapping[str, Any]], str],
) -> Environment:
    """Make the environment of a container: ``envFrom`` first, then ``env`` in order, each seeing what is there so far.

    config_maps and secrets hold the objects of the DaemonSet's namespace by name. field_value is asked for what a
    ``valueFrom`` with a fieldRef or resourceFieldRef means. Raises ValueError that names a ConfigMap, Secret or key
    that is missing without being optional, and values that no environment can hold.
    """
    builder = _Builder(config_maps, secrets, field_value)
    for source in container.get("envFrom") or []:
        builder.add_all_of(source)
    for variable in container.get("env") or []:
        builder.add(variable)
    return Environment(builder.values, frozenset(builder.secret_names))


class _Builder:
    def __init__(self, config_maps: Objects, secrets: Objects, field_value: Callable[[Mapping[str, Any]], str]) -> None:
        self._objects = {"ConfigMap": config_maps, "Secret": secrets}
        self._field_value = field_value
        self.values: dict[str, str] = {}
        self.secret_names: set[str] = set()

    def add_all_of(self, source: Mapping[str, Any]) -> None:
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            reference = source.get(field)
            if reference is None:
                continue
            for key, content in self._object(kind, reference, "envFrom").items():
                name = f"{source.get('prefix') or ''}{key}"
                # Kubernetes skips such names, and what a ConfigMap has under binaryData.
                if not _NAME.fullmatch(name) or (kind == "ConfigMap" and not _is_text(content)):
                    continue
                where = f'envFrom: key "{key}" of {kind} "{reference.get("name")}"'
                self._set(name, _text(content, where), secret=kind == "Secret")

    def add(self, variable: Mapping[str, Any]) -> None:
        name, text, source = variable["name"], variable.get("value") or "", variable.get("valueFrom")
        if text or source is None:
            secret = not self.secret_names.isdisjoint(referenced(text, self.values))
            self._set(name, expand(text, self.values), secret)
            return
        for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if source.get(field) is not None:
                self._set_from_key(name, kind, source[field])
                return
        self._set(name, self._field_value(source), secret=False)

    def _set(self, name: str, text: str, secret: bool) -> None:
        self.values[name] = text
        if secret:
            self.secret_names.add(name)
        else:
            self.secret_names.discard(name)

    def _set_from_key(self, name: str, kind: str, reference: Mapping[str, Any]) -> None:
        where = f'environment variable "{name}"'
        contents = self._object(kind, reference, where)
        key = reference.get("key", "")
        if key in contents:
            what = f'{where}: key "{key}" of {kind} "{reference.get("name")}"'
            self._set(name, _text(contents[key], what), secret=kind == "Secret")
        elif not reference.get("optional"):
            raise ValueError(
                f'{where}: {kind} "{reference.get("name")}" has no key "{key}" '
                f"(its keys are {', '.join(sorted(contents)) or 'none'}); add it, or set optional: true"
            )

    def _object(self, kind: str, reference: Mapping[str, Any], where: str) -> Mapping[str, bytes]:
        """Return the contents of a ConfigMap or Secret; nothing at all for a missing optional one."""
        name = reference.get("name", "")
        contents = self._objects[kind].get(name)
        if contents is None and not reference.get("optional"):
            raise ValueError(f'{where}: {kind} "{name}" is not among the manifests; add it, or set optional: true')
        return contents or {}


def _is_text(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _text(content: bytes, where: str) -> str:
    if not _is_text(content):
        raise ValueError(f"{where} is binary; an environment holds text only, mount it as a volume instead")
    text = content.decode("utf-8")
    if "\0" in text:
        raise ValueError(f"{where} holds a NUL character, which no environment can hold; mount it as a volume instead")
    return text
