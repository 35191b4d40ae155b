"""Where images are read from, and where what was read is remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from seawall.domain.images import Platform


@dataclass(frozen=True, slots=True)
class LayerBlob:
    """A layer as the image lists it. `cache_key` identifies its content for the layer cache; empty = never cached."""

    digest: str
    diff_id: str = ""
    media_type: str = ""
    size_bytes: int = 0

    @property
    def cache_key(self) -> str:
        """The digest that names the content."""
        return self.digest or self.diff_id


@runtime_checkable
class ImageSource(Protocol):
    """One platform's image, opened. Use as a context manager where it holds a file or a connection."""

    target: str
    digest: str
    index_digest: str
    config_digest: str
    config: bytes
    """The image configuration (JSON); empty where the source has none (a folder)."""
    layers: Sequence[LayerBlob]
    """Base layer first."""

    def read_layer(self, layer: LayerBlob) -> Iterator[bytes]:
        """Yield the layer's bytes as stored (compressed), checked against `layer.digest` at the end.

        Raises:
            InputError: the digest differs, or the blob is missing from the archive.
            RemoteError: the registry failed.
        """

    def close(self) -> None:
        """Let go of files and connections."""


class FolderEntry(Protocol):
    """A file (`link` empty) or symbolic link of a folder."""

    @property
    def path(self) -> str:
        """Relative to the root, no leading slash."""

    @property
    def mode(self) -> int:
        """Permission bits and more, as `stat` has them."""

    @property
    def size_bytes(self) -> int:
        """Size of the content."""

    @property
    def link(self) -> str:
        """Target of a symbolic link, as written; empty for a file."""

    def read(self) -> bytes:
        """Return the content. Raises `OSError`."""

    def head(self, size: int) -> bytes:
        """Return the first `size` bytes. Raises `OSError`."""

    def pieces(self) -> Iterator[bytes]:
        """Yield the content piece by piece. Raises `OSError`."""


class FolderSource(Protocol):
    """A root file system on this machine."""

    target: str

    def files(self, gap: Callable[[str, str], None]) -> Iterator[FolderEntry]:
        """Yield every file and link below the root; what could not be read goes to `gap(path, reason)`."""


class ImageSources(Protocol):
    """Opens targets: a registry reference, `oci:DIR[:TAG]`, `oci-archive:FILE`, `docker-archive:FILE`, `dir:PATH`."""

    def open(self, target: str, platform: Platform | None) -> Sequence[ImageSource | FolderSource]:
        """Return the image of `platform`; None gives every platform of an index.

        Raises:
            InputError: not a target, or a damaged one.
            UnsupportedImage: no such platform, or a form that we do not unpack.
            NotFound, Denied, Unavailable: the registry or the file system says so.
        """


class LayerCache(Protocol):
    """Remembers the analysis of a layer: bytes by key. Losing an entry costs time only."""

    def get(self, key: str) -> bytes | None:
        """Return what was put under `key`, or None."""

    def put(self, key: str, value: bytes) -> None:
        """Keep `value`; failures are not the caller's business."""
