# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told or kept may quote a daemon, and a daemon may quote its secrets: these are taken out."""

from __future__ import annotations

import base64
from typing import Any, Mapping


def without(text: str, secrets: Mapping[str, Any]) -> str:
    """The daemon's own log lines may hold what it was given, a line of a longer secret too."""
    values = [
        value
        for group in ("environment", "arguments")
        for one in secrets.get(group, {}).values()
        for value in one.values()
    ]
    for one in secrets.get("files", {}).values():
        values += [base64.b64decode(content).decode("utf-8", "replace") for content in one.values()]
    for login in secrets.get("registries", {}).values():
        values += [login.get("auth", ""), *_decoded(login.get("auth", "")).split(":", 1)[1:]]
    parts = {part.strip() for value in values for part in (value, *value.split("\n"))}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) > 3:
            text = text.replace(part, "********")
    return text


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text).decode("utf-8", "replace")
    except ValueError:
        return ""
