"""Data carried by DNS, and the protocol used in ways that resolvers do not."""

from __future__ import annotations

import re
from datetime import timedelta

from seawall.detection.declaration import Logic, detection
from seawall.detection.domain_names import encoded, entropy, outside, randomness
from seawall.detection.processes import domain_entity, on_platform
from seawall.detection.rules.runtime import DNS
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import DnsAnswer, DnsMessage, DnsQuery
from seawall.domain.severity import Severity


@detection(
    id="RT-1103",
    title="DNS tunnelling",
    severity=Severity.MEDIUM,
    attack=("T1071.004", "T1048.003", "T1572"),
    on=DnsQuery,
    response="Block the parent domain, isolate the pod, keep the questions: they are the data.",
    action="tunnelled data through DNS",
    logic=Logic.CORRELATION,
    catalogue=("K8S_DNS_Tunneling†",),
    needs=(DNS,),
    benign=("Reputation and CDN services with encoded names (known ones are left out): exempt the parent domain.",),
    investigate=("Decode a label: base32, hex, base64.",),
    window=timedelta(minutes=5),
    by="scope+registered",
    threshold=20,
    distinct="name",
)
def tunnelling(event: DnsMessage) -> Match | None:
    """Twenty different questions with long encoded labels, or TXT, NULL, KEY or private types with long names, below one
    registered domain from one pod in five minutes."""
    if not outside(event):
        return None
    below = event.name[: -len(event.registered) - 1]
    longest = max(below.split("."), key=len, default="")
    carrier = event.type in ("TXT", "NULL", "KEY", "PRIVATE", "SRV", "MX", "CNAME", "WKS") or event.type.startswith(
        "TYPE65"
    )
    if encoded(longest) or (carrier and len(below) > 40) or (len(below) > 100 and entropy(below) > 3.8):
        return Match(
            f"questions below {event.registered} carry data: {event.name[:100]}",
            entities=(domain_entity(event.registered),),
            key=event.registered,
        )
    return None


@detection(
    id="RT-1104",
    title="Abnormal use of the DNS protocol",
    severity=Severity.MEDIUM,
    attack=("T1071.004",),
    on=DnsMessage,
    response="Find the process; software that resolves names does not do this.",
    action="used DNS abnormally",
    catalogue=("AzureDNS_ProtocolAnomaly",),
    needs=(DNS,),
    benign=("Broken embedded resolvers; DNS testing tools.",),
    investigate=("Is the server the cluster's DNS?",),
)
def protocol_anomaly(event: DnsMessage) -> Match | None:
    """A message breaks RFC 1035, has an odd operation code, an over-long label, a type nobody asks for, or another port."""
    reasons = []
    if event.malformed:
        reasons.append(event.malformed)
    if event.opcode not in (0, 4, 5):
        reasons.append(f"operation code {event.opcode}")
    if any(len(label) > 63 for label in event.name.split(".")) or len(event.name) > 253:
        reasons.append("a label or name over the limit")
    if event.type in ("NULL", "WKS", "MD", "MF", "MB", "MG", "MR", "AXFR", "IXFR") and isinstance(event, DnsQuery):
        reasons.append(f"type {event.type}")
    if (
        event.port not in (53, 5353, 5355, 8053, 1053, 10053, 9153, 0)
        and event.name.count(".")
        and not event.server.startswith("127.")
    ):
        reasons.append(f"port {event.port}")
    if not reasons or on_platform(event):
        return None
    return Match(
        f"{event.process.name or 'a process'}: {'; '.join(reasons)} ({event.name[:80]})",
        reasons=tuple(reasons),
        key=reasons[0],
    )


@detection(
    id="RT-1112",
    title="Data pulled in through DNS",
    severity=Severity.LOW,
    attack=("T1071.004", "T1105"),
    on=DnsAnswer,
    response="Read the answers: they are commands or a program; block the parent domain.",
    action="pulled data in through DNS",
    logic=Logic.CORRELATION,
    catalogue=("AzureDNS_DataInfiltration",),
    needs=(DNS,),
    benign=("SPF, DKIM and verification records (few per domain).", "Service discovery by TXT."),
    investigate=("Which process asked, what does it do with the answers?",),
    window=timedelta(minutes=5),
    by="scope+registered",
    threshold=15,
    distinct="name",
)
def data_in(event: DnsAnswer) -> Match | None:
    """Fifteen different names below one domain with large TXT, NULL or CNAME answers in five minutes."""
    if not outside(event) or event.rcode:
        return None
    size = sum(
        len(value) for kind, value in event.answers if kind in ("TXT", "NULL", "CNAME", "MX") or kind.startswith("TYPE")
    )
    if size < 100 or event.name.startswith(("_dmarc", "_acme", "_spf")) or "_domainkey" in event.name:
        return None
    if any(value.startswith(("v=spf1", "v=DKIM1", "google-site", "MS=")) for _, value in event.answers):
        return None
    return Match(
        f"large answers below {event.registered}", entities=(domain_entity(event.registered),), key=event.registered
    )


@detection(
    id="RT-1113",
    title="Data pushed out through DNS",
    severity=Severity.LOW,
    attack=("T1048.003",),
    on=DnsQuery,
    response="Decode the labels to know what left; block the parent domain.",
    action="pushed data out through DNS",
    logic=Logic.CORRELATION,
    catalogue=("AzureDNS_DataExfiltration",),
    needs=(DNS,),
    benign=("Reputation services with encoded names (known ones are left out): exempt the parent domain.",),
    investigate=("Which files did the process read before?",),
    window=timedelta(hours=1),
    by="scope+registered",
    threshold=60,
    distinct="name",
)
def data_out(event: DnsMessage) -> Match | None:
    """Sixty different names with an encoded or long label below one domain within an hour: slower than RT-1103, and
    shorter labels count."""
    if not outside(event):
        return None
    below = event.name[: -len(event.registered) - 1]
    label = max(below.split("."), key=len, default="")
    if (
        len(label) >= 16
        and entropy(label) > 2.8
        and ((re.fullmatch(r"[0-9a-f]+|[a-z2-7]+", label) is not None and randomness(label) > 0.4) or encoded(label))
    ):
        return Match(
            f"many encoded names below {event.registered}",
            entities=(domain_entity(event.registered),),
            key=event.registered,
        )
    return None


@detection(
    id="RT-1114",
    title="Obfuscated transfer over DNS",
    severity=Severity.LOW,
    attack=("T1001", "T1071.004"),
    on=DnsAnswer,
    response="Block the parent domain and find the process.",
    action="hid a transfer in DNS",
    logic=Logic.CORRELATION,
    catalogue=("AzureDNS_DataObfuscation",),
    needs=(DNS,),
    benign=("Anti-virus look-ups (known ones are left out).",),
    investigate=("Is the rhythm regular? Beacons keep time.",),
    window=timedelta(minutes=15),
    by="scope+registered",
    threshold=10,
    distinct="name",
)
def obfuscated(event: DnsAnswer) -> Match | None:
    """Ten exchanges in fifteen minutes in which both the name and the answer are encoded: data goes both ways."""
    if not outside(event) or event.rcode:
        return None
    below = event.name[: -len(event.registered) - 1]
    asked = any(encoded(label) for label in below.split("."))
    answered = any(
        (kind in ("TXT", "NULL") and len(value) >= 16 and entropy(value) > 3.8 and " " not in value)
        or (kind == "CNAME" and any(encoded(label) for label in value.split(".")[:-2]))
        for kind, value in event.answers
    )
    if asked and answered:
        return Match(
            f"encoded names and answers below {event.registered}",
            entities=(domain_entity(event.registered),),
            key=event.registered,
        )
    return None
