# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes as they may be found, for the tests of the plan."""

from __future__ import annotations

from ansible_collections.everynode.daemonset.plugins.module_utils.observation import Facts, Instance, Observation
from ansible_collections.everynode.daemonset.plugins.plugin_utils import plan as planning
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import Seen, Settings, Wanted
from ansible_collections.everynode.daemonset.plugins.plugin_utils.policy import Policy

NOW = 1_800_000_000.0  # a Friday, 08:00 UTC
FACTS = Facts("x86_64", "debian", "12", "boot", "host", "192.0.2.1", 2, 1 << 30, 252, "apt", ("docker",), NOW)
RUNS = Wanted("new", True, True)
STAYS_AWAY = Wanted("new", False, False, "the node has not the label disk=ssd")
TOLERATED_ONCE = Wanted("new", False, True, "the taint maintenance:NoSchedule is not tolerated")
UNREACHABLE = Seen(None, planning.UNREACHABLE, "connection refused")

HEALTHY_OLD = {"revision": "old"}
BROKEN_OLD = {"revision": "old", "ready": False, "ready_since": None, "reason": "it has failed"}
STOPPED = {"intact": False, "damage": ("the unit is stopped",), "running": False, "ready": False, "ready_since": None}
EDITED = {"intact": False, "damage": ("the unit was edited",)}
STARTING = {"ready": False, "ready_since": None, "reason": "its readiness probe has not succeeded yet"}
HALF_WRITTEN = {**STOPPED, "revision": None, "damage": ("no revision was put in place",)}


def instance(name="agent", **values):
    given_values = {
        "namespace": "default",
        "name": name,
        "revision": "new",
        "runtime": "systemd",
        "intact": True,
        "damage": (),
        "running": True,
        "ready": True,
        "ready_since": NOW - 100,
        "reason": "",
        "restarts": 0,
        "created": NOW - 1000,
    }
    return Instance(**{**given_values, **values})


def seen(*instances, selected=True, **facts):
    return Seen(Observation(FACTS._replace(**facts), instances), "", "", selected)


def settings(name="agent", **values):
    """Of a DaemonSet; what is none of the settings is of its policy."""
    own = {key: value for key, value in values.items() if key in Settings.__dataclass_fields__}
    policy = {key: value for key, value in values.items() if key not in own}
    return Settings("default", name, policy=Policy(**policy), **own)


def planned(looks, wanted=RUNS, forced=False, **values):
    """The plan of one DaemonSet for nodes by name; ``wanted`` by node, or the same everywhere."""
    wishes = wanted if isinstance(wanted, dict) else dict.fromkeys(looks, wanted)
    return planning.make_plan([(settings(**values), wishes)], list(looks), looks, forced)
