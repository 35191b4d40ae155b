"""What pods ask of DNS: listed and odd names, generated names, data carried in names and answers."""

from __future__ import annotations

import re
from datetime import timedelta

from seawall.detection.declaration import Logic, detection
from seawall.detection.domain_names import encoded, outside, randomness
from seawall.detection.indicators import indicators
from seawall.detection.processes import domain_entity
from seawall.detection.rules.runtime import DNS
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import DnsAnswer, DnsMessage, DnsQuery
from seawall.domain.severity import Severity


@detection(
    id="RT-1101",
    title="Listed malicious domain resolved",
    severity=Severity.MEDIUM,
    attack=("T1071.004", "T1568"),
    on=DnsMessage,
    response="Isolate the pod and find the process that asked.",
    action="looked up a malicious domain",
    logic=Logic.LIST,
    catalogue=("K8S_DNS_ThreatIntelDomain†", "AzureDNS_ThreatIntelSuspectDomain"),
    needs=(DNS, "threat lists of domains and addresses"),
    confidence="high",
    benign=("Mail filters and research.",),
    investigate=("Was it answered, and did a connection follow (RT-1007)?",),
)
def threat_domain(event: DnsMessage) -> Match | None:
    """A question's name, or a CNAME in the answer, is on a threat list."""
    threats = indicators().domains("threat_domains")
    names = [event.name]
    if isinstance(event, DnsAnswer):
        names += [value for kind, value in event.answers if kind == "CNAME"]
    for name in names:
        if found := threats.find(name):
            return Match(
                f"{event.process.name or 'a process'} resolves {name}", entities=(domain_entity(name),), key=found
            )
    return None


@detection(
    id="RT-1102",
    title="DNS test domain contacted",
    severity=Severity.INFORMATIONAL,
    attack=(),
    on=DnsQuery,
    response="Nothing: somebody tested that DNS alerts arrive.",
    action="looked up the test domain",
    logic=Logic.TEST,
    catalogue=("K8S_DNS_TestDomain†",),
    needs=(DNS,),
    confidence="high",
    benign=("Always.",),
    investigate=("Ask who is testing.",),
)
def test_domain(event: DnsMessage) -> Match | None:
    """A pod asks for one of the reserved harmless names."""
    found = indicators().domains("test_domains").find(event.name)
    return Match(f"the test domain {event.name} was resolved", key=found) if found else None


def _listed(event: DnsMessage, name: str, what: str) -> Match | None:
    found = indicators().domains(name).find(event.name)
    return (
        Match(
            f"{event.process.name or 'a process'} resolves {event.name}, {what}",
            entities=(domain_entity(event.name),),
            key=found,
        )
        if found
        else None
    )


@detection(
    id="RT-1105",
    title="Dark-web name resolved",
    severity=Severity.LOW,
    attack=("T1090.003",),
    on=DnsQuery,
    response="Find the process; ordinary resolvers cannot answer such names, so it leaks an intention.",
    action="looked up a dark-web name",
    logic=Logic.LIST,
    catalogue=("AzureDNS_DarkWeb",),
    needs=(DNS,),
    benign=("Crawlers that follow every link.",),
    investigate=("Does Tor run in the pod (RT-1008)?",),
)
def dark_web(event: DnsMessage) -> Match | None:
    """A pod asks for a .onion, .i2p, .loki or .exit name."""
    if event.name.endswith((".onion", ".i2p", ".loki", ".exit")):
        return Match(
            f"{event.process.name or 'a process'} resolves {event.name}",
            entities=(domain_entity(event.name),),
            key=event.registered,
        )
    return None


@detection(
    id="RT-1106",
    title="Dark-web gateway resolved",
    severity=Severity.LOW,
    attack=("T1090.003",),
    on=DnsQuery,
    response="Find the process and the service behind the gateway.",
    action="looked up a dark-web gateway",
    logic=Logic.LIST,
    catalogue=("AzureDNS_DarkWebProxy",),
    needs=(DNS,),
    benign=("Research.",),
    investigate=("Which onion name stands before the gateway's?",),
)
def dark_web_gateway(event: DnsMessage) -> Match | None:
    """A pod asks for a tor2web-type gateway."""
    return _listed(event, "dark_web_gateways", "a gateway to the dark web")


@detection(
    id="RT-1107",
    title="Sink-holed domain contacted",
    severity=Severity.MEDIUM,
    attack=("T1071.004",),
    on=DnsAnswer,
    response="The domain was taken over by defenders, the malware that asks for it is still here: find it.",
    action="contacted a sink-holed domain",
    logic=Logic.LIST,
    catalogue=("AzureDNS_SinkholedDomain",),
    needs=(DNS, "list of sinkhole addresses"),
    confidence="high",
    benign=("Research.",),
    investigate=("Which process asked?",),
)
def sinkhole(event: DnsAnswer) -> Match | None:
    """An answer leads to a known sinkhole, by address or by the name of its operator."""
    lists = indicators()
    for kind, value in event.answers:
        if (kind in ("A", "AAAA") and value in lists.addresses("sinkhole_addresses")) or (
            kind not in ("A", "AAAA", "TXT") and value in lists.domains("sinkhole_names")
        ):
            return Match(
                f"{event.name} leads to the sinkhole {value}", entities=(domain_entity(event.name),), key=event.name
            )
    return None


@detection(
    id="RT-1108",
    title="Possible phishing domain resolved",
    severity=Severity.INFORMATIONAL,
    attack=("T1566",),
    on=DnsQuery,
    response="Find what asked; on servers it is mostly mail filters and crawlers.",
    action="looked up a phishing domain",
    logic=Logic.LIST,
    catalogue=("AzureDNS_PhishingDomain",),
    needs=(DNS, "list of phishing domains"),
    confidence="low",
    benign=("Mail filters, link previews, crawlers.",),
    investigate=("Was something sent there?",),
)
def phishing(event: DnsMessage) -> Match | None:
    """A pod asks for a name on a phishing list."""
    return _listed(event, "phishing_domains", "a listed phishing domain")


@detection(
    id="RT-1109",
    title="Algorithmically generated domains",
    severity=Severity.INFORMATIONAL,
    attack=("T1568.002",),
    on=DnsAnswer,
    response="Find the process that asks; look for the one name that was answered.",
    action="looked up generated domains",
    logic=Logic.CORRELATION,
    catalogue=("AzureDNS_DomainGenerationAlgorithm",),
    needs=(DNS,),
    benign=(
        "Browsers that probe for captive networks with random names (single labels, left out).",
        "Mistyped search domains.",
    ),
    investigate=("Which name got an address at last?",),
    window=timedelta(minutes=10),
    by="scope",
    threshold=10,
    distinct="registered",
)
def generated_domains(event: DnsAnswer) -> Match | None:
    """Ten different registered domains that look generated and do not exist, from one pod in ten minutes."""
    if event.rcode != 3 or not outside(event):
        return None
    label = event.registered.partition(".")[0]
    if randomness(label) < 0.6:
        return None
    return Match(f"generated names do not exist: {event.registered}", entities=(), key="dga")


@detection(
    id="RT-1110",
    title="Random-looking domain resolved",
    severity=Severity.INFORMATIONAL,
    attack=("T1568.002",),
    on=DnsQuery,
    response="Look the domain up: age, registrar, who else asks.",
    action="looked up a random-looking domain",
    catalogue=("AzureDNS_RandomizedDomain",),
    needs=(DNS,),
    confidence="low",
    benign=("Tracking and CDN domains with random names.",),
    investigate=("Did a connection follow?",),
)
def random_domain(event: DnsMessage) -> Match | None:
    """A registered domain of at least twelve characters that looks generated."""
    label = event.registered.partition(".")[0]
    if len(label) < 12 or not outside(event) or event.name.startswith("_"):
        return None
    score = randomness(label)
    if score < 0.75:
        return None
    return Match(
        f"{event.registered} looks generated",
        entities=(domain_entity(event.registered),),
        key=event.registered,
        features={"score": f"{score:.2f}"},
    )


@detection(
    id="RT-1111",
    title="Suspicious domain resolved",
    severity=Severity.LOW,
    attack=("T1071.004",),
    on=DnsQuery,
    response="Look the domain up and find the process that asked.",
    action="looked up a suspicious domain",
    logic=Logic.LIST,
    catalogue=("AzureDNS_SuspiciousDomain",),
    needs=(DNS,),
    confidence="low",
    benign=("Home-lab names under dynamic DNS; honest sites under cheap top-level domains.",),
    investigate=("Which features count: see the alert.", "Did a download or connection follow?"),
)
def suspicious_domain(event: DnsMessage) -> Match | None:
    """A score over what a name says of itself: top-level domain with much abuse, dynamic DNS, generated look, imitation
    of a well-known name by punycode or hyphens, many hyphens or digits. Alerts at three points and explains them."""
    if not outside(event):
        return None
    lists = indicators()
    label = event.registered.partition(".")[0]
    points: dict[str, int] = {}
    if event.registered.rpartition(".")[2] in lists.words("suspicious_tlds"):
        points["top-level domain with much abuse"] = 1
    if lists.domains("dynamic_dns_domains").find(event.name):
        points["dynamic DNS"] = 2
    if lists.domains("paste_domains").find(event.name):
        points["paste or anonymous file host"] = 2
    if randomness(label) > 0.6:
        points["looks generated"] = 2
    if label.startswith("xn--"):
        points["punycode"] = 2
    if label.count("-") > 2 or sum(char.isdigit() for char in label) > 5:
        points["many hyphens or digits"] = 1
    if re.search(
        r"(?:microsoft|google|amazon|github|docker|kubernetes|paypal|office365|windows|azure)[-.]?(?:update|login|secure|support|verify|cdn|api)|(?:update|login|secure|support|verify)[-.]?(?:microsoft|google|amazon|github|docker|windows)",
        label,
    ):
        points["imitates a well-known name"] = 2
    if any(encoded(part) for part in event.name.split(".")[:-2]):
        points["encoded label"] = 1
    if sum(points.values()) < 3:
        return None
    return Match(
        f"{event.name}: {', '.join(points)}",
        reasons=tuple(points),
        entities=(domain_entity(event.registered),),
        key=event.registered,
        features={name: str(value) for name, value in points.items()},
    )


@detection(
    id="RT-1115",
    title="Out-of-band test domain resolved",
    severity=Severity.MEDIUM,
    attack=("T1190", "T1071.004"),
    on=DnsQuery,
    response="Somebody probes for a flaw and has it: find the request that made this pod ask.",
    action="looked up an out-of-band test domain",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_OastDomain†",),
    needs=(DNS,),
    confidence="high",
    benign=("Agreed penetration tests.",),
    investigate=("Which process asked: JNDI look-ups come from java, XXE from the parser's program.",),
)
def oast_domain(event: DnsMessage) -> Match | None:
    """A pod asks for an interactsh, Burp Collaborator, dnslog or similar name."""
    return _listed(event, "oast_domains", "an out-of-band test service")
