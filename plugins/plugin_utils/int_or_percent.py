# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers that may be percentages: maxUnavailable and maxSurge.

The rules are those of k8s.io/apimachinery (pkg/util/intstr) and of the DaemonSet controller (update.go,
updatedDesiredNodeCounts), which rounds both numbers up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_PERCENTAGE = re.compile(r"([+-]?[0-9]+)%")


class RollingNumbers(NamedTuple):
    """How many nodes may be unavailable, and how many may hold a second instance, during an update."""

    max_unavailable: int
    max_surge: int

    @property
    def budget(self) -> int:
        """How many nodes may be at work at once: whichever of the two is not 0."""
        return max(self)


def scaled_value(value: Any, total: int, round_up: bool = True) -> int:
    """Return a whole number as it is, and a percentage text ("25%") of the total; it is not capped.

    Raises ValueError for anything else, a number written as text ("25") and true/false included.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    percentage = _PERCENTAGE.fullmatch(value) if isinstance(value, str) else None
    if percentage is None:
        found = f'"{value}"' if isinstance(value, str) else repr(value)
        raise ValueError(f'{found} is neither a whole number (without quotes) nor a percentage such as "25%"')
    # Multiplied first and in integers: 0.07 * 100 exceeds 7 in floating point.
    hundredths = int(percentage[1]) * total
    return -(-hundredths // 100) if round_up else hundredths // 100


def rolling_numbers(rolling_update: Mapping[str, Any] | None, desired: int) -> RollingNumbers:
    """Return the numbers that ``updateStrategy.rollingUpdate`` means for so many desired nodes.

    Absent values default to 1 (maxUnavailable) and 0 (maxSurge). Should both come to 0, one node may be unavailable,
    for otherwise the update could never begin.
    """
    given = {key: value for key, value in (rolling_update or {}).items() if value is not None}
    max_unavailable = scaled_value(given.get("maxUnavailable", 1), desired)
    max_surge = scaled_value(given.get("maxSurge", 0), desired)
    if desired > 0 and max_unavailable == 0 and max_surge == 0:
        max_unavailable = 1
    return RollingNumbers(max_unavailable, max_surge)
