"""Who may use which door. Secrets compare in constant time; nothing is parsed before the caller is known."""

from __future__ import annotations

import hmac
import ipaddress
import time
from base64 import b64decode

from fastapi import Request

from seawall.domain.errors import TooLarge, Unauthenticated

TOKEN_HEADER = "X-Seawall-Token"  # noqa: S105 - a header's name
SESSION_COOKIE = "seawall_session"
SESSION_S = 12 * 3600
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


async def bounded_body(request: Request, limit: int) -> bytes:
    """Return the request's body, refused as soon as it is over `limit` bytes.

    Raises:
        TooLarge: by its Content-Length or while it arrives.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge(f"the body has {declared} bytes, at most {limit} are taken")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLarge(f"the body has more than {limit} bytes")
    return bytes(body)


def presented_secret(request: Request) -> str:
    """The secret that the caller shows: bearer token, basic password, `X-Seawall-Token`, `X-JFrog-Event-Auth` or ?token=."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return b64decode(value, validate=True).decode().partition(":")[2]
        except ValueError:
            return ""
    header = request.headers.get(TOKEN_HEADER) or request.headers.get("x-jfrog-event-auth")
    return header or request.query_params.get("token", "")


def require_secret(request: Request, secret: str, door: str) -> None:
    """Let the caller in when it shows `secret`.

    Raises:
        Unauthenticated: no secret is set for this door, or the caller shows another.
    """
    if not secret:
        raise Unauthenticated(f"{door} is closed", hint="set SEAWALL_WEBHOOK_SECRET to open it")
    if not hmac.compare_digest(presented_secret(request).encode(), secret.encode()):
        raise Unauthenticated(f"{door}: the secret is missing or wrong")


def is_token(shown: str, token: str) -> bool:
    """Whether `shown` is the API token."""
    return bool(token) and hmac.compare_digest(shown.encode(), token.encode())


def new_session(token: str, now: float) -> str:
    """The cookie of a browser that showed the API token: valid for `SESSION_S`, and for no other token.

    It is made from the token and not stored, so every worker of a function app believes it; it does not give the token away.
    """
    until = str(int(now) + SESSION_S)
    return f"{until}.{_mac(token, until)}"


def holds_session(cookie: str, token: str, now: float) -> bool:
    """Whether `new_session` made `cookie` for this token, less than `SESSION_S` ago."""
    until, _, mac = cookie.partition(".")
    if not (until.isascii() and until.isdigit() and len(until) < 15):
        return False
    return hmac.compare_digest(mac.encode(), _mac(token, until).encode()) and int(until) > now


def _mac(token: str, until: str) -> str:
    return hmac.new(token.encode(), b"seawall console session until " + until.encode(), "sha256").hexdigest()


def require_reader(request: Request, token: str) -> None:
    """Let in who shows the API token or a session made from it; without a token set, callers on the loopback address.

    Raises:
        Unauthenticated: neither.
    """
    if token:
        if not is_token(presented_secret(request), token) and not holds_session(
            request.cookies.get(SESSION_COOKIE, ""), token, time.time()
        ):
            raise Unauthenticated("the API token is missing or wrong", hint="Authorization: Bearer <SEAWALL_API_TOKEN>")
        return
    host = request.client.host if request.client else ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local or "x-forwarded-for" in request.headers or "forwarded" in request.headers:
        raise Unauthenticated("only callers on this machine are served", hint="set SEAWALL_API_TOKEN to serve others")
    # A page of another site can make a browser on this machine call us under a name of its own (DNS rebinding).
    if (request.url.hostname or "") not in _LOCAL_NAMES:
        raise Unauthenticated("only localhost is served under that name", hint="call http://localhost or 127.0.0.1")
