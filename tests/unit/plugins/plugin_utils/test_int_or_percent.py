# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.int_or_percent import rolling_numbers, scaled_value
from hypothesis import given
from hypothesis import strategies as st

totals = st.integers(0, 10**6)


@given(st.integers(0, 100), totals)
def test_a_percentage_is_a_part_of_the_total(percent: int, total: int) -> None:
    up, down = scaled_value(f"{percent}%", total), scaled_value(f"{percent}%", total, round_up=False)
    assert 0 <= down <= up <= total
    assert up - down == (percent * total % 100 != 0)
    assert 100 * down <= percent * total <= 100 * up


@given(st.integers(1, 100), st.integers(1, 10**6))
def test_any_percentage_of_something_is_at_least_one(percent: int, total: int) -> None:
    assert scaled_value(f"{percent}%", total) >= 1


@given(st.integers(), totals)
def test_a_number_stays_as_it_is(number: int, total: int) -> None:
    assert scaled_value(number, total) == number


@given(st.sampled_from([0, "0%", None, 1, "30%"]), st.sampled_from([0, "0%", None, 2, "30%"]), st.integers(1, 50))
def test_an_update_can_always_begin(max_unavailable: object, max_surge: object, desired: int) -> None:
    numbers = rolling_numbers({"maxUnavailable": max_unavailable, "maxSurge": max_surge}, desired)
    assert numbers.max_unavailable + numbers.max_surge >= 1


def test_the_defaults_are_one_unavailable_and_no_surge() -> None:
    assert rolling_numbers(None, 5) == (1, 0)
    assert rolling_numbers({}, 0) == (1, 0)
    assert rolling_numbers({"maxUnavailable": 0}, 0) == (0, 0)


@pytest.mark.parametrize("value", ["10", "", "%", "1.5%", " 5%", "5%\n", "٣%", None, True, 1.5, ["1%"]])
def test_anything_else_is_refused_by_name(value: object) -> None:
    with pytest.raises(ValueError, match="neither a whole number .* nor a percentage") as error:
        scaled_value(value, 10)
    assert (f'"{value}"' if isinstance(value, str) else repr(value)) in str(error.value)
