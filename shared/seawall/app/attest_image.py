"""Use cases: attach signed findings to an image in its registry, and verify them.

Each statement is written twice, because both places are looked at: as a Sigstore bundle that is an OCI 1.1 referrer
(Seawall, cosign 3, every client of the referrers API), and as a DSSE envelope under the tag `sha256-<hex>.att` (cosign
before 3, policy controllers built on it). A newer statement of the same key, type and platform replaces the older one;
attestations of others stay.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from seawall.domain.errors import InputError, NotFound, SeawallError, Unauthenticated
from seawall.domain.findings import ImageReport
from seawall.domain.images import ImageReference
from seawall.formats import attestation, dsse
from seawall.formats.attestation import PREDICATE_TYPE, Attested
from seawall.ports.clock import Clock
from seawall.ports.registry import Registry
from seawall.ports.signer import Signer

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
_KEY, _PLATFORM, _PREDICATE = "io.seawall.key-id", "io.seawall.platform", "dev.sigstore.bundle.predicateType"
_COSIGN_PREDICATE = "predicateType"
MAX_CANDIDATES = 64
"""Referrers that are looked at when verifying."""


@dataclass(frozen=True, slots=True)
class Attached:
    """Where a statement lies: `referrer` is the digest of the manifest whose subject is `digest`."""

    digest: str
    reference: str
    referrer: str
    key_id: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Verified:
    """A statement that the key signed, is about the image, and has not expired."""

    reference: str
    digest: str
    referrer: str
    attested: Attested


def attest_image(
    report: ImageReport,
    reference: ImageReference,
    *,
    registry: Registry,
    signer: Signer,
    clock: Clock,
    ttl: timedelta = timedelta(days=30),
) -> list[Attached]:
    """Sign the report and attach it to the image, and to the index that the image was chosen from.

    Args:
        report: of an image in a registry.
        reference: where the image lies; its tag and digest do not matter, the report's do.
        registry: writes.
        signer: the key.
        clock: says when; the statement expires `ttl` later.

    Raises:
        InputError: the report has no digest.
        RemoteError: registry or key service failed.
    """
    now = clock.now()
    name = f"{reference.registry}/{reference.repository}"
    payload = attestation.statement(report, name, created_at=now, ttl=ttl)
    envelope = dsse.sign(payload, signer)
    out = []
    for digest in dict.fromkeys(item for item in (report.digest, report.index_digest) if item.startswith("sha256:")):
        subject = replace(reference, tag="", digest=digest)
        media_type, _, content = registry.manifest(subject)
        place = _Place(registry, subject, {"mediaType": media_type, "digest": digest, "size": len(content)})
        referrer = place.attach_bundle(envelope, signer, report.platform, now)
        place.attach_for_cosign(envelope, signer, report.platform)
        out.append(Attached(digest, str(subject), referrer, signer.key_id, now, now + ttl))
    return out


@dataclass(frozen=True, slots=True)
class _Place:
    registry: Registry
    subject: ImageReference
    descriptor: dict[str, Any]

    def attach_bundle(self, envelope: dict[str, Any], signer: Signer, platform: str, now: datetime) -> str:
        """Source: cosign, specs/BUNDLE_SPEC.md."""
        bundle = {
            "mediaType": BUNDLE,
            "verificationMaterial": {
                "publicKey": {"hint": base64.b64encode(bytes.fromhex(signer.key_id)).decode()},
                "tlogEntries": [],
            },
            "dsseEnvelope": envelope,
        }
        annotations = {
            "dev.sigstore.bundle.content": "dsse-envelope",
            _PREDICATE: PREDICATE_TYPE,
            "org.opencontainers.image.created": now.isoformat(),
            _KEY: signer.key_id,
            _PLATFORM: platform,
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": BUNDLE,
            "config": self._blob(EMPTY, b"{}"),
            "layers": [self._blob(BUNDLE, _json(bundle))],
            "subject": self.descriptor,
            "annotations": annotations,
        }
        older = [
            str(item["digest"])
            for item in self.registry.referrers(self.subject, BUNDLE)
            if _is_ours(item.get("annotations"), _PREDICATE, signer.key_id, platform)
        ]
        return self.registry.push_manifest(self.subject_by_digest, _json(manifest), MANIFEST, replaces=older)

    def attach_for_cosign(self, envelope: dict[str, Any], signer: Signer, platform: str) -> None:
        """Source: cosign, specs/ATTESTATION_SPEC.md; annotations as `cosign attest` writes them."""
        tagged = replace(self.subject, tag=cosign_tag(self.subject.digest), digest="")
        layer = self._blob(dsse.MEDIA_TYPE, _json(envelope)) | {
            "annotations": {
                "dev.cosignproject.cosign/signature": "",
                _COSIGN_PREDICATE: PREDICATE_TYPE,
                _KEY: signer.key_id,
                _PLATFORM: platform,
            }
        }
        others = [
            item
            for item in self._layers_at(tagged)
            if not _is_ours(item.get("annotations"), _COSIGN_PREDICATE, signer.key_id, platform)
        ]
        layers = [*others, layer]
        config = {
            "architecture": "", "created": "0001-01-01T00:00:00Z", "history": [{"created": "0001-01-01T00:00:00Z"}] * len(layers),
            "os": "", "rootfs": {"type": "layers", "diff_ids": [item["digest"] for item in layers]}, "config": {},
        }  # fmt: skip
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._blob(CONFIG, _json(config)),
            "layers": layers,
        }
        self.registry.push_manifest(tagged, _json(manifest), MANIFEST)

    @property
    def subject_by_digest(self) -> ImageReference:
        """The repository, without tag and digest: manifests that are pushed there go by their own digest."""
        return replace(self.subject, tag="", digest="")

    def _blob(self, media_type: str, content: bytes) -> dict[str, Any]:
        digest = self.registry.push_blob(self.subject, content)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def _layers_at(self, tagged: ImageReference) -> list[dict[str, Any]]:
        try:
            _, _, content = self.registry.manifest(tagged)
            layers = json.loads(content).get("layers")
        except (NotFound, ValueError, AttributeError, RecursionError):
            return []
        return [item for item in layers if isinstance(item, dict)] if isinstance(layers, list) else []


def verify_image(
    reference: ImageReference, *, registry: Registry, public_key_pem: str, clock: Clock, platform: str = ""
) -> Verified:
    """Return the newest valid statement about an image.

    Args:
        reference: the image; a tag is resolved.
        registry: reads.
        public_key_pem: the key that must have signed.
        clock: says whether it has expired.
        platform: only statements about this platform; empty = any.

    Raises:
        NotFound: the image has no signed findings.
        Unauthenticated: it has, but none is signed by the key, about this image and still valid.
        RemoteError: the registry failed.
    """
    found = verify_platforms(
        reference, registry=registry, public_key_pem=public_key_pem, clock=clock, platform=platform
    )
    return max(found, key=lambda item: item.attested.created_at)


def verify_platforms(
    reference: ImageReference, *, registry: Registry, public_key_pem: str, clock: Clock, platform: str = ""
) -> list[Verified]:
    """Return the newest valid statement of every platform that there is one of; never empty. Raises as `verify_image`."""
    digest = reference.digest or registry.resolve(reference)[1]
    subject = replace(reference, digest=digest)
    found: dict[str, Verified] = {}
    problems: list[str] = []
    for referrer, envelope in _envelopes(registry, subject, problems):
        try:
            attested = _checked(envelope, public_key_pem, digest, clock.now())
        except (InputError, Unauthenticated) as error:
            problems.append(error.message)
            continue
        held = found.get(attested.platform)
        if (not platform or attested.platform == platform) and (
            held is None or held.attested.created_at < attested.created_at
        ):
            found[attested.platform] = Verified(str(subject), digest, referrer, attested)
    if found:
        return list(found.values())
    if problems:
        raise Unauthenticated(f"{subject}: {problems[0]}", hint=f"{len(problems)} attestations were looked at")
    raise NotFound(
        f"{subject} has no signed findings", hint="`seawall scan --attest` or a push to a watched registry makes them"
    )


def _checked(envelope: Any, public_key_pem: str, digest: str, now: datetime) -> Attested:
    attested = attestation.read(dsse.verify(envelope, public_key_pem))
    if digest not in attested.digests:
        raise Unauthenticated("the signed findings are about another image")
    if now >= attested.expires_at:
        raise Unauthenticated(
            f"the signed findings expired at {attested.expires_at.isoformat()}", hint="scan the image again"
        )
    return attested


def _envelopes(registry: Registry, subject: ImageReference, problems: list[str]) -> Iterator[tuple[str, Any]]:
    listed = [item for item in registry.referrers(subject, BUNDLE) if _predicate_of(item) in ("", PREDICATE_TYPE)]
    for item in listed[:MAX_CANDIDATES]:
        try:
            document = _blob_of(registry, subject, str(item.get("digest")))
        except SeawallError as error:
            problems.append(error.message)
            continue
        envelope = document.get("dsseEnvelope") if isinstance(document, dict) else None
        if isinstance(envelope, dict):
            yield str(item.get("digest")), envelope
    if listed:
        return
    tagged = replace(subject, tag=cosign_tag(subject.digest), digest="")
    try:
        _, digest, content = registry.manifest(tagged)
    except NotFound:
        return
    for layer in _layers(content)[:MAX_CANDIDATES]:
        if layer.get("mediaType") == dsse.MEDIA_TYPE:
            yield digest, dsse.parse(_read(registry, subject, str(layer.get("digest"))))


def _blob_of(registry: Registry, subject: ImageReference, manifest_digest: str) -> Any:
    _, _, content = registry.manifest(replace(subject, tag="", digest=manifest_digest))
    layers = _layers(content)
    if not layers:
        raise InputError(f"the referrer {manifest_digest} has no content")
    return dsse.parse(_read(registry, subject, str(layers[0].get("digest"))))


def _read(registry: Registry, subject: ImageReference, digest: str) -> bytes:
    out = bytearray()
    for chunk in registry.blob(subject, digest):
        out += chunk
        if len(out) > dsse.MAX_BYTES:
            raise InputError(f"an attestation of over {dsse.MAX_BYTES} bytes")
    return bytes(out)


def _layers(content: bytes) -> Sequence[dict[str, Any]]:
    try:
        layers = json.loads(content).get("layers")
    except (ValueError, AttributeError, RecursionError) as error:
        raise InputError("a referrer's manifest is not JSON") from error
    return [item for item in layers if isinstance(item, dict)] if isinstance(layers, list) else []


def _predicate_of(descriptor: dict[str, object]) -> str:
    annotations = descriptor.get("annotations")
    return str(annotations.get(_PREDICATE, "")) if isinstance(annotations, dict) else ""


def _is_ours(annotations: Any, predicate: str, key_id: str, platform: str) -> bool:
    return (
        isinstance(annotations, dict)
        and annotations.get(predicate) == PREDICATE_TYPE
        and annotations.get(_KEY) == key_id
        and annotations.get(_PLATFORM, "") == platform
    )


def cosign_tag(digest: str) -> str:
    """The tag at which cosign looks for attestations of an image."""
    return f"{digest.replace(':', '-', 1)}.att"


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode()
