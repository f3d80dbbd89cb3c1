# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.selectors import (
    Requirement,
    Selector,
    label_key_problems,
    parse_int64,
    parse_selector,
    requirement,
    selector_from_object,
)
from hypothesis import given
from hypothesis import strategies as st

keys = st.from_regex(r"([a-z]{1,3}\.[a-z]{1,3}/)?[a-zA-Z0-9]{1,3}", fullmatch=True) | st.sampled_from(["in", "notin"])
values = st.from_regex(r"([a-zA-Z0-9]([-_.]?[a-zA-Z0-9]){0,3})?", fullmatch=True) | st.sampled_from(["in", "notin"])
requirements = st.one_of(
    st.builds(requirement, keys, st.sampled_from(["In", "NotIn"]), st.lists(values, min_size=1, max_size=4)),
    st.builds(requirement, keys, st.sampled_from(["=", "!="]), st.tuples(values)),
    st.builds(requirement, keys, st.sampled_from(["Exists", "DoesNotExist"])),
    st.builds(requirement, keys, st.sampled_from(["Gt", "Lt"]), st.tuples(st.integers(0, 2**63 - 1).map(str))),
)


@given(st.lists(requirements, max_size=4))
def test_a_selector_survives_its_string_form(conditions: list[Requirement]) -> None:
    selector = Selector(tuple(conditions))
    assert parse_selector(str(selector)) == selector


@given(st.lists(requirements, max_size=4), st.dictionaries(keys, values, max_size=4))
def test_a_selector_is_the_and_of_its_requirements(conditions: list[Requirement], labels: dict[str, str]) -> None:
    assert Selector(tuple(conditions)).matches(labels) is all(one.matches(labels) for one in conditions)


@given(keys, st.lists(values, min_size=1, max_size=3), st.dictionaries(keys, values, max_size=4))
def test_notin_is_the_opposite_of_in(key: str, wanted: list[str], labels: dict[str, str]) -> None:
    inside, outside = requirement(key, "In", wanted), requirement(key, "NotIn", wanted)
    assert inside.matches(labels) is not outside.matches(labels)


@given(st.text(alphabet="ab1 =!<>(),\t/.-$in", max_size=12))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        parse_selector(text)
    except ValueError as error:
        assert f'selector "{text}"' in str(error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x in (a,,)", "found ')', expected ',' or a value"),
        ("x in", "found the end, expected '('"),
        ("x in (a", "found the end, expected ',' or ')'"),
        ("x y", "found 'y', expected an operator"),
        ("!x=a", "found '=', expected ',' or the end"),
        ("x=a,", "found the end, expected a label key or '!'"),
        ("x>1.5", '"1.5" is not a 64-bit integer'),
        ("x>9223372036854775808", "is not a 64-bit integer"),
        ("-a=b", "with a letter or digit at both ends"),
    ],
)
def test_what_is_wrong_with_a_selector_is_said(text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_selector(text)
    assert message in str(error.value)
    assert f'selector "{text}"' in str(error.value)


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ({"matchLabels": {"a": True}}, 'matchLabels a must be a string, found True (put it in quotes: "true")'),
        ({"matchLabels": {1: "a"}}, "a key of matchLabels must be a string, found 1"),
        ({"matchLabels": ["a"]}, "matchLabels must be a mapping"),
        ({"matchlabels": {}}, "unknown field matchlabels; known are matchLabels, matchExpressions"),
        ({"matchExpressions": [{"key": "a", "operator": "in", "values": ["b"]}]}, "'in' is not one of In, NotIn"),
        ({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}, "takes no values, found 1"),
        ({"matchExpressions": [{"key": "a", "operator": "In"}]}, "takes one or more values, found 0"),
        ({"matchExpressions": "a"}, "matchExpressions must be a list"),
        ({"matchExpressions": ["a"]}, "must be a mapping"),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": "b"}]}, "values must be a list"),
        ({"matchExpressions": [{"operator": "Exists"}]}, "the key of matchExpressions must be a string"),
        ("a=b", "must be a mapping"),
    ],
)
def test_what_is_wrong_with_a_label_selector_is_said(selector: object, message: str) -> None:
    with pytest.raises(ValueError) as error:
        selector_from_object(selector)  # type: ignore[arg-type]
    assert message in str(error.value)


def test_no_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert not selector_from_object(None).matches({})
    assert selector_from_object({}).matches({})
    assert selector_from_object({"matchLabels": None}).matches({"a": "b"})


def test_an_unknown_operator_is_refused() -> None:
    with pytest.raises(ValueError, match="is not an operator, use one of In, NotIn"):
        requirement("a", "Near", ["b"])


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("a/b/c", "one '/' at most"),
        ("/a", "prefix before '/' must not be empty"),
        ("a/", "name must not be empty"),
        ("A.example/x", "lower-case"),
        ("x" * 64, "no more than 63"),
        ("x" * 254 + "/y", "no more than 253"),
        ("a\n", "letters, digits"),
    ],
)
def test_what_is_wrong_with_a_label_key_is_said(key: str, problem: str) -> None:
    assert any(problem in found for found in label_key_problems(key))


@pytest.mark.parametrize(
    ("text", "number"),
    [("+5", 5), ("-5", -5), ("007", 7), ("", None), ("1_0", None), ("٣", None), ("9223372036854775808", None)],
)
def test_integers_are_read_as_go_reads_them(text: str, number: int | None) -> None:
    assert parse_int64(text) == number
