"""Alembic migrations, run at start: one process at a time."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from seawall.adapters.sql.database import Database
from seawall.domain.errors import ConfigError

FOLDER = Path(__file__).parent / "migrations"
LOCK = 0x5EA_A11
"""PostgreSQL advisory lock that migrating processes take in turn."""


def migrate(database: Database) -> None:
    """Bring the tables to the newest revision; nothing happens when they are there, and Alembic is not even loaded.

    Raises:
        ConfigError: the store was written by a newer Seawall.
    """
    with database.read() as connection:
        if _revision(connection) == newest_revision():
            return
    # Loading it is a third of a cold start, and nearly every start finds the tables as they should be.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    scripts = ScriptDirectory.from_config(config)
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        present = _revision(connection)
        if present == scripts.get_current_head():
            return
        if present and present not in {script.revision for script in scripts.walk_revisions()}:
            raise ConfigError(
                f"the store is at revision {present}, which this version does not know", hint="upgrade Seawall"
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def newest_revision() -> str:
    """Return the newest revision that this version has: revisions are one line, and files bear their numbers."""
    return max(path.name.partition("_")[0] for path in (FOLDER / "versions").glob("[0-9]*_*.py"))


def _revision(connection: sa.Connection) -> str:
    if not sa.inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.scalar(sa.text("SELECT version_num FROM alembic_version")) or "")
