# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every published manifest that loads is defined for Docker and for Podman, or refused for a reason that was reviewed.

Many refer to ConfigMaps and Secrets that their publishers leave to the user: those are made up here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.definition import define
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.documents import parse
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.errors import ManifestError
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.model import Manifests, load
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.references import references

from tests.unit.plugins.plugin_utils.definitions import FACTS, NODE

DATA = Path(__file__).resolve().parents[3] / "data"
FILES = sorted([*(DATA / "corpus").glob("*.yaml"), *(DATA / "manifests").glob("*.yaml")])
REFUSED_EARLIER: dict[str, list[str]] = json.loads((DATA / "corpus-refusals.json").read_text())
REFUSALS: dict[str, dict[str, dict[str, str]]] = json.loads((DATA / "corpus-definitions.json").read_text())
ENGINES = ("docker", "podman")


def objects(path: Path) -> Iterator[dict[str, Any]]:
    documents, _errors = parse(path.name, path.read_text(encoding="utf-8"))
    for document in documents:
        yield from document.data["items"] if document.data["kind"] == "List" else [document.data]


def made_up(path: Path) -> list[dict[str, Any]]:
    """The ConfigMaps and Secrets that are not there, with the keys that are asked of them."""
    there = {(item["kind"], namespace_of(item), item["metadata"].get("name")) for item in objects(path)}
    data: dict[tuple[str, str, str], dict[str, str]] = {}
    for item in objects(path):
        if item["kind"] != "DaemonSet":
            continue
        pod = {field: value for field, value in item["spec"]["template"]["spec"].items() if value is not None}
        for reference in references(pod):
            keys = [key for key, _path in reference.keys] or ["made-up", *sub_paths(pod, reference.name)]
            data.setdefault((reference.kind, namespace_of(item), reference.name), {}).update(dict.fromkeys(keys, "x"))
    return [
        {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace},
            "data" if kind == "ConfigMap" else "stringData": content,
        }
        for (kind, namespace, name), content in data.items()
        if name and (kind, namespace, name) not in there
    ]


def namespace_of(item: dict[str, Any]) -> str:
    return str(item["metadata"].get("namespace") or "default")


def sub_paths(pod: dict[str, Any], name: str) -> list[str]:
    """What the containers mount of the volume that is made of this ConfigMap."""
    volumes = [volume["name"] for volume in pod.get("volumes", []) if volume.get("configMap", {}).get("name") == name]
    mounts = [mount for container in pod["containers"] for mount in container.get("volumeMounts", [])]
    return [mount["subPath"] for mount in mounts if mount["name"] in volumes and mount.get("subPath")]


def loaded(path: Path) -> Manifests | None:
    texts = [json.dumps(item) for item in made_up(path)]
    try:
        return load([(path.name, path.read_text(encoding="utf-8")), *((f"made up {text}", text) for text in texts)])
    except ManifestError:
        assert path.name in REFUSED_EARLIER
        return None


def refusals(path: Path) -> dict[str, dict[str, str]]:
    """The message for each path, by engine."""
    found: dict[str, dict[str, str]] = {}
    manifests = loaded(path)
    for daemonset in manifests.daemonsets if manifests else ():
        for engine in ENGINES:
            try:
                define(daemonset, manifests, NODE, FACTS._replace(engines=(engine,)))
            except ManifestError as error:
                found.setdefault(engine, {}).update((one.path, one.message) for one in error.errors)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_corpus_is_defined_or_refused_as_reviewed(path: Path) -> None:
    assert refusals(path) == REFUSALS.get(path.name, {})


def test_the_review_names_only_what_is_there() -> None:
    assert set(REFUSALS) <= {path.name for path in FILES}
