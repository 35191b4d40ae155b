"""What was done about incidents, and what became of it."""

import sqlalchemy as sa
from alembic import op
from seawall.adapters.sql import schema

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Create both tables, empty. Rows are only ever added."""
    op.create_table(
        "response",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("started_at", schema.UtcDateTime(), nullable=False),
        sa.Column("document", schema.Document, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_response_subject", "response", ["subject"])
    op.create_index("ix_response_action", "response", ["action"])
    op.create_index("ix_response_started_at", "response", ["started_at"])
    op.create_table(
        "response_event",
        sa.Column("response_id", sa.Text(), sa.ForeignKey("response.id"), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("document", schema.Document, nullable=False),
        sa.PrimaryKeyConstraint("response_id", "state"),
    )
