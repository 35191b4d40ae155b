"""Monitored vCores per node and hour."""

import sqlalchemy as sa
from alembic import op
from seawall.adapters.sql import schema

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Create it, empty: metering begins with the next heartbeats."""
    op.create_table(
        "node_hour",
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("hour", schema.UtcDateTime(), nullable=False),
        sa.Column("vcores", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "node", "hour"),
    )
    op.create_index("ix_node_hour_hour", "node_hour", ["hour"])
