"""What baselines learnt, and what each cluster sends."""

import sqlalchemy as sa
from alembic import op
from seawall.adapters.sql import schema

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create it, empty: learning begins with the next events."""
    op.create_table(
        "baseline",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("sketch", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "shard"),
    )
    op.create_table(
        "baseline_muted",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("analytic", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("alerts", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "analytic", "reason", "day"),
    )
    op.create_table(
        "arrival",
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("fact", sa.Text(), nullable=False),
        sa.Column("last_seen", schema.UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "fact"),
    )
