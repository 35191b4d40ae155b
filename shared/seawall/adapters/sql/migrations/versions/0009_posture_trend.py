"""Scores over time, and results by object."""

import json

import sqlalchemy as sa
from alembic import op
from seawall.adapters.sql import schema

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Name the object of each result; trends begin with the next assessment."""
    op.create_table(
        "posture_trend",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("assessed_at", schema.UtcDateTime, nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
        sa.Column("assessed", sa.Integer(), nullable=False),
        sa.Column("document", schema.Document, nullable=False),
        sa.PrimaryKeyConstraint("scope", "team", "assessed_at"),
    )
    with op.batch_alter_table("assessment") as batch:
        batch.add_column(sa.Column("object", sa.Text(), nullable=False, server_default=""))
    table = sa.table("assessment", *(sa.column(name) for name in ("scope", "id", "object", "document")))
    connection = op.get_bind()
    for row in connection.execute(sa.select(table.c.scope, table.c.id, table.c.document)).all():
        document = json.loads(row.document) if isinstance(row.document, str) else row.document
        ref = document["object"]
        name = f"{ref['kind']}/{ref.get('namespace', '')}/{ref['name']}"
        connection.execute(table.update().where(table.c.scope == row.scope, table.c.id == row.id).values(object=name))
    op.create_index("assessment_by_object", "assessment", ["scope", "object"])
