"""What is done about an incident: requests to an API server, what takes them back, and the record of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from seawall.domain.alerts import Entity

DENY_IMAGE = "deny-image"
"""The one action that the admission gate carries out: its record is the entry that the gate reads."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the Kubernetes API. `body` is an object (POST), a JSON patch (PATCH) or DeleteOptions (DELETE)."""

    method: str
    path: str
    body: Any = None


@dataclass(frozen=True, slots=True)
class Change:
    """A request, and the one that takes it back; None = nothing does."""

    do: Request
    undo: Request | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an action comes to on one target, from the objects as they are now.

    `refusals` say why it should not be done: only a person's reason overrides them. `done`: it is so already.
    """

    action: str
    target: Entity
    uid: str = ""
    changes: tuple[Change, ...] = ()
    refusals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    done: bool = False


class ResponseState(StrEnum):
    """What became of a response. `failed`: what had been done was taken back."""

    STARTED = "started"
    APPLIED = "applied"
    FAILED = "failed"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class ResponseEvent:
    """One entry of a response's history. `actor` is who asked for it, as the API server knows them."""

    state: ResponseState
    at: datetime
    actor: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """A response that was begun. `subject` is the incident or alert it answers, `reason` why refusals were overridden.

    `server` is the URL of the API server that was changed; `evidence` the name of the blob with what was there before.
    """

    id: str
    action: str
    target: Entity
    subject: str = ""
    uid: str = ""
    server: str = ""
    reason: str = ""
    evidence: str = ""
    changes: tuple[Change, ...] = ()
    history: tuple[ResponseEvent, ...] = ()

    @property
    def state(self) -> ResponseState:
        """The newest state."""
        return self.history[-1].state


@dataclass(frozen=True, slots=True)
class Offer:
    """An action that fits something an alert or incident is about."""

    action: str
    title: str
    target: Entity
    breaks: str
    undoable: bool
    command: str


@dataclass(frozen=True, slots=True)
class Current:
    """What a plan is made from. `path` is the target's URL path at its API server, `kind` its kind.

    `seen_at` is when the incident was last seen; `policies` are the NetworkPolicies of the target's namespace.
    """

    target: Entity
    path: str = ""
    kind: str = ""
    object: Mapping[str, Any] = field(default_factory=dict)
    policies: tuple[Mapping[str, Any], ...] = ()
    denied: frozenset[str] = frozenset()
    seen_at: datetime | None = None
