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

_TOOLS = (
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


def _by_hand(event: Connect) -> bool:
    """A shell, tool, one-line script or drifted program: what people and intruders use, applications do not."""
    name = program(event.process)
    if name in INTERPRETERS:
        return event.process.script_drift or any(flag in event.process.args[1:3] for flag in ("-c", "-e", "-r"))
    return name in _TOOLS or event.process.drift or event.process.memfd


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
        if event.environment.get(name, "").lower().startswith("socks") and program(event.process) in _TOOLS:
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
    id="RT-1003",
    title="Tool in a container calls the Kubernetes API",
    severity=Severity.MEDIUM,
    attack=("T1552.007", "T1613"),
    on=ProcessExec,
    response="Look in the audit log for what this service account did from this pod.",
    action="called the Kubernetes API with a tool",
    catalogue=("K8S.NODE_KubernetesAPI",),
    needs=(EXECS,),
    benign=("kubectl sidecars, CI and operators in shell.", "Platform namespaces are left out."),
    investigate=("Which verbs and resources?", "Did the token's file get read (RT-0601)?"),
)
def kubernetes_api(event: ProcessExec) -> Match | None:
    """curl, wget, kubectl or another tool in a container calls the API server."""
    if event.container is None or on_platform(event) or in_build(event):
        return None
    process = event.process
    name = program(process)
    text = told(process)
    if name in ("kubectl", "oc", "k9s", "helm", "kubeletctl"):
        if process.args[1:2] in (("version",), ("config",), ("completion",), ("--help",)):
            return None
        raised = process.drift or process.entered
        return Match(
            f"{text[:160]}",
            None if raised else Severity.LOW,
            ("brought or entered from outside",) if raised else (),
            key=name,
        )
    if name not in _TOOLS:
        return None
    if re.search(
        r"kubernetes\.default(?:\.svc)?|KUBERNETES_(?:SERVICE_HOST|PORT)|(?:https?://[\w.:-]+)?/apis?/(?:v1|authorization\.k8s\.io|rbac\.authorization|apps|authentication\.k8s\.io)\b",
        text,
    ):
        return Match(f"{name} calls the API server: {text[:160]}", key=name)
    return None


@detection(
    id="RT-1004",
    title="Container connects to the Kubernetes Dashboard",
    severity=Severity.MEDIUM,
    attack=("T1613", "T1210"),
    on=Connect,
    response="Find out which workload asks and why; close the dashboard to pods by NetworkPolicy.",
    action="connected to the Kubernetes Dashboard",
    catalogue=("K8S.NODE_KubernetesDashboard",),
    needs=(PEERS, "names that pods resolved"),
    benign=("Ingress controllers that publish it (left out).",),
    investigate=("Has the dashboard's service account more than reading?",),
)
def dashboard(event: Connect) -> Match | None:
    """A workload pod connects to a service that it resolved as the dashboard's."""
    if event.container is None or on_platform(event) or event.container.namespace == "kubernetes-dashboard":
        return None
    if not re.match(r"(?:kubernetes-dashboard|k8s-dashboard|dashboard-metrics-scraper)(?:-\w+)?(?:\.|$)", event.host):
        return None
    if "ingress" in event.container.image or program(event.process) in (
        "nginx",
        "nginx-ingress-controller",
        "traefik",
        "envoy",
        "haproxy",
    ):
        return None
    return Match(f"{event.process} connects to {event.host}", entities=(domain_entity(event.host),), key=event.host)


@detection(
    id="RT-1005",
    title="Pod contacts the kubelet API",
    severity=Severity.HIGH,
    attack=("T1613", "T1609"),
    on=Connect,
    response="Close ports 10250 and 10255 to pods; look for commands that were run through the kubelet.",
    action="contacted a kubelet",
    catalogue=("X_KubeletApiAccess",),
    needs=(PEERS,),
    benign=("Metrics collectors (metrics-server, Prometheus and agents are left out by name).",),
    investigate=("Did exec, run or pods requests follow?",),
)
def kubelet_api(event: Connect) -> Match | None:
    """A workload connects to the kubelet's port of a node (10250, or the read-only 10255)."""
    if event.container is None or event.port not in (10250, 10255) or event.family == "unix" or on_platform(event):
        return None
    if event.address.startswith("127.") and not event.container.host_network:
        return None
    if program(event.process) in (
        "metrics-server",
        "prometheus",
        "vmagent",
        "telegraf",
        "otelcol",
        "otelcol-contrib",
        "agent",
        "datadog-agent",
        "grafana-agent",
        "alloy",
        "heapster",
        "kube-state-metrics",
        "opencost",
        "collector",
        "node_exporter",
        "fluent-bit",
        "keda",
        "konnectivity-agent",
        "proxy-agent",
    ):
        return None
    return Match(
        f"{event.process} connects to the kubelet at {event.subject}",
        entities=(ip_entity(event.address),),
        key=event.subject,
    )


@detection(
    id="RT-1006",
    title="Pod contacts etcd",
    severity=Severity.HIGH,
    attack=("T1552.007",),
    on=Connect,
    response="Close 2379 and 2380 to pods; rotate every secret if the connection was answered.",
    action="contacted etcd",
    catalogue=("X_EtcdAccess",),
    needs=(PEERS,),
    benign=(
        "Applications with an etcd of their own: exempt the workload (peers inside the pod and etcd members are left out).",
    ),
    investigate=("Is the address the cluster's etcd?",),
)
def etcd(event: Connect) -> Match | None:
    """A workload connects to etcd's client or peer port, and neither end is an application's own etcd by name."""
    if (
        event.container is None
        or event.port not in (2379, 2380)
        or event.address.startswith("127.")
        or event.address == "::1"
        or on_platform(event)
    ):
        return None
    if program(event.process) in (
        "etcd",
        "kube-apiserver",
        "apisix",
        "patroni",
        "vitess",
        "vtgate",
        "milvus",
        "calico-node",
        "felix",
        "m3db",
        "pd-server",
        "tikv-server",
        "tidb-server",
    ):
        return None
    if event.host and not re.search(r"kube-system|^etcd\d*\.|kube-etcd", event.host):
        return None  # resolved as a service of its own
    return Match(
        f"{event.process} connects to {event.subject}",
        None if _by_hand(event) else Severity.MEDIUM,
        (),
        (ip_entity(event.address),),
        event.subject,
    )


@detection(
    id="RT-1007",
    title="Connection to a command-and-control address",
    severity=Severity.HIGH,
    attack=("T1071",),
    on=Connect,
    response="Isolate the pod and keep its memory.",
    action="contacted a command-and-control address",
    logic=Logic.LIST,
    catalogue=("X_ThreatIntelIp",),
    needs=(PEERS, "threat lists of domains and addresses"),
    confidence="high",
    benign=("Stale list entries: see the entry's age.",),
    investigate=("How many bytes went which way?",),
)
def threat_address(event: Connect) -> Match | None:
    """A process connects to an address that is on a threat list, or that the pod resolved from a listed name."""
    if event.family == "unix":
        return None
    lists = indicators()
    if event.address in lists.addresses("threat_addresses"):
        return Match(
            f"{event.process} connects to {event.subject}", entities=(ip_entity(event.address),), key=event.address
        )
    listed = event.host and lists.domains("threat_domains").find(event.host)
    if listed:
        return Match(
            f"{event.process} connects to {event.host} ({event.subject})",
            entities=(domain_entity(event.host), ip_entity(event.address)),
            key=listed,
        )
    return None


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
    if found and name in _TOOLS:
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
        program(event.process) in _TOOLS | {"scp", "rsync", "rclone", "aws", "gsutil", "azcopy"} or event.process.drift
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
    if event.container is None or event.family == "unix" or on_platform(event) or not _by_hand(event):
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


@detection(
    id="RT-1015",
    title="Listed domain in a command line",
    severity=Severity.MEDIUM,
    attack=("T1071", "T1105"),
    on=ProcessExec,
    response="Isolate the pod; find what started the command.",
    action="named a listed domain",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_CmdSuspiciousDns†", "K8S.NODE_ThreatIntelCommandLineSuspectDomain"),
    needs=(EXECS, "threat lists of domains and addresses"),
    confidence="high",
    benign=("Block-list maintenance and searches (grep, dig are left out).",),
    investigate=("Did the pod connect there (RT-1007)?",),
)
def listed_domain(event: ProcessExec) -> Match | None:
    """An argument names a domain of a threat list."""
    if program(event.process) in ("grep", "egrep", "rg", "dig", "nslookup", "host", "whois", "sed", "awk", "vi", "vim"):
        return None
    threats = indicators().domains("threat_domains")
    for host in hosts(told(event.process)):
        if found := threats.find(host):
            return Match(f"{program(event.process)} names {host}", entities=(domain_entity(host),), key=found)
    return None


@detection(
    id="RT-1016",
    title="Listed address in a command line",
    severity=Severity.MEDIUM,
    attack=("T1071", "T1105"),
    on=ProcessExec,
    response="Isolate the pod; find what started the command.",
    action="named a listed address",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_CmdSuspiciousIp†",),
    needs=(EXECS, "threat lists of domains and addresses"),
    confidence="high",
    benign=("Firewall rules that block it (iptables, nft are left out).",),
    investigate=("Did the pod connect there (RT-1007)?",),
)
def listed_address(event: ProcessExec) -> Match | None:
    """An argument names an address of a threat list."""
    if program(event.process) in (
        "grep",
        "egrep",
        "rg",
        "iptables",
        "ip6tables",
        "nft",
        "ipset",
        "whois",
        "sed",
        "awk",
        "ufw",
    ):
        return None
    threats = indicators().addresses("threat_addresses")
    for address in addresses(told(event.process)):
        if address in threats:
            return Match(f"{program(event.process)} names {address}", entities=(ip_entity(address),), key=address)
    return None


@detection(
    id="RT-1017",
    title="Out-of-band test domain in a command line",
    severity=Severity.MEDIUM,
    attack=("T1190",),
    on=ProcessExec,
    response="Somebody probes for code execution and has it: find the request that led here.",
    action="named an out-of-band test domain",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_OastDomain†",),
    needs=(EXECS,),
    confidence="high",
    benign=("Agreed penetration tests.",),
    investigate=("Which server started the command?",),
)
def oast_command(event: ProcessExec) -> Match | None:
    """An argument names an interactsh, Burp Collaborator, dnslog or similar domain."""
    services = indicators().domains("oast_domains")
    for host in hosts(told(event.process)):
        if found := services.find(host):
            return Match(f"{program(event.process)} names {host}", entities=(domain_entity(host),), key=found)
    return None
