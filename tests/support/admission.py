"""Signed images in a registry, for tests and benchmarks of admission."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from seawall.adapters.clock import SystemClock
from seawall.adapters.registry.client import HttpRegistry
from seawall.adapters.registry.transport import HostSettings
from seawall.adapters.signers.local import LocalSigner
from seawall.app.attest_image import attest_image
from seawall.domain.findings import Finding, ImageReport
from seawall.domain.images import ImageReference
from seawall.domain.packages import Distro

from tests.support.images import Layout, tar_of


def push(host: str, tag: str, findings: tuple[Finding, ...] | None, key: Path) -> ImageReference:
    """Push an image of its own as `team/app:tag`; with `findings` also sign and attach them. Returns it by tag and digest."""
    with closing(HttpRegistry(lambda _host: None, {host: HostSettings(plain_http=True)})) as registry:
        layout = Layout()
        entry = layout.image([tar_of({"name": tag})])
        reference = ImageReference(host, "team/app", tag=tag)
        for content in layout.blobs.values():
            registry.push_blob(reference, content)
        digest = registry.push_manifest(reference, layout.blobs[entry["digest"]], entry["mediaType"])
        reference = replace(reference, digest=digest)
        if findings is not None:
            report = ImageReport(
                digest=digest, name=f"{host}/team/app", platform="linux/amd64", distro=Distro("debian", "12"),
                packages=(), findings=findings, gaps=(), scanned_at=datetime.now(UTC),
            )  # fmt: skip
            signer = LocalSigner.from_file(key, create=True)
            attest_image(report, reference, registry=registry, signer=signer, clock=SystemClock())
    return reference
