"""The scripts that let functions into the database, run by psql on a real PostgreSQL; only the clouds' own parts are stood in for."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from tests.support.postgres import postgres

SQL = Path(__file__).parents[2] / "infra/sql"
# What the clouds have: Azure's function that makes a login for an Entra principal, Amazon's role of IAM logins.
AZURE = """CREATE FUNCTION pgaadauth_create_principal(name text, admin boolean, mfa boolean) RETURNS text LANGUAGE plpgsql
AS $$ BEGIN EXECUTE format('CREATE ROLE %I LOGIN', name); RETURN name; END $$"""
USERS = {
    "azure": ["seawall-registry", "seawall-api"],
    "cloudsql": ["seawall-tick@acme.iam", "seawall-api@acme.iam"],
    "rds": ["seawall"],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.URL]:
    with postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield sa.make_url(url)


def connect(server: sa.URL, user: str, database: str) -> psycopg.Connection:
    return psycopg.connect(host=server.host, port=server.port, user=user, dbname=database, autocommit=True)


@pytest.fixture(params=USERS)
def prepared(request: pytest.FixtureRequest, server: sa.URL) -> Iterator[tuple[str, sa.URL]]:
    """A fresh database `seawall` whose administrator is `boss`, after the script has run twice."""
    script = request.param
    users = USERS[script]
    with connect(server, "seawall", "postgres") as start:
        start.execute("CREATE ROLE boss LOGIN SUPERUSER")
    with connect(server, "boss", "postgres") as boss:
        boss.execute("ALTER ROLE seawall RENAME TO initial")
        boss.execute("CREATE DATABASE seawall")
        boss.execute("CREATE ROLE stranger LOGIN")
        if script == "azure":
            boss.execute(AZURE)
        if script == "rds":
            boss.execute("CREATE ROLE rds_iam NOLOGIN")
        if script == "cloudsql":
            for user in users:
                boss.execute(f'CREATE ROLE "{user}" LOGIN')
    roles = ",".join(f"'{user}'" for user in users)
    database = "postgres" if script == "azure" else "seawall"
    for _ in range(2):
        done = subprocess.run(
            [
                "psql",
                f"host={server.host} port={server.port} dbname={database} user=boss",
                "-X",
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-v",
                f"roles={roles}",
                "-f",
                SQL / f"{script}.sql",
            ],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    yield script, server
    with connect(server, "boss", "postgres") as boss:
        boss.execute("DROP DATABASE seawall WITH (FORCE)")
        boss.execute("DROP FUNCTION IF EXISTS pgaadauth_create_principal")
        for role in ("stranger", "rds_iam", *users, "seawall"):
            boss.execute(f'DROP ROLE IF EXISTS "{role}"')
        boss.execute("ALTER ROLE initial RENAME TO seawall")
    with connect(server, "seawall", "postgres") as end:
        end.execute("DROP ROLE boss")


@pytest.mark.real("postgres")
def test_functions_share_their_tables_and_strangers_are_kept_out(prepared: tuple[str, sa.URL]) -> None:
    script, server = prepared
    first, last = USERS[script][0], USERS[script][-1]
    with connect(server, first, "seawall") as one:
        one.execute("CREATE TABLE thing (id int)")
        one.execute("INSERT INTO thing VALUES (1)")
    with connect(server, last, "seawall") as other:
        assert other.execute("SELECT id FROM thing").fetchall() == [(1,)]
        other.execute("ALTER TABLE thing ADD COLUMN more int")
        owner = other.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'thing'").fetchone()
        assert owner == ("seawall",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            other.execute("CREATE ROLE another")
    with (
        connect(server, "stranger", "seawall") as stranger,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        stranger.execute("SELECT id FROM public.thing")


def test_every_script_is_tested() -> None:
    assert {path.stem for path in SQL.glob("*.sql")} == set(USERS)
