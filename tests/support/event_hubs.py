"""Event Hubs over AMQP 1.0: a test double that the real `azure-eventhub` client talks to.

The broker runs in a thread on a random loopback port:

    with Broker(Hub("sensor", partitions=2)) as broker:
        producer = EventHubProducerClient.from_connection_string(broker.connection_string("sensor"))

What it does: SASL, tokens on `$cbs` (SAS and JWT; `broker.authorize` decides), `$management` (hub and partition
properties), sending to a hub or a partition (single, batch, partition key), receiving with offset, sequence and time
selectors, link credit, frames larger than the negotiated size, epochs (`owner_level`), TLS.
Faults: `broker.fail_next("com.microsoft:server-busy")` rejects the next send, `broker.drop_connections()` cuts all.
`tests.support.websockets` leads AMQP in WebSockets to it.
What it does not: transactions, retention, throughput units, geo-replication.

The client reads trailing fields of OPEN, BEGIN and ATTACH without a bounds check, and AMQP libraries leave trailing
nulls out: this one writes them. A connection string with `UseDevelopmentEmulator=true` means plain TCP, and only then
is its port honoured; with TLS the port is always 5671.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import ssl
import struct
import threading
import time
import urllib.parse
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tests.support.amqp import (
    ACCEPTED,
    ANNOTATIONS,
    APP_PROPERTIES,
    ATTACH,
    BATCH_FORMAT,
    BEGIN,
    CLOSE,
    DATA,
    DETACH,
    DISPOSITION,
    END,
    ERROR,
    FLOW,
    OPEN,
    PROPERTIES,
    REJECTED,
    SASL_MECHANISMS,
    SASL_OUTCOME,
    TRANSFER,
    VALUE,
    Array,
    Described,
    Message,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
    build_message,
    decode,
    encode,
    parse_message,
)


class Stored(NamedTuple):
    sequence: int
    offset: int
    enqueued_ms: int
    raw: bytes


class Hub:
    """An event hub in memory. `partitions[n]` is the list of what was sent to partition n."""

    def __init__(self, name: str, partitions: int = 2) -> None:
        self.name = name
        self.partitions: list[list[Stored]] = [[] for _ in range(partitions)]
        self.created_ms = int(time.time() * 1000)
        self._next = 0

    def append(self, partition: int | None, messages: list[Message], key: str | None = None) -> None:
        if partition is None and key is None:  # round robin
            partition, self._next = self._next % len(self.partitions), self._next + 1
        elif partition is None:  # the service hashes otherwise; equal keys stay together
            partition = zlib.crc32(str(key).encode()) % len(self.partitions)
        log = self.partitions[partition]
        for m in messages:
            offset = log[-1].offset + len(log[-1].raw) if log else 0
            now = int(time.time() * 1000)
            m[ANNOTATIONS] = {
                **(m.get(ANNOTATIONS) or {}),
                Symbol("x-opt-sequence-number"): len(log),
                Symbol("x-opt-offset"): str(offset),
                Symbol("x-opt-enqueued-time"): Timestamp(now),
            }
            if key is not None:
                m[ANNOTATIONS][Symbol("x-opt-partition-key")] = key
            log.append(Stored(len(log), offset, now, build_message(m)))

    def bodies(self) -> Iterator[bytes]:
        """Yield the bodies of all stored events, partition after partition."""
        for log in self.partitions:
            for stored in log:
                yield b"".join(parse_message(stored.raw)[DATA])

    def first(self, partition: int, selector: str) -> int:
        """Return the index of the first event that a receiver's selector admits.

        Selectors look like "amqp.annotation.x-opt-offset > '128'"; "-1" is the start, "@latest" the end.
        """
        log = self.partitions[partition]
        m = re.search(r"x-opt-(offset|sequence-number|enqueued-time)\w* (>=?) '?([^']*)'?", selector or "")
        if not m or m[3] == "-1":
            return 0
        if m[3] == "@latest":
            return len(log)
        field, limit = {"sequence-number": 0, "offset": 1}.get(m[1], 2), int(m[3])
        admits = (lambda e: e[field] >= limit) if m[2] == ">=" else (lambda e: e[field] > limit)
        return next((i for i, e in enumerate(log) if admits(e)), len(log))


class Link:
    """One direction of traffic. `sends` is our side: True when the client receives."""

    def __init__(self, channel: int, handle: int, address: str, sends: bool) -> None:
        self.channel, self.handle, self.address, self.sends = channel, handle, address, sends
        self.credit = self.delivered = 0
        self.buffer, self.first = b"", None  # a delivery that spans several frames


class Subscription:
    def __init__(self, connection: Connection, link: Link, hub: Hub, partition: int, index: int, epoch: int | None):
        self.connection, self.link, self.hub = connection, link, hub
        self.partition, self.index, self.epoch = partition, index, epoch


class Connection:
    def __init__(self, broker: Broker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.broker, self.reader, self.writer = broker, reader, writer
        self.links: dict[tuple[int, int], Link] = {}
        self.repliers: dict[str, Link] = {}  # "$cbs" and "$management": where answers go
        self.max_frame = 65536
        self.next_out: dict[int, int] = {}  # channel -> delivery id
        self.next_in: dict[int, int] = {}

    # frames
    def send_frame(self, channel: int, code: int, fields: list[Any], payload: bytes = b"", kind: int = 0) -> None:
        body = encode(Described(code, fields)) + payload
        self.writer.write(struct.pack(">IBBH", len(body) + 8, 2, kind, channel) + body)

    async def read_frame(self) -> tuple[int, int | None, list[Any], bytes]:
        size, words, _, channel = struct.unpack(">IBBH", await self.reader.readexactly(8))
        body = (await self.reader.readexactly(size - 8))[(words - 2) * 4 :]
        if not body:  # heartbeat
            return channel, None, [], b""
        performative, i = decode(body)
        return channel, int(performative.code), performative.value, body[i:]

    async def run(self) -> None:
        header = await self.reader.readexactly(8)
        if header[4] == 3:  # "AMQP" 3: SASL first
            self.writer.write(header)
            self.send_frame(
                0, SASL_MECHANISMS, [Array(map(Symbol, ("MSSBCBS", "ANONYMOUS", "PLAIN", "EXTERNAL")))], kind=1
            )
            await self.read_frame()
            self.send_frame(0, SASL_OUTCOME, [UByte(0), None], kind=1)
            header = await self.reader.readexactly(8)
        self.writer.write(header)
        while True:
            channel, code, fields, payload = await self.read_frame()

            def get(i: int, default: Any = None, f: list[Any] = fields) -> Any:
                return f[i] if i < len(f) and f[i] is not None else default

            if code is None:
                self.writer.write(b"\0\0\0\x08\x02\0\0\0")
                continue
            if code == OPEN:
                self.max_frame = min(get(2, 65536), 1 << 20)
                self.send_frame(
                    0,
                    OPEN,
                    [
                        "eventhubs-double",
                        None,
                        UInt(1 << 20),
                        UShort(255),
                        UInt(240_000),
                        None,
                        None,
                        None,
                        None,
                        {Symbol("product"): "eventhubs-double"},
                    ],
                )
            elif code == BEGIN:
                self.next_out[channel], self.next_in[channel] = 0, get(1, 0)
                self.send_frame(
                    channel, BEGIN, [UShort(channel), UInt(0), UInt(1 << 30), UInt(1 << 30), UInt(255), None, None, {}]
                )
            elif code == ATTACH:
                self.attach(channel, fields, get)
            elif code == FLOW and get(4) is not None:
                self.flow(self.links[channel, get(4)], get)
            elif code == TRANSFER:
                self.transfer(self.links[channel, get(0)], get, payload)
            elif code == DETACH:
                self.forget(self.links.pop((channel, get(0)), None))
                self.send_frame(channel, DETACH, [UInt(get(0)), True, None])
            elif code == END:
                for key in [k for k in self.links if k[0] == channel]:
                    self.forget(self.links.pop(key))
                self.send_frame(channel, END, [None])
            elif code == CLOSE:
                self.send_frame(0, CLOSE, [None])
                await self.writer.drain()
                return
            await self.writer.drain()

    # links
    def attach(self, channel: int, fields: list[Any], get: Callable[..., Any]) -> None:
        name, handle, client_receives, source, target = fields[0], get(1), fields[2], get(5), get(6)
        address = (source if client_receives else target).value[0] or ""
        if "://" in address:
            address = address.split("/", 3)[3]
        link = self.links[channel, handle] = Link(channel, handle, address, sends=client_receives)
        # All 14 fields, nulls too: the client indexes them.
        self.send_frame(
            channel,
            ATTACH,
            [
                name,
                UInt(handle),
                not client_receives,
                get(3, UByte(2)),
                get(4, UByte(0)),
                source,
                target,
                None,
                None,
                UInt(0),
                ULong(1 << 20),
                None,
                None,
                {},
            ],
        )
        control = address in ("$cbs", "$management")
        if not client_receives:
            if not control and address.split("/")[0] not in self.broker.hubs:
                return self.detach(link, "amqp:not-found", f"no event hub {address!r}")
            return self.grant(link, 1000)
        if control:
            self.repliers[address] = link
            return None
        m = re.fullmatch(r"([^/]+)/ConsumerGroups/([^/]+)/Partitions/(\d+)", address, re.IGNORECASE)
        hub = self.broker.hubs.get(m[1]) if m else None
        if not m or not hub or int(m[3]) >= len(hub.partitions):
            return self.detach(link, "amqp:not-found", f"no partition {address!r}")
        epoch = (get(13) or {}).get(Symbol("com.microsoft:epoch"))
        for other in [s for s in self.broker.subscriptions if s.link.address == address]:
            if epoch is None and other.epoch is not None:
                return self.detach(link, "amqp:link:stolen", "a receiver with an epoch is connected")
            if epoch is not None and other.epoch is not None and epoch < other.epoch:
                return self.detach(link, "amqp:link:stolen", "a receiver with a higher epoch is connected")
            if epoch is not None:
                other.connection.detach(other.link, "amqp:link:stolen", "a receiver with a higher epoch took over")
        filters = (source.value[7] if len(source.value) > 7 else None) or {}
        selector = next((f.value if isinstance(f, Described) else f for f in filters.values()), "")
        selector = selector.decode() if isinstance(selector, bytes) else str(selector)
        partition = int(m[3])
        self.broker.subscriptions.append(
            Subscription(self, link, hub, partition, hub.first(partition, selector), epoch)
        )
        return None

    def detach(self, link: Link, condition: str, text: str) -> None:
        error = Described(ERROR, [Symbol(condition), text, None])
        self.send_frame(link.channel, DETACH, [UInt(link.handle), True, error])
        self.forget(self.links.pop((link.channel, link.handle), None))

    def forget(self, link: Link | None) -> None:
        self.broker.subscriptions = [s for s in self.broker.subscriptions if s.link is not link]

    def grant(self, link: Link, credit: int) -> None:
        link.credit = credit
        self.send_frame(
            link.channel,
            FLOW,
            [
                UInt(self.next_in[link.channel]),
                UInt(1 << 30),
                UInt(self.next_out[link.channel]),
                UInt(1 << 30),
                UInt(link.handle),
                UInt(link.delivered),
                UInt(credit),
                None,
                False,
                False,
                None,
            ],
        )

    def flow(self, link: Link, get: Callable[..., Any]) -> None:
        if link.sends:
            link.credit = max(0, get(5, 0) + get(6, 0) - link.delivered)
            self.broker.pump()

    # messages
    def send_message(self, link: Link, raw: bytes) -> None:
        delivery = self.next_out[link.channel]
        self.next_out[link.channel] += 1
        link.delivered += 1
        link.credit -= 1
        step = self.max_frame - 512
        for i in range(0, max(len(raw), 1), step):
            self.send_frame(
                link.channel,
                TRANSFER,
                [
                    UInt(link.handle),
                    UInt(delivery),
                    struct.pack(">I", delivery),
                    UInt(0),
                    True,
                    i + step < len(raw),
                    None,
                    None,
                    False,
                    False,
                    False,
                ],
                raw[i : i + step],
            )

    def transfer(self, link: Link, get: Callable[..., Any], payload: bytes) -> None:
        self.next_in[link.channel] += 1
        if link.first is None:
            link.first = (get(1), get(3, 0), get(4, False))
        link.buffer += payload
        if get(5, False):  # more frames follow
            return
        raw, (delivery, message_format, settled) = link.buffer, link.first
        link.buffer, link.first = b"", None
        link.delivered += 1
        link.credit -= 1
        outcome = Described(ACCEPTED, [])
        if link.address in ("$cbs", "$management"):
            self.control(link, parse_message(raw))
        elif self.broker.faults:
            outcome = Described(REJECTED, [Described(ERROR, [Symbol(self.broker.faults.pop(0)), "injected", None])])
        else:
            message = parse_message(raw)
            key = (message.get(ANNOTATIONS) or {}).get("x-opt-partition-key")
            hub, *rest = link.address.split("/")  # hub or hub/Partitions/N
            batch = [parse_message(d) for d in message[DATA]] if message_format == BATCH_FORMAT else [message]
            self.broker.hubs[hub].append(int(rest[1]) if rest else None, batch, key)
            self.broker.pump()
        if not settled:
            self.send_frame(link.channel, DISPOSITION, [True, UInt(delivery), UInt(delivery), True, outcome, False])
        if link.credit < 500:
            self.grant(link, 1000)

    def control(self, link: Link, message: Message) -> None:
        """Answer a request on `$cbs` (put-token) or `$management` (READ)."""
        properties = {
            str(k): v.decode() if isinstance(v, bytes) else v for k, v in (message.get(APP_PROPERTIES) or {}).items()
        }
        name, kind = properties.get("name"), properties.get("type")

        def reply(value: Any, code: int, text: str) -> None:
            request_id = (message.get(PROPERTIES) or [None])[0]
            self.send_message(
                self.repliers[link.address],
                build_message(
                    {
                        PROPERTIES: [None, None, None, None, None, request_id],
                        APP_PROPERTIES: {"status-code": code, "status-description": text},
                        VALUE: value,
                    }
                ),
            )

        if link.address == "$cbs":
            token = message.get(VALUE)
            token = token.decode() if isinstance(token, bytes) else token
            self.broker.tokens.append((name, kind))
            if self.broker.authorize(name, kind, token):
                return reply(None, 202, "Accepted")
            return reply(None, 401, "InvalidSignature: The token has an invalid signature.")
        hub = self.broker.hubs.get(name)
        if not hub:
            return reply(None, 404, f"The messaging entity '{name}' could not be found")
        if kind == "com.microsoft:eventhub":
            ids = Array(str(i) for i in range(len(hub.partitions)))
            return reply(
                {
                    "name": hub.name,
                    "type": kind,
                    "created_at": Timestamp(hub.created_ms),
                    "partition_count": len(ids),
                    "partition_ids": ids,
                },
                200,
                "OK",
            )
        partition = str(properties.get("partition"))
        if not partition.isdigit() or int(partition) >= len(hub.partitions):
            return reply(None, 404, f"no partition {partition!r}")
        log = hub.partitions[int(partition)]
        return reply(
            {
                "name": hub.name,
                "type": kind,
                "partition": partition,
                "begin_sequence_number": 0,
                "last_enqueued_sequence_number": len(log) - 1,
                "last_enqueued_offset": str(log[-1].offset) if log else "-1",
                "last_enqueued_time_utc": Timestamp(log[-1].enqueued_ms if log else 0),
                "is_partition_empty": not log,
            },
            200,
            "OK",
        )


Authorize = Callable[[str, str, str], bool]  # (audience, kind of token, token)


def accept_any(audience: str, kind: str, token: str) -> bool:
    return True


def sas_keys(keys: dict[str, str]) -> Authorize:
    """Return a check that accepts SAS tokens signed with one of `keys` (name -> key) and not expired; any JWT passes."""

    def check(audience: str, kind: str, token: str) -> bool:
        if not kind.endswith("sastoken"):
            return True
        fields = dict(urllib.parse.parse_qsl(token.removeprefix("SharedAccessSignature ")))
        key = keys.get(fields.get("skn", ""))
        if key is None or int(fields["se"]) < time.time():
            return False
        # The signed text is the URL-encoded resource, as it stands in the token, and the expiry.
        resource = re.search(r"sr=([^&]*)", token)[1]
        digest = hmac.new(key.encode(), f"{resource}\n{fields['se']}".encode(), hashlib.sha256).digest()
        return hmac.compare_digest(base64.b64encode(digest).decode(), fields["sig"])

    return check


class Broker:
    """The server. Use it as a context manager; everything that touches its state runs on its own thread."""

    def __init__(
        self,
        *hubs: Hub,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        authorize: Authorize = accept_any,
    ) -> None:
        self.hubs = {hub.name: hub for hub in hubs}
        self.host, self.port, self.tls, self.authorize = host, port, tls, authorize
        self.subscriptions: list[Subscription] = []
        self.connections: set[Connection] = set()
        self.faults: list[str] = []
        self.tokens: list[tuple[str, str]] = []  # every (audience, kind) that a client presented
        self.errors: list[BaseException] = []  # what ended a connection: a client's or our own mistake

    def connection_string(self, hub: str, key_name: str = "Root", key: str = "c2VjcmV0") -> str:
        return (
            f"Endpoint=sb://{self.host}:{self.port};SharedAccessKeyName={key_name};SharedAccessKey={key};"
            f"UseDevelopmentEmulator=true;EntityPath={hub}"
        )

    def fail_next(self, *conditions: str) -> None:
        """Reject the next sends, one per AMQP condition."""
        self.faults.extend(conditions)

    def drop_connections(self) -> None:
        """Cut every connection without a goodbye."""
        self._loop.call_soon_threadsafe(lambda: [c.writer.transport.abort() for c in list(self.connections)])

    def pump(self) -> None:
        """Send what subscribers have credit for."""
        for s in list(self.subscriptions):
            log = s.hub.partitions[s.partition]
            while s.link.credit > 0 and s.index < len(log):
                s.connection.send_message(s.link, log[s.index].raw)
                s.index += 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self, reader, writer)
        self.connections.add(connection)
        try:
            await connection.run()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away
        except (LookupError, TypeError, ValueError, struct.error) as error:
            self.errors.append(error)
        finally:
            self.subscriptions = [s for s in self.subscriptions if s.connection is not connection]
            self.connections.discard(connection)
            writer.close()

    async def _main(self, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, self.host, self.port, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stop.wait()
        server.close()
        for connection in list(self.connections):
            connection.writer.transport.abort()
        await asyncio.sleep(0)

    def __enter__(self) -> Broker:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(ready)), daemon=True)
        self._thread.start()
        if not ready.wait(60):
            raise RuntimeError(f"broker did not start on {self.host}:{self.port}")
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)
