# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a DaemonSet wants to be rolled out, beyond Kubernetes' updateStrategy; from its annotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from .int_or_percent import scaled_value

# What becomes of a rollout when a node fails (everynode/on-failure).
REVERT: Final = "revert"  # that node goes back to its last good revision, the rollout halts
HALT: Final = "halt"  # the rollout halts, as in Kubernetes
ROLLBACK: Final = "rollback"  # all nodes of this rollout go back
CONTINUE: Final = "continue"  # that node goes back, the others go on, up to everynode/max-failures
ON_FAILURE: Final = (REVERT, HALT, ROLLBACK, CONTINUE)

# When the next node is switched (everynode/pace).
BATCH: Final = "batch"  # when all nodes of a batch are available
WINDOW: Final = "window"  # as soon as one is available, as in Kubernetes
PACES: Final = (BATCH, WINDOW)

ALL: Final = "100%"


@dataclass(frozen=True)
class Step:
    """A step of a rollout: it is completed when so many nodes, those of the steps before included, are updated."""

    nodes: int | str  # a number or "25%" of all eligible nodes
    bake: int = 0  # seconds that its instances must stay available before the next step
    pause: bool = False  # whether the next step waits for `resume`

    def target(self, eligible: int) -> int:
        return min(scaled_value(self.nodes, eligible), eligible)


@dataclass(frozen=True)
class Canary:
    """The step before all others: one node of each combination of values of these labels."""

    keys: tuple[str, ...]
    bake: int = 0  # seconds
    pause: bool = False


@dataclass(frozen=True)
class Policy:
    """Numbers may be percentages of all eligible nodes, which are rounded up."""

    on_failure: str = REVERT
    max_failures: int | str = ALL  # with CONTINUE, more failed nodes than this halt the rollout
    max_unreachable: int | str = ALL  # with more unreachable nodes than this, nothing is replaced
    steps: tuple[Step, ...] = ()  # ascending; the last one, of all nodes, may be left out
    canary: Canary | None = None
    topology: str = ""  # a label: nodes of two different values of it are never switched at the same time
    partition: int | str = 0  # so many eligible nodes, the first in inventory order, keep their revision
    pace: str = BATCH
    window: str = ""  # when instances may be replaced, see maintenance.py; "" is always
    paused: bool = False
    confirm_timeout: int = 60  # seconds that a switched node that is ready waits for its confirmation

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Policy:
        canary = data["canary"]
        return cls(
            **{
                **data,
                "steps": tuple(Step(**step) for step in data["steps"]),
                "canary": canary and Canary(**{**canary, "keys": tuple(canary["keys"])}),
            }
        )
