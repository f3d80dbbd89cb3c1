#!/usr/bin/python
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance
short_description: Exactly one instance of a DaemonSet on this host
version_added: 0.1.0
description:
  - Enforces exactly one instance of one DaemonSet on this host, as a systemd service or, if its image is a container
    image, as containers under the host's Docker or Podman. It creates, updates, repairs and removes it.
  - A host with both engines keeps an instance where it runs, and starts new ones under Docker, unless its variable
    C(daemonset_engine) says V(docker) or V(podman).
  - A revision is written beside the old one and synced before anything is stopped; the old instance is stopped before
    the new one is started; the module waits on the host until the new one is ready (by its readiness probe, or else
    running steadily) and fails with the unit's state and its last log lines if it does not become so.
  - Written in a play, the manifest is read on the control node and this host's labels and taints decide, as Kubernetes'
    do, whether it should run the DaemonSet at all. A host on which everything is as declared costs one shell script and
    no Python.
options:
  name:
    description:
      - The DaemonSet's name. Needed where O(manifests) hold several, and with O(state=absent) without O(manifests).
    type: str
  namespace:
    description: The DaemonSet's namespace.
    type: str
    default: default
  state:
    description:
      - With V(present) the instance runs the declared revision, whole and ready; a host that is not eligible has none.
      - With V(staged) the declared revision is written beside what runs, which is not touched.
      - With V(absent) nothing of the instance is left, and units that it replaced are given back.
    type: str
    choices: [present, staged, absent]
    default: present
  order:
    description:
      - What M(everynode.daemonset.step) asks of the host, with everything resolved. Not meant to be written by hand.
    type: dict
  secrets:
    description: The contents of Secrets that belong to O(order), opaque.
    type: str
  timeout:
    description:
      - Seconds to wait for readiness. What the probes may rightly take and C(minReadySeconds) are added to it.
      - So many seconds may pass, too, while an image is pulled and nothing of it arrives.
    type: int
    default: 60
extends_documentation_fragment:
  - everynode.daemonset.manifests
attributes:
  check_mode:
    support: full
    description: Changes nothing and tells exactly what would be done.
  diff_mode:
    support: full
    description: Shows units, configuration and environment; what comes from a Secret is only said to differ.
  idempotent:
    support: full
    description: A second run changes nothing and starts nothing.
  platform:
    support: full
    description: Needs systemd, Python 3.8 or newer, root, and for container images Docker or Podman.
    platforms: posix
  action:
    support: full
    description: Reads manifests, labels and taints on the control node.
  async:
    support: none
    description: The control node's half has to stay.
author:
  - everynode contributors (@everynode)
"""

EXAMPLES = r"""
- name: Run node-exporter on every host that its nodeSelector matches
  everynode.daemonset.instance:
    manifests: node-exporter.yaml

- name: Run it from an inline manifest
  everynode.daemonset.instance:
    manifests:
      - apiVersion: apps/v1
        kind: DaemonSet
        metadata:
          name: heartbeat
        spec:
          selector:
            matchLabels: {app: heartbeat}
          template:
            metadata:
              labels: {app: heartbeat}
            spec:
              containers:
                - name: heartbeat
                  image: host:///usr/bin/sleep
                  args: [infinity]

- name: Remove it
  everynode.daemonset.instance:
    name: heartbeat
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, in order and in plain words.
  returned: always
  type: list
  elements: str
  sample:
    - write revision 1b2c3d4e5f60
    - put revision 1b2c3d4e5f60 in place
    - start everynode.default.node-exporter.service
staging:
  description: The first of RV(actions), those that O(state=staged) takes as well.
  returned: with O(order)
  type: list
  elements: str
  sample: [write revision 1b2c3d4e5f60]
daemonsets:
  description: What became of each DaemonSet of the manifests on this host.
  returned: when given manifests or a name
  type: list
  elements: dict
  contains:
    namespace:
      description: The DaemonSet's namespace.
      type: str
    name:
      description: The DaemonSet's name.
      type: str
    eligible:
      description: Whether this host should run it.
      type: bool
    found:
      description: What the host was like before.
      type: str
      sample: outdated
    step:
      description: What was to be done.
      type: str
      sample: replace
    reason:
      description: Why, in plain words.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.everynode.daemonset.plugins.module_utils.orders import carry_out
from ansible_collections.everynode.daemonset.plugins.module_utils.patience import DEFAULT_TIMEOUT


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "manifests": {"type": "list", "elements": "raw", "default": []},
            "name": {"type": "str"},
            "namespace": {"type": "str", "default": "default"},
            "state": {"type": "str", "choices": ["present", "staged", "absent"], "default": "present"},
            "order": {"type": "dict"},
            "secrets": {"type": "str", "no_log": True},
            "timeout": {"type": "int", "default": DEFAULT_TIMEOUT},
        },
        supports_check_mode=True,
    )
    if not module.params["name"] or not module.params["order"]:
        module.fail_json(
            msg="name and order are required on the host; in a play give `manifests`, and the control node makes them"
        )
    given = {name: module.params[name] for name in ("namespace", "name", "timeout", "order", "secrets")}
    result = carry_out({**given, "check_mode": module.check_mode, "diff": module._diff})
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
