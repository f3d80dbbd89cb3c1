# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source of this folder's modules: parts of it go on to live on the node."""

from __future__ import annotations

import importlib.util

PACKAGE = __name__.rpartition(".")[0]


def source_of(module: str) -> bytes:
    """Of a module by its name in this folder, with nothing loaded; modules travel in a zip, so its loader is asked."""
    name = f"{PACKAGE}.{module}"
    spec = importlib.util.find_spec(name)
    loader = spec.loader if spec else None
    source = loader.get_source(name) if loader and hasattr(loader, "get_source") else None
    if source is None:
        raise OSError(f"the source of {name} is not to be had")
    return str(source).encode()
