# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the control node may ask of an instance on this node, whoever brings the request.

A request is ``{"namespace", "name", "timeout", "check_mode", "diff", "order", "secrets"}``, an order one of

``{"act": "present" | "staged", "definition": DEFINITION, "terms": TERMS}``
``{"act": "switched", "revision": FOLDER, "minReadySeconds": N, "terms": TERMS}``, from what is on the disk
``{"act": "returned", "revision": HASH, "within": SECONDS, "minReadySeconds": N}``
``{"act": "absent"}``
``{"act": "confirmed", "revision": FOLDER}``
``{"act": "put_back", "timer": UNIT}``, which only the guard's timer asks for
``{"act": "noted", "values": {NAME: VALUE}}``, of the record

with TERMS as instance.Terms. ``secrets`` is base64 of JSON, one opaque string, see definition/.
"""

from __future__ import annotations

import base64
import contextlib
import json
import sys
from typing import Any, Mapping

from . import program
from .errors import InstanceError
from .instance import Enforcer, Terms
from .masking import without
from .patience import DEFAULT_TIMEOUT
from .runtimes.runtime import node_python


def carry_out(request: Mapping[str, Any]) -> dict[str, Any]:
    """As a module's result: "changed", "actions", "staging"; "failed" and "msg"; "diff" if asked; "observation"."""
    namespace, name, check_mode = request["namespace"], request["name"], bool(request.get("check_mode"))
    enforcer = Enforcer(namespace, name, request.get("timeout") or DEFAULT_TIMEOUT, check_mode)
    secrets = _opened(request.get("secrets") or "")
    result: dict[str, Any] = {}
    try:
        _act(enforcer, request["order"], secrets)
        if not check_mode and request["order"]["act"] in ("present", "staged"):
            program.install(node_python())  # last, for nothing stays on a node that refused its first instance
    except InstanceError as error:
        result.update(failed=True, msg=without(without(str(error), secrets), enforcer.secrets))
    except OSError as error:
        said = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        result.update(failed=True, msg=f"{namespace}/{name}: {said}")
    result.update(changed=bool(enforcer.actions), actions=enforcer.actions, staging=enforcer.staging)
    # What is only staged runs as before, and whoever is going to confirm a switch is told then.
    told_later = request["order"]["act"] == "staged" or request["order"].get("terms", {}).get("confirm")
    if not check_mode and (result.get("failed") or not told_later):
        with contextlib.suppress(InstanceError, OSError):
            result["observation"] = enforcer.look().as_dict()
    if request.get("diff"):
        result["diff"] = {"before": "".join(enforcer.difference.before), "after": "".join(enforcer.difference.after)}
    return result


def _act(enforcer: Enforcer, order: Mapping[str, Any], secrets: Mapping[str, Any]) -> None:
    act, terms = order["act"], Terms(**order.get("terms", {}))
    if act == "present":
        enforcer.present(order["definition"], secrets, terms)
    elif act == "staged":
        enforcer.staged(order["definition"], secrets)
    elif act == "switched":
        enforcer.switched(order["revision"], order["minReadySeconds"], terms)
    elif act == "returned":
        enforcer.returned(order["revision"], order["within"], order["minReadySeconds"])
    elif act == "absent":
        enforcer.absent()
    elif act == "confirmed":
        enforcer.confirmed(order["revision"])
    elif act == "put_back":
        enforcer.put_back_unconfirmed(order["timer"])
    elif act == "noted":
        enforcer.note(order["values"])
    else:
        raise InstanceError(f"{enforcer.key}: this node knows no order {act!r}")


def main() -> int:
    """The program's: one request, as its argument (which anybody on the node can read) or on its standard input."""
    request = json.loads(sys.argv[1] if len(sys.argv) > 1 else sys.stdin.read())
    result = carry_out(request)
    sys.stdout.write(program.RESULT + json.dumps(result) + "\n")
    return 1 if result.get("failed") else 0


def _opened(secrets: str) -> dict[str, Any]:
    given = json.loads(base64.b64decode(secrets)) if secrets else {}
    return {kind: given.get(kind, {}) for kind in ("environment", "arguments", "files", "registries")}
