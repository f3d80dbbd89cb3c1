# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes docs/fields.md from the table in plugins/plugin_utils/manifest/schema.py: make docs"""

from __future__ import annotations

from pathlib import Path

from plugins.plugin_utils.manifest.schema import ROWS, Row, Use

TARGET = Path(__file__).resolve().parents[1] / "docs" / "fields.md"

HEAD = """\
# What becomes of every field

Every field of a DaemonSet is in this table. Where a field is refused, an apply stops before any node is touched and
names its path; where it has no effect, the apply says so once. A field that is not here is unknown to Kubernetes too,
and refused. `pod` stands for `spec.template.spec`, `container` for each of its containers and init containers. A line
holds for all fields below its own; where a field has several lines, the earlier ones are for some of its values only.

The column for containers holds for Docker and for Podman; where Podman differs, the cell says so. Which engine a node
has is known when it was observed: what that engine alone cannot do is refused then, before any node is touched.

Made from the table in the code by `make docs`.

| field | host process (systemd) | container |
| --- | --- | --- |
"""


def document() -> str:
    return HEAD + "".join(f"| `{row.path}` | {_cell(row.systemd)} | {_container_cell(row)} |\n" for row in ROWS)


def _container_cell(row: Row) -> str:
    return _cell(row.container) + (f"; on Podman {_cell(row.podman)}" if row.podman is not None else "")


def _cell(use: Use) -> str:
    text = use.text.replace("|", "\\|")
    return text if use.kind == "honoured" else f"**{use.kind}**: {text}"


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
