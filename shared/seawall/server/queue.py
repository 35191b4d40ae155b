"""The durable local queue: what a door has accepted is done, also after `kill -9`.

DBOS keeps each job in SQLite or PostgreSQL before the door answers, starts what was pending when the process comes back,
and runs the timers. A job that fails for a while is tried again with growing pauses; one that can never succeed goes to
the poison store with its reason.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from seawall.adapters.tracing import stamped
from seawall.domain.errors import ConfigError, InputError, Unauthenticated
from seawall.formats.cloudevents import CloudEvent

if TYPE_CHECKING:
    from dbos import DBOS, Queue

log = logging.getLogger(__name__)

ATTEMPTS = 12
"""Tries of a job: with doubling pauses from one second, about an hour."""
POLL_S = 0.5
"""How often each queue is asked for work. Each asking costs some milliseconds of a core, whether there is work or not."""
UNFINISHED = ("ENQUEUED", "PENDING", "DELAYED")
FINISHED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
KEEP_FINISHED = timedelta(days=1)
"""How long a finished job's record stays: a repeat of the same input within that time is not even run."""


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of work. `run(key, body)` is idempotent; `key` is what repeats of the same input have in common."""

    id: str
    run: Callable[[str, bytes], None]
    workers: int = 2
    """How many run at a time. Each kind has its own: a registry that is down does not hold up audit events."""


@dataclass(frozen=True, slots=True)
class Timer:
    """Work by the clock. `cron` has five fields, or six with seconds first; a run that is late is not made up for."""

    id: str
    cron: str
    run: Callable[[], None]


class DurableQueue:
    """Runs `jobs` and `timers`; one per process, since DBOS is.

    Args:
        url: `sqlite:///…` or `postgresql+psycopg://…` of the queue's own tables.
        poison: called as `poison(job, key, body, reason)` for what no retry can help.
    """

    def __init__(
        self,
        url: str,
        jobs: Iterable[Job],
        timers: Iterable[Timer],
        poison: Callable[[str, str, bytes, str], None],
    ) -> None:
        self._url = url
        self._jobs = {job.id: job for job in jobs}
        self._timers = {timer.id: timer for timer in [*timers, Timer("forget-finished", "17 * * * *", self._forget)]}
        self._poison = poison
        self._queues: dict[str, Queue] = {}
        self._work: Callable[[str, str, bytes], None] | None = None

    def start(self) -> None:
        """Open the queue, take up what an earlier process left, start the timers."""
        from dbos import DBOS

        engine = sa.create_engine(self._url)
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _prepare_sqlite)
        DBOS(
            config={
                "name": "seawall",
                "system_database_url": self._url,
                "system_database_engine": engine,
                "application_version": "1",  # jobs outlive upgrades: their form is (job, key, body) for good
                "executor_id": "local",
                "log_level": "ERROR",
                "notification_listener_polling_interval_sec": 5.0,  # nothing here waits for notifications
                "scheduler_polling_interval_sec": 5.0,
            }
        )
        self._work, tick = self._declare(DBOS)
        DBOS.launch()
        for job in self._jobs.values():
            self._queues[job.id] = DBOS.register_queue(
                job.id, worker_concurrency=job.workers, polling_interval_sec=POLL_S, on_conflict="always_update"
            )
        for known in DBOS.list_schedules():
            DBOS.delete_schedule(known["schedule_name"])
        for timer in self._timers.values():
            DBOS.create_schedule(schedule_name=timer.id, workflow_fn=tick, schedule=timer.cron, context=timer.id)

    def _declare(self, dbos: type[DBOS]) -> tuple[Callable[[str, str, bytes], None], Callable[[datetime, Any], None]]:
        """Tell DBOS the functions it may run, before `launch`."""

        @dbos.step(
            name="run",
            retries_allowed=True,
            max_attempts=ATTEMPTS,
            interval_seconds=1.0,
            backoff_rate=2.0,
            should_retry=lambda error: not isinstance(error, InputError | ConfigError | Unauthenticated),
        )
        def run(job: str, key: str, body: bytes) -> None:
            self._jobs[job].run(key, body)

        @dbos.workflow(name="job", max_recovery_attempts=ATTEMPTS)
        def work(job: str, key: str, body: bytes) -> None:
            try:
                run(job, key, body)
            except Exception as error:  # noqa: BLE001 - whatever it was, the input must not be lost
                tries = getattr(error, "errors", None)  # DBOS raises the list of what every try raised
                cause = tries[-1] if tries else error
                log.warning("job given up", extra={"job": job, "key": key, "error": type(cause).__name__})
                self._poison(job, key, body, f"{type(cause).__name__}: {cause}")

        @dbos.workflow(name="tick")
        def tick(_due: datetime, timer: Any) -> None:
            try:
                self._timers[timer].run()
            except Exception as error:  # noqa: BLE001 - the timer comes again
                log.warning("timer failed", extra={"timer": timer, "error": f"{type(error).__name__}: {error}"})

        return work, tick

    def put(self, event: CloudEvent) -> None:
        """Accept an event; when this returns it is on disk. The same (type, id) again is one job."""
        from dbos import SetWorkflowID

        if self._work is None:
            raise ConfigError("the queue is not started")
        with SetWorkflowID(f"{event.type}:{event.id}"):
            self._queues[event.type].enqueue(self._work, event.type, event.id, stamped(event).to_bytes())

    def depth(self) -> dict[str, int]:
        """How many jobs of each kind wait or run."""
        from dbos import DBOS

        waiting = DBOS.list_workflows(status=list(UNFINISHED), name="job", load_input=False, load_output=False)
        counts = dict.fromkeys(self._jobs, 0)
        for workflow in waiting:
            counts[workflow.workflow_id.partition(":")[0]] += 1
        return counts

    def _forget(self) -> None:
        from dbos import DBOS

        before = (datetime.now(UTC) - KEEP_FINISHED).isoformat()
        while finished := DBOS.list_workflows(
            status=list(FINISHED), completed_before=before, limit=500, load_input=False, load_output=False
        ):
            DBOS.delete_workflows([workflow.workflow_id for workflow in finished])

    def stop(self, timeout_s: int = 10) -> None:
        """Finish what runs within `timeout_s`; the rest is taken up at the next start."""
        from dbos import DBOS

        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=timeout_s)
        self._work = None


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # What DBOS sets on an engine of its own, and WAL, so that doors do not wait for workers.
    connection.isolation_level = "IMMEDIATE"
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    if sqlite3.sqlite_version_info < (3, 42):
        # DBOS's column defaults say unixepoch('subsec'), which is NULL before SQLite 3.42 (Debian 12 has 3.40).
        connection.create_function("unixepoch", -1, lambda *_: time.time(), deterministic=False)
