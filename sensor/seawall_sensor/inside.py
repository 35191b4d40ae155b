"""Files of a container, opened from outside without trusting its links: `openat2(RESOLVE_IN_ROOT)`, since Linux 5.6.

A path in a container is its user's to choose: a link out of it, a pipe that blocks or a device that acts when it is opened
must do nothing to the sensor.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from typing import BinaryIO

_OPENAT2 = 437
"""The same number on every architecture (asm-generic/unistd.h)."""
_HOW = struct.Struct("<QQQ")
_RESOLVE_NO_MAGICLINKS, _RESOLVE_IN_ROOT = 0x02, 0x10
_libc = ctypes.CDLL(None, use_errno=True)


def standard_input(pid: int, proc: str = "/proc") -> BinaryIO:
    """Open the regular file that is a process's standard input.

    Raises:
        OSError: the process is gone, or it is something else.
    """
    return _reading(os.open(f"{proc}/{pid}/fd/0", os.O_PATH | os.O_CLOEXEC))


def _reading(handle: int) -> BinaryIO:
    """Turn an O_PATH handle of a regular file into one for reading."""
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("not a regular file")
        return os.fdopen(os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC), "rb")
    finally:
        os.close(handle)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


class Root:
    """The root folder of a container, held open. Use as a context manager."""

    def __init__(self, folder: str) -> None:
        """Open it.

        Raises:
            OSError: it is gone, or we may not.
        """
        self._fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    @classmethod
    def of(cls, pid: int | str, proc: str = "/proc") -> Root:
        """Open the root folder of one process's mount namespace.

        Raises:
            OSError: the process is gone, or we may not.
        """
        return cls(f"{proc}/{pid}/root")

    def __enter__(self) -> Root:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def identity(self) -> tuple[int, int]:
        """Device and inode: the same for all processes of one container."""
        found = os.fstat(self._fd)
        return found.st_dev, found.st_ino

    def open(self, path: str) -> BinaryIO:
        """Open a regular file for reading.

        Raises:
            OSError: there is none, or it is something else.
        """
        return _reading(self._resolve(path, os.O_PATH))

    def read(self, path: str, limit: int) -> bytes:
        """Return a file's content; empty when it can not be read or has more than `limit` bytes."""
        try:
            with self.open(path) as file:
                content = file.read(limit + 1)
        except (OSError, ValueError):
            return b""
        return content if len(content) <= limit else b""

    def names(self, folder: str) -> list[str]:
        """Return what lies in a folder, at most 100,000 names, those that are UTF-8; nothing when it can not be read."""
        try:
            handle = self._resolve(folder, os.O_RDONLY | os.O_DIRECTORY)
        except (OSError, ValueError):
            return []
        found = []
        try:
            with os.scandir(handle) as entries:
                for entry in entries:
                    if _is_text(entry.name):
                        found.append(entry.name)
                    if len(found) >= 100_000:
                        break
        except OSError:
            pass
        finally:
            os.close(handle)
        return found

    def _resolve(self, path: str, flags: int) -> int:
        how = ctypes.create_string_buffer(
            _HOW.pack(flags | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS), _HOW.size
        )
        if "\0" in path:
            raise ValueError("a path with a NUL")
        name = os.fsencode(path)
        handle = int(
            _libc.syscall(_OPENAT2, self._fd, ctypes.c_char_p(name), ctypes.byref(how), ctypes.c_size_t(_HOW.size))
        )
        if handle < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return handle
