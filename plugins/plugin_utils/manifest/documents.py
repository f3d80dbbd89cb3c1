# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML text in, plain data out, read as kubectl reads it.

kubectl turns YAML into JSON first (sigs.k8s.io/yaml on go-yaml), so this resolves plain scalars as go-yaml does and
not as PyYAML does: dates stay strings, ``0644`` and ``0o644`` are octal, ``1:30`` is a string, ``y`` is a boolean.
Keys written twice are reported, as kubectl's strict decoding does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from .errors import ErrorList, FieldError

if TYPE_CHECKING:
    from yaml import SafeLoader as _FastestSafeLoader
else:
    # libyaml's parser is about ten times as fast, and not everywhere.
    _FastestSafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_NODES: Final = 1_000_000
"""Nodes of one document after its aliases are written out. The largest published manifests have some 50 000; an
"alias bomb" of a few lines has billions."""

_TRUE: Final = ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")
_FALSE: Final = ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")
_INTEGER: Final = re.compile(r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)")
_FLOAT: Final = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_TAG: Final = "tag:yaml.org,2002:"
_MERGE_KEY: Final = _TAG + "merge"


class _Loader(_FastestSafeLoader):
    """Composes nodes, with go-yaml's idea of what a plain scalar means."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


def _resolve(kind: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(_TAG + kind, re.compile(f"^(?:{pattern})$"), list(first))


_resolve("bool", "|".join(_TRUE + _FALSE), "yYnNtTfFoO")
_resolve("int", _INTEGER.pattern, "-+0123456789")
_resolve("float", _FLOAT.pattern, "-+.0123456789")
_resolve("null", "~|null|Null|NULL", "~nN")
_Loader.add_implicit_resolver(_TAG + "null", re.compile("^$"), [""])
_resolve("merge", "<<", "<")


@dataclass(frozen=True)
class Document:
    """One YAML document: its place, its data, and what strict decoding has against it."""

    source: str
    number: int
    data: Any
    problems: tuple[FieldError, ...] = ()
    """Keys written twice, with their paths. They matter only if the document is of a kind that is read."""


def parse(source: str, text: str) -> tuple[list[Document], list[FieldError]]:
    """Split and read a YAML text; ``source`` is what errors call it.

    Returns the documents that can be read (empty ones left out, but counted) and the errors of those that cannot.
    A syntax error ends the text: what comes after it cannot be told apart.
    """
    documents: list[Document] = []
    errors = ErrorList(source, document=0)
    if text.lstrip("\ufeff \t\r\n").startswith("{"):
        document = _read_json(source, text)
        if document is not None:
            return [document], []
    try:
        for node in _nodes(text):
            errors.document += 1
            document = _read(node, errors) if node is not None else None
            if document is not None:
                documents.append(document)
    except yaml.YAMLError as error:
        errors.document += 1
        errors.add("", "Invalid", _syntax_message(error))
    except RecursionError:
        errors.document += 1
        errors.add("", "Invalid", "Invalid YAML: nested too deeply (expected a Kubernetes object)")
    except UnicodeEncodeError as error:
        errors.document += 1
        errors.add("", "Invalid", f"Invalid YAML: character {error.object[error.start]!r} is not valid Unicode text")
    return documents, errors.errors


@dataclass(frozen=True)
class _Pairs:
    """A JSON object before its keys are looked at."""

    pairs: list[tuple[str, Any]]


def _read_json(source: str, text: str) -> Document | None:
    """JSON is nearly YAML: not where it escapes characters beyond U+FFFF. None if the text is no JSON."""
    problems = ErrorList(source)

    def place(value: Any, path: str) -> Any:
        if isinstance(value, list):
            return [place(item, f"{path}[{index}]") for index, item in enumerate(value)]
        if not isinstance(value, _Pairs):
            return value
        placed: dict[str, Any] = {}
        for key, item in value.pairs:
            child = f"{path}.{key}" if path else key
            if key in placed:
                problems.duplicate(child, key, "the key is there twice; keep one")
            placed[key] = place(item, child)
        return placed

    try:
        data = place(json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_Pairs), "")
    except (ValueError, RecursionError):
        return None
    return Document(source, 1, data, tuple(problems.errors))


def _nodes(text: str) -> Iterator[yaml.Node | None]:
    loader = _Loader(text.removeprefix("\ufeff"))
    try:
        while loader.check_node():
            yield loader.get_node()
    finally:
        loader.dispose()


def _read(node: yaml.Node, errors: ErrorList) -> Document | None:
    size = _expanded_size(node)
    if size is None:
        errors.add("", "Invalid", "Invalid YAML: an anchor contains itself (expected data that ends)")
        return None
    if size > MAX_NODES:
        errors.add("", "Invalid", f"Invalid YAML: more than {MAX_NODES} values once its aliases are written out")
        return None
    reader = _Reader(ErrorList(errors.source, errors.document))
    data = reader.read(node, "")
    if data is None:
        return None
    return Document(errors.source, errors.document, data, tuple(reader.problems.errors))


def _expanded_size(root: yaml.Node) -> int | None:
    """Nodes of the tree once aliases are written out; None if an anchor contains itself."""
    sizes: dict[int, int | None] = {}

    def size(node: yaml.Node) -> int | None:
        known = sizes.get(id(node), 0)
        if known != 0:
            return known
        sizes[id(node)] = None
        total = 1
        for child in _children(node):
            child_size = size(child)
            if child_size is None:
                return None
            total += child_size
        sizes[id(node)] = total
        return total

    return size(root)


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value


class _Reader:
    """Turns nodes into data, knowing the field path of each."""

    def __init__(self, problems: ErrorList) -> None:
        self.problems = problems

    def read(self, node: yaml.Node, path: str) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(child, f"{path}[{index}]") for index, child in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[Any, Any]:
        own: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        lines: dict[Any, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE_KEY:
                self._merge(value_node, path, merged)
                continue
            key = _key(self.read(key_node, path))
            child = f"{path}.{key}" if path else str(key)
            line = key_node.start_mark.line + 1
            if key in lines:
                self.problems.duplicate(
                    child, str(key), f"the key is on line {lines[key]} and on line {line}; keep one"
                )
            lines[key] = line
            own[key] = self.read(value_node, child)
        return {**merged, **own}

    def _merge(self, node: yaml.Node, path: str, merged: dict[Any, Any]) -> None:
        """``<<: *a`` and ``<<: [*a, *b]``: the earlier mapping wins, and the mapping's own keys win over both."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            data = self.read(source, path)
            if isinstance(data, dict):
                for key, value in data.items():
                    merged.setdefault(key, value)
            else:
                self.problems.add(path, "Invalid", "Invalid YAML: << needs a mapping to merge")


def _scalar(node: yaml.Node) -> Any:
    text: str = node.value
    tag = node.tag
    if tag == _TAG + "null":
        return None
    if tag == _TAG + "bool" and text in _TRUE + _FALSE:
        return text in _TRUE
    if tag == _TAG + "int" and _INTEGER.fullmatch(text):
        return _integer(text)
    if tag == _TAG + "float":
        return _float(text)
    return text


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    sign, digits = (-1, digits[1:]) if digits[0] == "-" else (1, digits.removeprefix("+"))
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        return sign * int(digits, 8)
    return sign * int(digits, 0)


def _float(text: str) -> int | float | str:
    try:
        number = float(text.replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        return text
    # JSON, which Kubernetes decodes, writes 1.0 and 1e3 as 1 and 1000: whole numbers fit integer fields.
    return int(number) if number.is_integer() and abs(number) < 1e21 else number


def _key(key: Any) -> Any:
    """A mapping key as JSON has it, but for booleans: an ``on:`` that becomes "true" is never what was meant."""
    if isinstance(key, (bool, str)):
        return key
    if isinstance(key, (int, float)):
        return repr(key)
    return "null" if key is None else str(key)


def _syntax_message(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error).splitlines()[0]
    where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    return f"Invalid YAML{where}: {problem}{_syntax_advice(problem)}"


def _syntax_advice(problem: str) -> str:
    if "'\\t'" in problem or "cannot start any token" in problem:
        return " (indent with spaces, not tabs; put values that start with %, @ or ` in quotes)"
    if "mapping values are not allowed" in problem:
        return " (check the indentation; put values that hold ': ' in quotes)"
    if "found undefined alias" in problem:
        return " (put values that start with * in quotes)"
    return ""
