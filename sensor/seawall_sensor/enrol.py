"""The sensor's identity: a one-time token buys a certificate for a key made here; it renews itself from then on."""

from __future__ import annotations

import base64
import contextlib
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from seawall.domain.errors import ConfigError, Denied, Unavailable
from seawall.formats.sensor_batch import SensorIdentity, identity_of
from seawall.formats.sensor_certificate import make_request

_RETRY = timedelta(minutes=5)
_ROOM_BYTES = 4096
"""A key and a certificate, both PEM, with room to spare."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Key and certificate in use. Fulfils `seawall.formats.sensor_batch.BatchSigner`."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def certificate_der(self) -> bytes:
        """The certificate that goes with the key."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def identity(self) -> SensorIdentity:
        """Who the certificate says this sensor is."""
        return identity_of(self.certificate)

    @property
    def expires_ns(self) -> int:
        """End of the certificate's life, ns since 1970 UTC."""
        return int(self.certificate.not_valid_after_utc.timestamp()) * 10**9

    @property
    def renew_after(self) -> datetime:
        """Two thirds of the certificate's life."""
        start, end = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        return start + (end - start) * 2 / 3

    def sign(self, payload: bytes) -> bytes:
        """ECDSA P-256 SHA-256 signature, ASN.1 DER."""
        return self.key.sign(payload, ec.ECDSA(hashes.SHA256()))


class Enrolment:
    """Keeps `identity.pem` (key and certificate in one file, so that a crash never separates them) in a folder."""

    def __init__(
        self,
        folder: Path,
        *,
        server: str,
        node: str,
        token: str = "",
        token_file: Path | None = None,
        ca_file: Path | None = None,
        proxy: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        timeout_s: float = 20.0,
    ) -> None:
        self.file = folder / "identity.pem"
        self._server, self._node, self._token, self._token_file = server.rstrip("/"), node, token, token_file
        self._ca_file, self._proxy, self._now, self._timeout_s = ca_file, proxy, now, timeout_s
        self._credentials: Credentials | None = None
        self._retry_at: datetime | None = None
        self._distrusted = False

    def credentials(self) -> Credentials:
        """Return what to sign and connect with: enrols when there is none, renews when two thirds of its life are over.

        A renewal that fails is tried again after five minutes; the present certificate serves until it expires. One that
        the server does not know (`distrust`) is replaced with the token, where there is one that it takes.

        Raises:
            ConfigError: no certificate and no token.
            Unavailable: the server can not be reached, and there is no valid certificate.
            Denied: the server refused the token or certificate.
        """
        present = self._credentials or self._load()
        now = self._now()
        if present is None or present.certificate.not_valid_after_utc <= now:
            present = self._enrol()
        elif self._distrusted and (self._retry_at is None or self._retry_at <= now):
            try:
                present = self._enrol()
            except (ConfigError, Unavailable, Denied):
                self._retry_at = now + _RETRY
        elif present.renew_after <= now and (self._retry_at is None or self._retry_at <= now):
            try:
                present = self._renew(present)
                self._retry_at = None
            except (Unavailable, Denied):
                self._retry_at = now + _RETRY
        self._credentials = present
        return present

    def distrust(self) -> None:
        """The server does not believe the present certificate: it was set up anew, or the sensor was revoked."""
        self._distrusted = True

    def tls(self, *, proven: bool = True) -> ssl.SSLContext:
        """Return a client context: the server's certificate by `ca_file` or the system's roots, ours towards it.

        Not `proven` shows none: a server that asks for one refuses the connection over one that expired.
        """
        context = ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)
        if proven and self.file.exists():
            context.load_cert_chain(self.file)
        return context

    def _enrol(self) -> Credentials:
        token = self._token
        if not token and self._token_file is not None and self._token_file.exists():
            token = self._token_file.read_text().strip()
        if not token:
            raise ConfigError(
                "this sensor has no certificate and no enrolment token", hint="make one: seawall sensor token"
            )
        key = self._new_key()
        request = make_request(key, self._node).decode()
        answer = self._post("/v1/sensors/enrol", {"node": self._node, "csr": request}, token=token)
        return self._keep(key, answer)

    def _renew(self, present: Credentials) -> Credentials:
        key = self._new_key()
        request = make_request(key, self._node).decode()
        signature = base64.b64encode(present.sign(request.encode())).decode()
        certificate = present.certificate.public_bytes(serialization.Encoding.PEM).decode()
        answer = self._post("/v1/sensors/renew", {"certificate": certificate, "csr": request, "signature": signature})
        return self._keep(key, answer)

    def _post(self, path: str, body: dict[str, str], token: str = "") -> dict[str, Any]:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        try:
            with httpx.Client(
                verify=self.tls(proven=not token), proxy=self._proxy or None, timeout=self._timeout_s
            ) as client:
                response = client.post(self._server + path, json=body, headers=headers)
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:
            raise Unavailable(f"{self._server}{path}: {error}") from error
        if response.status_code >= 500 or response.status_code in (408, 425, 429):
            raise Unavailable(f"{path} answered {response.status_code}")
        if response.status_code >= 300:
            raise Denied(
                f"{path} answered {response.status_code}: {response.text[:200]}",
                hint="make a new token: seawall sensor token",
            )
        try:
            answer = response.json()
        except ValueError as error:
            raise Unavailable(f"{path} did not answer with JSON") from error
        return answer if isinstance(answer, dict) else {}

    @property
    def _temporary(self) -> Path:
        return self.file.with_suffix(".tmp")

    def _new_key(self) -> ec.EllipticCurvePrivateKey:
        """A key, and room on the disk for it and its certificate: a token is good for one certificate, which would be lost."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._write(_pem(key).ljust(_ROOM_BYTES))
        except OSError as error:
            raise Unavailable(f"{self.file.parent} can not be written: {error.strerror}") from error
        return key

    def _write(self, text: bytes) -> None:
        """Over the bytes that are there: what had room keeps it."""
        descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            file.truncate()

    def _keep(self, key: ec.EllipticCurvePrivateKey, answer: dict[str, Any]) -> Credentials:
        try:
            certificate = x509.load_pem_x509_certificate(str(answer["certificate"]).encode())
        except (KeyError, ValueError) as error:
            raise Unavailable("the server's answer holds no certificate") from error
        if certificate.public_key() != key.public_key():
            raise Denied("the server's certificate is for another key")
        try:
            self._write(_pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
            self._temporary.rename(self.file)
        except OSError as error:
            raise Unavailable(f"the certificate can not be kept in {self.file.parent}: {error.strerror}") from error
        self._distrusted, self._retry_at = False, None
        found = Credentials(key, certificate)
        with contextlib.suppress(OSError):
            # Read at the next start without loading what reads certificates.
            (self.file.parent / "cluster").write_text(found.identity.cluster, encoding="utf-8")
        return found

    def _load(self) -> Credentials | None:
        try:
            text = self.file.read_bytes()
            key = serialization.load_pem_private_key(text, None)
            certificate = x509.load_pem_x509_certificate(text)
        except (OSError, ValueError, TypeError):
            return None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            return None
        return Credentials(key, certificate)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
