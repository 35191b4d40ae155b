"""A read-only client of one API server: pages, single objects, watches. Errors are ours, waits are bounded."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import httpx
import msgspec

from seawall.adapters.kubernetes.access import Access
from seawall.adapters.rest import retry_after
from seawall.assets.rights import KubernetesKind
from seawall.domain.errors import ConfigError, Denied, InputError, NotFound, RemoteError, TooLarge, Unavailable
from seawall.posture.objects import mapping, text

PAGE: Final = 500
MAX_PAGE_BYTES: Final = 256 << 20
MAX_LINE_BYTES: Final = 16 << 20
TRIES: Final = 4
LONGEST_WAIT_S: Final = 30.0
_PARTIAL: Final = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"


class Gone(RemoteError):
    """The resource version is too old to go on from. `token` continues the listing all the same, if not empty."""

    def __init__(self, message: str, token: str = "") -> None:
        super().__init__(message)
        self.token = token


@dataclass(frozen=True, slots=True)
class Page:
    """Some objects of a kind. `next` continues the listing, empty at its end."""

    items: list[dict[str, Any]]
    resource_version: str
    next: str


class _Items(msgspec.Struct):
    metadata: dict[str, Any] = {}
    items: list[Any] | None = None


class KubeClient:
    """Keeps its connections; safe between threads. Never sends anything but GET."""

    AGENT = "seawall-discovery"
    DENIED_HINT = "grant the right in a ClusterRole (docs/inventory.md lists them)"

    def __init__(self, access: Access, *, timeout_s: float = 60, sleep: Callable[[float], None] = time.sleep) -> None:
        self.access = access
        self._sleep = sleep
        self._streams: set[Any] = set()
        headers = {"User-Agent": self.AGENT, **access.impersonate}
        extensions = {"sni_hostname": access.server_name} if access.server_name else {}
        self._extensions = extensions
        try:
            self._client = httpx.Client(
                base_url=access.server,
                verify=access.tls,
                auth=access.basic,
                headers=headers,
                proxy=access.proxy or None,
                timeout=httpx.Timeout(timeout_s, connect=15),
                limits=httpx.Limits(max_connections=128),
            )
        except ValueError as error:
            raise ConfigError(f"the API server of {access.name} cannot be reached so: {error}") from error

    def close(self) -> None:
        """Close the connections; watches end at once."""
        # A thread that waits for the next event is woken by nothing but the end of its connection.
        for stream in list(self._streams - {None}):
            plain = stream.get_extra_info("socket")
            if plain is not None:
                with suppress(OSError):
                    plain.shutdown(socket.SHUT_RDWR)
        self._client.close()

    def version(self) -> dict[str, Any]:
        """Return the server's version."""
        answer = self.get("/version")
        return answer if isinstance(answer, dict) else {}

    def read(self, kind: KubernetesKind, namespace: str, name: str) -> dict[str, Any]:
        """Return one object (its metadata only where the kind says so).

        Raises:
            NotFound: it does not exist, or the server does not serve the kind.
        """
        for version in kind.versions:
            try:
                body = self.get(
                    kind.path(version, namespace if kind.namespaced else "", name), accept=_accept(kind, "")
                )
            except NotFound:
                if version == kind.versions[-1]:
                    raise
                continue
            return {**mapping(body), "apiVersion": kind.api_version(version), "kind": kind.kind}
        raise NotFound(f"{kind.resource} {name}")

    def page(
        self, kind: KubernetesKind, version: str, *, limit: int = PAGE, token: str = "", namespace: str = ""
    ) -> Page:
        """Return one page of a listing.

        Raises:
            Gone: the token is too old.
            NotFound: the kind is not served. Denied, Unavailable, TooLarge: as they say.
        """
        parameters = {"limit": str(limit)} | ({"continue": token} if token else {})
        raw = self._fetch(kind.path(version, namespace), parameters, _accept(kind, "List"))
        try:
            found = msgspec.json.decode(raw, type=_Items)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unavailable(f"{kind.resource}: the answer is no list: {error}"[:300]) from error
        api_version = kind.api_version(version)
        items = [
            {**item, "apiVersion": api_version, "kind": kind.kind}
            for item in found.items or ()
            if isinstance(item, dict)
        ]
        meta = found.metadata
        return Page(items, text(meta.get("resourceVersion")), text(meta.get("continue")))

    def watch(
        self, kind: KubernetesKind, version: str, since: str, *, timeout_s: int = 290
    ) -> Iterator[dict[str, Any]]:
        """Yield watch events (`type`, `object`) from a resource version on, until the server ends the stream.

        Bookmarks are asked for, so that a quiet kind's resource version does not grow old.

        Raises:
            Gone: `since` is too old: list again.
        """
        parameters = {
            "watch": "1",
            "resourceVersion": since,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(timeout_s),
        }
        headers = self._headers(_accept(kind, ""))
        timeout = httpx.Timeout(timeout_s + 30, connect=15)
        try:
            with self._client.stream(
                "GET",
                kind.path(version),
                params=parameters,
                headers=headers,
                timeout=timeout,
                extensions=self._extensions,
            ) as answer:
                if not answer.is_success:
                    answer.read()
                    raise self._error(answer, f"watch {kind.resource}")
                stream = answer.extensions.get("network_stream")
                self._streams.add(stream)
                try:
                    yield from self._events(answer, kind, version)
                finally:
                    self._streams.discard(stream)
        except (httpx.HTTPError, RuntimeError) as error:
            # httpx says RuntimeError when the client was closed under a stream.
            raise Unavailable(f"watch {kind.resource}: {type(error).__name__}") from error

    @staticmethod
    def _events(answer: httpx.Response, kind: KubernetesKind, version: str) -> Iterator[dict[str, Any]]:
        buffer = bytearray()
        for chunk in answer.iter_bytes():
            buffer += chunk
            if len(buffer) > MAX_LINE_BYTES and b"\n" not in buffer:
                raise TooLarge(f"watch {kind.resource}: an event of more than {MAX_LINE_BYTES >> 20} MiB")
            *lines, rest = buffer.split(b"\n")
            buffer = bytearray(rest)
            for line in lines:
                if not line.strip():
                    continue
                try:
                    event = msgspec.json.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    raise Unavailable(f"watch {kind.resource}: not JSON: {error}"[:200]) from error
                body = mapping(mapping(event).get("object"))
                if mapping(event).get("type") == "ERROR":
                    if body.get("code") == 410:
                        raise Gone(text(body.get("message")))
                    raise Unavailable(f"watch {kind.resource}: {text(body.get('message'))}"[:300])
                body = {**body, "apiVersion": kind.api_version(version), "kind": kind.kind}
                yield {"type": text(mapping(event).get("type")), "object": body}

    def get(self, path: str, parameters: dict[str, str] | None = None, accept: str = "application/json") -> Any:
        """Return a decoded answer.

        Raises:
            Denied, NotFound, Unavailable, InputError: what the server says.
        """
        raw = self._fetch(path, parameters or {}, accept)
        try:
            return msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unavailable(f"{path}: the answer is not JSON") from error

    def _fetch(self, path: str, parameters: dict[str, str], accept: str) -> bytes:
        for attempt in range(1, TRIES + 1):
            try:
                return self._once(path, parameters, accept)
            except Unavailable as error:
                if attempt == TRIES:
                    raise
                self._sleep(min(error.retry_after_s or 0.5 * 2**attempt, LONGEST_WAIT_S))
        raise AssertionError

    def _once(self, path: str, parameters: dict[str, str], accept: str) -> bytes:
        headers = self._headers(accept)
        try:
            with self._client.stream(
                "GET", path, params=parameters, headers=headers, extensions=self._extensions
            ) as answer:
                body = bytearray()
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) > MAX_PAGE_BYTES:
                        raise TooLarge(f"{path}: an answer of more than {MAX_PAGE_BYTES >> 20} MiB")
        except httpx.HTTPError as error:
            raise Unavailable(f"{self.access.server}{path}: {type(error).__name__} {error}"[:300]) from error
        if answer.is_success:
            return bytes(body)
        raise self._error(answer, path, bytes(body))

    def _headers(self, accept: str) -> dict[str, str]:
        bearer = {"Authorization": f"Bearer {self.access.bearer()}"} if self.access.bearer is not None else {}
        return {"Accept": accept, **bearer}

    def _error(self, answer: httpx.Response, what: str, body: bytes | None = None) -> Exception:
        try:
            status = mapping(msgspec.json.decode(body if body is not None else answer.content))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            status = {}
        message = f"{what}: {answer.status_code} {text(status.get('message')) or answer.reason_phrase}"[:400]
        code = answer.status_code
        if code == 401:
            return Denied(message, hint="the credential is not valid for this cluster")
        if code == 403:
            return Denied(message, hint=self.DENIED_HINT)
        if code == 404:
            return NotFound(message)
        if code == 410:
            return Gone(message, text(mapping(status.get("metadata")).get("continue")))
        if code in (408, 429) or code >= 500:
            return Unavailable(message, retry_after_s=retry_after(answer.headers.get("Retry-After")))
        return InputError(message)


def _accept(kind: KubernetesKind, suffix: str) -> str:
    # No fall-back for metadata: a server that cannot leave the values out refuses rather than sends them.
    return _PARTIAL.format(suffix) if kind.metadata_only else "application/json"
