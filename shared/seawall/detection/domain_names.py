"""How names of domains look: random, encoded, inside or outside."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from functools import lru_cache

from seawall.domain.runtime_events import DnsMessage

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


def outside(event: DnsMessage) -> bool:
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


def encoded(label: str) -> bool:
    """A label that carries data: long, and hex, base32 or base64-like rather than words."""
    if len(label) < 24 or label.count("-") > 3:
        return False
    if re.fullmatch(r"[0-9a-f]{24,}", label) or re.fullmatch(r"[a-z2-7]{30,}=*", label):
        return entropy(label) > 3.0
    return entropy(label) > 3.7 and randomness(label.replace("-", "").replace("_", "")) > 0.5
