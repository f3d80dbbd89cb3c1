# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import threading

from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.files import replace_file, text_of


def test_a_file_is_replaced_and_what_is_none_is_written_to(tmp_path):
    replace_file(str(tmp_path / "x"), "old")
    replace_file(str(tmp_path / "x"), "new")
    assert text_of(str(tmp_path / "x")) == "new"
    assert os.listdir(tmp_path) == ["x"]

    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(text_of(pipe)))
    reader.start()
    replace_file(pipe, "through it")
    reader.join(10)
    assert got == ["through it"]
    assert os.path.exists(pipe) and not os.path.isfile(pipe)
