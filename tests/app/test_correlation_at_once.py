"""Workers of one deployment correlate at the same time: the audit log's and the sensors', or several functions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from seawall.app.application import Application
from seawall.bootstrap import bootstrap
from seawall.detection.folding import fold
from seawall.settings import Settings

from tests.incidents.alerts import CI, alert


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    opened = bootstrap(Settings(data_dir=tmp_path / "data"))
    yield opened
    opened.close()


def test_no_alert_falls_out_of_its_incident(application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    store = application.store
    first, second = (alert(name, minute, actor=CI, namespace="prod") for name, minute in (("admin", 0), ("secrets", 4)))
    read_first, other_done = threading.Event(), threading.Event()
    holding = store.incidents.holding

    def slow(ids):
        found = holding(ids)
        if threading.current_thread() is slow_worker:
            read_first.set()
            other_done.wait(2)
        return found

    monkeypatch.setattr(store.incidents, "holding", slow)
    store.alerts.merge([first], fold)
    slow_worker = threading.Thread(target=lambda: application.incidents.correlate([first.id]))
    slow_worker.start()
    assert read_first.wait(10)
    store.alerts.merge([second], fold)

    def quick() -> None:
        application.incidents.correlate([second.id])
        other_done.set()

    quick_worker = threading.Thread(target=quick)
    quick_worker.start()
    slow_worker.join(20)
    quick_worker.join(20)
    (incident,) = store.incidents.newest()
    assert set(incident.alert_ids) == {first.id, second.id}
