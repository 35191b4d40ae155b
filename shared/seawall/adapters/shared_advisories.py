"""One advisory file for many short-lived processes: built by a timer, kept in the blob store, copied where it is used."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime
from pathlib import Path

from seawall.adapters.blobs import Blobs, open_blobs
from seawall.settings import Settings

NAME = "advisories/advisories.db"
CHECK_S = 600
"""How often a process looks whether there is a newer file."""


class SharedAdvisories:
    """Keeps the local file at the version of the blob store's."""

    def __init__(self, blobs: Blobs, path: Path) -> None:
        self._blobs, self._path = blobs, path
        self._version, self._checked = "", 0.0

    def refresh(self) -> None:
        """Fetch the file when it is new. A blob store that does not answer leaves the present file in use.

        Raises:
            RemoteError: there is no local file yet and none can be fetched.
        """
        from seawall.adapters.osv.file import write_file
        from seawall.domain.errors import RemoteError

        if time.monotonic() - self._checked < CHECK_S and self._path.exists():
            return
        try:
            version = self._blobs.version(NAME)
            if version and (version != self._version or not self._path.exists()):
                write_file(self._path, self._blobs.get(NAME))
                self._version = version
        except RemoteError:
            if not self._path.exists():
                raise
        self._checked = time.monotonic()

    def publish(self, content: bytes) -> None:
        """Put a new file where all processes find it."""
        self._blobs.put(NAME, content)


def update_advisories(settings: Settings) -> None:
    """Fetch the sources, build the file, keep it locally and, where blobs are shared, for the others."""
    from seawall.adapters.osv.download import Downloader, default_urls, is_url
    from seawall.adapters.osv.file import write_file
    from seawall.adapters.osv.reading import read_source
    from seawall.vulnerability.advisory_build import Builder

    mirror = settings.vulnerabilities.mirror
    sources = list(settings.vulnerabilities.sources)
    if not sources:
        sources = default_urls(mirror) if not mirror or is_url(mirror) else [mirror]
    builder = Builder()
    downloader = Downloader(settings.data_dir / "advisory-sources")
    reports = []
    for source in sources:
        local = downloader.fetch(source)[0] if is_url(source) else Path(source)
        reports.append(read_source(local, builder, name=source))
    signed = None
    if settings.signing_key:
        from seawall.adapters.signers import open_signer

        signer = open_signer(settings.signing_key)

        def signed(payload: bytes) -> dict[str, str]:
            return {"key_id": signer.key_id, "signature": base64.b64encode(signer.sign(payload)).decode()}

    content = builder.finish(
        built_at=datetime.now(UTC),
        sources=[
            {"source": item.source, "records": item.records, "facts": item.facts, "rejected": item.rejected}
            for item in reports
        ],
        sign=signed,
    )
    write_file(settings.effective_advisories, content)
    if settings.blob_url:
        SharedAdvisories(open_blobs(settings.blob_url, settings), settings.effective_advisories).publish(content)
