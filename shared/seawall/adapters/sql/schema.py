"""The core tables. Ids are content-derived texts, times are UTC, documents are JSON of the domain values."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

metadata = sa.MetaData()


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """Aware UTC in, aware UTC out, on databases with and without time zones."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Store UTC; a naive time is a programming error."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time needs a time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        """Give UTC back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Document = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

scan_state = sa.Table(
    "scan_state",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("reference", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Index("scan_state_by_time", "updated_at"),
)

image = sa.Table(
    "image",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("platform", sa.Text, nullable=False),
    sa.Column("distro", sa.Text, nullable=False),
    sa.Column("scanned_at", UtcDateTime, nullable=False),
    sa.Column("database", sa.Text, nullable=False),
    sa.Column("packages", sa.Integer, nullable=False),
    sa.Column("gaps", sa.Integer, nullable=False),
    sa.Column("worst", sa.SmallInteger, nullable=False),
    sa.Column("document", Document, nullable=False),
    sa.Column("index_digest", sa.Text, nullable=False, server_default=""),
    sa.Index("image_by_index", "index_digest"),
    sa.Index("image_by_worst", "worst", "scanned_at"),
)

finding = sa.Table(
    "finding",
    metadata,
    sa.Column("digest", sa.Text, sa.ForeignKey("image.digest", ondelete="CASCADE"), primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("purl", sa.Text, primary_key=True),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("package", sa.Text, nullable=False),
    sa.Column("installed_version", sa.Text, nullable=False),
    sa.Column("fixed_version", sa.Text, nullable=False),
    sa.Column("severity", sa.SmallInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("document", Document, nullable=False),
    sa.Index("finding_by_id", "id"),
)

attestation = sa.Table(
    "attestation",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("reference", sa.Text, nullable=False),
    sa.Column("referrer", sa.Text, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
)

alert = sa.Table(
    "alert",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("analytic", sa.Text, nullable=False),
    sa.Column("severity", sa.SmallInteger, nullable=False),
    sa.Column("cluster", sa.Text, nullable=False),
    sa.Column("first_seen", UtcDateTime, nullable=False),
    sa.Column("last_seen", UtcDateTime, nullable=False),
    sa.Column("document", Document, nullable=False),
    sa.Index("alert_by_time", "last_seen", "first_seen"),
    sa.Index("alert_by_first_seen", "first_seen", "severity"),
    sa.Index("alert_by_analytic", "analytic", "last_seen"),
    sa.Index("alert_by_cluster", "cluster", "last_seen"),
)

alert_entity = sa.Table(
    "alert_entity",
    metadata,
    sa.Column("alert_id", sa.Text, sa.ForeignKey("alert.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("entity", sa.Text, primary_key=True),
    sa.Column("first_seen", UtcDateTime, nullable=False),
    sa.Column("last_seen", UtcDateTime, nullable=False),
    sa.Index("alert_entity_by_time", "kind", "entity", "scope", "last_seen"),
)

incident_alert = sa.Table(
    "incident_alert",
    metadata,
    sa.Column("alert_id", sa.Text, primary_key=True),
    sa.Column("incident_id", sa.Text, sa.ForeignKey("incident.id", ondelete="CASCADE"), primary_key=True),
)

incident = sa.Table(
    "incident",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("severity", sa.SmallInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("first_seen", UtcDateTime, nullable=False),
    sa.Column("last_seen", UtcDateTime, nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("merged_into", sa.Text, nullable=False),
    sa.Column("document", Document, nullable=False),
    sa.Index("incident_by_time", "last_seen", "first_seen"),
    sa.Index("incident_by_status", "merged_into", "status", "last_seen", "severity"),
)

assessment = sa.Table(
    "assessment",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("control", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("severity", sa.SmallInteger, nullable=False),
    sa.Column("assessed_at", UtcDateTime, nullable=False),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("document", Document, nullable=False),
    sa.Index("assessment_by_status", "status", "severity"),
    sa.Index("assessment_by_object", "scope", "object"),
)

posture_trend = sa.Table(
    "posture_trend",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("team", sa.Text, primary_key=True),
    sa.Column("assessed_at", UtcDateTime, primary_key=True),
    sa.Column("passed", sa.Integer, nullable=False),
    sa.Column("assessed", sa.Integer, nullable=False),
    sa.Column("document", Document, nullable=False),
)

sensor_stream = sa.Table(
    "sensor_stream",
    metadata,
    sa.Column("sensor", sa.Text, primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("highest", sa.BigInteger, nullable=False),
    sa.Column("missing", Document, nullable=False),
    sa.Column("abandoned", sa.BigInteger, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
)

sensor = sa.Table(
    "sensor",
    metadata,
    sa.Column("sensor", sa.Text, primary_key=True),
    sa.Column("cluster", sa.Text, nullable=False),
    sa.Column("node", sa.Text, nullable=False),
    sa.Column("last_seen", UtcDateTime, nullable=False),
    sa.Column("document", Document, nullable=False),
)

sensor_token = sa.Table(
    "sensor_token",
    metadata,
    sa.Column("hash", sa.Text, primary_key=True),
    sa.Column("cluster", sa.Text, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("uses", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=True),
    sa.Column("created_by", sa.Text, nullable=False),
)

sensor_token_use = sa.Table(
    "sensor_token_use",
    metadata,
    sa.Column("hash", sa.Text, sa.ForeignKey("sensor_token.hash", ondelete="CASCADE"), primary_key=True),
    sa.Column("node", sa.Text, primary_key=True),
    sa.Column("used_at", UtcDateTime, nullable=False),
)

sensor_revocation = sa.Table(
    "sensor_revocation",
    metadata,
    sa.Column("sensor", sa.Text, primary_key=True),
    sa.Column("revoked_at", UtcDateTime, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("units", sa.Integer, nullable=False),
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("settled_at", UtcDateTime),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("document", Document, nullable=False),
    sa.Index("outbox_next", "destination", "state", "kind", "created_at", "subject", "seq", "due_at"),
    sa.Index("outbox_by_settled", "settled_at", "destination", "units"),
)

outbox_lease = sa.Table(
    "outbox_lease",
    metadata,
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("until", UtcDateTime, nullable=False),
)

poison = sa.Table(
    "poison",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
)
