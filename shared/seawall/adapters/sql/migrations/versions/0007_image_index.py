"""Images by the index that they are a platform of."""

import sqlalchemy as sa
from alembic import op
from seawall.adapters.sql import schema

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column and fill it from the stored reports."""
    op.add_column("image", sa.Column("index_digest", sa.Text(), nullable=False, server_default=""))
    table = sa.table("image", sa.column("digest"), sa.column("index_digest"), sa.column("document", schema.Document))
    connection = op.get_bind()
    for row in connection.execute(sa.select(table.c.digest, table.c.document)).all():
        index = row.document.get("index_digest") if isinstance(row.document, dict) else None
        if index:
            connection.execute(table.update().where(table.c.digest == row.digest).values(index_digest=index))
    op.create_index("image_by_index", "image", ["index_digest"])
