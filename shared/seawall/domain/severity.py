"""One ordered severity for findings, alerts and controls."""

from __future__ import annotations

from enum import IntEnum


class Severity(IntEnum):
    """Ordered: `Severity.HIGH > Severity.LOW`. `label` is the lower-case word that every output uses.

    Vulnerabilities use unknown, negligible (= informational) to critical; alerts informational to critical.
    """

    UNKNOWN = 0
    INFORMATIONAL = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5

    @property
    def label(self) -> str:
        """The word in lower case, as in JSON and on the command line."""
        return self.name.lower()

    @classmethod
    def parse(cls, word: str) -> Severity:
        """Return the severity that `word` names, in any case, with the field's synonyms; unknown words give UNKNOWN."""
        return _WORDS.get(word.strip().lower(), cls.UNKNOWN)


_WORDS = {severity.label: severity for severity in Severity} | {
    "none": Severity.INFORMATIONAL,
    "info": Severity.INFORMATIONAL,
    "negligible": Severity.INFORMATIONAL,
    "unimportant": Severity.INFORMATIONAL,
    "minor": Severity.LOW,
    "moderate": Severity.MEDIUM,
    "important": Severity.HIGH,
    "severe": Severity.CRITICAL,
}
