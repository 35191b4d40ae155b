"""Peers that a workload should not have, and ways to hide who the peer is."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from functools import lru_cache

from seawall.detection.declaration import Logic, detection
from seawall.detection.indicators import indicators
from seawall.detection.processes import (
    DOWNLOADERS,
    INTERPRETERS,
    RUNTIMES,
    SHELLS,
    addresses,
    domain_entity,
    hosts,
    in_build,
    ip_entity,
    on_platform,
    program,
    told,
)
from seawall.detection.rules.runtime import EXECS, KERNEL, PEERS
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import Connect, Flow, ProcessExec, RawSocket
from seawall.domain.severity import Severity

TOOLS = (
    SHELLS
    | DOWNLOADERS
    | INTERPRETERS
    | frozenset({"kubectl", "nc", "ncat", "netcat", "socat", "openssl", "http", "telnet", "kubeletctl"})
)


@lru_cache(maxsize=8192)
def _is_public(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return parsed.is_global and not parsed.is_multicast


def by_hand(event: Connect) -> bool:
    """A shell, tool, one-line script or drifted program: what people and intruders use, applications do not."""
    name = program(event.process)
    if name in INTERPRETERS:
        return event.process.script_drift or any(flag in event.process.args[1:3] for flag in ("-c", "-e", "-r"))
    return name in TOOLS or event.process.drift or event.process.memfd


@detection(
    id="RT-1001",
    title="SOCKS proxy used",
    severity=Severity.MEDIUM,
    attack=("T1090", "T1095"),
    on=ProcessExec,
    response="Find the proxy's address and what went through it.",
    action="used a SOCKS proxy",
    catalogue=("K8S.NODE_SuspectConnection",),
    needs=(EXECS,),
    benign=("Development machines and agreed egress proxies (HTTP proxies do not count).",),
    investigate=("Who set the proxy?",),
)
def socks_proxy(event: ProcessExec) -> Match | None:
    """A command line or proxy variable names a SOCKS proxy: rare on servers."""
    if in_build(event):
        return None
    text = told(event.process)
    found = re.search(
        r"\bsocks(?:4a?|5h?)?://\S+|--socks(?:4a?|5)?(?:-hostname)?[= ]\S+|--proxy[= ]socks\S+", text, re.IGNORECASE
    )
    if found:
        return Match(f"{program(event.process)} uses {found.group()}", key=program(event.process))
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"):
        if event.environment.get(name, "").lower().startswith("socks") and program(event.process) in TOOLS:
            return Match(f"{name}={event.environment[name]} for {event.process}", key=name)
    return None


@detection(
    id="RT-1002",
    title="Port forwarding to an outside address",
    severity=Severity.MEDIUM,
    attack=("T1572", "T1090"),
    on=ProcessExec,
    response="Cut the tunnel and find what used it.",
    action="forwarded a port to the outside",
    programs=SHELLS
    | frozenset(
        {
            "ssh",
            "plink",
            "socat",
            "iptables",
            "iptables-legacy",
            "iptables-nft",
            "xtables-nft-multi",
            "xtables-legacy-multi",
            "rinetd",
            "autossh",
            "redir",
            "ncat",
        }
    ),
    catalogue=("K8S.NODE_SuspectPortForwarding",),
    needs=(EXECS,),
    benign=(
        "Tunnels of a person between machines of their own (private addresses are left out).",
        "NAT rules of CNI and kube-proxy (platform and runtimes left out).",
    ),
    investigate=("Who is at the far end?",),
)
def port_forwarding(event: ProcessExec) -> Match | None:
    """ssh -L/-R/-D, socat between sockets, or a DNAT rule leads to a public address or a name outside."""
    if (
        in_build(event)
        or on_platform(event)
        or any(program(item) in RUNTIMES for item in event.process.ancestors[:1] if event.container is None)
    ):
        return None
    text = told(event.process)
    found = re.search(
        r"\b(?:auto)?ssh\b.*\s-\w*[LRD]\w*\s*\S+|\bsocat\b.*(?:TCP|UDP|OPENSSL)\d?(?:-LISTEN|-L)?:.*(?:TCP|UDP|OPENSSL)\d?(?:-CONNECT)?:\S+|\bDNAT\b.*--to(?:-destination)?[= ]\S+"
        r"|\bncat\b.*--sh-exec.*ncat",
        text,
    )
    if found is None:
        return None
    public = [item for item in addresses(text) if _is_public(item)]
    names = [
        item
        for item in hosts(text)
        if "." in item and not item.endswith((".local", ".internal", ".svc", ".key", ".pem", ".so", ".sh", ".conf"))
    ]
    if not public and not names:
        return None
    peers = tuple(ip_entity(item) for item in public[:4]) + tuple(domain_entity(item) for item in names[:4])
    return Match(f"forwards: {text[:200]}", entities=peers, key=program(event.process))


@detection(
    id="RT-1008",
    title="Tor used",
    severity=Severity.MEDIUM,
    attack=("T1090.003",),
    on=ProcessExec,
    response="Find out who started it; cut the pod's egress.",
    action="used Tor",
    logic=Logic.LIST,
    catalogue=("X_TorTraffic",),
    needs=(EXECS,),
    benign=("Relays and research on purpose.",),
    investigate=("What goes through it?",),
)
def tor_program(event: ProcessExec) -> Match | None:
    """A Tor client or wrapper runs, or a command names an onion address or Tor's own proxy port."""
    name = program(event.process)
    text = told(event.process)
    if name in ("tor", "torsocks", "torify", "tor2web", "obfs4proxy", "snowflake-client", "arti", "onionshare"):
        return Match(f"{name} runs", key="tor")
    found = re.search(
        r"\b[a-z2-7]{16}(?:[a-z2-7]{40})?\.onion\b|(?:socks\w*://|--socks5\S*\s+)(?:127\.0\.0\.1|localhost):9[01]50\b",
        text,
    )
    if found and name in TOOLS:
        return Match(f"{name} reaches {found.group()}", key="onion")
    return None


@detection(
    id="RT-1009",
    title="Connection to the Tor network",
    severity=Severity.MEDIUM,
    attack=("T1090.003",),
    on=Connect,
    response="Find out which program connects; cut the pod's egress.",
    action="connected to the Tor network",
    logic=Logic.LIST,
    catalogue=("X_TorTraffic",),
    needs=(PEERS, "list of Tor relays"),
    benign=("Relays and research on purpose.",),
    investigate=("What goes through it?",),
)
def tor_connection(event: Connect) -> Match | None:
    """A process connects to a directory authority or listed relay, or to Tor's hosts by name."""
    if event.family == "unix":
        return None
    lists = indicators()
    if event.address in lists.addresses("tor_addresses") or (event.host and event.host in lists.domains("tor_domains")):
        return Match(
            f"{event.process} connects to {event.host or event.address}",
            entities=(ip_entity(event.address),),
            key="tor",
        )
    return None


@detection(
    id="RT-1010",
    title="Packet socket opened in a container",
    severity=Severity.HIGH,
    attack=("T1557.002",),
    on=RawSocket,
    response="Isolate the pod, drop NET_RAW, check neighbours' ARP tables and DNS answers.",
    action="opened a packet socket",
    catalogue=("X_ArpSpoof",),
    needs=(KERNEL,),
    benign=(
        "ping and DHCP clients (left out), captures by a person with tcpdump (lowered), platform network agents (left out).",
    ),
    investigate=("Which program sends?",),
)
def packet_socket(event: RawSocket) -> Match | None:
    """A workload opens an AF_PACKET socket: it can read and forge frames, ARP and DNS answers of its neighbours."""
    if event.container is None or event.family != "packet" or on_platform(event) or event.container.host_network:
        return None
    name = program(event.process)
    if name in ("ping", "arping", "dhclient", "udhcpc", "dhcpcd", "keepalived", "systemd-networkd", "nmap", "lldpd"):
        return Match(f"{event.process} opens a packet socket", Severity.LOW, (), key=name) if name == "arping" else None
    if name in ("tcpdump", "tshark", "dumpcap", "wireshark"):
        return Match(f"{event.process} captures packets", Severity.LOW, ("a capture tool",), key=name)
    arp = event.protocol in (0x0806, 0x0608)
    return Match(f"{event.process} opens a packet socket", reasons=("for ARP frames",) if arp else (), key=name)


@detection(
    id="RT-1011",
    title="Unusually much data went out",
    severity=Severity.MEDIUM,
    attack=("T1041", "T1567"),
    on=Flow,
    response="Find the destination's owner and what was sent.",
    action="sent out unusually much data",
    catalogue=("X_EgressVolume",),
    needs=("byte counts of connections",),
    confidence="low",
    benign=("Backups and replication: exempt the workload.",),
    investigate=("Is the destination new for this workload?",),
)
def egress_volume(event: Flow) -> Match | None:
    """One process sent over 500 MB to one public peer in one interval, over ten times what it received; for tools and
    drifted programs 50 MB is enough. A fixed bound; BL-0111 compares with the workload itself."""
    if event.inbound or event.container is None or not _is_public(event.address):
        return None
    tool = (
        program(event.process) in TOOLS | {"scp", "rsync", "rclone", "aws", "gsutil", "azcopy"} or event.process.drift
    )
    bound = 50_000_000 if tool else 500_000_000
    if event.sent_bytes < bound or event.sent_bytes < 10 * event.received_bytes:
        return None
    return Match(
        f"{event.process} sent {event.sent_bytes // 1_000_000} MB to {event.host or event.address}",
        entities=(ip_entity(event.address),),
        key=event.address,
    )


@detection(
    id="RT-1012",
    title="Tool connects to another pod",
    severity=Severity.LOW,
    attack=("T1021", "T1210"),
    on=Connect,
    response="Compare with what the workload is for; a NetworkPolicy says it once and for all.",
    action="connected to another pod with a tool",
    catalogue=("X_EastWestAnomaly",),
    needs=(PEERS,),
    confidence="low",
    benign=("Health checks and start-up scripts that wait for a database.",),
    investigate=("Is the peer another team's?",),
    window=timedelta(minutes=10),
    by="scope",
    threshold=5,
    distinct="address",
)
def east_west(event: Connect) -> Match | None:
    """A shell, tool, one-line script or drifted program of a container reaches five different private addresses within
    ten minutes: paths that its application never uses."""
    if event.container is None or event.family == "unix" or on_platform(event) or not by_hand(event):
        return None
    if (
        _is_public(event.address)
        or event.address.startswith(("127.", "169.254."))
        or event.address in ("::1", "")
        or event.port == 53
    ):
        return None
    return Match(
        f"{event.process} reaches {event.subject}", entities=(ip_entity(event.address),), key=program(event.process)
    )


@detection(
    id="RT-1013",
    title="DNS over HTTPS from a workload",
    severity=Severity.MEDIUM,
    attack=("T1071.004", "T1572"),
    on=Connect,
    response="Let pods resolve through the cluster's DNS only; block public resolvers on 443.",
    action="looked names up past the cluster's DNS",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_SuspiciousDNSOverHttps",),
    needs=(PEERS, "list of public resolvers"),
    benign=("Browsers in test pods (left out).", "A configured DoH forwarder: exempt its image."),
    investigate=("Which names did it resolve past the cluster's DNS?",),
)
def dns_over_https(event: Connect) -> Match | None:
    """A process that is no browser or DNS server connects to a public resolver on port 443."""
    if event.port != 443 or event.family == "unix":
        return None
    if program(event.process) in (
        "chrome",
        "chromium",
        "firefox",
        "headless_shell",
        "coredns",
        "dnsdist",
        "unbound",
        "cloudflared",
        "dnscrypt-proxy",
        "blocky",
        "adguardhome",
        "pihole-ftl",
        "stubby",
    ):
        return None
    lists = indicators()
    if event.address in lists.addresses("doh_addresses") or (event.host and event.host in lists.domains("doh_domains")):
        return Match(
            f"{event.process} connects to the public resolver {event.host or event.address}",
            entities=(ip_entity(event.address),),
            key=event.host or event.address,
        )
    return None


@detection(
    id="RT-1014",
    title="DNS over HTTPS on a command line",
    severity=Severity.MEDIUM,
    attack=("T1071.004", "T1572"),
    on=ProcessExec,
    response="Find out what was resolved past the cluster's DNS.",
    action="looked names up past the cluster's DNS",
    logic=Logic.LIST,
    programs=DOWNLOADERS | SHELLS | INTERPRETERS | frozenset({"doh", "dog", "q", "kdig", "dig"}),
    catalogue=("K8S.NODE_SuspiciousDNSOverHttps",),
    needs=(EXECS,),
    benign=("Diagnosis by a person.",),
    investigate=("Does the answer hold data (TXT)?",),
)
def dns_over_https_command(event: ProcessExec) -> Match | None:
    """A command asks a public resolver over HTTPS: its name with a query path, or curl's --doh-url."""
    text = told(event.process)
    if "--doh-url" in text or "+https" in text:
        return Match(f"{text[:160]}", key=program(event.process))
    if not re.search(r"dns-query|/resolve\?|application/dns", text):
        return None
    for host in (*hosts(text), *addresses(text)):
        if host in indicators().domains("doh_domains") or host in indicators().addresses("doh_addresses"):
            return Match(f"{program(event.process)} asks {host}: {text[:160]}", key=host)
    return None
