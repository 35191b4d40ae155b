"""The sensor batch, version 1: what a sensor delivers, over HTTPS or Event Hubs (docs/sensor-batch.md).

    "SWB1" | header length, u32 big-endian | header, JSON | signature length, u16 | signature, DER | payload, zstd

The payload is a msgpack map `{"events": [...], "alerts": [...]}`. The signature is ECDSA P-256 with SHA-256 by the key of
the sensor's client certificate, over everything but itself and its length. The certificate travels in the header, so a
batch proves itself whatever carried it.
"""

from __future__ import annotations

import base64
import binascii
import inspect
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit

import msgspec
import zstandard
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from seawall.domain.alerts import Alert
from seawall.domain.errors import MalformedEvent, TooLarge, Unauthenticated
from seawall.domain.ids import content_id
from seawall.domain.runtime_events import AnyRuntimeEvent, RuntimeEvent

MEDIA_TYPE = "application/vnd.seawall.sensor-batch.v1"
"""Content type of a batch; Event Hubs carries it as the property `content_type`."""
MAGIC = b"SWB1"
VERSION = 1

MAX_BODY_BYTES = 4 * 1024 * 1024
"""Largest encoded batch that is taken. Senders stay under 900 kB: Event Hubs' standard tier takes 1 MB."""
MAX_HEADER_BYTES = 32 * 1024
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
"""Largest payload after decompression."""
MAX_RECORDS = 100_000
_MAX_WINDOW_BYTES = 8 * 1024 * 1024
_MAX_REJECTED = 100


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=False):
    """What a receiver knows before it unpacks. Unknown fields are ignored: a later sensor may say more."""

    version: int
    sensor: str
    """Id that enrolment gave; equals the certificate's common name."""
    cluster: str
    node: str
    boot: str
    """The kernel's boot id."""
    stream: str
    """Name of the numbering: new after a reboot, or when the sensor lost its spool. Batches count within it."""
    batch: int
    """1, 2, 3, ... without holes within `stream`."""
    created_ns: int
    """ns since 1970 UTC."""
    records: int
    """Events and alerts in the payload."""
    payload_bytes: int
    """Length of the payload before compression."""
    first_seq: int = 0
    """Smallest and largest event number inside; 0 = no events."""
    last_seq: int = 0
    lost: dict[str, int] = {}
    """Events lost since boot by `<stage>/<class>`; the same numbers come as `Loss` events when they change."""
    analytics: str = ""
    """Content id of the analytics that ran on the node; empty = none ran, the receiver detects."""
    certificate: str
    """The client certificate, base64 of DER, without line breaks."""


@dataclass(frozen=True, slots=True)
class SensorIdentity:
    """Who a client certificate says its holder is."""

    sensor: str
    cluster: str
    node: str

    @property
    def uri(self) -> str:
        """As the certificate's subject alternative name: `seawall-sensor://<cluster>/<node>`, percent-encoded."""
        return f"seawall-sensor://{quote(self.cluster, safe='')}/{quote(self.node, safe='')}"


class SensorTrust(Protocol):
    """Decides whether a client certificate is believed."""

    def check(self, certificate: x509.Certificate) -> SensorIdentity:
        """Return the certificate's identity.

        Raises:
            Unauthenticated: not issued by us, expired, not yet valid, or revoked.
        """


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that was not understood; the rest of its batch counts. `index` counts from 0 in its list."""

    list: str
    """events or alerts."""
    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class SensorBatch:
    """A batch that was verified and unpacked. Every event carries the node, cluster and boot of the header."""

    header: Header
    identity: SensorIdentity
    events: tuple[RuntimeEvent, ...]
    alerts: tuple[Alert, ...]
    rejected: tuple[Rejected, ...] = ()


class _Payload(msgspec.Struct):
    events: list[AnyRuntimeEvent] = []
    alerts: list[Alert] = []


class _LoosePayload(msgspec.Struct):
    events: list[msgspec.Raw] = []
    alerts: list[msgspec.Raw] = []


class BatchSigner(Protocol):
    """Signs with the key of the sensor's client certificate."""

    @property
    def certificate_der(self) -> bytes:
        """The certificate that goes with the key."""

    def sign(self, payload: bytes) -> bytes:
        """ECDSA P-256 SHA-256 signature, ASN.1 DER."""


_header_decoder = msgspec.json.Decoder(Header)
_payload_decoder = msgspec.msgpack.Decoder(_Payload)
_loose_decoder = msgspec.msgpack.Decoder(_LoosePayload)
_event_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(AnyRuntimeEvent)
_alert_decoder = msgspec.msgpack.Decoder(Alert)
_encoder = msgspec.msgpack.Encoder()


def encode_batch(
    events: Sequence[RuntimeEvent],
    alerts: Sequence[Alert] = (),
    *,
    signer: BatchSigner,
    identity: SensorIdentity,
    boot: str,
    stream: str,
    batch: int,
    created_ns: int,
    lost: dict[str, int] | None = None,
    analytics: str = "",
    level: int = 3,
) -> bytes:
    """Return one encoded, compressed and signed batch. `level` is zstd's: 3 takes about 2 µs per event."""
    payload = _encoder.encode(_Payload(events=list(events), alerts=list(alerts)))  # type: ignore[arg-type]
    numbers = [event.seq for event in events]
    header = Header(
        version=VERSION,
        sensor=identity.sensor,
        cluster=identity.cluster,
        node=identity.node,
        boot=boot,
        stream=stream,
        batch=batch,
        created_ns=created_ns,
        records=len(events) + len(alerts),
        payload_bytes=len(payload),
        first_seq=min(numbers, default=0),
        last_seq=max(numbers, default=0),
        lost=lost or {},
        analytics=analytics,
        certificate=base64.b64encode(signer.certificate_der).decode(),
    )
    head = msgspec.json.encode(header)
    start = MAGIC + struct.pack(">I", len(head)) + head
    packed = zstandard.ZstdCompressor(level=level).compress(payload)
    signature = signer.sign(start + packed)
    return start + struct.pack(">H", len(signature)) + signature + packed


def read_header(body: bytes) -> Header:
    """Return the header of a batch; nothing is verified yet.

    Raises:
        TooLarge: over a limit of this module.
        MalformedEvent: not a batch of a version that we read.
    """
    return _split(body)[0]


def decode_batch(body: bytes, trust: SensorTrust) -> SensorBatch:
    """Verify and unpack one batch.

    Records that do not fit their schema are `rejected` one by one (an unknown kind of event from a later sensor is the
    usual cause); node, cluster and boot of every event are those of the signed header, whatever the event says.

    Raises:
        TooLarge: body, header, payload or number of records over the limits of this module.
        MalformedEvent: not a batch, a version that we do not read, broken compression or msgpack.
        Unauthenticated: certificate not trusted, signature wrong, or header and certificate disagree.
    """
    header, signed, signature, packed = _split(body)
    identity = _verify(header, signed, signature, packed, trust)
    payload = _decompress(packed, header.payload_bytes)
    events, alerts, rejected = _records(payload)
    if len(events) + len(alerts) + len(rejected) != header.records:
        raise MalformedEvent(
            f"the batch holds {len(events) + len(alerts) + len(rejected)} records, its header says {header.records}",
            where="records",
        )
    return SensorBatch(
        header=header,
        identity=identity,
        events=tuple(_stamped(event, header) for event in events),
        alerts=tuple(_of_cluster(alert, header) for alert in alerts),
        rejected=tuple(rejected[:_MAX_REJECTED]),
    )


def identity_of(certificate: x509.Certificate) -> SensorIdentity:
    """Return the identity that a certificate carries (common name and `seawall-sensor://` name); trusts nothing.

    Raises:
        Unauthenticated: the certificate is not a sensor's.
    """
    try:
        names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = alternatives.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, ValueError) as error:
        raise Unauthenticated("the certificate is not a sensor's: it has no subject alternative name") from error
    for uri in uris:
        try:
            parts = urlsplit(uri)
        except ValueError:
            continue
        if parts.scheme == "seawall-sensor" and names:
            node = unquote(parts.path.removeprefix("/"))
            return SensorIdentity(sensor=str(names[0].value), cluster=unquote(parts.netloc), node=node)
    raise Unauthenticated("the certificate is not a sensor's: it has no seawall-sensor:// name")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of header and payload, generated from the types."""
    (header, payload), definitions = msgspec.json.schema_components(
        (Header, _Payload), ref_template="#/$defs/{name}", schema_hook=None
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://seawall.dev/schemas/sensor-batch.v1.json",
        "title": "Seawall sensor batch, version 1",
        "type": "object",
        "properties": {"header": header, "payload": payload},
        "required": ["header", "payload"],
        "$defs": {name: _undented(definitions[name]) for name in sorted(definitions)},
    }


def _undented(schema: dict[str, Any]) -> dict[str, Any]:
    """The descriptions are docstrings, which Python 3.13 keeps without their indentation and 3.11 with it."""
    return schema | ({"description": inspect.cleandoc(schema["description"])} if "description" in schema else {})


def _split(body: bytes) -> tuple[Header, bytes, bytes, bytes]:
    if len(body) > MAX_BODY_BYTES:
        raise TooLarge(f"a sensor batch of {len(body)} bytes; at most {MAX_BODY_BYTES} are taken")
    if len(body) < 8 or body[:4] != MAGIC:
        raise MalformedEvent("not a sensor batch: it does not start with SWB1", where="byte 0")
    (length,) = struct.unpack_from(">I", body, 4)
    if length > MAX_HEADER_BYTES:
        raise TooLarge(f"the batch header has {length} bytes; at most {MAX_HEADER_BYTES} are taken", where="byte 4")
    end = 8 + length
    if len(body) < end + 2:
        raise MalformedEvent("the batch ends inside its header", where=f"byte {len(body)}")
    try:
        header = _header_decoder.decode(body[8:end])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedEvent(f"batch header: {error}", where="header") from error
    if header.version != VERSION:
        raise MalformedEvent(f"batch version {header.version}; this receiver reads version {VERSION}", where="version")
    if header.batch < 1 or header.records < 0 or not header.stream or not header.sensor:
        raise MalformedEvent("batch header: batch, records, stream and sensor must be set", where="header")
    if header.records > MAX_RECORDS:
        raise TooLarge(f"a batch of {header.records} records; at most {MAX_RECORDS} are taken", where="records")
    if not 0 < header.payload_bytes <= MAX_PAYLOAD_BYTES:
        raise TooLarge(
            f"a payload of {header.payload_bytes} bytes; at most {MAX_PAYLOAD_BYTES} are taken", where="payload_bytes"
        )
    (signed_length,) = struct.unpack_from(">H", body, end)
    start = end + 2 + signed_length
    if signed_length > 256 or len(body) <= start:
        raise MalformedEvent("the batch ends inside its signature", where=f"byte {end}")
    return header, body[:end], body[end + 2 : start], body[start:]


def _verify(header: Header, signed: bytes, signature: bytes, packed: bytes, trust: SensorTrust) -> SensorIdentity:
    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode(header.certificate, validate=True))
        key = certificate.public_key()
    except (ValueError, binascii.Error, TypeError) as error:
        raise Unauthenticated("the batch carries no readable certificate") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Unauthenticated("the batch's certificate has no ECDSA P-256 key")
    identity = trust.check(certificate)
    try:
        key.verify(signature, signed + packed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise Unauthenticated("the batch's signature does not match its content and certificate") from error
    if (header.sensor, header.cluster, header.node) != (identity.sensor, identity.cluster, identity.node):
        raise Unauthenticated(
            f"the batch says it comes from {header.sensor} ({header.cluster}/{header.node}), "
            f"its certificate is for {identity.sensor} ({identity.cluster}/{identity.node})"
        )
    return identity


def _decompress(packed: bytes, size_bytes: int) -> bytes:
    # The stream reader never allocates more than asked for, whatever the frame claims about its content.
    try:
        reader = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES).stream_reader(packed)
        payload = reader.read(size_bytes + 1)
    except (zstandard.ZstdError, MemoryError) as error:
        raise MalformedEvent(f"the payload is not a zstd frame: {error}", where="payload") from error
    if len(payload) != size_bytes:
        got = "more" if len(payload) > size_bytes else str(len(payload))
        raise MalformedEvent(f"the header says {size_bytes} payload bytes, there are {got}", where="payload_bytes")
    return payload


def _records(payload: bytes) -> tuple[Sequence[RuntimeEvent], Sequence[Alert], list[Rejected]]:
    try:
        whole = _payload_decoder.decode(payload)
    except msgspec.ValidationError:
        pass  # some record does not fit; look at each
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedEvent(f"payload: {error}", where="payload") from error
    else:
        return whole.events, whole.alerts, []
    try:
        loose = _loose_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedEvent(f"payload: {error}", where="payload") from error
    rejected: list[Rejected] = []
    events = _each("events", loose.events, _event_decoder, rejected)
    alerts = _each("alerts", loose.alerts, _alert_decoder, rejected)
    return events, alerts, rejected


def _each(name: str, raws: Sequence[msgspec.Raw], decoder: Any, rejected: list[Rejected]) -> list[Any]:
    good: list[Any] = []
    for index, raw in enumerate(raws):
        try:
            good.append(decoder.decode(raw))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            rejected.append(Rejected(name, index, str(error)))
    return good


def _of_cluster(alert: Alert, header: Header) -> Alert:
    """A node speaks for its own cluster only. The id says the cluster too, so a corrected alert gets one of its own."""
    if alert.cluster == header.cluster:
        return alert
    return replace(alert, id=content_id("alert", alert.id, header.cluster), cluster=header.cluster)


def _stamped(event: RuntimeEvent, header: Header) -> RuntimeEvent:
    if (event.node, event.cluster, event.boot) == (header.node, header.cluster, header.boot):
        return event
    return msgspec.structs.replace(event, node=header.node, cluster=header.cluster, boot=header.boot)
