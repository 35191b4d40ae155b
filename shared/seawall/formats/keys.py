"""Public keys: how they are written and named, and checks of signatures."""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from seawall.domain.errors import ConfigError


def load_public_key(pem: str) -> ec.EllipticCurvePublicKey:
    """Return the key of a PEM SubjectPublicKeyInfo.

    Raises:
        ConfigError: not one, or not ECDSA P-256.
    """
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError("not a PEM public key", hint="openssl ec -in key.pem -pubout") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigError("the public key is not ECDSA P-256")
    return key


def verify_signature(public_key_pem: str, payload: bytes, signature: bytes) -> bool:
    """Whether `signature` (ASN.1 DER) is the key's ECDSA SHA-256 signature of `payload`.

    Raises:
        ConfigError: the key cannot be read.
    """
    try:
        load_public_key(public_key_pem).verify(signature, payload, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def pem_of(key: ec.EllipticCurvePublicKey) -> str:
    """PEM SubjectPublicKeyInfo."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def key_id_of(key: ec.EllipticCurvePublicKey) -> str:
    """Hex SHA-256 of the DER SubjectPublicKeyInfo."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()
