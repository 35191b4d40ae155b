"""Signed findings in a real registry: found, verified, replaced, refused; and accepted by cosign where it is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from seawall.adapters.registry.client import HttpRegistry
from seawall.adapters.registry.transport import HostSettings
from seawall.adapters.signers.local import LocalSigner
from seawall.app.attest_image import BUNDLE, attest_image, cosign_tag, verify_image
from seawall.domain.errors import InputError, NotFound, Unauthenticated
from seawall.domain.findings import Finding, ImageReport
from seawall.domain.images import ImageReference
from seawall.domain.packages import Distro
from seawall.domain.severity import Severity

from tests.support.advisories import NOON, FixedClock
from tests.support.images import Layout, tar_of
from tests.support.registry import running_registry

pytestmark = pytest.mark.real("registry")


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running.host


@pytest.fixture
def registry(host):
    with closing(HttpRegistry(lambda _host: None, {host: HostSettings(plain_http=True)})) as client:
        yield client


@pytest.fixture
def signer(tmp_path):
    return LocalSigner.from_file(tmp_path / "key.pem", create=True)


@pytest.fixture
def image(registry, host, request) -> ImageReference:
    """A pushed image with content of its own."""
    layout = Layout()
    entry = layout.image([tar_of({"name": request.node.name})])
    reference = ImageReference(host, "team/app", tag="1")
    for content in layout.blobs.values():
        registry.push_blob(reference, content)
    digest = registry.push_manifest(reference, layout.blobs[entry["digest"]], entry["mediaType"])
    return replace(reference, digest=digest)


def report(image: ImageReference, **more) -> ImageReport:
    finding = Finding("CVE-2026-1", "pkg:npm/x@1", "x", "1", severity=Severity.HIGH)
    return ImageReport(image.digest, str(image), "linux/amd64", Distro(), (), (finding,), (), NOON, "sha256:db", **more)


def test_attached_findings_are_found_and_say_what_the_report_says(registry, signer, image):
    [attached] = attest_image(report(image), image, registry=registry, signer=signer, clock=FixedClock())
    found = verify_image(
        replace(image, digest=""), registry=registry, public_key_pem=signer.public_key_pem(), clock=FixedClock()
    )
    assert (found.referrer, found.digest) == (attached.referrer, image.digest)
    assert found.attested.counts == {"high": 1, "packages": 0, "gaps": 0}
    assert found.attested.database == "sha256:db"
    assert found.attested.expires_at == NOON + timedelta(days=30)
    assert found.attested.result["findings"][0]["id"] == "CVE-2026-1"


def test_newer_findings_of_one_key_replace_older_ones_and_leave_others(registry, signer, image, tmp_path):
    other = LocalSigner.from_file(tmp_path / "other.pem", create=True)
    attest_image(report(image), image, registry=registry, signer=other, clock=FixedClock())
    for hours in range(3):
        clock = FixedClock(NOON + timedelta(hours=hours))
        [attached] = attest_image(report(image), image, registry=registry, signer=signer, clock=clock)
    listed = [item["digest"] for item in registry.referrers(image, BUNDLE)]
    assert len(listed) == 2
    assert attached.referrer in listed
    _, _, manifest = registry.manifest(replace(image, tag=cosign_tag(image.digest), digest=""))
    assert len(json.loads(manifest)["layers"]) == 2
    for key in (signer, other):
        assert verify_image(image, registry=registry, public_key_pem=key.public_key_pem(), clock=FixedClock())


def test_platforms_of_one_index_have_findings_of_their_own(registry, signer, image):
    arm = replace(report(image), platform="linux/arm64")
    for item in (report(image), arm):
        attest_image(item, image, registry=registry, signer=signer, clock=FixedClock())
    assert len(registry.referrers(image, BUNDLE)) == 2
    key = signer.public_key_pem()
    found = verify_image(image, registry=registry, public_key_pem=key, clock=FixedClock(), platform="linux/arm64")
    assert found.attested.platform == "linux/arm64"


def test_expired_findings_are_refused(registry, signer, image):
    attest_image(report(image), image, registry=registry, signer=signer, clock=FixedClock(), ttl=timedelta(days=1))
    late = FixedClock(NOON + timedelta(days=1))
    with pytest.raises(Unauthenticated, match="expired"):
        verify_image(image, registry=registry, public_key_pem=signer.public_key_pem(), clock=late)


def test_another_key_is_refused(registry, signer, image, tmp_path):
    attest_image(report(image), image, registry=registry, signer=signer, clock=FixedClock())
    other = LocalSigner.from_file(tmp_path / "other.pem", create=True)
    with pytest.raises(Unauthenticated, match="not signed by the expected key"):
        verify_image(image, registry=registry, public_key_pem=other.public_key_pem(), clock=FixedClock())


def test_findings_moved_from_another_image_are_refused(registry, signer, image, host):
    """The referrer's subject is rewritten; what was signed still names the first image."""
    [attached] = attest_image(report(image), image, registry=registry, signer=signer, clock=FixedClock())
    layout = Layout()
    entry = layout.image([tar_of({"name": "the victim"})])
    victim = ImageReference(host, "team/app", tag="victim")
    for content in layout.blobs.values():
        registry.push_blob(victim, content)
    victim = replace(victim, digest=registry.push_manifest(victim, layout.blobs[entry["digest"]], entry["mediaType"]))
    _, _, content = registry.manifest(replace(image, tag="", digest=attached.referrer))
    moved = json.loads(content)
    moved["subject"]["digest"] = victim.digest
    registry.push_manifest(ImageReference(host, "team/app"), json.dumps(moved).encode(), moved["mediaType"])
    with pytest.raises(Unauthenticated, match="another image"):
        verify_image(victim, registry=registry, public_key_pem=signer.public_key_pem(), clock=FixedClock())


def test_an_image_without_findings_is_not_found(registry, signer, image):
    with pytest.raises(NotFound, match="no signed findings"):
        verify_image(image, registry=registry, public_key_pem=signer.public_key_pem(), clock=FixedClock())


def test_an_image_without_a_digest_cannot_be_attested(registry, signer, image):
    folder = replace(report(image), digest="")
    with pytest.raises(InputError, match="no digest"):
        attest_image(folder, image, registry=registry, signer=signer, clock=FixedClock())


def test_findings_that_cosign_attached_are_verified_too(registry, signer, image):
    """Only the tag is there: what `cosign attest` before version 3 leaves behind."""
    attest_image(report(image), image, registry=registry, signer=signer, clock=FixedClock())
    listed = [str(item["digest"]) for item in registry.referrers(image, BUNDLE)]
    fallback = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
    registry.push_manifest(
        replace(image, tag=image.digest.replace(":", "-"), digest=""),
        json.dumps(fallback).encode(),
        fallback["mediaType"],
    )
    assert listed
    assert registry.referrers(image, BUNDLE) == []
    assert verify_image(image, registry=registry, public_key_pem=signer.public_key_pem(), clock=FixedClock())


@pytest.mark.real("cosign")
@pytest.mark.parametrize("bundle", [False, True], ids=["envelope-at-tag", "bundle-as-referrer"])
def test_cosign_accepts_them(registry, signer, image, tmp_path, bundle):
    attest_image(report(image), image, registry=registry, signer=signer, clock=FixedClock())
    key = tmp_path / "key.pub"
    key.write_text(signer.public_key_pem())
    program = shutil.which("cosign")
    assert program
    # Without one, cosign asks the internet for Sigstore's own, which a key of our own does not need.
    root = tmp_path / "root.json"
    root.write_text('{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}')
    run = subprocess.run(
        [
            program, "verify-attestation", "--key", str(key), "--type", "vuln", "--insecure-ignore-tlog=true", "--allow-http-registry",
            f"--new-bundle-format={str(bundle).lower()}", *(["--trusted-root", str(root)] if bundle else []), f"{image.registry}/{image.repository}@{image.digest}",
        ],
        capture_output=True, text=True, timeout=60, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "payload" in run.stdout
