# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Labels and label selectors, as Kubernetes defines them.

The rules are those of k8s.io/apimachinery (pkg/labels/selector.go, pkg/apis/meta/v1/helpers.go and
pkg/util/validation/validation.go). Two written forms exist: the string form of ``kubectl -l`` (:func:`parse_selector`)
and the LabelSelector object of a manifest (:func:`selector_from_object`). Everything raises ValueError for bad input.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

LABEL_MAX = 63
PREFIX_MAX = 253

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_RULE = "letters, digits, '-', '_' and '.', with a letter or digit at both ends"

_INT64 = range(-(2**63), 2**63)
_INTEGER = re.compile(r"[+-]?[0-9]+")


def label_key_problems(key: str) -> list[str]:
    """Say what is wrong with a label key: ``[prefix/]name``. An empty list means it is valid."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        return ["must be a name or prefix/name, with one '/' at most"]
    problems = []
    if slash and not prefix:
        problems.append("the prefix before '/' must not be empty")
    elif slash:
        problems += _subdomain_problems(prefix)
    if not name:
        problems.append("the name must not be empty")
    else:
        problems += _name_problems("the name", name)
    return problems


def label_value_problems(value: str) -> list[str]:
    """Say what is wrong with a label value (which may be empty). An empty list means it is valid."""
    return _name_problems("the value", value) if value else []


def _subdomain_problems(prefix: str) -> list[str]:
    problems = []
    if len(prefix) > PREFIX_MAX:
        problems.append(f"the prefix must be no more than {PREFIX_MAX} characters")
    if not _SUBDOMAIN.fullmatch(prefix):
        problems.append("the prefix must be a DNS name of lower-case letters, digits, '-' and '.', such as example.com")
    return problems


def _name_problems(what: str, text: str) -> list[str]:
    problems = []
    if len(text) > LABEL_MAX:
        problems.append(f"{what} must be no more than {LABEL_MAX} characters")
    if not _NAME.fullmatch(text):
        problems.append(f"{what} must consist of {_NAME_RULE}")
    return problems


def parse_int64(text: str) -> int | None:
    """Read a decimal integer as Go's ``strconv.ParseInt(text, 10, 64)`` does; None if it is not one."""
    if not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if number in _INT64 else None


@dataclass(frozen=True)
class Requirement:
    """One condition on one label. Build it with :func:`requirement`, which checks it."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether the labels meet the condition. An absent key meets NotIn, != and DoesNotExist only."""
        present = self.key in labels
        if self.operator in ("NotIn", "!="):
            return not present or labels[self.key] not in self.values
        if self.operator == "DoesNotExist":
            return not present
        if self.operator == "Exists" or not present:
            return present
        if self.operator in ("Gt", "Lt"):
            return self._compares(labels[self.key])
        return labels[self.key] in self.values

    def _compares(self, text: str) -> bool:
        number, bound = parse_int64(text), parse_int64(self.values[0])
        if number is None or bound is None:
            return False
        return number > bound if self.operator == "Gt" else number < bound

    def __str__(self) -> str:
        """Return the string form, which :func:`parse_selector` reads back."""
        if self.operator in ("Exists", "DoesNotExist"):
            return self.key if self.operator == "Exists" else f"!{self.key}"
        if self.operator in ("In", "NotIn"):
            return f"{self.key} {self.operator.lower()} ({','.join(self.values)})"
        return f"{self.key}{_SYMBOLS.get(self.operator, self.operator)}{self.values[0]}"


_SYMBOLS = {"Gt": ">", "Lt": "<"}
_VALUE_COUNT = {
    "In": "one or more values",
    "NotIn": "one or more values",
    "Exists": "no values",
    "DoesNotExist": "no values",
    "Gt": "exactly one value",
    "Lt": "exactly one value",
    "=": "exactly one value",
    "!=": "exactly one value",
}


def requirement(key: str, operator: str, values: Iterable[str] = ()) -> Requirement:
    """Check and build a requirement (apimachinery's ``labels.NewRequirement``).

    Operators are those of manifests (In, NotIn, Exists, DoesNotExist, Gt, Lt), and ``=`` and ``!=``.
    """
    if problems := label_key_problems(key):
        raise ValueError(f'label key "{key}": {"; ".join(problems)}')
    if operator not in _VALUE_COUNT:
        raise ValueError(f'label "{key}": "{operator}" is not an operator, use one of {", ".join(_VALUE_COUNT)}')
    given = tuple(values)
    _check_value_count(key, operator, len(given))
    for value in given:
        if problems := label_value_problems(value):
            raise ValueError(f'label "{key}", value "{value}": {"; ".join(problems)}')
        if operator in ("Gt", "Lt") and parse_int64(value) is None:
            raise ValueError(f'label "{key}": {operator} compares integers, "{value}" is not a 64-bit integer')
    return Requirement(key, operator, tuple(sorted(set(given))))


def _check_value_count(key: str, operator: str, count: int) -> None:
    wanted = _VALUE_COUNT[operator]
    right = {"no values": count == 0, "one or more values": count > 0, "exactly one value": count == 1}
    if not right[wanted]:
        raise ValueError(f'label "{key}": operator {operator} takes {wanted}, found {count}')


@dataclass(frozen=True)
class Selector:
    """Requirements that must all hold. None at all select everything, unless ``nothing`` is set."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether an object with these labels is selected."""
        return not self.nothing and all(condition.matches(labels) for condition in self.requirements)

    def __str__(self) -> str:
        """Return the string form; a selector of nothing has none and gives an empty text."""
        return ",".join(str(condition) for condition in self.requirements)


def selector_from_object(selector: Mapping[str, Any] | None) -> Selector:
    """Read a LabelSelector object (matchLabels and matchExpressions, ANDed).

    No object (None) selects nothing, an empty one everything: apimachinery's ``LabelSelectorAsSelector``.
    """
    if selector is None:
        return Selector(nothing=True)
    if not isinstance(selector, Mapping):
        raise ValueError(f"a label selector must be a mapping with matchLabels or matchExpressions, found {selector!r}")
    _check_keys(selector, "label selector", ("matchLabels", "matchExpressions"))
    labels = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or []
    if not isinstance(labels, Mapping):
        raise ValueError(f"matchLabels must be a mapping of labels to values, found {labels!r}")
    if not isinstance(expressions, (list, tuple)):
        raise ValueError(f"matchExpressions must be a list, found {expressions!r}")
    equalities = [
        requirement(_text(key, "a key of matchLabels"), "=", (_text(value, f"matchLabels {key}"),))
        for key, value in labels.items()
    ]
    return Selector((*equalities, *(_expression(expression) for expression in expressions)))


def _expression(expression: Any) -> Requirement:
    if not isinstance(expression, Mapping):
        raise ValueError(f"an entry of matchExpressions must be a mapping, found {expression!r}")
    _check_keys(expression, "matchExpressions", ("key", "operator", "values"))
    operator = expression.get("operator")
    if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
        raise ValueError(f"matchExpressions: operator {operator!r} is not one of In, NotIn, Exists, DoesNotExist")
    values = expression.get("values") or []
    if not isinstance(values, (list, tuple)):
        raise ValueError(f"matchExpressions: values must be a list, found {values!r}")
    key = _text(expression.get("key"), "the key of matchExpressions")
    return requirement(key, operator, [_text(value, f"a value of {key}") for value in values])


def _check_keys(mapping: Mapping[str, Any], what: str, known: tuple[str, ...]) -> None:
    unknown = [str(key) for key in mapping if key not in known]
    if unknown:
        raise ValueError(f"{what}: unknown field {', '.join(unknown)}; known are {', '.join(known)}")


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f'{what} must be a string, found {value!r} (put it in quotes: "{str(value).lower()}")')
    return value


def parse_selector(text: str) -> Selector:
    """Read the string form of ``kubectl -l``, such as ``disk=ssd,zone in (a,b),!retired,cores>4``.

    The grammar is apimachinery's, with its finer points: ``in`` and ``notin`` are keywords only where an operator is
    expected, ``k=`` means the empty value, ``()`` the set of the empty value, and an empty text selects everything.
    """
    return _Parser(text).selector()


_END = ""
_TOKEN = re.compile(r"[ \t\r\n]*(?P<token>==|!=|[=!(),<>]|[^=!(),<> \t\r\n]+|\Z)")
_SPECIAL = frozenset(("==", "!=", "=", "!", "(", ")", ",", "<", ">", _END))
_OPERATORS = {"in": "In", "notin": "NotIn", "=": "=", "==": "=", "!=": "!=", ">": "Gt", "<": "Lt"}


class _Parser:
    """A recursive descent over the tokens. A token that is not special is an identifier."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [match["token"] for match in _TOKEN.finditer(text)]
        self._position = 0

    def selector(self) -> Selector:
        requirements: list[Requirement] = []
        if self._next() == _END:
            return Selector()
        while True:
            requirements.append(self._requirement())
            if self._next() == _END:
                return Selector(tuple(requirements))
            self._expect(",", "',' or the end")

    def _requirement(self) -> Requirement:
        negated = self._accept("!")
        key = self._identifier("a label key" if negated else "a label key or '!'")
        if negated:
            return self._built(key, "DoesNotExist", ())
        if self._next() in (_END, ","):
            return self._built(key, "Exists", ())
        operator = _OPERATORS.get(self._next())
        if operator is None:
            raise self._unexpected("an operator (=, ==, !=, in, notin, <, >)")
        self._take()
        return self._built(key, operator, self._set() if operator in ("In", "NotIn") else (self._value(),))

    def _built(self, key: str, operator: str, values: Iterable[str]) -> Requirement:
        try:
            return requirement(key, operator, values)
        except ValueError as error:
            raise ValueError(f'selector "{self._text}": {error}') from None

    def _value(self) -> str:
        if self._next() in (_END, ","):
            return ""
        return self._identifier("a value")

    def _set(self) -> list[str]:
        self._expect("(", "'('")
        values: list[str] = []
        if self._accept(")"):
            return [""]
        while True:
            if self._accept(","):
                if not values:
                    values.append("")
                if self._next() in (",", ")"):
                    values.append("")
                    if self._accept(")"):
                        return values
                    self._take()
                continue
            values.append(self._identifier("',' or a value"))
            if self._accept(")"):
                return values
            if self._next() != ",":
                raise self._unexpected("',' or ')'")

    def _next(self) -> str:
        return self._tokens[self._position]

    def _take(self) -> str:
        token = self._tokens[self._position]
        self._position += 1
        return token

    def _accept(self, token: str) -> bool:
        if self._next() != token:
            return False
        self._take()
        return True

    def _expect(self, token: str, wanted: str) -> None:
        if not self._accept(token):
            raise self._unexpected(wanted)

    def _identifier(self, wanted: str) -> str:
        if self._next() in _SPECIAL:
            raise self._unexpected(wanted)
        return self._take()

    def _unexpected(self, wanted: str) -> ValueError:
        found = f"'{self._next()}'" if self._next() else "the end"
        return ValueError(f'selector "{self._text}": found {found}, expected {wanted}')
