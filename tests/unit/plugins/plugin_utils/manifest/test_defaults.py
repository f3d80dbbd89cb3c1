# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.defaults import (
    default_pull_policy,
    with_defaults,
)


def defaulted(**pod: Any) -> dict[str, Any]:
    return with_defaults({"spec": {"template": {"spec": pod}}})


def test_the_daemonset() -> None:
    found = with_defaults({"metadata": {"name": "x"}})
    assert found["metadata"] == {"name": "x", "namespace": "default"}
    assert found["spec"]["updateStrategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0},
    }
    assert found["spec"]["revisionHistoryLimit"] == 10
    assert found["spec"]["template"]["spec"] == {
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
    }


def test_what_is_given_stays_and_the_input_is_not_touched() -> None:
    given = {"spec": {"updateStrategy": {"type": "OnDelete"}, "revisionHistoryLimit": 0}}
    found = with_defaults(given)
    assert found["spec"]["updateStrategy"] == {"type": "OnDelete"}
    assert found["spec"]["revisionHistoryLimit"] == 0
    assert given == {"spec": {"updateStrategy": {"type": "OnDelete"}, "revisionHistoryLimit": 0}}


def test_defaults_of_defaults_are_the_same() -> None:
    once = defaulted(containers=[{"name": "a", "image": "b", "livenessProbe": {"httpGet": {"port": 1}}}])
    assert with_defaults(once) == once


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("a", "Always"),
        ("a:latest", "Always"),
        ("registry.example:5000/a", "Always"),
        ("registry.example:5000/a:1", "IfNotPresent"),
        ("a@sha256:" + "0" * 64, "IfNotPresent"),
        ("a:latest@sha256:" + "0" * 64, "Always"),
    ],
)
def test_pull_policy(image: str, policy: str) -> None:
    assert default_pull_policy(image) == policy


def test_a_probe_of_zeros_is_a_probe_of_defaults() -> None:
    zeros = dict.fromkeys(("timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"), 0)
    probe = defaulted(containers=[{"readinessProbe": {"tcpSocket": {"port": 1}, **zeros}}])
    assert probe["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] == {
        "tcpSocket": {"port": 1},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }


def test_volumes() -> None:
    volumes = [{"name": "a"}, {"name": "b", "secret": {}}, {"name": "c", "hostPath": {"path": "/x"}}]
    assert defaulted(volumes=volumes)["spec"]["template"]["spec"]["volumes"] == [
        {"name": "a", "emptyDir": {}},
        {"name": "b", "secret": {"defaultMode": 0o644}},
        {"name": "c", "hostPath": {"path": "/x", "type": ""}},
    ]


def test_the_old_name_of_the_service_account() -> None:
    pod = defaulted(serviceAccount="x")["spec"]["template"]["spec"]
    assert (pod["serviceAccount"], pod["serviceAccountName"]) == ("x", "x")
