"""A sensor authority, an enrolled sensor and its batches, without a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from seawall.domain.runtime_events import RuntimeEvent
from seawall.formats.sensor_batch import SensorIdentity, encode_batch
from seawall.formats.sensor_certificate import (
    CertificateTrust,
    issue,
    make_request,
    read_request,
    self_signed_authority,
)
from seawall.ports.sensors import EnrolmentToken, SensorStatus, StreamState

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


NODE_1 = SensorIdentity("sensor-1", "prod", "node-1")


class Authority:
    """Fulfils `ports.sensors.SensorAuthority` with a key in memory."""

    def __init__(self, now: datetime = NOW) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate: x509.Certificate = self_signed_authority(self.key.public_key(), self.sign, now)

    def sign(self, payload: bytes) -> bytes:
        return self.key.sign(payload, ec.ECDSA(hashes.SHA256()))

    def trust(self, at: datetime = NOW, revoked: frozenset[str] = frozenset()) -> CertificateTrust:
        return CertificateTrust((self.certificate,), at, revoked.__contains__)


@dataclass
class Sensor:
    """An enrolled sensor: fulfils `BatchSigner`."""

    authority: Authority
    identity: SensorIdentity = NODE_1
    now: datetime = NOW
    lifetime: timedelta = timedelta(hours=24)
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.certificate = issue(
            read_request(make_request(self.key, self.identity.node)),
            self.identity,
            authority=self.authority.certificate,
            sign=self.authority.sign,
            now=self.now,
            lifetime=self.lifetime,
        )

    @property
    def certificate_der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def certificate_pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def sign(self, payload: bytes) -> bytes:
        return self.key.sign(payload, ec.ECDSA(hashes.SHA256()))

    def batch(self, *events: RuntimeEvent, number: int = 1, stream: str = "boot-1", **more: Any) -> bytes:
        values: dict[str, Any] = {"identity": self.identity, "boot": "boot-1", "created_ns": 1} | more
        return encode_batch(events, signer=self, stream=stream, batch=number, **values)


class MemorySensors:
    """Fulfils `ports.sensors.SensorStore` in memory."""

    def __init__(self) -> None:
        self.streams: dict[tuple[str, str], StreamState] = {}
        self.status: dict[str, SensorStatus] = {}
        self.tokens: dict[str, tuple[EnrolmentToken, set[str]]] = {}
        self.out: set[str] = set()

    def stream(self, sensor: str, stream: str) -> StreamState | None:
        return self.streams.get((sensor, stream))

    def commit(self, state: StreamState, status: SensorStatus) -> bool:
        present = self.streams.get((state.sensor, state.stream))
        if (present.version if present else 0) != state.version - 1:
            return False
        self.streams[state.sensor, state.stream] = state
        self.status[status.sensor] = status
        return True

    def sensors(self, *, cluster: str = "", limit: int = 1000) -> list[SensorStatus]:
        return [item for item in self.status.values() if cluster in ("", item.cluster)][:limit]

    def add_token(self, token: EnrolmentToken) -> None:
        self.tokens[token.hash] = (token, set())

    def redeem(self, token_hash: str, node: str, now: datetime) -> EnrolmentToken | None:
        token, used = self.tokens.get(token_hash, (None, set()))
        if token is None or token.expires_at <= now or node in used or len(used) >= token.uses:
            return None
        used.add(node)
        return token

    def revoke(self, sensor: str, now: datetime, reason: str = "") -> None:
        self.out.add(sensor)

    def revoked(self, sensor: str) -> bool:
        return sensor in self.out
