"""Names that pods ask for."""

from __future__ import annotations

import hashlib

import pytest

from tests.detection.runtime_events import PLATFORM, Case, Cases, answered, asked, raised, rows


def label(number: int, length: int = 40) -> str:
    """An encoded label, a different one per number."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:length]


LONG = "A" * 30 + "".join(hashlib.sha256(bytes([n])).hexdigest() for n in range(3))

CASES: Cases = {
    "RT-1101": (
        [asked("x.bashgo.pw"), answered("cdn.example.org", ("CNAME", "borg.wtf"))],
        [asked("bashgo.example"), answered("cdn.example.org", ("CNAME", "edge.example.org"))],
    ),
    "RT-1102": (
        [asked("164e9408d12a701d91d206c6ab192994.info"), asked("threat-test.seawall.invalid")],
        [asked("test.seawall.example")],
    ),
    "RT-1103": (
        [[asked(f"{label(n)}.t.example.net", type="TXT", at=n) for n in range(25)]],
        [
            [asked(f"{label(n)}.t.example.net", at=n) for n in range(10)], [asked(f"pod-{n}.svc.cluster.local", at=n) for n in range(40)],
            [asked(f"www{n}.example.net", at=n) for n in range(40)],
        ],
    ),
    "RT-1104": (
        [asked("x.example.org", malformed="label over 63 octets"), asked("x.example.org", type="AXFR"), asked("x.example.org", opcode=7)],
        [asked("x.example.org"), asked("x.example.org", type="HTTPS"), asked("x.example.org", type="AXFR", where=PLATFORM)],
    ),
    "RT-1105": ([asked("abcdefgh.onion"), asked("x.i2p")], [asked("onion.example.org"), asked("x.onions")]),
    "RT-1106": ([asked("abc.onion.cab"), asked("abc.darknet.to")], [asked("onion.example"), asked("cab.example.org")]),
    "RT-1107": ([answered("x.example.org", ("A", "192.0.2.67"))], [answered("x.example.org", ("A", "192.0.2.68")), answered("x.example.org")]),
    "RT-1108": ([asked("phishing-test.seawall.invalid")], [asked("phishing.example.org")]),
    "RT-1109": (
        [[answered(f"{name}.com", rcode=3, at=n) for n, name in enumerate(
            ["xkqzjvwpt", "qzwxjkvbn", "zxqwvkjhp", "vbkqzxwjt", "jqxzkvwpl", "wqzkxjvtr", "kzxqvwjbp", "pqzxwkvjh", "tzqxkwvjb", "hqxzvkwjp", "rzqkxwvjt", "bxqzwkvjp"])]],
        [
            [answered(f"{name}.com", rcode=3, at=n) for n, name in enumerate(["exampl", "gogle", "githb", "amazn", "debin", "ubntu", "fedra", "pythn", "rubygem", "dockr"])],
            [answered(f"xkqzjvwpt{n}.com", at=n) for n in range(12)],
        ],
    ),
    "RT-1110": ([asked("xkqzjvwptrbnhq.com"), asked("qzwxjkvbnhtrp.net")], [asked("stackoverflow.com"), asked("xkqz.com")]),
    "RT-1111": (
        [asked("secure-microsoft-login.bond")],
        [asked("login.microsoftonline.com"), asked("shop.example.org"), asked("db.shop.svc.cluster.local")],
    ),
    "RT-1112": (
        [[answered(f"{label(n, 12)}.t.example.net", ("TXT", LONG), at=n) for n in range(18)]],
        [
            [answered(f"a{n}.example.net", ("TXT", "v=spf1 include:_spf.example.net ~all" + "x" * 100), at=n) for n in range(18)],
            [answered(f"a{n}.example.net", ("A", "198.51.100.1"), at=n) for n in range(18)],
        ],
    ),
    "RT-1113": (
        [[asked(f"{label(n, 48)}.t.example.net", at=n * 50) for n in range(65)]],
        [[asked(f"host{n}.example.net", at=n * 50) for n in range(65)], [asked(f"{label(n, 48)}.t.example.net", at=n * 50) for n in range(30)]],
    ),
    "RT-1114": (
        [[answered(f"{label(n, 48)}.t.example.net", ("TXT", LONG), at=n * 5) for n in range(12)]],
        [[answered(f"host{n}.example.net", ("TXT", "v=DKIM1; k=rsa; p=abc"), at=n * 5) for n in range(12)]],
    ),
    "RT-1115": ([asked("abc.burpcollaborator.net"), asked("x.bxss.me")], [asked("burp.example.org")]),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "case", "fires"), rows(CASES))
def test_dns(rule: str, case: Case, fires: bool) -> None:
    assert raised(rule, case) is fires
