"""Ids derived from content, so that the same thing seen twice is one thing."""

from __future__ import annotations

import hashlib


def content_id(kind: str, *parts: str) -> str:
    """Return `<kind>-<26 hex digits>`, the same for the same parts in the same order, on every host.

    Parts are length-prefixed before hashing, so ("ab", "c") and ("a", "bc") differ.
    """
    digest = hashlib.sha256()
    for part in (kind, *parts):
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return f"{kind}-{digest.hexdigest()[:26]}"
