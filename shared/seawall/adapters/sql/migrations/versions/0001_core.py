"""The core tables: images, findings, alerts, incidents, assessments, sensor batches, outbox, poison."""

import sqlalchemy as sa
from alembic import op
from seawall.adapters.sql import schema

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "alert",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("analytic", sa.Text(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("first_seen", schema.UtcDateTime, nullable=False),
        sa.Column("last_seen", schema.UtcDateTime, nullable=False),
        sa.Column("document", schema.Document, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("alert_by_time", "alert", ["last_seen", "first_seen"], unique=False)
    op.create_table(
        "alert_entity",
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("first_seen", schema.UtcDateTime, nullable=False),
        sa.Column("last_seen", schema.UtcDateTime, nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("alert_id", "kind", "scope", "entity"),
    )
    op.create_index("alert_entity_by_time", "alert_entity", ["kind", "entity", "scope", "last_seen"], unique=False)
    op.create_table(
        "assessment",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("control", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("assessed_at", schema.UtcDateTime, nullable=False),
        sa.Column("document", schema.Document, nullable=False),
        sa.PrimaryKeyConstraint("scope", "id"),
    )
    op.create_index("assessment_by_status", "assessment", ["status", "severity"], unique=False)
    op.create_table(
        "attestation",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("referrer", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("created_at", schema.UtcDateTime, nullable=False),
        sa.Column("expires_at", schema.UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "image",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("distro", sa.Text(), nullable=False),
        sa.Column("scanned_at", schema.UtcDateTime, nullable=False),
        sa.Column("database", sa.Text(), nullable=False),
        sa.Column("packages", sa.Integer(), nullable=False),
        sa.Column("gaps", sa.Integer(), nullable=False),
        sa.Column("worst", sa.SmallInteger(), nullable=False),
        sa.Column("document", schema.Document, nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "incident",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("first_seen", schema.UtcDateTime, nullable=False),
        sa.Column("last_seen", schema.UtcDateTime, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("merged_into", sa.Text(), nullable=False),
        sa.Column("document", schema.Document, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("incident_by_time", "incident", ["last_seen", "first_seen"], unique=False)
    op.create_table(
        "incident_alert",
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("alert_id", "incident_id"),
    )
    op.create_table(
        "outbox",
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("due_at", schema.UtcDateTime, nullable=False),
        sa.Column("created_at", schema.UtcDateTime, nullable=False),
        sa.Column("settled_at", schema.UtcDateTime, nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("document", schema.Document, nullable=False),
        sa.PrimaryKeyConstraint("destination", "kind", "subject", "seq"),
    )
    op.create_table(
        "outbox_lease",
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until", schema.UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("destination"),
    )
    op.create_index("outbox_due", "outbox", ["destination", "state", "due_at"], unique=False)
    op.create_table(
        "poison",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", schema.UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "scan_state",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("updated_at", schema.UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "sensor_batch",
        sa.Column("sensor", sa.Text(), nullable=False),
        sa.Column("boot_id", sa.Text(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("received_at", schema.UtcDateTime, nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("sensor", "boot_id", "first_seq"),
    )
    op.create_table(
        "finding",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("purl", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("package", sa.Text(), nullable=False),
        sa.Column("installed_version", sa.Text(), nullable=False),
        sa.Column("fixed_version", sa.Text(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("document", schema.Document, nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["image.digest"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("digest", "id", "purl", "path"),
    )
    op.create_index("finding_by_id", "finding", ["id"], unique=False)
