"""Opens what a user calls an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from seawall.adapters.images.folder import Folder
from seawall.adapters.images.layouts import open_docker_archive, open_layout
from seawall.domain.errors import InputError
from seawall.domain.images import Platform
from seawall.ports.images import FolderSource, ImageSource
from seawall.ports.registry import Registry


def _by_looks(target: str, platform: Platform | None) -> Sequence[ImageSource | FolderSource]:
    """A path without a scheme: a folder is an OCI layout or a file tree, a file an archive of either form."""
    path = Path(target)
    if path.is_dir():
        is_layout = (path / "oci-layout").is_file() and (path / "index.json").is_file()
        return open_layout(target, target, platform, archive=False) if is_layout else [Folder(target, target)]
    if path.is_file():
        return open_layout(target, target, platform, archive=True)
    raise InputError(f"{target} is not there", hint="an image in a registry is named without / or . in front")


class Sources:
    """Targets by their scheme (an `ImageSources`); `registry` is asked for only when a reference is opened."""

    def __init__(self, registry: Callable[[], Registry]) -> None:
        self._registry = registry

    def open(self, target: str, platform: Platform | None) -> Sequence[ImageSource | FolderSource]:
        """Return the images of `target`; see `seawall.ports.images.ImageSources`."""
        scheme, colon, rest = target.partition(":")
        if colon and scheme in ("oci", "oci-archive", "docker-archive", "dir") and not rest:
            raise InputError(f"{target!r} names no path")
        if scheme == "oci" and colon:
            return open_layout(target, rest, platform, archive=False)
        if scheme == "oci-archive" and colon:
            return open_layout(target, rest, platform, archive=True)
        if scheme == "docker-archive" and colon:
            return open_docker_archive(target, rest, platform)
        if scheme == "dir" and colon:
            return [Folder(target, rest)]
        if target in (".", "..") or target.startswith(("/", "./", "../")):
            return _by_looks(target, platform)
        from seawall.adapters.images.remote import open_reference

        return open_reference(target, self._registry(), platform)
