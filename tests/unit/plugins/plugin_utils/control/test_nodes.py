# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.nodes import node_of, templated
from ansible_collections.everynode.daemonset.plugins.plugin_utils.scheduling import InventoryError


@pytest.mark.parametrize(
    ("variables", "engine"), [({}, ""), ({"daemonset_engine": ""}, ""), ({"daemonset_engine": "podman"}, "podman")]
)
def test_the_engine_that_the_inventory_names(variables, engine):
    assert node_of("web1", {"group_names": [], **variables}, None).engine == engine


@pytest.mark.parametrize("engine", ["Docker", "containerd", True, ["docker"]])
def test_an_engine_that_there_is_not_is_refused_with_all_that_is_wrong(engine):
    with pytest.raises(InventoryError) as caught:
        node_of("web1", {"group_names": [], "daemonset_engine": engine, "node_labels": 1}, None)
    labels, found = caught.value.errors
    assert "node_labels" in labels
    assert found == f"host web1: daemonset_engine is {engine!r}, expected docker or podman"


def test_the_variables_of_a_task_may_be_templates():
    variables = {
        "group_names": [],
        "engine": "podman",
        "daemonset_engine": trust_as_template("{{ engine }}"),
        "node_labels_site": {"disk": trust_as_template("{{ engine | upper }}")},
        "other": trust_as_template("{{ not_defined }}"),
    }
    templar = Templar(loader=DataLoader(), variables=variables)
    node = node_of("web1", templated(variables, templar), None)
    assert (node.engine, node.labels["disk"]) == ("podman", "PODMAN")
