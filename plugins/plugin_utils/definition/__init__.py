# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A DaemonSet on one node → the definition of its instance: everything resolved, for the node's code to carry out.

A definition knows no Kubernetes objects any more: variables are expanded, references replaced by their contents, named
ports by numbers, quantities by integers. What comes from a Secret is kept apart, see `define`.

``common.py`` has what every pod needs, ``host.py`` and ``image.py`` what only a host process or a container has.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from ...module_utils.observation import Facts
from ..engine import IMAGE, NoEngine, runtime_on
from ..manifest.errors import ManifestError
from ..manifest.model import DaemonSet, Manifests
from ..scheduling import Node
from .common import Definition
from .host import HostProcesses
from .image import Containers
from .scope import Scope

__all__ = ["define", "holds_secrets"]


def define(
    daemonset: DaemonSet, manifests: Manifests, node: Node, facts: Facts, running: str = ""
) -> tuple[dict[str, Any], str]:
    """The definition of this DaemonSet's instance on this node, and its secrets.

    ``running`` is the runtime of the instance that is there, if there is one. The definition is JSON-safe and may be
    shown to anybody. The secrets are one opaque string (base64 of JSON: environment variables and arguments by
    container, files by volume, logins by registry), so that hiding that one string hides them all.
    Raises ManifestError for what cannot be carried out on this node, with every field's path.
    """
    scope = Scope(daemonset, manifests, node, facts)
    definition: dict[str, Any] = {}
    try:
        runtime = runtime_on(daemonset, node, facts, running)
    except NoEngine as error:
        scope.refuse(IMAGE, "NotSupported", f"Unsupported value: {error}")
    else:
        kind: Definition = HostProcesses(scope) if runtime == "systemd" else Containers(scope, runtime)
        definition = kind.made()
    if scope.errors:
        raise ManifestError(tuple(scope.errors))
    return definition, base64.b64encode(json.dumps(scope.secrets, sort_keys=True).encode()).decode()


def holds_secrets(secrets: str) -> bool:
    """Whether there is anything in the secrets that `define` returned."""
    return any(value for kind in json.loads(base64.b64decode(secrets)).values() for value in kind.values())
