# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.environment import (
    Environment,
    expand,
    referenced,
    resolve_environment,
)
from hypothesis import given
from hypothesis import strategies as st

variables = st.dictionaries(st.sampled_from(["A", "B", "A B", ""]), st.sampled_from(["", "a", "$(A)", "$$", "$(", ")"]))
pieces = st.lists(
    st.one_of(
        st.tuples(st.just("text"), st.text(alphabet="xA()${} \n", max_size=4).map(lambda text: text.replace("$", ""))),
        st.tuples(st.just("reference"), st.sampled_from(["A", "B", "C", "A B", ""])),
        st.tuples(st.just("dollar"), st.just("$")),
    ),
    max_size=6,
)


@given(pieces, variables)
def test_expansion_is_one_pass(parts: list[tuple[str, str]], known: dict[str, str]) -> None:
    written = {"text": "{}", "reference": "$({})", "dollar": "${}"}
    text = "".join(written[kind].format(content) for kind, content in parts)
    meant = [known.get(content, f"$({content})") if kind == "reference" else content for kind, content in parts]
    assert expand(text, known) == "".join(meant)


@given(st.text(), variables)
def test_doubled_dollars_keep_any_text_as_it_is(text: str, known: dict[str, str]) -> None:
    assert expand(text.replace("$", "$$"), known) == text


@given(st.text(alphabet="$()AB", max_size=12), variables)
def test_what_is_not_referenced_makes_no_difference(text: str, known: dict[str, str]) -> None:
    used = {name: value for name, value in known.items() if name in referenced(text, known)}
    assert expand(text, used) == expand(text, known)


CONFIG_MAPS = {"settings": {"LEVEL": b"debug", "bad\tname": b"x", "logo": b"\xff"}}
SECRETS = {"login": {"PASSWORD": b"s3cret", "key": b"\xff", "nul": b"a\0b"}}


def resolve(container: Mapping[str, Any]) -> Environment:
    return resolve_environment(container, CONFIG_MAPS, SECRETS, lambda source: f"<{source['fieldRef']['fieldPath']}>")


def test_variables_come_in_order_and_fields_are_asked_for() -> None:
    found = resolve(
        {
            "envFrom": [{"configMapRef": {"name": "settings"}}],
            "env": [
                {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                {"name": "EMPTY"},
                {"name": "BOTH", "value": "$(LEVEL) on $(NODE)"},
            ],
        }
    )
    assert found.values == {
        "LEVEL": "debug",
        "NODE": "<spec.nodeName>",
        "EMPTY": "",
        "BOTH": "debug on <spec.nodeName>",
    }
    assert found.secret_names == frozenset()


def test_names_that_hold_anything_of_a_secret_are_known_even_by_reference() -> None:
    found = resolve(
        {
            "env": [
                {"name": "P", "valueFrom": {"secretKeyRef": {"name": "login", "key": "PASSWORD"}}},
                {"name": "URL", "value": "https://u:$(P)@host"},
                {"name": "COPY", "value": "$(URL)"},
                {"name": "ESCAPED", "value": "$$(P)"},
                {"name": "P", "value": "public now"},
            ]
        }
    )
    assert found.secret_names == {"URL", "COPY"}
    assert found.values["COPY"] == "https://u:s3cret@host"
    assert found.values["P"] == "public now"


def test_a_whole_secret_is_secret() -> None:
    with pytest.raises(ValueError, match='envFrom: key "key" of Secret "login" is binary'):
        resolve({"envFrom": [{"secretRef": {"name": "login"}}]})
    source = {"envFrom": [{"prefix": "DB_", "secretRef": {"name": "db"}}]}
    found = resolve_environment(source, {}, {"db": {"PASSWORD": b"x"}}, lambda source: "")
    assert found == Environment({"DB_PASSWORD": "x"}, frozenset({"DB_PASSWORD"}))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            {"configMapKeyRef": {"name": "none", "key": "k"}},
            'environment variable "V": ConfigMap "none" is not among the manifests; add it, or set optional: true',
        ),
        (
            {"configMapKeyRef": {"name": "settings", "key": "k"}},
            'environment variable "V": ConfigMap "settings" has no key "k" (its keys are LEVEL',
        ),
        ({"secretKeyRef": {"name": "login", "key": "key"}}, 'key "key" of Secret "login" is binary'),
        ({"secretKeyRef": {"name": "login", "key": "nul"}}, "holds a NUL character"),
    ],
)
def test_what_cannot_be_resolved_is_named(source: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:
        resolve({"env": [{"name": "V", "valueFrom": source}]})
    assert message in str(error.value)
    assert "s3cret" not in str(error.value)


def test_what_is_optional_may_be_missing_and_leaves_an_earlier_value() -> None:
    found = resolve(
        {
            "envFrom": [{"configMapRef": {"name": "none", "optional": True}}],
            "env": [
                {"name": "A", "value": "first"},
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "login", "key": "none", "optional": True}}},
                {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "k", "optional": True}}},
            ],
        }
    )
    assert found.values == {"A": "first"}
