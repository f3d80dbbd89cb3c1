# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleTemplatePluginError
from ansible_collections.everynode.daemonset.plugins.filter.quantity import FilterModule

quantity = FilterModule().filters()["quantity"]


@pytest.mark.parametrize(
    ("text", "unit", "number"),
    [
        ("200Mi", "one", 200 * 2**20),
        ("1G", "one", 10**9),
        ("1500m", "one", 2),
        ("1500m", "milli", 1500),
        (0.5, "milli", 500),
        (3, "one", 3),
    ],
)
def test_a_quantity_is_counted_and_rounded_up(text: Any, unit: str, number: int) -> None:
    assert quantity(text, unit=unit) == number


@pytest.mark.parametrize(
    ("text", "unit", "message"),
    [
        ("200Mo", "one", '"200Mo" is not a quantity'),
        ("", "one", "is not a quantity"),
        (True, "one", "true is not a quantity"),
        (None, "one", "a quantity is a string such as 200Mi, or a number; found None"),
        (["1"], "one", "a quantity is a string such as 200Mi, or a number; found ['1']"),
        ("1", "kilo", "unit must be one or milli, found 'kilo'"),
        ("1", ["one"], "unit must be one or milli, found ['one']"),
    ],
)
def test_what_is_wrong_is_said(text: Any, unit: Any, message: str) -> None:
    with pytest.raises(AnsibleTemplatePluginError) as error:
        quantity(text, unit=unit)
    assert message in str(error.value)
    assert str(error.value).startswith("quantity: ")
