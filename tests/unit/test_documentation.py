# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from scripts.document_fields import TARGET, document


def test_the_list_of_fields_is_that_of_the_code() -> None:
    assert TARGET.read_text(encoding="utf-8") == document(), "run `make docs`"
