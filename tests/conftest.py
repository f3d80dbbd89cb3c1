# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes ``ansible_collections.everynode.daemonset`` mean this checkout, wherever it lies.

Ansible wants a collection in a folder ``ansible_collections/everynode/daemonset``. A checkout rarely lies in one, so
the three packages are put into ``sys.modules`` by hand, the last with the checkout as its path. Where the import leads
here already (as under ansible-test, whose collection loader is installed before this file is read), nothing is touched.
"""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
COLLECTION = "ansible_collections.everynode.daemonset"


def _leads_here(name: str) -> bool:
    try:
        package = importlib.import_module(name)
    except ImportError:
        return False
    return any(Path(path).resolve() == CHECKOUT for path in package.__path__)


def _package(name: str, path: list[str]) -> types.ModuleType:
    package = types.ModuleType(name)
    package.__path__ = path
    sys.modules[name] = package
    parent, dot, child = name.rpartition(".")
    if dot:
        setattr(sys.modules[parent], child, package)
    return package


def _importable_or_empty(name: str) -> None:
    try:
        importlib.import_module(name)
    except ImportError:
        _package(name, [])


def _lead_here() -> None:
    for loaded in [name for name in sys.modules if name.startswith(COLLECTION)]:
        del sys.modules[loaded]  # another copy of the collection, found by _leads_here
    _importable_or_empty("ansible_collections")
    _importable_or_empty("ansible_collections.everynode")
    # Ansible's own loader, should a test install it later, refuses a collection whose metadata was not read.
    _package(COLLECTION, [str(CHECKOUT)])._collection_meta = {}  # type: ignore[attr-defined]


if not _leads_here(COLLECTION):
    _lead_here()
