"""Calls of JSON REST APIs: bearer tokens, time-outs, and their answers as our errors."""

from __future__ import annotations

import gzip
import json
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from seawall.domain.errors import Denied, InputError, NotFound, SeawallError, TooLarge, Unavailable


class JsonHttp:
    """One API. Keeps its connections; safe between threads.

    `bearer()` returns a valid token; `needs` names the permission that a 401 or 403 of this API means.
    """

    def __init__(
        self, base_url: str, bearer: Callable[[], str], *, needs: str, ca_file: str = "", timeout_s: float = 30
    ) -> None:
        self._base, self._bearer, self._needs = base_url.rstrip("/"), bearer, needs
        verify: Any = ssl.create_default_context(cafile=ca_file) if ca_file else True
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
        """Return the decoded JSON answer (None when empty). `body` is bytes as they are, or a JSON value.

        Raises:
            InputError: 400, 422. TooLarge: 413. Denied: 401, 403. NotFound: 404. Conflict: 409, 412. Unavailable: 408,
            429, 5xx and a network that fails, with the service's Retry-After.
        """
        headers = {"Authorization": f"Bearer {self._bearer()}", "Content-Type": "application/json"}
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        if compress and content is not None:
            content, headers["Content-Encoding"] = gzip.compress(content, 5), "gzip"
        try:
            answer = self._client.request(method, self._base + path, content=content, params=params, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable(f"{self._base}: {type(error).__name__}", hint=str(error)) from error
        if answer.is_success:
            return answer.json() if answer.content else None
        raise self._error(answer)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _error(self, answer: httpx.Response) -> SeawallError:
        status = answer.status_code
        what = f"{self._base} answered {status}: {_message(answer)}"
        if status in (401, 403):
            return Denied(what, hint=f"needs {self._needs}")
        if status == 404:
            return NotFound(what, hint="check the names in the settings")
        if status == 413:
            return TooLarge(what)
        if status in (409, 412):
            return Conflict(what)
        if status in (408, 429) or status >= 500:
            return Unavailable(what, retry_after_s=retry_after(answer.headers.get("Retry-After")))
        return InputError(what)


class Conflict(Unavailable):
    """The resource changed since it was read: read it again."""


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
