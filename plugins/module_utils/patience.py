# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long an instance may take, in seconds, by its definition: on the node and on the control node alike."""

from __future__ import annotations

from typing import Any, Mapping

DEFAULT_TIMEOUT = 60  # until it is ready, apart from what its probes and its end take


def seconds_to_replace(definition: Mapping[str, Any], timeout: float) -> float:
    """The longest that it may take until the new revision is ready, or is given up; the control node asks that too."""
    stopping, min_ready = definition["terminationGracePeriodSeconds"] or 0, definition["minReadySeconds"]
    return 2.0 * stopping + timeout + float(min_ready) + probe_seconds(definition)


def probe_seconds(definition: Mapping[str, Any]) -> float:
    """The longest that probes may rightly take before they can say «ready»."""

    def longest(probe: Mapping[str, Any]) -> float:
        period = float(probe.get("periodSeconds") or 10)
        return float(probe.get("initialDelaySeconds") or 0) + period * int(probe.get("failureThreshold") or 3)

    return sum(
        longest(container["probes"][kind])
        for container in definition["containers"]
        for kind in ("startup", "readiness")
        if kind in container["probes"]
    )
