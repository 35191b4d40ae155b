"""A key in Google Cloud KMS. Needs the role Cloud KMS CryptoKey Signer/Verifier on the key."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

from seawall.domain.errors import ConfigError, Denied, MissingExtra, NotFound, Unavailable
from seawall.formats.keys import key_id_of, load_public_key


class GoogleSigner:
    """`address` is `projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/V` (also `.../versions/V`)."""

    def __init__(self, address: str, *, client: Any = None) -> None:
        name = address.strip("/").replace("/versions/", "/cryptoKeyVersions/")
        if "/cryptoKeys/" not in name or "/cryptoKeyVersions/" not in name:
            raise ConfigError(
                f"not a version of a Cloud KMS key: gcpkms://{address}",
                hint="gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/1",
            )
        self._name = name
        if client is None:
            try:
                from google.cloud import kms
            except ImportError as error:
                raise MissingExtra("gcp", "signing with Google Cloud KMS") from error
            client = kms.KeyManagementServiceClient()
        self._client = client

    @cached_property
    def _public_pem(self) -> str:
        pem = str(self._call("useToVerify", lambda: self._client.get_public_key(request={"name": self._name})).pem)
        load_public_key(pem)
        return pem

    @property
    def key_id(self) -> str:
        """See the port."""
        return key_id_of(load_public_key(self._public_pem))

    def sign(self, payload: bytes) -> bytes:
        """See the port."""
        digest = {"sha256": hashlib.sha256(payload).digest()}
        answer = self._call(
            "useToSign", lambda: self._client.asymmetric_sign(request={"name": self._name, "digest": digest})
        )
        return bytes(answer.signature)

    def public_key_pem(self) -> str:
        """See the port."""
        return self._public_pem

    def _call(self, action: str, call: Any) -> Any:
        from google.api_core import exceptions

        permission = f"cloudkms.cryptoKeyVersions.{action}"
        try:
            return call()
        except exceptions.NotFound as error:
            raise NotFound(f"no Cloud KMS key {self._name}") from error
        except (exceptions.PermissionDenied, exceptions.Unauthenticated) as error:
            raise Denied(f"Google Cloud refused {permission}", hint=f"grant {permission} on the key") from error
        except exceptions.GoogleAPIError as error:
            raise Unavailable(f"Cloud KMS failed: {error}") from error
