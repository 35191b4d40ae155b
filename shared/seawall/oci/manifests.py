"""Manifests, indexes and image configurations: bytes in, values out (OCI image-spec 1.1, Docker schema 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from seawall.domain.errors import InputError, UnsupportedImage
from seawall.domain.images import Platform
from seawall.oci.limits import DEFAULT_LIMITS
from seawall.oci.references import is_digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"
MANIFEST_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEX_TYPES = (OCI_INDEX, DOCKER_LIST)
ACCEPT = ", ".join((*MANIFEST_TYPES, *INDEX_TYPES))
_LAYER_PREFIXES = ("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Content by digest. `platform` is set on entries of an index."""

    media_type: str
    digest: str
    size_bytes: int
    platform: Platform | None = None
    annotations: tuple[tuple[str, str], ...] = ()
    urls: tuple[str, ...] = ()
    artifact_type: str = ""

    @property
    def is_attestation(self) -> bool:
        """BuildKit keeps provenance in index entries of an unknown platform; they are not images."""
        return ("vnd.docker.reference.type", "attestation-manifest") in self.annotations

    @property
    def is_layer(self) -> bool:
        """Whether it is a file system layer that we unpack."""
        return self.media_type.startswith(_LAYER_PREFIXES)

    @property
    def is_foreign(self) -> bool:
        """Whether it is a non-distributable layer (licence forbids the registry to serve it)."""
        return "nondistributable" in self.media_type or ".foreign." in self.media_type


@dataclass(frozen=True, slots=True)
class Manifest:
    """One platform's image: base layer first, sizes compressed."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    artifact_type: str = ""
    subject: str = ""
    """Digest of the manifest that this one refers to (a referrer), or empty."""
    annotations: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Index:
    """Manifests for several platforms."""

    media_type: str
    manifests: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class History:
    """One step of an image's making."""

    created_by: str
    empty_layer: bool = False
    created: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The image configuration, as far as a scan needs it. `diff_ids` are digests of uncompressed layers."""

    platform: Platform
    diff_ids: tuple[str, ...] = ()
    history: tuple[History, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    created: str = ""
    user: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    exposed_ports: tuple[str, ...] = ()

    def created_by(self, layers: int) -> tuple[str, ...]:
        """Return the command of each of `layers` layers, empty where the history does not say."""
        commands = [step.created_by for step in self.history if not step.empty_layer]
        if len(commands) != layers:
            return ("",) * layers
        return tuple(commands)


class _Platform(msgspec.Struct):
    os: str = ""
    architecture: str = ""
    variant: str = ""


class _Descriptor(msgspec.Struct, rename={"media_type": "mediaType", "artifact_type": "artifactType"}):
    digest: str
    media_type: str = ""
    size: int = 0
    platform: _Platform | None = None
    annotations: dict[str, str] | None = None
    urls: list[str] | None = None
    artifact_type: str | None = None


class _Document(
    msgspec.Struct,
    rename={"media_type": "mediaType", "schema_version": "schemaVersion", "artifact_type": "artifactType"},
):
    schema_version: int | None = None
    media_type: str | None = None
    config: _Descriptor | None = None
    layers: list[_Descriptor] | None = None
    manifests: list[_Descriptor] | None = None
    artifact_type: str | None = None
    subject: _Descriptor | None = None
    annotations: dict[str, str] | None = None


class _History(msgspec.Struct):
    created_by: str | None = None
    empty_layer: bool = False
    created: str | None = None
    comment: str | None = None


class _Rootfs(msgspec.Struct):
    diff_ids: list[str] | None = None


class _Runtime(
    msgspec.Struct,
    rename={
        "labels": "Labels",
        "user": "User",
        "entrypoint": "Entrypoint",
        "command": "Cmd",
        "env": "Env",
        "exposed_ports": "ExposedPorts",
    },
):
    labels: dict[str, str] | None = None
    user: str | None = None
    entrypoint: list[str] | None = None
    command: list[str] | None = None
    env: list[str] | None = None
    exposed_ports: dict[str, Any] | None = None


class _Config(msgspec.Struct):
    os: str = ""
    architecture: str = ""
    variant: str = ""
    created: str | None = None
    rootfs: _Rootfs | None = None
    history: list[_History] | None = None
    config: _Runtime | None = None


_DOCUMENT = msgspec.json.Decoder(_Document)
_CONFIG = msgspec.json.Decoder(_Config)


def parse_manifest(content: bytes, media_type: str = "") -> Manifest | Index:
    """Return the manifest or index in `content`; the document's own media type wins over the header's.

    Raises:
        InputError: not JSON, or not of the form that its media type promises.
        UnsupportedImage: Docker schema 1 or a media type that is not an image.
    """
    if len(content) > DEFAULT_LIMITS.manifest_bytes:
        raise InputError(f"manifest is over {DEFAULT_LIMITS.manifest_bytes} bytes", where="manifest")
    try:
        document = _DOCUMENT.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"manifest is malformed: {error}", where="manifest") from error
    kind = document.media_type or media_type.partition(";")[0].strip()
    if document.schema_version == 1 or ("manifest.v1+" in kind and kind.startswith("application/vnd.docker")):
        raise UnsupportedImage("Docker image manifest schema 1", hint="push the image again with a current client")
    if document.manifests is not None and document.layers is None:
        return Index(kind or OCI_INDEX, tuple(_descriptor(item) for item in document.manifests))
    if document.config is None or document.layers is None:
        raise UnsupportedImage(f"{kind or 'document'} has neither layers and config nor manifests")
    if len(document.layers) > DEFAULT_LIMITS.layers:
        raise InputError(f"manifest has {len(document.layers)} layers, at most {DEFAULT_LIMITS.layers} are read")
    return Manifest(
        kind or OCI_MANIFEST,
        _descriptor(document.config),
        tuple(_descriptor(item) for item in document.layers),
        document.artifact_type or "",
        document.subject.digest if document.subject else "",
        tuple((document.annotations or {}).items()),
    )


def _descriptor(raw: _Descriptor) -> Descriptor:
    if not is_digest(raw.digest):
        raise InputError(f"{raw.digest!r} is not a digest", where="digest")
    platform = None
    if raw.platform is not None:
        platform = Platform(raw.platform.os, raw.platform.architecture, raw.platform.variant)
    return Descriptor(
        raw.media_type,
        raw.digest,
        raw.size,
        platform,
        tuple((raw.annotations or {}).items()),
        tuple(raw.urls or ()),
        raw.artifact_type or "",
    )


def parse_config(content: bytes) -> ImageConfig:
    """Return the image configuration in `content`.

    Raises:
        InputError: not JSON or not an image configuration.
    """
    try:
        raw = _CONFIG.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"image configuration is malformed: {error}", where="config") from error
    runtime = raw.config or _Runtime()
    return ImageConfig(
        Platform(raw.os or "linux", raw.architecture or "amd64", raw.variant),
        tuple((raw.rootfs.diff_ids if raw.rootfs else None) or ()),
        tuple(
            History(step.created_by or "", step.empty_layer, step.created or "", step.comment or "")
            for step in raw.history or ()
        ),
        tuple((runtime.labels or {}).items()),
        raw.created or "",
        runtime.user or "",
        tuple(runtime.entrypoint or ()),
        tuple(runtime.command or ()),
        tuple(runtime.env or ()),
        tuple(runtime.exposed_ports or ()),
    )


def choose_platform(index: Index, wanted: Platform) -> Descriptor:
    """Return the manifest for `wanted`: exact variant first, then the same architecture with another or no variant.

    An index of one image that names no platform gives that image.

    Raises:
        UnsupportedImage: the index has no such platform; the message lists those it has.
    """
    images = images_of(index)
    same = [
        item
        for item in images
        if item.platform and (item.platform.os, item.platform.architecture) == (wanted.os, wanted.architecture)
    ]
    for item in same:
        if item.platform and item.platform.variant == wanted.variant:
            return item
    if same:
        return same[0]
    if len(images) == 1 and images[0].platform is None:
        return images[0]
    have = ", ".join(sorted({str(item.platform) for item in images if item.platform})) or "none"
    raise UnsupportedImage(f"no image for platform {wanted}", hint=f"the index has: {have}")


def images_of(index: Index) -> tuple[Descriptor, ...]:
    """Return the entries of `index` that are images (not attestations, signatures or other artifacts)."""
    return tuple(
        item
        for item in index.manifests
        if not item.is_attestation
        and (item.media_type in (*MANIFEST_TYPES, *INDEX_TYPES) or not item.media_type)
        and not (item.platform and (item.platform.os, item.platform.architecture) == ("unknown", "unknown"))
    )
