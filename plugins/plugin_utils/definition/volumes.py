# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pod's volumes: paths of the node, empty folders, and files whose contents are all known here."""

from __future__ import annotations

import base64
import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..manifest.quantity import Quantity
from .scope import POD, Scope

# Files are listed and compared line by line on the node.
FILE_PATH = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]*")


def volumes(scope: Scope) -> list[dict[str, Any]]:
    made = _Volumes(scope)
    return [made.volume(volume, f"{POD}.volumes[{i}]") for i, volume in enumerate(scope.pod.get("volumes", []))]


def absolute(path: str) -> str:
    """An absolute path in its shortest form; POSIX would keep two slashes at the beginning."""
    return posixpath.normpath("/" + path.lstrip("/"))


class _Volumes:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.group: int | None = scope.pod.get("securityContext", {}).get("fsGroup")

    def volume(self, volume: Mapping[str, Any], path: str) -> dict[str, Any]:
        name = volume["name"]
        if "hostPath" in volume:
            host_path = volume["hostPath"]
            place = absolute(host_path["path"])
            return {"name": name, "kind": "hostPath", "path": place, "type": host_path.get("type", "")}
        if "emptyDir" in volume:
            medium, limit = volume["emptyDir"].get("medium", ""), volume["emptyDir"].get("sizeLimit")
            size = Quantity.parse(limit).value() if medium and limit else None
            return {"name": name, "kind": "emptyDir", "medium": medium, "sizeLimit": size, "fsGroup": self.group}
        return self._files(volume, path)

    def _files(self, volume: Mapping[str, Any], path: str) -> dict[str, Any]:
        kind = next(kind for kind in ("configMap", "secret", "downwardAPI", "projected") if kind in volume)
        parts = volume["projected"].get("sources", []) if kind == "projected" else [volume]
        files: dict[str, dict[str, Any]] = {}
        hidden: dict[str, str] = {}
        for part in parts:
            for name, content, mode, secret in self._projection(part, f"{path}.{kind}"):
                encoded = base64.b64encode(content).decode()
                mode = self._file_mode(volume[kind].get("defaultMode", 0o644) if mode is None else mode)
                files[name] = {"path": name, "mode": mode, "content": None if secret else encoded}
                hidden.pop(name, None)  # of two sources with the same path the later one wins
                if secret:
                    hidden[name] = encoded
        self._check_file_paths(files, f"{path}.{kind}")
        self.scope.secrets["files"][volume["name"]] = hidden
        return {"name": volume["name"], "kind": "files", "files": list(files.values()), "group": self.group}

    def _file_mode(self, mode: int) -> int:
        """With fsGroup, owner and group may read every file (volume.SetVolumeOwnership, roMask)."""
        return mode if self.group is None else mode | 0o440

    def _check_file_paths(self, names: Iterable[str], path: str) -> None:
        folders = {name[:end] for name in names for end in range(len(name)) if name[end] == "/"}
        for name in names:
            self.scope.require(FILE_PATH, name, path, "the path of a file holds a control character")
            if name in folders or name == ".":
                self.scope.refuse(path, "Invalid", f'Invalid value: "{name}": is the path of a file and of a directory')

    def _projection(self, source: Mapping[str, Any], path: str) -> Iterable[tuple[str, bytes, int | None, bool]]:
        """(path, content, mode, secret?) of each file of one volume source."""
        if "downwardAPI" in source:
            for item in source["downwardAPI"].get("items", []):
                yield posixpath.normpath(item["path"]), self._downward_file(item, path), item.get("mode"), False
            return
        secret = "secret" in source
        reference = source["secret" if secret else "configMap"]
        contents = self.scope.secret_maps if secret else self.scope.config_maps
        data = contents.get(reference.get("secretName") or reference.get("name", ""), {})
        items = reference.get("items") or [{"key": key, "path": key} for key in sorted(data)]
        for item in items:
            if item["key"] in data:
                yield posixpath.normpath(item["path"]), data[item["key"]], item.get("mode"), secret

    def _downward_file(self, item: Mapping[str, Any], path: str) -> bytes:
        try:
            return self.scope.downward.value(item, {}).encode()
        except ValueError as error:
            self.scope.refuse(path, "Invalid", str(error))
            return b""
