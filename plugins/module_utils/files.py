# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files written beside, synced and renamed, so that a kill or a power cut leaves the old or the new, never a half."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Iterable, Mapping, NamedTuple


class File(NamedTuple):
    content: bytes
    mode: int
    group: int = 0
    secret: bool = False


def read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def free_bytes(path: str) -> int:
    """What root may still write where this folder is, or will be."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    status = os.statvfs(path)
    return status.f_bfree * status.f_frsize


def sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def prepare(path: str, file: File) -> None:
    """Have a file whole on disk beside its place, for `put` to move it there."""
    remove(_beside(path))
    _create(_beside(path), file)


def put(path: str) -> None:
    """Move a prepared file to its place by one rename; what was there before, a link too, is replaced, not followed."""
    os.rename(_beside(path), path)
    sync_directory(os.path.dirname(path))


def discard(path: str) -> None:
    """Forget what was prepared for this place, if anything was."""
    remove(_beside(path))


def write(path: str, file: File) -> None:
    prepare(path, file)
    put(path)


def _beside(path: str) -> str:
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.new")


def _create(path: str, file: File) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(file.content)
            stream.flush()
            os.fchown(stream.fileno(), 0, file.group)
            os.fchmod(stream.fileno(), file.mode)
            os.fsync(stream.fileno())
    except OSError as error:
        remove(path)
        if error.errno and not error.filename:
            error.filename = path  # a write's own error does not say where
        raise


def create_tree(root: str, files: Mapping[str, File], directories: Mapping[str, int]) -> None:
    """Make a new folder with these files, all of it on disk when this returns.

    ``directories`` gives the modes other than 0755, and folders without files.
    """
    for directory in sorted({"."} | _parents([*files, *directories]) | set(directories)):
        path = os.path.normpath(os.path.join(root, directory))
        os.mkdir(path)
        os.chmod(path, directories.get(directory, 0o755))
    for name in sorted(files):
        _create(os.path.join(root, name), files[name])
    for directory in _parents([*files, *directories]) | set(directories) | {"."}:
        sync_directory(os.path.join(root, directory))


def _parents(names: Iterable[str]) -> set[str]:
    parents = set()
    for name in names:
        parent = os.path.dirname(name)
        while parent:
            parents.add(parent)
            parent = os.path.dirname(parent)
    return parents


def same_tree(root: str, files: Mapping[str, File], directories: Mapping[str, int]) -> bool:
    """True if the folder holds exactly these files with these contents, modes and owners."""
    if not os.path.isdir(root):
        return False
    found: dict[str, os.stat_result] = {}
    for folder, folders, names in os.walk(root):
        for name in folders + names:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, root)] = os.lstat(path)
    wanted_directories = _parents([*files, *directories]) | set(directories)
    if set(found) != set(files) | wanted_directories:
        return False
    for name in wanted_directories:
        if not stat.S_ISDIR(found[name].st_mode) or stat.S_IMODE(found[name].st_mode) != directories.get(name, 0o755):
            return False
    return all(same(os.path.join(root, name), file) for name, file in files.items())


def same(path: str, file: File) -> bool:
    """True if there is a file with this content, mode and owner, and no link."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISREG(status.st_mode) or stat.S_IMODE(status.st_mode) != file.mode:
        return False
    return (status.st_uid, status.st_gid) == (0, file.group) and read(path) == file.content


def remove(path: str) -> None:
    """Remove a file, a link or a whole folder; something absent is removed already."""
    if os.path.isdir(path) and not os.path.islink(path):
        import shutil

        shutil.rmtree(path)
        return
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(path)


def link(target: str, path: str) -> None:
    """Point a symbolic link somewhere else by one rename."""
    beside = path + ".new"
    remove(beside)
    os.symlink(target, beside)
    os.rename(beside, path)
    sync_directory(os.path.dirname(path))


def remove_if_empty(path: str) -> None:
    try:
        if os.path.isdir(path):
            os.rmdir(path)
        elif os.path.isfile(path) and not os.path.getsize(path):
            os.unlink(path)
    except OSError:
        pass  # somebody put something there: it is theirs now
