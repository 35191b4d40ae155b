"""An image in a registry, its layers streamed from there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from seawall.adapters.images.layouts import MAX_NESTING, layer_blobs
from seawall.domain.errors import TooLarge, UnsupportedImage
from seawall.domain.images import ImageReference, Platform
from seawall.oci.limits import DEFAULT_LIMITS
from seawall.oci.manifests import Index, Manifest, choose_platform, images_of, parse_manifest
from seawall.oci.references import parse_reference
from seawall.ports.images import ImageSource, LayerBlob
from seawall.ports.registry import Registry


class RemoteImage:
    """One platform's image in a registry (an `ImageSource`)."""

    def __init__(
        self, target: str, registry: Registry, reference: ImageReference, manifest: Manifest, index_digest: str
    ) -> None:
        self.target = target
        self.digest = reference.digest
        self.index_digest = index_digest
        self.config_digest = manifest.config.digest
        self._registry = registry
        self._reference = reference
        self.config = _config(registry, reference, manifest.config.digest)
        self.layers: Sequence[LayerBlob] = layer_blobs(manifest, self.config)

    def read_layer(self, layer: LayerBlob) -> Iterator[bytes]:
        """Yield the layer's bytes as they arrive, checked by digest."""
        return self._registry.blob(self._reference, layer.digest)

    def close(self) -> None:
        """The registry client is shared; nothing is held here."""


def _config(registry: Registry, reference: ImageReference, digest: str) -> bytes:
    content = bytearray()
    for chunk in registry.blob(reference, digest):
        content += chunk
        if len(content) > DEFAULT_LIMITS.manifest_bytes:
            raise TooLarge(f"{reference}: the image configuration is over {DEFAULT_LIMITS.manifest_bytes} bytes")
    return bytes(content)


def open_reference(target: str, registry: Registry, platform: Platform | None) -> list[ImageSource]:
    """Return the image of `platform` that the reference `target` names, or every one."""
    return _open(target, registry, parse_reference(target), platform, "", 0)


def _open(
    target: str, registry: Registry, reference: ImageReference, platform: Platform | None, index_digest: str, depth: int
) -> list[ImageSource]:
    media_type, digest, content = registry.manifest(reference)
    document = parse_manifest(content, media_type)
    exact = dataclasses.replace(reference, digest=digest)
    if isinstance(document, Manifest):
        if document.layers and not any(layer.is_layer for layer in document.layers):
            kinds = ", ".join(sorted({layer.media_type for layer in document.layers}))
            raise UnsupportedImage(f"{target} is not a container image", hint=f"its content is {kinds}")
        return [RemoteImage(target, registry, exact, document, index_digest)]
    return _of_index(target, registry, exact, document, platform, index_digest or digest, depth)


def _of_index(
    target: str,
    registry: Registry,
    reference: ImageReference,
    index: Index,
    platform: Platform | None,
    index_digest: str,
    depth: int,
) -> list[ImageSource]:
    if depth >= MAX_NESTING:
        raise UnsupportedImage(f"{target}: indexes nested over {MAX_NESTING} deep")
    images: list[ImageSource] = []
    for entry in images_of(index) if platform is None else (choose_platform(index, platform),):
        inner = dataclasses.replace(reference, digest=entry.digest)
        images += _open(target, registry, inner, platform, index_digest, depth + 1)
    return images
