# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One probe, done once: exec, httpGet, tcpSocket, grpc (Kubernetes: pkg/probe and the kubelet's prober)."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pwd
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
from typing import Any, Callable, Mapping, Sequence, Tuple

from .commands import PATH, start_command, tell

OUTPUT_LIMIT = 10 * 1024  # bytes of an answer, or of a command's output, that a probe looks at
REDIRECTS = (301, 302, 303, 307, 308)
REDIRECT_LIMIT = 10
URL_CHARACTERS = "!$%&'()*+,-./:;=?@[]_~"  # what a request line may hold as it is
OUTPUT_SHOWN = 1000  # characters of a failed command's output in the journal

# HTTP/2 (RFC 9113)
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
FRAME_LIMIT = 16384
HEALTH = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}  # grpc.health.v1

LOOPBACK = "127.0.0.1"  # where a process in the host's own network is asked, unless the probe names a host

Outcome = Tuple[bool, str]  # succeeded?, why not
FAILURES = (OSError, http.client.HTTPException, ValueError, subprocess.SubprocessError)


def run_probe(probe: Mapping[str, Any], target: Mapping[str, Any], pid: int) -> Outcome:
    """Do one probe once; ``target`` is the process's entry in keeper.json, ``pid`` its main process."""
    timeout = float(probe.get("timeoutSeconds") or 1)
    try:
        if "exec" in probe:
            return _exec(probe["exec"]["command"], target, pid, timeout)
        return _within(timeout, lambda: _ask(probe, target.get("address") or LOOPBACK, timeout))
    except FAILURES as error:
        return False, _reason(error, timeout)


def _ask(probe: Mapping[str, Any], address: str, timeout: float) -> Outcome:
    if "httpGet" in probe:
        return _http_get(probe["httpGet"], address, timeout)
    if "tcpSocket" in probe:
        return _tcp_socket(probe["tcpSocket"], address, timeout)
    return _grpc(probe["grpc"], address, timeout)


def _within(timeout: float, ask: Callable[[], Outcome]) -> Outcome:
    """The outcome, or socket.timeout: a socket's own timeout begins anew with every byte, and there is none for DNS."""
    outcomes: list[Outcome] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            outcomes.append(ask())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout)
    if errors:
        raise errors[0]
    if not outcomes:
        raise socket.timeout()
    return outcomes[0]


def _reason(error: BaseException, timeout: float) -> str:
    if isinstance(error, (socket.timeout, subprocess.TimeoutExpired)):
        return f"no answer within {timeout:g} s"
    return str(error) or type(error).__name__


# --------------------------------------------------------------------------------------------------------------- exec


# Becomes a command beside the daemon. It is a program of its own that is wholly loaded before it enters the daemon's
# mounts, and knows the daemon's variables, which may name libraries to load, only when it is root no more.
ENTER = r"""
import ctypes, json, os, sys, warnings  # execvpe would import the last one beyond the point of no return
with os.fdopen(int(sys.argv[1]), "rb") as pipe:
    order = json.load(pipe)
system = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    if getattr(system, name)(*map(ctypes.c_ulong, arguments)):
        number = ctypes.get_errno()
        raise OSError(number, "{}: {}".format(name, os.strerror(number)))
try:
    namespace = os.open("/proc/{}/ns/mnt".format(order["pid"]), os.O_RDONLY)
    if os.stat("/proc/self/ns/mnt").st_ino != os.fstat(namespace).st_ino:
        call("setns", namespace, 0x20000)  # CLONE_NEWNS
    os.close(namespace)
    for number in order["capabilities"]:
        call("prctl", 24, number, 0, 0, 0)  # PR_CAPBSET_DROP
    os.setgroups(order["groups"])
    os.setresgid(*[order["gid"]] * 3)
    os.setresuid(*[order["uid"]] * 3)
    if order["no_new_privileges"]:
        call("prctl", 38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    os.chdir(order["directory"])
    os.execvpe(order["command"][0], order["command"], order["environment"])
except OSError as error:
    os.write(2, "{}: {}\n".format(order["command"][0], error).encode("utf-8", "replace"))
    os._exit(127)
"""


def _exec(command: list[str], target: Mapping[str, Any], pid: int, timeout: float) -> Outcome:
    """In the daemon's own mount namespace, as its user, with its environment: as the kubelet does in the container."""
    deadline = time.monotonic() + timeout
    if "enter" in target:  # the engine's own way into the container
        process = start_command([*target["enter"], *command], env={"PATH": PATH}, **_OWN_OUTPUT)
    else:
        process = _enter(json.dumps(_order(command, target, pid)).encode())
    try:
        output = _output(process, deadline)
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        process.stdout.close()  # type: ignore[union-attr]
    if process.returncode == 0:
        return True, ""
    why = f"{command[0]} exited with {process.returncode}"
    _tell_output(target, why, output)
    return False, why


_OWN_OUTPUT: dict[str, Any] = {
    "stdin": subprocess.DEVNULL,
    "stdout": subprocess.PIPE,
    "stderr": subprocess.STDOUT,
    "start_new_session": True,
}


def _enter(order: bytes) -> subprocess.Popen[bytes]:
    reading, writing = os.pipe()
    try:
        process = start_command(
            [sys.executable or "/usr/bin/python3", "-I", "-c", ENTER, str(reading)],
            env={"PATH": PATH},
            cwd="/",
            pass_fds=[reading],
            **_OWN_OUTPUT,
        )
        os.close(reading)
        reading = -1
        with os.fdopen(writing, "wb") as pipe, contextlib.suppress(BrokenPipeError):
            writing = -1
            pipe.write(order)
    finally:
        for descriptor in (reading, writing):
            if descriptor >= 0:
                os.close(descriptor)
    return process


def _order(command: Sequence[str], target: Mapping[str, Any], pid: int) -> dict[str, Any]:
    """What ENTER is told. Nothing of it is asked of the daemon's own memory, which the daemon may write as it likes."""
    status = _status(pid)
    uid = int(status["Uid"][1])
    bounding = int(status["CapBnd"][0], 16)
    environment = {"PATH": PATH}
    with contextlib.suppress(KeyError):
        environment["HOME"] = pwd.getpwuid(uid).pw_dir
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        last_capability = int(file.read())
    return {
        "pid": pid,
        "uid": uid,
        "gid": int(status["Gid"][1]),
        "groups": [int(group) for group in status["Groups"]],
        "capabilities": [number for number in range(last_capability + 1) if not bounding >> number & 1],
        "no_new_privileges": status.get("NoNewPrivs") == ["1"],
        "directory": target.get("workingDirectory") or "/",
        "command": list(command),
        "environment": {**environment, **target.get("environment", {})},
    }


def _status(pid: int) -> dict[str, list[str]]:
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        return {key: value.split() for key, _colon, value in (line.partition(":") for line in status)}


def _tell_output(target: Mapping[str, Any], why: str, output: bytes) -> None:
    """Into the journal, which not everybody may read, and nowhere else: it may hold secrets."""
    last = output.decode("utf-8", "replace").strip().rpartition("\n")[2]
    last = "".join(character if character.isprintable() else " " for character in last)[:OUTPUT_SHOWN]
    if last and target.get("journal"):
        tell("<5>{}: {}: {}".format(target.get("unit", "exec probe"), why, last))


def _output(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    """The beginning of what a command prints until it closes its output; the rest is read and forgotten."""
    output, stream = b"", process.stdout.fileno()  # type: ignore[union-attr]
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([stream], [], [], left)[0]:
            raise subprocess.TimeoutExpired(process.args, 0)
        chunk = os.read(stream, 65536)
        if not chunk:
            return output
        output += chunk[: OUTPUT_LIMIT - len(output)]


# ------------------------------------------------------------------------------------------------------- HTTP and TCP


def _http_get(action: Mapping[str, Any], address: str, timeout: float) -> Outcome:
    """200 to 399 succeeds."""
    answer, url = http_answer(action, address, timeout)
    if 200 <= answer.status < 400:
        return True, ""
    return False, f"HTTP {answer.status} {answer.reason} on {urllib.parse.urlsplit(url).path}"


def http_answer(action: Mapping[str, Any], address: str, timeout: float | None) -> tuple[http.client.HTTPResponse, str]:
    """The last answer and its URL: redirects on the same host are followed, one to another host is an answer.

    Certificates are not checked (pkg/probe/http: NewWithTLSConfig, RedirectChecker).
    """
    host, path = action.get("host") or address, action.get("path") or "/"
    url = "{}://{}:{}{}{}".format(
        str(action.get("scheme") or "HTTP").lower(),
        f"[{host}]" if ":" in host else host,
        action["port"],
        "" if path.startswith("/") else "/",
        path,
    )
    headers = _headers(action.get("httpHeaders", []))
    for _request in range(REDIRECT_LIMIT):
        answer = _request_once(url, headers, timeout)
        location = answer.getheader("Location")
        if answer.status not in REDIRECTS or not location:
            return answer, url
        target = urllib.parse.urljoin(url, location)
        if urllib.parse.urlsplit(target).hostname != urllib.parse.urlsplit(url).hostname:
            return answer, url
        if urllib.parse.urlsplit(location).netloc:  # as Go's client: the header was meant for the first URL
            headers = [(name, value) for name, value in headers if name.lower() != "host"]
        url = target
    raise OSError(f"stopped after {REDIRECT_LIMIT} redirects")


def _headers(given: list[dict[str, str]]) -> list[tuple[str, str]]:
    """What the kubelet sends: its own headers unless they are given, and no Accept if that is given empty."""
    names = {header["name"].lower() for header in given}
    own = [("User-Agent", "kube-probe/everynode"), ("Accept", "*/*"), ("Connection", "close")]
    headers = [(name, value) for name, value in own if name.lower() not in names]
    headers += [(header["name"], header.get("value", "")) for header in given]
    return [(name, value) for name, value in headers if value or name.lower() not in ("accept", "host")]


def _request_once(url: str, headers: list[tuple[str, str]], timeout: float | None) -> http.client.HTTPResponse:
    parts = urllib.parse.urlsplit(url)
    connection = _connection(parts, timeout)
    try:
        selector = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        connection.putrequest(
            "GET", urllib.parse.quote(selector, safe=URL_CHARACTERS), skip_host=True, skip_accept_encoding=True
        )
        if not any(name.lower() == "host" for name, _value in headers):
            connection.putheader("Host", parts.netloc)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read(OUTPUT_LIMIT)
        if answer.length and len(body) < OUTPUT_LIMIT:
            raise http.client.IncompleteRead(body, answer.length)
        return answer
    finally:
        connection.close()


def _connection(url: urllib.parse.SplitResult, timeout: float | None) -> http.client.HTTPConnection:
    host = url.hostname or ""
    if url.scheme == "http":
        return http.client.HTTPConnection(host, url.port, timeout=timeout)
    if url.scheme != "https":
        raise ValueError(f"redirected to {url.scheme}://, which is neither http nor https")
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, url.port, timeout=timeout, context=context)


def _tcp_socket(action: Mapping[str, Any], address: str, timeout: float) -> Outcome:
    socket.create_connection((action.get("host") or address, int(action["port"])), timeout).close()
    return True, ""


# --------------------------------------------------------------------------------------------------------------- gRPC


def _grpc(action: Mapping[str, Any], address: str, timeout: float) -> Outcome:
    """grpc.health.v1.Health/Check over plaintext HTTP/2, just as much of it as one unary call needs."""
    service = (action.get("service") or "").encode()
    message = (b"\x0a" + _varint(len(service)) + service) if service else b""
    with socket.create_connection((address, int(action["port"])), timeout) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(SETTINGS, 0, 0, b""))
        connection.sendall(_frame(HEADERS, END_HEADERS, 1, _grpc_headers()))
        connection.sendall(_frame(DATA, END_STREAM, 1, b"\0" + struct.pack(">I", len(message)) + message))
        body = _grpc_body(connection)
    if not body:
        detail = "it knows no such service, or has no grpc.health.v1.Health"
        return False, f"the server does not tell the health of {service.decode()!r}: {detail}"
    # Five bytes before the message: compressed?, length. Its one field is the status, which is absent if it is 0.
    status = body[6] if body[5:6] == b"\x08" else 0
    return status == 1, "" if status == 1 else f"the service {service.decode()!r} is {HEALTH.get(status, status)}"


def _grpc_body(connection: socket.socket) -> bytes:
    """The data of the first stream, up to its end; empty if the call failed, which only headers would explain."""
    body = b""
    while True:
        length, kind, flags, stream = _frame_head(_receive(connection, 9))
        if length > FRAME_LIMIT:
            raise OSError("the server does not speak HTTP/2")
        payload = _receive(connection, length)
        if kind in (SETTINGS, PING) and not flags & ACK:
            connection.sendall(_frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind == GOAWAY or (kind == RST_STREAM and stream == 1):
            raise OSError("the server closed the call")
        elif kind == DATA and stream == 1:
            body += payload[1 : length - payload[0]] if flags & PADDED else payload
        if stream == 1 and kind in (DATA, HEADERS) and flags & END_STREAM:
            return body


def _varint(number: int) -> bytes:
    result = b""
    while number > 127:
        result += bytes([number & 127 | 128])
        number >>= 7
    return result + bytes([number])


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _frame_head(head: bytes) -> tuple[int, int, int, int]:
    return int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF


def _receive(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        chunk = connection.recv(length - len(data))
        if not chunk:
            raise OSError("the server closed the connection")
        data += chunk
    return data


def _grpc_headers() -> bytes:
    """Header block of literal fields without indexing (RFC 7541), so that no dynamic table is needed."""
    fields = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    )
    return b"".join(b"\0" + bytes([len(k)]) + k.encode() + bytes([len(v)]) + v.encode() for k, v in fields)
