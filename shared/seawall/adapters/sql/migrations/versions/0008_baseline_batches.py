"""Which batches baselines have counted, and which incidents of the Defender portal are ours."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create it, empty: a batch that is repeated over the upgrade is counted once more."""
    op.create_table(
        "baseline_batch",
        sa.Column("batch", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("batch"),
    )
    op.create_index("ix_baseline_batch_day", "baseline_batch", ["day"])
    op.create_table(
        "portal_link",
        sa.Column("incident", sa.Text(), nullable=False),
        sa.Column("portal_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("classification", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("incident"),
    )
    op.create_index("ix_portal_link_portal_id", "portal_link", ["portal_id"])
