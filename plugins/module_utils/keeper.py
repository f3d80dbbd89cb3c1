# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd starts beside a daemon between two applies: probes, the restart back-off, hooks over HTTP.

A copy of this one file lies in every revision's folder, with ``keeper.json`` beside it, and is run by units as
``python3 -I keeper.py VERB [UNIT]``; nothing of it stays in memory. The instance module imports it to wait for readiness with the
very same probes. Rules: Kubernetes' kubelet, prober and pkg/probe (kubernetes-daemonset: probes and lifecycle).

``keeper.json`` is ``{"units": {UNIT: {"probes": {"startup"|"liveness"|"readiness": PROBE}, "postStart": HOOK, "preStop": HOOK,
"environment": FILE, "workingDirectory": PATH}}}``, PROBE and HOOK being Kubernetes' own objects after defaulting, named ports resolved.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import time
import urllib.parse
from typing import Any, Mapping, Tuple

RUN = "/run/everynode"
BODY_LIMIT = 10 * 1024  # bytes of an HTTP answer that a probe reads
BACKOFF_FIRST, BACKOFF_LIMIT, BACKOFF_RESET = 10.0, 300.0, 600.0  # seconds

Outcome = Tuple[bool, str]  # succeeded?, why not


# ---------------------------------------------------------------------------------------------------------------- one probe


def run_probe(probe: Mapping[str, Any], target: Mapping[str, Any], pid: int) -> Outcome:
    """Do one probe once; ``target`` is the unit's entry in keeper.json, ``pid`` its main process."""
    timeout = float(probe.get("timeoutSeconds") or 1)
    try:
        if "exec" in probe:
            return _exec(probe["exec"]["command"], target, pid, timeout)
        if "httpGet" in probe:
            return _http_get(probe["httpGet"], timeout)
        if "tcpSocket" in probe:
            return _tcp_socket(probe["tcpSocket"], timeout)
        return _grpc(probe["grpc"], timeout)
    except (OSError, http.client.HTTPException, ValueError, subprocess.SubprocessError) as error:
        return False, _reason(error, timeout)


def _reason(error: BaseException, timeout: float) -> str:
    if isinstance(error, (socket.timeout, subprocess.TimeoutExpired)):
        return f"no answer within {timeout:g} s"
    return str(error) or type(error).__name__


def _exec(command: list[str], target: Mapping[str, Any], pid: int, timeout: float) -> Outcome:
    """In the daemon's own mount namespace, as its user, with its environment: as the kubelet runs it in the container."""
    ids = _identity(pid)
    enter = ["nsenter", "--target", str(pid), "--mount", "--wd=" + (target.get("workingDirectory") or "/")]
    if ids["Uid"] != "0" or ids["Gid"] != "0":
        enter += ["--setgid", ids["Gid"], "--setuid", ids["Uid"]]
    process = subprocess.Popen(
        enter + ["--"] + list(command),
        env=_environment(pid),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output = process.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        raise
    if process.returncode == 0:
        return True, ""
    last = output.decode("utf-8", "replace").strip().split("\n")[-1]
    return False, "%s exited with %d%s" % (command[0], process.returncode, ": " + last if last else "")


def _identity(pid: int) -> dict[str, str]:
    with open("/proc/%d/status" % pid, encoding="ascii", errors="replace") as status:
        pairs = (line.partition(":") for line in status)
        return {key: value.split()[1] for key, _colon, value in pairs if key in ("Uid", "Gid")}


def _environment(pid: int) -> dict[str, str]:
    with open("/proc/%d/environ" % pid, "rb") as environ:
        entries = (entry.partition(b"=") for entry in environ.read().split(b"\0"))
        return {os.fsdecode(key): os.fsdecode(value) for key, equals, value in entries if equals and key}


def _http_get(action: Mapping[str, Any], timeout: float) -> Outcome:
    """200 to 399 succeeds; certificates are not checked; a redirect to another host counts as success (pkg/probe/http)."""
    secure = str(action.get("scheme", "HTTP")).upper() == "HTTPS"
    address = action.get("host") or "127.0.0.1"
    headers = {"User-Agent": "kube-probe/everynode", "Accept": "*/*", "Connection": "close"}
    for header in action.get("httpHeaders", []):
        headers = {key: value for key, value in headers.items() if key.lower() != header["name"].lower()}
        headers[header["name"]] = header.get("value", "")
    path, deadline = action.get("path") or "/", time.monotonic() + timeout
    for _redirect in range(10):
        left = deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout()
        connection = _http_connection(secure, address, int(action["port"]), left)
        try:
            connection.request("GET", path if path.startswith("/") else "/" + path, headers=headers)
            answer = connection.getresponse()
            answer.read(BODY_LIMIT)
        finally:
            connection.close()
        location = urllib.parse.urlsplit(answer.getheader("Location") or "")
        if answer.status not in (301, 302, 303, 307, 308) or not location.path:
            return 200 <= answer.status < 400, "HTTP %d %s on %s" % (answer.status, answer.reason, path)
        if location.hostname and location.hostname != address:
            return True, ""
        path = location.path + ("?" + location.query if location.query else "")
    return False, "more than 10 redirects"


def _http_connection(secure: bool, address: str, port: int, timeout: float) -> http.client.HTTPConnection:
    if not secure:
        return http.client.HTTPConnection(address, port, timeout=timeout)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(address, port, timeout=timeout, context=context)


def _tcp_socket(action: Mapping[str, Any], timeout: float) -> Outcome:
    socket.create_connection((action.get("host") or "127.0.0.1", int(action["port"])), timeout).close()
    return True, ""


def _grpc(action: Mapping[str, Any], timeout: float) -> Outcome:
    """grpc.health.v1.Health/Check over plaintext HTTP/2, just as much of it as one unary call needs (RFC 9113, RFC 7541)."""
    service = (action.get("service") or "").encode()
    message = (b"\x0a" + _varint(len(service)) + service) if service else b""
    with socket.create_connection(("127.0.0.1", int(action["port"])), timeout) as connection:
        deadline = time.monotonic() + timeout
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b""))
        connection.sendall(_frame(1, 4, 1, _grpc_headers()))
        connection.sendall(_frame(0, 1, 1, b"\0" + struct.pack(">I", len(message)) + message))
        body = b""
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise socket.timeout()
            connection.settimeout(left)
            length, kind, flags, stream = _frame_head(_receive(connection, 9))
            payload = _receive(connection, length)
            if kind == 4 and not flags & 1:
                connection.sendall(_frame(4, 1, 0, b""))
            elif kind == 6 and not flags & 1:
                connection.sendall(_frame(6, 1, 0, payload))
            elif kind in (3, 7):
                return False, "the server closed the call"
            elif kind == 0 and stream == 1:
                body += payload
            if stream == 1 and kind in (0, 1) and flags & 1:
                break
    if body[5:7] == b"\x08\x01":
        return True, ""
    return False, "the service %r is not SERVING" % (action.get("service") or "")


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
    """Header block of literal fields without indexing, so that no dynamic table is needed."""
    fields = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    )
    return b"".join(b"\0" + bytes([len(k)]) + k.encode() + bytes([len(v)]) + v.encode() for k, v in fields)


# -------------------------------------------------------------------------------------------------------- a unit's state


def unit_state(unit: str) -> dict[str, str]:
    names = "ActiveState,SubState,InvocationID,MainPID,ActiveEnterTimestampMonotonic,NRestarts,Result,ExecMainStatus"
    output = subprocess.run(
        ["systemctl", "show", "--property=" + names, "--", unit], stdout=subprocess.PIPE, check=True
    ).stdout.decode("utf-8", "replace")
    return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)


class Target:
    """One unit under probes: its state file in /run, locked while a tick works on it."""

    def __init__(self, unit: str, entry: Mapping[str, Any]):
        self.unit = unit
        self.entry = entry
        self.probes: Mapping[str, Mapping[str, Any]] = entry.get("probes", {})
        self.path = os.path.join(RUN, unit + ".json")

    def tick(self, eager: bool = False) -> dict[str, Any]:
        """Run the probes that are due, act on liveness, save and return the state.

        ``eager`` runs the readiness probe of an unready unit whether it is due or not, as the kubelet may, so that a rollout
        does not wait for a whole period.
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
                state.update(ready=False, message="its process is not running")
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
            started = int(unit.get("ActiveEnterTimestampMonotonic") or 0) / 1e6
            state = {
                "invocation": unit.get("InvocationID"),
                "started": started,
                "ready": False,
                "ready_since": None,
                "message": "its readiness probe has not succeeded yet",
                "probes": {},
            }
        return state

    def _save(self, state: Mapping[str, Any]) -> None:
        beside = self.path + ".new"
        with open(beside, "w", encoding="utf-8") as file:
            json.dump(state, file)
        os.rename(beside, self.path)

    def _probe(self, state: dict[str, Any], unit: Mapping[str, str], eager: bool) -> bool:
        """Run what is due; true if the liveness probe says that the process must be restarted."""
        pid, now = int(unit["MainPID"]), time.clock_gettime(time.CLOCK_MONOTONIC)
        if "readiness" in self.probes:
            verdict = self._count(state, "readiness", pid, now, eager and not state["ready"])
            if verdict is True and not state["ready"]:
                state.update(ready=True, ready_since=time.time(), message="")
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
        if (
            not eager
            and counted["last"] is not None
            and now < counted["last"] + float(probe.get("periodSeconds") or 10) - 0.5
        ):
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
        print(f"<4>{self.unit}: liveness probe failed ({why}): restarting it", file=sys.stderr)
        with open(_killed(self.unit), "w", encoding="ascii"):
            pass
        subprocess.run(["systemctl", "--no-block", "restart", "--", self.unit], check=False)

    def wait_started(self) -> bool:
        """The startup probe, until it succeeds once (true) or fails for the failureThreshold-th time (false)."""
        probe, failures = self.probes["startup"], 0
        time.sleep(float(probe.get("initialDelaySeconds") or 0))
        while True:
            began = time.monotonic()
            pid = int(os.environ.get("MAINPID") or unit_state(self.unit).get("MainPID") or 0)
            succeeded, why = run_probe(probe, self.entry, pid) if pid else (False, "its process is not running")
            if succeeded:
                return True
            failures += 1
            if failures >= int(probe.get("failureThreshold") or 3):
                print("<4>%s: startup probe failed %d times: %s" % (self.unit, failures, why), file=sys.stderr)
                return False
            time.sleep(max(0.0, float(probe.get("periodSeconds") or 10) - (time.monotonic() - began)))


# ----------------------------------------------------------------------------------------------------- restart back-off


def backoff_delay(quick_restarts: int) -> float:
    """Seconds to wait before the n-th restart in a row: 0, 10, 20, 40 … 300, as the kubelet does (client-go flowcontrol.Backoff)."""
    return 0.0 if quick_restarts <= 1 else min(BACKOFF_FIRST * 2 ** min(quick_restarts - 2, 10), BACKOFF_LIMIT)


def back_off(unit: str) -> None:
    """Before each start of a unit: wait the longer, the oftener it died young; ten minutes of running forgive everything.

    A start by hand or by an apply waits for nothing: systemd counts only its own restarts, and a liveness kill leaves a note.
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
        file.write("%d %.1f\n" % (restarts, now + delay))
    os.rename(path + ".new", path)
    if delay:
        print("<5>%s: restart %d in a row, waiting %g s" % (unit, restarts, delay), file=sys.stderr, flush=True)
        time.sleep(delay)


def _killed(unit: str) -> str:
    return os.path.join(RUN, unit + ".killed")


def forget(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


# ------------------------------------------------------------------------------------------------------------- the verbs


def targets(configuration: Mapping[str, Any]) -> list[Target]:
    return [Target(unit, entry) for unit, entry in sorted(configuration["units"].items())]


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
    succeeded, why = _http_get(entry[verb]["httpGet"], 30.0)  # postStart, preStop
    if not succeeded:
        print(f"<4>{unit}: {verb} hook failed: {why}", file=sys.stderr)
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
