"""A week on a node, hour by hour: replicas that come and go, roll-outs, cron jobs, a crawler, somebody's batch jobs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import msgspec
from seawall.domain.runtime_events import (
    ContainerContext,
    ContainerInUse,
    ContainerStart,
    ContainerStop,
    Flow,
    Listen,
    NodeInventory,
    RuntimeEvent,
)

from tests.detection.runtime_events import NOW_NS, asked, dialled, event, ran, read

HOUR_S = 3600
TOKEN = "/run/secrets/kubernetes.io/serviceaccount/token"
NODE_HOURS = 7 * 24


def container(
    owner: str, number: int, *, name: str = "app", version: str = "1", namespace: str = "shop"
) -> ContainerContext:
    return ContainerContext(
        id=blake2b(f"{owner} {number} {name}".encode(), digest_size=32).hexdigest(), name=name, image=f"registry.example/shop/{name}:{version}",
        image_digest=f"sha256:{name}{version}", pod=f"{owner.rpartition('/')[2]}-{number:05x}", namespace=namespace, owner=owner,
    )  # fmt: skip


def at(hour: float, item: RuntimeEvent) -> Any:
    """Return the event at an hour of the week."""
    return msgspec.structs.replace(item, ts_ns=NOW_NS + int(hour * HOUR_S * 1e9))


class Shop:
    """A Deployment whose pods start with a script, and work."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.version, self.number = 1, 0
        self.pods: list[ContainerContext] = []

    def start(self, hour: float) -> Iterator[Any]:
        self.number += 1
        pod = container("Deployment/web", self.number, version=str(self.version))
        self.pods.append(pod)
        yield at(hour, event(ContainerStart, "sh /entry.sh", where=pod))
        for delay, line in enumerate(("sh /entry.sh", "envsubst", "chown -R app /data", "java -jar /app.jar")):
            yield at(hour + delay / HOUR_S, ran(line, where=pod, script="/entry.sh" if "entry" in line else ""))
        yield at(hour + 10 / HOUR_S, event(Listen, "java", where=pod, address="0.0.0.0", port=8080))
        yield at(hour + 11 / HOUR_S, read(TOKEN, "java", where=pod))
        if self.version > 1:
            yield at(hour + 12 / HOUR_S, ran(f"/opt/agent{self.version}/bin/agent", where=pod))

    def stop(self, hour: float) -> Iterator[Any]:
        pod = self.pods.pop(0)
        yield at(hour, event(ContainerStop, "java", where=pod))

    def work(self, hour: int) -> Iterator[Any]:
        for pod in self.pods:
            for minute in range(0, 60, 20):
                when = hour + minute / 60
                yield at(when, ran("sh -c 'wget -qO- http://localhost:8080/healthz'", where=pod, entered=True))
                yield at(when, ran("wget -qO- http://localhost:8080/healthz", where=pod, entered=True))
                yield at(when, asked("db.shop.svc.cluster.local", "java", where=pod))
                yield at(when, dialled("10.96.3.4", 5432, "java", where=pod, host="db.shop.svc.cluster.local"))
                yield at(
                    when,
                    dialled(
                        f"10.244.{self.random.randrange(40)}.{self.random.randrange(2, 250)}", 9092, "java", where=pod
                    ),
                )
                yield at(when, asked("api.payments.example", "java", where=pod))
                yield at(when, dialled("203.0.114.9", 443, "java", where=pod, host="api.payments.example"))
                yield at(
                    when,
                    event(
                        Flow,
                        "java",
                        where=pod,
                        address="203.0.114.9",
                        port=443,
                        sent_bytes=self.random.randrange(1 << 16, 1 << 21),
                    ),
                )
            if hour % 24 == 3:
                yield at(hour + 0.5, ran("/usr/sbin/logrotate /etc/logrotate.conf", where=pod))
            if self.version > 1 and hour % 24 == 4:
                yield at(hour + 0.5, ran(f"/opt/agent{self.version}/bin/agent", where=pod))


def week(seed: int = 1) -> Iterator[Any]:
    """Yield the events of a week in their order."""
    shop, dice = Shop(seed), random.Random(seed)
    yield from shop.start(0.01)
    yield from shop.start(0.02)
    for hour in range(NODE_HOURS):
        events = list(shop.work(hour))
        if hour in (70, 118):  # roll-outs: the new version starts, the old one stops
            shop.version += 1
            for _ in range(len(shop.pods)):
                events += [*shop.start(hour + 0.3), *shop.stop(hour + 0.35)]
        if hour in (90, 91, 92):  # more load: more replicas
            events += [*shop.start(hour + 0.1), *shop.start(hour + 0.2)]
        if hour in (98, 99):
            events += [*shop.stop(hour + 0.7), *shop.stop(hour + 0.7)]
        if hour == 130:  # a pod is lost and made again
            events += [*shop.stop(hour + 0.7), *shop.start(hour + 0.8)]
        if hour % 24 == 2:  # a nightly CronJob
            report = container("CronJob/report", hour, name="report", version="7")
            events.append(at(hour + 0.1, event(ContainerStart, "python3 /r.py", where=report)))
            events += [
                at(hour + 0.1, ran("python3 /r.py", where=report, script="/r.py")),
                at(hour + 0.2, dialled("10.96.3.4", 5432, "python3", where=report)),
            ]
        crawler = container("Deployment/crawler", 1, name="crawler")
        events += [
            at(
                hour + 0.4,
                asked(f"www.site{dice.randrange(10**9):x}.example{dice.randrange(500)}.test", "crawl", where=crawler),
            )
            for _ in range(3)
        ]
        batch = container(f"Job/batch-{hour}", hour, name="batch", namespace="data")
        events += [at(hour + 0.6, ran(f"/jobs/{dice.randrange(10**6)}/step-{dice.choice('abcdefgh')}", where=batch))]
        idle = container("Deployment/static", 1, name="nginx")
        events.append(at(hour + 0.9, event(NodeInventory, where=None, containers=(ContainerInUse(idle),))))
        yield from sorted(events, key=lambda item: item.ts_ns)


def victim() -> ContainerContext:
    """Return a pod of the shop that runs at the week's end."""
    return container("Deployment/web", 40, version="3")
