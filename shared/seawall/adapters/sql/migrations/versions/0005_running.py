"""Containers that run now."""

import sqlalchemy as sa
from alembic import op
from seawall.adapters.sql import schema

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create it, empty: the next snapshots fill it."""
    op.create_table(
        "running_container",
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("container_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("seen_at", schema.UtcDateTime, nullable=False),
        sa.Column("running", sa.Boolean(), nullable=False),
        sa.Column("document", schema.Document, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "container_id", "source"),
    )
    op.create_index("running_container_by_digest", "running_container", ["digest"])
    op.create_table(
        "running_scope",
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("taken_at", schema.UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "source", "node"),
    )
