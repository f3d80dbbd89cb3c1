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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

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


def read_sources(loader: DataLoader, manifests: Sequence[Any], search: Sequence[str]) -> list[Source]:
    """Read what ``manifests`` names: paths, folders, globs (relative to the folders of ``search``), mappings.

    Raises SourceError with one line for each that cannot be read.
    """
    sources: list[Source] = []
    errors: list[str] = []
    if not manifests:
        errors.append("no manifest is given: use -e daemonset_manifests=FILE, a folder, a glob, or a list of them")
    for index, manifest in enumerate(manifests):
        try:
            sources += _read(loader, manifest, index, search)
        except SourceError as error:
            errors.append(str(error))
    if errors:
        raise SourceError("\n".join(errors))
    return sources


def _read(loader: DataLoader, manifest: Any, index: int, search: Sequence[str]) -> Iterator[Source]:
    if isinstance(manifest, Mapping):
        # JSON is YAML, so that inline objects may refer to what is in files, and the other way round.
        yield Source(f"inline[{index}]", "", json.dumps(plain(manifest)))
        return
    if not isinstance(manifest, str):
        raise SourceError(
            f"manifest number {index + 1} is {manifest!r}: expected a path, a folder, a glob, or a mapping (an object)"
        )
    for path in _found(str(manifest), search):
        yield Source(_short(path), path, _text(loader, path))


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
        return str(loader.get_text_file_contents(path))
    except AnsibleError as error:
        raise SourceError(f"{_short(path)}: cannot be read: {words_of(error)}") from error


def load_for_nodes(
    sources: Sequence[Source], nodes: Iterable[str], variables_of: Any, templar: Templar
) -> dict[str, Manifests]:
    """What is declared for each node. Only files that end in ``.j2`` can differ; equal texts are loaded once.

    ``variables_of(node)`` gives that node's variables. Raises SourceError with all that is wrong, each thing once.
    """
    if not any(source.templated for source in sources):
        loaded = _load([(source.name, source.text) for source in sources])
        return dict.fromkeys(nodes, loaded)
    known: dict[tuple[str, ...], Manifests | None] = {}
    result: dict[str, Manifests] = {}
    errors: dict[str, None] = {}
    for node in nodes:
        try:
            texts = _rendered(sources, node, variables_of(node), templar)
            key = tuple(text for _name, text in texts)
            if key not in known:
                known[key] = None
                known[key] = _load(texts)
            manifests = known[key]
            if manifests is not None:
                result[node] = manifests
        except SourceError as error:
            errors.update(dict.fromkeys(str(error).split("\n")))
    if errors:
        raise SourceError("\n".join(errors))
    return result


def _rendered(
    sources: Sequence[Source], node: str, variables: Mapping[str, Any], templar: Templar
) -> list[tuple[str, str]]:
    texts = []
    for source in sources:
        if not source.templated:
            texts.append((source.name, source.text))
            continue
        scope = templar.copy_with_new_env(searchpath=[os.path.dirname(source.path)], available_variables=variables)
        try:
            # The same Jinja settings as ansible.builtin.template.
            text = scope.template(trust_as_template(source.text), overrides={"trim_blocks": True})
        except AnsibleError as error:
            raise SourceError(f"{source.name} (rendered for {node}): {words_of(error)}") from error
        texts.append((f"{source.name} (rendered for {node})", _as_text(text)))
    return texts


def _as_text(rendered: Any) -> str:
    """A file that is one single expression renders to an object of its own instead of to text."""
    return str(rendered) if isinstance(rendered, str) else json.dumps(plain(rendered))


def _load(texts: list[tuple[str, str]]) -> Manifests:
    try:
        return load(texts)
    except ValueError as error:
        raise SourceError(str(error)) from error


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
