# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What users get: the Galaxy archive in an empty folder, run by an ansible-core that has nothing else beside it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.nodes import Cluster, NodeSpec, ansible

CHECKOUT = ansible.CHECKOUT
COLLECTION = "everynode.daemonset"
PLAYBOOKS = sorted(path.stem for path in (CHECKOUT / "playbooks").glob("*.yml"))
FOR_USERS = {
    "CHANGELOG.md",
    "COPYING",
    "FILES.json",
    "MANIFEST.json",
    "README.md",
    "changelogs",
    "docs",
    "examples",
    "inventories",
    "meta",
    "playbooks",
    "plugins",
    "roles",
}

MANIFEST = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: heartbeat}
spec:
  selector: {matchLabels: {app: heartbeat}}
  template:
    metadata: {labels: {app: heartbeat}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: heartbeat, image: "host:///usr/bin/sleep", args: [infinity]}]
"""


@dataclass(frozen=True)
class Control:
    """A control node of its own: an ansible-core and the installed archive, both away from the checkout."""

    bin: Path
    collections: Path
    folder: Path

    def run(
        self, program: str, *arguments: str | Path, inventory: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        env = ansible.environment(self.collections, PATH=f"{self.bin}{os.pathsep}{os.environ['PATH']}")
        return ansible.run(str(self.bin / program), *arguments, inventory=inventory, env=env, cwd=self.folder)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    built = ansible.run("ansible-galaxy", "collection", "build", "--output-path", folder, cwd=CHECKOUT)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("everynode-daemonset-*.tar.gz")
    return path


@pytest.fixture(scope="module")
def control(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Control:
    folder = tmp_path_factory.mktemp("control")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    control = Control(folder / "venv" / "bin", folder / "collections", folder)
    wanted = f"ansible-core=={importlib.metadata.version('ansible-core')}"
    pip = [control.bin / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", wanted]
    subprocess.run(pip, check=True, stdout=subprocess.DEVNULL)
    where = ["--offline", "--collections-path", control.collections]
    installed = control.run("ansible-galaxy", "collection", "install", archive, *where)
    assert installed.returncode == 0, installed.stderr
    return control


@pytest.fixture(scope="module")
def inventory() -> Iterator[Path]:
    # Beside it another ansible-core may be at work on the same.
    version = importlib.metadata.version("ansible-core").replace(".", "-")
    with Cluster(f"archive-{version}") as cluster:
        yield cluster.write_inventory(cluster.up([NodeSpec("node1")]))


def test_it_holds_what_users_need_and_nothing_else(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    top = {name.split("/")[0] for name in names}
    assert top <= FOR_USERS
    assert {"COPYING", "README.md", "meta", "playbooks", "plugins", "roles"} <= top
    assert {f"plugins/plugin_utils/page/page.{kind}" for kind in ("css", "html.j2", "js")} <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.endswith("addresses.yml")]


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_its_playbooks_are_found_by_name(control: Control, playbook: str) -> None:
    done = control.run("ansible-playbook", "--syntax-check", f"{COLLECTION}.{playbook}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["module", "filter", "test", "role", "callback"])
def test_its_plugins_are_documented(control: Control, kind: str) -> None:
    listed = control.run("ansible-doc", "--type", kind, "--list", "--json", COLLECTION)
    assert listed.returncode == 0, listed.stderr
    names = [name for name in json.loads(listed.stdout) if name.startswith(COLLECTION)]
    assert names
    shown = control.run("ansible-doc", "--type", kind, *names)
    assert shown.returncode == 0, shown.stderr


def test_a_manifest_is_applied_from_it(control: Control, inventory: Path) -> None:
    (control.folder / "heartbeat.yaml").write_text(MANIFEST, encoding="utf-8")
    apply = ["ansible-playbook", f"{COLLECTION}.apply", "-e", "daemonset_manifests=heartbeat.yaml"]

    first = control.run(*apply, inventory=inventory)
    assert first.returncode == 0, first.stdout + first.stderr
    second = control.run(*apply, inventory=inventory)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "changed=0" in second.stdout
