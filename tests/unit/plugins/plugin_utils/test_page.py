# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest
from ansible_collections.everynode.daemonset.plugins.module_utils.observation import Failure, Past
from ansible_collections.everynode.daemonset.plugins.plugin_utils.history import instances
from ansible_collections.everynode.daemonset.plugins.plugin_utils.judgement import STATES
from ansible_collections.everynode.daemonset.plugins.plugin_utils.page import LOG_BYTES, LOOKS, page

from .fleet import HEALTHY_OLD, NOW, RUNS, STAYS_AWAY, UNREACHABLE, instance, planned, seen

KEY = "default/agent"


def made(looks, details=None, **values):
    return page(planned(looks, **values), {KEY: instances(looks, "default", "agent")}, details or {}, NOW)


def data_of(text):
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


def title(text):
    return re.search("<title>(.*?)</title>", text)[1]


def test_every_state_has_a_look_of_its_own():
    assert set(LOOKS) == set(STATES)
    signs = [sign for state, (mood, sign) in LOOKS.items() if mood != "none"]
    assert len(set(signs)) == len(signs)


@pytest.mark.parametrize(
    ("looks", "headline"),
    [
        ({"web1": seen(instance()), "web2": seen(instance())}, "2 nodes, all as declared"),
        ({"web1": seen(instance()), "web2": UNREACHABLE}, "1 of 2 nodes needs attention"),
        ({"web1": seen(), "web2": UNREACHABLE}, "2 of 2 nodes need attention"),
    ],
)
def test_the_title_says_how_things_are(looks, headline):
    assert title(made(looks)) == headline


def test_it_needs_nothing_beside_it():
    text = made({"web1": seen(instance())})
    assert not re.search(r"\b(src|href)=|@import|url\(", text)
    policy = re.search('Content-Security-Policy" content="(.*?)"', text)[1]
    assert "default-src 'none'" in policy
    for element in ("script", "style"):
        (content,) = re.findall(f"<{element}>(.*?)</{element}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy.replace("&#39;", "'").replace("&#43;", "+")


def test_nothing_of_the_fleet_becomes_markup():
    hostile = "</script><script>alert(1)</script><!--"
    failed = instance(**HEALTHY_OLD, failed=(Failure("new", NOW, hostile),), ready=False, reason=hostile)
    detail = {"log": [{"at": "2027-01-15T08:00:00Z", "container": hostile, "line": hostile}]}
    text = made({hostile: seen(failed)}, {hostile: {KEY: detail}})
    assert text.count("<script") == 2
    assert "<!--" not in text.replace("<!doctype", "")
    assert hostile in json.dumps(data_of(text))


def test_a_node_in_short():
    data = data_of(
        made(
            {"web1": seen(instance(restarts=2, revision="new")), "web2": seen()},
            wanted={"web1": RUNS, "web2": STAYS_AWAY},
        )
    )
    words = data["words"]
    (agent,) = data["sets"]
    assert data["nodes"] == ["web1", "web2"]
    state, reason, revision, wanted, flags, restarts, runtime, number, created = agent["entries"][0]
    assert [words[one] for one in (state, reason, revision, wanted, runtime)] == [
        "up to date",
        "",
        "new",
        "new",
        "systemd",
    ]
    assert (flags, restarts, number, created) == (0b101111, 2, 1, int(NOW - 1000))
    assert words[agent["entries"][1][0]] == "not eligible"


def test_rollouts_are_put_together_from_the_nodes():
    first, second = Past("old", 1, NOW - 500, "begin"), Past("new", 2, NOW - 100, "more memory")
    looks = {
        "web1": seen(instance(history=(first, second))),
        "web2": seen(instance(revision="old", history=(first,), failed=(Failure("new", NOW - 50, "it crashed"),))),
    }
    data = data_of(made(looks))
    newest, oldest = data["sets"][0]["history"]
    assert (newest["number"], newest["cause"]) == (2, "more memory")
    assert (newest["at"], newest["failed"]) == ([[0, NOW - 100]], [[1, NOW - 50]])
    assert (oldest["number"], oldest["at"]) == (1, [[0, NOW - 500], [1, NOW - 500]])


def test_where_there_is_no_room_for_all_logs_those_of_troubled_nodes_are_kept():
    looks = {f"web{number}": seen(instance()) for number in range(9)} | {"web9": seen(instance(ready=False))}
    line = {"at": "2027-01-15T08:00:00Z", "container": "main", "line": "x" * (LOG_BYTES // 4)}
    text = made(looks, {node: {KEY: {"log": [line]}} for node in looks})
    kept = data_of(text)["sets"][0]["details"]
    assert "9" in kept
    assert 1 < len(kept) < 5
    assert len(text) < LOG_BYTES + 100_000


def test_a_rollout_that_this_run_halts_says_so():
    looks = {"web1": seen(instance())}
    assert ">halted<" in page(planned(looks), {}, {}, NOW, halted=[KEY])
    assert ">halted<" not in made(looks)
