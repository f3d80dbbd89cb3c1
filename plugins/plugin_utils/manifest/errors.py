# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of manifests: where, what was found, what was expected.

The forms are those of Kubernetes' ``field.Error`` (k8s.io/apimachinery ``pkg/util/validation/field``), so that a
user reads the same sentences here as from ``kubectl``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_SHOWN_VALUE = 120
"""Characters of a wrong value that an error repeats: enough to recognise it, too little to fill the screen."""


@dataclass(frozen=True)
class FieldError:
    """One thing wrong (or, with reason ``NoEffect``, without effect) in one manifest.

    ``document`` counts from 1, empty documents included. ``path`` is the field as Kubernetes prints it
    (``spec.template.spec.containers[0].image``); "" is the whole document.
    ``reason`` is one of Required, Invalid, NotSupported, Forbidden, Duplicate, NotFound, TypeInvalid, Unknown,
    NoEffect.
    """

    source: str
    document: int
    path: str
    reason: str
    message: str

    def __str__(self) -> str:
        where = f"{self.source} (document {self.document})"
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class ManifestError(ValueError):
    """Everything that is wrong in the given manifests, all files at once."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors: tuple[FieldError, ...] = tuple(errors)
        super().__init__("\n".join(str(error) for error in self.errors))


class ErrorList:
    """Collects the errors of one document, in Kubernetes' words."""

    def __init__(self, source: str = "", document: int = 1, prefix: str = "") -> None:
        self.source = source
        self.document = document
        self.prefix = prefix
        self.errors: list[FieldError] = []

    def __bool__(self) -> bool:
        return bool(self.errors)

    def add(self, path: str, reason: str, message: str) -> None:
        self.errors.append(FieldError(self.source, self.document, self.prefix + path, reason, message))

    def required(self, path: str, detail: str = "") -> None:
        self.add(path, "Required", _with_detail("Required value", detail))

    def invalid(self, path: str, value: Any, detail: str) -> None:
        self.add(path, "Invalid", _with_detail(f"Invalid value: {shown(value)}", detail))

    def not_supported(self, path: str, value: Any, supported: Sequence[str]) -> None:
        listed = ", ".join(json.dumps(choice) for choice in supported)
        self.add(path, "NotSupported", f"Unsupported value: {shown(value)}: supported values: {listed}")

    def forbidden(self, path: str, detail: str) -> None:
        self.add(path, "Forbidden", _with_detail("Forbidden", detail))

    def duplicate(self, path: str, value: Any, detail: str = "") -> None:
        self.add(path, "Duplicate", _with_detail(f"Duplicate value: {shown(value)}", detail))

    def not_found(self, path: str, value: Any, detail: str = "") -> None:
        self.add(path, "NotFound", _with_detail(f"Not found: {shown(value)}", detail))

    def too_long(self, path: str, limit: int) -> None:
        self.add(path, "Invalid", f"Too long: may not be more than {limit} bytes")


def shown(value: Any) -> str:
    """A value as an error repeats it: JSON, cut when long."""
    if isinstance(value, Mapping):
        value = dict(value)
    try:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    except (TypeError, ValueError):
        text = str(value)
    return text if len(text) <= MAX_SHOWN_VALUE else text[: MAX_SHOWN_VALUE - 1] + "…"


def _with_detail(text: str, detail: str) -> str:
    return f"{text}: {detail}" if detail else text
