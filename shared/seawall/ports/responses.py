"""What responding asks of the outside: a cluster that can be changed, a record that only grows, room for evidence."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from seawall.domain.responses import Request, Response, ResponseEvent


class ResponseStore(Protocol):
    """Responses with their history. Nothing is ever changed or removed."""

    def begin(self, response: Response) -> None:
        """Keep a response with its first event."""

    def note(self, id: str, event: ResponseEvent) -> None:  # noqa: A002 - the domain's word
        """Add an event to the history; one of a state that the response has had already changes nothing."""

    def get(self, id: str) -> Response | None:  # noqa: A002 - the domain's word
        """One response."""

    def of(self, subjects: Collection[str]) -> list[Response]:
        """What was done about incidents or alerts, oldest first."""

    def newest(self, limit: int = 100) -> list[Response]:
        """Newest first."""

    def denied(self) -> frozenset[str]:
        """The image digests that are refused now."""


class ChangeableCluster(Protocol):
    """One API server, as somebody who may change it. Every method raises Denied, NotFound, Unavailable, InputError."""

    @property
    def server(self) -> str:
        """Its URL."""

    def whoami(self) -> str:
        """The name that the server knows the caller by."""

    def find(self, kind: str, namespace: str, name: str) -> tuple[str, dict[str, Any]]:
        """Return an object and its URL path."""

    def list(self, kind: str, namespace: str) -> list[dict[str, Any]]:
        """Return the objects of a kind in a namespace."""

    def events(self, namespace: str, uid: str) -> Any:
        """Return the events about an object."""

    def log(self, pod_path: str, container: str) -> str:
        """Return the last lines of a container's log, bounded."""

    def send(self, request: Request, *, dry_run: bool) -> None:
        """Do it, or ask the server whether it would."""


class EvidenceRoom(Protocol):
    """Where evidence is put."""

    def put(self, name: str, content: bytes) -> None:
        """Write it, whole or not at all."""
