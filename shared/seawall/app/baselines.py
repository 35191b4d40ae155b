"""Use case: baselines judge a batch after the rules did, learn from it, and keep what they learnt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from seawall.detection.baselines.learner import Learner, Learning
from seawall.detection.baselines.sketch import Sketch, day_of
from seawall.detection.context import Context, use
from seawall.detection.declaration import Detection
from seawall.detection.folding import event_hash
from seawall.domain.alerts import Alert
from seawall.domain.errors import InputError
from seawall.domain.severity import Severity
from seawall.ports.baselines import BaselineStore, Muted

REFRESH = timedelta(minutes=5)
"""What other workers learnt, and a reset, are seen at the latest after this."""


class StoredBaselines:
    """The baselines of one worker over the store."""

    def __init__(
        self,
        rules: Iterable[Detection],
        store: BaselineStore,
        learning: Learning | None = None,
        knowledge: Context | None = None,
    ) -> None:
        self.rules = tuple(rules)
        self._store = store
        self._learning = learning
        self._knowledge = knowledge
        self._learner = self._new()
        self._since: datetime | None = None

    def judge(self, events: Sequence[Any], alerts: Iterable[Alert], now: datetime) -> list[Alert]:
        """Return the alerts of the baselines, not folded. `alerts` are the rules' of the same batch: what one of medium
        severity or above is about does not train. Call `save` once the alerts are kept.
        """
        if self._since is None or now - self._since >= REFRESH:
            self._learner, self._since = self._new(), now
        bad = {member for alert in alerts if alert.severity >= Severity.MEDIUM for member in alert.members}
        today = day_of(now)
        process = self._learner.process
        found: list[Alert] = []
        with use(self._knowledge):
            for event in events:
                found += process(event, alerted=bool(bad) and event_hash(str(event.id)) in bad, today=today)
        return found

    def save(self, now: datetime, batch: str) -> dict[str, int]:
        """Keep what was learnt since the last call; return how many alerts were muted while learning or unconfirmed.

        `batch` is the id of what was judged: the same batch again is not counted again.
        """
        stats = self._learner.stats
        counts: Counter[tuple[str, str, str]] = Counter()
        for reason, by in (("learning", stats.muted), ("unconfirmed", stats.unconfirmed)):
            for (scope, analytic), count in by.items():
                counts[scope, analytic, reason] += count
            by.clear()
        self._store.merge(_packed(self._learner), merged, Muted(batch, now.date(), counts))
        totals: Counter[str] = Counter()
        for (_, _, reason), count in counts.items():
            totals[reason] += count
        return dict(totals)

    def drop(self) -> None:
        """Forget what was learnt since `save`: the batch comes again."""
        self._since = None

    def _new(self) -> Learner:
        return Learner(self.rules, loader(self._store), self._learning)


def loader(store: BaselineStore) -> Any:
    """Return the `Load` of a store."""

    def load(scope: str, shard: int) -> Sketch | None:
        kept = store.load(scope, shard)
        return None if kept is None else Sketch.from_bytes(kept)

    return load


def merged(one: bytes, other: bytes) -> bytes:
    """Join two sketches as bytes."""
    sketch = Sketch.from_bytes(one)
    sketch.merge(Sketch.from_bytes(other))
    return sketch.to_bytes()


def reset(store: BaselineStore, cluster: str) -> str:
    """Forget the baselines of a cluster, which then learns again; return the scope.

    Raises:
        InputError: nothing was learnt of it.
    """
    scope = cluster if cluster.startswith(("cluster:", "account:", "registry:")) else f"cluster:{cluster}"
    if scope not in store.scopes():
        raise InputError(f"nothing was learnt of {cluster}", hint=f"known: {', '.join(store.scopes()) or 'none'}")
    learner = Learner((), loader(store))
    learner.reset(scope)
    store.merge(_packed(learner), merged)
    return scope


def accept(store: BaselineStore, alert: Alert) -> bool:
    """Learn what a baseline's alert was about as usual; False when the alert is not of a baseline."""
    learner = Learner((), loader(store))
    taken = learner.accept(alert)
    store.merge(_packed(learner), merged)
    return taken


def _packed(learner: Learner) -> list[tuple[str, int, bytes]]:
    return [(scope, shard, sketch.to_bytes()) for scope, shard, sketch in learner.changes()]
