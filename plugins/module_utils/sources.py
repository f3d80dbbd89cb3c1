# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source of what was loaded: parts of this folder go on to live on the node."""

from __future__ import annotations

from typing import Any


def source_of(module: Any) -> bytes:
    """Modules travel in a zip, so the source is asked of whatever loaded it."""
    loader = module.__spec__.loader if module.__spec__ else None
    source = loader.get_source(module.__name__) if loader and hasattr(loader, "get_source") else None
    if source is None:
        raise OSError(f"the source of {module.__name__} is not to be had")
    return str(source).encode()
