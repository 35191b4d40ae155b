"""Accepted events through the clouds' own queues: nothing lost, nothing doubled, whatever the queue does."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from seawall.app.application import Application
from seawall.bootstrap import bootstrap, function_app
from seawall.formats.cloudevents import AUDIT_RECEIVED, CloudEvent, body_id, carrying
from seawall.settings import Settings

from demo import story
from tests.support.hosts import kinesis_raw
from tests.support.job_services import AwsQueues, AzureQueues, GoogleTopics
from tests.support.lambda_runtime import LambdaProcess

T0 = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
POISON = b'{"not": "an event"}'


def large() -> bytes:
    """An attack among hours of ordinary work: more than a storage queue or SQS takes."""
    events = story.attack_on_aks(T0)
    for hour in range(1, 12):
        events += story.ordinary(T0 - timedelta(hours=hour))
    body = story.aks_envelope(sorted(events, key=lambda event: str(event["stageTimestamp"])))
    assert len(body) > 250_000
    return body


BODIES = [story.eks_envelope(T0 + timedelta(minutes=6)), large(), story.gke_envelope(T0 + timedelta(minutes=8))]


def outcome(application: Application) -> dict[str, Any]:
    """Alerts with their counts, and which of them make an incident."""
    alerts = application.store.alerts.newest(limit=1000)
    incidents = application.store.incidents.newest(limit=1000)
    return {
        "alerts": sorted((alert.id, alert.count) for alert in alerts),
        "incidents": sorted((incident.id, sorted(incident.alert_ids)) for incident in incidents),
    }


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What comes of the bodies without a queue."""
    application = bootstrap(Settings(data_dir=tmp_path_factory.mktemp("alone")))
    for body in BODIES:
        application.handle(carrying(AUDIT_RECEIVED, body_id(body), "/test", body))
    found = outcome(application)
    assert found["alerts"]
    assert found["incidents"]
    application.close()
    return found


@pytest.fixture(params=["azure", "aws", "google"])
def service(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    settings = {"data_dir": str(tmp_path / "data")}
    (tmp_path / "data").mkdir()
    made: Any
    if request.param == "azure":
        text = request.getfixturevalue("azurite").connection_string
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
        made = AzureQueues(tmp_path, settings, text)
    elif request.param == "aws":
        made = AwsQueues(tmp_path, settings, request.getfixturevalue("aws_environment"))
    else:
        made = GoogleTopics(tmp_path, settings, monkeypatch.setenv)
    with made.running() as running:
        yield running


@pytest.fixture
def application(service: Any) -> Iterator[Application]:
    """The door's side: accepts, and keeps in the queue."""
    made, _ = function_app(Settings(**service.settings))
    yield made
    made.close()


def twice_with_poison(service: Any, application: Application) -> None:
    google = isinstance(service, GoogleTopics)
    if google:
        service.pubsub.duplicate_next = 100
    application.doors.audit(BODIES[0])
    service.send("audit", POISON)
    for body in BODIES[1:]:
        application.doors.audit(body)
    service.drain(**({} if google else {"twice": True}))
    kept = {record.body if not google else pushed(record.body) for record in application.store.poison.newest()}
    assert kept == {POISON}
    assert service.dead == []


def pushed(envelope: bytes) -> bytes:
    return base64.b64decode(json.loads(envelope)["message"]["data"])


def backwards_with_a_crash(service: Any, application: Application) -> None:
    """The first delivery is handled, and its worker dies before it says so."""
    for body in reversed(BODIES):
        application.doors.audit(body)
    service.drain(**({} if isinstance(service, GoogleTopics) else {"backwards": True, "crash": True}))


def late(service: Any, application: Application) -> None:
    """A message whose blob is not there yet fails alone, comes again, and is given up to the dead letters, whole."""
    event = carrying(AUDIT_RECEIVED, body_id(BODIES[0]), "/test", BODIES[0])
    checked = CloudEvent(id=event.id, source="/test", type="io.seawall.job.checked", data={"blob": "jobs/late.json"})
    service.send("audit", checked.to_bytes())
    for body in BODIES[1:]:
        application.doors.audit(body)
    service.drain()
    assert [json.loads(body)["data"] for body in service.dead] == [{"blob": "jobs/late.json"}]
    assert application.store.poison.newest() == []
    if isinstance(service, AwsQueues):
        first = service.answers[0].body["batchItemFailures"]
        assert len(first) == 1, "of the batch only the one that failed comes again"
    service.put_blob("jobs/late.json", event.to_bytes())
    service.send("audit", service.dead[0].encode())
    service.drain()


@pytest.mark.real("azurite")
@pytest.mark.real("azure-functions")
@pytest.mark.real("lambda")
@pytest.mark.parametrize("scenario", [twice_with_poison, backwards_with_a_crash, late])
def test_what_is_stored_is_what_was_accepted(
    service: Any,
    application: Application,
    expected: dict[str, Any],
    scenario: Callable[[Any, Application], None],
) -> None:
    scenario(service, application)
    assert outcome(application) == expected


@pytest.mark.real("lambda")
def test_kinesis_goes_on_behind_the_record_that_failed(
    tmp_path: Path, aws_environment: dict[str, str], expected: dict[str, Any]
) -> None:
    """The stream's cursor stops at the first failure; what was before it is done, poison does not stop it."""
    service = AwsQueues(tmp_path, {"data_dir": str(tmp_path / "data")}, aws_environment)
    event = kinesis_raw(BODIES[0], b"garbage", BODIES[1], BODIES[2])
    with service.running(), LambdaProcess("functions/aws", "handlers.audit_stream", env=service._env) as function:
        queue = service._urls["correlate"]
        service._sqs.delete_queue(QueueUrl=queue)  # correlation cannot be queued
        assert function.invoke(event).body == {"batchItemFailures": [{"itemIdentifier": "0"}]}
        service._sqs.create_queue(QueueName="seawall-correlate.fifo", Attributes={"FifoQueue": "true"})
        assert function.invoke(event).body == {"batchItemFailures": []}
        service.drain()
        application = bootstrap(Settings(**service.settings))
        assert outcome(application) == expected
        assert [record.body for record in application.store.poison.newest()] != []
        application.close()
