"""Digests: content is what its name says, or it is not used (OCI image-spec 1.1, descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from seawall.domain.errors import InputError
from seawall.oci.references import is_digest


class DigestMismatch(InputError):
    """The content is not what its digest names."""


def digest_of(content: bytes) -> str:
    """Return `sha256:<hex>` of `content`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def check_digest(content: bytes, digest: str) -> None:
    """Refuse content that is not what `digest` names.

    Raises:
        DigestMismatch: the digest differs, or its algorithm is not one we check.
    """
    for _ in verified(iter((content,)), digest):
        pass


def verified(chunks: Iterator[bytes], digest: str) -> Iterator[bytes]:
    """Yield `chunks`; at their end raise where they are not what `digest` names.

    Raises:
        DigestMismatch: the digest differs, or its algorithm is not one we check.
    """
    if not is_digest(digest):
        raise DigestMismatch(f"{digest!r} is not a digest that we check", where="digest")
    algorithm, _, wanted = digest.partition(":")
    state = hashlib.new(algorithm)
    for chunk in chunks:
        state.update(chunk)
        yield chunk
    if state.hexdigest() != wanted:
        raise DigestMismatch(f"content has digest {algorithm}:{state.hexdigest()}, expected {digest}", where=digest)
