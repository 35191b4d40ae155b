"""The durable queue across `kill -9`."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.ports import wait_until

WORKER = Path(__file__).with_name("queue_worker.py")


@pytest.fixture
def worker(tmp_path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(*ids: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, str(WORKER), str(tmp_path / "queue.sqlite"), str(tmp_path / "log"), *ids]
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def lines(tmp_path: Path) -> list[str]:
    log = tmp_path / "log"
    return log.read_text().splitlines() if log.exists() else []


def recorded(tmp_path: Path, key: str) -> bool:
    """Whether the queue itself knows that the job is done: killed before that, it does the job again."""
    with closing(sqlite3.connect(tmp_path / "queue.sqlite")) as database:
        query = "select count(*) from workflow_status where workflow_uuid like ? and status = 'SUCCESS'"
        try:
            return bool(database.execute(query, (f"%:{key}",)).fetchone()[0])
        except sqlite3.OperationalError:  # no tables yet, or busy
            return False


def test_what_was_accepted_is_done_after_kill_9(worker, tmp_path) -> None:
    first = worker("slow-1", "quick-1")
    wait_until(lambda: "began slow-1" in lines(tmp_path) and recorded(tmp_path, "quick-1"), what="the first process")
    first.kill()
    first.wait()
    assert "done slow-1" not in lines(tmp_path)
    (tmp_path / "log.second").touch()
    worker()
    wait_until(lambda: "done slow-1" in lines(tmp_path), what="the second process")
    assert lines(tmp_path).count("done quick-1") == 1


def test_repeats_failures_poison_and_timers(worker, tmp_path) -> None:
    worker("same", "same", "flaky", "poison")
    wanted = ("done same", "done flaky", "poison poison: MalformedEvent: never good", "tick")
    wait_until(lambda: all(line in lines(tmp_path) for line in wanted), what="the jobs")
    assert lines(tmp_path).count("began same") == 1
    assert lines(tmp_path).count("began flaky") == 3
    assert lines(tmp_path).count("began poison") == 1
