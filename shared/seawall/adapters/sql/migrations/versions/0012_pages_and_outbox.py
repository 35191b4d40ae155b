"""Indices of what pages list, of the overview's counts, and of what the outbox sends next and forgets."""

from alembic import op

revision = "0012"
down_revision = "0011"

NEW = (
    ("scan_state_by_time", "scan_state", ["updated_at"]),
    ("image_by_worst", "image", ["worst", "scanned_at"]),
    ("alert_by_first_seen", "alert", ["first_seen", "severity"]),
    ("alert_by_analytic", "alert", ["analytic", "last_seen"]),
    ("alert_by_cluster", "alert", ["cluster", "last_seen"]),
    ("incident_by_status", "incident", ["merged_into", "status", "last_seen", "severity"]),
    ("outbox_next", "outbox", ["destination", "state", "kind", "created_at", "subject", "seq", "due_at"]),
    ("outbox_by_settled", "outbox", ["settled_at", "destination", "units"]),
)


def upgrade() -> None:
    """Rows stay as they are."""
    for name, table, columns in NEW:
        op.create_index(name, table, columns)
    op.drop_index("outbox_due", "outbox")
