# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class NodesError(Exception):
    """What is missing or went wrong, in one plain line (and, where it helps, the output of what failed)."""
