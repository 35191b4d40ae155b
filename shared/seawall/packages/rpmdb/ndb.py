"""`Packages.db`: rpm's own ndb form (SUSE).

Source: rpm, lib/backend/ndb/rpmpkg.c, "Format of the Packages.db file".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from seawall.domain.errors import InputError

MAGIC = b"RpmP"
_HEADER = struct.Struct("<4sIII")
_SLOT = struct.Struct("<4sIII")
_BLOB = struct.Struct("<4sIII")
_PAGE = 4096
_BLOCK = 16


def blobs(content: bytes) -> Iterator[bytes]:
    """Yield the header blobs of the installed packages.

    Raises:
        InputError: not a database, or damaged here; blobs before it stand.
    """
    if len(content) < _PAGE or not content.startswith(MAGIC):
        raise InputError("not an ndb database")
    _, version, _, slot_pages = _HEADER.unpack_from(content)
    if version != 0:
        raise InputError(f"ndb version {version} is not known")
    end = min(slot_pages * _PAGE, len(content) - _SLOT.size + 1)
    budget = 2 * len(content)
    for offset in range(2 * _SLOT.size, end, _SLOT.size):
        magic, index, block, _ = _SLOT.unpack_from(content, offset)
        if magic != b"Slot":
            raise InputError("ndb slot is damaged")
        if not index:
            continue
        start = block * _BLOCK
        if start + _BLOB.size > len(content):
            raise InputError("ndb slot points behind the file")
        magic, blob_index, _, length = _BLOB.unpack_from(content, start)
        budget -= length
        if magic != b"BlbS" or blob_index != index or start + _BLOB.size + length > len(content) or budget < 0:
            raise InputError("ndb blob is damaged")
        yield content[start + _BLOB.size : start + _BLOB.size + length]
