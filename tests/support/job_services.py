"""The job queues of three clouds with their functions behind them, played by hand: one delivery at a time.

Each service is real or speaks to the real client: Azurite, the moto server, the Pub/Sub double. The functions run in their
clouds' own runtimes. What the services' triggers do (delete what succeeded, bring back what did not, give up after
`TRIES`) is done here as they do it.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support.fixtures import clean_environment
from tests.support.hosts import FUNCTIONS, framework, write_config
from tests.support.lambda_runtime import LambdaProcess, Outcome
from tests.support.ports import wait_until
from tests.support.pubsub import PubSub

TRIES = 5
QUEUES = {"audit": "audit_again", "correlate": "correlate"}
"""Queue behind the prefix: the Azure function that reads it."""


class AzureQueues:
    """Storage queues of Azurite."""

    def __init__(self, folder: Path, settings: dict[str, Any], connection_string: str) -> None:
        from azure.storage.blob import ContainerClient
        from azure.storage.queue import QueueClient

        self._text = connection_string
        self._queues = {name: QueueClient.from_connection_string(self._text, f"seawall-{name}") for name in QUEUES}
        for queue in self._queues.values():
            queue.create_queue()
        self.container = ContainerClient.from_connection_string(self._text, "seawall")
        self.container.create_container()
        section = {"service": "azure-storage", "endpoint": "https://unused.queue.core.windows.net"}
        self.settings = settings | {"job_queue": section, "blob_url": "abfs://seawall@unused.blob.core.windows.net/x"}
        self._config = write_config(folder, self.settings)
        self.dead: list[str] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[AzureQueues]:
        with contextlib.ExitStack() as self._stack:
            self._start()
            yield self
        for client in (*self._queues.values(), self.container):
            getattr(client, "delete_queue", None) and client.delete_queue()
            getattr(client, "delete_container", None) and client.delete_container()
            client.close()

    def _start(self) -> None:
        from tests.support.functions_host import FunctionsProcess

        env = {"SEAWALL_CONFIG": str(self._config), "AZURE_STORAGE_CONNECTION_STRING": self._text}
        self._process = self._stack.enter_context(FunctionsProcess(FUNCTIONS / "azure", env))

    def send(self, name: str, message: bytes) -> None:
        """Put something into a queue that we did not write."""
        self._queues[name].send_message(base64.b64encode(message).decode())

    def put_blob(self, place: str, content: bytes) -> None:
        self.container.upload_blob(f"x/{place}", content)

    def drain(self, *, twice: bool = False, backwards: bool = False, crash: bool = False) -> None:
        """Deliver until the queues are empty."""
        from tests.support.functions_host import queue as trigger

        while True:
            batch = [
                (name, message)
                for name, client in self._queues.items()
                for message in client.receive_messages(max_messages=32, visibility_timeout=300)
            ]
            if not batch:
                return
            for name, message in reversed(batch) if backwards else batch:
                body = base64.b64decode(message.content).decode()
                for _ in range(2 if twice else 1):
                    result = self._process.call(QUEUES[name], trigger(body, dequeue_count=message.dequeue_count))
                if crash:
                    crash = False
                    self._process.kill()
                    self._start()
                    self._queues[name].update_message(message, visibility_timeout=0)
                elif result.ok:
                    self._queues[name].delete_message(message)
                elif message.dequeue_count >= TRIES:  # the trigger moves it to the poison queue
                    self.dead.append(body)
                    self._queues[name].delete_message(message)
                else:
                    self._queues[name].update_message(message, visibility_timeout=0)


class AwsQueues:
    """SQS (standard, and FIFO for correlation) and S3 of the moto server."""

    def __init__(self, folder: Path, settings: dict[str, Any], environment: dict[str, str]) -> None:
        import boto3
        from seawall.adapters.aws import session

        session.client.cache_clear()
        self._sqs, self._s3 = boto3.client("sqs"), boto3.client("s3")
        dead = self._sqs.create_queue(QueueName="seawall-dead")["QueueUrl"]
        redrive = {"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:seawall-dead", "maxReceiveCount": TRIES}
        attributes = {"VisibilityTimeout": "300", "RedrivePolicy": json.dumps(redrive)}
        fifo = {"VisibilityTimeout": "300", "FifoQueue": "true"}
        self._urls = {
            "audit": self._sqs.create_queue(QueueName="seawall-audit", Attributes=attributes)["QueueUrl"],
            "correlate": self._sqs.create_queue(QueueName="seawall-correlate.fifo", Attributes=fifo)["QueueUrl"],
        }
        self._dead = dead
        self._s3.create_bucket(Bucket="seawall", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        section = {"service": "sqs", "endpoint": dead.rpartition("/")[0]}
        self.settings = settings | {"job_queue": section, "blob_url": "s3://seawall/x"}
        self._env = clean_environment(SEAWALL_CONFIG=str(write_config(folder, self.settings)), **environment)
        self.answers: list[Outcome] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[AwsQueues]:
        from seawall.adapters.aws import session

        with contextlib.ExitStack() as self._stack:
            self._functions: dict[str, LambdaProcess] = {}
            for name in self._urls:
                self._start(name)
            yield self
        for url in (*self._urls.values(), self._dead):
            self._sqs.delete_queue(QueueUrl=url)
        for item in self._s3.list_objects_v2(Bucket="seawall").get("Contents", []):
            self._s3.delete_object(Bucket="seawall", Key=item["Key"])
        self._s3.delete_bucket(Bucket="seawall")
        session.client.cache_clear()

    def _start(self, name: str) -> None:
        handler = {"audit": "handlers.run_job", "correlate": "handlers.correlate"}[name]
        self._functions[name] = self._stack.enter_context(LambdaProcess(FUNCTIONS / "aws", handler, env=self._env))

    def send(self, name: str, message: bytes) -> None:
        """Put something into a queue that we did not write."""
        order = {"MessageGroupId": "g", "MessageDeduplicationId": str(len(message))} if name == "correlate" else {}
        self._sqs.send_message(QueueUrl=self._urls[name], MessageBody=message.decode(), **order)

    def put_blob(self, place: str, content: bytes) -> None:
        self._s3.put_object(Bucket="seawall", Key=f"x/{place}", Body=content)

    @property
    def dead(self) -> list[str]:
        """Bodies in the dead-letter queue."""
        got = self._sqs.receive_message(QueueUrl=self._dead, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [message["Body"] for message in got.get("Messages", [])]

    def drain(self, *, twice: bool = False, backwards: bool = False, crash: bool = False) -> None:
        """Deliver in batches until the queues are empty."""
        idle = False
        while not idle:
            idle = True
            for name, url in self._urls.items():
                got = self._sqs.receive_message(
                    QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], WaitTimeSeconds=0
                ).get("Messages", [])
                if not got:
                    continue
                idle = False
                ordered = [*reversed(got)] if backwards and name == "audit" else got
                event = {"Records": [_record(message) for message in ordered]}
                for _ in range(2 if twice else 1):
                    outcome = self._functions[name].invoke(event)
                assert outcome.ok, outcome.body
                self.answers.append(outcome)
                again = {item["itemIdentifier"] for item in outcome.body["batchItemFailures"]}
                if crash:
                    crash, again = False, {message["MessageId"] for message in got}
                    self._functions[name].__exit__()
                    self._start(name)
                for message in got:
                    where = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
                    if message["MessageId"] in again:
                        self._sqs.change_message_visibility(**where, VisibilityTimeout=0)
                    else:
                        self._sqs.delete_message(**where)


def _record(message: dict[str, Any]) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "eventSource": "aws:sqs",
    }


class GoogleTopics:
    """Pub/Sub push subscriptions of `run_job`; correlation with ordering keys, audit with a dead-letter topic."""

    def __init__(self, folder: Path, settings: dict[str, Any], setenv: Callable[[str, str], None]) -> None:
        self._folder = folder
        section = {"service": "pubsub", "endpoint": "projects/p"}
        self._blobs = folder / "blobs"
        self.settings = settings | {"job_queue": section, "blob_url": str(self._blobs)}
        self._setenv = setenv

    @contextlib.contextmanager
    def running(self) -> Iterator[GoogleTopics]:
        from google.cloud import pubsub_v1

        config = write_config(self._folder, self.settings)
        with PubSub() as self.pubsub:
            self._setenv("PUBSUB_EMULATOR_HOST", self.pubsub.address)
            with framework("run_job", config, PUBSUB_EMULATOR_HOST=self.pubsub.address) as port:
                self.publisher = pubsub_v1.PublisherClient()
                for name in ("audit", "correlate", "dead"):
                    self.publisher.create_topic(name=f"projects/p/topics/seawall-{name}")
                subscriber = pubsub_v1.SubscriberClient()
                for name in ("audit", "correlate"):
                    request: dict[str, Any] = {
                        "name": f"projects/p/subscriptions/{name}",
                        "topic": f"projects/p/topics/seawall-{name}",
                        "push_config": {"push_endpoint": f"http://127.0.0.1:{port}/"},
                        "enable_message_ordering": name == "correlate",
                    }
                    if name == "audit":
                        topic = "projects/p/topics/seawall-dead"
                        request["dead_letter_policy"] = {"dead_letter_topic": topic, "max_delivery_attempts": TRIES}
                    subscriber.create_subscription(request=request)
                dead = "projects/p/subscriptions/dead"
                subscriber.create_subscription(name=dead, topic="projects/p/topics/seawall-dead")
                subscriber.close()
                yield self
                self.publisher.stop()

    def send(self, name: str, message: bytes) -> None:
        """Publish something that we did not write."""
        self.publisher.publish(f"projects/p/topics/seawall-{name}", message).result(10)

    def put_blob(self, place: str, content: bytes) -> None:
        path = self._blobs / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    @property
    def dead(self) -> list[str]:
        """Bodies in the dead-letter topic."""
        return [
            message.data.decode() for _, message in self.pubsub.subscriptions["projects/p/subscriptions/dead"].waiting
        ]

    def drain(self) -> None:
        """Wait until everything was delivered."""
        wait_until(self.pubsub.idle, 60, "the subscriptions")
