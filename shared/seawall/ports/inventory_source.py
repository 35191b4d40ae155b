"""Where objects are collected from: a cluster's API server, a cloud account, a registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from seawall.posture.objects import Note, Obj


@dataclass(slots=True)
class Collected:
    """What was read. `complete` are the kinds of which every object was; `notes` say what could not be read and why.

    `clusters` are sources of their own that were found on the way.
    """

    scope: str
    taken_at: datetime
    objects: list[Obj] = field(default_factory=list)
    complete: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    notes: list[Note] = field(default_factory=list)
    clusters: list[InventorySource] = field(default_factory=list)


class InventorySource(Protocol):
    """Reads, and changes nothing."""

    @property
    def scope(self) -> str:
        """Name of the cluster or account, the same in audit events, sensors and posture results."""

    def collect(self) -> Collected:
        """Return everything that may be read; what may not becomes notes.

        Raises:
            Denied, Unavailable, ConfigError: nothing at all can be read.
        """


class ObjectReader(Protocol):
    """Reads one object again, as after an event that did not carry it."""

    def read(self, kind: str, namespace: str, name: str) -> Obj | None:
        """Return the object, None when it is not there."""


Sources = Sequence[InventorySource]
