"""The four hosts of the same jobs: `seawall serve`, Azure Functions, AWS Lambda, Cloud Run functions.

Each takes the same inputs through the trigger that its cloud has for them and leaves its rows in a store of its own.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import shutil
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from seawall.formats.cloudevents import IMAGE_PUSHED, CloudEvent

from tests.support.fixtures import clean_environment
from tests.support.lambda_runtime import LambdaProcess, sqs
from tests.support.ports import free_port, listens, wait_until
from tests.support.pubsub import envelope_of
from tests.support.server import RunningServer

FUNCTIONS = Path(__file__).parents[2] / "functions"
NOT_RESULTS = {
    "updated_at", "scanned_at", "assessed_at", "created_at", "expires_at", "due_at", "received_at", "last_seen_at",
    "settled_at", "attempts", "units", "state", "valid_from", "valid_to", "last_seen", "taken_at", "seen_at",
}  # fmt: skip
"""Columns that say when and how often something was done, not what came out."""


@dataclass(frozen=True)
class Push:
    """An image was pushed to a registry without TLS."""

    host: str
    repository: str
    tag: str
    digest: str


@dataclass(frozen=True)
class Audit:
    """One message of an audit log, in the envelope of its cloud."""

    body: bytes


@dataclass(frozen=True)
class Sensor:
    """One signed batch."""

    body: bytes


Input = Push | Audit | Sensor


def settings_of(data: Path, base: Path, **more: Any) -> dict[str, Any]:
    """A copy of the prepared data folder, and settings that use it."""
    shutil.copytree(base, data)
    return {"data_dir": str(data), "attach_attestations": False, "ocsf_file": str(data / "ocsf.jsonl"), **more}


class Serve:
    """`seawall serve`: HTTP doors and the durable local queue. It is one process; two senders come at a time."""

    @contextlib.contextmanager
    def other(self) -> Iterator[Serve]:
        """Whoever sends the same at the same time."""
        yield self

    @contextlib.contextmanager
    def running(self, folder: Path, base: Path, settings: dict[str, Any]) -> Iterator[Serve]:
        with RunningServer(folder, settings_of(folder / "data", base, **settings)) as self.server:
            yield self

    def send(self, given: Input) -> None:
        if isinstance(given, Push):
            target = {"digest": given.digest, "repository": given.repository, "tag": given.tag}
            target["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
            event = {"id": "e1", "action": "push", "target": target, "request": {"host": given.host}}
            answer = self.server.post("/v1/events/registry/distribution", json.dumps({"events": [event]}).encode())
        else:
            answer = self.server.post(f"/v1/events/{'audit' if isinstance(given, Audit) else 'sensor'}", given.body)
        assert answer.status_code in (202, 400, 401), answer.text
        self.server.idle()


class Azure:
    """The real function_app.py under azure-functions-runtime."""

    @contextlib.contextmanager
    def running(self, folder: Path, base: Path, settings: dict[str, Any]) -> Iterator[Azure]:
        from tests.support.functions_host import FunctionsProcess

        self.config = write_config(folder, settings_of(folder / "data", base, **settings))
        with FunctionsProcess(FUNCTIONS / "azure", {"SEAWALL_CONFIG": str(self.config)}) as self.process:
            yield self

    @contextlib.contextmanager
    def other(self) -> Iterator[Azure]:
        """A second worker of the same deployment."""
        from tests.support.functions_host import FunctionsProcess

        worker = Azure()
        with FunctionsProcess(FUNCTIONS / "azure", {"SEAWALL_CONFIG": str(self.config)}) as worker.process:
            yield worker

    def send(self, given: Input) -> None:
        delivered(partial(self._once, given))

    def _once(self, given: Input, attempt: int) -> bool:
        from tests.support.functions_host import event_grid, event_hub

        if isinstance(given, Push):
            target = {"digest": given.digest, "repository": given.repository, "tag": given.tag}
            target["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
            event = {
                "id": "g1", "topic": "/t", "subject": "s", "eventType": "Microsoft.ContainerRegistry.ImagePushed",
                "eventTime": "2026-11-02T09:14:08Z", "dataVersion": "1.0",
                "data": {"id": "e1", "action": "push", "target": target, "request": {"host": given.host}},
            }  # fmt: skip
            result = self.process.call("image_pushed", event_grid(event))
        else:
            name = "audit_events" if isinstance(given, Audit) else "sensor_events"
            result = self.process.call(name, event_hub([given.body]), retry_count=attempt, max_retry_count=-1)
        return bool(result.ok)


class Aws:
    """handlers.py under awslambdaric, one process per function."""

    @contextlib.contextmanager
    def running(self, folder: Path, base: Path, settings: dict[str, Any]) -> Iterator[Aws]:
        self.config = write_config(folder, settings_of(folder / "data", base, **settings))
        with self.other() as worker:
            yield worker

    @contextlib.contextmanager
    def other(self) -> Iterator[Aws]:
        """A second instance of each function."""
        worker = Aws()
        worker.config = self.config
        env = clean_environment(SEAWALL_CONFIG=str(self.config))
        with contextlib.ExitStack() as stack:
            worker.functions = {
                name: stack.enter_context(LambdaProcess(FUNCTIONS / "aws", f"handlers.{name}", env=env))
                for name in ("run_job", "audit_stream", "sensor_stream")
            }
            yield worker

    def send(self, given: Input) -> None:
        delivered(partial(self._once, given))

    def _once(self, given: Input, _attempt: int) -> bool:
        if isinstance(given, Push):
            data = {
                "registry": given.host,
                "repository": given.repository,
                "digest": given.digest,
                "tag": given.tag,
            }
            event = CloudEvent(id="push", source="//test", type=IMAGE_PUSHED, data=data)
            outcome = self.functions["run_job"].invoke(sqs(event.to_bytes().decode()))
        else:
            name = "audit_stream" if isinstance(given, Audit) else "sensor_stream"
            outcome = self.functions[name].invoke(kinesis_raw(given.body))
        assert outcome.ok, outcome.body
        return bool(outcome.body == {"batchItemFailures": []})


class Google:
    """main.py under functions-framework, one process per function, fed by Pub/Sub push envelopes."""

    @contextlib.contextmanager
    def running(self, folder: Path, base: Path, settings: dict[str, Any]) -> Iterator[Google]:
        self.config = write_config(folder, settings_of(folder / "data", base, **settings))
        with self.other() as worker:
            yield worker

    @contextlib.contextmanager
    def other(self) -> Iterator[Google]:
        """A second instance of each function."""
        worker = Google()
        worker.config = self.config
        with contextlib.ExitStack() as stack:
            worker.ports = {
                name: stack.enter_context(framework(name, self.config))
                for name in ("image_pushed", "audit_logs", "sensor_events")
            }
            yield worker

    def send(self, given: Input) -> None:
        delivered(partial(self._once, given))

    def _once(self, given: Input, _attempt: int) -> bool:
        if isinstance(given, Push):
            digest = f"{given.host}/{given.repository}@{given.digest}"
            body = {"action": "INSERT", "digest": digest, "tag": f"{given.host}/{given.repository}:{given.tag}"}
            status = post(self.ports["image_pushed"], json.dumps(body).encode())
        else:
            status = post(self.ports["audit_logs" if isinstance(given, Audit) else "sensor_events"], given.body)
        return 200 <= status < 300


TRIES = 5


def delivered(once: Callable[[int], bool]) -> None:
    """Deliver until it is taken, as the trigger does with what failed; `once(attempt)` says whether it was."""
    assert any(once(attempt) for attempt in range(TRIES)), f"not taken in {TRIES} tries"


def write_config(folder: Path, settings: dict[str, Any]) -> Path:
    """Write a settings file (JSON is YAML)."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "seawall.yaml"
    path.write_text(json.dumps(settings))
    return path


def kinesis_raw(*bodies: bytes) -> dict[str, Any]:
    """A Kinesis batch: CloudWatch documents are gzip, sensor batches are as they are."""

    def packed(body: bytes) -> str:
        is_logs = b'"awslogs"' in body[:4096] or b'"messageType"' in body[:4096]
        return base64.b64encode(gzip.compress(body, mtime=0) if is_logs else body).decode()

    return {
        "Records": [
            {
                "eventID": f"shardId-000000000000:{number}",
                "eventSource": "aws:kinesis",
                "kinesis": {"partitionKey": "p", "sequenceNumber": str(number), "data": packed(body)},
            }
            for number, body in enumerate(bodies)
        ]
    }


@contextlib.contextmanager
def framework(target: str, config: Path, kind: str = "cloudevent", **env: str) -> Iterator[int]:
    """functions-framework with one entry point; yields its port."""
    port = free_port()
    arguments = ["--source", str(FUNCTIONS / "gcp/main.py"), "--target", target, "--signature-type", kind]
    log = config.parent / f"{target}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "functions_framework", *arguments, "--host", "127.0.0.1", "--port", str(port)],
            env=clean_environment(SEAWALL_CONFIG=str(config), **env),
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: listens(port), 180, f"functions-framework ({log})")
        yield port
    finally:
        process.terminate()
        process.wait(60)


def post(port: int, data: bytes, number: int = 1) -> int:
    """Push one Pub/Sub message; return the HTTP status."""
    body = json.dumps(envelope_of(data, str(number))).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def rows(data: Path) -> dict[str, list[Any]]:
    """Every result in the store, without the times of processing."""
    found: dict[str, list[Any]] = {}
    with closing(sqlite3.connect(data / "seawall.sqlite")) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in sorted(set(tables) - {"outbox_lease", "scan_state", "baseline_batch"}):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] not in NOT_RESULTS]
            if table == "poison":
                columns = ["body"]
            if table == "sensor":
                columns = [name for name in columns if name not in ("last_seen", "document")]
            records = connection.execute(f"SELECT {', '.join(columns)} FROM {table}")
            found[table] = sorted(([_timeless(value) for value in record] for record in records), key=repr)
        states = connection.execute("SELECT digest, state FROM scan_state")
        found["scan_state"] = sorted(map(list, states))
    return found


def _timeless(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith("{"):
        return value
    return _without(json.loads(value))


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without(item) for name, item in value.items() if name not in NOT_RESULTS}
    return [_without(item) for item in value] if isinstance(value, list) else value
