"""MITRE ATT&CK for Enterprise as a table: names and tactics of techniques, and how far along an attack a tactic is.

`attack_techniques.tsv` holds id, name and tactics of release 17 (the ids of `ATTACK_VERSION`), one technique a line.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

TACTICS = (
    "reconnaissance",
    "resource-development",
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
)
"""Short names in the matrix's order."""

_STAGE = {
    "reconnaissance": 1,
    "resource-development": 1,
    "initial-access": 1,
    "execution": 2,
    "persistence": 3,
    "privilege-escalation": 3,
    "defense-evasion": 3,
    "credential-access": 4,
    "discovery": 4,
    "lateral-movement": 5,
    "collection": 5,
    "command-and-control": 5,
    "exfiltration": 6,
    "impact": 6,
}


@dataclass(frozen=True, slots=True)
class Technique:
    """A technique or sub-technique: `T1098.006`, its name and the short names of its tactics in matrix order."""

    id: str
    name: str
    tactics: tuple[str, ...]

    @property
    def url(self) -> str:
        """The technique's page."""
        return f"https://attack.mitre.org/techniques/{self.id.replace('.', '/')}/"


@cache
def techniques() -> dict[str, Technique]:
    """Return every technique by id."""
    text = resources.files("seawall.domain").joinpath("attack_techniques.tsv").read_text("utf-8")
    rows = (line.split("\t") for line in text.splitlines())
    return {id_: Technique(id_, name, tuple(tactics.split(","))) for id_, name, tactics in rows}


def technique(id_: str) -> Technique | None:
    """Return the technique, or None for an id that the table does not know."""
    return techniques().get(id_)


def tactics_of(ids: tuple[str, ...]) -> tuple[str, ...]:
    """Return the tactics of the techniques `ids`, in matrix order; unknown ids have none."""
    found = {tactic for id_ in ids if (known := techniques().get(id_)) for tactic in known.tactics}
    return tuple(tactic for tactic in TACTICS if tactic in found)


def stages_of(ids: tuple[str, ...]) -> tuple[int, ...]:
    """Return the stages that the techniques can belong to, ascending: 1 entry, 2 execution, 3 foothold and privilege,
    4 credentials and discovery, 5 spread and control, 6 exfiltration and damage."""
    return tuple(sorted({_STAGE[tactic] for tactic in tactics_of(ids)}))
