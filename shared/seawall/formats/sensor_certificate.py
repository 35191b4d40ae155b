"""Client certificates of sensors: request, issue, check. X.509 v3, ECDSA P-256, subject name = sensor id (RFC 5280).

Whoever holds the authority's key signs through a function, so the key may live in a key vault.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from seawall.domain.errors import MalformedEvent, Unauthenticated
from seawall.formats.sensor_batch import SensorIdentity, identity_of

MAX_CSR_BYTES = 8 * 1024
AUTHORITY_LIFETIME = timedelta(days=3650)
_CLOCK_SLACK = timedelta(minutes=5)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,252}")

Sign = Callable[[bytes], bytes]
"""ECDSA P-256 SHA-256 over the bytes, ASN.1 DER: `Signer.sign`, or a file key's."""


def make_request(key: ec.EllipticCurvePrivateKey, node: str) -> bytes:
    """Return a certificate signing request (PEM, PKCS #10) for `key`; the issuer decides the names."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node[:64] or "sensor")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def read_request(pem: bytes) -> x509.CertificateSigningRequest:
    """Return a request whose key is P-256 and whose signature proves possession of it.

    Raises:
        MalformedEvent: too large, not a request, or another kind of key.
        Unauthenticated: the signature is wrong.
    """
    if len(pem) > MAX_CSR_BYTES:
        raise MalformedEvent(f"a certificate request of {len(pem)} bytes; at most {MAX_CSR_BYTES}", where="csr")
    try:
        request = x509.load_pem_x509_csr(pem)
        key = request.public_key()
        valid = request.is_signature_valid
    except (ValueError, TypeError) as error:
        raise MalformedEvent("csr is not a PEM certificate request", where="csr") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise MalformedEvent("csr: the key must be ECDSA P-256", where="csr")
    if not valid:
        raise Unauthenticated("csr: the request is not signed by its own key")
    return request


def checked_name(value: str, what: str) -> str:
    """Return `value` when it can name a cluster or node: 1 to 253 of letters, digits and `._:/@-`.

    Raises:
        MalformedEvent: it can not.
    """
    if not _NAME.fullmatch(value):
        raise MalformedEvent(f"{what}: 1 to 253 letters, digits and ._:/@- starting with a letter or digit", where=what)
    return value


def self_signed_authority(public_key: ec.EllipticCurvePublicKey, sign: Sign, now: datetime) -> x509.Certificate:
    """Return the authority's own certificate, good for ten years."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Seawall sensor authority")])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SLACK)
        .not_valid_after(now + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    return _signed(builder, sign)


def issue(
    request: x509.CertificateSigningRequest,
    identity: SensorIdentity,
    *,
    authority: x509.Certificate,
    sign: Sign,
    now: datetime,
    lifetime: timedelta,
) -> x509.Certificate:
    """Return a client certificate for the request's key under `identity`, whatever names the request asks for."""
    authority_key = authority.public_key()
    assert isinstance(authority_key, ec.EllipticCurvePublicKey)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity.sensor)]))
        .issuer_name(authority.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SLACK)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity.uri)]),
            critical=False,
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key), critical=False)
    )
    return _signed(builder, sign)


@dataclass(frozen=True, slots=True)
class CertificateTrust:
    """Believes certificates that one of `authorities` signed, at the time `at`, unless `revoked` names their sensor.

    `at` is when the batch was taken in, so a batch that waits in a queue does not expire there.
    """

    authorities: Sequence[x509.Certificate]
    at: datetime
    revoked: Callable[[str], bool] = lambda _sensor: False

    def check(self, certificate: x509.Certificate) -> SensorIdentity:
        """See `seawall.formats.sensor_batch.SensorTrust`."""
        for authority in self.authorities:
            try:
                certificate.verify_directly_issued_by(authority)
            except (InvalidSignature, ValueError, TypeError):
                continue
            break
        else:
            raise Unauthenticated("the sensor's certificate was not issued by this deployment")
        at = self.at.astimezone(UTC)
        if at < certificate.not_valid_before_utc:
            raise Unauthenticated(
                f"the sensor's certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
                hint="check the clocks of the node and of this server",
            )
        if at > certificate.not_valid_after_utc:
            raise Unauthenticated(
                f"the sensor's certificate expired at {certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
                hint="enrol the sensor again with a new token",
            )
        try:
            constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        except (x509.ExtensionNotFound, ValueError) as error:
            raise Unauthenticated("the sensor's certificate has no basic constraints") from error
        if constraints.ca:
            raise Unauthenticated("an authority's certificate does not sign batches")
        identity = identity_of(certificate)
        if self.revoked(identity.sensor):
            raise Unauthenticated(f"the sensor {identity.sensor} was revoked")
        return identity


def _signed(builder: x509.CertificateBuilder, sign: Sign) -> x509.Certificate:
    # `cryptography` signs only with keys it holds. A throw-away P-256 key gives the to-be-signed part with the right
    # algorithm; the real signature over that part then takes the throw-away one's place.
    draft = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    body = draft.tbs_certificate_bytes
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")  # ecdsa-with-SHA256, RFC 5758
    return x509.load_der_x509_certificate(_der(0x30, body + algorithm + _der(0x03, b"\0" + sign(body))))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content
