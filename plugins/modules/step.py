#!/usr/bin/python
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What it does is in plugins/action/step.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: step
short_description: Take one planned step on this host
version_added: 0.1.0
description:
  - Takes one phase's steps of the plan that M(everynode.daemonset.plan) made in this run, for every DaemonSet of this
    host.
  - A step that fails is printed and recorded, and later batches of that DaemonSet do not start; the host fails only in
    M(everynode.daemonset.verdict), so that the report is always made.
options:
  phase:
    description:
      - V(remove) removes instances that may not stay.
      - V(stage) installs packages, unpacks archives, pulls images, and writes and validates the new revision beside
        the old one, with nothing restarted.
      - V(create) starts what is missing or broken.
      - V(switch) replaces or repairs what serves.
    type: str
    choices: [remove, stage, create, switch]
    required: true
  timeout:
    description:
      - Seconds to wait until an instance is ready. What the probes may rightly take and C(minReadySeconds) are added to
        it. So many seconds may a pull stand still, too. Without it the default of M(everynode.daemonset.instance)
        counts.
    type: int
  observe_timeout:
    description:
      - Seconds after which a host that does not answer, as one that is frozen, counts as unreachable; V(0) is no limit.
    type: int
    default: 60
  step_timeout:
    description:
      - Seconds after which a step whose end is not seen counts as a lost connection. Downloads and O(timeout) have to
        fit in.
    type: int
    default: 3600
extends_documentation_fragment:
  - everynode.daemonset.attributes.acts
  - everynode.daemonset.manifests
attributes:
  async:
    description: It is over in a moment, or has to stay with the run.
  check_mode:
    support: full
    description: Predicts what would be done.
  diff_mode:
    support: full
    description: Shows what changes on the node; secrets are left out.
  idempotent:
    support: full
    description: What is as declared by now is left alone.
  platform:
    description: Needs systemd and Python 3.8 or newer on the node, and for container images Docker or Podman.
author:
  - everynode contributors (@everynode)
seealso:
  - module: everynode.daemonset.plan
  - module: everynode.daemonset.instance
"""

EXAMPLES = r"""
- name: Stage the new revision, with nothing restarted
  everynode.daemonset.step:
    phase: stage
    manifests: node-exporter.yaml
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, in plain words.
  returned: always
  type: list
  elements: str
  sample: [install the package prometheus-node-exporter]
"""
