"""The layer cache in a folder, or at any fsspec URL (Azure Blob, S3, GCS)."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

from seawall.domain.errors import MissingExtra


class FolderCache:
    """One file per layer, written aside and moved into place: readers never see half a record."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> bytes | None:
        """Return the record under `key`, or None."""
        try:
            return (self._folder / key).read_bytes()
        except OSError:
            return None

    def put(self, key: str, value: bytes) -> None:
        """Keep `value`; a full or read-only disk costs the cache, not the scan."""
        path = self._folder / key
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(value)
                Path(temporary).replace(path)
            except OSError:
                Path(temporary).unlink(missing_ok=True)


class UrlCache:
    """The same below an fsspec URL."""

    def __init__(self, url: str, **options: Any) -> None:
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise MissingExtra("server", f"the layer cache at {url}") from error
        self._files, self._root = url_to_fs(url, **options)

    def get(self, key: str) -> bytes | None:
        """Return the record under `key`, or None."""
        try:
            content: bytes = self._files.cat_file(f"{self._root}/{key}")
        except (OSError, ValueError):
            return None
        return content

    def put(self, key: str, value: bytes) -> None:
        """Keep `value`."""
        path = f"{self._root}/{key}"
        with contextlib.suppress(OSError, ValueError):
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(path, value)


def open_cache(url: str) -> FolderCache | UrlCache:
    """Return the cache at a local path or fsspec URL."""
    if "://" not in url:
        return FolderCache(Path(url))
    if url.startswith("file://"):
        return FolderCache(Path(url.removeprefix("file://")))
    return UrlCache(url)
