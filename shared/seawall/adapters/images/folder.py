"""A root file system on this machine: an unpacked image, a checkout, or a running container's `/proc/PID/root`.

Nothing is followed out of the root: links are reported as links, files are opened without following them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from seawall.domain.errors import Denied, NotFound
from seawall.oci.limits import DEFAULT_LIMITS

_KERNEL = frozenset(("proc", "sys", "dev"))
"""Top folders of a running system that hold no files of the image."""


@dataclass(frozen=True, slots=True)
class HostEntry:
    """A file or link below the root (a `FolderEntry`)."""

    path: str
    mode: int
    size_bytes: int
    link: str
    full: str

    def read(self) -> bytes:
        """Return the content; a link that took the file's place meanwhile is an `OSError`."""
        return self.head(DEFAULT_LIMITS.file_bytes + 1)

    def head(self, size: int) -> bytes:
        """Return the first `size` bytes."""
        with self._open() as file:
            return file.read(size)

    def pieces(self) -> Iterator[bytes]:
        """Yield the content in pieces of 2 MiB."""
        with self._open() as file:
            while piece := file.read(2 * 1024 * 1024):
                yield piece

    def _open(self) -> IO[bytes]:
        descriptor = os.open(self.full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        return os.fdopen(descriptor, "rb")


class Folder:
    """Walks a root (a `FolderSource`)."""

    def __init__(self, target: str, path: str) -> None:
        self.target = target
        self._root = Path(path)
        if not self._root.is_dir():
            raise NotFound(f"{path} is not a folder")
        if not os.access(self._root, os.R_OK | os.X_OK):
            raise Denied(f"{path} cannot be read", hint="run as a user who may, for /proc/PID/root as root")

    def files(self, gap: Callable[[str, str], None]) -> Iterator[HostEntry]:
        """Yield every file and link below the root, in no given order."""
        root = os.fspath(self._root)
        system = (self._root / "etc").is_dir()
        stack = [""]
        while stack:
            folder = stack.pop()
            try:
                listing = list(os.scandir(os.path.join(root, folder) if folder else f"{root}/"))  # noqa: PTH118
            except OSError as error:
                gap(folder, f"folder cannot be read: {error.strerror}")
                continue
            for item in listing:
                path = f"{folder}/{item.name}" if folder else item.name
                if not folder and system and item.name in _KERNEL:
                    continue
                try:
                    status = item.stat(follow_symlinks=False)
                    if stat.S_ISLNK(status.st_mode):
                        yield HostEntry(_printable(path), status.st_mode, 0, os.readlink(item.path), item.path)  # noqa: PTH115
                    elif stat.S_ISDIR(status.st_mode):
                        if path.count("/") < DEFAULT_LIMITS.path_depth:
                            stack.append(path)
                        else:
                            gap(path, f"path is deeper than {DEFAULT_LIMITS.path_depth} folders")
                    elif stat.S_ISREG(status.st_mode):
                        yield HostEntry(_printable(path), status.st_mode, status.st_size, "", item.path)
                except OSError as error:
                    gap(_printable(path), f"cannot be read: {error.strerror}")


def _printable(path: str) -> str:
    """Return `path` with bytes that are not UTF-8 written as escapes, as for archives."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
