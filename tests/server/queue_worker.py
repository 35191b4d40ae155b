"""A process with a durable queue, for tests that kill it: `python queue_worker.py DATABASE LOG [put KIND:ID ...]`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from seawall.domain.errors import MalformedEvent, Unavailable
from seawall.formats.cloudevents import CloudEvent, parse
from seawall.server.queue import DurableQueue, Job, Timer

KIND = "io.seawall.test.work"


def main(database: str, log: str, *ids: str) -> None:
    tries: dict[str, int] = {}

    def write(line: str) -> None:
        with Path(log).open("a") as file:
            file.write(line + "\n")

    def work(key: str, body: bytes) -> None:
        event = parse(body)
        tries[key] = tries.get(key, 0) + 1
        write(f"began {key}")
        if "slow" in key and not event.data.get("second") and not Path(log + ".second").exists():
            time.sleep(60)
        if "poison" in key:
            raise MalformedEvent("never good")
        if "flaky" in key and tries[key] < 3:
            raise Unavailable("not yet")
        write(f"done {key}")

    queue = DurableQueue(
        f"sqlite:///{database}",
        [Job(KIND, work)],
        [Timer("clock", "* * * * * *", lambda: write("tick"))],
        lambda _job, key, _body, reason: write(f"poison {key}: {reason}"),
    )
    queue.start()
    for identifier in ids:
        queue.put(CloudEvent(id=identifier, source="/test", type=KIND, data={"second": False}))
        write(f"accepted {identifier}")
    write("ready")
    time.sleep(120)


if __name__ == "__main__":
    main(*sys.argv[1:])
