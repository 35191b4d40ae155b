"""Signing keys, wherever they live."""

from __future__ import annotations

from typing import Protocol


class Signer(Protocol):
    """Signs with one key: a file, Azure Key Vault, AWS KMS or Google KMS."""

    @property
    def key_id(self) -> str:
        """Hex SHA-256 of the public key's DER SubjectPublicKeyInfo."""

    def sign(self, payload: bytes) -> bytes:
        """Return the ECDSA P-256 SHA-256 signature of `payload`, ASN.1 DER.

        Raises:
            RemoteError: the key service failed or refused.
        """

    def public_key_pem(self) -> str:
        """The public key as PEM SubjectPublicKeyInfo."""
