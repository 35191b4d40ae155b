"""What pods ask of DNS: listed and odd names, generated names, data carried in names and answers."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from datetime import timedelta
from functools import lru_cache

from seawall.detection.declaration import Logic, detection
from seawall.detection.indicators import indicators
from seawall.detection.processes import domain_entity, on_platform
from seawall.detection.rules.runtime import DNS
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import DnsAnswer, DnsMessage, DnsQuery
from seawall.domain.severity import Severity

_INTERNAL = (
    ".cluster.local",
    ".svc",
    ".internal",
    ".local",
    ".arpa",
    ".lan",
    ".home",
    ".corp",
    ".localdomain",
    ".test",
    ".example",
)
_CARRIERS = frozenset(
    {
        "amazonaws.com", "cloudfront.net", "akamai.net", "akamaiedge.net", "akamaized.net", "edgekey.net", "edgesuite.net", "azure.com", "windows.net",
        "azureedge.net", "trafficmanager.net", "azurewebsites.net", "googleapis.com", "googleusercontent.com", "gvt1.com", "gvt2.com", "cloudflare.net", "fastly.net",
        "fastlylb.net", "office.com", "microsoft.com", "msedge.net", "apple-dns.net", "aaplimg.com", "spamhaus.org", "spamcop.net", "sorbs.net", "barracudacentral.org",
        "surbl.org", "uribl.com", "mcafee.com", "sophosxl.net", "trendmicro.com", "avqs.net", "dnsbl.org", "senderbase.org", "cymru.com", "ubuntu.com", "debian.org", "docker.com",
        "github.com", "githubusercontent.com", "datadoghq.com", "newrelic.com", "mongodb.net", "snowflakecomputing.com", "azurecr.io", "azure-dns.com", "awsdns.net",
    }
)  # fmt: skip
"""Registered domains whose ordinary names are long, many and random-looking: CDNs, clouds, reputation services."""


def _outside(event: DnsMessage) -> bool:
    name = event.name
    return "." in name and not name.endswith(_INTERNAL) and event.registered not in _CARRIERS


def entropy(text: str) -> float:
    """Return Shannon's entropy of a text's characters in bits per character."""
    size = len(text)
    if not size:
        return 0.0
    return -sum(count / size * math.log2(count / size) for count in Counter(text).values())


_COMMON = frozenset(
    [
        "th",
        "he",
        "in",
        "er",
        "an",
        "re",
        "on",
        "at",
        "en",
        "nd",
        "ti",
        "es",
        "or",
        "te",
        "of",
        "ed",
        "is",
        "it",
        "al",
        "ar",
        "st",
        "to",
        "nt",
        "ng",
        "se",
        "ha",
        "as",
        "ou",
        "io",
        "le",
        "ve",
        "co",
        "me",
        "de",
        "hi",
        "ri",
        "ro",
        "ic",
        "ne",
        "ea",
        "ra",
        "ce",
        "li",
        "ch",
        "ll",
        "be",
        "ma",
        "si",
        "om",
        "ur",
        "ca",
        "el",
        "ta",
        "la",
        "ns",
        "di",
        "fo",
        "ho",
        "pe",
        "ec",
        "pr",
        "no",
        "ct",
        "us",
        "ac",
        "ot",
        "il",
        "tr",
        "ly",
        "nc",
        "et",
        "ut",
        "ss",
        "so",
        "rs",
        "un",
        "lo",
        "wa",
        "ge",
        "ie",
        "wh",
        "ee",
        "wi",
        "em",
        "ad",
        "ol",
        "rt",
        "po",
        "we",
        "na",
        "ul",
        "ni",
        "ts",
        "mo",
        "ow",
        "pa",
        "im",
        "mi",
        "ai",
        "sh",
        "ir",
        "su",
        "id",
        "os",
        "iv",
        "ia",
        "am",
        "fi",
        "ci",
        "vi",
        "pl",
        "ig",
        "tu",
        "ev",
        "ld",
        "ry",
        "mp",
        "fe",
        "bl",
        "ab",
        "gh",
        "ty",
        "op",
        "wo",
        "sa",
        "ay",
        "ex",
        "ke",
        "fr",
        "oo",
        "av",
        "ag",
        "if",
        "ap",
        "gr",
        "od",
        "bo",
        "sp",
        "rd",
        "do",
        "uc",
        "bu",
        "ei",
        "ov",
        "by",
        "rm",
        "ep",
        "tt",
        "oc",
        "fa",
        "ef",
        "cu",
        "rn",
        "sc",
        "gi",
        "da",
        "yo",
        "cr",
    ]
)
"""Pairs of letters that make up most English text (counts over public-domain books)."""


@lru_cache(maxsize=4096)
def randomness(label: str) -> float:
    """Return how much a label looks generated, 0 to 1: rare letter pairs, digits between letters, few vowels.

    Calibrated by the tests: dictionary names score below 0.5, names of known generators above 0.7.
    """
    letters = [char for char in label if char.isalnum()]
    if len(letters) < 8:
        return 0.0
    pairs = [label[index : index + 2] for index in range(len(label) - 1) if label[index : index + 2].isalpha()]
    rare = sum(pair not in _COMMON for pair in pairs) / max(1, len(pairs))
    vowels = sum(char in "aeiouy" for char in letters) / len(letters)
    switches = sum(a.isdigit() != b.isdigit() for a, b in itertools.pairwise(letters)) / len(letters)
    poor = max(0.0, 0.28 - vowels) / 0.28
    spread = min(1.0, entropy(label) / math.log2(min(len(letters), 36)))
    return min(1.0, 0.55 * rare + 0.2 * poor + 0.35 * min(1.0, switches * 2.5) + 0.2 * max(0.0, spread - 0.75) * 4)


def _encoded(label: str) -> bool:
    """A label that carries data: long, and hex, base32 or base64-like rather than words."""
    if len(label) < 24 or label.count("-") > 3:
        return False
    if re.fullmatch(r"[0-9a-f]{24,}", label) or re.fullmatch(r"[a-z2-7]{30,}=*", label):
        return entropy(label) > 3.0
    return entropy(label) > 3.7 and randomness(label.replace("-", "").replace("_", "")) > 0.5


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
    if not _outside(event):
        return None
    below = event.name[: -len(event.registered) - 1]
    longest = max(below.split("."), key=len, default="")
    carrier = event.type in ("TXT", "NULL", "KEY", "PRIVATE", "SRV", "MX", "CNAME", "WKS") or event.type.startswith(
        "TYPE65"
    )
    if _encoded(longest) or (carrier and len(below) > 40) or (len(below) > 100 and entropy(below) > 3.8):
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
    if event.rcode != 3 or not _outside(event):
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
    if len(label) < 12 or not _outside(event) or event.name.startswith("_"):
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
    if not _outside(event):
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
    if any(_encoded(part) for part in event.name.split(".")[:-2]):
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
    if not _outside(event) or event.rcode:
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
    if not _outside(event):
        return None
    below = event.name[: -len(event.registered) - 1]
    label = max(below.split("."), key=len, default="")
    if (
        len(label) >= 16
        and entropy(label) > 2.8
        and ((re.fullmatch(r"[0-9a-f]+|[a-z2-7]+", label) is not None and randomness(label) > 0.4) or _encoded(label))
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
    if not _outside(event) or event.rcode:
        return None
    below = event.name[: -len(event.registered) - 1]
    asked = any(_encoded(label) for label in below.split("."))
    answered = any(
        (kind in ("TXT", "NULL") and len(value) >= 16 and entropy(value) > 3.8 and " " not in value)
        or (kind == "CNAME" and any(_encoded(label) for label in value.split(".")[:-2]))
        for kind, value in event.answers
    )
    if asked and answered:
        return Match(
            f"encoded names and answers below {event.registered}",
            entities=(domain_entity(event.registered),),
            key=event.registered,
        )
    return None


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
