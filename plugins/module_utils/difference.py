# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `--diff` shows of a revision that takes the place of another; of a Secret only that it differs."""

from __future__ import annotations

import os
from typing import Mapping

from . import files
from .runtimes.runtime import Rendered, Runtime, Variables


class Difference:
    """``before`` and ``after`` are its two sides, a text for each file."""

    def __init__(self, directory: str) -> None:
        """``directory``: the instance's own on the node."""
        self.before: list[str] = []
        self.after: list[str] = []
        self._directory = directory

    def of_revisions(self, former: Runtime | None, runtime: Runtime, rendered: Rendered) -> None:
        """Units, environment and volumes; ``former`` is None where nobody can tell any more what is in place."""
        for path, file in sorted(rendered.unit_files().items()):
            self.of_file(path, files.read(path), file.content)
        former_files = former.render().files if former else {}
        self._of_environments(former.environments() if former else {}, former_files, runtime.environments())
        for name in sorted(name for name in {*former_files, *rendered.files} if name.startswith("volumes/")):
            known, wanted = former_files.get(name), rendered.files.get(name)
            secret = wanted is not None and wanted.secret
            # What nobody can tell any more to be no secret is taken for one.
            was_secret = known.secret if known else former is None or secret
            self.of_file(name, self._in_place(name), wanted and wanted.content, was_secret, secret)

    def of_file(
        self,
        name: str,
        before: bytes | None,
        after: bytes | None,
        secret_before: bool = False,
        secret_after: bool = False,
    ) -> None:
        if before == after:
            return
        for side, content, secret, when in (
            (self.before, before, secret_before, "before"),
            (self.after, after, secret_after, "after"),
        ):
            if content is not None:
                text = f"(secret, {when})\n" if secret else content.decode("utf-8", "replace")
                side.append(f"--- {name}\n{text}")

    def _of_environments(
        self, before: Mapping[str, Variables], former_files: Mapping[str, files.File], after: Mapping[str, Variables]
    ) -> None:
        for container in sorted({*before, *after}):
            name = "environment/" + container
            old, new = before.get(container), after.get(container)
            there, known = self._in_place(name), former_files.get(name)
            old_text = None if there is None else _environment_shown(old or {}, new or {}, "before")
            if there is not None and (known is None or there != known.content):
                old_text = (old_text or b"") + b"(it is not as it was written)\n"
            self.of_file(name, old_text, None if new is None else _environment_shown(new, old or {}, "after"))

    def _in_place(self, name: str) -> bytes | None:
        return files.read(os.path.join(self._directory, "current", name))


def _environment_shown(variables: Variables, others: Variables, when: str) -> bytes:
    """A line for each variable; of one that comes from a Secret only whether it is the same on the other side."""
    lines = []
    for name, (value, secret) in sorted(variables.items()):
        if secret:
            value = "(secret)" if others.get(name) == (value, True) else f"(secret, {when})"
        lines.append(f"{name}={value}\n")
    return "".join(lines).encode()
