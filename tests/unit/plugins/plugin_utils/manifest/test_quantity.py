# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from fractions import Fraction

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.quantity import Quantity
from hypothesis import given
from hypothesis import strategies as st

SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "e3", "E-3"]


@pytest.mark.parametrize(
    ("text", "milli", "value", "canonical"),
    [
        ("100m", 100, 1, "100m"),
        ("1.5Gi", 1610612736000, 1610612736, "1536Mi"),
        ("1024", 1024000, 1024, "1024"),
        ("1025Ki", 1049600000, 1049600, "1025Ki"),
        ("0.5Ki", 512000, 512, "512"),
        ("512m", 512, 1, "512m"),
        ("0.1n", 1, 1, "1n"),
        (2, 2000, 2, "2"),
        (0.15, 150, 1, "150m"),
    ],
)
def test_parse(text: str | float, milli: int, value: int, canonical: str) -> None:
    quantity = Quantity.parse(text)
    assert (quantity.milli(), quantity.value(), quantity.canonical()) == (milli, value, canonical)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("200Mo", '"200Mo" is not a quantity (did you mean 200M or 200Mi?)'),
        ("1GiB", '"1GiB" is not a quantity (did you mean 1Gi?)'),
        ("1K", '"1K" is not a quantity (did you mean 1k or 1Ki?)'),
        ("1 Gi", '"1 Gi" is not a quantity (did you mean 1Gi?)'),
        ("half", '"half" is not a quantity'),
        ("1e9999999", '"1e9999999" is not a quantity'),
    ],
)
def test_what_is_no_quantity_is_explained(text: str, expected: str) -> None:
    with pytest.raises(ValueError) as error:
        Quantity.parse(text)
    assert str(error.value) == expected


def test_a_boolean_is_no_quantity() -> None:
    with pytest.raises(ValueError, match="true is not a quantity"):
        Quantity.parse(True)


@given(st.integers(-(10**6), 10**6), st.sampled_from(SUFFIXES))
def test_the_canonical_form_means_the_same(number: int, suffix: str) -> None:
    quantity = Quantity.parse(f"{number}{suffix}")
    again = Quantity.parse(quantity.canonical())
    assert again.number == quantity.number
    assert again.canonical() == quantity.canonical()


@given(st.fractions(-1000, 1000, max_denominator=1000))
def test_rounding_goes_away_from_zero(number: Fraction) -> None:
    quantity = Quantity(number, "decimal")
    assert abs(quantity.value()) >= abs(number) > abs(quantity.value()) - 1 or number == 0
