"""The Event Hubs double against the real clients of `azure-eventhub`."""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.aio import EventHubConsumerClient as AsyncConsumer
from azure.eventhub.exceptions import AuthenticationError, ConnectError
from azure.eventhub.extensions.checkpointstoreblobaio import BlobCheckpointStore
from azure.storage.blob import ContainerClient

from tests.support.amqp import DATA
from tests.support.certificates import write_certificate
from tests.support.event_hubs import Broker, Hub, sas_keys
from tests.support.fixtures import Azurite
from tests.support.ports import wait_until

# The client leaves sockets to the garbage collector when a link is stolen or a connection cut.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("azure")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # refused and stolen links are logged as errors
    yield
    logger.setLevel(level)
    gc.collect()


@pytest.fixture
def hub() -> Hub:
    return Hub("sensor", partitions=2)


@pytest.fixture
def broker(hub: Hub) -> Iterator[Broker]:
    with Broker(hub, authorize=sas_keys({"Root": "c2VjcmV0"})) as server:
        yield server
        assert server.errors == []


def producer_of(text: str, **options: Any) -> EventHubProducerClient:
    return EventHubProducerClient.from_connection_string(text, **options)


def test_batches_keys_partitions_and_large_events_arrive(broker: Broker, hub: Hub) -> None:
    with producer_of(broker.connection_string("sensor")) as producer:
        assert producer.get_eventhub_properties()["partition_ids"] == ["0", "1"]
        batch = producer.create_batch(partition_key="node-1")
        for number in range(10):
            batch.add(EventData(b'{"i":%d}' % number))
        producer.send_batch(batch)
        producer.send_event(EventData(b"Z" * 300_000), partition_id="1")
    assert sum(map(len, hub.partitions)) == 11
    assert {b"Z" * 300_000, b'{"i":9}'} <= set(hub.bodies())


def test_busy_and_dropped_connections_are_survived(broker: Broker, hub: Hub) -> None:
    with producer_of(broker.connection_string("sensor"), retry_total=3, retry_backoff_factor=0.1) as producer:
        broker.fail_next("com.microsoft:server-busy")
        producer.send_event(EventData("retried"))
        broker.drop_connections()
        producer.send_event(EventData("after the drop"))
    assert sorted(hub.bodies()) == [b"after the drop", b"retried"]
    assert broker.faults == []


@pytest.mark.parametrize(
    ("name", "key", "error"),
    [
        pytest.param("sensor", "d3Jvbmc=", AuthenticationError, id="wrong key"),
        pytest.param("nope", "c2VjcmV0", ConnectError, id="unknown hub"),
    ],
)
def test_refusals(broker: Broker, name: str, key: str, error: type[Exception]) -> None:
    with (
        pytest.raises(error),
        producer_of(broker.connection_string(name, key=key), retry_total=0) as producer,
    ):
        producer.get_eventhub_properties()


def test_a_higher_epoch_takes_the_partition(broker: Broker) -> None:
    stolen: list[str] = []
    clients = []
    for tag, level in (("old", 1), ("new", 2)):
        client = EventHubConsumerClient.from_connection_string(
            broker.connection_string("sensor"), "$Default", retry_total=0
        )
        clients.append(client)
        threading.Thread(
            target=client.receive,
            daemon=True,
            kwargs={
                "on_event": lambda context, event: None,
                "partition_id": "0",
                "owner_level": level,
                "max_wait_time": 0.2,
                "on_error": lambda context, error, tag=tag: stolen.append(f"{tag}: {error}"),
            },
        ).start()
        wait_until(lambda level=level: any(s.epoch == level for s in broker.subscriptions))
    wait_until(lambda: bool(stolen))
    for client in clients:
        client.close()
    assert stolen[0].startswith("old")
    assert "link:stolen" in stolen[0]


@pytest.mark.real("azurite")
def test_checkpoints_in_azurite_are_where_the_next_reader_starts(broker: Broker, hub: Hub, azurite: Azurite) -> None:
    name = f"checkpoints{time.time_ns()}"
    with ContainerClient.from_connection_string(azurite.connection_string, name) as container:
        container.create_container()
    for number in range(50):
        hub.append(None, [{DATA: [b"%d" % number]}])

    async def read(expected: int) -> int:
        seen, complete = 0, asyncio.Event()
        store = BlobCheckpointStore.from_connection_string(azurite.connection_string, name)
        client = AsyncConsumer.from_connection_string(
            broker.connection_string("sensor"), "$Default", checkpoint_store=store, load_balancing_interval=1
        )

        async def on_batch(context: Any, events: list[Any]) -> None:
            nonlocal seen
            if events:
                seen += len(events)
                await context.update_checkpoint(events[-1])
            if seen >= expected:
                complete.set()

        task = asyncio.create_task(
            client.receive_batch(on_event_batch=on_batch, starting_position="-1", max_wait_time=0.3)
        )
        try:
            await asyncio.wait_for(complete.wait(), 30)
            await asyncio.sleep(0.5)  # anything more would be a repeat
        finally:
            await client.close()
            await asyncio.wait([task])
            await store.close()
        return seen

    assert asyncio.run(read(50)) == 50
    hub.append(0, [{DATA: [b"new"]}])
    assert asyncio.run(read(1)) == 1


class TokenCredential:
    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        assert scopes == ("https://eventhubs.azure.net//.default",)
        return AccessToken("a-jwt", int(time.time()) + 3600)


def test_tls_with_a_token(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    write_certificate(certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    hub = Hub("sensor")
    with (
        Broker(hub, tls=context, port=5671) as broker,
        EventHubProducerClient("localhost", "sensor", TokenCredential(), connection_verify=str(certificate)) as client,
    ):
        client.send_event(EventData("over TLS"))
        assert broker.tokens[0][1] == "jwt"
    assert list(hub.bodies()) == [b"over TLS"]
