"""Use case: log files in, alerts out, at any size of file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO

from seawall.app.detect import load_rules
from seawall.detection.context import Context
from seawall.detection.declaration import Detection
from seawall.detection.engine import Engine
from seawall.detection.growing import EPOCH, Growing
from seawall.detection.sources.files import read_log
from seawall.domain.alerts import Alert
from seawall.domain.audit_events import Reject

MAX_EVIDENCE = 1000
"""Evidence kept per alert: a file's alerts should lead back to its lines."""
_MAX_REJECTS = 1000


@dataclass(slots=True)
class LogFindings:
    """What was found in some files. `rejected` counts records by reason, `errors` analytics that failed on a record."""

    alerts: list[Alert] = field(default_factory=list)
    events: int = 0
    skipped: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    rejects: list[Reject] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)


def detect_logs(
    files: Iterable[tuple[str, IO[bytes]]],
    *,
    rules: Sequence[Detection] | None = None,
    cluster: str = "",
    knowledge: Context | None = None,
    now: datetime | None = None,
) -> LogFindings:
    """Return the folded alerts of log files, given as (name, binary stream). Records are read one by one.

    Memory grows with the number of different alerts, not with the size of the files. `now` stands for records that
    carry no time.
    """
    engine = Engine(
        rules if rules is not None else load_rules(),
        knowledge=knowledge,
        default_time=now.astimezone(UTC) if now else EPOCH,
    )
    found = LogFindings()
    growing = Growing(MAX_EVIDENCE)
    for name, stream in files:
        last = None
        for batch in read_log(stream, file=name, cluster=cluster):
            last = batch
            found.events += len(batch.events)
            for event in batch.events:
                engine.feed(event, growing)
        if last is not None:
            found.skipped += last.skipped
            found.rejected += last.rejected
            found.rejects += last.rejects[: _MAX_REJECTS - len(found.rejects)]
    found.alerts = growing.alerts()
    found.errors = engine.stats.errors
    return found
