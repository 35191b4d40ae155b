"""Calls of Azure's REST APIs: bearer tokens, time-outs, and their answers as our errors."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from seawall.adapters.azure.identity import Credential
from seawall.domain.errors import Denied, InputError, NotFound, SeawallError, TooLarge, Unavailable

REFRESH_S = 120


class AzureHttp:
    """One API: base URL and audience. Keeps its connections; safe between threads.

    `needs` names the permission or role assignment that a 401 or 403 of this API means.
    """

    def __init__(
        self, base_url: str, scope: str, credential: Credential, *, needs: str, ca_file: str = "", timeout_s: float = 30
    ) -> None:
        self._base, self._scope, self._credential, self._needs = base_url.rstrip("/"), scope, credential, needs
        self._token, self._expires = "", 0.0
        verify: Any = True
        if ca_file:
            import ssl

            verify = ssl.create_default_context(cafile=ca_file)
        self._client = httpx.Client(verify=verify, timeout=timeout_s)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str] | None = None,
        compress: bool = False,
    ) -> Any:
        """Return the decoded JSON answer (None when empty).

        Raises:
            InputError: 400, 422. TooLarge: 413. Denied: 401, 403. NotFound: 404. Unavailable: 408, 409, 412, 429, 5xx
            and a network that fails, with the service's Retry-After.
        """
        headers = {"Authorization": f"Bearer {self._bearer()}", "Content-Type": "application/json"}
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        if compress and content is not None:
            content, headers["Content-Encoding"] = gzip.compress(content, 5), "gzip"
        url = path if path.startswith("https://") else self._base + path
        try:
            answer = self._client.request(method, url, content=content, params=params, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable(f"{self._base}: {type(error).__name__}", hint=str(error)) from error
        if answer.is_success:
            return answer.json() if answer.content else None
        raise self._error(answer)

    def _bearer(self) -> str:
        if self._expires < time.time() + REFRESH_S:
            from azure.core.exceptions import AzureError, ClientAuthenticationError

            try:
                token = self._credential.get_token(self._scope)
            except ClientAuthenticationError as error:
                raise Denied(
                    f"no token for {self._scope}", hint=f"{error.message.splitlines()[0]}; {self._needs}"
                ) from error
            except AzureError as error:
                raise Unavailable(f"no token for {self._scope}", hint=str(error).splitlines()[0]) from error
            self._token, self._expires = token.token, float(token.expires_on)
        return self._token

    def _error(self, answer: httpx.Response) -> SeawallError:
        status, text = answer.status_code, _message(answer)
        what = f"{self._base} answered {status}: {text}"
        if status in (401, 403):
            self._expires = 0  # a role that came since is in the next token
            return Denied(what, hint=f"needs {self._needs}")
        if status == 404:
            return NotFound(what, hint="check the names in the settings")
        if status == 413:
            return TooLarge(what)
        if status in (408, 409, 412, 429) or status >= 500:
            return Unavailable(what, retry_after_s=retry_after(answer.headers.get("Retry-After")))
        return InputError(what)


def retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which is a number or a date; None when it is neither."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value).astimezone(UTC) - datetime.now(UTC)).total_seconds())
    except ValueError:
        return None


def _message(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return answer.reason_phrase
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        return f"{error.get('code', '')} {error.get('message', '')}".strip()[:500]
    return answer.reason_phrase
