# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where manifests come from: files, folders, globs and inline objects, read through Ansible's loader (vault included).

Everything under ``control`` is the control node's I/O: it may import Ansible, read files and talk. What it reads is
judged by the pure code one folder up.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ..manifest.errors import FieldError, ManifestError
from ..manifest.model import Manifests, load

PATTERNS = ("*.yaml", "*.yml", "*.json", "*.j2")


class SourceError(ValueError):
    """A manifest that cannot be found, read or rendered; the text says which, and what to do."""


class Source(NamedTuple):
    name: str  # as the user gave it, or the file's path below that
    path: str  # "" for an inline object
    text: str

    @property
    def templated(self) -> bool:
        return self.path.endswith(".j2")


class Sources(NamedTuple):
    """What could be read, and one line for each thing that could not: the rest is judged all the same."""

    found: tuple[Source, ...]
    errors: tuple[str, ...] = ()


def read_sources(loader: DataLoader, manifests: Sequence[Any], search: Sequence[str]) -> Sources:
    """Read what ``manifests`` names: paths, folders, globs (relative to the folders of ``search``), mappings."""
    if not any(manifest != "" for manifest in manifests):
        return Sources(
            (), ("no manifest is given: use -e daemonset_manifests=FILE, a folder, a glob, or a list of them",)
        )
    sources: list[Source] = []
    errors: list[str] = []
    for index, manifest in enumerate(manifests):
        try:
            if isinstance(manifest, Mapping):
                # JSON is YAML, so that inline objects may refer to what is in files, and the other way round.
                sources.append(Source(f"inline[{index}]", "", _as_json(manifest)))
                continue
            paths = _paths(manifest, index, search)
        except SourceError as error:
            errors.append(str(error))
            continue
        for path in paths:
            try:
                sources.append(Source(_short(path), path, _text(loader, path)))
            except SourceError as error:
                errors.append(str(error))
    return Sources(tuple(sources), tuple(errors))


def _paths(manifest: Any, index: int, search: Sequence[str]) -> list[str]:
    if not isinstance(manifest, str) or not manifest:
        raise SourceError(
            f"manifest number {index + 1} is {manifest!r}: expected a path, a folder, a glob, or a mapping (an object)"
        )
    return _found(str(manifest), search)


def _found(name: str, search: Sequence[str]) -> list[str]:
    expanded = os.path.expanduser(name)
    for folder in search:
        candidate = os.path.normpath(os.path.join(folder, expanded))  # an absolute name stays as it is
        if os.path.isdir(candidate):
            return _in_folder(candidate)
        if os.path.exists(candidate):
            return [candidate]
        matches = sorted(path for path in glob.glob(candidate, recursive=True) if os.path.isfile(path))
        if matches:
            return matches
    where = "" if os.path.isabs(expanded) else f" (looked in {search[0]} first, then where Ansible looks for files)"
    raise SourceError(f"{name}: there is no such file or folder, and as a glob it matches nothing{where}")


def _in_folder(folder: str) -> list[str]:
    paths = {path for pattern in PATTERNS for path in glob.glob(os.path.join(glob.escape(folder), pattern))}
    if not paths:
        raise SourceError(f"{_short(folder)}: this folder holds no manifest ({', '.join(PATTERNS)})")
    return sorted(paths)


def _short(path: str) -> str:
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else relative


def _text(loader: DataLoader, path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            file.read()  # Ansible's loader would take what is not UTF-8 as well, and make something of it
        return str(loader.get_text_file_contents(path))
    except OSError as error:
        raise SourceError(f"{_short(path)}: cannot be read: {os.strerror(error.errno or 0)}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{_short(path)}: cannot be read: byte {error.start + 1} is not UTF-8 text") from error
    except AnsibleError as error:
        raise SourceError(f"{_short(path)}: cannot be read: {words_of(error)}") from error


def load_for_nodes(sources: Sources, nodes: Iterable[str], variables_of: Any, templar: Templar) -> dict[str, Manifests]:
    """What is declared for each node. Only files that end in ``.j2`` can differ; equal texts are loaded once.

    ``variables_of(node)`` gives that node's variables. Raises SourceError with all that is wrong, each thing once.
    """
    errors = dict.fromkeys(sources.errors)
    known: dict[tuple[str, ...], Manifests | None] = {}
    result: dict[str, Manifests] = {}
    templated = any(source.templated for source in sources.found)
    for node in nodes:
        texts, failures = _rendered(sources.found, node, variables_of(node) if templated else {}, templar)
        errors.update(dict.fromkeys(failures))
        key = tuple(text for _name, text in texts)
        if key not in known:
            known[key], wrong = _load(texts, whole=not (sources.errors or failures))
            errors.update(dict.fromkeys(wrong))
        manifests = known[key]
        if manifests is not None:
            result[node] = manifests
    if errors:
        raise SourceError("\n".join(errors))
    return result


def _rendered(
    sources: Sequence[Source], node: str, variables: Mapping[str, Any], templar: Templar
) -> tuple[list[tuple[str, str]], list[str]]:
    """The texts with their names, and a line for each that could not be rendered."""
    texts, errors = [], []
    for source in sources:
        if not source.templated:
            texts.append((source.name, source.text))
            continue
        name = f"{source.name} (rendered for {node})"
        scope = templar.copy_with_new_env(searchpath=[os.path.dirname(source.path)], available_variables=variables)
        try:
            # The same Jinja settings as ansible.builtin.template.
            text = scope.template(trust_as_template(source.text), overrides={"trim_blocks": True})
        except AnsibleError as error:
            errors.append(f"{name}: {words_of(error)}")
        else:
            texts.append((name, _as_text(text)))
    return texts, errors


def _as_text(rendered: Any) -> str:
    """A file that is one single expression renders to an object of its own instead of to text."""
    return str(rendered) if isinstance(rendered, str) else _as_json(rendered)


def _as_json(value: Any) -> str:
    """Dates, which YAML has and JSON has not, are texts, as Kubernetes takes them."""
    return json.dumps(plain(value), default=str)


def _load(texts: list[tuple[str, str]], whole: bool) -> tuple[Manifests | None, list[str]]:
    """The manifests, or what is wrong with them; ``whole`` is false if some could not be read."""
    try:
        return load(texts), []
    except ManifestError as error:
        return None, [str(one) for one in error.errors if whole or not _is_missing(one)]


def _is_missing(error: FieldError) -> bool:
    """Whether something is not there, which may well be in a file that could not be read."""
    return error.reason == "NotFound" or (error.reason == "Required" and not error.path)


def plain(value: Any) -> Any:
    """Ansible's lazy and tagged containers as ordinary data."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return str(value)
    return value


def words_of(error: AnsibleError) -> str:
    """An Ansible error as one plain sentence, without its list of source lines."""
    return " ".join(str(error.message).split())
