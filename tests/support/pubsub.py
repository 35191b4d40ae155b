"""Google Cloud Pub/Sub: a test double on grpcio that the real `google-cloud-pubsub` clients talk to.

    with PubSub() as pubsub:
        os.environ["PUBSUB_EMULATOR_HOST"] = pubsub.address          # before a client is made
        publisher = pubsub_v1.PublisherClient()

What it does: topics, pull and push subscriptions; Publish, Pull, StreamingPull, Acknowledge, ModifyAckDeadline;
redelivery when an acknowledgement deadline passes or on nack (`delivery_attempt` counts); dead-letter topics; ordering
keys (of one key one message at a time, and what failed comes before what is behind it); push as the service sends it (the JSON envelope by POST, retried with backoff until 2xx), with an optional bearer token.
Faults: `pubsub.duplicate_next = 3` delivers the next three messages twice (delivery is at least once).
What it does not: filters, exactly-once, seek, snapshots, schemas, IAM, OIDC signatures.

A Cloud Run function is `functions-framework --target f --signature-type cloudevent --port N` with a push subscription
to http://127.0.0.1:N/: it turns the envelope into a CloudEvent. An exception in the function is a 500, so a redelivery.

Measured: 200 messages through StreamingPull in 0.1 to 0.3 s.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.request
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf import empty_pb2
from google.pubsub_v1.types import pubsub as messages


@dataclass
class Subscription:
    config: Any  # pubsub.Subscription
    waiting: deque[tuple[int, Any]] = field(default_factory=deque)  # (attempt, message)
    leased: dict[str, tuple[float, int, Any]] = field(default_factory=dict)  # ack id -> (deadline, attempt, message)
    acknowledged: int = 0
    pushing: bool = False
    failures: int = 0  # nacks, expired leases, pushes without 2xx

    @property
    def deadline_s(self) -> int:
        return self.config.ack_deadline_seconds or 10

    @property
    def max_attempts(self) -> int:
        policy = self.config.dead_letter_policy
        return (policy.max_delivery_attempts or 5) if policy.dead_letter_topic else 1 << 30


class PubSub:
    """The server: one lock, one condition for "something to deliver"."""

    def __init__(self, *, push_backoff_s: float = 0.05, push_token: Callable[[Any], str] | None = None) -> None:
        self.topics: dict[str, list[str]] = {}  # topic -> its subscriptions
        self.subscriptions: dict[str, Subscription] = {}
        self.published: list[tuple[str, Any]] = []  # everything, for assertions
        self.duplicate_next = 0
        self.push_backoff_s, self.push_token = push_backoff_s, push_token
        self._changed = threading.Condition(threading.RLock())
        self._running = True

    # delivery
    def _enqueue(self, topic: str, message: Any) -> None:
        for name in self.topics.get(topic, []):
            copies = 2 if self.duplicate_next > 0 else 1
            self.duplicate_next -= copies - 1
            self.subscriptions[name].waiting.extend([(1, message)] * copies)
        self._changed.notify_all()

    def _again(self, subscription: Subscription, attempt: int, message: Any) -> None:
        """Deliver once more, or to the dead-letter topic."""
        subscription.failures += 1
        if attempt >= subscription.max_attempts:
            self._enqueue(subscription.config.dead_letter_policy.dead_letter_topic, message)
        else:
            if message.ordering_key and subscription.config.enable_message_ordering:
                subscription.waiting.appendleft((attempt + 1, message))
            else:
                subscription.waiting.append((attempt + 1, message))
            self._changed.notify_all()

    @staticmethod
    def _next(subscription: Subscription) -> tuple[int, Any] | None:
        """Take the first message whose key is not under way."""
        busy = {message.ordering_key for _, _, message in subscription.leased.values()} - {""}
        busy = busy if subscription.config.enable_message_ordering else set()
        for index, (attempt, message) in enumerate(subscription.waiting):
            if message.ordering_key not in busy:
                del subscription.waiting[index]
                return attempt, message
        return None

    def _lease(self, subscription: Subscription, limit: int) -> list[Any]:
        out = []
        while len(out) < limit and (taken := self._next(subscription)):
            attempt, message = taken
            ack_id = str(uuid.uuid4())
            subscription.leased[ack_id] = (time.monotonic() + subscription.deadline_s, attempt, message)
            out.append(messages.ReceivedMessage(ack_id=ack_id, message=message, delivery_attempt=attempt))
        return out

    def _ack(self, subscription: Subscription, ack_ids: Any) -> None:
        for ack_id in ack_ids:
            subscription.acknowledged += subscription.leased.pop(ack_id, None) is not None
        self._changed.notify_all()

    def _extend(self, subscription: Subscription, ack_ids: Any, seconds: Any) -> None:
        """Move deadlines; 0 seconds is a nack."""
        for ack_id, s in zip(ack_ids, seconds, strict=False):
            if ack_id in subscription.leased:
                _, attempt, message = subscription.leased.pop(ack_id)
                if s:
                    subscription.leased[ack_id] = (time.monotonic() + s, attempt, message)
                else:
                    self._again(subscription, attempt, message)

    def _expire(self) -> None:
        while self._running:
            time.sleep(0.1)
            with self._changed:
                for s in self.subscriptions.values():
                    for ack_id, (deadline, attempt, message) in list(s.leased.items()):
                        if deadline < time.monotonic():
                            del s.leased[ack_id]
                            self._again(s, attempt, message)

    def _push(self, subscription: Subscription) -> None:
        """Deliver a push subscription, one message after the other."""
        endpoint = subscription.config.push_config.push_endpoint
        while self._running:
            with self._changed:
                self._changed.wait_for(lambda: subscription.waiting or not self._running, timeout=1)
                if not subscription.waiting:
                    continue
                attempt, message = subscription.waiting.popleft()
                subscription.pushing = True
            headers = {"Content-Type": "application/json"}
            if self.push_token:
                headers["Authorization"] = f"Bearer {self.push_token(subscription.config)}"
            body = json.dumps(envelope(subscription.config.name, message)).encode()
            try:
                with urllib.request.urlopen(urllib.request.Request(endpoint, body, headers), timeout=10):
                    subscription.acknowledged += 1
            except OSError:  # HTTPError is one: anything but 2xx, or no connection
                time.sleep(self.push_backoff_s * 2 ** min(attempt - 1, 6))
                with self._changed:
                    self._again(subscription, attempt, message)
            subscription.pushing = False

    def idle(self) -> bool:
        """Whether nothing waits and nothing is under way, in any subscription that is pushed."""
        with self._changed:
            pushed = [s for s in self.subscriptions.values() if s.config.push_config.push_endpoint]
            return not any(s.waiting or s.pushing for s in pushed)

    # Publisher
    def CreateTopic(self, request: Any, context: Any) -> Any:
        with self._changed:
            self.topics.setdefault(request.name, [])
        return request

    def GetTopic(self, request: Any, context: Any) -> Any:
        self._find(self.topics, request.topic, context)
        return messages.Topic(name=request.topic)

    def Publish(self, request: Any, context: Any) -> Any:
        with self._changed:
            self._find(self.topics, request.topic, context)
            for message in request.messages:
                message.message_id = str(len(self.published) + 1)
                message.publish_time = datetime.now(UTC)
                self.published.append((request.topic, message))
                self._enqueue(request.topic, message)
            return messages.PublishResponse(message_ids=[m.message_id for m in request.messages])

    # Subscriber
    def CreateSubscription(self, request: Any, context: Any) -> Any:
        with self._changed:
            self._find(self.topics, request.topic, context)
            if request.name in self.subscriptions:
                context.abort(grpc.StatusCode.ALREADY_EXISTS, f"Subscription already exists: {request.name}")
            subscription = self.subscriptions[request.name] = Subscription(request)
            self.topics[request.topic].append(request.name)
        if request.push_config.push_endpoint:
            threading.Thread(target=self._push, args=(subscription,), daemon=True).start()
        return request

    def GetSubscription(self, request: Any, context: Any) -> Any:
        return self._find(self.subscriptions, request.subscription, context).config

    def DeleteSubscription(self, request: Any, context: Any) -> Any:
        with self._changed:
            gone = self._find(self.subscriptions, request.subscription, context)
            del self.subscriptions[gone.config.name]
            self.topics[gone.config.topic].remove(gone.config.name)
        return empty_pb2.Empty()

    def Pull(self, request: Any, context: Any) -> Any:
        subscription = self._find(self.subscriptions, request.subscription, context)
        with self._changed:
            self._changed.wait_for(lambda: subscription.waiting, timeout=2)
            return messages.PullResponse(received_messages=self._lease(subscription, request.max_messages))

    def Acknowledge(self, request: Any, context: Any) -> Any:
        with self._changed:
            self._ack(self._find(self.subscriptions, request.subscription, context), request.ack_ids)
        return empty_pb2.Empty()

    def ModifyAckDeadline(self, request: Any, context: Any) -> Any:
        with self._changed:
            self._extend(
                self._find(self.subscriptions, request.subscription, context),
                request.ack_ids,
                [request.ack_deadline_seconds] * len(request.ack_ids),
            )
        return empty_pb2.Empty()

    def StreamingPull(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        subscription = self._find(self.subscriptions, next(requests).subscription, context)

        def read() -> None:  # acknowledgements come on the same stream
            try:
                for r in requests:
                    with self._changed:
                        self._ack(subscription, r.ack_ids)
                        self._extend(subscription, r.modify_deadline_ack_ids, r.modify_deadline_seconds)
            except grpc.RpcError:
                pass  # the client closed the stream

        threading.Thread(target=read, daemon=True).start()
        while context.is_active() and self._running:
            with self._changed:
                self._changed.wait_for(lambda: subscription.waiting, timeout=0.3)
                got = self._lease(subscription, 100)
            if got:
                yield messages.StreamingPullResponse(received_messages=got)

    @staticmethod
    def _find(where: dict[str, Any], name: str, context: Any) -> Any:
        if name not in where:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Resource not found: {name}")
        return where[name]

    # server
    def __enter__(self) -> PubSub:
        m = messages
        unary = grpc.unary_unary_rpc_method_handler
        publisher = {"CreateTopic": m.Topic, "GetTopic": m.GetTopicRequest, "Publish": m.PublishRequest}
        subscriber = {
            "CreateSubscription": m.Subscription,
            "GetSubscription": m.GetSubscriptionRequest,
            "DeleteSubscription": m.DeleteSubscriptionRequest,
            "Pull": m.PullRequest,
            "Acknowledge": m.AcknowledgeRequest,
            "ModifyAckDeadline": m.ModifyAckDeadlineRequest,
        }
        services = {
            service: {name: unary(getattr(self, name), kind.deserialize, _serialize) for name, kind in methods.items()}
            for service, methods in (("Publisher", publisher), ("Subscriber", subscriber))
        }
        services["Subscriber"]["StreamingPull"] = grpc.stream_stream_rpc_method_handler(
            self.StreamingPull, m.StreamingPullRequest.deserialize, _serialize
        )
        self._server = grpc.server(futures.ThreadPoolExecutor(32))
        self._server.add_generic_rpc_handlers(
            tuple(
                grpc.method_handlers_generic_handler(f"google.pubsub.v1.{name}", methods)
                for name, methods in services.items()
            )
        )
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()
        threading.Thread(target=self._expire, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._changed:
            self._running = False
            self._changed.notify_all()
        self._server.stop(0.2).wait(5)


def _serialize(message: Any) -> bytes:
    kind = type(message)
    return kind.serialize(message) if hasattr(kind, "serialize") else message.SerializeToString()


def envelope(subscription: str, message: Any) -> dict[str, Any]:
    """Return the body of a push request. The service sends ids and times in both spellings."""
    published = message.publish_time.isoformat().replace("+00:00", "Z")
    return {
        "subscription": subscription,
        "message": {
            "data": base64.b64encode(message.data).decode(),
            "attributes": dict(message.attributes),
            "messageId": message.message_id,
            "message_id": message.message_id,
            "publishTime": published,
            "publish_time": published,
        },
    }


def envelope_of(data: bytes, message_id: str = "1", **attributes: str) -> dict[str, Any]:
    """Return the body of a push request with `data`."""
    message = {"data": base64.b64encode(data).decode(), "attributes": attributes, "messageId": message_id}
    published = {"publishTime": datetime.now(UTC).isoformat().replace("+00:00", "Z")}
    return {"subscription": "projects/p/subscriptions/s", "message": message | published}
