"""Events through the real Event Hubs client and a broker into the functions: once, also when the worker dies."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from seawall.bootstrap import bootstrap
from seawall.formats.cloudevents import AUDIT_RECEIVED, SENSOR_RECEIVED, body_id, carrying
from seawall.settings import Settings

from tests.functions.test_job_queues import BODIES, outcome
from tests.functions.test_scenarios import sensor_batch
from tests.support.event_hubs import Broker, Hub
from tests.support.hosts import FUNCTIONS, settings_of, write_config

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("azure")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)
    gc.collect()


def received(text: str, count: int) -> list[bytes]:
    """Read partition 0 from its start, as a worker without a checkpoint does."""
    got: list[EventData] = []
    done = threading.Event()

    def on_event(_context: object, event: EventData | None) -> None:
        if event is not None:
            got.append(event)
        if len(got) >= count:
            done.set()

    consumer = EventHubConsumerClient.from_connection_string(text, consumer_group="$Default")
    reader = threading.Thread(
        target=consumer.receive, args=(on_event,), kwargs={"partition_id": "0", "starting_position": "-1"}, daemon=True
    )
    reader.start()
    assert done.wait(30)
    consumer.close()
    reader.join(10)
    assert [event.sequence_number for event in got] == list(range(count))
    return [b"".join(event.body) for event in got]


@pytest.mark.real("azure-functions")
def test_audit_and_sensor_events_arrive_once(tmp_path: Path) -> None:
    from tests.support.functions_host import FunctionsProcess, event_hub  # needs Python 3.13

    base = tmp_path / "base"
    base.mkdir()
    batch = sensor_batch(base)
    sent = {"audit": [BODIES[0], b"garbage", *BODIES[1:], BODIES[0]], "sensor": [batch, b"garbage", batch]}
    alone = bootstrap(Settings(**settings_of(tmp_path / "alone", base)))
    for body in BODIES:
        alone.handle(carrying(AUDIT_RECEIVED, body_id(body), "/test", body))
    alone.handle(carrying(SENSOR_RECEIVED, body_id(batch), "/test", batch))
    settings = settings_of(tmp_path / "data", base)
    env = {"SEAWALL_CONFIG": str(write_config(tmp_path, settings))}
    hubs = [Hub(name, partitions=1) for name in sent]
    with Broker(*hubs) as broker:
        for name, bodies in sent.items():
            with EventHubProducerClient.from_connection_string(broker.connection_string(name)) as producer:
                for body in bodies:
                    producer.send_event(EventData(body), partition_id="0")
        for _ in range(2):  # the first worker dies before its checkpoint, the second reads from the start
            with FunctionsProcess(FUNCTIONS / "azure", env) as process:
                for name, bodies in sent.items():
                    trigger = event_hub(received(broker.connection_string(name), len(bodies)))
                    result = process.call(f"{name}_events", trigger, max_retry_count=-1)
                    assert result.ok, result.traceback
                process.kill()
    application = bootstrap(Settings(**settings))
    assert outcome(application) == outcome(alone)
    assert [record.body for record in application.store.poison.newest()] == [b"garbage", b"garbage"]
    assert len(application.store.sensors.sensors()) == len(alone.store.sensors.sensors()) == 1
    application.close()
    alone.close()
