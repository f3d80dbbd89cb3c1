# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.everynode.daemonset.plugins.action.report import _verdict
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import DaemonSetPlan, Entry, Plan, Settings


def entry(state, step="none", reason="why"):
    return Entry("web1", True, True, "", "new", state, step, reason=reason)


def verdict(*entries, check_mode=False):
    daemonsets = tuple(
        DaemonSetPlan(Settings("default", name), (found,)) for name, found in zip("ab", entries, strict=False)
    )
    return _verdict(Plan(daemonsets, ()), [], {}, check_mode)


@pytest.mark.parametrize("check_mode", [False, True])
def test_what_a_node_cannot_run_is_said_in_a_dry_run_too(check_mode):
    found = verdict(entry("up to date"), entry("infeasible", reason="web1 has no engine"), check_mode=check_mode)
    assert found == {"web1": ["default/b is infeasible: web1 has no engine"]}


def test_what_would_be_done_is_no_failure_of_a_dry_run():
    assert verdict(entry("missing", "create"), check_mode=True) == {}
    assert verdict(entry("missing", "create")) == {"web1": ["default/a is missing: why"]}
