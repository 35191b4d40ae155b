"""REST APIs that take Entra tokens."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from seawall.adapters.rest import JsonHttp
from seawall.domain.errors import Denied, Unavailable

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

REFRESH_S = 120
"""A token that ends sooner is asked for again."""


def azure_http(base_url: str, audience: str, credential: TokenCredential, *, needs: str, ca_file: str = "") -> JsonHttp:
    """Return a client of one API. `needs` names the role that a 401 or 403 of it means."""
    return JsonHttp(base_url, _Bearer(f"{audience}/.default", credential, needs), needs=needs, ca_file=ca_file)


class _Bearer:
    """Keeps the token of one scope for five minutes at most, so that a role that was just given is soon in it."""

    def __init__(self, scope: str, credential: TokenCredential, needs: str) -> None:
        self._scope, self._credential, self._needs = scope, credential, needs
        self._token, self._until = "", 0.0
        self._lock = threading.Lock()

    def __call__(self) -> str:
        with self._lock:
            if self._until < time.time():
                self._fetch()
            return self._token

    def _fetch(self) -> None:
        from azure.core.exceptions import AzureError, ClientAuthenticationError
        from azure.identity import CredentialUnavailableError

        try:
            token = self._credential.get_token(self._scope)
        except CredentialUnavailableError as error:
            raise Denied(f"no identity to get a token for {self._scope}", hint=_first_line(error)) from error
        except ClientAuthenticationError as error:
            raise Denied(f"no token for {self._scope}", hint=f"{_first_line(error)}; {self._needs}") from error
        except AzureError as error:
            raise Unavailable(f"no token for {self._scope}", hint=_first_line(error)) from error
        self._token = token.token
        self._until = min(float(token.expires_on) - REFRESH_S, time.time() + 300)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
