"""Who we are towards Google, and tokens that say so to others."""

from __future__ import annotations

from functools import cache
from typing import Any

from seawall.domain.errors import Denied, MissingExtra, Unavailable

SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def identity_token(audience: str) -> str:
    """Return an ID token of the service account that the process runs under, for `audience`.

    Raises:
        Unavailable: the metadata server does not answer. MissingExtra: google-auth is not installed.
    """
    try:
        import google.auth.transport.requests
        from google.auth.exceptions import GoogleAuthError
        from google.oauth2 import id_token
    except ImportError as error:
        raise MissingExtra("gcp", "Google Cloud") from error
    try:
        token = id_token.fetch_id_token(google.auth.transport.requests.Request(), audience)  # type: ignore[no-untyped-call]
    except GoogleAuthError as error:
        raise Unavailable(f"no identity token for {audience}", hint=str(error).splitlines()[0]) from error
    return str(token)


@cache
def _credentials() -> Any:
    import google.auth

    return google.auth.default(scopes=[SCOPE])[0]


def access_token() -> str:
    """Return an access token of the service account.

    Raises:
        Denied: no credentials. Unavailable: the token service does not answer.
    """
    try:
        import google.auth.transport.requests
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
    except ImportError as error:
        raise MissingExtra("gcp", "Google Cloud") from error
    try:
        credentials = _credentials()
        if not credentials.valid:
            credentials.refresh(google.auth.transport.requests.Request())
    except DefaultCredentialsError as error:
        raise Denied("no Google credentials", hint="run under a service account") from error
    except GoogleAuthError as error:
        raise Unavailable("no Google access token", hint=str(error).splitlines()[0]) from error
    return str(credentials.token)
