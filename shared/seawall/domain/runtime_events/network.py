"""Connections, listening sockets, datagrams, flows, DNS."""

from __future__ import annotations

from seawall.domain.runtime_events.base import RuntimeEvent


class PeerEvent(RuntimeEvent, frozen=True):
    """Traffic with a network peer."""

    address: str = ""
    """Numeric peer address (IPv4-mapped IPv6 written as IPv4); for unix sockets the path, `@name` when abstract; for
    listeners the local address (`0.0.0.0` or `::` = all)."""
    port: int = 0

    @property
    def subject(self) -> str:
        """`address:port`."""
        return f"{self.address}:{self.port}"


class Connect(PeerEvent, frozen=True, tag="connect"):
    """A stream socket connects, or a datagram socket sets its peer. Repeats in a window are folded into `count`."""

    family: str = "inet"
    """inet, inet6 or unix."""
    protocol: str = "tcp"
    """tcp, udp, sctp or unix."""
    source_address: str = ""
    source_port: int = 0
    result: int = 0
    """0 = connected, else the errno (positive); 115 (EINPROGRESS) while not known."""
    host: str = ""
    """Name that the pod resolved to this address shortly before, from its own DNS answers; empty = none seen."""


class Accept(PeerEvent, frozen=True, tag="accept"):
    """A connection came in on a listening socket."""

    family: str = "inet"
    local_address: str = ""
    local_port: int = 0


class Listen(PeerEvent, frozen=True, tag="listen"):
    """A socket starts to take connections."""

    family: str = "inet"
    protocol: str = "tcp"


class UdpSend(PeerEvent, frozen=True, tag="udp_send"):
    """Datagrams sent to one peer; repeats in a window are folded into `count`."""

    family: str = "inet"
    source_port: int = 0
    size_bytes: int = 0
    """Payload of all folded datagrams together."""


class Flow(PeerEvent, frozen=True, tag="flow"):
    """Bytes that went over connections of one process to one peer in an interval. Source: socket close and a timer."""

    protocol: str = "tcp"
    sent_bytes: int = 0
    received_bytes: int = 0
    duration_ns: int = 0
    inbound: bool = False
    """The far end opened the connection."""
    host: str = ""


_SECOND_LEVELS = frozenset({"co", "com", "net", "org", "gov", "edu", "ac", "or", "ne", "go", "gob", "gouv"})
"""Labels that countries put between a registered name and their own domain (co.uk, com.au)."""


class DnsMessage(RuntimeEvent, frozen=True):
    """A DNS question, or the answer to one."""

    name: str
    """Lower case, without the dot at the end, non-ASCII octets as `\\ddd`."""
    type: str = "A"
    """Mnemonic (A, AAAA, TXT, NULL, ...) or `TYPE<n>`."""
    server: str = ""
    port: int = 53
    transport: str = "udp"
    """udp or tcp."""
    opcode: int = 0
    size_bytes: int = 0
    """Length of the message."""
    malformed: str = ""
    """What breaks RFC 1035, empty = nothing."""

    @property
    def subject(self) -> str:
        """The name."""
        return self.name

    @property
    def registered(self) -> str:
        """The registered domain that `name` lies under, by the usual second-level labels of countries."""
        labels = self.name.rsplit(".", 3)
        deep = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVELS
        return ".".join(labels[-3:] if deep else labels[-2:])


class DnsQuery(DnsMessage, frozen=True, tag="dns_query"):
    """A DNS question left the container. Source: packets at the cgroup's egress."""


class DnsAnswer(DnsMessage, frozen=True, tag="dns_answer"):
    """A DNS answer reached the container. Source: packets at the cgroup's ingress."""

    rcode: int = 0
    """0 NOERROR, 2 SERVFAIL, 3 NXDOMAIN (RFC 1035, RFC 6895)."""
    answers: tuple[tuple[str, str], ...] = ()
    """(type, value) of the records; addresses numeric, names as in `name`, TXT as text; at most 32."""
    ttl_s: int = 0
    """Smallest of the records; 0 without records."""


class RawSocket(RuntimeEvent, frozen=True, tag="raw_socket"):
    """A packet or raw socket was made."""

    family: str
    """packet, inet or inet6."""
    protocol: int = 0
    """For packet: the Ethernet type (0x0003 all, 0x0806 ARP); else the IP protocol (1 ICMP)."""
    dgram: bool = False
    """SOCK_DGRAM (ping sockets) instead of SOCK_RAW."""
