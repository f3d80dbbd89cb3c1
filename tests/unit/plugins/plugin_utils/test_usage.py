# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.everynode.daemonset.plugins.plugin_utils.usage import usage_table

from .fleet import RUNS, STAYS_AWAY, UNREACHABLE, instance, planned, seen


def used(memory: int, cores: float | None, percent: int | None = None) -> dict[str, object]:
    return {"default/agent": {"usage": {"memoryBytes": memory, "cpuCores": cores, "memoryLimitPercent": percent}}}


LOOKS = {
    "web1": seen(instance()),
    "web2": seen(instance(restarts=7)),
    "web3": seen(instance()),
    "db1": seen(),
    "web4": UNREACHABLE,
}
PLAN = planned(LOOKS, {**dict.fromkeys(LOOKS, RUNS), "db1": STAYS_AWAY})
DETAILS = {"web1": used(5 << 20, 0.0101, 90), "web2": used(700 << 10, 1.5)}


def test_a_line_for_each_instance_and_one_for_all() -> None:
    assert usage_table(PLAN, DETAILS).splitlines() == [
        "NODE    NAME    CPU(cores)   MEMORY(bytes)   %LIMIT   RESTARTS",
        "web1    agent   11m          5Mi             90%      0",
        "web2    agent   1500m        700Ki                    7",
        "web3    agent   -            -                        0",
        "(all)   agent   1511m        5Mi             90%      7",
        "Nothing from web4, which is unreachable: connection refused",
    ]


def test_the_largest_first() -> None:
    def nodes(order: str) -> list[str]:
        return [line.split()[0] for line in usage_table(PLAN, DETAILS, order).splitlines()[1:4]]

    assert nodes("node") == ["web1", "web2", "web3"]
    assert nodes("cpu") == ["web2", "web1", "web3"]
    assert nodes("memory") == ["web1", "web2", "web3"]
    assert nodes("restarts") == ["web2", "web1", "web3"]


def test_nothing_to_show() -> None:
    assert usage_table(planned({"web1": seen()}), {}) == "There are no instances."
