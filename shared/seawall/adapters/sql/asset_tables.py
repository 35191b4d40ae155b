"""Tables of the asset graph.

asset_version    an asset's timeline without gaps: each row holds until the next begins; an empty hash = not there
asset_relation   relations that start at the present versions
asset_scope      when each kind was last listed: until then, each newest version of the kind is confirmed
asset_event      who changed what, from audit logs
"""

from __future__ import annotations

import sqlalchemy as sa

from seawall.adapters.sql.schema import Document, UtcDateTime, metadata

asset_version = sa.Table(
    "asset_version",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("valid_from", UtcDateTime, primary_key=True),
    sa.Column("valid_to", UtcDateTime),
    sa.Column("last_seen", UtcDateTime, nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("namespace", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("document", Document, nullable=False),
    sa.Index("asset_version_by_place", "scope", "kind", "valid_to"),
    sa.Index("asset_version_by_time", "valid_from"),
    sa.Index("asset_version_by_end", "valid_to"),
)
asset_relation = sa.Table(
    "asset_relation",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, primary_key=True),
    sa.Index("asset_relation_by_target", "target", "kind"),
)
asset_scope = sa.Table(
    "asset_scope",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("taken_at", UtcDateTime, nullable=False),
)
asset_event = sa.Table(
    "asset_event",
    metadata,
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("document", Document, nullable=False),
    sa.Index("asset_event_by_time", "asset", "at"),
    sa.Index("asset_event_by_age", "at"),
)
