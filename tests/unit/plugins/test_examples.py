# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples in the documentation of filters and tests run as they are, in a play of a user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
PLUGINS = [
    CHECKOUT / "plugins" / name
    for name in ("filter/eligibility.py", "filter/quantity.py", "filter/scaled.py", "test/matches.py")
]

MANIFEST = """\
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: fluentd}
spec:
  template:
    spec:
      nodeSelector: {disk: ssd}
"""

INVENTORY = """\
web:
  hosts:
    web1: {node_labels: {disk: ssd}}
    web2: {node_labels: {disk: hdd}, node_taints: [{key: dedicated, effect: NoSchedule}]}
    web3: {}
"""


def _examples(plugin: Path) -> list[dict[str, object]]:
    text = plugin.read_text(encoding="utf-8").partition('EXAMPLES = r"""')[2].partition('"""')[0]
    tasks: list[dict[str, object]] = yaml.safe_load(text)
    return tasks


@pytest.mark.parametrize("plugin", PLUGINS, ids=[plugin.stem for plugin in PLUGINS])
def test_examples_run(plugin: Path, tmp_path: Path) -> None:
    namespace = tmp_path / "ansible_collections" / "everynode"
    namespace.mkdir(parents=True)
    (namespace / "daemonset").symlink_to(CHECKOUT)
    (tmp_path / "fluentd.yaml").write_text(MANIFEST, encoding="utf-8")
    (tmp_path / "inventory.yml").write_text(INVENTORY, encoding="utf-8")
    play = {"hosts": "all", "gather_facts": False, "tasks": _examples(plugin)}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "inventory.yml", "play.yml"],
        cwd=tmp_path,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(tmp_path),
            "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"),
            "ANSIBLE_DEPRECATION_WARNINGS": "true",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("failed=0") == 3
    assert "WARNING" not in done.stderr, done.stderr
