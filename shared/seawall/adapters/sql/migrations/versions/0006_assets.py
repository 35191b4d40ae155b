"""The asset graph with its past."""

import sqlalchemy as sa
from alembic import op
from seawall.adapters.sql import schema

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create it, empty: the next discovery fills it."""
    op.create_table(
        "asset_version",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("valid_from", schema.UtcDateTime, nullable=False),
        sa.Column("valid_to", schema.UtcDateTime, nullable=True),
        sa.Column("last_seen", schema.UtcDateTime, nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("document", schema.Document, nullable=False),
        sa.PrimaryKeyConstraint("id", "valid_from"),
    )
    op.create_index("asset_version_by_place", "asset_version", ["scope", "kind", "valid_to"])
    op.create_index("asset_version_by_time", "asset_version", ["valid_from"])
    op.create_index("asset_version_by_end", "asset_version", ["valid_to"])
    op.create_table(
        "asset_relation",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source", "kind", "target"),
    )
    op.create_index("asset_relation_by_target", "asset_relation", ["target", "kind"])
    op.create_table(
        "asset_scope",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("taken_at", schema.UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("scope", "kind"),
    )
    op.create_table(
        "asset_event",
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", schema.UtcDateTime, nullable=False),
        sa.Column("document", schema.Document, nullable=False),
        sa.PrimaryKeyConstraint("asset", "id"),
    )
    op.create_index("asset_event_by_time", "asset_event", ["asset", "at"])
    op.create_index("asset_event_by_age", "asset_event", ["at"])
