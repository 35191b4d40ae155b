"""Content by path: a folder, or a tar archive read in place. Both give OCI layouts and `docker save` archives alike."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol, cast

from isal import igzip

from seawall.domain.errors import InputError, NotFound

CHUNK_BYTES = 256 * 1024


class Blobs(Protocol):
    """Files by relative path."""

    def read(self, path: str, limit: int) -> bytes:
        """Return a small file. Raises `InputError` when it is missing or over `limit` bytes."""

    def stream(self, path: str) -> Iterator[bytes]:
        """Yield a file's bytes. Raises `InputError` when it is missing."""

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""

    def close(self) -> None:
        """Let go of what is open."""


class FolderBlobs:
    """Files below a folder; links that lead out of it are refused."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        if not self._root.is_dir():
            raise NotFound(f"{root} is not a folder")

    def _path(self, path: str) -> Path:
        full = (self._root / path).resolve()
        if not full.is_relative_to(self._root):
            raise InputError(f"{path} leads out of the layout", where=path)
        return full

    def exists(self, path: str) -> bool:
        return self._path(path).is_file()

    def read(self, path: str, limit: int) -> bytes:
        try:
            with self._path(path).open("rb") as file:
                content = file.read(limit + 1)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}", where=path) from error
        if len(content) > limit:
            raise InputError(f"{path} is over {limit} bytes", where=path)
        return content

    def stream(self, path: str) -> Iterator[bytes]:
        try:
            with self._path(path).open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}", where=path) from error

    def close(self) -> None:
        """Nothing is held open."""


def _gunzip(path: Path) -> IO[bytes]:
    opened: Any = igzip
    return cast(IO[bytes], opened.open(path, "rb"))


class ArchiveBlobs:
    """Members of a tar archive, found once and then read by offset. A gzip'd archive is read again from its start."""

    MAX_MEMBERS = 100_000

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self._gzip = file.read(2) == b"\x1f\x8b"
        except OSError as error:
            raise NotFound(f"{path}: {error.strerror}") from error
        self._path = path
        self._members: dict[str, tuple[int, int]] = {}
        links: dict[str, str] = {}
        try:
            # For the few members of an archive of blobs, Python's own reader is quick enough; layers are not read by it.
            with self._open() as raw, tarfile.open(fileobj=raw, mode="r:") as archive:
                for number, member in enumerate(archive):
                    if number >= self.MAX_MEMBERS:
                        raise InputError(f"{path}: over {self.MAX_MEMBERS} members")
                    name = member.name.removeprefix("./")
                    if member.isfile() and not member.issparse():
                        self._members[name] = (member.offset_data, member.size)
                    elif member.issym():
                        links[name] = os.path.normpath(f"{os.path.dirname(name)}/{member.linkname}")  # noqa: PTH120
                    elif member.islnk():
                        links[name] = member.linkname.removeprefix("./")
        except (tarfile.TarError, OSError, EOFError, ValueError) as error:
            if not self._members:
                raise InputError(f"{path} is not a tar archive: {error}") from error
        for name, target in links.items():
            if target in self._members:
                self._members.setdefault(name, self._members[target])

    def _open(self) -> IO[bytes]:
        return _gunzip(self._path) if self._gzip else self._path.open("rb")

    def exists(self, path: str) -> bool:
        return path in self._members

    def read(self, path: str, limit: int) -> bytes:
        if self._member(path)[1] > limit:
            raise InputError(f"{path} is over {limit} bytes", where=path)
        return b"".join(self.stream(path))

    def stream(self, path: str) -> Iterator[bytes]:
        offset, left = self._member(path)
        try:
            with self._open() as file:
                file.seek(offset)
                while left:
                    chunk = file.read(min(CHUNK_BYTES, left))
                    if not chunk:
                        raise InputError(f"{path}: the archive is cut off", where=path)
                    left -= len(chunk)
                    yield chunk
        except (OSError, EOFError) as error:
            raise InputError(f"{path}: {error}", where=path) from error

    def _member(self, path: str) -> tuple[int, int]:
        member = self._members.get(path)
        if member is None:
            raise InputError(f"{path} is missing from {self._path}", where=path)
        return member

    def close(self) -> None:
        """Nothing is held open between calls."""
