# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs that come in an archive, from the control node or from a web server, are what their checksum says."""

from __future__ import annotations

import hashlib
import http.server
import io
import re
import ssl
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import Cluster, Node

from .evidence import (
    actions,
    assert_clear,
    changes,
    clean_up,
    differences,
    process,
    runs,
    standing,
    where_it_runs,
)
from .playbook import daemonset, play

NAME = "porter"


@pytest.fixture(scope="module", autouse=True)
def nothing_left(cluster: Cluster, nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    clean_up(cluster, nodes, tmp_path_factory.mktemp("archives"), [NAME])


@pytest.fixture(scope="module")
def pair(nodes: list[Node]) -> list[Node]:
    return [nodes[1], nodes[-1]]


def archive(path: Path, version: str) -> str:
    """Makes an archive of a program that stays; returns its checksum."""
    script = f"#!/bin/sh\nVERSION={version} exec /usr/bin/sleep infinity\n".encode()
    with tarfile.open(path, "w:gz") as tar:
        for name, mode, content in (("porter/bin/porter", 0o755, script), ("porter/README", 0o644, b"Read me\n")):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), mode, 1_700_000_000
            tar.addfile(member, io.BytesIO(content))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def porter(url: str, checksum: str) -> dict[str, Any]:
    return daemonset(NAME, image=f"{url}#sha256={checksum}", command=["porter/bin/porter"], args=[])


def version(node: Node) -> str:
    return process(node, NAME)[1]["VERSION"]


def test_from_the_control_node(pair: list[Node], inventory: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "porter 1.tar.gz"
    url = f"file://{tmp_path}/porter%201.tar.gz"
    first = archive(path, "1.0")
    hosts = inventory(pair)
    before = standing(pair)
    told = play("apply", hosts, "--check", daemonset_manifests=porter(url, first))
    assert differences(before, standing(pair)) == {}
    done = play("apply", hosts, daemonset_manifests=porter(url, first))
    assert (told.code, done.code) == (0, 0), told.output + done.output
    assert changes(told) == changes(done)
    assert [version(node) for node in pair] == ["1.0", "1.0"]
    assert play("apply", hosts, daemonset_manifests=porter(url, first)).changed == 0

    # Another archive under the same name does not get in by the old checksum, and what runs is not touched.
    second = archive(path, "2.0")
    before = standing(pair)
    nobodys = "0" * 64
    refused = play("apply", hosts, daemonset_manifests=porter(url, nobodys))
    assert_clear(refused)
    assert f"has the sha256 {second}, expected {nobodys}" in refused.output
    assert refused.changed == 0
    assert differences(before, standing(pair)) == {}
    # On the nodes it is as it was, so nobody needs the file.
    assert play("apply", hosts, daemonset_manifests=porter(url, first)).changed == 0

    done = play("apply", hosts, daemonset_manifests=porter(url, second))
    assert done.code == 0, done.output
    assert [version(node) for node in pair] == ["2.0", "2.0"]

    # Edited by hand, and restarted so that the edit takes effect; or made to fail the next time.
    program = f"/var/lib/everynode/default/{NAME}/archives/{second}/porter/bin/porter"
    pair[0].run(f"sed -i s/2.0/6.6.6/ {program}; systemctl restart everynode.default.{NAME}.service")
    pair[1].run(f"chmod -x {program}")
    assert version(pair[0]) == "6.6.6"
    status = play("status", hosts, daemonset_manifests=porter(url, second))
    assert status.code != 0
    assert [node["state"] for node in status.items[0]["nodes"]] == ["damaged", "damaged"]
    told = play("apply", hosts, "--check", "-v", daemonset_manifests=porter(url, second))
    done = play("apply", hosts, "-v", daemonset_manifests=porter(url, second))
    assert done.code == 0, done.output
    assert (changes(told), actions(told)) == (changes(done), actions(done))
    assert [version(node) for node in pair] == ["2.0", "2.0"]
    assert all(node.run(f"{program} & kill $!", check=False).returncode == 0 for node in pair)
    assert play("apply", hosts, daemonset_manifests=porter(url, second)).changed == 0


@pytest.fixture(scope="module")
def web(nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, str, str]]:
    """A folder, its URL over HTTP and over HTTPS, and the certificate to trust."""
    folder = tmp_path_factory.mktemp("web")
    address = nodes[0].run("ip -4 route show default").stdout.split()[2]
    certificate = folder.parent / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=everynode-test"]
        + ["-addext", f"subjectAltName=IP:{address}", "-keyout", certificate, "-out", f"{certificate}.crt"],
        check=True,
        capture_output=True,
    )
    trusted = Path(f"{certificate}.crt").read_text()
    handler = partial(QuietHandler, directory=str(folder))
    plain, secure = (http.server.ThreadingHTTPServer((address, 0), handler) for _scheme in ("http", "https"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificate}.crt", certificate)
    secure.socket = context.wrap_socket(secure.socket, server_side=True)
    for server in (plain, secure):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield (
        folder,
        f"http://{address}:{plain.server_port}",
        f"https://{address}:{secure.server_port}",
        trusted,
    )
    for server in (plain, secure):
        server.shutdown()
        server.server_close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_words: object) -> None:
        pass


@pytest.mark.soak
def test_from_a_web_server(pair: list[Node], inventory: Callable[..., Path], web: tuple[Path, str, str, str]) -> None:
    folder, plain, secure, certificate = web
    one = pair[:1]
    hosts, node = inventory(one), pair[0]
    assert play("delete", hosts, daemonset_names=NAME).code == 0
    third, fourth = archive(folder / "3.tar.gz", "3.0"), archive(folder / "4.tar.gz", "4.0")
    assert_clear(play("apply", hosts, daemonset_manifests=porter(f"{plain}/4.tar.gz", third)))
    assert node.run("ls /var/lib/everynode", check=False).stdout == ""
    done = play("apply", hosts, daemonset_manifests=porter(f"{plain}/3.tar.gz", third))
    assert done.code == 0, done.output
    assert version(node) == "3.0"

    before = standing(one)
    for url, checksum, words in (
        (f"{plain}/4.tar.gz", third[::-1], "checksum"),
        (f"{plain}/5.tar.gz", fourth, "404"),
        (f"{secure}/4.tar.gz", fourth, "certificate"),
    ):
        refused = play("apply", hosts, daemonset_manifests=porter(url, checksum))
        assert_clear(refused)
        assert words in refused.output
        assert "failed to stage" in refused.output
        assert runs(node, NAME)
        # It was unpacked in a folder that is gone again: only the times of the folders around it tell.
        left = differences(before, standing(one)).get(node.name, [])
        assert [line for line in left if not re.search(r"/porter(/archives)? d 755 ", line)] == [], url

    trust = "/usr/lib/ssl/cert.pem"
    node.run("mkdir -p /usr/lib/ssl")
    node.write(trust, certificate)
    try:
        done = play("apply", hosts, daemonset_manifests=porter(f"{secure}/4.tar.gz", fourth))
    finally:
        node.run(f"rm {trust}; rmdir --ignore-fail-on-non-empty /usr/lib/ssl")
    assert done.code == 0, done.output
    assert version(node) == "4.0"
    assert play("apply", hosts, daemonset_manifests=porter(f"{secure}/4.tar.gz", fourth)).changed == 0
    assert play("delete", hosts, daemonset_names=NAME).code == 0
    assert where_it_runs(one, NAME) == []
