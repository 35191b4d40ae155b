"""What two inventory snapshots show that no single event does."""

from __future__ import annotations

from seawall.detection.declaration import detection
from seawall.detection.rules.audit.exposure import DASHBOARD, HIGH_IMPACT, KUBEFLOW, REDIS
from seawall.detection.workloads import text, texts
from seawall.domain.alerts import Match
from seawall.domain.audit_events import InventoryFact
from seawall.domain.severity import Severity

_NEEDS = ("inventory snapshots",)
_RESPONSE = "Set the Service back to ClusterIP, or limit `loadBalancerSourceRanges`; put a login in front."


def _place(event: InventoryFact) -> str:
    return f"{event.namespace}/{event.name}"


@detection(
    id="IN-0101",
    title="PostgreSQL reachable from outside with password-less login",
    severity=Severity.MEDIUM,
    attack=("T1190", "T1133"),
    on=InventoryFact,
    catalogue=("K8S_ExposedPostgresTrustAuth",),
    needs=(*_NEEDS, "configuration of the pods behind a service"),
    benign=("None: `trust` over the network is a mistake.",),
    investigate=("Who connected?",),
    response="Replace `trust` by scram-sha-256 in pg_hba.conf, limit the Service.",
    action="left PostgreSQL open without a password",
    confidence="high",
)
def postgres_without_password(event: InventoryFact) -> Match | None:
    """Fact `exposed_service` with `application` postgresql and `auth` trust (POSTGRES_HOST_AUTH_METHOD, or pg_hba lines
    with trust for addresses that are not local)."""
    if (
        event.kind == "exposed_service"
        and text(event.facts.get("application")) == "postgresql"
        and text(event.facts.get("auth")) == "trust"
    ):
        return Match(f"PostgreSQL {_place(event)} is reachable from outside and asks for no password")
    return None


def trusts_everybody(pg_hba: str, environment: dict[str, str]) -> bool:
    """True when a PostgreSQL configuration lets addresses that are not local in without a password."""
    if environment.get("POSTGRES_HOST_AUTH_METHOD", "").lower() == "trust":
        return True
    for line in pg_hba.splitlines():
        words = line.split("#", 1)[0].split()
        if len(words) >= 5 and words[0].startswith("host") and words[-1].lower() == "trust":
            address = words[3]
            if not address.startswith(("127.", "::1", "localhost", "samehost")):
                return True
    return False


@detection(
    id="IN-0102",
    title="Sensitive application became reachable from the internet",
    severity=Severity.MEDIUM,
    attack=("T1133", "T1190"),
    on=InventoryFact,
    catalogue=(
        "K8S_ExposedService",
        "K8S_ExposedDashboard",
        "K8S_ExposedKubeflow",
        "K8S_ExposedRedis",
        "X_NodePortExposed",
    ),
    needs=_NEEDS,
    benign=("An application that is meant to be public and has a login.",),
    investigate=("Does it ask for a login?",),
    response=_RESPONSE,
    action="opened a sensitive application to the internet",
)
def sensitive_exposure(event: InventoryFact) -> Match | None:
    """Fact `exposed_service`: the pods behind it run a sensitive application by their images (`images`), whatever the
    Service is called."""
    if event.kind != "exposed_service":
        return None
    words = (
        " ".join([event.name, text(event.facts.get("application")), *texts(event.facts.get("images"))])
        .lower()
        .replace("/", "-")
        .replace(":", "-")
        .replace(" ", "_.")
    )
    for pattern, severity, name in (
        (DASHBOARD, Severity.HIGH, "Kubernetes Dashboard"), (KUBEFLOW, Severity.MEDIUM, "Kubeflow"), (REDIS, Severity.MEDIUM, "Redis"), (HIGH_IMPACT, Severity.MEDIUM, ""),
    ):  # fmt: skip
        found = pattern.search(words)
        if found:
            return Match(
                f"{name or found.group(2)} at {_place(event)} became reachable from outside", severity=severity
            )
    return None


@detection(
    id="IN-0103",
    title="Node runs workloads without a healthy sensor",
    severity=Severity.MEDIUM,
    attack=("T1562.001",),
    on=InventoryFact,
    catalogue=("X_SensorTampered",),
    needs=(*_NEEDS, "sensor heartbeats"),
    benign=("A node that has just started; a taint that the sensor does not tolerate.",),
    investigate=("Was the sensor deleted, starved or stopped on the node?",),
    response="Put the sensor back, then look at what ran meanwhile.",
    action="runs workloads without a healthy sensor",
)
def sensor_missing(event: InventoryFact) -> Match | None:
    """Fact `sensor_unhealthy`: pods run on the node (`pods`), and no heartbeat came for `silent_s` seconds."""
    pods = event.facts.get("pods")
    if event.kind != "sensor_unhealthy" or not isinstance(pods, int) or pods <= 0:
        return None
    return Match(f"Node {event.name} runs {pods} pods without a healthy sensor", key=event.name)


@detection(
    id="IN-0104",
    title="Node without a machine joined",
    severity=Severity.HIGH,
    attack=("T1078", "T1610"),
    on=InventoryFact,
    catalogue=("Falco: Untrusted Node Successfully Joined the Cluster",),
    needs=(*_NEEDS, "list of the cloud's machines"),
    benign=("Hybrid nodes that the list does not hold.",),
    investigate=("Where does the node's address lead?",),
    response="Delete the node, revoke its certificate.",
    action="joined a foreign node",
)
def foreign_node(event: InventoryFact) -> Match | None:
    """Fact `node_joined` with `known_machine` false: a node whose provider id is none of the account's machines."""
    if event.kind == "node_joined" and event.facts.get("known_machine") is False:
        return Match(f"Node {event.name} joined, but no machine of the account is behind it", key=event.name)
    return None
