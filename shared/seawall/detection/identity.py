"""Which analytics ran somewhere, as one id that travels."""

from __future__ import annotations

from collections.abc import Iterable

from seawall.detection.declaration import Detection
from seawall.domain.ids import content_id
from seawall.domain.runtime_events import RuntimeEvent


def runtime_analytics_id(rules: Iterable[Detection]) -> str:
    """Return the content id of the runtime analytics among `rules`: the same ones in the same versions have the same."""
    named = {f"{rule.id}/{rule.version}" for rule in rules if rule.enabled and issubclass(rule.on, RuntimeEvent)}
    return content_id("analytics", *sorted(named))
