"""ZIP archives that we do not trust: bounded member counts and sizes, no extraction."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import IO

from seawall.domain.errors import TooLarge

MAX_MEMBERS = 200_000

BAD_ZIP = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    TooLarge,
    KeyError,
    OverflowError,
    MemoryError,
    LookupError,
)
"""What `zipfile` raises on hostile input, by its source and by fuzzing."""


def open_zip(source: IO[bytes]) -> zipfile.ZipFile:
    """Return the archive.

    Raises:
        TooLarge: more members than `MAX_MEMBERS`, before they are read.
        zipfile.BadZipFile: not a ZIP archive.
    """
    archive = zipfile.ZipFile(source)
    if len(archive.filelist) > MAX_MEMBERS:
        raise TooLarge(f"archive has {len(archive.filelist)} members, at most {MAX_MEMBERS} are read")
    return archive


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> bytes:
    """Return a member's content.

    Raises:
        TooLarge: it is, or unpacks to, more than `limit` bytes, or expands absurdly.
    """
    if member.file_size > limit:
        raise TooLarge(f"{member.filename[:200]}: {member.file_size} bytes, at most {limit} are read")
    with archive.open(member) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise TooLarge(f"{member.filename[:200]}: more than {limit} bytes")
    return content


def nested(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> IO[bytes]:
    """Return a member, itself an archive, as a seekable file in memory."""
    return io.BytesIO(read_member(archive, member, limit))
