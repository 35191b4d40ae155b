"""What is taken of running containers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from seawall.adapters.sql.store import SqlStore
from seawall.app.record_running import record_changes, record_snapshot
from seawall.domain.errors import MalformedEvent

from tests.adapters.sql.test_running import T0, change, container, snapshot


def test_a_clock_that_is_far_ahead_is_refused(tmp_path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'seawall.sqlite'}")
    with pytest.raises(MalformedEvent, match="future"):
        record_snapshot(store.running, snapshot(6, container()), T0)
    with pytest.raises(MalformedEvent, match="future"):
        record_changes(store.running, [change(container()), change(container(minutes=6))], T0)
    assert store.running.all() == []
    assert record_snapshot(store.running, snapshot(4, container()), T0) == 1
    assert record_changes(store.running, [], T0) == 0
    assert record_changes(store.running, [change(container(minutes=5), running=False)], T0 + timedelta(minutes=5)) == 1
    store.close()
