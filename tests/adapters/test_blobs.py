"""One contract for blobs in a folder, Azurite, S3 and Google Cloud Storage, through the clouds' own clients."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from seawall.adapters.blobs import Blobs, open_blobs
from seawall.adapters.job_queues import StorageQueues
from seawall.adapters.publishers.ocsf_storage import OcsfStorage
from seawall.adapters.sql.outbox import SqlOutbox
from seawall.domain.errors import Denied, NotFound, Unavailable
from seawall.settings import JobQueueSettings, ObjectStorageSettings, Settings

from tests.support.publishing import TestClock, deliver, incident
from tests.support.storage import google_storage
from tests.support.tls import http_service


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """URL of a place that is there, and of one that is not, by cloud."""
    from azure.storage.blob import ContainerClient
    from seawall.adapters.aws import session

    kind = request.param
    if kind == "folder":
        (tmp_path / "file").write_text("no folder")
        yield {"there": str(tmp_path / "blobs"), "missing": str(tmp_path / "file")}
    elif kind == "azure":
        text = request.getfixturevalue("azurite").connection_string
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
        with ContainerClient.from_connection_string(text, "contract") as container:
            container.create_container()
            yield {
                "there": "abfs://contract@a.blob.core.windows.net/x",
                "missing": "abfs://none@a.blob.core.windows.net/x",
            }
            container.delete_container()
    elif kind == "aws":
        request.getfixturevalue("aws_environment")
        session.client.cache_clear()
        s3 = session.client("s3")
        s3.create_bucket(Bucket="contract", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield {"there": "s3://contract/x", "missing": "s3://none/x"}
        for item in s3.list_objects_v2(Bucket="contract").get("Contents", []):
            s3.delete_object(Bucket="contract", Key=item["Key"])
        s3.delete_bucket(Bucket="contract")
        session.client.cache_clear()
    else:
        with google_storage() as double:
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", double.url)
            monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
            yield {"there": "gs://seawall/x", "missing": "gs://none/x"}


every_place = pytest.mark.parametrize("places", ["folder", "azure", "aws", "google"], indirect=True)


@pytest.mark.real("azurite")
@every_place
def test_what_was_put_is_there_under_its_name(places: dict[str, str]) -> None:
    blobs = open_blobs(places["there"], Settings())
    assert blobs.version("jobs/a.json") == ""
    with pytest.raises(NotFound, match=r"jobs/a\.json|NoSuchKey"):
        blobs.get("jobs/a.json")
    blobs.put("jobs/a.json", b"one")
    first = blobs.version("jobs/a.json")
    assert (blobs.get("jobs/a.json"), bool(first)) == (b"one", True)
    blobs.put("jobs/a.json", b"another\x00\xff")
    assert blobs.get("jobs/a.json") == b"another\x00\xff"
    assert blobs.version("jobs/a.json") != first


@pytest.mark.real("azurite")
@every_place
def test_where_there_is_no_place_the_event_waits(places: dict[str, str]) -> None:
    with pytest.raises(Unavailable, match="blob a"):
        open_blobs(places["missing"], Settings()).put("a", b"x")


def refused_by_azure(monkeypatch: pytest.MonkeyPatch, status: int) -> Iterator[Blobs]:
    headers = {"x-ms-error-code": "AuthorizationPermissionMismatch" if status == 403 else "ServerBusy"}
    with http_service(lambda _request: (status, headers, b"")) as service:
        place = f"http://127.0.0.1:{service.port}/a"
        text = (
            f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;BlobEndpoint={place};QueueEndpoint={place};"
        )
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
        yield open_blobs("abfs://c@a.blob.core.windows.net/x", Settings())


def refused_by_google(monkeypatch: pytest.MonkeyPatch, status: int) -> Iterator[Blobs]:
    with google_storage() as double:
        double.refuse = status
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", double.url)
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
        yield open_blobs("gs://seawall/x", Settings())


def refused_by_aws(monkeypatch: pytest.MonkeyPatch, status: int) -> Iterator[Blobs]:
    from seawall.adapters.aws import session

    body = f"<Error><Code>{'AccessDenied' if status == 403 else 'SlowDown'}</Code></Error>".encode()
    with http_service(lambda _request: (status, {"Content-Type": "application/xml"}, body)) as service:
        values = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{service.port}", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "eu-west-1"}  # fmt: skip
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        session.client.cache_clear()
        yield open_blobs("s3://contract/x", Settings())
        session.client.cache_clear()


@pytest.mark.parametrize(
    ("cloud", "read", "write"),
    [
        pytest.param(
            refused_by_azure,
            r"Microsoft\.Storage/storageAccounts/blobServices/containers/blobs/read",
            r"Microsoft\.Storage/storageAccounts/blobServices/containers/blobs/write",
            id="azure",
        ),
        pytest.param(refused_by_google, r"storage\.objects\.get", r"storage\.objects\.create", id="google"),
        pytest.param(refused_by_aws, "s3:GetObject", "s3:PutObject", id="aws"),
    ],
)
def test_a_missing_permission_is_named(monkeypatch: pytest.MonkeyPatch, cloud: Any, read: str, write: str) -> None:
    for blobs in cloud(monkeypatch, 403):
        for call, permission in (
            (partial(blobs.get, "a"), read),
            (partial(blobs.version, "a"), read),
            (partial(blobs.put, "a", b""), write),
        ):
            with pytest.raises(Denied, match=permission):
                call()


def test_a_refused_queue_names_the_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    section = JobQueueSettings(service="azure-storage", endpoint="https://a.queue.core.windows.net")
    for _ in refused_by_azure(monkeypatch, 403):
        with pytest.raises(Denied, match="queueServices/queues/messages/add/action"):
            StorageQueues(section, Settings()).send("audit", b"{}", group="g", key="k")


@pytest.mark.real("azurite")
@every_place
def test_ocsf_lines_are_objects_and_a_repeat_is_the_same_object(
    places: dict[str, str], outbox: SqlOutbox, clock: TestClock
) -> None:
    blobs = Recording(open_blobs(places["there"], Settings()))
    publisher = OcsfStorage(ObjectStorageSettings(url=places["there"]), blobs, clock)
    report = deliver(publisher, outbox, clock, [incident(1), incident(2)])
    assert (report.done, report.poisoned) == (3, 0), "two incidents and the alert that both hold"
    (name,) = blobs.names
    assert name.startswith("2026/11/02/")
    lines = [json.loads(line) for line in blobs.get(name).splitlines()]
    assert {line["class_uid"] for line in lines} == {2004, 2005}
    assert deliver(publisher, outbox, clock, [incident(1), incident(2)]).done == 0, "said once"


class Recording:
    """Blobs that remember the names of what was written."""

    def __init__(self, inner: Blobs) -> None:
        self._inner, self.get, self.version = inner, inner.get, inner.version
        self.names: list[str] = []

    def put(self, name: str, content: bytes) -> None:
        self.names.append(name)
        self._inner.put(name, content)
