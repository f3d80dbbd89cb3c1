# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.errors import (
    ErrorList,
    FieldError,
    ManifestError,
)


def test_an_error_reads_as_one_line() -> None:
    error = FieldError("fluentd.yaml", 2, "spec.template", "Invalid", 'Invalid value: "200Mo" is not a quantity')
    assert str(error) == 'fluentd.yaml (document 2): spec.template: Invalid value: "200Mo" is not a quantity'


def test_an_error_of_the_whole_document_has_no_path() -> None:
    assert str(FieldError("a.yaml", 1, "", "Invalid", "Invalid YAML")) == "a.yaml (document 1): Invalid YAML"


def test_the_words_are_those_of_kubernetes() -> None:
    errors = ErrorList("a.yaml", 1, "items[0].")
    errors.required("name")
    errors.invalid("image", "x", "must be y")
    errors.not_supported("type", "Recreate", ["RollingUpdate", "OnDelete"])
    errors.forbidden("lifecycle", "may not be set")
    errors.duplicate("ports[1].name", "http")
    errors.not_found("volumeMounts[0].name", "data")
    assert [f"{error.path}: {error.message}" for error in errors.errors] == [
        "items[0].name: Required value",
        'items[0].image: Invalid value: "x": must be y',
        'items[0].type: Unsupported value: "Recreate": supported values: "RollingUpdate", "OnDelete"',
        "items[0].lifecycle: Forbidden: may not be set",
        'items[0].ports[1].name: Duplicate value: "http"',
        'items[0].volumeMounts[0].name: Not found: "data"',
    ]


def test_a_long_value_is_cut() -> None:
    errors = ErrorList()
    errors.invalid("data", "x" * 5000, "must be short")
    assert len(errors.errors[0].message) < 200


def test_all_errors_are_raised_together() -> None:
    errors = [FieldError("a.yaml", 1, "x", "Required", "Required value"), FieldError("b.yaml", 1, "y", "Unknown", "no")]
    assert str(ManifestError(errors)).splitlines() == [str(error) for error in errors]
