# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible_collections.everynode.daemonset.plugins.module_utils.observation import Failure
from ansible_collections.everynode.daemonset.plugins.plugin_utils.metrics import Run, metrics, refused
from ansible_collections.everynode.daemonset.plugins.plugin_utils.policy import Step

from .fleet import HEALTHY_OLD, NOW, RUNS, STAYS_AWAY, UNREACHABLE, instance, planned, seen

RUN = Run(ended=NOW, seconds=12.5, success=True)
AGENT = 'namespace="default",daemonset="agent"'


def samples(text):
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def measured(looks, halted=(), **settings):
    return samples(metrics(planned(looks, **settings), RUN, halted))


def test_the_counters_have_the_names_of_kube_state_metrics():
    found = measured(
        {
            "right": seen(instance()),
            "unready": seen(instance(ready=False)),
            "old": seen(instance(**HEALTHY_OLD)),
            "missing": seen(),
            "off": UNREACHABLE,
            "not one": seen(instance()),
        },
        wanted={**dict.fromkeys(("right", "unready", "old", "missing", "off"), RUNS), "not one": STAYS_AWAY},
    )
    assert {name: value for name, value in found.items() if name.startswith("kube_")} == {
        f"kube_daemonset_created{{{AGENT}}}": str(int(NOW - 1000)),
        f"kube_daemonset_status_current_number_scheduled{{{AGENT}}}": "3",
        f"kube_daemonset_status_desired_number_scheduled{{{AGENT}}}": "5",
        f"kube_daemonset_status_number_available{{{AGENT}}}": "2",
        f"kube_daemonset_status_number_misscheduled{{{AGENT}}}": "1",
        f"kube_daemonset_status_number_ready{{{AGENT}}}": "2",
        f"kube_daemonset_status_number_unavailable{{{AGENT}}}": "3",
        f"kube_daemonset_status_updated_number_scheduled{{{AGENT}}}": "2",
    }


def test_each_node_has_its_own():
    found = measured({"web1": seen(instance(restarts=3)), "web2": seen()})
    of_nodes = {name: value for name, value in found.items() if "node=" in name}
    assert of_nodes == {
        f'everynode_node_state{{{AGENT},node="web1",state="up to date"}}': "1",
        f'everynode_node_state{{{AGENT},node="web2",state="missing"}}': "1",
        f'everynode_instance_info{{{AGENT},node="web1",revision="new",runtime="systemd"}}': "1",
        f'everynode_instance_ready{{{AGENT},node="web1"}}': "1",
        f'everynode_instance_available{{{AGENT},node="web1"}}': "1",
        f'everynode_instance_restarts_total{{{AGENT},node="web1"}}': "3",
    }


def test_every_state_has_its_number():
    found = measured({"web1": seen(instance()), "web2": UNREACHABLE})
    states = {name: value for name, value in found.items() if name.startswith("everynode_daemonset_nodes{")}
    assert states.pop(f'everynode_daemonset_nodes{{{AGENT},state="up to date"}}') == "1"
    assert states.pop(f'everynode_daemonset_nodes{{{AGENT},state="unreachable"}}') == "1"
    assert set(states.values()) == {"0"}
    assert f'everynode_daemonset_nodes{{{AGENT},state="failed"}}' in states


def rollout(found):
    return {
        name: found[f"everynode_rollout_{name}{{{AGENT}}}"] for name in ("revision", "failed_nodes", "halted", "paused")
    }


def test_a_rollout_that_failed_is_halted():
    failed = instance(**HEALTHY_OLD, failed=(Failure("new", NOW - 60, "it crashed"),))
    found = measured({"web1": seen(failed), "web2": seen(instance(**HEALTHY_OLD))})
    assert rollout(found) == {"revision": "1", "failed_nodes": "1", "halted": "1", "paused": "0"}


def test_a_rollout_that_this_run_halts_is_halted():
    assert rollout(measured({"web1": seen(instance())}, halted=["default/agent"]))["halted"] == "1"


@pytest.mark.parametrize(
    "settings",
    [{"paused": True}, {"steps": (Step(1, pause=True),)}],
    ids=["by the manifest", "after a step"],
)
def test_a_rollout_that_waits_is_paused(settings):
    looks = {"web1": seen(instance()), "web2": seen(instance(**HEALTHY_OLD))}
    assert rollout(measured(looks, **settings))["paused"] == "1"
    assert rollout(measured(looks))["paused"] == "0"


def test_what_limit_leaves_out_does_not_count():
    found = measured({"web1": seen(instance()), "web2": seen(selected=False)})
    assert found[f"kube_daemonset_status_desired_number_scheduled{{{AGENT}}}"] == "1"


def test_every_family_stands_together_and_says_what_it_is():
    text = metrics(planned({"web1": seen(instance()), "web2": seen(instance())}), RUN)
    names = [re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")]
    once = list(dict.fromkeys(names))
    assert [line.split()[2] for line in text.splitlines() if line.startswith("# HELP")] == once
    assert [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")] == once
    assert names == sorted(names, key=once.index)
    assert text.endswith("\n")


def test_a_label_may_hold_anything():
    text = metrics(planned({'we"b\\1\n': seen()}), RUN)
    assert r'node="we\"b\\1\n",state="missing"} 1' in text


def test_a_run_that_was_refused_keeps_what_was_known():
    before = metrics(planned({"web1": seen(instance())}), RUN)
    after = refused(before, Run(ended=NOW + 60, seconds=1, success=False))
    changed = {name: value for name, value in samples(after).items() if samples(before)[name] != value}
    assert changed == {
        "everynode_last_run_timestamp_seconds": str(int(NOW + 60)),
        "everynode_last_run_duration_seconds": "1",
        "everynode_last_run_success": "0",
    }
    assert after.count("# TYPE everynode_last_run_success") == 1


def test_a_first_run_that_is_refused_says_at_least_that():
    assert list(samples(refused("", RUN))) == [
        "everynode_last_run_timestamp_seconds",
        "everynode_last_run_duration_seconds",
        "everynode_last_run_success",
    ]
