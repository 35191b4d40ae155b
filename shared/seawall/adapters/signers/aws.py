"""A key in AWS KMS. Needs kms:GetPublicKey and kms:Sign on the key."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from seawall.domain.errors import ConfigError, Denied, MissingExtra, NotFound, Unavailable
from seawall.formats.keys import key_id_of, pem_of

_DENIED = {"AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException"}


class AwsSigner:
    """`address` is `[ENDPOINT]/KEY` where KEY is a key id, `alias/NAME` or an ARN, as cosign writes it."""

    def __init__(self, address: str, *, client: Any = None) -> None:
        endpoint, _, self._key = address.partition("/")
        if not self._key:
            raise ConfigError(f"not a KMS key: awskms://{address}", hint="awskms:///alias/NAME")
        if client is None:
            try:
                import boto3
            except ImportError as error:
                raise MissingExtra("aws", "signing with AWS KMS") from error
            region = self._key.split(":")[3] if self._key.startswith("arn:") and self._key.count(":") >= 5 else None
            client = boto3.client("kms", endpoint_url=_url(endpoint) if endpoint else None, region_name=region)
        self._client = client

    @cached_property
    def _public_key(self) -> ec.EllipticCurvePublicKey:
        answer = self._call("kms:GetPublicKey", lambda: self._client.get_public_key(KeyId=self._key))
        key = serialization.load_der_public_key(answer["PublicKey"])
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ConfigError(f"the KMS key {self._key} is not ECC_NIST_P256")
        return key

    @property
    def key_id(self) -> str:
        """See the port."""
        return key_id_of(self._public_key)

    def sign(self, payload: bytes) -> bytes:
        """See the port."""
        answer = self._call(
            "kms:Sign",
            lambda: self._client.sign(
                KeyId=self._key,
                Message=hashlib.sha256(payload).digest(),
                MessageType="DIGEST",
                SigningAlgorithm="ECDSA_SHA_256",
            ),
        )
        return bytes(answer["Signature"])

    def public_key_pem(self) -> str:
        """See the port."""
        return pem_of(self._public_key)

    def _call(self, action: str, call: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return call()
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code == "NotFoundException":
                raise NotFound(f"no KMS key {self._key}") from error
            if code in _DENIED:
                raise Denied(f"AWS refused {action}", hint=f"grant {action} on {self._key}") from error
            raise Unavailable(f"{action} failed: {code}") from error
        except BotoCoreError as error:
            raise Unavailable(f"{action} failed: {error}") from error


def _url(endpoint: str) -> str:
    host = endpoint.partition(":")[0]
    return f"http://{endpoint}" if host in ("localhost", "127.0.0.1") else f"https://{endpoint}"
