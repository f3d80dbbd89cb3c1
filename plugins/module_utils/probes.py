# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One probe, done once (Kubernetes: pkg/probe and the kubelet's prober); those over the network are in network.py."""

from __future__ import annotations

import contextlib
import marshal
import os
import pwd
import select
import signal
import subprocess
import sys
import time
from typing import Any, Mapping, Sequence, Tuple

from .commands import PATH, start_command, tell

OUTPUT_LIMIT = 10 * 1024  # bytes of a command's output that a probe looks at
OUTPUT_SHOWN = 1000  # characters of a failed command's output in the journal

LOOPBACK = "127.0.0.1"  # where a process in the host's own network is asked, unless the probe names a host

Outcome = Tuple[bool, str]  # succeeded?, why not


def run_probe(probe: Mapping[str, Any], target: Mapping[str, Any], pid: int) -> Outcome:
    """Do one probe once; ``target`` is the process's entry in keeper.json, ``pid`` its main process."""
    timeout = float(probe.get("timeoutSeconds") or 1)
    if "exec" not in probe:
        from . import network  # loading it takes longer than all the rest, and a command does not need it

        return network.ask(probe, target.get("address") or LOOPBACK, timeout)
    try:
        return _exec(probe["exec"]["command"], target, pid, timeout)
    except subprocess.TimeoutExpired:
        return False, f"no answer within {timeout:g} s"
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return False, str(error) or type(error).__name__


# Becomes a command beside the daemon. It is a program of its own that is wholly loaded before it enters the daemon's
# mounts, and knows the daemon's variables, which may name libraries to load, only when it is root no more.
ENTER = r"""
import ctypes, marshal, os, sys, warnings  # execvpe would import the last one beyond the point of no return
with os.fdopen(int(sys.argv[1]), "rb") as pipe:
    order = marshal.load(pipe)
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
        process = _beside(_order(command, target, pid))
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


def _beside(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    if not _is_like_us(order):
        return _enter(marshal.dumps(order))
    return start_command(order["command"], env=order["environment"], cwd=order["directory"], **_OWN_OUTPUT)


def _is_like_us(order: Mapping[str, Any]) -> bool:
    """Whether there is nothing to enter and nothing to give up, as with most daemons of a host."""
    own_mounts, mounts = (os.stat(f"/proc/{who}/ns/mnt").st_ino for who in ("self", order["pid"]))
    return (
        own_mounts == mounts
        and (order["uid"], order["gid"]) == (os.getuid(), os.getgid())
        and {order["gid"], *order["groups"]} == {os.getgid(), *os.getgroups()}
        and not order["capabilities"]
        and not order["no_new_privileges"]
    )


def _enter(order: bytes) -> subprocess.Popen[bytes]:
    reading, writing = os.pipe()
    try:
        process = start_command(
            [sys.executable or "/usr/bin/python3", "-IS", "-c", ENTER, str(reading)],
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
    own, bounding = (int(one["CapBnd"][0], 16) for one in (_status(os.getpid()), status))
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
        "capabilities": [number for number in range(last_capability + 1) if own & ~bounding & 1 << number],
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
