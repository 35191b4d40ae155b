"""A key in a file or an environment variable."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from seawall.domain.errors import ConfigError
from seawall.formats.keys import key_id_of, pem_of

PASSWORD_VARIABLE = "SEAWALL_SIGNING_KEY_PASSWORD"  # noqa: S105 - the name of a variable


class LocalSigner:
    """Signs with a private key in memory."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self._public_pem = pem_of(key.public_key())
        self._key_id = key_id_of(key.public_key())

    @classmethod
    def from_file(cls, path: Path, *, create: bool = False) -> LocalSigner:
        """Read a PEM file; with `create`, make one readable by its owner only where there is none.

        Raises:
            ConfigError: it is not there, cannot be read, or is no key that we sign with.
        """
        if create and not path.exists():
            _create(path)
        try:
            pem = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"the signing key {path} cannot be read: {error.strerror}") from error
        return cls(_load(pem, str(path)))

    @classmethod
    def from_environment(cls, name: str) -> LocalSigner:
        """Read PEM text from a variable.

        Raises:
            ConfigError: it is not set, or is no key that we sign with.
        """
        text = os.environ.get(name, "")
        if not text:
            raise ConfigError(f"the signing key is to be in the variable {name}, which is not set")
        return cls(_load(text.encode(), f"the variable {name}"))

    @property
    def key_id(self) -> str:
        """See the port."""
        return self._key_id

    def sign(self, payload: bytes) -> bytes:
        """See the port."""
        return self._key.sign(payload, ec.ECDSA(hashes.SHA256()))

    def public_key_pem(self) -> str:
        """See the port."""
        return self._public_pem


def _load(pem: bytes, where: str) -> ec.EllipticCurvePrivateKey:
    password = os.environ.get(PASSWORD_VARIABLE, "").encode() or None
    if b"ENCRYPTED" not in pem:
        password = None
    try:
        key = serialization.load_pem_private_key(pem, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        hint = f"set {PASSWORD_VARIABLE}" if b"ENCRYPTED" in pem else "openssl ecparam -genkey -name prime256v1 -noout"
        raise ConfigError(f"{where} is not a PEM private key that can be read", hint=hint) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigError(f"{where} is not an ECDSA P-256 key")
    return key


def _create(path: Path) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(pem)
            # A link fails where another process was first: then its key is the key.
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            Path(temporary).unlink()
        public = path.with_suffix(".pub")
        public.write_text(LocalSigner.from_file(path).public_key_pem())
    except OSError as error:
        raise ConfigError(f"the signing key {path} cannot be made: {error.strerror}") from error
