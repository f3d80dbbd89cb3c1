# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the observation's text means. The samples in data/ were printed by a real node."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.everynode.daemonset.plugins.module_utils import observation
from ansible_collections.everynode.daemonset.plugins.module_utils.observation import Facts, Instance, Observation
from hypothesis import given
from hypothesis import strategies as st

DATA = Path(__file__).parent / "data"


def sample(name: str) -> str:
    return (DATA / f"{name}.txt").read_text(encoding="utf-8")


def instance(text: str, key: str = "ops/heartbeat") -> Instance:
    found = observation.parse(text).instance(*key.split("/"))
    assert found is not None
    return found


READY = sample("ready_and_failing")
DAMAGED = sample("damaged")


# ----------------------------------------------------------------------------------------------------- a real node's


def test_the_node_itself() -> None:
    assert observation.parse(sample("node_without_anything")) == Observation(
        facts=Facts(
            arch="x86_64",
            os_id="debian",
            os_version="13",
            boot_id="44df1c25-095e-4b64-97b7-c90aca0461e9",
            hostname="node1",
            host_ip="172.17.0.12",
            cpus=2,
            memory=24684096 * 1024,
            systemd=257,
            package_manager="apt",
            engines=(),
            now=1795254330.561510361,
        ),
        instances=(),
    )


def test_an_instance_that_is_as_it_should_be() -> None:
    found = instance(READY)
    assert (found.revision, found.runtime) == ("766ba4b27b12", "systemd")
    assert (found.intact, found.damage) == (True, ())
    assert (found.running, found.ready, found.reason, found.restarts) == (True, True, "", 0)
    assert found.ready_since is not None
    assert found.created is not None
    assert found.created < found.ready_since < observation.parse(READY).facts.now


def test_restarts_by_liveness_count_too() -> None:
    told = READY.replace('{"invocation": "f7f64173', '{"restarts": 2, "invocation": "f7f64173')
    assert told != READY
    assert instance(told).restarts == 2


def test_an_instance_that_fails_again_and_again_is_whole_but_not_ready() -> None:
    found = instance(READY, "default/failing")
    assert found.intact
    assert found.running
    assert (found.ready, found.ready_since, found.restarts) == (False, None, 3)
    assert found.reason == "everynode.default.failing.service is waiting to be restarted, restarted 3 times"


@pytest.mark.parametrize(
    "damage",
    [
        "files were added or removed, or their owner or mode changed",
        "keeper.py is missing",
        "volumes/config/heartbeat.conf was changed",
        "/etc/systemd/system/everynode.ops.heartbeat.target was changed",
        "everynode.ops.heartbeat._probes.timer is masked",
        "everynode.ops.heartbeat.main.service is disabled, so it would not start at boot",
        "everynode.ops.heartbeat.main.service has drop-in files: "
        "/etc/systemd/system/everynode.ops.heartbeat.main.service.d/x.conf",
        "everynode.ops.heartbeat.second.service is stopped",
        "everynode.ops.copy.service does not belong to the current revision",
    ],
)
def test_every_damage_is_said_in_words(damage: str) -> None:
    found = instance(DAMAGED)
    assert not found.intact
    assert damage in found.damage


def test_a_stopped_container_keeps_the_instance_from_being_ready() -> None:
    found = instance(DAMAGED)
    assert (found.running, found.ready, found.ready_since) == (True, False, None)
    assert "everynode.ops.heartbeat.second.service is stopped" in found.reason


def test_a_lost_record_leaves_an_instance_of_no_revision() -> None:
    found = instance(DAMAGED, "default/failing")
    assert found.revision is None
    assert found.damage == (
        "its record is missing or not whole",
        "everynode.default.failing.service does not belong to the current revision",
    )


# ------------------------------------------------------------------------------------------- changes to a real node's


def test_a_units_mark_alone_is_an_instance() -> None:
    lines = [line for line in READY.split("\n") if not line.startswith(("=== instance", "current=", "record="))]
    found = instance("\n".join(lines))
    assert found.revision is None
    assert found.running


@pytest.mark.parametrize("instance_too", [True, False])
def test_what_stood_in_for_an_instance_and_was_left_is_damage_of_that(instance_too: bool) -> None:
    left = READY.replace(
        "=== instance ops/heartbeat", "=== instance ops/heartbeat_surge\ncurrent=\n=== instance ops/heartbeat"
    )
    if not instance_too:
        left = READY.replace("ops/heartbeat", "ops/heartbeat_surge").replace("ops.heartbeat", "ops.heartbeat_surge")
    found = instance(left)
    assert found.damage[-1:] == ("what stood in for it during an update was left behind",)
    assert not found.intact
    assert found.ready is instance_too
    assert [one.name for one in observation.parse(left).instances].count("heartbeat_surge") == 0


def test_a_login_banner_and_carriage_returns_do_no_harm() -> None:
    assert observation.parse("Welcome!\r\n" + READY.replace("\n", "\r\n")) == observation.parse(READY)


def test_a_probe_of_an_earlier_process_says_nothing() -> None:
    found = instance(READY.replace('"invocation": "', '"invocation": "0'))
    assert not found.ready
    assert found.reason.endswith("its readiness probe has not succeeded yet")


def test_a_failing_probe_is_the_reason() -> None:
    text = READY.replace('"ready": true', '"ready": false').replace('"message": ""', '"message": "HTTP 500 on /"')
    assert instance(text).reason == "everynode.ops.heartbeat.main.service is not ready: HTTP 500 on /"


@pytest.mark.parametrize(
    ("looked", "valid", "ready"), [(4840.2, 30, True), (4829.2, 30, False), (4829.2, 75, True), (4870.0, 30, True)]
)
def test_probes_that_are_run_no_longer_say_nothing(looked: float, valid: int, ready: bool) -> None:
    found = instance(READY.replace('"looked": 4858.352, "valid": 33.0', f'"looked": {looked}, "valid": {valid}'))
    assert found.ready is ready
    assert ready or found.reason.endswith("is not ready: its probes were last run 31 s ago: does their timer run?")


def test_a_missing_program_is_damage() -> None:
    text = READY.replace("\ncurrent=", "\ndamage=the program /usr/bin/x is missing\ncurrent=")
    assert instance(text).damage == ("the program /usr/bin/x is missing",)


def test_a_revision_half_in_place() -> None:
    text = READY.replace("current=revisions/766ba4b27b12", "current=revisions/0123456789ab")
    assert instance(text).damage == ("no revision was fully put in place",)


def test_a_unit_that_was_removed() -> None:
    text = READY.replace("Id=everynode.ops.heartbeat.main.service\nLoadState=loaded", "Id=x\nLoadState=loaded")
    found = instance(text)
    assert "everynode.ops.heartbeat.main.service is missing" in found.damage
    assert not found.ready


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ActiveState": "inactive"}, "is stopped"),
        ({}, "is not loaded"),
        ({"ActiveState": "activating", "SubState": "start-post"}, "is starting (start-post)"),
        (
            {"ActiveState": "activating", "SubState": "auto-restart", "NRestarts": "2"},
            "is waiting to be restarted, restarted 2 times",
        ),
        (
            {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "7"},
            "has failed, last result: exit-code, exit status 7",
        ),
    ],
)
def test_words_for_a_units_state(values: dict[str, str], words: str) -> None:
    assert observation.words(values) == words


# ------------------------------------------------------------------------------------------------------ what is no text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "printed nothing"),
        ("This account is locked.\n", "printed nothing"),
        ("everynode-observation needs root\n", "become"),
        ("everynode-observation needs systemd\n", "systemd"),
        ("everynode-observation 1\nhostname=node1\n", "ended early"),
        (READY[: READY.index("=== end")], "ended early"),
        ("everynode-observation 1\nuptime=1\n=== end\n", "now"),
        ("everynode-observation 1\nuptime=nan\nnow=1\n=== end\n", "uptime"),
    ],
)
def test_what_is_no_whole_observation_is_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        observation.parse(text)


@pytest.mark.parametrize(
    "record",
    [
        "",
        "[]",
        "null",
        '{"units": 1}',
        '{"units": [1], "revision": "766ba4b27b12", "runtime": "systemd"}',
        '{"units": [{"unit": []}], "revision": "766ba4b27b12", "runtime": "systemd"}',
        '{"units": [], "revision": 7, "runtime": "systemd"}',
        "[" * 100000,
    ],
)
def test_a_broken_record_is_damage(record: str) -> None:
    lines = [f"record={record}" if line.startswith("record=") else line for line in READY.split("\n")]
    assert instance("\n".join(lines)).damage[0] == "its record is missing or not whole"


@pytest.mark.parametrize("created", ["true", '"yesterday"', "NaN", "1e999", "[]"])
def test_a_time_that_is_none_is_unknown(created: str) -> None:
    text = re.sub('"created": [0-9.]+', f'"created": {created}', READY)
    found = instance(text)
    assert found.intact
    assert found.created is None


@st.composite
def broken_samples(draw: st.DrawFn) -> str:
    """A real observation with some lines lost, doubled, cut or replaced."""
    lines = draw(st.sampled_from([READY, DAMAGED])).split("\n")
    for _change in range(draw(st.integers(1, 4))):
        index = draw(st.integers(0, len(lines) - 2))
        line = lines[index]
        cut = draw(st.integers(0, len(line)))
        ways = ([], [line, line], [line[:cut]], [line[:cut] + draw(st.text(max_size=5)) + line[cut + 1 :]])
        lines[index : index + 1] = draw(st.sampled_from(ways))
    return "\n".join(lines)


PIECES = st.sampled_from(
    [
        "everynode-observation 1",
        "=== units",
        "=== marks",
        "=== instance a/b",
        "=== state a",
        "=== end",
        "uptime=1",
        "now=2",
    ]
    + ["record={}", 'record={"units":[{}]}', "Id=x", "NRestarts=x", "cpus=²", "route=src", "systemd=systemd", ""]
)


@given(st.one_of(st.text(), st.lists(st.one_of(PIECES, st.text()), max_size=15).map("\n".join), broken_samples()))
def test_no_text_is_worse_than_a_value_error(text: str) -> None:
    try:
        found = observation.parse(text)
    except ValueError as error:
        assert str(error)
    else:
        assert Observation.from_dict(json.loads(json.dumps(found.as_dict(), allow_nan=False))) == found


# ----------------------------------------------------------------------------------------------------------- the script


@pytest.mark.parametrize("shell", [["sh"], ["bash", "--posix"]])
def test_the_script_is_posix_shell(shell: list[str]) -> None:
    subprocess.run([*shell, "-n", "-c", observation.SCRIPT], check=True)


def test_the_listing_shows_every_change_but_contents(tmp_path: Path) -> None:
    def listing() -> str:
        script = "LC_ALL=C; export LC_ALL\n" + observation.LISTING + "\neverynode_listing"
        return subprocess.run(["sh", "-c", script], cwd=revision, check=True, capture_output=True, text=True).stdout

    revision, archive = tmp_path / "revisions" / "one", tmp_path / "archives" / "abc"
    revision.mkdir(parents=True)
    archive.mkdir(parents=True)
    (revision / "archives").write_text("abc\n")
    (archive / "program").write_text("1")
    subprocess.run(["sh", "-c", observation.ARCHIVE_FILES + " >.everynode"], cwd=archive, check=True)
    seen = [listing()]

    def changes(is_change: bool = True) -> None:
        seen.append(listing())
        assert (seen[-1] != seen[-2]) is is_change

    (revision / "fingerprints").write_text("x")
    changes(False)
    (revision / "archives").write_text("abc\n#")
    changes(False)
    (revision / "new").touch()
    changes()
    (revision / "new").chmod(0o600)
    changes()
    (revision / "new").unlink()
    (revision / "new").symlink_to("a")
    changes()
    (archive / "logs").mkdir()
    (archive / "logs" / "what the daemon wrote").touch()
    changes(False)
    (archive / "program").write_text("22")
    changes()
    (archive / ".everynode").unlink()
    changes()
    shutil.rmtree(archive)
    changes()
