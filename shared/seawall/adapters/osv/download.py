"""Downloads advisory sources: conditional requests, size limits, resumable over failures of single sources."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx

from seawall.domain.errors import Denied, InputError, NotFound, TooLarge, Unavailable

log = logging.getLogger(__name__)

MAX_BYTES = 4 << 30
"""One download; the largest export of OSV has about 1 GB."""
OSV_EXPORTS = "https://osv-vulnerabilities.storage.googleapis.com"
KEV_URL = "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json"
EPSS_URL = "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz"
ECOSYSTEMS = (
    "AlmaLinux", "Alpine", "Azure Linux", "Bitnami", "Chainguard", "Debian", "Echo", "Go", "GitHub Actions", "Hex",
    "MinimOS", "Maven", "NuGet", "Packagist", "Photon OS", "Pub", "PyPI", "Red Hat", "Rocky Linux", "RubyGems", "SUSE",
    "SwiftURL", "Ubuntu", "Wolfi", "crates.io", "npm", "openEuler", "openSUSE",
)  # fmt: skip
"""OSV's exports of what the inventory finds in images."""
_ATTEMPTS = 4


def default_urls(mirror: str = "") -> list[str]:
    """Where `seawall db update` looks: the original places, or the same file names below a mirror."""
    base = mirror.rstrip("/")
    exports = [f"{base or OSV_EXPORTS}/{quote(name)}/all.zip" for name in ECOSYSTEMS]
    if not base:
        return [*exports, KEV_URL, EPSS_URL]
    return [*exports, f"{base}/{KEV_URL.rpartition('/')[2]}", f"{base}/{EPSS_URL.rpartition('/')[2]}"]


def is_url(source: str) -> bool:
    """Whether a source is fetched, not read from disk."""
    return urlsplit(source).scheme in ("http", "https")


class Downloader:
    """Fetches into a folder and keeps what it fetched; an unchanged source (ETag, Last-Modified) is not sent again."""

    def __init__(
        self, folder: Path, *, client: httpx.Client | None = None, max_bytes: int = MAX_BYTES, pause_s: float = 1.0
    ) -> None:
        self._folder = folder
        self._client = client or httpx.Client(timeout=httpx.Timeout(30, read=120), follow_redirects=True)
        self._max_bytes = max_bytes
        self._pause_s = pause_s

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def fetch(self, url: str, progress: Callable[[int, int], None] | None = None) -> tuple[Path, bool]:
        """Return the file and whether it is new since the last time. Failures that pass are tried again with back-off.

        Raises:
            NotFound, Denied, Unavailable: as the server answered, after several attempts where that may help.
            TooLarge: over the limit.
        """
        for attempt in range(_ATTEMPTS):
            try:
                return self._fetch(url, progress)
            except Unavailable as error:
                if attempt == _ATTEMPTS - 1:
                    raise
                wait_s = error.retry_after_s or self._pause_s * 2**attempt * random.uniform(0.5, 1)  # noqa: S311 - jitter
                log.info("download failed, trying again", extra={"url": url, "wait_s": wait_s})
                time.sleep(min(wait_s, 60))
        raise AssertionError("unreachable")

    def cached(self, url: str) -> Path | None:
        """What an earlier run fetched from there, however old."""
        path = self._paths(url)[0]
        return path if path.exists() else None

    def _paths(self, url: str) -> tuple[Path, Path]:
        name = hashlib.sha256(url.encode()).hexdigest()[:32]
        return self._folder / f"{name}.bin", self._folder / f"{name}.json"

    def _fetch(self, url: str, progress: Callable[[int, int], None] | None) -> tuple[Path, bool]:
        self._folder.mkdir(parents=True, exist_ok=True)
        path, notes = self._paths(url)
        try:
            with self._client.stream("GET", url, headers=_conditions(path, notes)) as answer:
                if answer.status_code == 304 and path.exists():
                    return path, False
                _raise_for(answer, url)
                self._save(answer, path, progress)
                kept = {
                    "url": url,
                    "etag": answer.headers.get("etag", ""),
                    "last_modified": answer.headers.get("last-modified", ""),
                }
        except (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError) as error:
            raise Unavailable(f"{url} cannot be reached: {error}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise InputError(f"{url}: {error}") from error
        notes.write_text(json.dumps(kept))
        return path, True

    def _save(self, answer: httpx.Response, path: Path, progress: Callable[[int, int], None] | None) -> None:
        expected = int(answer.headers.get("content-length") or 0)
        if expected > self._max_bytes:
            raise TooLarge(f"{answer.url} has {expected} bytes, at most {self._max_bytes} are fetched")
        partial, size = path.with_suffix(".part"), 0
        with partial.open("wb") as target:
            for chunk in answer.iter_raw():
                size += len(chunk)
                if size > self._max_bytes:
                    raise TooLarge(f"{answer.url} has over {self._max_bytes} bytes")
                target.write(chunk)
                if progress:
                    progress(size, expected)
        if expected and size != expected:
            raise Unavailable(f"{answer.url} was cut after {size} of {expected} bytes")
        partial.replace(path)


def _conditions(path: Path, notes: Path) -> dict[str, str]:
    headers = {"accept-encoding": "identity"}
    try:
        kept = json.loads(notes.read_text()) if path.exists() else {}
    except (OSError, ValueError):
        kept = {}
    if kept.get("etag"):
        headers["if-none-match"] = kept["etag"]
    elif kept.get("last_modified"):
        headers["if-modified-since"] = kept["last_modified"]
    return headers


def _raise_for(answer: httpx.Response, url: str) -> None:
    status = answer.status_code
    if status == 404:
        raise NotFound(f"{url}: not found")
    if status in (401, 403):
        raise Denied(f"{url}: the server refused (HTTP {status})")
    if status == 429 or status >= 500:
        after = answer.headers.get("retry-after", "")
        raise Unavailable(f"{url}: HTTP {status}", retry_after_s=float(after) if after.isdecimal() else None)
    if status != 200:
        raise InputError(f"{url}: HTTP {status}")
