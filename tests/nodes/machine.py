# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node and a registry have in common: a container to run commands and to write files in, and to freeze."""

from __future__ import annotations

import io
import secrets
import subprocess
import tarfile
import time
from typing import Any, cast

from docker.models.containers import Container

from .errors import NodesError

END = "\x04said\x04"  # what a command's output has to end with to be whole
KEEPING = f"""
sh -c "$1" >"$2.out" 2>"$2.err"
code=$?
cat "$2.out"; cat "$2.err" >&2; printf '{END}'
exit $code
"""


class Machine:
    name: str

    def __init__(self, container: Container) -> None:
        self._container = container

    @property
    def container(self) -> str:
        """The name of the container, for `docker exec` and the like by hand."""
        return str(self._container.name)

    @property
    def state(self) -> str:
        """What the engine calls it: running, exited, paused, ..."""
        self._container.reload()
        return str(self._container.status)

    @property
    def address(self) -> str:
        """Its address on the containers' network, reachable from this machine; another one after a restart, maybe."""
        self._container.reload()
        return str(self._container.attrs["NetworkSettings"]["IPAddress"])

    def run(self, command: str, *, check: bool = True, user: str = "root") -> subprocess.CompletedProcess[str]:
        """Runs a shell command in the node through the engine, so that it also works when the node's sshd does not."""
        if user == "root":
            code, out, err = self._run_and_keep(command)
        else:
            code, out, err = self._execute(["sh", "-c", command], user)
        if check and code != 0:
            raise NodesError(f"{self.name}: `{command}` ended with {code}:\n{out}{err}")
        return subprocess.CompletedProcess(command, code, out, err)

    def _run_and_keep(self, command: str) -> tuple[int, str, str]:
        """Old engines lose what a command said about once in 600 times on a busy machine: then it is read again."""
        kept = f"/run/said.{secrets.token_hex(8)}"
        code, out, err = self._execute(["sh", "-c", KEEPING, "sh", command, kept], "root")
        for _attempt in range(5):
            if out.endswith(END):
                break
            read_again = f"cat {kept}.out; cat {kept}.err >&2; printf '{END}'"
            _code, out, err = self._execute(["sh", "-c", read_again], "root")
        return code, out.removesuffix(END), err

    def _execute(self, words: list[str], user: str) -> tuple[int, str, str]:
        done = self._container.exec_run(words, demux=True, user=user)
        streams: tuple[bytes | None, bytes | None] = cast(Any, done.output)
        out, err = ((stream or b"").decode(errors="replace") for stream in streams)
        return -1 if done.exit_code is None else done.exit_code, out, err

    def read(self, path: str) -> str:
        """A file of the node."""
        return self.run(f"cat '{path}'").stdout

    def write(self, path: str, content: str | bytes, *, mode: int = 0o644) -> None:
        """Puts a file of root's into an existing folder of the node."""
        folder, name = path.rsplit("/", 1)
        data = content.encode() if isinstance(content, str) else content
        self._container.put_archive(folder or "/", archive_of(name, data, mode))

    def pause(self) -> None:
        """Freezes it: connections hang instead of being refused."""
        self._container.pause()

    def unpause(self) -> None:
        self._container.unpause()

    def remove(self) -> None:
        self._container.remove(force=True, v=True)


def archive_of(name: str, content: bytes, mode: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = len(content), mode, int(time.time())
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()
