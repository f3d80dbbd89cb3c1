# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd starts beside a daemon between two applies: probes, the restart back-off, hooks over HTTP.

A copy of this one file lies in every revision's folder, with ``keeper.json`` beside it, and is run by units as
``python3 -I keeper.py VERB [UNIT]``; nothing of it stays in memory. The instance module imports it to wait for
readiness with the very same probes. Rules: Kubernetes' kubelet, prober and pkg/probe.

``keeper.json`` is ``{"units": {UNIT: {"probes": {"startup"|"liveness"|"readiness": PROBE}, "postStart": HOOK,
"preStop": HOOK, "workingDirectory": PATH, "environment": {NAME: VALUE}}}}``, PROBE and HOOK being Kubernetes' own
objects after defaulting, named ports resolved.
"""

from __future__ import annotations

import contextlib
import fcntl
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

RUN = "/run/everynode"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # systemd's own, whatever the manifest sets
OUTPUT_LIMIT = 10 * 1024  # bytes of an answer, or of a command's output, that a probe looks at
REDIRECTS = (301, 302, 303, 307, 308)
REDIRECT_LIMIT = 10
URL_CHARACTERS = "!$%&'()*+,-./:;=?@[]_~"  # what a request line may hold as it is
OUTPUT_SHOWN = 1000  # characters of a failed command's output in the journal
STALE_PERIODS, STALE_SECONDS = 3, 30.0  # a verdict older than both counts for nothing any more
BACKOFF_FIRST, BACKOFF_LIMIT, BACKOFF_RESET = 10.0, 300.0, 600.0  # seconds

# HTTP/2 (RFC 9113)
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
FRAME_LIMIT = 16384
HEALTH = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}  # grpc.health.v1

Outcome = Tuple[bool, str]  # succeeded?, why not
FAILURES = (OSError, http.client.HTTPException, ValueError, subprocess.SubprocessError)


# ------------------------------------------------------------------------------------------------------ other programs
# What ansible-test would have instead, AnsibleModule's run_command, is not there where systemd starts this file.


def run_command(arguments: Sequence[str], check: bool = False, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """subprocess.run; nothing raises for the exit status unless ``check`` says so."""
    return subprocess.run(arguments, check=check, **options)  # pylint: disable=ansible-bad-function


def start_command(arguments: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(arguments, **options)  # pylint: disable=ansible-bad-function


# ---------------------------------------------------------------------------------------------------------- one probe


def run_probe(probe: Mapping[str, Any], target: Mapping[str, Any], pid: int) -> Outcome:
    """Do one probe once; ``target`` is the unit's entry in keeper.json, ``pid`` its main process."""
    timeout = float(probe.get("timeoutSeconds") or 1)
    try:
        if "exec" in probe:
            return _exec(probe["exec"]["command"], target, pid, timeout)
        return _within(timeout, lambda: _ask(probe, timeout))
    except FAILURES as error:
        return False, _reason(error, timeout)


def _ask(probe: Mapping[str, Any], timeout: float) -> Outcome:
    if "httpGet" in probe:
        return _http_get(probe["httpGet"], timeout)
    if "tcpSocket" in probe:
        return _tcp_socket(probe["tcpSocket"], timeout)
    return _grpc(probe["grpc"], timeout)


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
    order = json.dumps(_order(command, target, pid)).encode()
    deadline = time.monotonic() + timeout
    reading, writing = os.pipe()
    try:
        process = start_command(
            [sys.executable or "/usr/bin/python3", "-I", "-c", ENTER, str(reading)],
            env={"PATH": PATH},
            cwd="/",
            pass_fds=[reading],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
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
    if last and __name__ == "__main__":
        _tell("<5>{}: {}: {}".format(target.get("unit", "exec probe"), why, last))


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


def _http_get(action: Mapping[str, Any], timeout: float) -> Outcome:
    """200 to 399 succeeds."""
    answer, url = _http_answer(action, timeout)
    if 200 <= answer.status < 400:
        return True, ""
    return False, f"HTTP {answer.status} {answer.reason} on {urllib.parse.urlsplit(url).path}"


def _http_answer(action: Mapping[str, Any], timeout: float | None) -> tuple[http.client.HTTPResponse, str]:
    """The last answer and its URL: redirects on the same host are followed, one to another host is an answer.

    Certificates are not checked (pkg/probe/http: NewWithTLSConfig, RedirectChecker).
    """
    host, path = action.get("host") or "127.0.0.1", action.get("path") or "/"
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


def _tcp_socket(action: Mapping[str, Any], timeout: float) -> Outcome:
    socket.create_connection((action.get("host") or "127.0.0.1", int(action["port"])), timeout).close()
    return True, ""


# --------------------------------------------------------------------------------------------------------------- gRPC


def _grpc(action: Mapping[str, Any], timeout: float) -> Outcome:
    """grpc.health.v1.Health/Check over plaintext HTTP/2, just as much of it as one unary call needs."""
    service = (action.get("service") or "").encode()
    message = (b"\x0a" + _varint(len(service)) + service) if service else b""
    with socket.create_connection(("127.0.0.1", int(action["port"])), timeout) as connection:
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


# ------------------------------------------------------------------------------------------------------ a unit's state


def unit_state(unit: str) -> dict[str, str]:
    names = "ActiveState,InvocationID,MainPID,ExecMainStartTimestampMonotonic,NRestarts"
    output = run_command(
        ["systemctl", "show", "--property=" + names, "--", unit], stdout=subprocess.PIPE, check=True
    ).stdout.decode("utf-8", "replace")
    return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)


class Target:
    """One unit under probes: its state file in /run, locked while a tick works on it."""

    def __init__(self, unit: str, entry: Mapping[str, Any]):
        self.unit = unit
        self.entry = dict(entry, unit=unit)
        self.probes: Mapping[str, Mapping[str, Any]] = entry.get("probes", {})
        self.path = os.path.join(RUN, unit + ".json")

    def tick(self, eager: bool = False) -> dict[str, Any]:
        """Run the probes that are due, act on liveness, save and return the state.

        ``eager`` runs the readiness probe of an unready unit whether it is due or not, as the kubelet may, so that a
        rollout does not wait for a whole period.
        """
        os.makedirs(RUN, mode=0o755, exist_ok=True)
        with open(os.path.join(RUN, self.unit + ".lock"), "a", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            unit = unit_state(self.unit)
            state = self._load(unit)
            if unit.get("ActiveState") == "active" and int(unit.get("MainPID") or 0):
                restart = self._probe(state, unit, eager)
            else:
                restart = False
                state.update(ready=False, ready_since=None, message="its process is not running")
            state.update(looked=_boot_clock(), valid=self._valid_seconds())
            self._save(state)
        if restart:
            self._restart(state)
        return state

    def _load(self, unit: Mapping[str, str]) -> dict[str, Any]:
        try:
            with open(self.path, encoding="utf-8") as file:
                state: dict[str, Any] = json.load(file)
        except (OSError, ValueError):
            state = {}
        if state.get("invocation") != unit.get("InvocationID"):
            state = {
                "invocation": unit.get("InvocationID"),
                # The process's start: initialDelaySeconds does not wait for the startup probe once more.
                "started": int(unit.get("ExecMainStartTimestampMonotonic") or 0) / 1e6,
                "ready": False,
                "ready_since": None,
                "message": "its readiness probe has not succeeded yet",
                "probes": {},
            }
        return state

    def _save(self, state: Mapping[str, Any]) -> None:
        beside = self.path + ".new"
        forget(beside)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(state, file)
        os.rename(beside, self.path)

    def _valid_seconds(self) -> float:
        """How long the state says something: if nobody looks again by then, the timer or this program is broken."""
        rounds = [
            float(probe.get("periodSeconds") or 10) + float(probe.get("timeoutSeconds") or 1)
            for kind, probe in self.probes.items()
            if kind != "startup"
        ]
        return max(STALE_SECONDS, STALE_PERIODS * max(rounds, default=0.0))

    def _probe(self, state: dict[str, Any], unit: Mapping[str, str], eager: bool) -> bool:
        """Run what is due; true if the liveness probe says that the process must be restarted."""
        pid, now = int(unit["MainPID"]), time.clock_gettime(time.CLOCK_MONOTONIC)
        if "readiness" in self.probes:
            verdict = self._count(state, "readiness", pid, now, eager and not state["ready"])
            if verdict is True and not state["ready"]:
                state.update(ready=True, ready_since=_boot_clock(), message="")
            elif verdict is False:
                state.update(
                    ready=False, ready_since=None, message="readiness probe: " + state["probes"]["readiness"]["why"]
                )
        if "liveness" in self.probes:
            return self._count(state, "liveness", pid, now, False) is False
        return False

    def _count(self, state: dict[str, Any], kind: str, pid: int, now: float, eager: bool) -> bool | None:
        """Run one probe if due; True or False once its threshold of successes or failures is reached, else None."""
        probe = self.probes[kind]
        counted = state["probes"].setdefault(kind, {"successes": 0, "failures": 0, "last": None, "why": ""})
        if now < state["started"] + float(probe.get("initialDelaySeconds") or 0):
            return None
        # Timers fire a little late or early: half a second of slack keeps every period a period.
        due = (counted["last"] or 0.0) + float(probe.get("periodSeconds") or 10) - 0.5
        if counted["last"] is not None and now < due and not eager:
            return None
        succeeded, counted["why"] = run_probe(probe, self.entry, pid)
        counted["last"] = now
        counted["successes"] = counted["successes"] + 1 if succeeded else 0
        counted["failures"] = 0 if succeeded else counted["failures"] + 1
        if succeeded:
            return True if counted["successes"] >= int(probe.get("successThreshold") or 1) else None
        if kind == "readiness" and not state["ready"]:
            return False
        return False if counted["failures"] >= int(probe.get("failureThreshold") or 3) else None

    def _restart(self, state: Mapping[str, Any]) -> None:
        why = state["probes"]["liveness"]["why"]
        _tell(f"<4>{self.unit}: liveness probe failed ({why}): restarting it")
        with open(_killed(self.unit), "w", encoding="ascii"):
            pass
        # Never «restart»: it would start what somebody has stopped since.
        run_command(["systemctl", "--no-block", "try-restart", "--", self.unit])

    def wait_started(self) -> bool:
        """The startup probe, until it succeeds once (true); false if it fails too often, or the process is gone."""
        probe, failures, pid = self.probes["startup"], 0, self._main_pid()
        if not _outlives(pid, float(probe.get("initialDelaySeconds") or 0)):
            return self._gone()
        while True:
            began, former = time.monotonic(), pid
            pid = self._main_pid()
            if former and pid != former:
                return self._gone()
            succeeded, why = run_probe(probe, self.entry, pid) if pid else (False, "its process is not running")
            if succeeded:
                return True
            failures += 1
            if failures >= int(probe.get("failureThreshold") or 3):
                _tell(f"<4>{self.unit}: startup probe failed {failures} times: {why}")
                return False
            if not _outlives(pid, float(probe.get("periodSeconds") or 10) - (time.monotonic() - began)):
                return self._gone()

    def _main_pid(self) -> int:
        return int(unit_state(self.unit).get("MainPID") or 0)

    def _gone(self) -> bool:
        _tell(f"<4>{self.unit}: its process ended before the startup probe succeeded")
        return False


def _outlives(pid: int, seconds: float) -> bool:
    """Wait; false, and at once, if this process ends meanwhile. 0 is one that never ran."""
    deadline = time.monotonic() + seconds
    while not pid or os.path.exists(f"/proc/{pid}"):
        left = deadline - time.monotonic()
        if left <= 0:
            return True
        time.sleep(min(left, 1.0))
    return False


def _boot_clock() -> float:
    """Seconds since boot as in /proc/uptime: a clock that nobody sets."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


# --------------------------------------------------------------------------------------------------- restart back-off


def backoff_delay(quick_restarts: int) -> float:
    """Seconds to wait before the n-th restart in a row: 0, 10, 20, 40 … 300, as the kubelet (flowcontrol.Backoff)."""
    return 0.0 if quick_restarts <= 1 else min(BACKOFF_FIRST * 2 ** min(quick_restarts - 2, 10), BACKOFF_LIMIT)


def back_off(unit: str) -> None:
    """Before each start of a unit: wait the longer, the oftener it died young; ten minutes of running forgive all.

    A start by hand or by an apply waits for nothing: systemd counts only its own restarts, and a liveness kill leaves
    a note.
    """
    path, now = os.path.join(RUN, unit + ".backoff"), time.clock_gettime(time.CLOCK_MONOTONIC)
    by_itself = int(unit_state(unit).get("NRestarts") or 0) > 0 or os.path.exists(_killed(unit))
    forget(_killed(unit))
    try:
        with open(path, encoding="ascii") as file:
            count, last = file.read().split()
        restarts = int(count) + 1 if by_itself and now - float(last) < BACKOFF_RESET else 0
    except (OSError, ValueError):
        restarts = 1 if by_itself else 0
    delay = backoff_delay(restarts)
    os.makedirs(RUN, mode=0o755, exist_ok=True)
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(f"{restarts} {now + delay:.1f}\n")
    os.rename(path + ".new", path)
    if delay:
        _tell(f"<5>{unit}: restart {restarts} in a row, waiting {delay:g} s")
        time.sleep(delay)


def _killed(unit: str) -> str:
    return os.path.join(RUN, unit + ".killed")


def forget(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


# ---------------------------------------------------------------------------------------------------------- the verbs


def targets(configuration: Mapping[str, Any]) -> list[Target]:
    return [Target(unit, entry) for unit, entry in sorted(configuration["units"].items())]


def _tell(message: str) -> None:
    """Into the unit's journal; ``<4>`` and ``<5>`` are its priorities, warning and notice."""
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> int:
    verb, unit = arguments[0], arguments[1] if len(arguments) > 1 else ""
    if verb == "back-off":
        back_off(unit)
        return 0
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "keeper.json"), encoding="utf-8") as file:
        configuration = json.load(file)
    if verb == "probe":
        for target in targets(configuration):
            if target.probes.keys() & {"liveness", "readiness"}:
                target.tick()
        return 0
    entry = configuration["units"][unit]
    if verb == "wait-started":
        return 0 if Target(unit, entry).wait_started() else 1
    return call_hook(unit, verb, entry[verb]["httpGet"])


def call_hook(unit: str, name: str, action: Mapping[str, Any]) -> int:
    """A postStart or preStop hook: any answer will do, and systemd limits the time (kubelet: runHTTPHandler)."""
    if name == "preStop" and not int(unit_state(unit).get("MainPID") or 0):
        return 0  # the daemon ended by itself: Kubernetes has nothing to stop then, systemd runs ExecStop all the same
    try:
        _http_answer(action, None)
    except FAILURES as error:
        _tell(f"<4>{unit}: {name} hook failed: {error}")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
