# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleTemplatePluginError
from ansible_collections.everynode.daemonset.plugins.filter.scaled import FilterModule

scaled = FilterModule().filters()["scaled"]


@pytest.mark.parametrize(("value", "total", "number"), [("25%", 10, 3), (4, 3, 4), ("100%", 7, 7), ("1%", 0, 0)])
def test_percentages_are_of_the_total_and_rounded_up(value: Any, total: int, number: int) -> None:
    assert scaled(value, total) == number


@pytest.mark.parametrize(
    ("value", "total", "message"),
    [
        ("25", 10, '"25" is neither a whole number (without quotes) nor a percentage such as "25%"'),
        ("25%", "10", "the total must be a whole number of 0 or more, found '10'"),
        ("25%", -1, "the total must be a whole number of 0 or more, found -1"),
        ("25%", True, "the total must be a whole number of 0 or more, found True"),
    ],
)
def test_what_is_wrong_is_said(value: Any, total: Any, message: str) -> None:
    with pytest.raises(AnsibleTemplatePluginError) as error:
        scaled(value, total)
    assert str(error.value) == f"scaled: {message}"
