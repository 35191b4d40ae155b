"""Sensors: what arrived from each, how it feels, and who may send."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from cryptography import x509


@dataclass(frozen=True, slots=True)
class StreamState:
    """Which batches of one numbering arrived: all of 1..`highest` but `missing` (inclusive ranges, ascending)."""

    sensor: str
    stream: str
    highest: int = 0
    missing: tuple[tuple[int, int], ...] = ()
    abandoned: int = 0
    """Missing batches that are no longer waited for, because there were too many holes to remember."""
    version: int = 0
    """Counts the writes; a write names the version it makes, so that two writers cannot both win."""


@dataclass(frozen=True, slots=True)
class SensorStatus:
    """What is known of one sensor now. `details` are the fields of its last heartbeat."""

    sensor: str
    cluster: str
    node: str
    last_seen: datetime
    boot: str = ""
    stream: str = ""
    state: str = ""
    lost: dict[str, int] = field(default_factory=dict)
    """Events lost since boot by `<stage>/<class>`, as the sensor counts them."""
    missing_batches: int = 0
    rejected: int = 0
    """Records of this stream that were not understood."""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EnrolmentToken:
    """Permission to enrol sensors of one cluster. Only the SHA-256 of the token's text is kept."""

    hash: str
    cluster: str
    expires_at: datetime
    uses: int = 1
    """How many different nodes may use it; each node once."""
    created_at: datetime | None = None
    created_by: str = ""


class SensorStore(Protocol):
    """State per sensor. Every write is atomic."""

    def stream(self, sensor: str, stream: str) -> StreamState | None:
        """What arrived in one numbering; None = nothing yet."""

    def commit(self, state: StreamState, status: SensorStatus) -> bool:
        """Keep both, if the stored stream is at version `state.version - 1`; False = someone else was faster."""

    def sensors(self, *, cluster: str = "", limit: int = 1000) -> list[SensorStatus]:
        """Sensors by cluster and node."""

    def add_token(self, token: EnrolmentToken) -> None:
        """Keep a token."""

    def redeem(self, token_hash: str, node: str, now: datetime) -> EnrolmentToken | None:
        """Use a token for `node`; None when it is unknown, expired, used up, or was used for this node before."""

    def revoke(self, sensor: str, now: datetime, reason: str = "") -> None:
        """Believe no certificate of this sensor any more."""

    def revoked(self, sensor: str) -> bool:
        """Whether `revoke` named it."""


class SensorAuthority(Protocol):
    """Signs client certificates of sensors."""

    @property
    def certificate(self) -> x509.Certificate:
        """The authority's own certificate: what receivers trust and TLS servers ask clients for."""

    def sign(self, payload: bytes) -> bytes:
        """ECDSA P-256 SHA-256 signature, ASN.1 DER.

        Raises:
            RemoteError: the key service failed or refused.
        """
