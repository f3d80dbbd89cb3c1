# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every published manifest loads, or is refused with field paths; none of its fields is dropped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.documents import parse
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.errors import ManifestError
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.model import image_runtime, load
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.schema import classify

DATA = Path(__file__).resolve().parents[4] / "data"
CORPUS = sorted((DATA / "corpus").glob("*.yaml"))
MANIFESTS = sorted((DATA / "manifests").glob("*.yaml"))
REFUSALS: dict[str, list[str]] = json.loads((DATA / "corpus-refusals.json").read_text())


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def refusals(path: Path) -> list[str]:
    try:
        load([(path.name, read(path))])
    except ManifestError as error:
        assert all(found.source == path.name and found.message for found in error.errors)
        return [f"{found.path}: {found.reason}" for found in error.errors]
    return []


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no map or list, with its path; numbers of quantities as the text that is kept of them."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]")
    elif not isinstance(value, (dict, list)):
        quantity = re.search(r"\.(limits|requests)\.|\.(divisor|sizeLimit)$", path)
        yield path, str(value) if quantity and value is not None else value


def written_daemonsets(path: Path) -> Iterator[dict[str, Any]]:
    documents, _errors = parse(path.name, read(path))
    for document in documents:
        for item in document.data["items"] if document.data["kind"] == "List" else [document.data]:
            if item["kind"] == "DaemonSet":
                yield item


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_the_corpus_is_accepted_or_refused_as_reviewed(path: Path) -> None:
    assert refusals(path) == REFUSALS.get(path.name, [])


def test_the_review_names_only_what_is_there() -> None:
    assert set(REFUSALS) <= {path.name for path in CORPUS}


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_first_manifests_load(path: Path) -> None:
    assert load([(path.name, read(path))]).daemonsets


@pytest.mark.parametrize("path", CORPUS + MANIFESTS, ids=lambda path: path.name)
def test_every_field_is_in_the_table(path: Path) -> None:
    for daemonset in written_daemonsets(path):
        runtime = image_runtime(daemonset["spec"]["template"]["spec"]["containers"][0]["image"])
        unknown = [leaf for leaf, value in leaves(daemonset) if value is not None and classify(leaf, runtime) is None]
        assert unknown == []


@pytest.mark.parametrize("path", [path for path in CORPUS if path.name not in REFUSALS], ids=lambda path: path.name)
def test_nothing_written_is_lost(path: Path) -> None:
    """What an accepted manifest says is in the object, value for value; nulls are absent, quantities are text."""
    loaded = load([(path.name, read(path))])
    for daemonset, written in zip(loaded.daemonsets, written_daemonsets(path), strict=True):
        kept = set(leaves(daemonset.object))
        lost = [leaf for leaf, value in leaves(written) if value is not None and (leaf, value) not in kept]
        assert [leaf for leaf in lost if not leaf.startswith(("apiVersion", "status"))] == []
