"""Container registries: bytes by digest (OCI distribution-spec 1.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from seawall.domain.images import ImageReference


class Registry(Protocol):
    """Reads manifests and blobs, writes attestations. Implementations verify digests of what they return."""

    def manifest(self, reference: ImageReference) -> tuple[str, str, bytes]:
        """Return (media type, digest, bytes) of a manifest or index.

        Raises:
            NotFound: no such tag or digest.
            Denied: credentials are missing or not enough.
            Unavailable: time-out, 5xx or throttling.
        """

    def blob(self, reference: ImageReference, digest: str) -> Iterator[bytes]:
        """Yield the blob's bytes in chunks as they arrive, resumed by range after a cut connection.

        The digest is checked at the end: `InputError` when it differs.
        """

    def push_blob(self, reference: ImageReference, content: bytes) -> str:
        """Upload a small blob and return its digest."""

    def push_manifest(
        self, reference: ImageReference, content: bytes, media_type: str, *, replaces: Sequence[str] = ()
    ) -> str:
        """Upload a manifest under the reference's tag or, where it has none, by digest; return its digest.

        A manifest with a `subject` is findable by `referrers` afterwards, whatever the registry supports. `replaces`
        are digests of referrers that this one supersedes: they are deleted where the registry allows it.
        """

    def referrers(self, reference: ImageReference, artifact_type: str = "") -> list[dict[str, object]]:
        """Return descriptors of manifests whose subject is `reference.digest` (API, or the fallback tag)."""

    def repositories(self, registry: str) -> Iterator[str]:
        """Yield the repositories of a registry, page by page. Raises `Denied` or `NotFound` where it does not list them."""

    def tags(self, reference: ImageReference) -> Iterator[str]:
        """Yield the tags of `reference`'s repository, page by page."""

    def resolve(self, reference: ImageReference) -> tuple[str, str]:
        """Return (media type, digest) of what a tag stands for now."""
