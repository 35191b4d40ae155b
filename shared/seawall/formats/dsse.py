"""DSSE envelopes around in-toto statements.

Source: DSSE 1.0 (secure-systems-lab/dsse, protocol.md and envelope.md); in-toto attestation framework.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from seawall.domain.errors import InputError, Unauthenticated
from seawall.formats.keys import verify_signature
from seawall.ports.signer import Signer

MEDIA_TYPE = "application/vnd.dsse.envelope.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
MAX_BYTES = 128 << 20


def sign(payload: bytes, signer: Signer, payload_type: str = IN_TOTO) -> dict[str, Any]:
    """Return the envelope of `payload` with one signature."""
    signature = signer.sign(preauthentication(payload_type, payload))
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": payload_type,
        # No key id, as cosign writes it: its verifier skips signatures whose id is not one that it computes itself.
        "signatures": [{"keyid": "", "sig": base64.b64encode(signature).decode()}],
    }


def verify(envelope: Any, public_key_pem: str, payload_type: str = IN_TOTO) -> bytes:
    """Return the payload of an envelope that the key signed.

    Raises:
        InputError: not an envelope of this payload type.
        Unauthenticated: no signature in it is the key's.
        ConfigError: the key cannot be read.
    """
    if not isinstance(envelope, dict) or envelope.get("payloadType") != payload_type:
        raise InputError(f"not a DSSE envelope of {payload_type}")
    payload = _decoded(envelope.get("payload"))
    signatures = envelope.get("signatures")
    for entry in signatures if isinstance(signatures, list) else ():
        signature = _decoded(entry.get("sig")) if isinstance(entry, dict) else b""
        if signature and verify_signature(public_key_pem, preauthentication(payload_type, payload), signature):
            return payload
    raise Unauthenticated("the envelope is not signed by the expected key", hint="check the key given with --key")


def preauthentication(payload_type: str, payload: bytes) -> bytes:
    """What a DSSE signature is over (PAE)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def parse(raw: bytes) -> Any:
    """Return the JSON value of an envelope or bundle.

    Raises:
        InputError: not JSON, or over `MAX_BYTES`.
    """
    if len(raw) > MAX_BYTES:
        raise InputError(f"an attestation of over {MAX_BYTES} bytes")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the attestation is not JSON: {error}") from error


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return b""
