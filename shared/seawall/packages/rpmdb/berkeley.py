"""`Packages`: a Berkeley DB hash (RHEL and CentOS to 8, Amazon Linux 2, Photon, older Fedora).

Source: Oracle Berkeley DB, src/dbinc/db_page.h (HMETA, PAGE, HOFFPAGE).
"""

from __future__ import annotations

from collections.abc import Iterator

from seawall.domain.errors import InputError

HASH_MAGIC = 0x00061561
_PAGE_HEADER = 26
_HASH_UNSORTED, _OVERFLOW, _HASH = 2, 7, 13
_INLINE, _OFF_PAGE = 1, 3


def blobs(content: bytes) -> Iterator[bytes]:
    """Yield the values of the hash that can be package headers.

    Raises:
        InputError: not such a database, or damaged here; blobs before it stand.
    """
    if len(content) < 512:
        raise InputError("not a Berkeley DB")
    if int.from_bytes(content[12:16], "little") == HASH_MAGIC:
        order = "little"
    elif int.from_bytes(content[12:16], "big") == HASH_MAGIC:
        order = "big"
    else:
        raise InputError("not a Berkeley DB hash")

    def number(at: int, size: int) -> int:
        return int.from_bytes(content[at : at + size], "little" if order == "little" else "big")

    page_size = number(20, 4)
    if page_size < 512 or page_size > 65_536 or page_size & (page_size - 1):
        raise InputError(f"Berkeley DB page size {page_size} is not valid")
    if content[24]:
        raise InputError("Berkeley DB is encrypted")
    pages = len(content) // page_size
    budget = 2 * len(content)
    for page in range(1, pages):
        start = page * page_size
        if content[start + 25] not in (_HASH, _HASH_UNSORTED):
            continue
        entries = number(start + 20, 2)
        if _PAGE_HEADER + 2 * entries > page_size:
            raise InputError(f"Berkeley DB page {page} is damaged")
        for entry in range(1, entries, 2):  # keys and values take turns
            offset = number(start + _PAGE_HEADER + 2 * entry, 2)
            before = number(start + _PAGE_HEADER + 2 * (entry - 1), 2)
            if not _PAGE_HEADER <= offset < page_size:
                raise InputError(f"Berkeley DB page {page} is damaged")
            kind = content[start + offset]
            if kind == _INLINE and offset < before <= page_size:
                yield content[start + offset + 1 : start + before]
            elif kind == _OFF_PAGE:
                first, length = number(start + offset + 4, 4), number(start + offset + 8, 4)
                budget -= length
                if budget < 0:
                    raise InputError("Berkeley DB values are larger than their file")
                pieces: list[bytes] = []
                missing = length
                while missing > 0:
                    at = first * page_size
                    if not 0 < first < pages or content[at + 25] != _OVERFLOW:
                        raise InputError(f"Berkeley DB overflow page {first} is damaged")
                    piece = content[at + _PAGE_HEADER : at + _PAGE_HEADER + min(number(at + 22, 2), missing)]
                    if not piece:
                        raise InputError(f"Berkeley DB overflow page {first} is empty")
                    pieces.append(piece)
                    missing -= len(piece)
                    first = number(at + 16, 4)
                yield b"".join(pieces)
