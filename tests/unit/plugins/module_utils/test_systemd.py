# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the units of an instance say. That systemd takes them so is tested on real nodes."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.everynode.daemonset.plugins.module_utils import ports as held
from ansible_collections.everynode.daemonset.plugins.module_utils.files import File
from ansible_collections.everynode.daemonset.plugins.module_utils.observation import Facts
from ansible_collections.everynode.daemonset.plugins.module_utils.runtimes.runtime import Rendered
from ansible_collections.everynode.daemonset.plugins.module_utils.runtimes.systemd import Systemd
from ansible_collections.everynode.daemonset.plugins.plugin_utils.definition import define
from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.model import load_objects
from ansible_collections.everynode.daemonset.plugins.plugin_utils.scheduling import Node
from hypothesis import given
from hypothesis import strategies as st

FACTS = Facts("x86_64", "debian", "13", "1", "web1", "192.0.2.7", 4, 8 << 30, 257, "apt", ("docker",), 0.0)
BASE = "everynode.default.agent"
ROOT = "/var/lib/everynode/default/agent"


def rendered(pod: dict[str, Any], *others: dict[str, Any], annotations: dict[str, str] | None = None) -> Rendered:
    daemonset = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "annotations": annotations or {}},
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "template": {"metadata": {"labels": {"app": "agent"}}, "spec": pod},
        },
    }
    manifests = load_objects((f"inline[{index}]", item) for index, item in enumerate([daemonset, *others]))
    definition, secrets = define(manifests.daemonsets[0], manifests, Node("web1", {}, ()), FACTS)
    return Systemd(definition, json.loads(base64.b64decode(secrets))).render()


def pod_of(container: dict[str, Any], **pod: Any) -> dict[str, Any]:
    return {"containers": [{"name": "main", "image": "host:///usr/bin/agent", **container}], **pod}


class Unit:
    """The lines of one unit file."""

    def __init__(self, content: bytes) -> None:
        self.lines = content.decode().split("\n")

    def __getitem__(self, key: str) -> list[str]:
        """All values of a setting, in order."""
        return [value for name, _equals, value in (line.partition("=") for line in self.lines) if name == key]

    def one(self, key: str) -> str:
        values = self[key]
        assert len(values) == 1, (key, values)
        return values[0]

    def __contains__(self, line: str) -> bool:
        return line in self.lines


def unit(pod: dict[str, Any], *others: dict[str, Any], name: str = f"{BASE}.service") -> Unit:
    return Unit(units_of(rendered(pod, *others))[name].content)


def units_of(result: Rendered) -> dict[str, File]:
    """The unit files by their names."""
    assert all(path.startswith("/etc/systemd/system/") for path in result.unit_files())
    return {path.rpartition("/")[2]: file for path, file in result.unit_files().items()}


def main_unit(container: dict[str, Any], *others: dict[str, Any], **pod: Any) -> Unit:
    return unit(pod_of(container, **pod), *others)


def secret(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


# ------------------------------------------------------------------------------------------------------ one container


def test_a_daemon_starts_at_boot_restarts_for_ever_and_carries_the_mark() -> None:
    text = main_unit({})
    assert text.one("ExecStart") == '"/usr/bin/agent"'
    assert text.one("WantedBy") == "multi-user.target"
    assert text.one("Restart") == "always"
    assert text.one("StartLimitIntervalSec") == "0"
    assert text.one("X-Everynode-Instance") == "default/agent"
    assert text.one("WorkingDirectory") == "/"


def test_the_record_of_units_says_what_must_be_enabled_running_and_probed() -> None:
    units = rendered(pod_of({"readinessProbe": {"tcpSocket": {"port": 1}}})).units
    keys = ("unit", "container", "enabled", "active", "readiness")
    assert [tuple(entry[key] for key in keys) for entry in units] == [
        (f"{BASE}.service", "main", True, True, True),
        (f"{BASE}._probes.timer", None, True, True, False),
        (f"{BASE}._probes.service", None, False, False, False),
    ]


def test_back_off_comes_before_every_start() -> None:
    command = main_unit({}).one("ExecStartPre")
    assert command.startswith("-+")
    assert command.endswith(f'keeper/__main__.py" "back-off" "{BASE}.service"')


def test_grace() -> None:
    assert main_unit({}).one("TimeoutStopSec") == "30"
    assert main_unit({}, terminationGracePeriodSeconds=7).one("TimeoutStopSec") == "7"
    assert "KillSignal=SIGKILL" in main_unit({}, terminationGracePeriodSeconds=0)
    assert "KillSignal=SIGKILL" not in main_unit({})


def test_resources() -> None:
    resources = {"limits": {"cpu": "1500m", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "64Mi"}}
    text = main_unit({"resources": resources})
    assert text.one("CPUQuota") == "150%"
    assert text.one("CPUWeight") == "50"
    assert text.one("MemoryMax") == str(1 << 30)
    assert text.one("MemoryLow") == str(64 << 20)
    free = main_unit({})
    assert not any(free[key] for key in ("CPUQuota", "CPUWeight", "MemoryMax", "MemoryLow"))


def test_the_smallest_share_of_a_cpu_is_a_share() -> None:
    assert main_unit({"resources": {"limits": {"cpu": "1m"}}}).one("CPUQuota") == "1%"
    assert main_unit({"resources": {"requests": {"cpu": "1m"}}}).one("CPUWeight") == "1"


def test_an_identity() -> None:
    pod = {"fsGroup": 3, "supplementalGroups": [4]}
    text = main_unit({"securityContext": {"runAsUser": 1, "runAsGroup": 2}}, securityContext=pod)
    assert (text.one("User"), text.one("Group"), text.one("SupplementaryGroups")) == ("1", "2", "4 3")
    assert main_unit({"securityContext": {"runAsUser": 0}}).one("User") == "0"
    assert main_unit({})["User"] == []


@pytest.mark.parametrize(
    ("context", "lines"),
    [
        ({"readOnlyRootFilesystem": True}, ["ProtectSystem=strict"]),
        ({"allowPrivilegeEscalation": False}, ["NoNewPrivileges=yes"]),
        ({"seccompProfile": {"type": "RuntimeDefault"}}, ["SystemCallFilter=@system-service"]),
        ({"appArmorProfile": {"type": "Unconfined"}}, ["AppArmorProfile=unconfined"]),
        ({"appArmorProfile": {"type": "Localhost", "localhostProfile": "x"}}, ["AppArmorProfile=x"]),
        ({"seLinuxOptions": {"type": "agent_t"}}, ["SELinuxContext=-system_u:system_r:agent_t:s0"]),
        ({"capabilities": {"drop": ["ALL"]}}, ["CapabilityBoundingSet="]),
        ({"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}, ["CapabilityBoundingSet=CAP_NET_ADMIN"]),
        ({"capabilities": {"drop": ["NET_RAW", "cap_kill"]}}, ["CapabilityBoundingSet=~CAP_NET_RAW CAP_KILL"]),
        ({"capabilities": {"add": ["NET_RAW"]}, "runAsUser": 1}, ["AmbientCapabilities=CAP_NET_RAW"]),
    ],
)
def test_security(context: dict[str, Any], lines: list[str]) -> None:
    text = main_unit({"securityContext": context})
    assert all(line in text for line in lines)
    assert not any(line in main_unit({}) for line in lines)


def test_privileged_is_not_narrowed() -> None:
    context = {
        "privileged": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    text = main_unit({"securityContext": context})
    assert text["CapabilityBoundingSet"] == text["SystemCallFilter"] == []


def test_a_node_critical_daemon_is_the_last_to_be_killed() -> None:
    assert main_unit({}, priorityClassName="system-node-critical").one("OOMScoreAdjust") == "-997"


# ----------------------------------------------------------------------------------------------------- probes and hooks


def test_liveness_and_readiness_are_asked_by_one_timer_as_often_as_the_quickest_wants() -> None:
    container = {
        "livenessProbe": {"tcpSocket": {"port": 1}, "periodSeconds": 30},
        "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 5},
    }
    units = units_of(rendered(pod_of(container)))
    assert Unit(units[f"{BASE}._probes.timer"].content).one("OnUnitInactiveSec") == "5"
    assert Unit(units[f"{BASE}._probes.service"].content).one("ExecStart").endswith('keeper/__main__.py" "probe"')


def test_without_probes_nothing_ever_runs_beside_the_daemon() -> None:
    assert set(units_of(rendered(pod_of({})))) == {f"{BASE}.service"}


def test_a_startup_probe_holds_the_start_up_without_a_limit() -> None:
    text = main_unit({"startupProbe": {"tcpSocket": {"port": 1}}})
    assert text.one("ExecStartPost").endswith(f'"wait-started" "{BASE}.service"')
    assert text.one("TimeoutStartSec") == "infinity"


def test_hooks() -> None:
    command = {"exec": {"command": ["/bin/sh", "-c", 'echo "$HOME" 100%']}}
    text = main_unit({"lifecycle": {"postStart": command, "preStop": {"sleep": {"seconds": 3}}}})
    assert text.one("ExecStartPost") == '"/bin/sh" "-c" "echo \\"$$HOME\\" 100%%"'
    assert text.one("ExecStop").endswith(" /bin/sleep 3")
    web = main_unit({"lifecycle": {"preStop": {"httpGet": {"port": 80}}}})
    assert web.one("ExecStop").endswith(f'keeper/__main__.py" "preStop" "{BASE}.service"')


def test_the_keeper_travels_with_its_revision() -> None:
    probe = {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}}
    container = {"workingDir": "/srv", "livenessProbe": probe, "lifecycle": {"preStop": {"httpGet": {"port": 81}}}}
    files = rendered(pod_of(container)).files
    assert b"def run_probe(" in files["keeper/everynode/probes.py"].content
    entry = json.loads(files["keeper.json"].content)["units"][f"{BASE}.service"]
    assert entry["probes"]["liveness"]["httpGet"]["port"] == 80
    assert entry["preStop"]["httpGet"]["port"] == 81
    assert entry["workingDirectory"] == "/srv"


def test_an_exec_probe_has_the_containers_variables_in_a_file_for_root_only() -> None:
    env = [
        {"name": "A", "value": "1"},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "b"}}},
    ]
    container = {"env": env, "livenessProbe": {"exec": {"command": ["true"]}}, "args": ["$(B)"]}
    file = rendered(pod_of(container), secret("s", b="hush")).files["keeper.json"]
    assert json.loads(file.content)["units"][f"{BASE}.service"]["environment"] == {"A": "1", "B": "hush"}
    assert (file.mode, file.secret) == (0o600, True)


def test_what_is_ours_runs_without_the_containers_variables() -> None:
    volume = {"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
    probe = {"tcpSocket": {"port": 1}}
    container = {
        "env": [{"name": "LD_PRELOAD", "value": "/x.so"}],
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        "startupProbe": probe,
        "lifecycle": {"preStop": {"httpGet": {"port": 81}}},
    }
    text = main_unit(container, volumes=[volume])
    ours = text["ExecStartPre"] + text["ExecStartPost"] + text["ExecStop"]
    assert len(ours) == 4
    assert all(re.match(r"-?\+/usr/bin/env -i PATH=/usr/local/sbin:\S+ ", line) for line in ours)


# ------------------------------------------------------------------------------------------------- what the node has


def runtime(pod: dict[str, Any], *others: dict[str, Any]) -> Systemd:
    data = json.loads(rendered(pod, *others).files["definition.json"].content)
    return Systemd(data["definition"], data["secrets"])


def programs(pod: dict[str, Any], *others: dict[str, Any]) -> list[str]:
    return [path for path in rendered(pod, *others).files["programs"].content.decode().split("\n") if path]


def in_volume(volume: dict[str, Any], command: str, path: str = "/opt/v") -> dict[str, Any]:
    container = {"command": [command], "volumeMounts": [{"name": "v", "mountPath": path}]}
    return pod_of(container, volumes=[{"name": "v", **volume}])


def test_the_nodes_own_programs_are_written_down() -> None:
    assert programs(pod_of({"command": ["/bin/sh"]})) == ["/bin/sh"]
    assert programs(pod_of({"command": ["/no/such"]})) == ["/no/such"]
    assert programs(pod_of({"command": ["env"]})) == ["/usr/bin/env"]
    assert programs(in_volume(HOST_PATH, "/opt/v/agent")) == []
    assert programs(in_volume({}, "/opt/v/agent")) == []
    assert programs(in_volume(HOST_PATH, "/srv/v/agent", "/srv/v")) == ["/srv/v/agent"]


def test_a_bare_name_is_looked_up_where_systemd_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "agent").touch(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin")
    problems = runtime(pod_of({"command": ["agent"]})).problems(True)
    assert problems == [
        "container main: the program agent is not on this node: install it first, or use a package:// image"
    ]
    assert runtime(pod_of({"command": ["env"]})).problems(True) == []


def test_a_program_is_looked_up_in_its_volume(tmp_path: Path) -> None:
    script = {**CONFIG_MAP, "data": {"run.sh": "#!/bin/sh"}}
    volume = {"configMap": {"name": "c", "defaultMode": 0o755}}
    assert runtime(in_volume(volume, "/opt/v/run.sh"), script).problems(True) == []
    # The host has this one, the container does not see it.
    assert runtime(in_volume(volume, "/usr/bin/env", "/usr/bin"), script).problems(True) == [
        "container main: the program /usr/bin/env is not on this node: /usr/bin is the volume v of the pod, "
        "which does not hold it as a file that may be executed"
    ]
    assert runtime(in_volume({"configMap": {"name": "c"}}, "/opt/v/run.sh"), script).problems(True)
    (tmp_path / "agent").touch(0o755)
    host = {"hostPath": {"path": str(tmp_path)}}
    assert runtime(in_volume(host, "/opt/v/agent")).problems(True) == []
    assert runtime(in_volume(host, "/opt/v/other")).problems(True)
    assert runtime(in_volume({}, "/opt/v/agent")).problems(True) == []


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_a_port_that_somebody_holds(family: int, protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(family, socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        if protocol == "TCP":
            server.listen()
        port = server.getsockname()[1]
        ports = [{"containerPort": port, "protocol": protocol}]
        daemon = runtime(pod_of({"ports": ports}, hostNetwork=True))
        monkeypatch.setattr(held, "_unit_of", lambda _pid: "nginx.service")
        monkeypatch.setattr(held, "_command_of", lambda _pid: "nginx")
        holder = f"nginx (pid {os.getpid()}, nginx.service)"
        assert daemon.held_ports([], []) == [f"port {port}/{protocol} is held by {holder}"]
        assert daemon.held_ports(["nginx.service"], []) == []
        elsewhere = runtime(pod_of({"ports": ports}, hostNetwork=True))
        elsewhere.definition["ports"][0]["hostIP"] = "127.0.0.9"
        assert elsewhere.held_ports([], []) == []
        assert runtime(pod_of({"ports": ports})).held_ports([], []) == []
    assert daemon.held_ports([], []) == []


# --------------------------------------------------------------------------------------------------- several containers

POD = {
    "initContainers": [
        {"name": "prepare", "image": "host:///bin/prepare"},
        {"name": "proxy", "image": "host:///bin/proxy", "restartPolicy": "Always"},
    ],
    "containers": [{"name": name, "image": f"host:///bin/{name}"} for name in ("one", "two")],
}


def test_each_container_is_a_unit_and_a_target_holds_them_together() -> None:
    files = rendered(POD)
    names = [f"{BASE}.{name}.service" for name in ("prepare", "proxy", "one", "two")]
    assert [entry["unit"] for entry in files.units] == [*names, f"{BASE}.target"]
    assert Unit(units_of(files)[f"{BASE}.target"].content).one("Wants").split() == names
    assert all(f"PartOf={BASE}.target" in Unit(units_of(files)[name].content) for name in names)


def test_init_containers_come_one_after_another_and_before_all_others() -> None:
    units = {name: Unit(file.content) for name, file in units_of(rendered(POD)).items()}
    prepare, proxy = f"{BASE}.prepare.service", f"{BASE}.proxy.service"
    assert "Type=oneshot" in units[prepare]
    assert "RemainAfterExit=yes" in units[prepare]
    assert "Restart=always" in units[proxy]
    assert prepare in units[proxy]["After"]
    for name in ("one", "two"):
        text = units[f"{BASE}.{name}.service"]
        assert {prepare, proxy} <= set(text["After"])
        assert text["Requires"] == [prepare]
        assert proxy in text["Wants"]


# -------------------------------------------------------------------------------------------------------------- volumes


def mounted(volume: dict[str, Any], *others: dict[str, Any], security: Any = None, **mount: Any) -> Unit:
    container = {"volumeMounts": [{"name": "v", "mountPath": "/mnt/v", **mount}], "securityContext": security or {}}
    return main_unit(container, *others, volumes=[{"name": "v", **volume}])


HOST_PATH = {"hostPath": {"path": "/srv/v"}}
CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a.conf": "1"}}


def test_host_paths() -> None:
    assert mounted(HOST_PATH).one("BindPaths") == '"/srv/v":"/mnt/v":rbind'
    assert mounted(HOST_PATH, readOnly=True).one("BindReadOnlyPaths") == '"/srv/v":"/mnt/v":rbind'
    assert mounted(HOST_PATH, subPath="a/b").one("BindPaths") == '"/srv/v/a/b":"/mnt/v":rbind'
    assert "After=local-fs.target remote-fs.target" in mounted(HOST_PATH)


def test_the_hosts_own_place_needs_no_mount_unless_all_else_is_read_only() -> None:
    assert mounted(HOST_PATH, mountPath="/srv/v/")["BindPaths"] == []
    assert mounted(HOST_PATH, mountPath="/srv/v", readOnly=True)["BindReadOnlyPaths"]
    assert mounted(HOST_PATH, mountPath="/srv/v", security={"readOnlyRootFilesystem": True})["BindPaths"]


def test_paths_are_quoted() -> None:
    text = mounted({"hostPath": {"path": "/srv/a b:50%"}}, mountPath="/mnt/back\\slash")
    assert text.one("BindPaths") == '"/srv/a b:50%%":"/mnt/back\\\\slash":rbind'


def test_volumes_of_files_are_read_only_and_in_the_revision() -> None:
    source = mounted({"configMap": {"name": "c"}}, CONFIG_MAP).one("BindReadOnlyPaths")
    assert re.match(rf'"{ROOT}/current/volumes/v":"/mnt/v":rbind', source)
    one = mounted({"configMap": {"name": "c"}}, CONFIG_MAP, subPath="a.conf", mountPath="/etc/a.conf")
    assert re.search('/volumes/v/a.conf":"/etc/a.conf"', one.one("BindReadOnlyPaths"))


def test_an_empty_dir_is_a_folder_of_the_instance_or_in_memory() -> None:
    assert mounted({}).one("BindPaths").startswith(f'"{ROOT}/volumes/v":')
    memory = mounted({"emptyDir": {"medium": "Memory"}})
    assert memory.one("BindPaths").startswith(f'"-/run/everynode/{BASE}/v":')
    assert memory["ExecStartPre"][-1].endswith(f' sh "/run/everynode/{BASE}/v" "777" "0" ""')


def test_files_of_a_volume_have_their_modes_and_group() -> None:
    volume = {"name": "v", "configMap": {"name": "c", "defaultMode": 0o600}}
    files = rendered(pod_of({}, volumes=[volume], securityContext={"fsGroup": 7}), CONFIG_MAP).files
    file = files["volumes/v/a.conf"]
    assert (file.content, file.mode, file.group, file.secret) == (b"1", 0o640, 7, False)


# -------------------------------------------------------------------------------------------------------------- secrets


def test_secrets_are_in_no_unit_and_in_no_file_that_others_may_read() -> None:
    env = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}}]
    container = {
        "env": env,
        "args": ["--quiet", "--password=$(PASSWORD)"],
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    }
    result = rendered(
        pod_of(container, volumes=[{"name": "v", "secret": {"secretName": "s"}}]), secret("s", password="hush")
    )
    hush = (b"hush", base64.b64encode(b"hush"))
    holding = {name: file for name, file in result.files.items() if any(word in file.content for word in hush)}
    assert set(holding) == {"environment/main", "definition.json", "volumes/v/password"}
    for name, file in holding.items():
        assert file.secret, name
        assert not file.mode & 0o077, name
    assert result.directories["volumes"] == result.directories["environment"] == 0o700
    text = Unit(units_of(result)[f"{BASE}.service"].content)
    assert text.one("ExecStart") == '"/usr/bin/agent" "--quiet" "${EVERYNODE_ARGUMENT_2}"'
    assert b'EVERYNODE_ARGUMENT_2="--password=hush"\n' in result.files["environment/main"].content


def test_a_daemon_that_is_not_root_may_read_the_secret_it_mounts() -> None:
    container = {"securityContext": {"runAsUser": 1}, "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    result = rendered(pod_of(container, volumes=[{"name": "v", "secret": {"secretName": "s"}}]), secret("s", a="hush"))
    assert result.files["volumes/v/a"].mode == 0o644
    assert result.directories["volumes"] == 0o700  # which only root gets past from outside


# -------------------------------------------------------------------------------------------------------------- quoting

CONTROL = "".join(map(chr, [*range(1, 32), 127]))
WORDS = st.text(
    st.one_of(st.sampled_from("\"'\\$%{}; \n\t-@+!:#" + CONTROL), st.characters(exclude_categories=["Cs", "Cn", "Cc"]))
)
VALUES = st.text(st.one_of(st.sampled_from("\"'\\$%{}`; \n\t-#"), st.characters(exclude_categories=["Cs", "Cn", "Cc"])))


def read_command(line: str) -> list[str]:
    """An Exec line as systemd.service(5) says it is read, of what `Quoting` says: words all in double quotes."""
    words, rest = [], line
    while rest:
        match = re.match(r'"((?:[^"\\]|\\.)*)"(?: |$)', rest)
        assert match, rest
        word = re.sub(r"\\(x[0-9a-f]{2}|.)", lambda m: chr(int(m[1][1:], 16)) if len(m[1]) == 3 else m[1], match[1])
        assert not re.search(r"(?<!%)%(?:%%)*(?!%)", word), "a specifier"
        assert not re.search(r"(?<!\$)\$(?:\$\$)*(?!\$)", word), "a variable"
        words.append(word.replace("%%", "%").replace("$$", "$"))
        rest = rest[match.end() :]
    return words


@given(st.lists(WORDS, max_size=6))
def test_words_of_a_command_stay_as_they_are(words: list[str]) -> None:
    files = rendered(pod_of({"command": ["/bin/agent"], "args": [word.replace("$", "$$") for word in words]}))
    text = units_of(files)[f"{BASE}.service"].content.decode()
    assert not set(CONTROL.replace("\n", "")) & set(text)
    line = next(line for line in text.split("\n") if line.startswith("ExecStart="))
    assert read_command(line.partition("=")[2]) == ["/bin/agent", *words]


def read_environment(text: str) -> dict[str, str]:
    """An environment file as systemd.exec(5) says it is read: values in double quotes, four characters escaped."""
    found, rest = {}, text
    while rest:
        match = re.match(r'([A-Za-z_]\w*)="((?:[^"\\`$]|\\["\\`$])*)"\n', rest, re.DOTALL)
        assert match, rest
        found[match[1]] = re.sub(r'\\(["\\`$])', r"\1", match[2])
        rest = rest[match.end() :]
    return found


@given(st.dictionaries(st.from_regex("[A-Z_][A-Z0-9_]*", fullmatch=True), VALUES, max_size=5))
def test_variables_stay_as_they_are(variables: dict[str, str]) -> None:
    env = [{"name": name, "value": value.replace("$", "$$")} for name, value in variables.items()]
    content = rendered(pod_of({"env": env})).files["environment/main"].content.decode()
    assert read_environment(content) == variables


@given(WORDS)
def test_the_words_of_a_hook_are_quoted_alike(word: str) -> None:
    text = main_unit({"lifecycle": {"postStart": {"exec": {"command": ["/bin/x", word]}}}})
    assert read_command(text.one("ExecStartPost")) == ["/bin/x", word]


def test_the_same_definition_is_the_same_text() -> None:
    assert rendered(POD) == rendered(POD)
