"""OCI image layouts and `docker save` archives.

Source: OCI image-spec 1.1, image-layout.md; moby, "docker image save", manifest.json of version 1.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from seawall.adapters.images.blobs import ArchiveBlobs, Blobs, FolderBlobs
from seawall.domain.errors import InputError, UnsupportedImage
from seawall.domain.images import Platform
from seawall.oci.digests import check_digest, digest_of, verified
from seawall.oci.limits import DEFAULT_LIMITS
from seawall.oci.manifests import Descriptor, Index, Manifest, choose_platform, images_of, parse_config, parse_manifest
from seawall.oci.references import is_digest
from seawall.ports.images import ImageSource, LayerBlob

_LIMIT = DEFAULT_LIMITS.manifest_bytes
MAX_NESTING = 4
"""Indexes within indexes."""
REF_NAME = "org.opencontainers.image.ref.name"


class LayoutImage:
    """One image of a layout or archive (an `ImageSource`)."""

    def __init__(
        self,
        target: str,
        blobs: Blobs,
        paths: dict[str, str],
        *,
        digest: str,
        config_digest: str,
        config: bytes,
        layers: Sequence[LayerBlob],
        index_digest: str = "",
    ) -> None:
        self.target = target
        self.digest = digest
        self.index_digest = index_digest
        self.config_digest = config_digest
        self.config = config
        self.layers = layers
        self._blobs = blobs
        self._paths = paths

    def read_layer(self, layer: LayerBlob) -> Iterator[bytes]:
        """Yield the layer's bytes as stored, checked by its digest (or diff id where the archive has only that)."""
        if not is_digest(layer.cache_key):  # `docker save` without a usable configuration
            return self._blobs.stream(self._paths[layer.cache_key])
        return verified(self._blobs.stream(self._paths[layer.cache_key]), layer.cache_key)

    def close(self) -> None:
        """Let go of the archive."""
        self._blobs.close()


def open_layout(target: str, path: str, platform: Platform | None, *, archive: bool) -> list[ImageSource]:
    """Return the images of an OCI layout: `path` is a folder or file, `:TAG` or `@DIGEST` behind it choose one entry."""
    location, wanted = _split(path)
    blobs: Blobs = ArchiveBlobs(Path(location)) if archive else FolderBlobs(Path(location))
    if archive and not blobs.exists("index.json") and blobs.exists("manifest.json"):
        return open_docker_archive(target, location, platform)
    if not blobs.exists("index.json"):
        raise InputError(f"{location} is not an OCI image layout: it has no index.json")
    index = parse_manifest(blobs.read("index.json", _LIMIT))
    if not isinstance(index, Index):
        raise InputError(f"{location}/index.json is not an index", where="index.json")
    entries = [item for item in index.manifests if not item.artifact_type] or list(index.manifests)
    if wanted:
        entries = [
            item for item in entries if wanted in (item.digest, _name_of(item), _name_of(item).rpartition(":")[2])
        ]
        if not entries:
            raise InputError(f"{location} has no image {wanted!r}", hint=f"it has: {_names(index)}")
    elif len({item.digest for item in entries}) > 1 and not all(item.platform for item in entries):
        roots = [item for item in entries if _is_image(blobs, item)]
        if len({item.digest for item in roots}) > 1:
            raise InputError(f"{location} holds several images", hint=f"name one: oci:DIR:TAG, of {_names(index)}")
        entries = roots
    elif len(entries) > 1:  # the layout's own index is the image's index of platforms
        return _of_index(target, blobs, Index(index.media_type, tuple(entries)), platform, "", 0)
    images: list[ImageSource] = []
    for entry in entries[:1]:
        images += _open(target, blobs, entry, platform, "", 0)
    return images


def _split(path: str) -> tuple[str, str]:
    """Split `DIR[:TAG|@DIGEST]`; what exists on the disk as written is a path."""
    if Path(path).exists():
        return path, ""
    if "@" in path and is_digest(path.rpartition("@")[2]):
        location, _, digest = path.rpartition("@")
        return location, digest
    location, colon, tag = path.rpartition(":")
    return (location, tag) if colon and Path(location).exists() else (path, "")


def _name_of(item: Descriptor) -> str:
    return dict(item.annotations).get(REF_NAME, "")


def _names(index: Index) -> str:
    return ", ".join(_name_of(item) or item.digest for item in index.manifests[:20]) or "nothing"


def _is_image(blobs: Blobs, item: Descriptor) -> bool:
    try:
        document = parse_manifest(_blob(blobs, item.digest), item.media_type)
    except InputError:
        return False
    return isinstance(document, Index) or not (document.subject or document.artifact_type)


def _blob_path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/', 1)}"


def _blob(blobs: Blobs, digest: str) -> bytes:
    content = blobs.read(_blob_path(digest), _LIMIT)
    check_digest(content, digest)
    return content


def _open(
    target: str, blobs: Blobs, entry: Descriptor, platform: Platform | None, index_digest: str, depth: int
) -> list[ImageSource]:
    document = parse_manifest(_blob(blobs, entry.digest), entry.media_type)
    if isinstance(document, Index):
        return _of_index(target, blobs, document, platform, index_digest or entry.digest, depth)
    config = _blob(blobs, document.config.digest)
    return [_image(target, blobs, document, entry.digest, config, index_digest)]


def _of_index(
    target: str, blobs: Blobs, index: Index, platform: Platform | None, index_digest: str, depth: int
) -> list[ImageSource]:
    if depth >= MAX_NESTING:
        raise UnsupportedImage(f"{target}: indexes nested over {MAX_NESTING} deep")
    entries = images_of(index) if platform is None else (choose_platform(index, platform),)
    images: list[ImageSource] = []
    for entry in entries:
        images += _open(target, blobs, entry, platform, index_digest, depth + 1)
    return images


def _image(target: str, blobs: Blobs, manifest: Manifest, digest: str, config: bytes, index_digest: str) -> LayoutImage:
    layers = layer_blobs(manifest, config)
    return LayoutImage(
        target,
        blobs,
        {layer.digest: _blob_path(layer.digest) for layer in layers},
        digest=digest,
        config_digest=manifest.config.digest,
        config=config,
        layers=layers,
        index_digest=index_digest,
    )


def layer_blobs(manifest: Manifest, config: bytes) -> tuple[LayerBlob, ...]:
    """Return the manifest's layers with the diff ids of the configuration, where both agree on their number."""
    try:
        diff_ids = parse_config(config).diff_ids
    except InputError:
        diff_ids = ()
    if len(diff_ids) != len(manifest.layers):
        diff_ids = ("",) * len(manifest.layers)
    return tuple(
        LayerBlob(layer.digest, diff_id, layer.media_type, layer.size_bytes)
        for layer, diff_id in zip(manifest.layers, diff_ids, strict=True)
    )


class _Saved(msgspec.Struct, rename={"config": "Config", "layers": "Layers", "tags": "RepoTags"}):
    config: str
    layers: list[str]
    tags: list[str] | None = None


_SAVED = msgspec.json.Decoder(list[_Saved])


def open_docker_archive(target: str, path: str, platform: Platform | None) -> list[ImageSource]:
    """Return the image of a `docker save` archive; `:TAG` behind the path chooses among several."""
    location, wanted = _split(path)
    blobs = ArchiveBlobs(Path(location))
    if not blobs.exists("manifest.json"):
        if blobs.exists("index.json"):
            return open_layout(target, path, platform, archive=True)
        raise InputError(f"{location} is not a docker archive: it has no manifest.json")
    try:
        saved = _SAVED.decode(blobs.read("manifest.json", _LIMIT))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{location}: manifest.json is malformed: {error}", where="manifest.json") from error
    if wanted:
        saved = [item for item in saved if any(tag == wanted or tag.endswith(f":{wanted}") for tag in item.tags or ())]
    if not saved:
        raise InputError(f"{location}: no image {wanted!r} in it")
    if len({item.config for item in saved}) > 1:
        names = ", ".join(tag for item in saved for tag in item.tags or ())
        raise InputError(f"{location} holds several images", hint=f"name one: docker-archive:FILE:TAG, of {names}")
    return [_saved_image(target, blobs, saved[0])]


def _saved_image(target: str, blobs: Blobs, saved: _Saved) -> LayoutImage:
    config = blobs.read(saved.config, _LIMIT)
    try:
        diff_ids = parse_config(config).diff_ids
    except InputError:
        diff_ids = ()
    if len(diff_ids) != len(saved.layers):
        # Without diff ids there is nothing to check a layer by, nor to cache it under.
        diff_ids = tuple(f"layer-{number}" for number in range(len(saved.layers)))
    layers = tuple(LayerBlob("", diff_id) for diff_id in diff_ids)
    paths = {layer.diff_id: path for layer, path in zip(layers, saved.layers, strict=True)}
    return LayoutImage(target, blobs, paths, digest="", config_digest=digest_of(config), config=config, layers=layers)
