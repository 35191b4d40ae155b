"""PostgreSQL passwords that are tokens of an identity: Entra, RDS IAM, Cloud SQL IAM. Nothing is stored."""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa

from seawall.settings import Settings

ENTRA_SCOPE = "https://ossrdbms-aad.database.windows.net/.default"
REFRESH_S = 300
"""A token is asked for again this long before it ends; RDS tokens last 15 minutes, the others about an hour."""


def password_source(settings: Settings) -> Callable[[], str] | None:
    """Return what gives the password of a new connection; None = the URL's own.

    Raises:
        MissingExtra: the cloud's extra is not installed.
    """
    if settings.store_identity == "azure":
        from seawall.adapters.azure.identity import azure_credential

        credential = azure_credential(settings.azure)
        return lambda: str(credential.get_token(ENTRA_SCOPE).token)
    if settings.store_identity == "aws":
        return _kept(lambda: _rds_token(settings.effective_store_url), lifetime_s=900)
    if settings.store_identity == "gcp":
        from seawall.adapters.gcp.identity import access_token

        return access_token
    return None


def _rds_token(url: str) -> str:
    from botocore.signers import generate_db_auth_token

    from seawall.adapters.aws.session import client, translated

    place = sa.make_url(url)
    with translated("rds-db:connect"):
        # A signature made here, without a call: any client's signer does, so the package needs no model of RDS.
        return str(generate_db_auth_token(client("sts"), place.host, place.port or 5432, place.username))


def _kept(fetch: Callable[[], str], *, lifetime_s: float) -> Callable[[], str]:
    known: list[tuple[str, float]] = []

    def token() -> str:
        if not known or known[0][1] < time.monotonic() + REFRESH_S:
            known[:] = [(fetch(), time.monotonic() + lifetime_s)]
        return known[0][0]

    return token
