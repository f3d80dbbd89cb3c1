# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an ``image`` says: a container image, or a host process by its URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from .errors import ErrorList

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_PACKAGE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._:@-]*(=[A-Za-z0-9][A-Za-z0-9+.:~^_-]*)?")
_CHECKSUM: Final = re.compile(r"sha256=[0-9a-fA-F]{64}")

_HOST_NAME = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE: Final = re.compile(
    rf"(?:{_HOST_NAME}/)?{_PATH_PART}(?:/{_PATH_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?"
    r"(?:@[A-Za-z][A-Za-z0-9]*(?:[+._-][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?"
)
"""The grammar of github.com/distribution/reference, which all engines share."""

Kind: TypeAlias = Literal["systemd", "container"]
SYSTEMD_SCHEMES: Final = ("host", "package", "http", "https", "file")


def image_runtime(image: str) -> Kind:
    """``systemd`` for host://, package://, http(s):// and file://; ``container`` for everything else."""
    match = _SCHEME.match(image)
    return "systemd" if match and match.group(1) in SYSTEMD_SCHEMES else "container"


def check_image(container: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    """The image of a container, and the command that a host process needs with it."""
    image = container.get("image", "")
    if not image:
        return
    match = _SCHEME.match(image)
    if match is None:
        if _REFERENCE.fullmatch(image) is None:
            errors.invalid(
                f"{path}.image", image, "expected a container image ([REGISTRY/]NAME[:TAG][@DIGEST]) or a URL"
            )
        return
    scheme, rest = match.groups()
    if scheme not in SYSTEMD_SCHEMES:
        errors.invalid(f"{path}.image", image, f"unknown scheme; expected one of {', '.join(SYSTEMD_SCHEMES)}")
        return
    problem = _SCHEME_CHECKS[scheme](rest)
    if problem:
        errors.invalid(f"{path}.image", image, problem)
    if scheme != "host" and not container.get("command"):
        where = "names the program" if scheme == "package" else "is the program's path in the archive"
        errors.required(f"{path}.command", f"a {scheme}:// image needs a command, which {where}")


def _host_problem(rest: str) -> str:
    if not rest.startswith("/") or rest.endswith("/") or ".." in rest.split("/"):
        return "expected host:// and the absolute path of a program, such as host:///usr/bin/prometheus-node-exporter"
    return ""


def _package_problem(rest: str) -> str:
    if _PACKAGE.fullmatch(rest) is None:
        return "expected package://NAME or package://NAME=VERSION"
    return ""


def _archive_problem(rest: str) -> str:
    location, _hash, fragment = rest.partition("#")
    if not location or " " in location:
        return "expected the URL of an archive"
    if _CHECKSUM.fullmatch(fragment) is None:
        return "expected #sha256= and 64 hexadecimal digits at the end, as `sha256sum` prints them for the archive"
    return ""


def _file_problem(rest: str) -> str:
    if not rest.startswith("/"):
        return (
            "expected file:// and an absolute path on the control node, such as file:///srv/archives/x.tar.gz#sha256=…"
        )
    return _archive_problem(rest)


_SCHEME_CHECKS: Final = {
    "host": _host_problem,
    "package": _package_problem,
    "http": _archive_problem,
    "https": _archive_problem,
    "file": _file_problem,
}
