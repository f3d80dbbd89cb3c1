# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who listens on a port of this node."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from typing import Any, Mapping, NamedTuple, Sequence

from . import files


def held_ports(ports: Sequence[Mapping[str, Any]], own_units: Sequence[str]) -> list[str]:
    """Those of ``ports`` ({"port", "protocol", "hostIP"}) that somebody else listens on, in words.

    ``own_units`` are those that will have ended.
    """
    wanted = {(port["port"], port["protocol"]): port for port in ports}
    listening = [
        entry
        for entry in (_listening() if wanted else [])
        if (entry.port, entry.protocol) in wanted
        and _same_address(wanted[entry.port, entry.protocol]["hostIP"], entry.address)
    ]
    holders = _holders({entry.inode for entry in listening}) if listening else {}
    # What a socket unit listens on is held by systemd itself.
    given_up = {*own_units, *(["init.scope"] if any(unit.endswith(".socket") for unit in own_units) else [])}
    found = set()
    for entry in listening:
        units = {pid: _unit_of(pid) for pid in holders.get(entry.inode, [])}
        if not given_up.intersection(units.values()):
            names = [
                f"{_command_of(pid)} ({', '.join([f'pid {pid}', *filter(None, [unit])])})"
                for pid, unit in units.items()
            ]
            found.add(f"port {entry.port}/{entry.protocol} is held by {', '.join(names) or 'something unknown'}")
    return sorted(found)


class Listening(NamedTuple):
    port: int
    protocol: str
    address: str
    inode: str


def _listening() -> list[Listening]:
    """Sockets that wait for others: TCP in the state LISTEN, UDP without a peer (proc(5), /proc/net/tcp)."""
    found = []
    for name, protocol, state in (
        ("tcp", "TCP", "0A"),
        ("tcp6", "TCP", "0A"),
        ("udp", "UDP", "07"),
        ("udp6", "UDP", "07"),
    ):
        for line in (files.read(f"/proc/net/{name}") or b"").decode("ascii", "replace").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == state:
                address, _colon, port = fields[1].rpartition(":")
                found.append(Listening(int(port, 16), protocol, _address(address), fields[9]))
    return found


def _address(text: str) -> str:
    """The kernel prints words of 32 bits, each in the machine's own order of bytes."""
    words = [int(text[start : start + 8], 16).to_bytes(4, sys.byteorder) for start in range(0, len(text), 8)]
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return socket.inet_ntop(family, b"".join(words))


def _same_address(wanted: str, held: str) -> bool:
    """Whether both cannot be listened on; an unspecified address is all of them."""
    anywhere = ("", "0.0.0.0", "::")
    return wanted in anywhere or held in anywhere or held in (wanted, "::ffff:" + wanted)


def _holders(inodes: set[str]) -> dict[str, list[int]]:
    holders: dict[str, list[int]] = {}
    links = {f"socket:[{inode}]": inode for inode in inodes}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    inode = links.get(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
                    if inode and pid not in holders.setdefault(inode, []):
                        holders[inode].append(pid)
    return holders


def _unit_of(pid: int) -> str:
    """The innermost service, socket or scope in the name of a process's control group."""
    text = (files.read(f"/proc/{pid}/cgroup") or b"").decode("utf-8", "replace")
    for line in text.splitlines():
        hierarchy, _colon, rest = line.partition(":")
        controllers, _colon, path = rest.partition(":")
        if hierarchy == "0" or controllers == "name=systemd":
            for part in reversed(path.split("/")):
                if part.endswith((".service", ".scope", ".socket")):
                    return part
    return ""


def _command_of(pid: int) -> str:
    return (files.read(f"/proc/{pid}/comm") or b"?").decode("utf-8", "replace").strip()
