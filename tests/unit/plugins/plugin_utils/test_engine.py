# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.everynode.daemonset.plugins.plugin_utils.engine import ENGINES, NoEngine, engine_of
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("wish", "there", "running", "engine"),
    [
        ("", ["docker"], "", "docker"),
        ("", ["podman"], "", "podman"),
        ("", ["podman"], "docker", "podman"),
        ("", ["podman", "docker"], "", "docker"),
        ("", ["docker", "podman"], "systemd", "docker"),
        ("", ["docker", "podman"], "podman", "podman"),
        ("", ["docker", "podman"], "docker", "docker"),
        ("podman", ["docker", "podman"], "docker", "podman"),
        ("docker", ["docker", "podman"], "podman", "docker"),
    ],
)
def test_the_engine_of_a_node(wish, there, running, engine):
    assert engine_of(wish, there, running) == engine


@pytest.mark.parametrize(
    ("wish", "there", "words"),
    [
        ("", [], "it has neither Docker nor Podman"),
        ("podman", [], "its daemonset_engine is podman, but it has no container engine"),
        ("podman", ["docker"], "its daemonset_engine is podman, but it has only Docker"),
    ],
)
def test_a_node_that_cannot_run_containers_as_it_should(wish, there, words):
    with pytest.raises(NoEngine, match=words):
        engine_of(wish, there, "")


CHOICES = st.tuples(st.sampled_from(["", *ENGINES]), st.sets(st.sampled_from(ENGINES)), st.sampled_from(["", *ENGINES]))


@given(CHOICES)
def test_once_chosen_it_stays(choice):
    """An instance is never moved by an apply of what is declared already."""
    wish, there, running = choice
    try:
        engine = engine_of(wish, sorted(there), running)
    except NoEngine:
        assert wish not in there or not there
    else:
        assert engine in there
        assert engine_of(wish, sorted(there), engine) == engine
