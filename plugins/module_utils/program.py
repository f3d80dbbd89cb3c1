# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's half of this collection, kept on the node as a folder that Python runs.

A module travels to the node in a zip and is compiled anew at every call, which takes longer than all that an order
does. So the first call leaves its own code here, compiled, and later orders are given to that, as JSON on its standard
input. It is also what puts a revision back that nobody confirmed. It runs only when it is called: it is no agent.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Mapping

from . import files
from .files import File
from .observation import PROGRAMS
from .sources import PACKAGE, source_of

RESULT = "everynode-result "  # what the program prints before its result, for a login may print something too
KEPT_SECONDS = 86400.0  # another version may yet be asked to put a revision back
MAIN = """\
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)

from everynode.orders import main

sys.exit(main())
"""


def own_sources() -> dict[str, bytes]:
    """The modules of this folder by their paths in it."""
    import pkgutil

    found = pkgutil.walk_packages(sys.modules[PACKAGE].__path__, PACKAGE + ".")
    names = [module.name[len(PACKAGE) + 1 :] for module in found if not module.ispkg]
    return {name.replace(".", "/") + ".py": source_of(name) for name in names}


def version_of(sources: Mapping[str, bytes]) -> str:
    """The name that a program of these sources has on a node."""
    import hashlib

    digest = hashlib.sha256()
    for name, source in sorted(sources.items()):
        digest.update(f"{name} {len(source)}\n".encode() + source)
    return digest.hexdigest()[:12]


def folder(version: str) -> str:
    return os.path.join(PROGRAMS, version)


def install(python: str) -> str:
    """Have this version on the node; returns its folder."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if os.path.dirname(here) == PROGRAMS:
        return here  # it is what runs
    sources = own_sources()
    root = folder(version_of(sources))
    if not os.path.isdir(root):
        os.makedirs(PROGRAMS, mode=0o755, exist_ok=True)
        beside = os.path.join(PROGRAMS, f".{os.path.basename(root)}.{os.getpid()}")
        content = {f"everynode/{name}": File(source, 0o644) for name, source in sources.items()}
        packages = {os.path.dirname(name) for name in content}
        content.update({f"{package}/__init__.py": File(b"", 0o644) for package in packages})
        content["__main__.py"] = File(MAIN.encode(), 0o644)
        content["run"] = File(f'#!/bin/sh\nexec "{python}" -ISB "{root}/__main__.py" "$@"\n'.encode(), 0o755)
        files.create_tree(beside, content, {})
        import compileall

        compileall.compile_dir(beside, ddir=root, quiet=2)
        try:
            os.rename(beside, root)
        except OSError:  # another run was faster
            files.remove(beside)
    _remove_older(os.path.basename(root))
    return root


def remove() -> None:
    files.remove(PROGRAMS)


def _remove_older(version: str) -> None:
    for name in os.listdir(PROGRAMS):
        path = os.path.join(PROGRAMS, name)
        if name != version and os.stat(path).st_mtime < time.time() - KEPT_SECONDS:
            files.remove(path)
