# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a definition is made of, and what is found wrong and kept secret on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ...module_utils.observation import Facts
from ..downward import Downward
from ..manifest.errors import FieldError
from ..manifest.model import DaemonSet, Manifests
from ..scheduling import Node

POD = "spec.template.spec"


class Scope:
    """One DaemonSet on one node."""

    def __init__(self, daemonset: DaemonSet, manifests: Manifests, node: Node, facts: Facts) -> None:
        self.daemonset = daemonset
        self.manifests = manifests
        self.node = node
        self.downward = Downward(daemonset, node, facts)
        self.pod = daemonset.pod_spec
        self.containers = [
            (container, f"{POD}.{group}[{index}]")
            for group in ("initContainers", "containers")
            for index, container in enumerate(self.pod.get(group, []))
        ]
        self.config_maps = self._here(manifests.config_maps)
        self.secret_maps = self._here(manifests.secrets)
        self.errors: list[FieldError] = []
        self.secrets: dict[str, dict[str, dict[str, str]]] = {
            "environment": {},  # by container and variable
            "arguments": {},  # by container and the word's index
            "files": {},  # by volume and path, in base64
            "registries": {},  # the logins for pulling images, as the `auths` of a Docker config.json
        }

    def _here(self, contents: Mapping[tuple[str, str], Mapping[str, bytes]]) -> dict[str, Mapping[str, bytes]]:
        return {name: data for (namespace, name), data in contents.items() if namespace == self.daemonset.namespace}

    def refuse(self, path: str, reason: str, message: str) -> None:
        self.errors.append(FieldError(self.daemonset.source, self.daemonset.document, path, reason, message))

    def require(self, form: re.Pattern[str], text: str, path: str, detail: str) -> None:
        if not form.fullmatch(text):
            self.refuse(path, "Invalid", f"Invalid value: {json.dumps(text)}: {detail}")
