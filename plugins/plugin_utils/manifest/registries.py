# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The logins to registries that the Secrets of ``imagePullSecrets`` hold."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

_CONFIG: Final = ".dockerconfigjson"  # of type kubernetes.io/dockerconfigjson
_OLD_CONFIG: Final = ".dockercfg"  # of type kubernetes.io/dockercfg: what is under `auths` in the other one
_TOKENS: Final = ("identitytoken", "registrytoken")


def logins(contents: Mapping[str, bytes]) -> dict[str, dict[str, str]]:
    """The ``auths`` of a Docker config.json, with nothing in them but what engines read.

    Raises ValueError, in words that repeat no value.
    """
    key = next((key for key in (_CONFIG, _OLD_CONFIG) if key in contents), None)
    if key is None:
        raise ValueError(f"it has no key {_CONFIG}, as `kubectl create secret docker-registry` makes it")
    try:
        config = json.loads(contents[key])
    except (ValueError, RecursionError):
        raise ValueError(f"its key {key} is not JSON") from None
    auths = config.get("auths") if key == _CONFIG and isinstance(config, dict) else config
    if not isinstance(auths, dict) or not auths:
        raise ValueError(f"its key {key} holds no auths, an object with an entry for each registry")
    return {registry: _login(entry, f'entry "{registry}" of its key {key}') for registry, entry in auths.items()}


def _login(entry: Any, where: str) -> dict[str, str]:
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        raise ValueError(f"the {where} is not an object of strings")
    tokens = {token: entry[token] for token in _TOKENS if entry.get(token)}
    if entry.get("auth"):
        return {"auth": _checked(entry["auth"], where), **tokens}
    if entry.get("username"):
        pair = f"{entry['username']}:{entry.get('password', '')}"
        return {"auth": base64.b64encode(pair.encode()).decode(), **tokens}
    if tokens:
        return tokens
    raise ValueError(f"the {where} has neither auth nor username and password")


def _checked(auth: str, where: str) -> str:
    """Kubernetes takes base64 without its padding too, engines do not."""
    text = auth.strip().rstrip("=")
    try:
        pair = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        pair = b""
    if b":" not in pair:
        raise ValueError(f"the auth of the {where} is not the base64 of USER:PASSWORD")
    return base64.b64encode(pair).decode()


def registries_of(pattern: str, images: Iterable[str]) -> list[str]:
    """The registries that an entry is for: itself, or for a pattern such as ``*.example.com`` those of these images.

    Only Kubernetes knows patterns, part by part between the dots (credentialprovider: URLsMatch).
    """
    if "*" not in pattern:
        return [pattern]
    wanted = pattern.rpartition("://")[2].partition("/")[0].split(".")
    hosts = dict.fromkeys(image.partition("/")[0] for image in images if "/" in image)
    return [host for host in hosts if _all_match(host.split("."), wanted)]


def _all_match(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))
