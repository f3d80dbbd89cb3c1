# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.documents import MAX_NODES, parse


def data(text: str) -> Any:
    documents, errors = parse("x.yaml", text)
    assert errors == []
    return [document.data for document in documents]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0644", 0o644),
        ("0o644", 0o644),
        ("0x1F", 31),
        ("1_000", 1000),
        ("1.0", 1),
        ("1e3", 1000),
        ("0.15", 0.15),
        ("2024-01-01", "2024-01-01"),
        ("1:30", "1:30"),
        ("yes", True),
        ("y", True),
        ("Off", False),
        ("~", None),
        ("", None),
        ("'0644'", "0644"),
        ("!!str 12", "12"),
    ],
)
def test_plain_scalars_are_read_as_kubectl_reads_them(written: str, read: Any) -> None:
    value = data(f"a: {written}")[0]["a"]
    assert (type(value), value) == (type(read), read)


def test_documents_are_counted_with_the_empty_ones() -> None:
    documents, errors = parse("x.yaml", "---\n# nothing\n---\na: 1\n---\n---\nb: 2\n")
    assert [(document.number, document.data) for document in documents] == [(2, {"a": 1}), (4, {"b": 2})]
    assert errors == []


def test_byte_order_mark_and_crlf() -> None:
    assert data("\ufeffa: |\r\n  x\r\n  y\r\nb: 1\r\n") == [{"a": "x\ny\n", "b": 1}]


def test_anchors_aliases_and_merge_keys() -> None:
    text = "base: &base {a: 1, b: 2}\nsame: *base\nmore: {<<: *base, b: 3}\n"
    assert data(text) == [{"base": {"a": 1, "b": 2}, "same": {"a": 1, "b": 2}, "more": {"a": 1, "b": 3}}]


def test_braces_are_data() -> None:
    assert data("a: 'x {{ y }} {% z %}'") == [{"a": "x {{ y }} {% z %}"}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:\n\tb: c", "line 2, column 1"),
        ("a: b: c", "check the indentation"),
        ("a: *nowhere", "undefined alias"),
        ("a: [1", "line"),
        ("a: &a [*a]", "contains itself"),
        ('a: "\x01"', "control characters"),
        ("a: \ud800", "not valid Unicode"),
        ("[" * 20000, "Invalid YAML"),
    ],
)
def test_broken_text_gives_one_error(text: str, expected: str) -> None:
    documents, errors = parse("x.yaml", text)
    assert documents == []
    assert len(errors) == 1
    assert (errors[0].source, errors[0].document, errors[0].path) == ("x.yaml", 1, "")
    assert expected in errors[0].message


def test_what_stands_before_broken_text_is_read() -> None:
    documents, errors = parse("x.yaml", "a: 1\n---\nb: [\n")
    assert [document.data for document in documents] == [{"a": 1}]
    assert [error.document for error in errors] == [2]


def test_an_alias_bomb_is_refused_before_it_is_written_out() -> None:
    lines = ["a0: &a0 [" + ",".join(["1"] * 10) + "]"]
    lines += [f"a{n}: &a{n} [" + ",".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, 20)]
    documents, errors = parse("x.yaml", "\n".join(lines))
    assert documents == []
    assert str(MAX_NODES) in errors[0].message


def test_a_key_written_twice_is_reported_with_its_path() -> None:
    documents, errors = parse("x.yaml", "a:\n- b: 1\n  c: 2\n  b: 3\n")
    assert errors == []
    assert [(problem.path, problem.reason) for problem in documents[0].problems] == [("a[0].b", "Duplicate")]
    assert "line 2 and on line 4" in documents[0].problems[0].message


def test_json_is_read_as_json() -> None:
    documents, errors = parse("x.json", '{"a": "\\ud83d\\ude00", "b": [{"c": 1, "c": 2}]}')
    assert errors == []
    assert documents[0].data == {"a": "\U0001f600", "b": [{"c": 2}]}
    assert [problem.path for problem in documents[0].problems] == ["b[0].c"]


def test_a_flow_mapping_that_is_no_json_is_yaml() -> None:
    assert data("{a: 1, b: [x]}") == [{"a": 1, "b": ["x"]}]
