"""The inverted index of stored packages."""

import sqlalchemy as sa
from alembic import op
from seawall.adapters.sql import schema

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create it; images that are stored already enter it when they are scanned again."""
    op.create_table(
        "component",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("hash", sa.Text(), nullable=False, unique=True),
        sa.Column("document", schema.Document, nullable=False),
    )
    op.create_table(
        "component_key",
        sa.Column("ecosystem", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("component", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("ecosystem", "name", "component"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "indexed_image",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("digest", sa.Text(), nullable=False, unique=True),
        sa.Column("components", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "image_component",
        sa.Column("component", sa.Integer(), nullable=False),
        sa.Column("image", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("component", "image"),
        sqlite_with_rowid=False,
    )
