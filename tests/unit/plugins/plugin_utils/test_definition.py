# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a DaemonSet's manifest to the definition of its instance on one node, as a host process."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from ansible_collections.everynode.daemonset.plugins.module_utils.observation import Facts
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.plugin_utils.definitions import (
    FACTS,
    config_map,
    defined,
    files_of,
    main_of,
    pod_of,
    refused,
    secret,
)

# ------------------------------------------------------------------------------------------------- command, image, args


def test_the_programs_path_is_the_entrypoint_of_a_host_image() -> None:
    assert main_of({"args": ["--quiet"]})["argv"] == ["/usr/bin/agent", "--quiet"]


def test_command_replaces_the_entrypoint() -> None:
    assert main_of({"command": ["/bin/sh", "-c"], "args": ["true"]})["argv"] == ["/bin/sh", "-c", "true"]


def test_a_package_with_and_without_a_version() -> None:
    plain = main_of({"image": "package://collectd", "command": ["collectd"]})["source"]
    pinned = main_of({"image": "package://collectd=5.12-1", "command": ["collectd"]})["source"]
    assert plain == {"container": "main", "kind": "package", "package": "collectd", "version": None}
    assert pinned["version"] == "5.12-1"


def test_the_program_of_an_archive_is_looked_for_in_the_archive() -> None:
    image = "https://example.com/x.tar.gz#sha256=" + "AB" * 32
    container = main_of({"image": image, "command": ["./bin/x"]})
    assert container["source"]["url"] == "https://example.com/x.tar.gz"
    assert container["source"]["sha256"] == "ab" * 32  # as sha256sum and hashlib write it
    assert container["argv"] == ["/var/lib/everynode/default/agent/archives/" + "ab" * 32 + "/bin/x"]


@pytest.mark.parametrize(
    "program",
    [
        "",
        "bin/agent",
        "-agent",
        "@agent",
        "+agent",
        "!agent",
        ":agent",
        "/opt/a$b",
        '/opt/a"b',
        "/opt/a\\b",
        "/opt/a/",
        "a\0b",
    ],
)
def test_programs_that_systemd_could_not_start_are_refused(program: str) -> None:
    assert "containers[0].command[0]" in refused(pod_of({"command": [program]}))
    hook = {"postStart": {"exec": {"command": [program]}}}
    assert "containers[0].lifecycle.postStart.exec.command[0]" in refused(pod_of({"lifecycle": hook}))


@pytest.mark.parametrize("program", ["/opt/my agent/50%/é", "agent", "agent@1+x"])
def test_programs_that_systemd_starts(program: str) -> None:
    assert main_of({"command": [program]})["argv"] == [program]


@pytest.mark.parametrize("word", ["a\0b", "a\ufdd0", "a\uffff", "a\U0001fffe"])
def test_words_that_make_systemd_refuse_the_whole_unit(word: str) -> None:
    assert "containers[0].args[0]" in refused(pod_of({"args": [word]}))
    probe = {"exec": {"command": ["true", word]}}
    assert "containers[0].readinessProbe.exec.command[1]" in refused(pod_of({"readinessProbe": probe}))


def test_every_other_word_stays_as_it_is() -> None:
    words = ["", "a b", '"', "\\", "$HOME", "${HOME}", "%n", "line\nline", "\x1b", "é", ";", "-x", "\ufffd"]
    assert main_of({"args": words})["argv"][1:] == words


def test_references_to_variables_are_expanded_once() -> None:
    env = [{"name": "A", "value": "$(B)"}, {"name": "B", "value": "b"}, {"name": "C", "value": "$(B)$$(B)"}]
    container = main_of({"env": env, "args": ["$(A)", "$(C)", "$(D)", "$$(B)", "$B"]})
    assert container["environment"] == {"A": "$(B)", "B": "b", "C": "b$(B)"}
    assert container["argv"][1:] == ["$(B)", "b$(B)", "$(D)", "$(B)", "$B"]


# ---------------------------------------------------------------------------------------------------------- environment


def test_a_variable_that_systemd_would_drop_is_refused_where_it_comes_from() -> None:
    pod = pod_of({"envFrom": [{"configMapRef": {"name": "c"}}], "env": [{"name": "BELL", "value": "\a"}]})
    found = refused(pod, config_map("c", **{"log.level": "info"}))
    assert set(found) == {"containers[0].env[0]", "containers[0].envFrom"}


def test_the_value_of_a_secret_that_systemd_would_drop_is_refused_without_showing_it() -> None:
    env = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}}]
    found = refused(pod_of({"env": env}), secret("s", password="hush\x1bhush"))
    assert "hush" not in found["containers[0].env[0]"]
    assert "PASSWORD" in found["containers[0].env[0]"]


PASSWORD = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}}


def test_what_comes_from_a_secret_is_only_in_the_secrets() -> None:
    env = [PASSWORD, {"name": "URL", "value": "https://me:$(PASSWORD)@example.com"}, {"name": "PLAIN", "value": "x"}]
    definition, secrets = defined(
        pod_of({"env": env, "args": ["--url=$(URL)", "--plain=$(PLAIN)"]}), secret("s", password="hush")
    )
    container = definition["containers"][0]
    assert container["environment"] == {"PLAIN": "x"}
    assert container["secretEnvironment"] == ["PASSWORD", "URL"]
    assert container["argv"] == ["/usr/bin/agent", "", "--plain=x"]
    assert secrets["environment"]["main"] == {"PASSWORD": "hush", "URL": "https://me:hush@example.com"}
    assert secrets["arguments"]["main"] == {"1": "--url=https://me:hush@example.com"}


def test_a_secret_can_be_neither_program_nor_path() -> None:
    mount = {"name": "v", "mountPath": "/v", "subPathExpr": "$(PASSWORD)"}
    pod = pod_of({"env": [PASSWORD], "command": ["$(PASSWORD)"], "volumeMounts": [mount]}, volumes=[{"name": "v"}])
    found = refused(pod, secret("s", password="hush"))
    assert set(found) == {"containers[0].command[0]", "containers[0].volumeMounts[0].subPathExpr"}
    assert "hush" not in str(found)


@pytest.mark.parametrize("image", ["host:///usr/bin/agent", "example.com/agent:1"])
@given(value=st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), min_size=8))
def test_no_secret_is_ever_in_the_definition(image: str, value: str) -> None:
    """Each use of a Secret that a manifest can make, and no value that happens to be part of the rest."""
    env = [PASSWORD, {"name": "BOTH", "value": "a$(PASSWORD)b"}]
    volumes = [
        {"name": "v", "secret": {"secretName": "s"}},
        {
            "name": "p",
            "projected": {"sources": [{"secret": {"name": "s", "items": [{"key": "password", "path": "x"}]}}]},
        },
    ]
    container = {
        "image": image,
        "env": env,
        "envFrom": [{"secretRef": {"name": "s"}, "prefix": "S_"}],
        "args": ["$(PASSWORD)", "$(BOTH)"],
    }
    hidden = "\u2042" + value  # begins with what no name in a definition holds
    definition, secrets = defined(pod_of(container, volumes=volumes), secret("s", password=hidden))
    for text in (json.dumps(definition), json.dumps(definition, ensure_ascii=False)):
        assert hidden not in text
        assert json.dumps(hidden)[1:-1] not in text
        assert base64.b64encode(hidden.encode()).decode() not in text
    assert secrets["environment"]["main"] == {"PASSWORD": hidden, "BOTH": f"a{hidden}b", "S_password": hidden}
    assert secrets["files"] == {
        name: {key: base64.b64encode(hidden.encode()).decode()} for name, key in (("v", "password"), ("p", "x"))
    }


# --------------------------------------------------------------------------------------------------------- downward API


def field(path: str, facts: Facts = FACTS, **arguments: Any) -> str:
    env = [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}]
    definition, _secrets = defined(pod_of({"env": env}, serviceAccountName="robot"), facts=facts, **arguments)
    return str(definition["containers"][0]["environment"]["X"])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "agent-web1"),
        ("metadata.namespace", "default"),
        ("metadata.labels['app']", "agent"),
        ("metadata.labels['none']", ""),
        ("metadata.annotations['example.com/note']", "it's"),
        ("spec.nodeName", "web1"),
        ("spec.host", "web1"),
        ("spec.serviceAccountName", "robot"),
        ("status.hostIP", "192.0.2.7"),
        ("status.podIPs", "192.0.2.7"),
    ],
)
def test_fields(path: str, value: str) -> None:
    assert field(path, template_metadata={"annotations": {"example.com/note": "it's"}}) == value


def test_the_uid_is_the_nodes_own_and_stays() -> None:
    assert field("metadata.uid") == field("metadata.uid")
    assert field("metadata.uid") != field("metadata.uid", metadata={"name": "other"})


def test_an_unknown_address_is_not_passed_on_as_an_empty_one() -> None:
    env = [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}]
    found = refused(pod_of({"env": env}), facts=FACTS._replace(host_ip=""))
    assert "no default route" in found["containers[0].env"]


def resource(reference: dict[str, Any], resources: dict[str, Any]) -> str:
    env = [{"name": "X", "valueFrom": {"resourceFieldRef": reference}}]
    return str(main_of({"env": env, "resources": resources})["environment"]["X"])


@pytest.mark.parametrize(
    ("resources", "reference", "value"),
    [
        ({"limits": {"cpu": "1500m"}}, {"resource": "limits.cpu"}, "2"),
        ({"limits": {"cpu": "1500m"}}, {"resource": "limits.cpu", "divisor": "1m"}, "1500"),
        ({"limits": {"cpu": "1500m"}}, {"resource": "limits.cpu", "divisor": "0"}, "2"),
        ({"limits": {"memory": "129Mi"}}, {"resource": "limits.memory", "divisor": "1Gi"}, "1"),
        ({"limits": {"memory": "1M"}}, {"resource": "limits.memory"}, "1000000"),
        ({"limits": {"memory": "1M"}}, {"resource": "requests.memory"}, "1000000"),  # the request defaults to the limit
        ({"limits": {"memory": "2M"}, "requests": {"memory": "1M"}}, {"resource": "requests.memory"}, "1000000"),
        ({}, {"resource": "requests.cpu"}, "0"),
        ({}, {"resource": "limits.cpu"}, "4"),  # the node's
        ({"limits": {"cpu": "0"}}, {"resource": "limits.cpu"}, "4"),
        ({}, {"resource": "limits.memory", "divisor": "1Gi"}, "8"),
    ],
)
def test_resources_of_a_container(resources: dict[str, Any], reference: dict[str, Any], value: str) -> None:
    assert resource(reference, resources) == value


def test_resources_of_another_container_an_init_container_too() -> None:
    first = {"name": "first", "image": "host:///bin/true", "resources": {"limits": {"cpu": "3"}}}
    items = [{"path": "cpu", "resourceFieldRef": {"containerName": "first", "resource": "limits.cpu"}}]
    assert files_of({"downwardAPI": {"items": items}}, initContainers=[first]) == {"cpu": (b"3", 0o644)}


def test_a_nodes_unknown_disk_is_refused() -> None:
    env = [{"name": "X", "valueFrom": {"resourceFieldRef": {"resource": "limits.ephemeral-storage"}}}]
    assert "ephemeral-storage" in refused(pod_of({"env": env}))["containers[0].env"]


# -------------------------------------------------------------------------------------------------------------- volumes


def test_labels_and_annotations_as_a_file_are_quoted_as_go_quotes() -> None:
    items = [{"path": "notes", "fieldRef": {"fieldPath": "metadata.annotations"}}]
    notes = {"b": 'say "hi"\n', "a": "naïve\\\x01\u00a0\U0001f600"}
    definition, _secrets = defined(
        pod_of({}, volumes=[{"name": "v", "downwardAPI": {"items": items}}]), template_metadata={"annotations": notes}
    )
    content = base64.b64decode(definition["volumes"][0]["files"][0]["content"]).decode()
    assert content == 'a="naïve\\\\\\x01\\u00a0\U0001f600"\nb="say \\"hi\\"\\n"'


def test_each_key_of_a_config_map_is_a_file() -> None:
    assert files_of({"configMap": {"name": "c", "items": []}}, config_map("c", b="2", a="1")) == {
        "a": (b"1", 0o644),
        "b": (b"2", 0o644),
    }


def test_items_choose_rename_and_have_modes() -> None:
    items = [{"key": "a", "path": "./sub//x", "mode": 0}, {"key": "b", "path": "y"}]
    found = files_of({"configMap": {"name": "c", "items": items, "defaultMode": 0o400}}, config_map("c", a="1", b="2"))
    assert found == {"sub/x": (b"1", 0), "y": (b"2", 0o400)}


def test_what_is_optional_and_missing_is_no_file() -> None:
    items = [{"key": "a", "path": "a"}]
    assert files_of({"configMap": {"name": "none", "items": items, "optional": True}}) == {}


def test_fs_group_lets_owner_and_group_read() -> None:
    found = files_of(
        {"configMap": {"name": "c", "defaultMode": 0o200}}, config_map("c", a="1"), securityContext={"fsGroup": 7}
    )
    assert found == {"a": (b"1", 0o640)}


def test_later_sources_of_a_projected_volume_win() -> None:
    sources = [{"secret": {"name": "s"}}, {"configMap": {"name": "c"}}, {"secret": {"name": "t"}}]
    definition, secrets = defined(
        pod_of({}, volumes=[{"name": "v", "projected": {"sources": sources}}]),
        secret("s", a="secret", b="secret"),
        config_map("c", a="public", c="public"),
        secret("t", c="secret"),
    )
    files = {file["path"]: file["content"] for file in definition["volumes"][0]["files"]}
    assert files == {"a": base64.b64encode(b"public").decode(), "b": None, "c": None}
    assert set(secrets["files"]["v"]) == {"b", "c"}


def test_a_path_cannot_be_a_file_and_a_directory() -> None:
    items = [{"key": "a", "path": "x"}, {"key": "a", "path": "x/y"}]
    pod = pod_of({}, volumes=[{"name": "v", "configMap": {"name": "c", "items": items}}])
    assert "volumes[0].configMap" in refused(pod, config_map("c", a="1"))


def test_paths_are_in_their_shortest_form() -> None:
    container = {"volumeMounts": [{"name": "v", "mountPath": "//data/./x/"}, {"name": "v", "mountPath": "relative"}]}
    definition, _secrets = defined(pod_of(container, volumes=[{"name": "v", "hostPath": {"path": "//srv//x/"}}]))
    assert [mount["target"] for mount in definition["containers"][0]["mounts"]] == ["/data/x", "/relative"]
    assert definition["volumes"][0]["path"] == "/srv/x"


def test_empty_dirs() -> None:
    volumes = [
        {"name": "disk"},
        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
    ]
    definition, _secrets = defined(pod_of({}, volumes=volumes))
    assert definition["volumes"] == [
        {"name": "disk", "kind": "emptyDir", "medium": "", "sizeLimit": None, "fsGroup": None},
        {"name": "memory", "kind": "emptyDir", "medium": "Memory", "sizeLimit": 1 << 20, "fsGroup": None},
    ]


@pytest.mark.parametrize(
    "mount",
    [{"mountPath": "/"}, {"mountPath": "/a\nb"}, {"mountPath": "/a'b"}, {"mountPath": "/v", "subPath": 'a"b'}],
)
def test_mounts_that_cannot_be_made(mount: dict[str, Any]) -> None:
    pod = pod_of({"volumeMounts": [{"name": "v", **mount}]}, volumes=[{"name": "v"}])
    assert len(refused(pod)) == 1


def test_a_host_path_that_systemd_cannot_mount() -> None:
    assert list(refused(pod_of({}, volumes=[{"name": "v", "hostPath": {"path": '/a"b'}}]))) == [
        "volumes[0].hostPath.path"
    ]


def test_a_sub_path_must_be_among_a_volumes_files() -> None:
    volumes = [{"name": "v", "configMap": {"name": "c", "items": [{"key": "a", "path": "etc/a.conf"}]}}]

    def mounted(sub_path: str) -> dict[str, Any]:
        return pod_of({"volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": sub_path}]}, volumes=volumes)

    for present in ("etc", "etc/a.conf", "etc/"):
        assert defined(mounted(present), config_map("c", a="1"))
    message = refused(mounted("a.conf"), config_map("c", a="1"))["containers[0].volumeMounts[0].subPath"]
    assert "etc/a.conf" in message


def sub_path(expression: str, value: str) -> Any:
    container = {
        "env": [{"name": "X", "value": value}],
        "volumeMounts": [{"name": "v", "mountPath": "/v", "subPathExpr": expression}],
    }
    return pod_of(container, volumes=[{"name": "v"}])


@pytest.mark.parametrize(
    ("expression", "value", "expected"),
    [("$(X)/log", "web1", "web1/log"), ("$$(X)", "web1", "$(X)"), ("$(X)", "$(Y)", "$(Y)"), ("$X", "", "$X")],
)
def test_sub_path_expressions(expression: str, value: str, expected: str) -> None:
    definition, _secrets = defined(sub_path(expression, value))
    assert definition["containers"][0]["mounts"][0]["subPath"] == expected


@pytest.mark.parametrize(("expression", "value"), [("$(Y)", ""), ("$(X)", "/etc"), ("$(X)", "a/../../b")])
def test_sub_path_expressions_that_lead_elsewhere(expression: str, value: str) -> None:
    assert list(refused(sub_path(expression, value))) == ["containers[0].volumeMounts[0].subPathExpr"]


@pytest.mark.parametrize("read_only", [False, True])
def test_mounts_are_passed_on_only_from_the_hosts_own_places(read_only: bool) -> None:
    mount = {"name": "v", "mountPath": "/srv", "mountPropagation": "Bidirectional", "readOnly": read_only}
    pod = pod_of(
        {"volumeMounts": [mount], "securityContext": {"privileged": True}},
        volumes=[{"name": "v", "hostPath": {"path": "/srv"}}],
    )
    if read_only:
        assert list(refused(pod)) == ["containers[0].volumeMounts[0].mountPropagation"]
    else:
        assert defined(pod)


# ------------------------------------------------------------------------------------- security, resources, everything


def test_the_containers_security_context_wins_field_by_field() -> None:
    pod = {"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4], "runAsNonRoot": True}
    security = main_of({"securityContext": {"runAsUser": 5}}, securityContext=pod)["security"]
    assert (security["user"], security["group"], security["groups"]) == (5, 2, [4, 3])


@pytest.mark.parametrize("where", ["pod", "container"])
def test_run_as_non_root_needs_a_user(where: str) -> None:
    context = {"runAsNonRoot": True}
    if where == "pod":
        assert list(refused(pod_of({}, securityContext=context))) == ["securityContext.runAsNonRoot"]
    else:
        found = refused(pod_of({"securityContext": {**context, "runAsUser": 0}}))
        assert list(found) == ["containers[0].securityContext.runAsNonRoot"]


def test_selinux_options_need_a_type() -> None:
    found = refused(pod_of({"securityContext": {"seLinuxOptions": {"level": "s0:c1"}}}))
    assert list(found) == ["containers[0].securityContext.seLinuxOptions.type"]
    options = {"type": "agent_t", "level": "s0:c1"}
    assert main_of({}, securityContext={"seLinuxOptions": options})["security"]["seLinux"] == options


def test_resources_are_numbers_and_requests_default_to_limits() -> None:
    resources = {"limits": {"cpu": "0.1", "memory": "1.5Gi"}, "requests": {"memory": "512m"}}
    assert main_of({"resources": resources})["resources"] == {
        "memoryLimit": 3 << 29,
        "memoryRequest": 1,
        "cpuLimit": 100,
        "cpuRequest": 100,
    }
    assert set(main_of({})["resources"].values()) == {None}


@pytest.mark.parametrize("directory", ["relative", "~", "/a\nb", "/a ", "/a\\"])
def test_working_directories_that_systemd_would_read_otherwise(directory: str) -> None:
    assert "containers[0].workingDir" in refused(pod_of({"workingDir": directory}))


def test_probes_and_hooks_have_numbers_for_ports_and_seconds() -> None:
    container = main_of(
        {
            "ports": [{"name": "web", "containerPort": 8080}],
            "livenessProbe": {"httpGet": {"port": "web"}},
            "readinessProbe": {"tcpSocket": {"port": 9}},
            "lifecycle": {"preStop": {"sleep": {}}},
        }
    )
    assert container["probes"]["liveness"]["httpGet"] == {"port": 8080, "path": "/", "scheme": "HTTP"}
    assert container["probes"]["liveness"]["periodSeconds"] == 10
    assert container["probes"]["readiness"]["tcpSocket"] == {"port": 9}
    assert container["lifecycle"] == {"preStop": {"sleep": {"seconds": 0}}}


def test_an_unknown_port_is_refused_with_the_known_ones() -> None:
    pod = pod_of({"ports": [{"name": "web", "containerPort": 80}], "livenessProbe": {"tcpSocket": {"port": "wbe"}}})
    assert "web" in refused(pod)["containers[0].livenessProbe.tcpSocket.port"]


def test_roles_and_order_of_containers() -> None:
    init = [
        {"name": "prepare", "image": "host:///bin/true"},
        {"name": "proxy", "image": "host:///bin/proxy", "restartPolicy": "Always"},
    ]
    definition, _secrets = defined(pod_of({}, initContainers=init))
    assert [(c["name"], c["role"]) for c in definition["containers"]] == [
        ("prepare", "init"),
        ("proxy", "sidecar"),
        ("main", "main"),
    ]
    assert [source["container"] for source in definition["sources"]] == ["prepare", "proxy", "main"]


def test_what_stands_in_the_daemonset_itself() -> None:
    definition, _secrets = defined(
        pod_of({}, terminationGracePeriodSeconds=0),
        metadata={"namespace": "ops", "annotations": {"everynode/replaces": " a.service,b.timer, "}},
        minReadySeconds=5,
        revisionHistoryLimit=0,
    )
    assert definition["replaces"] == ["a.service", "b.timer"]
    assert (definition["namespace"], definition["name"], definition["node"]) == ("ops", "agent", "web1")
    assert (definition["minReadySeconds"], definition["revisionHistoryLimit"]) == (5, 0)
    assert definition["terminationGracePeriodSeconds"] == 0
    assert (definition["runtime"], definition["pod"], definition["validate"]) == ("systemd", None, None)


def validated_by(validation: str, **container: Any) -> Any:
    definition, _secrets = defined(pod_of(container), metadata={"annotations": {"everynode/validate": validation}})
    return definition["validate"]


def test_the_command_that_validates_is_split_as_a_shell_does() -> None:
    assert validated_by("/usr/bin/agent --config '/etc/my agent.conf' $HOME") == [
        "/usr/bin/agent",
        "--config",
        "/etc/my agent.conf",
        "$HOME",
    ]
    assert validated_by("  ") is None


def test_the_program_that_validates_may_be_in_the_archive() -> None:
    image = "https://example.com/x.tar.gz#sha256=" + "ab" * 32
    (program, _option) = validated_by("./bin/x --check", image=image, command=["bin/x"])
    assert program == "/var/lib/everynode/default/agent/archives/" + "ab" * 32 + "/bin/x"


def test_a_validation_that_systemd_could_not_start() -> None:
    found = refused(pod_of({}), metadata={"annotations": {"everynode/validate": "-x"}})
    assert list(found) == ["metadata.annotations[everynode/validate]"]


def test_only_objects_of_the_same_namespace_count() -> None:
    elsewhere = {**config_map("c", a="elsewhere"), "metadata": {"name": "c", "namespace": "ops"}}
    assert files_of({"configMap": {"name": "c"}}, elsewhere, config_map("c", a="here")) == {"a": (b"here", 0o644)}


def test_declared_ports_are_those_of_the_host() -> None:
    ports: list[dict[str, Any]] = [{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}]
    definition, _secrets = defined(pod_of({"ports": ports}, hostNetwork=True))
    assert [(port["container"], port["port"], port["protocol"]) for port in definition["ports"]] == [
        ("main", 80, "TCP"),
        ("main", 53, "UDP"),
    ]
    ports[0]["hostPort"] = 80
    definition, _secrets = defined(pod_of({"ports": ports}))
    assert [port["port"] for port in definition["ports"]] == [80]


def test_a_capability_that_linux_does_not_have() -> None:
    known = {"add": ["NET_RAW", "CAP_CHOWN"], "drop": ["all"]}
    defined(pod_of({"securityContext": {"capabilities": known}}))
    unknown = {"add": ["NET_RAW", "NET_RAWW"], "drop": ["CAP_"]}
    path = "containers[0].securityContext.capabilities"
    assert set(refused(pod_of({"securityContext": {"capabilities": unknown}}))) == {f"{path}.add[1]", f"{path}.drop[0]"}


def test_a_folder_in_a_volume_in_memory() -> None:
    volumes = [{"name": "v", "emptyDir": {"medium": "Memory"}}]
    container = {"volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "a"}]}
    assert set(refused(pod_of(container, volumes=volumes))) == {"containers[0].volumeMounts[0].subPath"}
