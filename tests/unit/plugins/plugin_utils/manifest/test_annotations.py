# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.annotations import (
    KNOWN,
    check_annotations,
    policy_of,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.errors import ErrorList
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.schema import ROWS
from ansible_collections.everynode.daemonset.plugins.plugin_utils.policy import Canary, Policy, Step


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({}, Policy()),
        ({"other/steps": "x"}, Policy()),
        ({"on-failure": "continue", "max-failures": "10%"}, Policy(on_failure="continue", max_failures="10%")),
        ({"max-unreachable": "3"}, Policy(max_unreachable=3)),
        (
            {"steps": "1 pause, 10%  bake=1h30m ,100%"},
            Policy(steps=(Step(1, pause=True), Step("10%", bake=5400), Step("100%"))),
        ),
        ({"steps": "1 bake=30s pause"}, Policy(steps=(Step(1, 30, True),))),
        ({"steps": "5, 1%"}, Policy(steps=(Step(5), Step("1%")))),  # whether it is more depends on the nodes
        ({"canary": "one-per=kubernetes.io/arch,node_os"}, Policy(canary=Canary(("kubernetes.io/arch", "node_os")))),
        ({"canary": "bake=10m one-per=disk pause"}, Policy(canary=Canary(("disk",), 600, True))),
        ({"topology": "rack"}, Policy(topology="rack")),
        ({"partition": "25%", "pace": "window"}, Policy(partition="25%", pace="window")),
        ({"window": "Sat,Sun 02:00-06:00 Europe/Berlin; Mon..Fri 22:00-04:00"}, None),
        ({"paused": "true", "confirm-timeout": "2m"}, Policy(paused=True, confirm_timeout=120)),
        ({"paused": "false"}, Policy()),
    ],
)
def test_a_policy(annotations, expected):
    written = {key if "/" in key else f"everynode/{key}": text for key, text in annotations.items()}
    errors = ErrorList()
    check_annotations(written, errors)
    assert errors.errors == []
    policy = policy_of(written)
    assert policy == (expected or Policy(window=annotations["window"]))
    assert Policy.from_dict(json.loads(json.dumps(policy.as_dict()))) == policy


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("on-failure", "stop", 'Invalid value: "stop": expected revert, halt, rollback or continue'),
        ("max-unreachable", "-1", "expected a number of nodes, or a percentage"),
        ("max-unreachable", "101%", "up to 100%"),
        ("steps", "", "such as: 1 pause, 10% bake=10m, 100%"),
        ("steps", "1,,2", "such as: 1 pause"),
        ("steps", "many", "expected a number of nodes"),
        ("steps", "0", "it must be more than the one before"),
        ("steps", "2, 1", "it must be more than the one before"),
        ("steps", "10%, 3, 10%", "it must be more than the one before"),
        ("steps", "1 wait", "expected nothing but bake=DURATION and pause after it, found wait"),
        ("steps", "1 pause pause", "found pause pause"),
        ("steps", "1 bake=10", "expected a duration such as 30s"),
        ("steps", "1 bake=0s", "expected a duration such as 30s"),
        ("canary", "kubernetes.io/arch", "expected one-per=LABEL[,LABEL]"),
        ("canary", "one-per=a one-per=b", "expected one-per=LABEL[,LABEL]"),
        ("canary", "one-per=a,", "expected the key of a label: the name must not be empty"),
        ("topology", "a b", "expected the key of a label"),
        ("partition", "half", "expected a number of nodes"),
        ("pace", "Window", "expected batch or window"),
        ("paused", "yes", "expected true or false"),
        ("confirm-timeout", "soon", "expected a duration such as 30s"),
        ("window", "", "expected [DAYS ]HH:MM-HH:MM[ ZONE]"),
        ("window", "2-4", "2 is no time of day"),
        ("window", "02:00-06:00 Mars/Base", "Mars/Base is no time zone"),
        ("window", "Sun,Caturday 02:00-06:00", "'Caturday' is no day"),
    ],
)
def test_what_is_wrong_is_said_with_its_path(key, text, expected):
    errors = ErrorList()
    check_annotations({f"everynode/{key}": text}, errors)
    (error,) = errors.errors
    assert error.path == f"metadata.annotations[everynode/{key}]"
    assert expected in error.message


def test_max_failures_means_nothing_without_continue():
    errors = ErrorList()
    check_annotations({"everynode/max-failures": "1"}, errors)
    (error,) = errors.errors
    assert "only be set with everynode/on-failure: continue" in error.message


def test_an_unknown_annotation_is_refused_with_those_there_are():
    errors = ErrorList()
    check_annotations({"everynode/step": "1"}, errors)
    (error,) = errors.errors
    assert '"everynode/steps"' in error.message


def test_every_annotation_is_in_the_table_of_fields():
    described = {row.path.removeprefix("metadata.annotations.") for row in ROWS}
    assert set(KNOWN) <= described
