# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check an object against its types: unknown fields, wrong types, values that are not quantities.

What comes out is what Kubernetes would store: explicit nulls are absent, numbers in quantity fields are strings.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any, Final

from .errors import ErrorList, shown
from .field_types import (
    ANY_KEY,
    ANYTHING,
    BOOLEAN,
    INTEGER,
    INTEGER_OR_STRING,
    QUANTITY,
    STRING,
    Type,
)
from .quantity import Quantity

_MAX_INT64: Final = 2**63 - 1
_ZERO_VALUES: Final[dict[str, Any]] = {STRING: "", INTEGER: 0, BOOLEAN: False, QUANTITY: "0", INTEGER_OR_STRING: 0}


def check(value: Any, wanted: Type, path: str, errors: ErrorList) -> Any:
    """A normalised copy of ``value``; what does not fit ``wanted`` is reported and left out of the copy."""
    if isinstance(wanted, dict):
        return _check_mapping(value, wanted, path, errors)
    if isinstance(wanted, list):
        return _check_list(value, wanted[0], path, errors)
    return _check_scalar(value, wanted, path, errors)


def _check_mapping(value: Any, wanted: dict[str, Type], path: str, errors: ErrorList) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    if not isinstance(value, Mapping):
        _wrong_type(value, "a map" if ANY_KEY in wanted else "an object", path, errors)
        return checked
    for key, item in value.items():
        if not isinstance(key, str):
            hint = " (put the key in quotes)"
            errors.add(path, "TypeInvalid", f"Invalid key: found {_described(key)}, expected a string{hint}")
            continue
        child = f"{path}.{key}" if path else key
        kind = wanted.get(key, wanted.get(ANY_KEY))
        if kind is None:
            errors.add(child, "Unknown", f'Unknown field "{key}"{_did_you_mean(key, wanted)}')
        elif item is not None:
            checked[key] = check(item, kind, child, errors)
        elif ANY_KEY in wanted and isinstance(kind, str) and kind in _ZERO_VALUES:
            # In a map, JSON's null gives the key with the zero value; in an object, null is an absent field.
            checked[key] = _ZERO_VALUES[kind]
    return checked


def _check_list(value: Any, wanted: Type, path: str, errors: ErrorList) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        hint = " (start each item with '- ')" if isinstance(value, Mapping) else ""
        _wrong_type(value, "a list", path, errors, hint)
        return []
    checked = []
    for index, item in enumerate(value):
        child = f"{path}[{index}]"
        if item is None:
            _wrong_type(item, _noun(wanted), child, errors, " (remove the empty item)")
        else:
            checked.append(check(item, wanted, child, errors))
    return checked


def _check_scalar(value: Any, wanted: str, path: str, errors: ErrorList) -> Any:
    if wanted == ANYTHING:
        return value
    if wanted == QUANTITY:
        return _check_quantity(value, path, errors)
    if wanted == STRING and isinstance(value, str):
        return str(value)
    if wanted == BOOLEAN and isinstance(value, bool):
        return value
    if wanted in (INTEGER, INTEGER_OR_STRING) and _is_integer(value):
        return int(value)
    if wanted == INTEGER_OR_STRING and isinstance(value, str):
        return str(value)
    _wrong_type(value, _noun(wanted), path, errors, _scalar_hint(value, wanted))
    return _ZERO_VALUES[wanted]


def _check_quantity(value: Any, path: str, errors: ErrorList) -> str:
    if isinstance(value, (Mapping, list, tuple)):
        _wrong_type(value, "a quantity", path, errors)
        return "0"
    try:
        Quantity.parse(value)
    except ValueError as error:
        errors.add(path, "Invalid", f"Invalid value: {error}")
        return "0"
    return value if isinstance(value, str) else repr(value)


def _is_integer(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return -_MAX_INT64 - 1 <= value <= _MAX_INT64
    return isinstance(value, float) and value.is_integer() and abs(value) <= _MAX_INT64


def _wrong_type(value: Any, expected: str, path: str, errors: ErrorList, hint: str = "") -> None:
    errors.add(path, "TypeInvalid", f"Invalid type: found {_described(value)}, expected {expected}{hint}")


def _scalar_hint(value: Any, wanted: str) -> str:
    if wanted == STRING and isinstance(value, (bool, int, float)):
        return " (put it in quotes)"
    if wanted == BOOLEAN and isinstance(value, str) and value.lower() in ("true", "false", "yes", "no", "on", "off"):
        return f" (remove the quotes: {'true' if value.lower() in ('true', 'yes', 'on') else 'false'})"
    if wanted == INTEGER and isinstance(value, str) and value.strip().lstrip("-").isdigit():
        return f" (remove the quotes: {value.strip()})"
    return ""


def _noun(wanted: Type) -> str:
    if isinstance(wanted, dict):
        return "an object"
    if isinstance(wanted, list):
        return "a list"
    return {STRING: "a string", INTEGER: "an integer", BOOLEAN: "true or false", QUANTITY: "a quantity"}.get(
        wanted, "an integer or a string"
    )


def _described(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        # YAML's y, yes, on, n, no and off are booleans: who wrote one does not find "true" in the file.
        return f"the boolean {json.dumps(value)} ({'y, yes, on' if value else 'n, no, off'} mean the same)"
    if isinstance(value, (int, float)):
        return f"the number {value!r}"
    if isinstance(value, str):
        return f"the string {shown(str(value))}"
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, (list, tuple)):
        return "a list"
    return f"{type(value).__name__} {value}"


def _did_you_mean(key: str, wanted: Mapping[str, Any]) -> str:
    by_lower_case = {name.lower(): name for name in wanted}
    close = difflib.get_close_matches(key.lower(), list(by_lower_case), n=1, cutoff=0.75)
    return f" (did you mean {by_lower_case[close[0]]}?)" if close else f" (known here: {_listed(wanted)})"


def _listed(wanted: Mapping[str, Any]) -> str:
    names = sorted(wanted)
    return ", ".join(names) if len(names) <= 12 else ", ".join(names[:12]) + ", …"
