# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept on the node about one instance: record.json, one line of JSON, written atomically.

It says what was put in place and what has to be given back, never what runs: that is judged from the node itself.

``units``         [{"unit", "container", "enabled", "active", "readiness"}], all that the current revision put in place
``runtime``       systemd, docker or podman
``containers``    [{"name", "container", "readiness"}], those that the engine keeps running of the current revision
``images``        what the revisions here take of an engine's images, see images.py
``fetching``      {engine: {reference: id or null}}: what was there before, while the images of a revision are fetched
``revision``      the revision that was put in place last, by its folder's name: its hash, and an engine if there is one
``created``       when the first instance was made here, seconds since the epoch
``history``       [{"revision", "at", "number", "cause"}], oldest first, each revision at its latest switch; the number
                  is Kubernetes' and the same on all nodes, the cause is the annotation kubernetes.io/change-cause
``good``          the revision that was ready last: the last good one, unless a file says otherwise, confirmation.py
``failed``        [{"revision", "at", "reason"}], hashes of revisions that are not tried again here by themselves
``unheard``       the revision that was put back because nobody confirmed it; the second time it counts as failed
``paused``        who paused the rollout, and when; "" if nobody did
``passed``        {"revision", "steps"}, after how many steps of its rollout that revision need not pause any more
``restart``       when a rolling restart was asked for that this instance has yet to go through
``replaced``      {unit: {"active", "enabled", "masked"}}, the state of foreign units before ours took their place
``mount_points``  folders and files made to mount something on, removed with the instance if they are still empty
"""

from __future__ import annotations

import json
import os
from typing import Any

from . import files

DEFAULTS: dict[str, Any] = {
    "runtime": "systemd",
    "revision": None,
    "created": None,
    "units": [],
    "containers": [],
    "images": [],
    "fetching": {},
    "history": [],
    "good": None,
    "failed": [],
    "unheard": None,
    "paused": "",
    "passed": None,
    "restart": None,
    "replaced": {},
    "mount_points": [],
}


def load(directory: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(json.dumps(DEFAULTS))
    try:
        stored = json.loads(files.read(os.path.join(directory, "record.json")) or b"{}")
    except (ValueError, RecursionError):
        stored = {}  # only somebody's hand makes it unreadable; what runs is found by the marks on the units
    record.update(stored if isinstance(stored, dict) else {})
    return record


def save(directory: str, record: dict[str, Any]) -> None:
    content = json.dumps(record, sort_keys=True).encode() + b"\n"
    if content != files.read(os.path.join(directory, "record.json")):
        files.write(os.path.join(directory, "record.json"), files.File(content, 0o644))
