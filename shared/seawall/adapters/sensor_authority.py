"""The authority that signs sensors' client certificates: its key is a `Signer`, its certificate lies beside the store."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from seawall.domain.errors import ConfigError
from seawall.formats.sensor_certificate import self_signed_authority
from seawall.ports.signer import Signer


class SignedAuthority:
    """Fulfils `ports.sensors.SensorAuthority`. The certificate is made once and kept in `path`.

    Raises:
        ConfigError: the certificate in `path` cannot be read, or is for another key.
    """

    def __init__(self, signer: Signer, path: Path) -> None:
        self._signer = signer
        self.certificate = _load(path) if path.exists() else self._make(path)
        if _pem(self.certificate) != signer.public_key_pem().strip():
            raise ConfigError(
                f"{path} is the certificate of another key",
                hint="give the key back, or remove the file and enrol again",
            )

    def sign(self, payload: bytes) -> bytes:
        """See the port."""
        return self._signer.sign(payload)

    def _make(self, path: Path) -> x509.Certificate:
        key = serialization.load_pem_public_key(self._signer.public_key_pem().encode())
        assert isinstance(key, ec.EllipticCurvePublicKey)
        made = self_signed_authority(key, self._signer.sign, datetime.now(UTC))
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.new")
        draft.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        try:
            os.link(draft, path)  # whoever is first wins: two processes must not trust two certificates
        except FileExistsError:
            return _load(path)
        finally:
            draft.unlink()
        return made


def _load(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is not a certificate that can be read") from error


def _pem(certificate: x509.Certificate) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return certificate.public_key().public_bytes(serialization.Encoding.PEM, form).decode().strip()
