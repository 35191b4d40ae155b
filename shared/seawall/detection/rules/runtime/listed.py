"""Addresses and domains of threat lists, in connections and on command lines."""

from __future__ import annotations

from seawall.detection.declaration import Logic, detection
from seawall.detection.indicators import indicators
from seawall.detection.processes import (
    addresses,
    domain_entity,
    hosts,
    ip_entity,
    program,
    told,
)
from seawall.detection.rules.runtime import EXECS, PEERS
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import Connect, ProcessExec
from seawall.domain.severity import Severity


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
