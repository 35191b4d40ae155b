"""Connections, listening sockets, datagrams, flows, DNS."""

from __future__ import annotations

from typing import Any

from seawall.domain.runtime_events import (
    Accept,
    Connect,
    DnsAnswer,
    DnsQuery,
    Enforced,
    Flow,
    Listen,
    UdpSend,
)

from seawall_sensor import dns, records
from seawall_sensor.decode.enricher import ACTIONS, Enricher, Found, Handler, address
from seawall_sensor.records import HEAD, Head, Kind, Net

_PROTOCOLS = {6: "tcp", 17: "udp", 132: "sctp"}
_NAMES = 8192


def peer(enricher: Enricher, head: Head, data: bytes, found: Found) -> None:
    """Whatever has a peer: a `net_record`."""
    record = Net._make(records.NET.unpack_from(data, HEAD.size))
    entry, container = enricher.actor(head)
    base = enricher.base(head, entry, container)
    kind = head.kind
    if record.peer_family == 1:
        at = HEAD.size + records.NET.size
        path = enricher.path(data[at : at + record.path_bytes])
        found.append(Connect(**base, family="unix", protocol="unix", address=path))
        return
    peer = address(record.peer, record.peer_family)
    local = address(record.local, record.local_family)
    family = "inet6" if ":" in (peer or local) else "inet"
    protocol = _PROTOCOLS.get(record.protocol, str(record.protocol))
    scope = container.context.id if container is not None else ""
    host = enricher.names.get((scope, peer), "")
    if kind == Kind.CONNECT:
        found.append(
            Connect(
                **base, family=family, address=peer, port=record.peer_port, protocol=protocol, source_address=local,
                source_port=record.local_port, host=host,
            )
        )  # fmt: skip
    elif kind == Kind.ACCEPT:
        found.append(
            Accept(
                **base, family=family, address=peer, port=record.peer_port, local_address=local,
                local_port=record.local_port,
            )
        )  # fmt: skip
    elif kind == Kind.LISTEN:
        family = "inet6" if record.local_family == 10 else "inet"
        if protocol == "tcp" and container is not None and not head.result:
            entry.now_listens()
        found.append(Listen(**base, family=family, address=local, port=record.local_port, protocol=protocol))
    elif kind == Kind.UDP_SEND:
        found.append(UdpSend(**base, family=family, address=peer, port=record.peer_port))
    elif kind == Kind.FLOW:
        found.append(
            Flow(
                **base, address=peer, port=record.peer_port, protocol=protocol, sent_bytes=record.sent_bytes,
                received_bytes=record.received_bytes, duration_ns=record.duration_ns, host=host,
            )
        )  # fmt: skip
    else:
        found.append(
            Enforced(
                **base, policy=enricher.policy_name(head.cgroup), action=ACTIONS.get(head.result, "audit"),
                reason="network", address=peer, port=record.peer_port,
            )
        )  # fmt: skip


def packet(enricher: Enricher, head: Head, data: bytes, found: Found) -> None:
    """A DNS packet, question or answer; answers teach the names of addresses."""
    server, family, port, transport, size, answer, *_ = records.DNS.unpack_from(data, HEAD.size)
    at = HEAD.size + records.DNS.size
    tcp = transport == 6
    message = dns.parse(data[at : at + min(size, 1024)], whole_bytes=size, tcp=tcp)
    if tcp and size < 14:
        return  # a segment that is only part of a message
    entry, container = enricher.actor(head)
    common: dict[str, Any] = {
        **enricher.base(head, entry, container),
        "name": message.name,
        "type": message.type,
        "server": address(server, family),
        "port": port,
        "transport": "tcp" if tcp else "udp",
        "size_bytes": size,
        "malformed": message.malformed,
    }
    if not answer:
        found.append(DnsQuery(**common, opcode=message.opcode))
        return
    scope, names = container.context.id if container is not None else "", enricher.names
    for kind, value in message.answers:
        if kind in ("A", "AAAA"):
            names[scope, value] = message.name
            if len(names) > _NAMES:
                names.popitem(last=False)
    found.append(DnsAnswer(**common, rcode=message.rcode, answers=message.answers, ttl_s=message.ttl_s))


HANDLERS: dict[int, Handler] = {
    Kind.CONNECT: peer, Kind.ACCEPT: peer, Kind.LISTEN: peer, Kind.UDP_SEND: peer, Kind.FLOW: peer, Kind.BLOCKED: peer,
    Kind.DNS: packet,
}  # fmt: skip
