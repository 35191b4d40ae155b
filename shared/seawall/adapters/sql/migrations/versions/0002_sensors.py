"""Streams, status, enrolment and revocation of sensors in place of single batches."""

import sqlalchemy as sa
from alembic import op
from seawall.adapters.sql import schema

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create them; a batch is now one number in its stream's state."""
    op.drop_table("sensor_batch")
    op.create_table(
        "sensor_stream",
        sa.Column("sensor", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("highest", sa.BigInteger(), nullable=False),
        sa.Column("missing", schema.Document, nullable=False),
        sa.Column("abandoned", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sensor", "stream"),
    )
    op.create_table(
        "sensor",
        sa.Column("sensor", sa.Text(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("last_seen", schema.UtcDateTime, nullable=False),
        sa.Column("document", schema.Document, nullable=False),
        sa.PrimaryKeyConstraint("sensor"),
    )
    op.create_table(
        "sensor_token",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("expires_at", schema.UtcDateTime, nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("created_at", schema.UtcDateTime, nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "sensor_token_use",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("used_at", schema.UtcDateTime, nullable=False),
        sa.ForeignKeyConstraint(["hash"], ["sensor_token.hash"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("hash", "node"),
    )
    op.create_table(
        "sensor_revocation",
        sa.Column("sensor", sa.Text(), nullable=False),
        sa.Column("revoked_at", schema.UtcDateTime, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sensor"),
    )
