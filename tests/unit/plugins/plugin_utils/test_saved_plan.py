# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import Plan, Wanted
from ansible_collections.everynode.daemonset.plugins.plugin_utils.saved_plan import differences, fingerprint

from tests.unit.plugins.plugin_utils.fleet import NOW, UNREACHABLE, instance, planned, seen

OLD = seen(instance(revision="old"))
LOOKS = {"a": OLD, "b": OLD, "c": seen(instance())}
SAVED = planned(LOOKS)
LATER_BATCH = "default/agent on b: batch was 1 and is 0"


def test_a_plan_that_was_saved_is_still_the_plan():
    saved = Plan.from_dict(json.loads(json.dumps(SAVED.as_dict())))
    later = {node: seen(*look.observation.instances, now=NOW + 60) for node, look in LOOKS.items()}
    later["c"] = seen(instance(restarts=3))
    assert differences(saved, planned(later)) == []
    assert fingerprint(saved) == fingerprint(planned(later))


@pytest.mark.parametrize(
    ("fresh", "expected"),
    [
        (
            planned(LOOKS, max_unavailable=2),
            ["default/agent: max_unavailable was 1 and is 2", LATER_BATCH],
        ),
        (planned(LOOKS, on_failure="halt"), ["default/agent: on_failure was revert and is halt"]),
        (
            planned({**LOOKS, "a": UNREACHABLE}),
            ["default/agent on a: state was outdated and is unreachable", LATER_BATCH],
        ),
        (
            planned({**LOOKS, "a": seen(instance(revision="other"))}),
            ["default/agent on a: revision that runs there was old and is other"],
        ),
        (
            planned(LOOKS, Wanted("newer", True, True)),
            [
                "default/agent on a, b: revision that it should have was new and is newer",
                "default/agent on c: state was up to date and is outdated",
            ],
        ),
        (planned({"a": OLD, "c": seen(instance())}), ["default/agent on b: not in the inventory any more"]),
        (planned({**LOOKS, "d": seen()}), ["default/agent on d: new in the inventory"]),
        (planned({"c": LOOKS["c"], "a": OLD, "b": OLD}), ["the order of the nodes or of the DaemonSets has changed"]),
        (planned(LOOKS, forced=True), ["default/agent: forced was false and is true"]),
        (planned(LOOKS, name="other"), ["default/agent is not declared any more", "default/other is new"]),
    ],
)
def test_what_has_changed_since(fresh, expected):
    assert differences(SAVED, fresh) == expected
