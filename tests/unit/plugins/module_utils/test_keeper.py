# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes against real servers and real processes; the restart back-off against a systemctl that says what it is told.

The real systemctl, timers and restarts are exercised by the tests on real nodes.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import queue
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from ansible_collections.everynode.daemonset.plugins.module_utils import events, keeper, network, probes
from ansible_collections.everynode.daemonset.plugins.module_utils.runtimes.runtime import BACK_OFF, keeper_files
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def probe(timeout: float = 5, **handler: Any) -> tuple[bool, str]:
    return probes.run_probe({"timeoutSeconds": timeout, **handler}, {}, os.getpid())


@contextlib.contextmanager
def listening(answer: Callable[[socket.socket], None] | None = None) -> Iterator[int]:
    """A port; each connection is given to ``answer`` in its own thread, or accepted by the kernel and left alone."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        if answer:

            def serve() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        connection, _peer = server.accept()
                        threading.Thread(target=answer, args=(connection,), daemon=True).start()

            threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


# ---------------------------------------------------------------------------------------------------------------- HTTP


class Web:
    """A web server; ``answers`` gives (status, headers) for a path, ``requests`` what was asked of it."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, tuple[int, dict[str, str]]] = {}
        self.requests: list[tuple[str, list[tuple[str, str]]]] = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.requests.append((self.path, self.headers.items()))
                status, headers = web.answers.get(self.path, (404, {}))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_arguments: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def get(self, path: str = "/", **action: Any) -> tuple[bool, str]:
        return probe(httpGet={"path": path, "port": self.port, "scheme": "HTTP", **action})

    def headers(self, name: str) -> list[str]:
        """The values of one header of the last request."""
        return [value for key, value in self.requests[-1][1] if key.lower() == name.lower()]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    yield server
    server.close()


@pytest.fixture
def secure_web(tmp_path: Path) -> Iterator[Web]:
    key, certificate = str(tmp_path / "key"), str(tmp_path / "certificate")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=somebody.else"]
        + ["-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = Web(context)
    yield server
    server.close()


@pytest.mark.parametrize(
    ("status", "succeeds"), [(200, True), (204, True), (304, True), (399, True), (400, False), (503, False)]
)
def test_http_status(web: Web, status: int, succeeds: bool) -> None:
    web.answers["/health"] = (status, {})
    succeeded, why = web.get("/health")
    assert succeeded is succeeds
    assert succeeds or (str(status) in why and "/health" in why)


@pytest.mark.parametrize(
    ("written", "asked"),
    [("health", "/health"), ("/a b?c=d e&f", "/a%20b?c=d%20e&f"), ("/é%20", "/%C3%A9%20"), ("/x#y", "/x")],
)
def test_http_paths_are_escaped_as_the_kubelet_does(web: Web, written: str, asked: str) -> None:
    web.answers[asked] = (200, {})
    assert web.get(written) == (True, "")


def test_http_headers_of_the_kubelet(web: Web) -> None:
    web.get()
    assert web.headers("Host") == [f"127.0.0.1:{web.port}"]
    assert web.headers("Accept") == ["*/*"]
    assert web.headers("User-Agent")[0].startswith("kube-probe/")
    assert web.headers("Accept-Encoding") == []


def test_http_headers_of_the_manifest(web: Web) -> None:
    given = [
        ("host", "example.com"),
        ("ACCEPT", ""),
        ("user-agent", "me"),
        ("X-Two", "1"),
        ("x-two", "2"),
        ("X-None", ""),
    ]
    web.get(httpHeaders=[{"name": name, "value": value} for name, value in given])
    assert web.headers("Host") == ["example.com"]
    assert web.headers("Accept") == []
    assert web.headers("User-Agent") == ["me"]
    assert web.headers("X-Two") == ["1", "2"]
    assert web.headers("X-None") == [""]


def test_https_without_checking_the_certificate(secure_web: Web) -> None:
    secure_web.answers["/"] = (200, {})
    assert secure_web.get(scheme="HTTPS") == (True, "")
    assert not secure_web.get(scheme="HTTP")[0]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_on_the_same_host_are_followed(web: Web, status: int) -> None:
    web.answers = {"/a": (status, {"Location": "b?c"}), "/b?c": (500, {})}
    succeeded, why = web.get("/a")
    assert not succeeded
    assert "500" in why


def test_redirects_to_another_port_and_scheme_of_the_same_host_are_followed(web: Web, secure_web: Web) -> None:
    web.answers["/"] = (302, {"Location": f"https://127.0.0.1:{secure_web.port}"})
    secure_web.answers["/"] = (500, {})
    assert not web.get()[0]
    assert len(secure_web.requests) == 1


def test_a_redirect_keeps_the_host_header_only_where_it_names_no_host(web: Web) -> None:
    web.answers = {
        "/a": (302, {"Location": "/b"}),
        "/b": (302, {"Location": f"http://127.0.0.1:{web.port}/c"}),
        "/c": (200, {}),
    }
    assert web.get("/a", httpHeaders=[{"name": "Host", "value": "example.com"}, {"name": "X-Token", "value": "t"}])[0]
    hosts = [dict(headers)["Host"] for _path, headers in web.requests]
    assert hosts == ["example.com", "example.com", f"127.0.0.1:{web.port}"]
    assert web.headers("X-Token") == ["t"]


def test_a_redirect_to_another_host_is_an_answer(web: Web) -> None:
    web.answers["/"] = (302, {"Location": "https://login.example.com/"})
    assert web.get() == (True, "")


def test_a_redirect_to_nowhere_is_an_answer(web: Web) -> None:
    web.answers["/"] = (302, {})
    assert web.get() == (True, "")


def test_endless_redirects_fail(web: Web) -> None:
    web.answers["/"] = (302, {"Location": "/"})
    assert web.get() == (False, "stopped after 10 redirects")
    assert len(web.requests) == 10


def test_a_redirect_to_another_protocol_fails(web: Web) -> None:
    web.answers["/"] = (302, {"Location": "ftp://127.0.0.1/"})
    assert not web.get()[0]


def dripping(connection: socket.socket) -> None:
    """A server that says something again and again and never comes to an end."""
    with contextlib.suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X-More: 1\r\n")
            time.sleep(0.1)


@pytest.mark.parametrize("answer", [None, dripping])
def test_an_http_timeout_is_for_the_whole_request(answer: Callable[[socket.socket], None] | None) -> None:
    with listening(answer) as port:
        began = time.monotonic()
        assert probe(timeout=0.5, httpGet={"port": port}) == (False, "no answer within 0.5 s")
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"])
def test_a_broken_http_answer_is_a_failure(answer: bytes) -> None:
    def answering(connection: socket.socket) -> None:
        with connection:
            connection.recv(4096)
            connection.sendall(answer)

    with listening(answering) as port:
        succeeded, why = probe(httpGet={"port": port})
        assert not succeeded
        assert why


def test_a_long_answer_is_let_run_out() -> None:
    """A daemon that tells of its metrics would log an error for each probe that hangs up in the middle of them."""
    ends: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def answering(connection: socket.socket) -> None:
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 500_000)
            connection.shutdown(socket.SHUT_WR)
            ends.put(connection.recv(1))

    with listening(answering) as port:
        assert probe(httpGet={"port": port}) == (True, "")
    assert ends.get(timeout=5) == b""  # and no reset


def test_an_endless_answer_is_one() -> None:
    def answering(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(b"x" * 20_000)
                time.sleep(0.1)

    with listening(answering) as port:
        assert probe(timeout=2, httpGet={"port": port}) == (True, "")


@pytest.mark.parametrize("handler", ["httpGet", "tcpSocket", "grpc"])
def test_nobody_listens(handler: str) -> None:
    succeeded, why = probe(**{handler: {"port": closed_port()}})
    assert not succeeded
    assert "refused" in why


@pytest.mark.usefixtures("systemctl")
def test_a_hook_is_content_with_any_answer(web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    web.answers["/"] = (500, {})
    assert keeper.call_hook("x.service", "preStop", {"port": web.port}) == 0
    assert keeper.call_hook("x.service", "preStop", {"port": closed_port()}) == 1
    assert "x.service: preStop hook failed" in capsys.readouterr().err


def test_pre_stop_is_not_called_for_a_daemon_that_ended_by_itself(systemctl: Systemctl, web: Web) -> None:
    systemctl.says(MainPID=0)
    assert keeper.call_hook("x.service", "preStop", {"port": web.port}) == 0
    assert web.requests == []


# ----------------------------------------------------------------------------------------------------------------- TCP


def test_tcp() -> None:
    with listening() as port:
        assert probe(tcpSocket={"port": port}) == (True, "")
        assert probe(tcpSocket={"port": port, "host": "localhost"}) == (True, "")
        assert not probe(tcpSocket={"port": port, "host": "127.0.0.2"})[0]


def test_a_host_that_does_not_exist() -> None:
    succeeded, why = probe(tcpSocket={"port": 1, "host": "nowhere.invalid"})
    assert not succeeded
    assert why


# ---------------------------------------------------------------------------------------------------------------- gRPC


@pytest.fixture
def healthy() -> Iterator[tuple[health.HealthServicer, int]]:
    """The health service of gRPC's own authors, on a real gRPC server."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, port
    server.stop(None)


@pytest.mark.parametrize("service", ["", "agent", "a" * 300])
def test_grpc_health(healthy: tuple[health.HealthServicer, int], service: str) -> None:
    servicer, port = healthy
    servicer.set(service, SERVING)
    assert probe(grpc={"port": port, "service": service}) == (True, "")
    servicer.set(service, NOT_SERVING)
    assert probe(grpc={"port": port, "service": service}) == (False, f"the service {service!r} is NOT_SERVING")
    servicer.set(service, health_pb2.HealthCheckResponse.UNKNOWN)
    assert not probe(grpc={"port": port, "service": service})[0]


def test_grpc_of_an_unknown_service(healthy: tuple[health.HealthServicer, int]) -> None:
    assert probe(grpc={"port": healthy[1], "service": "other"}) == (False, "the service 'other' is UNKNOWN")


def test_grpc_without_the_health_service() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        succeeded, why = probe(grpc={"port": port})
    finally:
        server.stop(None)
    assert not succeeded
    assert "no grpc.health.v1.Health" in why


def test_a_grpc_server_that_never_answers() -> None:
    with listening() as port:
        assert probe(timeout=0.5, grpc={"port": port}) == (False, "no answer within 0.5 s")


def test_grpc_asked_of_a_web_server(web: Web) -> None:
    succeeded, why = probe(grpc={"port": web.port})
    assert not succeeded
    assert why


def test_grpc_answers_with_padding_pings_and_settings() -> None:
    """What RFC 9113 lets a server do and gRPC's own server does not."""
    acknowledged = []

    def answering(connection: socket.socket) -> None:
        body = b"\0\0\0\0\2\x08\x01"
        with connection:
            connection.sendall(
                network._frame(network.SETTINGS, 0, 0, b"") + network._frame(network.PING, 0, 0, b"12345678")
            )
            connection.sendall(network._frame(network.DATA, network.PADDED, 1, b"\3" + body + b"\0\0\0"))
            connection.sendall(network._frame(network.HEADERS, network.END_HEADERS | network.END_STREAM, 1, b"\x88"))
            while chunk := connection.recv(4096):
                acknowledged.append(chunk)

    with listening(answering) as port:
        assert probe(grpc={"port": port}) == (True, "")
        deadline = time.monotonic() + 5
        wanted = network._frame(network.PING, network.ACK, 0, b"12345678")
        while wanted not in b"".join(acknowledged) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert wanted in b"".join(acknowledged)
        assert network._frame(network.SETTINGS, network.ACK, 0, b"") in b"".join(acknowledged)


# ---------------------------------------------------------------------------------------------------------------- exec


@pytest.fixture
def daemon() -> Iterator[Callable[..., int]]:
    """Starts a process that stands for the daemon, by default in our own namespaces, and returns its id.

    The tests of exec need root, as the keeper has it: nobody else may enter a mount namespace.
    """
    processes = []

    def start(*wrapper: str, **environment: str) -> int:
        process = subprocess.Popen([*wrapper, "sleep", "60"], env={"PATH": os.environ["PATH"], **environment})
        processes.append(process)
        deadline = time.monotonic() + 5
        while Path(f"/proc/{process.pid}/comm").read_text() != "sleep\n":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return process.pid

    yield start
    for process in processes:
        process.kill()
        process.wait()


def execute(
    pid: int, *command: str, timeout: float = 5, directory: str | None = None, **environment: str
) -> tuple[bool, str]:
    handler = {"timeoutSeconds": timeout, "exec": {"command": list(command)}}
    return probes.run_probe(handler, {"workingDirectory": directory, "environment": environment}, pid)


def test_exec_succeeds_with_exit_code_0_only(daemon: Callable[..., int]) -> None:
    pid = daemon()
    assert execute(pid, "true") == (True, "")
    assert execute(pid, "sh", "-c", "echo first; echo last >&2; exit 3") == (False, "sh exited with 3")


def test_output_of_exec_is_told_to_the_journal_and_kept_nowhere(
    daemon: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    pid = daemon()
    assert execute(pid, "sh", "-c", "echo hush; exit 3") == (False, "sh exited with 3")
    assert capsys.readouterr().err == ""  # in a module's output it would be out of place
    handler = {"exec": {"command": ["sh", "-c", "echo hush; exit 3"]}}
    assert probes.run_probe(handler, {"journal": True}, pid) == (False, "sh exited with 3")
    assert capsys.readouterr().err == "<5>exec probe: sh exited with 3: hush\n"


def test_exec_of_a_program_that_is_not_there(daemon: Callable[..., int]) -> None:
    assert execute(daemon(), "/no/such/program") == (False, "[Errno 2] No such file or directory: '/no/such/program'")
    as_nobody = daemon("setpriv", "--reuid=65534", "--clear-groups")
    assert execute(as_nobody, "/no/such/program") == (False, "/no/such/program exited with 127")


def test_exec_has_the_containers_environment_and_not_ours(
    daemon: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "1")
    check = 'test "$THEIRS" = "two words" && test -z "$OURS"'
    assert execute(daemon(), "sh", "-c", check, THEIRS="two words") == (True, "")


def test_exec_believes_nothing_that_the_daemon_may_have_written(daemon: Callable[..., int], tmp_path: Path) -> None:
    """/proc/PID/environ is the daemon's own memory: a library named there must not be loaded by root."""
    pid = daemon("/usr/bin/env", f"PATH={tmp_path}:/usr/bin:/bin", "LD_PRELOAD=/no/such.so", "PYTHONPATH=/tmp")
    for name in ("nsenter", "setpriv", "sh", "python3"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 9\n")
        (tmp_path / name).chmod(0o755)
    assert execute(pid, "sh", "-c", 'test -z "$LD_PRELOAD$PYTHONPATH"') == (True, "")


def test_exec_knows_the_containers_libraries_only_as_the_containers_user(
    daemon: Callable[..., int], tmp_path: Path
) -> None:
    """A library that writes down who loads it."""
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents:
        if folder.owner() == "root" and "pytest" in str(folder):
            folder.chmod(0o755)
    source, library, log = tmp_path / "spy.c", tmp_path / "spy.so", tmp_path / "log"
    source.write_text(
        "#include <stdio.h>\n#include <unistd.h>\n__attribute__((constructor)) static void spy(void) {\n"
        f'FILE *f = fopen("{log}", "a"); if (f) {{ fprintf(f, "%d\\n", (int) geteuid()); fclose(f); }} }}\n'
    )
    log.touch()
    log.chmod(0o666)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    pid = daemon("setpriv", "--reuid=1234", "--regid=2345", "--clear-groups")
    assert execute(pid, "true", LD_PRELOAD=str(library)) == (True, "")
    assert set(log.read_text().split()) == {"1234"}


def test_exec_is_as_limited_as_the_daemon(daemon: Callable[..., int]) -> None:
    pid = daemon("setpriv", "--bounding-set=-all,+chown", "--no-new-privs")
    check = "grep -qx 'CapBnd:.0*1' /proc/self/status && grep -qx 'NoNewPrivs:.1' /proc/self/status"
    assert execute(pid, "sh", "-c", check) == (True, "")


def test_exec_sees_the_daemons_mounts_and_working_directory(daemon: Callable[..., int], tmp_path: Path) -> None:
    """The working directory is one that only the daemon's mount namespace holds."""
    inside = tmp_path / "inside"
    (tmp_path / "volume" / "work").mkdir(parents=True)
    inside.mkdir()
    pid = daemon("unshare", "--mount", "sh", "-c", f'mount --bind {tmp_path}/volume {inside} && exec "$@"', "sh")
    assert execute(pid, "sh", "-c", f"test $(pwd -P) = {inside}/work", directory=f"{inside}/work") == (True, "")
    assert not (inside / "work").exists()


def test_exec_runs_as_the_daemons_user_with_its_groups(daemon: Callable[..., int]) -> None:
    pid = daemon("setpriv", "--reuid=1234", "--regid=2345", "--groups=2345,3456")
    check = 'test "$(id -u) $(id -g) $(id -G)" = "1234 2345 2345 3456"'
    assert execute(pid, "sh", "-c", check) == (True, "")


def test_exec_over_time_is_killed_with_its_children(daemon: Callable[..., int], tmp_path: Path) -> None:
    began = time.monotonic()
    mark = tmp_path / "mark"
    command = f"(sleep 1.5; touch {mark}) & sleep 60"
    assert execute(daemon(), "sh", "-c", command, timeout=0.5) == (False, "no answer within 0.5 s")
    assert time.monotonic() - began < 1.4
    time.sleep(1.5)
    assert not mark.exists()


def test_exec_is_over_in_time_even_if_a_child_escapes_with_the_output(daemon: Callable[..., int]) -> None:
    began = time.monotonic()
    assert not execute(daemon(), "setsid", "--fork", "sleep", "3", timeout=0.5)[0]
    assert time.monotonic() - began < 2


def test_exec_may_print_without_end(daemon: Callable[..., int]) -> None:
    succeeded, why = execute(daemon(), "sh", "-c", "head -c 50000000 /dev/zero | tr '\\0' x; exit 1", timeout=20)
    assert not succeeded
    assert len(why) < 2 * probes.OUTPUT_LIMIT


def test_exec_beside_a_process_that_is_gone() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    succeeded, why = execute(process.pid, "true")
    assert not succeeded
    assert why


# --------------------------------------------------------------------------------------- a unit's state, with a stub


class Systemctl:
    """A tiny systemctl, first on PATH: ``show`` prints the properties it was told, everything else is written down."""

    def __init__(self, folder: Path) -> None:
        self.properties = folder / "properties"
        self.log = folder / "log"
        self.log.touch()
        script = folder / "systemctl"
        script.write_text(
            f'#!/bin/sh\nif [ "$1" = show ]; then cat {self.properties}; else echo "$@" >>{self.log}; fi\n'
        )
        script.chmod(stat.S_IRWXU)
        self.says()

    def says(self, **changes: Any) -> None:
        properties = {
            "ActiveState": "active",
            "InvocationID": "one",
            "MainPID": os.getpid(),
            "ExecMainStartTimestampMonotonic": 0,
            "NRestarts": 0,
            **changes,
        }
        self.properties.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()


class Clock:
    """In place of the module ``time``: time that passes only by sleeping."""

    CLOCK_MONOTONIC = time.CLOCK_MONOTONIC
    CLOCK_BOOTTIME = time.CLOCK_BOOTTIME

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        return self.now

    def clock_gettime(self, _clock: int) -> float:
        return self.now


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(keeper, "RUN", str(tmp_path / "run"))
    return Systemctl(tmp_path)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(keeper, "time", clock)
    return clock


class Answers:
    """What probes shall say, by kind, in place of asking."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.says = {"readiness": True, "liveness": True, "startup": True}
        self.asked: list[str] = []
        monkeypatch.setattr(keeper, "run_probe", self._ask)

    def _ask(self, probe: dict[str, Any], _target: Any, _pid: int) -> tuple[bool, str]:
        self.asked.append(probe["kind"])
        return (True, "") if self.says[probe["kind"]] else (False, "it says no")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    return Answers(monkeypatch)


NOWHERE = "/nonexistent"  # an instance without a place for events


def reasons(folder: Path) -> list[tuple[str, int]]:
    """Of the events there, and how often each has happened."""
    lines = (folder / events.FILE).read_text(encoding="utf-8").splitlines()
    return [(event["reason"], event["count"]) for event in events.read(lines)]


def target(**probes: dict[str, Any]) -> keeper.Target:
    return keeper.Target("x.service", {"probes": {kind: {"kind": kind, **probe} for kind, probe in probes.items()}})


@pytest.mark.usefixtures("systemctl")
def test_readiness_needs_its_successes_and_failures_in_a_row(clock: Clock, answers: Answers) -> None:
    unit = target(readiness={"periodSeconds": 10, "successThreshold": 2, "failureThreshold": 2})
    history = []
    for says in (False, True, True, False, True, False, False, True, True):
        answers.says["readiness"] = says
        history.append(unit.tick()["ready"])
        clock.now += 10
    assert history == [False, False, True, True, True, True, False, False, True]


@pytest.mark.usefixtures("systemctl")
def test_what_probes_find_is_told_once_when_it_turns(tmp_path: Path, clock: Clock, answers: Answers) -> None:
    probes_due = {"readiness": {"kind": "readiness", "failureThreshold": 1}, "liveness": {"kind": "liveness"}}
    unit = keeper.Target("x.service", {"probes": probes_due, "directory": str(tmp_path)})
    for says in (False, True, True, False, False, True, False, True):
        answers.says["readiness"] = says
        unit.tick()
        clock.now += 10
    told = [("Unhealthy", 2), ("Ready", 2)]
    assert reasons(tmp_path) == told, "not while it has yet to become ready for the first time"
    answers.says["liveness"] = False
    for failures in range(3):
        assert unit.tick()["restarts"] == (1 if failures == 2 else 0)
        clock.now += 10
    assert reasons(tmp_path) == [*told, ("Unhealthy", 1), ("Killing", 1)]


@pytest.mark.usefixtures("systemctl", "answers")
def test_ready_since_is_when_it_became_ready(clock: Clock) -> None:
    unit = target(readiness={})
    assert unit.tick()["ready_since"] == clock.now
    clock.now += 10
    assert unit.tick()["ready_since"] == clock.now - 10


@pytest.mark.usefixtures("systemctl")
def test_periods_and_the_initial_delay(clock: Clock, answers: Answers) -> None:
    unit = target(readiness={"periodSeconds": 10, "initialDelaySeconds": 1005})
    for seconds in (0, 4, 1, 1, 8.6, 5, 5):
        clock.now += seconds
        answers.asked.append(f"{clock.now:g}")
        unit.tick()
    assert answers.asked == [
        "1000",
        "1004",
        "1005",
        "readiness",
        "1006",
        "1014.6",
        "readiness",
        "1019.6",
        "1024.6",
        "readiness",
    ]


@pytest.mark.usefixtures("systemctl")
def test_an_eager_look_does_not_wait_for_the_period_until_it_is_ready(clock: Clock, answers: Answers) -> None:
    unit = target(readiness={"periodSeconds": 10})
    answers.says["readiness"] = False
    assert unit.tick(eager=True)["message"] == "readiness probe: it says no"
    answers.says["readiness"] = True
    clock.now += 1
    assert unit.tick(eager=True)["ready"]
    unit.tick(eager=True)
    assert len(answers.asked) == 2


def test_liveness_restarts_after_its_failures_in_a_row(
    systemctl: Systemctl, clock: Clock, answers: Answers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unit = target(liveness={"periodSeconds": 10, "failureThreshold": 2})
    for says in (False, True, False):
        answers.says["liveness"] = says
        unit.tick()
        clock.now += 10
    assert systemctl.calls == []
    unit.tick()
    assert systemctl.calls == ["--no-block try-restart -- x.service"]
    assert (tmp_path / "run" / "x.service.killed").exists()
    assert "it says no" in capsys.readouterr().err


def test_a_new_process_begins_anew(systemctl: Systemctl, clock: Clock, answers: Answers) -> None:
    unit = target(readiness={"periodSeconds": 10}, liveness={"periodSeconds": 10, "failureThreshold": 2})
    answers.says["liveness"] = False
    assert unit.tick()["ready"]
    systemctl.says(InvocationID="two", ExecMainStartTimestampMonotonic=int(clock.now * 1e6))
    answers.says["readiness"] = False
    state = unit.tick()
    assert (state["ready"], state["ready_since"], state["started"]) == (False, None, clock.now)
    assert systemctl.calls == []


def test_what_does_not_run_is_not_ready_and_not_asked(systemctl: Systemctl, clock: Clock, answers: Answers) -> None:
    unit = target(readiness={})
    unit.tick()
    systemctl.says(ActiveState="deactivating")
    state = unit.tick()
    assert (state["ready"], state["ready_since"]) == (False, None)
    assert len(answers.asked) == 1


@pytest.mark.usefixtures("systemctl", "clock", "answers")
def test_a_broken_state_file_is_a_new_beginning(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "x.service.json").write_text("{")
    assert target(readiness={}).tick()["ready"]


@pytest.mark.usefixtures("systemctl")
def test_the_startup_probe_is_asked_until_it_succeeds(clock: Clock, answers: Answers) -> None:
    unit = target(startup={"initialDelaySeconds": 3, "failureThreshold": 3, "periodSeconds": 10})
    answers.says["startup"] = False
    assert unit.wait_started() is False
    assert answers.asked == ["startup"] * 3
    assert sum(clock.slept) == 23
    answers.says["startup"] = True
    assert unit.wait_started() is True


def test_a_process_that_ended_is_waited_for_no_longer(
    systemctl: Systemctl, clock: Clock, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = target(startup={"failureThreshold": 100, "periodSeconds": 10})
    answers.says["startup"] = False
    process = subprocess.Popen(["sleep", "60"])
    systemctl.says(MainPID=process.pid)
    sleep = clock.sleep

    def end(seconds: float) -> None:
        sleep(seconds)
        if len(clock.slept) == 14:
            process.kill()
            process.wait()

    monkeypatch.setattr(clock, "sleep", end)
    assert unit.wait_started() is False
    assert (len(answers.asked), sum(clock.slept)) == (2, 14)


@pytest.mark.usefixtures("systemctl", "clock")
def test_another_process_is_not_waited_for(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    answers.says["startup"] = False
    pids = iter([os.getpid(), os.getpid(), os.getppid()])
    monkeypatch.setattr(keeper.Target, "_main_pid", lambda _self: next(pids))
    assert target(startup={"failureThreshold": 100}).wait_started() is False
    assert len(answers.asked) == 1


@pytest.mark.usefixtures("systemctl", "answers")
def test_the_state_is_roots_own_and_says_how_long_it_counts(clock: Clock, tmp_path: Path) -> None:
    unit = target(readiness={"periodSeconds": 20, "timeoutSeconds": 5}, startup={"periodSeconds": 300})
    assert (unit.tick()["looked"], unit.tick()["valid"]) == (clock.now, 75)
    assert target(readiness={"periodSeconds": 1}).tick()["valid"] == 30
    assert stat.S_IMODE((tmp_path / "run" / "x.service.json").stat().st_mode) == 0o600


# ------------------------------------------------------------------------------------------------------------ back-off


def test_delays_double_up_to_five_minutes() -> None:
    assert [keeper.backoff_delay(n) for n in range(10)] == [0, 0, 10, 20, 40, 80, 160, 300, 300, 300]
    assert keeper.backoff_delay(10**6) == 300


def test_back_off_of_a_unit_that_dies_again_and_again(tmp_path: Path, systemctl: Systemctl, clock: Clock) -> None:
    for restarts in range(5):
        systemctl.says(NRestarts=restarts)
        keeper.back_off("x.service", str(tmp_path))
        clock.now += 1
    assert clock.slept == [10, 20, 40]
    assert reasons(tmp_path) == [("Restarted", 1), ("BackOff", 3)]


def test_ten_minutes_of_running_forgive_everything(systemctl: Systemctl, clock: Clock) -> None:
    for restarts, ran in ((0, 1), (1, 1), (2, 601), (3, 1), (4, 599), (5, 1)):
        systemctl.says(NRestarts=restarts)
        keeper.back_off("x.service", NOWHERE)
        clock.now += ran
    assert clock.slept == [10, 10]


def test_a_start_by_hand_waits_for_nothing(systemctl: Systemctl, clock: Clock) -> None:
    for restarts in (0, 1, 2, 0, 0):
        systemctl.says(NRestarts=restarts)
        keeper.back_off("x.service", NOWHERE)
    assert clock.slept == [10]


def test_a_liveness_kill_counts_as_a_restart(tmp_path: Path, systemctl: Systemctl, clock: Clock) -> None:
    keeper.back_off("x.service", NOWHERE)
    for _kill in range(3):
        (tmp_path / "run" / "x.service.killed").touch()
        keeper.back_off("x.service", NOWHERE)
    assert clock.slept == [10, 20]
    assert not (tmp_path / "run" / "x.service.killed").exists()


@pytest.mark.parametrize("content", ["", "x y", "1", "1 2 3"])
def test_a_broken_count_is_no_reason_not_to_start(
    content: str, tmp_path: Path, systemctl: Systemctl, clock: Clock
) -> None:
    systemctl.says(NRestarts=1)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "x.service.backoff").write_text(content)
    keeper.back_off("x.service", NOWHERE)
    assert clock.slept == []


def test_the_first_start_does_without_the_keeper(tmp_path: Path, systemctl: Systemctl, clock: Clock) -> None:
    """What the shell leaves then counts as the keeper's own; without the folder, as after a boot, the keeper is run."""
    note = tmp_path / "run" / "x.service.backoff"

    def start() -> bytes:
        command = ["/bin/sh", "-c", BACK_OFF, "sh", str(note), "echo", "the keeper"]
        done = subprocess.run(command, check=True, capture_output=True)
        assert done.stderr == b""
        return done.stdout

    assert start() == b"the keeper\n"
    note.parent.mkdir()
    assert start() == b""
    assert start() == b"the keeper\n"
    began = float(note.read_text(encoding="ascii").split()[1])
    assert abs(time.clock_gettime(time.CLOCK_BOOTTIME) - began) < 60
    clock.now = began + 1
    for restarts in (1, 2):
        systemctl.says(NRestarts=restarts)
        keeper.back_off("x.service", NOWHERE)
    assert clock.slept == [10]


# ----------------------------------------------------------------------------------------------- as the units start it


def test_the_copy_beside_a_revision_runs_by_itself(systemctl: Systemctl, tmp_path: Path, web: Web) -> None:
    """One folder and nothing else, as `python3 -I`; a startup probe and hooks over HTTP through keeper.json."""
    folder = tmp_path / "revision"
    for name, file in keeper_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(file.content)
    http_get = {"httpGet": {"port": web.port, "path": "/"}}
    unit = {"probes": {"startup": {**http_get, "failureThreshold": 1}}, "postStart": http_get, "preStop": http_get}
    (folder / "keeper.json").write_text(json.dumps({"units": {"x.service": unit}, "pod": None}))

    def run(verb: str) -> int:
        command = [sys.executable, "-ISB", str(folder / "keeper" / "__main__.py"), verb, "x.service"]
        return subprocess.run(command, check=False, capture_output=True).returncode

    assert run("wait-started") == 1
    web.answers["/"] = (200, {})
    assert run("wait-started") == 0
    assert run("postStart") == 0
    assert run("preStop") == 0
    assert len(web.requests) == 4
