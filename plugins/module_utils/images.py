# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which images the revisions on this node take, and which of them came with us, so that they go with us.

An entry of ``record["images"]`` is ``{"engine", "reference", "id", "pulled", "revisions": [folders]}``. The id is ""
where the engine, or we, make the image under this name: the empty one that pods hang on. ``pulled``: it was not on the
node under this name before us. A run may be killed between fetching an image and noting that, so what was there before
is noted first, in ``record["fetching"]``.
"""

from __future__ import annotations

import glob
import os
from typing import Any, Iterator, Mapping

from . import engine
from . import record as records
from .engine import Engine
from .observation import ROOT


def begin(record: dict[str, Any], name: str, found: Mapping[str, str | None]) -> dict[str, str | None]:
    """Images are fetched; ``found``: what is there now, {reference: id or None}. Returns what was there before any was.

    That is more than ``found`` if a run was killed on the way.
    """
    before = {**found, **record["fetching"].get(name, {})}
    record["fetching"] = {**record["fetching"], name: before}
    return before


def note(
    directory: str,
    record: dict[str, Any],
    name: str,
    folder: str,
    ids: Mapping[str, str],
    before: Mapping[str, str | None],
) -> None:
    """A revision takes these images, of which these were there before it was fetched (both {reference: id})."""
    for reference, identifier in ids.items():
        entry = _find(record, name, reference, identifier)
        if entry is None:
            there = before.get(reference) == identifier
            pulled = not there or any(other["pulled"] for other in _of_others(directory, name, reference, identifier))
            entry = {"engine": name, "reference": reference, "id": identifier, "pulled": pulled, "revisions": []}
            record["images"].append(entry)
        if folder not in entry["revisions"]:
            entry["revisions"].append(folder)


def forget(directory: str, record: dict[str, Any], keep: set[str]) -> None:
    """Remove what came with us and what neither these revisions take nor another instance."""
    for entry in list(record["images"]):
        entry["revisions"] = [revision for revision in entry["revisions"] if revision in keep]
        if entry["revisions"]:
            continue
        record["images"].remove(entry)
        name, reference, identifier = entry["engine"], entry["reference"], entry["id"]
        if entry["pulled"] and engine.in_use(name) and not any(_of_others(directory, name, reference, identifier)):
            _remove(name, reference, identifier)
    _forget_half_fetched(directory, record)


def _forget_half_fetched(directory: str, record: dict[str, Any]) -> None:
    """What a run that was killed had fetched, or made, and not noted yet; nobody is at it any more."""
    for name, before in record["fetching"].items():
        for reference, former in before.items() if engine.in_use(name) else []:
            identifier = Engine(name).image_id(reference) or ""
            entries = (
                entry
                for possible in (identifier, "")
                for entry in [
                    _find(record, name, reference, possible),
                    *_of_others(directory, name, reference, possible),
                ]
            )
            if former not in (identifier, "") and not any(entries):
                _remove(name, reference, identifier)
    record["fetching"] = {}


def _remove(name: str, reference: str, identifier: str) -> None:
    if identifier:
        Engine(name).forget_image(reference, identifier)
    else:
        Engine(name).forget_images(reference)


def revisions(record: Mapping[str, Any]) -> set[str]:
    return {revision for entry in record["images"] for revision in entry["revisions"]}


def _find(record: Mapping[str, Any], name: str, reference: str, identifier: str) -> dict[str, Any] | None:
    wanted = (name, reference, identifier)
    return next((one for one in record["images"] if (one["engine"], one["reference"], one["id"]) == wanted), None)


def _of_others(directory: str, name: str, reference: str, identifier: str) -> Iterator[dict[str, Any]]:
    """The entries of the same image in other instances' records."""
    for other in glob.glob(os.path.join(ROOT, "*", "*")):
        if other != directory:
            entry = _find(records.load(other), name, reference, identifier)
            if entry is not None:
                yield entry
