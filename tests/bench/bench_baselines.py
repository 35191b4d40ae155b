"""What baselines cost: memory and stored bytes per tracked feature at 10,000 identities, and events a second.

make bench-baselines
"""

from __future__ import annotations

import sys
import time
import tracemalloc

from seawall.app.detect import load_rules
from seawall.detection.baselines.learner import Learner
from seawall.detection.baselines.sketch import Sketch
from seawall.domain.audit_events import AuditEvent, ObjectRef, ResponseStatus, User

LIMIT_BYTES = 200
IDENTITIES = 10_000


def _event(number: int, step: int) -> AuditEvent:
    return AuditEvent(
        audit_id=f"{number}-{step}",
        stage="ResponseComplete",
        verb=("get", "list", "update")[step % 3],
        user=User(username=f"system:serviceaccount:team-{number % 500}:app-{number}"),
        source_ips=[f"10.{number % 200}.0.5"],
        user_agent="app/1.0",
        object_ref=ObjectRef(resource=("configmaps", "pods", "leases")[step % 3], namespace=f"team-{number % 500}"),
        response=ResponseStatus(code=200),
        received="2026-03-02T10:00:00Z",
        cluster="bench",
    )


def main() -> int:
    """Print the figures; 1 when a feature takes over 200 bytes."""
    rules = load_rules()
    events = [_event(number, step) for step in range(3) for number in range(IDENTITIES)]
    learner = Learner(rules)
    begin = time.perf_counter()
    for event in events:
        learner.process(event)
    new_s = time.perf_counter() - begin
    begin = time.perf_counter()
    for event in events:
        learner.process(event)
    known_s = time.perf_counter() - begin
    features = learner.features("cluster:bench")
    packed = [sketch.to_bytes() for _, _, sketch in learner.changes()]
    stored = sum(map(len, packed))
    tracemalloc.start()
    sketches = [Sketch.from_bytes(data) for data in packed]
    state = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del sketches
    tracemalloc.start()
    measured = Learner(rules)
    for event in events:
        measured.process(event)
    list(measured.changes())
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    print(f"{IDENTITIES} identities, {features} features")
    print(
        f"state {state / features:.0f} bytes a feature, with a worker's caches {memory / features:.0f}, stored {stored / features:.1f}"
    )
    print(f"new {len(events) / new_s:,.0f} events/s, repeated {len(events) / known_s:,.0f} events/s")
    return int(max(state, stored) / features >= LIMIT_BYTES)


if __name__ == "__main__":
    sys.exit(main())
