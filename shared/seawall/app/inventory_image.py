"""Use case: what is in this image? Layers streamed once, each analysed once ever."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from seawall.domain.errors import InputError, NotFound
from seawall.domain.images import Platform
from seawall.domain.inventory import ImageLayer, Inventory
from seawall.domain.packages import Gap
from seawall.oci.limits import DEFAULT_LIMITS, Limits
from seawall.oci.manifests import ImageConfig, parse_config
from seawall.packages.inventory import AnalyzedLayer, merge_layers
from seawall.packages.layer import (
    MIN_EXECUTABLE,
    PROGRAMS,
    LayerAnalysis,
    LayerRecord,
    analyze_layer,
    cache_key,
    decode_record,
    encode_record,
    may_run,
)
from seawall.packages.router import Router, default_router
from seawall.ports.images import FolderSource, ImageSource, ImageSources, LayerBlob, LayerCache

log = logging.getLogger(__name__)


def inventory_image(
    target: str,
    *,
    sources: ImageSources,
    cache: LayerCache | None = None,
    platform: str = "",
    limits: Limits = DEFAULT_LIMITS,
) -> Inventory:
    """Return what is in the image that `target` names.

    Args:
        target: a registry reference, `oci:DIR[:TAG]`, `oci-archive:FILE`, `docker-archive:FILE` or `dir:PATH`.
        sources: opens targets; `seawall.adapters.images.opening.open_sources` gives the usual one.
        cache: remembers layers; None reads every layer.
        platform: `os/architecture[/variant]` of an index; empty = linux/amd64, or the only one there is.

    Raises:
        InputError: `target` is not one, or cannot be read at all.
        RemoteError: the registry failed.
    """
    inventories = inventory_platforms(target, sources=sources, cache=cache, platform=platform, limits=limits)
    if not inventories:
        raise InputError(f"{target}: no image in it")
    return inventories[0]


def inventory_platforms(
    target: str,
    *,
    sources: ImageSources,
    cache: LayerCache | None = None,
    platform: str = "",
    limits: Limits = DEFAULT_LIMITS,
) -> list[Inventory]:
    """Return one inventory per image of `target`; platform `all` gives every platform of an index."""
    opened = sources.open(target, None if platform == "all" else Platform.parse(platform or "linux/amd64"))
    router = default_router()
    inventories = []
    for source in opened:
        if isinstance(source, ImageSource):
            try:
                inventories.append(_image(source, router, cache, limits))
            finally:
                source.close()
        else:
            inventories.append(_folder(source, router, limits))
    return inventories


def _image(source: ImageSource, router: Router, cache: LayerCache | None, limits: Limits) -> Inventory:
    started = time.monotonic()
    gaps: list[Gap] = []
    config = _config(source, gaps)
    commands = config.created_by(len(source.layers))
    layers, analyzed = [], []
    for blob, created_by in zip(source.layers, commands, strict=True):
        record, cached = _layer(source, blob, router, cache, limits)
        layers.append(ImageLayer(blob.digest, blob.diff_id, blob.size_bytes, created_by, cached))
        analyzed.append(AnalyzedLayer(blob.cache_key, created_by, record))
    contents = merge_layers(analyzed, router, limits)
    log.info(
        "image inventoried",
        extra={
            "digest": source.digest,
            "packages": len(contents.packages),
            "gaps": len(contents.gaps),
            "seconds": round(time.monotonic() - started, 3),
        },
    )
    return Inventory(
        target=source.target,
        digest=source.digest,
        platform=config.platform,
        distro=contents.distro,
        packages=contents.packages,
        gaps=(*gaps, *contents.gaps),
        layers=tuple(layers),
        index_digest=source.index_digest,
        config_digest=source.config_digest,
        created=config.created,
        user=config.user,
        entrypoint=config.entrypoint,
        command=config.command,
        exposed_ports=config.exposed_ports,
        labels=dict(config.labels),
        size_bytes=sum(blob.size_bytes for blob in source.layers),
    )


def _config(source: ImageSource, gaps: list[Gap]) -> ImageConfig:
    if not source.config.strip():
        return ImageConfig(Platform())
    try:
        return parse_config(source.config)
    except InputError as error:
        gaps.append(Gap("config", error.message))
        return ImageConfig(Platform())


def _layer(
    source: ImageSource, blob: LayerBlob, router: Router, cache: LayerCache | None, limits: Limits
) -> tuple[LayerRecord, bool]:
    key = cache_key(blob.cache_key, router) if blob.cache_key else ""
    if cache is not None and key:
        content = cache.get(key)
        if content is not None and (record := decode_record(content)) is not None:
            return record, True

    def open_layer() -> Iterator[bytes]:
        return source.read_layer(blob)

    try:
        record = analyze_layer(blob.cache_key, open_layer, router, limits)
    except (InputError, NotFound) as error:
        # a registry may not serve non-distributable layers; a blob that is gone does not hide the other layers
        return LayerRecord(gaps=[Gap(blob.cache_key, error.message)], complete=False), False
    if cache is not None and key and record.complete:
        cache.put(key, encode_record(record))
    return record, False


def _folder(source: FolderSource, router: Router, limits: Limits) -> Inventory:
    analysis = LayerAnalysis("", router, limits)
    for entry in source.files(analysis.gaps.add):
        if entry.link:
            analysis.links[entry.path] = entry.link
            continue
        analyzers = router.route(entry.path)
        is_program = entry.size_bytes >= MIN_EXECUTABLE and may_run(entry.path, entry.mode)
        if not analyzers and not is_program:
            continue
        try:
            if not analyzers and not entry.head(4).startswith(PROGRAMS):
                continue
            if entry.size_bytes > (limits.file_bytes if analyzers else limits.program_bytes):
                analysis.analyze_large(entry.path, entry.mode, entry.size_bytes, entry.pieces(), analyzers)
                continue
            content = entry.read()
        except OSError as error:
            analysis.gaps.add(entry.path, f"cannot be read: {error.strerror}")
            continue
        analysis.analyze(entry.path, content, entry.mode, analyzers)
    record = analysis.record(complete=True)
    contents = merge_layers([AnalyzedLayer("", "", record)], router, limits, project=not _is_system(record))
    return Inventory(source.target, "", Platform(), contents.distro, contents.packages, contents.gaps)


def _is_system(record: LayerRecord) -> bool:
    """Whether a folder is a root file system, not a folder of sources."""
    return any(result.distro is not None for result in record.files)
