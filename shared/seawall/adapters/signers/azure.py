"""A key in Azure Key Vault or Managed HSM. Needs the role Key Vault Crypto User (actions keys/read and keys/sign)."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from seawall.domain.errors import ConfigError, Denied, MissingExtra, NotFound, Unavailable
from seawall.formats.keys import key_id_of, pem_of


class AzureSigner:
    """`address` is `VAULT.vault.azure.net/KEY[/VERSION]`; `credential` as azure-identity gives it."""

    def __init__(self, address: str, *, credential: Any = None) -> None:
        vault, _, key = address.strip("/").partition("/")
        self._name, _, version = key.partition("/")
        if not self._name or "." not in vault:
            raise ConfigError(f"not a Key Vault key: azurekms://{address}", hint="azurekms://VAULT.vault.azure.net/KEY")
        try:
            from azure.identity import DefaultAzureCredential
            from azure.keyvault.keys import KeyClient
        except ImportError as error:
            raise MissingExtra("azure", "signing with Azure Key Vault") from error
        self._credential = credential or DefaultAzureCredential()
        self._keys = KeyClient(f"https://{vault}", self._credential)
        self._version = version or None

    @cached_property
    def _key(self) -> Any:
        return _translated(lambda: self._keys.get_key(self._name, self._version), "keys/get", self._name)

    @cached_property
    def _public_key(self) -> ec.EllipticCurvePublicKey:
        jwk = self._key.key
        if not jwk.x or not jwk.y or str(jwk.crv) != "P-256":
            raise ConfigError(f"the key {self._name} is not ECDSA P-256")
        numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(jwk.x), int.from_bytes(jwk.y), ec.SECP256R1())
        return numbers.public_key()

    @property
    def key_id(self) -> str:
        """See the port."""
        return key_id_of(self._public_key)

    def sign(self, payload: bytes) -> bytes:
        """See the port."""
        from azure.keyvault.keys.crypto import CryptographyClient, SignatureAlgorithm

        client = CryptographyClient(self._key, self._credential)
        digest = hashlib.sha256(payload).digest()
        raw: bytes = _translated(
            lambda: client.sign(SignatureAlgorithm.es256, digest), "keys/sign", self._name
        ).signature
        # Key Vault gives r and s as they are (RFC 7518); everything else speaks ASN.1.
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))

    def public_key_pem(self) -> str:
        """See the port."""
        return pem_of(self._public_key)


def _translated(call: Any, action: str, name: str) -> Any:
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

    try:
        return call()
    except ResourceNotFoundError as error:
        raise NotFound(f"no key {name} in the vault") from error
    except ClientAuthenticationError as error:
        raise Denied(f"Key Vault refused {action}", hint="the role Key Vault Crypto User on the key") from error
    except HttpResponseError as error:
        if error.status_code in (401, 403):
            raise Denied(f"Key Vault refused {action}", hint="the role Key Vault Crypto User on the key") from error
        raise Unavailable(f"Key Vault failed at {action}: {error.message}") from error
    except AzureError as error:
        raise Unavailable(f"Key Vault failed at {action}: {error}") from error
