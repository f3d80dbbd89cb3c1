# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a DaemonSet's manifest to the definition of its instance on one node, as containers of images."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.plugin_utils import definitions
from tests.unit.plugins.plugin_utils.definitions import FACTS, defined, refused, secret

ENGINES = ("docker", "podman")
PODMAN = FACTS._replace(engines=("podman",))


def pod_of(container: dict[str, Any], **pod: Any) -> dict[str, Any]:
    return definitions.pod_of({"image": "example.com/agent:1", **container}, **pod)


def main_of(container: dict[str, Any], *others: dict[str, Any], **pod: Any) -> dict[str, Any]:
    definition, _secrets = defined(pod_of(container, **pod), *others)
    return dict(definition["containers"][-1])


def settings_of(**pod: Any) -> dict[str, Any]:
    definition, _secrets = defined(pod_of({}, **pod))
    return dict(definition["pod"])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_container_image_is_run_by_the_nodes_engine(engine: str) -> None:
    definition, secrets = defined(pod_of({}), facts=FACTS._replace(engines=(engine,)))
    assert definition["runtime"] == engine
    assert definition["sources"] == [
        {"container": "main", "kind": "image", "image": "example.com/agent:1", "pullPolicy": "IfNotPresent"}
    ]
    assert secrets == {"environment": {"main": {}}, "arguments": {"main": {}}, "files": {}, "registries": {}}


def test_a_node_without_an_engine() -> None:
    message = refused(pod_of({}), facts=FACTS._replace(engines=()))["containers[0].image"]
    for word in ("web1", "example.com/agent:1", "neither Docker nor Podman", "everynode.daemonset.engine"):
        assert word in message


# --------------------------------------------------------------------------------------------------- command, arguments


@pytest.mark.parametrize(
    ("container", "command", "arguments"),
    [
        ({}, None, None),
        ({"command": [], "args": []}, None, None),
        ({"command": ["a", "-b"]}, ["a", "-b"], None),
        ({"args": ["-b"]}, None, ["-b"]),
        ({"command": ["a"], "args": ["-b"]}, ["a"], ["-b"]),
    ],
)
def test_command_and_arguments_stay_apart(container: dict[str, Any], command: Any, arguments: Any) -> None:
    made = main_of(container)
    assert (made["command"], made["arguments"]) == (command, arguments)


PASSWORD = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}}


def test_words_with_a_secret_are_counted_over_both() -> None:
    env = [PASSWORD, {"name": "PLAIN", "value": "x"}]
    container = {"env": env, "command": ["$(PASSWORD)", "$(PLAIN)"], "args": ["--password=$(PASSWORD)"]}
    definition, secrets = defined(pod_of(container), secret("s", password="hush"))
    made = definition["containers"][0]
    assert (made["command"], made["arguments"]) == (["", "x"], [""])
    assert secrets["arguments"]["main"] == {"0": "hush", "2": "--password=hush"}
    assert "hush" not in json.dumps(definition)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0$"))))
def test_what_the_kernel_takes_as_a_word_is_passed_on_as_it_is(words: list[str]) -> None:
    """Only host processes are bound to what systemd can write into a unit."""
    env = [{"name": f"V{index}", "value": word} for index, word in enumerate(words)]
    made = main_of({"args": words, "env": env, "readinessProbe": {"exec": {"command": ["x", *words]}}})
    assert made["arguments"] == (words or None)
    assert list(made["environment"].values()) == words
    assert made["probes"]["readiness"]["exec"]["command"] == ["x", *words]


def test_what_no_program_can_be_given() -> None:
    container = {
        "args": ["a\0b"],
        "env": [{"name": "X", "value": "a\0b"}],
        "livenessProbe": {"exec": {"command": ["x", "a\0b"]}},
        "workingDir": "/a\0b",
    }
    assert set(refused(pod_of(container))) == {
        "containers[0].args[0]",
        "containers[0].env[0]",
        "containers[0].livenessProbe.exec.command[1]",
        "containers[0].workingDir",
    }


def test_names_of_variables_that_only_systemd_does_not_know() -> None:
    env = [{"name": name, "value": "1"} for name in ("log.level", "a-b", "1st", "a b")]
    assert list(main_of({"env": env})["environment"]) == ["log.level", "a-b", "1st", "a b"]


def test_a_working_directory_is_absolute() -> None:
    assert main_of({"workingDir": "/a 'b' "})["workingDirectory"] == "/a 'b' "
    assert list(refused(pod_of({"workingDir": "srv"}))) == ["containers[0].workingDir"]


def test_the_command_that_validates() -> None:
    annotations = {"everynode/validate": "-odd 'a b'"}
    definition, _secrets = defined(pod_of({}), metadata={"annotations": annotations})
    assert definition["validate"] == ["-odd", "a b"]


def test_what_only_a_container_has() -> None:
    ports = [{"containerPort": 80}, {"containerPort": 53, "hostPort": 5353, "protocol": "UDP", "hostIP": "192.0.2.7"}]
    made = main_of({"ports": ports, "tty": True, "stdin": True, "stdinOnce": True})
    assert made["ports"] == [
        {"containerPort": 80, "hostPort": None, "hostIP": "", "protocol": "TCP"},
        {"containerPort": 53, "hostPort": 5353, "hostIP": "192.0.2.7", "protocol": "UDP"},
    ]
    assert (made["tty"], made["stdin"], made["stdinOnce"], made["stopSignal"]) == (True, True, True, None)
    bare = main_of({})
    assert (bare["tty"], bare["stdin"], bare["stdinOnce"], bare["ports"]) == (False, False, False, [])


def test_the_ports_of_the_node() -> None:
    ports = [{"containerPort": 80}, {"containerPort": 53, "hostPort": 5353}]
    definition, _secrets = defined(pod_of({"ports": ports}))
    assert [port["port"] for port in definition["ports"]] == [5353]


# ------------------------------------------------------------------------------------------------------- the pod itself


def test_a_pod_of_its_own() -> None:
    assert settings_of() == {
        "hostNetwork": False,
        "hostPID": False,
        "hostIPC": False,
        "shareProcessNamespace": False,
        "hostname": "web1",
        "hostAliases": [],
        "dns": {"nameservers": [], "searches": [], "options": [], "none": False},
        "sysctls": {},
    }


@pytest.mark.parametrize("field", ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"])
def test_shared_namespaces(field: str) -> None:
    assert settings_of(**{field: True})[field] is True


@pytest.mark.parametrize(
    ("pod", "name"),
    [
        ({"hostname": "agent"}, "agent"),
        ({"hostnameOverride": "agent.example.com"}, "agent.example.com"),
        ({"hostname": "agent", "hostnameOverride": "other"}, "other"),
        ({"hostname": "agent", "hostNetwork": True}, ""),
        ({"hostnameOverride": "a" * 62 + ".bc"}, "a" * 62),
    ],
)
def test_host_names(pod: dict[str, Any], name: str) -> None:
    assert settings_of(**pod)["hostname"] == name


def test_names_and_their_resolution() -> None:
    config = {
        "nameservers": ["192.0.2.53"],
        "searches": ["example.com"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
    }
    aliases = [{"ip": "192.0.2.1", "hostnames": ["db", "db.example.com"]}]
    pod = settings_of(dnsPolicy="None", dnsConfig=config, hostAliases=aliases)
    assert pod["dns"] == {**config, "options": ["ndots:2", "edns0"], "none": True}
    assert pod["hostAliases"] == aliases
    assert settings_of(dnsPolicy="Default")["dns"]["none"] is False


def sysctl(name: str) -> dict[str, Any]:
    return {"securityContext": {"sysctls": [{"name": name, "value": "1"}]}}


@pytest.mark.parametrize(
    ("name", "dotted"),
    [
        ("net.ipv4.ip_forward", "net.ipv4.ip_forward"),
        ("net/ipv4/conf/eth0.1/forwarding", "net.ipv4.conf.eth0/1.forwarding"),
        ("kernel.shm_rmid_forced", "kernel.shm_rmid_forced"),
        ("fs.mqueue.msg_max", "fs.mqueue.msg_max"),
    ],
)
def test_kernel_settings_of_the_pods_own(name: str, dotted: str) -> None:
    assert settings_of(**sysctl(name))["sysctls"] == {dotted: "1"}


@pytest.mark.parametrize("name", ["vm.max_map_count", "kernel.pid_max", "fs.file-max", "net"])
def test_kernel_settings_of_the_whole_node(name: str) -> None:
    assert list(refused(pod_of({}, **sysctl(name)))) == ["securityContext.sysctls[0].name"]


def address(**pod: Any) -> dict[str, Any]:
    env = [{"name": "A", "value": "x"}, {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    return pod_of({"env": env}, **pod)


def test_an_address_of_its_own_is_not_known_beforehand() -> None:
    (message,) = (refused(address())["containers[0].env[1].valueFrom.fieldRef.fieldPath"],)
    assert "status.hostIP" in message
    definition, _secrets = defined(address(hostNetwork=True))
    assert definition["containers"][0]["environment"]["IP"] == "192.0.2.7"


# -------------------------------------------------------------------------------------------------- mounts, security


def test_mounts_have_their_propagation() -> None:
    mounts = [
        {"name": "v", "mountPath": "/a"},
        {"name": "v", "mountPath": "/b", "mountPropagation": "Bidirectional", "subPath": "x"},
        {"name": "v", "mountPath": "/c", "readOnly": True, "recursiveReadOnly": "IfPossible"},
    ]
    container = {"volumeMounts": mounts, "securityContext": {"privileged": True}}
    made = main_of(container, volumes=[{"name": "v", "hostPath": {"path": "/srv"}}])["mounts"]
    assert [(mount["propagation"], mount["recursiveReadOnly"]) for mount in made] == [
        ("None", None),
        ("Bidirectional", None),
        ("None", "IfPossible"),
    ]


PLACES = ["/a'b", '/a"b', "/a,b", "/a b", "/a\tb", "/é", "/a=b"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("place", PLACES)
def test_paths_that_engines_can_mount(place: str, engine: str) -> None:
    container = {"volumeMounts": [{"name": "v", "mountPath": place}]}
    pod = pod_of(container, volumes=[{"name": "v", "hostPath": {"path": place}}])
    definition, _secrets = defined(pod, facts=FACTS._replace(engines=(engine,)))
    assert definition["containers"][0]["mounts"][0]["target"] == definition["volumes"][0]["path"] == place


@pytest.mark.parametrize("place", ["/a\nb", "/a\rb", "/a\0b"])
def test_paths_that_no_engine_can_mount(place: str) -> None:
    container = {"volumeMounts": [{"name": "v", "mountPath": place}]}
    pod = pod_of(container, volumes=[{"name": "v", "hostPath": {"path": place}}])
    assert set(refused(pod)) == {"containers[0].volumeMounts[0].mountPath", "volumes[0].hostPath.path"}


def test_a_folder_in_a_volume_in_memory() -> None:
    volumes = [{"name": "v", "emptyDir": {"medium": "Memory"}}]
    assert main_of({"volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "a"}]}, volumes=volumes)


def security_of(context: dict[str, Any], **pod: Any) -> dict[str, Any]:
    return dict(main_of({"securityContext": context}, **pod)["security"])


def test_the_user_of_the_image_is_judged_on_the_node() -> None:
    assert security_of({"runAsNonRoot": True})["nonRoot"] is True
    assert security_of({"runAsNonRoot": True, "runAsUser": 7})["user"] == 7
    assert security_of({})["nonRoot"] is False
    found = refused(pod_of({"securityContext": {"runAsUser": 0}}, securityContext={"runAsNonRoot": True}))
    assert list(found) == ["securityContext.runAsNonRoot"]


@pytest.mark.parametrize(
    ("profile", "made"),
    [
        (None, None),
        ({"type": "RuntimeDefault"}, {"type": "RuntimeDefault", "profile": None}),
        ({"type": "Unconfined"}, {"type": "Unconfined", "profile": None}),
        (
            {"type": "Localhost", "localhostProfile": "profiles/a.json"},
            {"type": "Localhost", "profile": "/var/lib/kubelet/seccomp/profiles/a.json"},
        ),
    ],
)
def test_seccomp_profiles(profile: Any, made: Any) -> None:
    assert security_of({"seccompProfile": profile} if profile else {})["seccomp"] == made


@pytest.mark.parametrize(
    ("profile", "made"),
    [
        ({}, None),
        ({"type": "RuntimeDefault"}, "runtime/default"),
        ({"type": "Unconfined"}, "unconfined"),
        ({"type": "Localhost", "localhostProfile": "agent"}, "agent"),
    ],
)
def test_apparmor_profiles(profile: Any, made: Any) -> None:
    context = {"appArmorProfile": profile} if profile else {}
    assert security_of(context)["appArmor"] == made
    assert security_of({}, securityContext=context)["appArmor"] == made


def test_the_old_annotation_of_apparmor_counts_before_the_pods_profile() -> None:
    annotations = {"container.apparmor.security.beta.kubernetes.io/main": "localhost/agent"}
    pod = {"appArmorProfile": {"type": "Unconfined"}}

    def profile(container: dict[str, Any]) -> Any:
        given = pod_of({"securityContext": container}, securityContext=pod)
        definition, _secrets = defined(given, template_metadata={"annotations": annotations})
        return definition["containers"][0]["security"]["appArmor"]

    assert profile({}) == "agent"
    assert profile({"appArmorProfile": {"type": "RuntimeDefault"}}) == "runtime/default"


def test_selinux_options_have_a_default_type_here() -> None:
    assert security_of({"seLinuxOptions": {"level": "s0:c1"}})["seLinux"] == {"level": "s0:c1"}


# ------------------------------------------------------------------------------------------------- logins to registries


def pull_secret(name: str, key: str, content: Any) -> dict[str, Any]:
    return secret(name, **{key: content if isinstance(content, str) else json.dumps(content)})


def auth(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_logins_of_all_pull_secrets() -> None:
    new = {"auths": {"one.example.com": {"auth": auth("me:one"), "email": "me@example.com"}}}
    old = {"one.example.com": {"auth": auth("you:one")}, "two.example.com": {"username": "me", "password": "a:b"}}
    names = [{"name": "new"}, {"name": "old"}, {"name": "none"}, {}]
    definition, secrets = defined(
        pod_of({}, imagePullSecrets=names),
        pull_secret("new", ".dockerconfigjson", new),
        pull_secret("old", ".dockercfg", old),
    )
    assert secrets["registries"] == {
        "one.example.com": {"auth": auth("me:one")},
        "two.example.com": {"auth": auth("me:a:b")},
    }
    assert auth("me:one") not in json.dumps(definition)


@pytest.mark.parametrize(
    ("entry", "registries"),
    [
        ("*.com", ["example.com"]),
        ("https://exam*.com/v1/", ["example.com"]),
        ("*", []),
        ("*.example.com", []),
        ("other.example.com", ["other.example.com"]),
    ],
)
def test_patterns_of_registries_that_only_kubernetes_knows(entry: str, registries: list[str]) -> None:
    content = {"auths": {entry: {"auth": auth("me:x")}}}
    pod = pod_of({}, imagePullSecrets=[{"name": "s"}])
    _definition, secrets = defined(pod, pull_secret("s", ".dockerconfigjson", content))
    assert list(secrets["registries"]) == registries


def test_the_revision_does_not_depend_on_a_login() -> None:
    def revision(login: str) -> Any:
        content = {"auths": {"example.com": {"auth": auth(login)}}}
        pod = pod_of({}, imagePullSecrets=[{"name": "s"}])
        return defined(pod, pull_secret("s", ".dockerconfigjson", content))[0]["revision"]

    assert revision("me:old") == revision("me:new")


# ------------------------------------------------------------------------------------- what one engine alone cannot do


def test_podman_has_no_other_signal() -> None:
    pod = pod_of({"lifecycle": {"stopSignal": "SIGINT"}}, os={"name": "linux"})
    definition, _secrets = defined(pod)
    assert definition["containers"][0]["stopSignal"] == "SIGINT"
    found = refused(pod, facts=PODMAN)
    assert list(found) == ["containers[0].lifecycle.stopSignal"]
    assert "Podman" in found["containers[0].lifecycle.stopSignal"]


def init(*names: str) -> dict[str, Any]:
    always = {"restartPolicy": "Always"}
    return {
        "initContainers": [
            {"name": name, "image": "example.com/init:1", **(always if name.startswith("sidecar") else {})}
            for name in names
        ]
    }


def test_podman_starts_sidecars_together_with_the_main_containers() -> None:
    assert list(refused(pod_of({}, **init("first", "sidecar", "second")), facts=PODMAN)) == ["initContainers"]
    for names in ((), ("first", "second"), ("first", "sidecar", "sidecar2")):
        assert defined(pod_of({}, **init(*names)), facts=PODMAN)
    assert defined(pod_of({}, **init("sidecar", "second")))
