"""Our incidents and those of a portal that analysts work in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PortalLink:
    """`incident` of ours is `portal_id` there. `status`, `classification` and `owner`, in our words, are what both sides
    had when they were last compared, at change `seq` of ours: who differs from it has changed something since.
    """

    incident: str
    portal_id: str
    seq: int
    status: str = ""
    classification: str = ""
    owner: str = ""


class PortalLinks(Protocol):
    """Keeps the links."""

    def of(self, incident_id: str) -> PortalLink | None:
        """The link of one incident of ours."""

    def save(self, link: PortalLink) -> None:
        """Keep it in place of the one before."""

    def behind(self, limit: int = 100) -> list[PortalLink]:
        """Links whose incident has changed here since."""
