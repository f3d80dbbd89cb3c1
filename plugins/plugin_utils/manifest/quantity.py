# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes quantities: ``100m`` of a CPU, ``200Mi`` of memory.

Follows k8s.io/apimachinery ``pkg/api/resource`` (``ParseQuantity``, ``CanonicalizeBytes``, ``AsCanonicalBase10``), with
exact arithmetic: there is no float in here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

_DECIMAL_EXPONENTS: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_EXPONENTS: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIXES: Final = {exponent: suffix for suffix, exponent in _DECIMAL_EXPONENTS.items()}

_QUANTITY = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[+-]?[0-9]*)", re.ASCII)
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]+)", re.ASCII)
_NUMBER_AND_UNIT = re.compile(r"\s*([+-]?[0-9]*\.?[0-9]+)\s*([A-Za-z]+)\s*", re.ASCII)

_MAX_INT64: Final = 2**63 - 1
_MAX_EXPONENT: Final = 1000
"""Kubernetes takes any int32 exponent; more than this is certainly a slip, and would only cost memory."""

_NANO: Final = 10**9


@dataclass(frozen=True)
class Quantity:
    """A parsed quantity: an exact number and the family of suffixes it is written in."""

    number: Fraction
    family: str
    """``decimal`` (k, M, …), ``binary`` (Ki, Mi, …) or ``exponent`` (e3), as canonical() writes it."""

    @classmethod
    def parse(cls, text: str | int | float) -> Quantity:
        """Read a quantity; raises ValueError with a sentence that names the value and what was likely meant."""
        if isinstance(text, bool):
            raise ValueError(f"{str(text).lower()} is not a quantity")
        written = text if isinstance(text, str) else _number_text(text)
        match = _QUANTITY.fullmatch(written) if written else None
        scale = _scale(match.group(4)) if match else None
        if match is None or scale is None:
            raise ValueError(f'"{written}" is not a quantity{_suggestion(written)}')
        factor, family = scale
        sign, whole, fraction = match.group(1), match.group(2), match.group(3) or ""
        number = Fraction(int(whole + fraction or "0"), 10 ** len(fraction)) * factor
        number = Fraction(_round_up(number * _NANO), _NANO)
        if family == "binary":
            number = min(number, Fraction(_MAX_INT64))
            if 0 < number < 1:
                family = "decimal"
        return cls(-number if sign == "-" else number, family)

    def value(self) -> int:
        """Whole units (bytes, cores), rounded up (away from zero)."""
        return _round_up(self.number)

    def milli(self) -> int:
        """Thousandths (millicores), rounded up (away from zero)."""
        return _round_up(self.number * 1000)

    def canonical(self) -> str:
        """The form the Kubernetes API writes: no fraction, the largest suffix that fits."""
        if self.family == "binary" and abs(self.number) >= 1024:
            return self._canonical_binary()
        return self._canonical_decimal()

    def _canonical_binary(self) -> str:
        mantissa, exponent = _round_up(self.number), 0
        while mantissa % 1024 == 0 and exponent < 60:
            mantissa //= 1024
            exponent += 10
        suffix = next((name for name, bits in _BINARY_EXPONENTS.items() if bits == exponent), "")
        return f"{mantissa}{suffix}"

    def _canonical_decimal(self) -> str:
        if self.number == 0:
            return "0"
        mantissa, exponent = int(self.number * _NANO), -9
        while mantissa % 1000 == 0 and (exponent < 18 or self.family == "exponent"):
            mantissa //= 1000
            exponent += 3
        if self.family == "exponent":
            return f"{mantissa}e{exponent}" if exponent else f"{mantissa}"
        return f"{mantissa}{_DECIMAL_SUFFIXES[exponent]}"


def _number_text(number: int | float) -> str:
    """A YAML number as the JSON that Kubernetes would parse the quantity from."""
    return repr(number)


def _scale(suffix: str) -> tuple[Fraction, str] | None:
    if suffix in _DECIMAL_EXPONENTS:
        return _power_of_ten(_DECIMAL_EXPONENTS[suffix]), "decimal"
    if suffix in _BINARY_EXPONENTS:
        return Fraction(2 ** _BINARY_EXPONENTS[suffix]), "binary"
    exponent = _EXPONENT.fullmatch(suffix)
    if exponent is None or len(exponent.group(1)) > 10 or abs(int(exponent.group(1))) > _MAX_EXPONENT:
        return None
    return _power_of_ten(int(exponent.group(1))), "exponent"


def _power_of_ten(exponent: int) -> Fraction:
    return Fraction(10) ** exponent


def _round_up(number: Fraction) -> int:
    """To a whole number, away from zero."""
    whole = -(-abs(number.numerator) // number.denominator)
    return -whole if number < 0 else whole


def _suggestion(text: str) -> str:
    """' (did you mean …?)' for what people write instead of a quantity: 200Mo, 1 GiB, 512mb, 1K."""
    match = _NUMBER_AND_UNIT.fullmatch(text)
    if match is None:
        stripped = text.strip()
        return f" (did you mean {stripped}?)" if stripped != text and _QUANTITY.fullmatch(stripped) and stripped else ""
    number, unit = match.groups()
    if unit in _BINARY_EXPONENTS or unit in _DECIMAL_EXPONENTS:
        return f" (did you mean {number}{unit}?)"
    letter = unit[0].lower()
    decimal = letter if letter == "k" else letter.upper()
    if letter not in "kmgtpe":
        return ""
    binary = f"{number}{letter.upper()}i"
    if unit[1:2].lower() == "i":
        return f" (did you mean {binary}?)"
    return f" (did you mean {number}{decimal} or {binary}?)"
