# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the text of the details means. The samples in data/ were printed by real nodes."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils import details
from ansible_collections.everynode.daemonset.plugins.plugin_utils.details import Question

DATA = Path(__file__).parent / "data"
KEYS = ("ops/heartbeat", "ops/tool")


def sample(name: str) -> dict[str, Any]:
    return details.parse((DATA / f"details_{name}.txt").read_text(encoding="utf-8"), KEYS)


def text(*lines: str) -> str:
    return "\n".join(["everynode-details 1", "page=4096", "tick=100", *lines, "=== end", ""])


def usage(*lines: str) -> dict[str, Any]:
    found = details.parse(text("=== usage ops/tool 10.0 tool", *lines), KEYS)["ops/tool"]["usage"]
    assert isinstance(found, dict)
    return found


def test_host_processes() -> None:
    found = sample("systemd")["ops/heartbeat"]
    assert [line["container"] for line in found["log"]] == ["prepare", "beat", "beat", "beat"]
    assert found["log"][0] == {"at": "2026-11-21T18:36:21.596192Z", "container": "prepare", "line": "preparing"}
    assert {line["line"] for line in found["log"][1:]} == {"beat on web1"}
    assert 0 < found["usage"]["memoryBytes"] < 64 << 20
    assert found["usage"]["memoryLimitBytes"] is None  # only one of the two has a limit
    assert found["usage"]["memoryLimitPercent"] == 1
    assert found["usage"]["cpuCores"] > 0
    assert found["usage"]["tasks"] >= 3
    assert sample("systemd")["ops/tool"] == {"events": [], "log": [], "usage": None}


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_containers_by_the_names_that_the_manifest_has(engine: str) -> None:
    found = sample(engine)["ops/tool"]
    assert {line["container"] for line in found["log"]} == {"tool", "other"}
    assert {line["line"].split()[0] for line in found["log"]} == {"out", "err", "other"}
    times = [line["at"] for line in found["log"]]
    assert times == sorted(times)
    assert all(re.fullmatch(r"2026-11-21T18:\d\d:\d\d\.\d{6}Z", at) for at in times)
    assert found["usage"]["memoryLimitPercent"] == 0
    assert found["usage"]["cpuSeconds"] > 0


def test_a_terminal_in_between_changes_nothing() -> None:
    printed = (DATA / "details_docker.txt").read_text(encoding="utf-8")
    assert details.parse("Welcome!\r\n" + printed.replace("\n", "\r\n"), KEYS) == sample("docker")


def test_a_line_may_be_bytes_or_several_lines_or_pretend_to_be_a_section() -> None:
    def entry(message: Any) -> str:
        return json.dumps({"__REALTIME_TIMESTAMP": "1000000", "MESSAGE": message})

    found = details.parse(
        text(
            "=== journal ops/tool a.service",
            entry([104, 105, 255]),
            entry("one\n=== two\n"),
            entry(None),
            '{"torn',
            "=== log ops/tool b",
            "1970-01-01T00:00:00.5Z === end",
            "Error: no such container",
        ),
        KEYS,
    )
    lines = [line["line"] for line in found["ops/tool"]["log"]]
    assert lines == ["=== end", "hi\ufffd", "one", "=== two", ""]


def test_what_an_engine_logs_for_its_containers_is_not_said_twice() -> None:
    line = json.dumps({"__REALTIME_TIMESTAMP": "1000000", "MESSAGE": "x", "CONTAINER_NAME": "everynode.ops.tool-tool"})
    assert details.parse(text("=== journal ops/tool a.service", line), KEYS)["ops/tool"]["log"] == []


def test_the_working_set_is_what_the_kernel_could_not_drop() -> None:
    one = usage(
        "memory.current:1000", "memory.max:2000", "memory.stat:inactive_file 400", "cpu.stat:usage_usec 2500000"
    )
    assert (one["memoryBytes"], one["memoryLimitBytes"], one["memoryLimitPercent"]) == (600, 2000, 30)
    assert (one["cpuSeconds"], one["cpuCores"]) == (2.5, None)
    unlimited = usage("memory.current:1000", "memory.max:max", "cpuacct.usage:1500000000")
    assert (unlimited["memoryLimitBytes"], unlimited["cpuSeconds"]) == (None, 1.5)


def test_processes_are_added_up_where_nothing_was_counted() -> None:
    stat = "7 (a) b) S 1 1 1 0 -1 0 0 0 0 0 100 50 25 25 20 0 3 0 1 9999 10 0"
    one = usage(f"process:{stat}", f"process:{stat}")
    assert one["memoryBytes"] == 2 * 10 * 4096
    assert one["cpuSeconds"] == 4
    assert one["tasks"] == 6


def test_cores_are_what_was_used_between_two_samples() -> None:
    def cores(before: int, after: int) -> Any:
        lines = ["=== usage ops/tool 10.0 tool", f"cpu.stat:usage_usec {before}"]
        lines += ["=== usage ops/tool 12.0 tool", f"cpu.stat:usage_usec {after}"]
        return details.parse(text(*lines), KEYS)["ops/tool"]["usage"]["cpuCores"]

    assert cores(1000000, 2000000) == 0.5
    assert cores(9000000, 1000000) == 0.5, "it was restarted in between"


def test_what_is_not_whole_is_refused() -> None:
    with pytest.raises(ValueError, match="ended early: .*sh: boom"):
        details.parse("everynode-details 1\nsh: boom", KEYS)
    with pytest.raises(ValueError, match="nothing was printed"):
        details.parse("", KEYS)


def test_any_shell_takes_the_script() -> None:
    script = Question(("ops/a", "ops/b"), 5, "-60", 2).script()
    assert script.startswith("keys='ops/a ops/b'\ntail=5\nsince=-60\nsamples=2\n")
    for shell in ("dash", "bash"):
        checked = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")
