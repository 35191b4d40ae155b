"""What baselines cost: memory and stored bytes per tracked feature at 10,000 identities, and events a second.

make bench-baselines
"""

from __future__ import annotations

import sys
import time
import tracemalloc

from seawall.app.detect import load_rules
from seawall.catalog import collect
from seawall.detection.baselines.habits import Habits
from seawall.detection.baselines.kept import to_bytes
from seawall.detection.baselines.learner import Learner
from seawall.detection.baselines.sketch import Sketch
from seawall.detection.declaration import Detection
from seawall.domain.audit_events import AuditEvent, ObjectRef, ResponseStatus, User
from seawall.domain.runtime_events import ContainerContext, DnsQuery, Process, ProcessExec, RuntimeEvent

LIMIT_BYTES = 200
NOW_NS = 1_793_600_000_000_000_000
WORDS = [f"{chr(97 + number // 26)}{chr(97 + number % 26)}-service" for number in range(100)]
APP = Process(pid=1, exe="/usr/bin/app", args=("app",))
PODS = [
    ContainerContext(
        id=f"{number:064}",
        name="app",
        image="r.example/app:1",
        pod=f"app-{number}",
        namespace="shop",
        owner=f"Deployment/app-{number}",
    )
    for number in range(250)
]
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
    return int(max(state, stored) / features >= LIMIT_BYTES or _on_a_node())


WORKLOADS, VALUES = 250, 100


def _happened(number: int, step: int) -> RuntimeEvent:
    pod = PODS[number]
    if step % 2:
        return DnsQuery(
            ts_ns=NOW_NS, process=APP, container=pod, name=f"api.{WORDS[number % VALUES]}-{WORDS[step]}.example"
        )
    process = Process(pid=1, exe=f"/usr/lib/{WORDS[step]}/bin/{WORDS[number % VALUES]}", args=("x", "--run"))
    return ProcessExec(ts_ns=NOW_NS, process=process, container=pod)


def _on_a_node() -> bool:
    """Print what the sensor pays; True when it is over its budget."""
    rules = collect("seawall.detection.rules.baseline.containers", Detection)
    events = [_happened(number, step) for number in range(WORKLOADS) for step in range(VALUES)]
    tracemalloc.start()
    habits = Habits(rules)
    for number in range(WORKLOADS):
        for step in range(VALUES):
            habits.process(_happened(number, step))
    habits._seen.clear()
    state = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    own, few = events[:VALUES], Habits(rules)
    times = {}
    for name, many, judged in (
        ("new", events, Habits(rules)),
        ("first time in the hour", own, few),
        ("again", own * 500, few),
    ):
        if name == "first time in the hour":
            for event in own:
                judged.process(event)
            judged._seen.clear()
        begin = time.process_time_ns()
        for event in many:
            judged.process(event)
        times[name] = (time.process_time_ns() - begin) / len(many)
    begin = time.process_time_ns()
    packed = to_bytes(habits.profiles(), habits.settings)
    packing_ms = (time.process_time_ns() - begin) / 1e6
    features = habits.features()
    print(
        f"a node: {WORKLOADS} workloads, {features} features, {state / features:.0f} bytes a feature, {len(packed) / features:.0f} stored"
    )
    print(
        "CPU an event: "
        + ", ".join(f"{name} {ns:,.0f} ns" for name, ns in times.items())
        + f"; packing {packing_ms:.1f} ms"
    )
    return state / features >= LIMIT_BYTES


if __name__ == "__main__":
    sys.exit(main())
