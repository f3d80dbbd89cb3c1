# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleTemplatePluginError
from ansible_collections.everynode.daemonset.plugins.test.matches import TestModule as MatchesPlugin

matches = MatchesPlugin().tests()["matches"]


@pytest.mark.parametrize(
    ("selector", "verdict"),
    [
        ("disk=ssd", True),
        ("disk!=ssd", False),
        ("", True),
        ({"matchLabels": {"disk": "ssd"}}, True),
        ({"matchExpressions": [{"key": "disk", "operator": "DoesNotExist"}]}, False),
        ({}, True),
        (None, False),
    ],
)
def test_labels_match_a_selector_of_either_form(selector: Any, verdict: bool) -> None:
    assert matches({"disk": "ssd"}, selector) is verdict


@pytest.mark.parametrize(
    ("labels", "selector", "message"),
    [
        ("disk=ssd", "disk", "labels must be a mapping of strings to strings, found 'disk=ssd'"),
        ({"gpu": True}, "gpu", 'label gpu must be a string, found True; write "true"'),
        ({}, "a b", """selector "a b": found 'b', expected an operator"""),
        ({}, ["a"], "a selector is a string or a mapping with matchLabels or matchExpressions, found ['a']"),
        ({}, {"disk": "ssd"}, "unknown field disk; known are matchLabels, matchExpressions"),
    ],
)
def test_what_is_wrong_is_said(labels: Any, selector: Any, message: str) -> None:
    with pytest.raises(AnsibleTemplatePluginError) as error:
        matches(labels, selector)
    assert message in str(error.value)
    assert str(error.value).startswith("matches: ")
