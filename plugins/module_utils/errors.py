# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said to the operator."""

from __future__ import annotations


class InstanceError(Exception):
    """Something that the operator must know or mend, said in full sentences."""
