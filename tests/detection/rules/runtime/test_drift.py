"""Drift, files from memory, malware verdicts."""

from __future__ import annotations

import pytest
from seawall.domain.runtime_events import Enforced, FileVerdict, ScriptRun

from tests.detection.runtime_events import BUILD, HOST, Case, Cases, event, raised, ran, rows

CASES: Cases = {
    "RT-0101": (
        [ran("/tmp/payload", drift=True, origin="upper"), ran("/data/x", drift=True, origin="bind")],
        [
            ran("/usr/bin/app"),
            ran("/tmp/payload", drift=True, origin="upper", where=BUILD),
            ran("/usr/lib/x", drift=True, origin="upper", by=["dpkg --configure -a"]),
        ],
    ),
    "RT-0102": (
        [event(Enforced, policy="p", action="block", reason="drift", path="/tmp/x")],
        [
            event(Enforced, policy="p", action="audit", reason="drift", path="/tmp/x"),
            event(Enforced, policy="p", action="block", reason="network", address="192.0.2.1"),
        ],
    ),
    "RT-0103": (
        [
            ran("x", exe="memfd:x", memfd=True),
            ran("/usr/bin/x", deleted=True),
            ran("x", exe="memfd:x", memfd=True, where=HOST),
        ],
        [
            ran("runc init", exe="memfd:runc_cloned:/proc/self/exe", memfd=True, where=HOST),
            ran("runc init", exe="memfd:runc_cloned:/proc/self/exe", memfd=True),
            ran("/usr/bin/x"),
        ],
    ),
    "RT-0104": (
        [ran("/tmp/x"), ran("/dev/shm/x"), ran("sh /tmp/s.sh", script="/tmp/s.sh"), ran("/var/.hidden/x")],
        [ran("/usr/bin/x"), ran("/tmp/x", where=BUILD), ran("/root/.cargo/bin/x"), ran("/tmpfiles/x")],
    ),
    "RT-0105": (
        [
            event(ScriptRun, "sh /srv/s.sh", path="/srv/s.sh", origin="upper"),
            event(ScriptRun, "python3 /code/x.py", exe="/usr/bin/python3.11", path="/code/x.py", origin="bind"),
            event(ScriptRun, "sh", path="-", origin="upper"),
            event(ScriptRun, "/lib64/ld-linux-x86-64.so.2 /dev/shm/x", path="/dev/shm/x", origin="tmpfs"),
        ],
        [
            event(ScriptRun, "sh /srv/s.sh", path="/srv/s.sh", origin="upper", where=HOST),
            event(ScriptRun, "sh /srv/s.sh", path="/srv/s.sh", origin="upper", where=BUILD),
            event(ScriptRun, "sh /x/s.sh", path="/x/s.sh", origin="upper", by=["dpkg --configure -a"]),
        ],
    ),
    "RT-0106": (
        [
            ran("./seawall-alert-test", exe="/tmp/seawall-alert-test"),
            ran("./asc_alerttest_662jfi039n testing eicar pipe", exe="/asc_alerttest_662jfi039n"),
        ],
        [ran("echo seawall-alert-test")],
    ),
    "RT-0111": (
        [event(FileVerdict, path="/tmp/x", sha256="ab", signatures=("hash:threat_hashes",))],
        [
            event(FileVerdict, path="/tmp/x", skipped="too large"),
            event(FileVerdict, path="/x", signatures=("a",), on_disk=True),
        ],
    ),
    "RT-0112": (
        [event(Enforced, policy="p", action="kill", reason="malware", path="/tmp/x")],
        [
            event(Enforced, policy="p", action="audit", reason="malware", path="/tmp/x"),
            event(Enforced, policy="p", action="kill", reason="drift", path="/x"),
        ],
    ),
    "RT-0113": (
        [event(FileVerdict, where=HOST, path="/var/x", signatures=("a",), on_disk=True)],
        [event(FileVerdict, where=HOST, path="/var/x", signatures=("a",)), event(FileVerdict, path="/x", on_disk=True)],
    ),
}


@pytest.mark.parametrize(("rule", "case", "fires"), rows(CASES))
def test_drift(rule: str, case: Case, fires: bool) -> None:
    assert raised(rule, case) is fires
