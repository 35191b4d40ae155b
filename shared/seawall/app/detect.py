"""Use case: events in, alerts out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from seawall.catalog import collect
from seawall.detection.context import Context
from seawall.detection.declaration import Detection
from seawall.detection.engine import Engine
from seawall.domain.alerts import Alert


@cache
def load_rules() -> tuple[Detection, ...]:
    """Return every analytic that the package declares, by id, optional ones included (`enabled` is False)."""
    return collect("seawall.detection.rules", Detection)


def detect(
    events: Iterable[Any],
    rules: Sequence[Detection] | None = None,
    *,
    knowledge: Context | None = None,
) -> list[Alert]:
    """Return the folded alerts of a batch of events of any types. The same events give the same alerts in any order.

    Windows reach over the batch only; keep an `Engine` to let them reach over batches.
    """
    return Engine(rules if rules is not None else load_rules(), knowledge=knowledge).run(events)
