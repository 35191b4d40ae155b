"""Gives sensors their client certificates: a one-time token first, then the certificate renews itself."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from seawall.domain.errors import MalformedEvent, Unauthenticated
from seawall.domain.ids import content_id
from seawall.formats.sensor_batch import SensorIdentity
from seawall.formats.sensor_certificate import CertificateTrust, checked_name, issue, read_request
from seawall.ports.sensors import EnrolmentToken, SensorAuthority, SensorStore

TOKEN_PREFIX = "swt_"  # noqa: S105 - how a token begins, for secret scanners
CERTIFICATE_LIFETIME = timedelta(hours=24)
"""Short, so that a stolen key is worth little; sensors renew after two thirds of it."""
MAX_TOKEN_LIFETIME = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What a sensor gets back. PEM texts."""

    sensor: str
    cluster: str
    node: str
    certificate: str
    authority: str
    renew_after: datetime
    expires_at: datetime


def create_token(
    store: SensorStore, *, cluster: str, now: datetime, lifetime: timedelta, uses: int = 1, created_by: str = ""
) -> str:
    """Return a new token's text, which is shown once and never kept.

    `uses` is the number of nodes it serves, each once: 1 by hand, the size of the node pool for a DaemonSet.

    Raises:
        MalformedEvent: a cluster that cannot be a name, no uses, or a lifetime over seven days.
    """
    checked_name(cluster, "cluster")
    if not 1 <= uses <= 10_000:
        raise MalformedEvent(f"uses is {uses}; 1 to 10000", where="uses")
    if not timedelta(0) < lifetime <= MAX_TOKEN_LIFETIME:
        raise MalformedEvent("a token lives at most seven days", where="lifetime")
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    store.add_token(EnrolmentToken(_hash(token), cluster, now + lifetime, uses, now, created_by))
    return token


def enrol_sensor(
    *, token: str, csr: str, node: str, store: SensorStore, authority: SensorAuthority, now: datetime
) -> Enrolled:
    """Return a certificate for the key of `csr`, for `node` of the token's cluster.

    Raises:
        MalformedEvent: a request or node name that we do not take; the token is not used up by it.
        Unauthenticated: unknown, expired or used token.
    """
    checked_name(node, "node")
    request = read_request(csr.encode())
    redeemed = store.redeem(_hash(token), node, now)
    if redeemed is None:
        raise Unauthenticated(
            "the enrolment token is unknown, expired, or was used", hint="make a new one: seawall sensor token"
        )
    identity = SensorIdentity(content_id("sensor", redeemed.cluster, node), redeemed.cluster, node)
    return _issue(request, identity, authority, now)


def renew_sensor(
    *,
    certificate: str,
    csr: str,
    signature: str,
    store: SensorStore,
    authority: SensorAuthority,
    now: datetime,
) -> Enrolled:
    """Return a certificate of the same identity for a new key.

    Args:
        certificate: the present one, PEM, still valid.
        csr: PEM request of the new key.
        signature: base64 DER ECDSA signature by the present key over the bytes of `csr`.

    Raises:
        MalformedEvent: something is not in its form.
        Unauthenticated: the certificate is not trusted (any more), or the signature is not by its key.
    """
    try:
        present = x509.load_pem_x509_certificate(certificate.encode())
        proof = base64.b64decode(signature, validate=True)
    except (ValueError, binascii.Error) as error:
        raise MalformedEvent("certificate must be PEM and signature base64") from error
    identity = CertificateTrust((authority.certificate,), now, store.revoked).check(present)
    key = present.public_key()
    try:
        assert isinstance(key, ec.EllipticCurvePublicKey)
        key.verify(proof, csr.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise Unauthenticated("the request is not signed by the present certificate's key") from error
    return _issue(read_request(csr.encode()), identity, authority, now)


def _issue(
    request: x509.CertificateSigningRequest, identity: SensorIdentity, authority: SensorAuthority, now: datetime
) -> Enrolled:
    certificate = issue(
        request,
        identity,
        authority=authority.certificate,
        sign=authority.sign,
        now=now,
        lifetime=CERTIFICATE_LIFETIME,
    )
    return Enrolled(
        sensor=identity.sensor,
        cluster=identity.cluster,
        node=identity.node,
        certificate=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        authority=authority.certificate.public_bytes(serialization.Encoding.PEM).decode(),
        renew_after=now + CERTIFICATE_LIFETIME * 2 / 3,
        expires_at=certificate.not_valid_after_utc,
    )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
