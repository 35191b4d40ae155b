"""HTTP to one registry host: signing in, retries with back-off, rate limits, clear errors.

Source: OCI distribution-spec 1.1; distribution, "Token Authentication Specification"; RFC 9110 (Retry-After).
"""

from __future__ import annotations

import base64
import email.utils
import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from seawall.adapters.registry.credentials import ANONYMOUS, Credential, CredentialSource
from seawall.adapters.registry.hosts import how_to_be_let_in
from seawall.domain.errors import ConfigError, Denied, InputError, NotFound, SeawallError, Unavailable

ATTEMPTS = 5
MAX_WAIT_S = 60.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024
_RETRY_STATUS = frozenset((408, 425, 429, 500, 502, 503, 504))
_CHALLENGE = re.compile(r'([a-zA-Z]+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class HostSettings:
    """How to reach one registry host."""

    ca_file: Path | None = None
    plain_http: bool = False
    proxy: str = ""
    reserve: int = 0
    """Pulls of a rate limit that are left to others: at or below it we wait instead of spending."""


def http_client(settings: HostSettings) -> httpx.Client:
    """Return a client that reaches the host in the way `settings` say: its authority, its proxy.

    Raises:
        ConfigError: an authority's file that is none, a proxy that is no URL.
    """
    try:
        proxy = httpx.Proxy(settings.proxy) if settings.proxy else None
    except (ValueError, httpx.InvalidURL) as error:
        raise ConfigError(f"not the URL of a proxy: {error}", hint="http://proxy.example:3128, for example") from error
    return httpx.Client(
        timeout=httpx.Timeout(30, connect=10),
        verify=_trust(settings.ca_file) if not settings.plain_http else False,
        proxy=proxy,
        headers={"User-Agent": "seawall"},
        follow_redirects=False,
    )


class Transport:
    """One host. Thread-safe; answers are streamed so that a large blob never lies in memory."""

    def __init__(
        self,
        host: str,
        settings: HostSettings,
        credentials: CredentialSource,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.host = host
        self._settings = settings
        self._credentials = credentials
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[float, str]] = {}
        self._remaining: int | None = None
        self._window_ends = 0.0
        self.base = f"{'http' if settings.plain_http else 'https'}://{host}"
        self._client = http_client(settings)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @contextmanager
    def send(
        self,
        method: str,
        path: str,
        *,
        scope: str = "",
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
        params: dict[str, str] | None = None,
        expect: tuple[int, ...] = (200,),
        what: str = "",
        budget: bool = False,
    ) -> Iterator[httpx.Response]:
        """Yield the open answer; its status is one of `expect`.

        Raises:
            NotFound: 404. Denied: 401, 403. Unavailable: no answer, 429 or 5xx after the last attempt. InputError: else.
        """
        url = path if path.startswith(("http://", "https://")) else self.base + path
        what = what or f"{method} {path}"
        if budget:
            self._spend(what)
        refreshed = False
        problem: SeawallError = Unavailable(f"{self.host}: {what} failed")
        for attempt in range(ATTEMPTS):
            try:
                answer = self._once(method, url, scope, headers, content, params)
            except httpx.TransportError as error:
                problem = Unavailable(f"{self.host} does not answer{self._way()} ({_reason(error)})")
                if isinstance(error, httpx.ProxyError) and str(error).startswith("407"):
                    raise self._proxy_refused() from error
                if _is_certificate(error):
                    raise Denied(
                        f"{self.host}: the certificate is not trusted",
                        hint=f"set registries.{self.host}.ca_file to the certificate authority's PEM file",
                    ) from error
                self._back_off(attempt, None)
                continue
            try:
                self._note_limit(answer)
                if answer.status_code in expect:
                    yield answer
                    return
                if answer.status_code == 401 and not refreshed:
                    refreshed = True
                    self._sign_in(answer, scope)
                    continue
                if answer.status_code == 407:
                    raise self._proxy_refused()
                problem = self._problem(answer, what)
                if answer.status_code not in _RETRY_STATUS:
                    raise problem
            finally:
                answer.close()
            self._back_off(attempt, problem.retry_after_s if isinstance(problem, Unavailable) else None)
        raise problem

    def _once(
        self,
        method: str,
        url: str,
        scope: str,
        headers: dict[str, str] | None,
        content: bytes | None,
        params: dict[str, str] | None,
    ) -> httpx.Response:
        merged = dict(headers or {})
        if _origin(url) == _origin(self.base) and (authorization := self._authorization(scope)):
            merged["Authorization"] = authorization
        request = self._client.build_request(method, url, headers=merged, content=content, params=params)
        answer = self._client.send(request, stream=True)
        for _ in range(5):
            if answer.status_code not in (301, 302, 303, 307, 308) or method not in ("GET", "HEAD"):
                return answer
            target = answer.next_request
            answer.close()
            if target is None:
                raise InputError(f"{self.host} redirects to nowhere")
            if request.url.scheme == "https" and target.url.scheme != "https":
                raise Denied(f"{self.host} redirects to a place without TLS")
            request = target  # httpx leaves Authorization out when the origin changes
            answer = self._client.send(request, stream=True)
        return answer

    def _authorization(self, scope: str) -> str:
        kept = self._tokens.get(scope) or self._tokens.get("")
        return kept[1] if kept and kept[0] > self._clock() else ""

    def _credential(self) -> Credential:
        return self._credentials(self.host) or ANONYMOUS

    def _sign_in(self, answer: httpx.Response, scope: str) -> None:
        """Do what the challenge asks for: basic, or a bearer token from the realm."""
        challenge = answer.headers.get("WWW-Authenticate", "")
        kind, _, rest = challenge.partition(" ")
        credential = self._credential()
        if credential.bearer:
            self._keep("", f"Bearer {credential.bearer}", 3600)
            return
        if kind.lower() == "basic":
            if not credential.username:
                raise Denied(f"{self.host} wants a user name and password", hint=how_to_be_let_in(self.host))
            pair = base64.b64encode(f"{credential.username}:{credential.password}".encode()).decode()
            self._keep("", f"Basic {pair}", 3600)
            return
        if kind.lower() != "bearer":
            raise Denied(f"{self.host} answered 401 with no challenge that we know", hint=how_to_be_let_in(self.host))
        words = {key.lower(): value for key, value in _CHALLENGE.findall(rest)}
        self._keep(scope, *self._fetch_token(words, credential, scope))

    def _keep(self, scope: str, header: str, lifetime_s: float) -> None:
        with self._lock:
            if len(self._tokens) > 10_000:
                self._tokens.clear()
            self._tokens[scope] = (self._clock() + lifetime_s, header)

    def _fetch_token(self, words: dict[str, str], credential: Credential, scope: str) -> tuple[str, float]:
        realm = words.get("realm", "")
        parts = urlsplit(realm)
        if parts.scheme != "https" and not (parts.scheme == "http" and self._settings.plain_http):
            raise Denied(f"{self.host} names a token service without TLS: {realm[:200]!r}")
        wanted = words.get("scope") or scope
        form = {"service": words.get("service", "")} | ({"scope": wanted} if wanted else {})
        try:
            if credential.identity_token:
                answer = self._client.post(
                    realm,
                    data=form
                    | {
                        "grant_type": "refresh_token",
                        "refresh_token": credential.identity_token,
                        "client_id": "seawall",
                    },
                )
            else:
                auth = httpx.BasicAuth(credential.username, credential.password) if credential.username else None
                answer = self._client.get(realm, params=form, auth=auth)
        except httpx.TransportError as error:
            raise Unavailable(f"token service {parts.netloc} does not answer ({_reason(error)})") from error
        if answer.status_code in (400, 401, 403, 404):
            raise Denied(
                f"{parts.netloc} refused a token for {wanted or self.host}",
                hint=how_to_be_let_in(self.host, writes="push" in wanted.rpartition(":")[2]),
            )
        if answer.status_code != 200:
            raise Unavailable(f"token service {parts.netloc} answered {answer.status_code}")
        try:
            record = answer.json()
            token = record.get("token") or record.get("access_token")
            lifetime_s = float(record.get("expires_in") or 60)
        except (ValueError, TypeError, AttributeError) as error:
            raise Unavailable(f"token service {parts.netloc} gave no token") from error
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise Unavailable(f"token service {parts.netloc} gave no token")
        return f"Bearer {token}", max(lifetime_s * 0.9, 10)

    def _problem(self, answer: httpx.Response, what: str) -> SeawallError:
        status = answer.status_code
        detail = _detail(answer)
        if status == 404:
            return NotFound(f"{self.host}: {what}: not found{detail}")
        if status in (401, 403):
            return Denied(
                f"{self.host}: {what}: {status}{detail}",
                hint=how_to_be_let_in(self.host, writes=answer.request.method not in ("GET", "HEAD")),
            )
        if status in _RETRY_STATUS:
            return Unavailable(
                f"{self.host}: {what}: {status}{detail}",
                retry_after_s=retry_after(answer.headers.get("Retry-After", "")),
            )
        return InputError(f"{self.host}: {what}: {status}{detail}")

    def _way(self) -> str:
        return f" through the proxy {httpx.URL(self._settings.proxy).netloc.decode()}" if self._settings.proxy else ""

    def _proxy_refused(self) -> Denied:
        return Denied(
            f"{self.host}: the proxy wants a user name and password, or others{self._way()}",
            hint=f"set registries.{self.host}.proxy, or HTTPS_PROXY, to http://name:password@host:port",
        )

    def _back_off(self, attempt: int, asked_s: float | None) -> None:
        if attempt + 1 >= ATTEMPTS:
            return
        if asked_s is not None and asked_s > MAX_WAIT_S:
            raise Unavailable(f"{self.host} asks to come back in {asked_s:.0f} s", retry_after_s=asked_s)
        wait = asked_s if asked_s is not None else 0.25 * 2**attempt
        self._sleep(min(wait * random.uniform(1, 1.25), MAX_WAIT_S))  # noqa: S311 - spreads retries, guards nothing

    def _note_limit(self, answer: httpx.Response) -> None:
        """Docker Hub says `ratelimit-remaining: 76;w=21600` (pulls, seconds)."""
        match = re.fullmatch(r"(\d{1,9})(?:;w=(\d{1,9}))?", answer.headers.get("ratelimit-remaining", "").strip())
        if match:
            self._remaining = int(match.group(1))
            self._window_ends = self._clock() + int(match.group(2) or 3600)

    def _spend(self, what: str) -> None:
        left = self._remaining
        if left is not None and left <= self._settings.reserve and self._clock() < self._window_ends:
            if left > 0 or self._settings.reserve:
                raise Unavailable(
                    f"{self.host}: {what}: only {left} pulls are left and {self._settings.reserve} are kept in reserve",
                    retry_after_s=self._window_ends - self._clock(),
                )
            self._remaining = None  # the limit is spent: one try asks how it stands now


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"{ca_file} is not a PEM file of certificates: {error}") from error
    return context


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200] if str(error) else type(error).__name__


def _is_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _detail(answer: httpx.Response) -> str:
    """Return the registry's own message, shortened; it is data, so control characters go."""
    try:
        content = b""
        for chunk in answer.iter_bytes():
            content += chunk
            if len(content) > 64 * 1024:
                return ""
        first = httpx.Response(200, content=content).json()["errors"][0]
        text = f"{first.get('code', '')} {first.get('message', '')}".strip()
    except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return ""
    return f" ({''.join(sign for sign in text if sign.isprintable())[:200]})" if text else ""


def retry_after(value: str) -> float | None:
    """Return the seconds of a Retry-After header: a number, or an HTTP date."""
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max((when - datetime.now(UTC)).total_seconds(), 0.0)
