"""Services and routes that open something to outside."""

from __future__ import annotations

import re

from seawall.detection.context import context
from seawall.detection.declaration import Logic, detection
from seawall.detection.judgement import grade, may, place, who
from seawall.detection.workloads import POD_CHANGES, WRITES, items, mapping, once, pod_of, text, texts, written
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

_NEEDS = ("request bodies of services and ingresses",)
_INVESTIGATE = ("Is it reachable from the internet now?", "Does the application ask for a login?")
_RESPONSE = "Set the Service back to ClusterIP, or limit `loadBalancerSourceRanges`; put a login in front."

DASHBOARD = re.compile(r"(^|[-_.])(kubernetes-dashboard|k8s-dashboard)([-_.]|$)")
KUBEFLOW = re.compile(r"(^|[-_.])(kubeflow|centraldashboard|katib|ml-pipeline|jupyter-web-app)([-_.]|$)")
REDIS = re.compile(r"(^|[-_.])(redis|valkey|keydb)([-_.]|$)")
POSTGRES = re.compile(r"(^|[-_.])(postgres|postgresql|pgpool|pgbouncer|timescaledb|cnpg)([-_.0-9]|$)")
HIGH_IMPACT = re.compile(
    r"(^|[-_.])(argo-?cd|argocd-server|argo-server|argo-workflows?|airflow|jenkins|jupyter(hub|lab)?|notebook|gitea|gitlab|gocd|spinnaker|tekton-dashboard|weave-scope|"
    r"weave-scope-app|rancher|portainer|octant|lens|k8s-shell|webshell|ttyd|wetty|gotty|code-server|vscode|theia|nifi|flink-jobmanager|spark-master|hadoop|yarn|zeppelin|"
    r"selenium|mlflow|ray-head|ray-dashboard|prefect|dagster|n8n|node-red|nomad|consul|vault|harbor-core|nexus|sonarqube|phpmyadmin|adminer|pgadmin|mongo-express|"
    r"kibana|elasticsearch|opensearch|grafana|prometheus|alertmanager|thanos|kiali|jaeger|kafka|zookeeper|rabbitmq|memcached|mongo(db)?|mysql|mariadb|cassandra|clickhouse|couchdb|etcd|"
    r"minio|docker-registry|longhorn-frontend|ceph-dashboard|traefik-dashboard|hubble-ui|headlamp|kubeview|kubecost|chaos-dashboard|chaos-mesh|kubeapps|ollama|open-webui|comfyui|stable-diffusion)([-_.]|$)"
)
"""Applications known to allow code execution, cluster control or bulk data to whoever reaches them without a login."""
_DATABASE_PORTS = {5432: "PostgreSQL", 3306: "MySQL", 6379: "Redis", 27017: "MongoDB", 9200: "Elasticsearch", 2379: "etcd", 11211: "memcached",
                   5984: "CouchDB", 9042: "Cassandra", 1433: "SQL Server", 8123: "ClickHouse", 2375: "Docker", 10250: "the kubelet", 8888: "Jupyter",
                   6443: "a Kubernetes API", 8265: "Ray", 9092: "Kafka", 15672: "RabbitMQ", 5601: "Kibana", 22: "SSH", 3389: "RDP"}  # fmt: skip

_INTERNAL = (
    ("service.beta.kubernetes.io/azure-load-balancer-internal", ("true",)),
    ("service.beta.kubernetes.io/aws-load-balancer-internal", ("true", "0.0.0.0/0")),
    ("service.beta.kubernetes.io/aws-load-balancer-scheme", ("internal",)),
    ("networking.gke.io/load-balancer-type", ("internal",)),
    ("cloud.google.com/load-balancer-type", ("internal",)),
    ("service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type", ("private",)),
    ("alb.ingress.kubernetes.io/scheme", ("internal",)),
)


class ServiceView:
    """The Service that a request wrote. `is_public`: a load balancer that no annotation or source range limits."""

    def __init__(self, event: AuditEvent) -> None:
        body = written(event)
        self.spec = mapping(body.get("spec"))
        self.metadata = mapping(body.get("metadata"))
        notes = mapping(self.metadata.get("annotations"))
        self.kind = text(self.spec.get("type"))
        answer = mapping(mapping(event.response_body).get("spec"))
        if not self.spec.get("selector") and answer:
            self.spec = {**answer, **self.spec}
        if event.verb == "patch" and isinstance(event.response_body, dict):
            notes = {**mapping(mapping(event.response_body.get("metadata")).get("annotations")), **notes}
        self.internal = any(text(notes.get(key)).lower() in values for key, values in _INTERNAL)
        self.ranges = texts(self.spec.get("loadBalancerSourceRanges"))
        self.words = (
            " ".join(
                [
                    event.name,
                    *(text(value) for value in mapping(self.spec.get("selector")).values()),
                    *(text(value) for value in mapping(self.metadata.get("labels")).values()),
                ]
            )
            .lower()
            .replace(" ", "_.")
        )
        self.ports = {
            value
            for port in map(mapping, items(self.spec.get("ports")))
            for value in (port.get("port"), port.get("targetPort"))
            if isinstance(value, int)
        }

    @property
    def is_wide(self) -> bool:
        """No source range, or one of /8 or wider."""
        return not self.ranges or any(
            item.rpartition("/")[2].isdecimal() and int(item.rpartition("/")[2]) <= 8 and ":" not in item
            for item in self.ranges
        )

    @property
    def is_public(self) -> bool:
        """A load balancer that the internet reaches."""
        return self.kind == "LoadBalancer" and not self.internal and self.is_wide


def _exposed(event: AuditEvent, base: Severity, what: str) -> Match | None:
    if may(event, "control-loops") or may(event, "system-workloads"):
        return None
    severity, reasons = grade(event, base)
    return Match(
        f"{who(event)} opened {what} to the internet by Service {place(event)}",
        severity=severity,
        reasons=tuple(reasons),
    )


_SERVICE = {
    "on": AuditEvent, "verbs": WRITES, "resources": ("services",), "needs": _NEEDS, "investigate": _INVESTIGATE, "response": _RESPONSE,
    "attack": ("T1133", "T1190"), "benign": ("A service that is meant to be public and has a login of its own.",),
}  # fmt: skip


@once
def service_of(event: AuditEvent) -> ServiceView:
    """Return the Service that a request writes."""
    return ServiceView(event)


@detection(id="AU-0901", title="Kubernetes Dashboard opened to the internet", severity=Severity.HIGH, catalogue=("K8S_ExposedDashboard",),
           action="opened the Kubernetes Dashboard to the internet", **_SERVICE)  # type: ignore[arg-type]  # fmt: skip
def exposed_dashboard(event: AuditEvent) -> Match | None:
    """A public load balancer in front of the Kubernetes Dashboard: cluster control for whoever finds it."""
    service = service_of(event)
    return (
        _exposed(event, Severity.HIGH, "the Kubernetes Dashboard")
        if service.is_public and DASHBOARD.search(service.words)
        else None
    )


@detection(id="AU-0902", title="Kubeflow opened to the internet", severity=Severity.MEDIUM, catalogue=("K8S_ExposedKubeflow",),
           action="opened Kubeflow to the internet", **_SERVICE)  # type: ignore[arg-type]  # fmt: skip
def exposed_kubeflow(event: AuditEvent) -> Match | None:
    """The Istio gateway or a dashboard of Kubeflow became public: notebooks and pipelines run any container."""
    service = service_of(event)
    gateway = event.name == "istio-ingressgateway" and (event.namespace in ("kubeflow", "istio-system"))
    if not service.is_public or not (
        KUBEFLOW.search(service.words) or (gateway and event.namespace == "kubeflow") or (event.namespace == "kubeflow")
    ):
        return None
    return _exposed(event, Severity.MEDIUM, "Kubeflow")


@detection(id="AU-0903", title="Redis opened to the internet", severity=Severity.MEDIUM, catalogue=("K8S_ExposedRedis",),
           action="opened Redis to the internet", **_SERVICE)  # type: ignore[arg-type]  # fmt: skip
def exposed_redis(event: AuditEvent) -> Match | None:
    """A public load balancer in front of Redis, which by default asks for no password and can write files."""
    service = service_of(event)
    return (
        _exposed(event, Severity.MEDIUM, "Redis")
        if service.is_public and (REDIS.search(service.words) or 6379 in service.ports)
        else None
    )


@detection(id="AU-0904", title="PostgreSQL reachable from a very wide range", severity=Severity.MEDIUM, catalogue=("K8S_ExposedPostgresBroadIPRange",),
           action="opened PostgreSQL to the internet", **_SERVICE)  # type: ignore[arg-type]  # fmt: skip
def exposed_postgres(event: AuditEvent) -> Match | None:
    """A load balancer to PostgreSQL without source ranges, or with one of /8 or wider."""
    service = service_of(event)
    return (
        _exposed(event, Severity.MEDIUM, "PostgreSQL")
        if service.is_public and (POSTGRES.search(service.words) or 5432 in service.ports)
        else None
    )


@detection(id="AU-0905", title="High-impact application opened to the internet", severity=Severity.MEDIUM, logic=Logic.LIST, catalogue=("K8S_ExposedService",),
           action="opened a sensitive application to the internet", **_SERVICE)  # type: ignore[arg-type]  # fmt: skip
def exposed_application(event: AuditEvent) -> Match | None:
    """A public load balancer in front of an application that runs code, controls clusters or serves bulk data."""
    service = service_of(event)
    if (
        not service.is_public
        or DASHBOARD.search(service.words)
        or REDIS.search(service.words)
        or POSTGRES.search(service.words)
    ):
        return None
    found = HIGH_IMPACT.search(service.words)
    port = next(
        (name for number, name in _DATABASE_PORTS.items() if number in service.ports and number not in (6379, 5432)), ""
    )
    return _exposed(event, Severity.MEDIUM, found.group(2) if found else port) if found or port else None


@detection(id="AU-0906", title="Service opened by a public load balancer", action="opened a service to the internet", severity=Severity.INFORMATIONAL, catalogue=("K8S_ExposedService",), confidence="low", **_SERVICE)  # type: ignore[arg-type]  # fmt: skip
def public_load_balancer(event: AuditEvent) -> Match | None:
    """A record that something became reachable, for incidents."""
    service = service_of(event)
    if not service.is_public or event.verb == "update" or may(event, "control-loops"):
        return None
    return Match(f"{who(event)} made public load balancer {place(event)}")


@detection(id="AU-0907", title="NodePort service or host port", action="opened a port on every node", severity=Severity.LOW, catalogue=("X_NodePortExposed", "Falco: Create NodePort Service", "Panther: NodePort Service Deployed",
           "Elastic: Exposed Service Created With Type NodePort"), **(_SERVICE | {"resources": ("services",)}))  # type: ignore[arg-type]  # fmt: skip
def node_port(event: AuditEvent) -> Match | None:
    """A port of every node leads to the service, past the load balancer and often past the cloud's filters."""
    service = service_of(event)
    if service.kind != "NodePort" or may(event, "control-loops") or may(event, "system-workloads"):
        return None
    sensitive = (
        DASHBOARD.search(service.words) or HIGH_IMPACT.search(service.words) or service.ports & _DATABASE_PORTS.keys()
    )
    base = Severity.LOW if sensitive else Severity.INFORMATIONAL
    return Match(
        f"{who(event)} opened NodePort service {place(event)}",
        severity=base,
        reasons=("a sensitive application",) if sensitive else (),
    )


@detection(id="AU-0908", title="Sensitive application on a host port", action="put a sensitive application on a port of a node", severity=Severity.LOW, catalogue=("X_NodePortExposed",),
           **(_SERVICE | {"resources": POD_CHANGES, "mentions": (b"hostPort",), "needs": ("request bodies of pods and workloads",)}))  # type: ignore[arg-type]  # fmt: skip
def host_port(event: AuditEvent) -> Match | None:
    """A container takes a port of its node that belongs to a database or an administration interface."""
    pod = pod_of(event)
    if pod is None or may(event, "control-loops") or context().is_system(pod.namespace):
        return None
    ports = {
        port.get("hostPort") for container in pod.containers for port in map(mapping, items(container.raw.get("ports")))
    }
    found = sorted(number for number in ports if isinstance(number, int) and number in _DATABASE_PORTS)
    return (
        Match(
            f"{who(event)} put {_DATABASE_PORTS[found[0]]} on a port of the node by {place(event)}",
            key=f"{pod.namespace}|{pod.workload}",
        )
        if found
        else None
    )


@detection(
    id="AU-0909",
    title="Traffic hijack by external addresses",
    severity=Severity.MEDIUM,
    attack=("T1557",),
    on=AuditEvent,
    verbs=WRITES,
    resources=("services", "services/status"),
    catalogue=("X_ServiceExternalIPs",),
    needs=_NEEDS,
    benign=("Bare-metal clusters that use externalIPs on purpose; MetalLB writing status (left out).",),
    investigate=("Whose address is it? Do pods of the cluster call it?",),
    response="Remove the address; forbid externalIPs by the DenyServiceExternalIPs admission plug-in.",
    action="took over an address with a Service",
)
def external_addresses(event: AuditEvent) -> Match | None:
    """CVE-2020-8554: a Service with somebody else's address gets the traffic that the cluster's pods send there."""
    if any(may(event, power) for power in ("control-loops", "system-workloads", "deploy")):
        return None
    body = written(event)
    if event.resource == "services/status":
        ingress = [
            text(mapping(item).get("ip"))
            for item in items(mapping(mapping(body.get("status")).get("loadBalancer")).get("ingress"))
        ]
        agent = event.agent.lower()
        if not any(ingress) or not agent.startswith(("kubectl", "curl", "python", "oc/")):
            return None
        addresses = ingress
    else:
        addresses = texts(mapping(body.get("spec")).get("externalIPs"))
        if not addresses:
            return None
    known = any(item in ("169.254.169.254", "8.8.8.8", "1.1.1.1") for item in addresses)
    severity, reasons = grade(event, Severity.HIGH if known else Severity.MEDIUM)
    return Match(
        f"{who(event)} gave Service {place(event)} the addresses {', '.join(addresses[:4])}",
        severity=severity,
        reasons=tuple(reasons),
    )


@detection(
    id="AU-0910",
    title="Sensitive application published by a route",
    severity=Severity.MEDIUM,
    attack=("T1133", "T1190"),
    on=AuditEvent,
    verbs=WRITES,
    resources=("ingresses", "httproutes", "routes", "virtualservices", "ingressroutes", "httpproxies", "tcproutes"),
    catalogue=("X_IngressExposed",),
    needs=_NEEDS,
    benign=("A published tool behind single sign-on (lowered when an authentication annotation is there).",),
    investigate=_INVESTIGATE,
    response="Put a login in front or take the route away.",
    action="published a sensitive application",
)
def sensitive_route(event: AuditEvent) -> Match | None:
    """An Ingress or route leads to a dashboard, notebook, database interface or similar."""
    body = written(event)
    words = "_.".join(_backends(body)).lower()
    found = HIGH_IMPACT.search(words) or DASHBOARD.search(words) or KUBEFLOW.search(words)
    if not found or any(may(event, power) for power in ("control-loops", "system-workloads")):
        return None
    notes = mapping(mapping(body.get("metadata")).get("annotations"))
    login = any(
        re.search(
            r"auth-(url|type|signin|secret|tls)|oauth|authelia|whitelist-source-range|allowlist|alb.ingress.kubernetes.io/auth|scheme",
            key,
        )
        for key in notes
    )
    tls = bool(mapping(body.get("spec")).get("tls"))
    base = (
        Severity.LOW if login or (tls and not (DASHBOARD.search(words) or KUBEFLOW.search(words))) else Severity.MEDIUM
    )
    severity, reasons = grade(event, base)
    return Match(
        f"{who(event)} published {found.group(2)} by {event.resource} {place(event)}",
        severity=min(severity, base) if login else severity,
        reasons=tuple(reasons),
    )


def _backends(body: object) -> list[str]:
    found: list[str] = []

    def walk(value: object, key: str, depth: int) -> None:
        if depth > 12 or len(found) > 200:
            return
        if isinstance(value, dict):
            for name, child in value.items():
                if isinstance(child, str) and (
                    name in ("serviceName", "host")
                    or (name == "name" and key in ("service", "backendRefs", "to", "services", "destination"))
                ):
                    found.append(child)
                else:
                    walk(child, name, depth + 1)
        elif isinstance(value, list):
            for child in value[:100]:
                walk(child, key, depth + 1)

    walk(mapping(body).get("spec"), "", 0)
    return found


@detection(
    id="AU-0911",
    title="Ingress without TLS",
    severity=Severity.LOW,
    attack=("T1557",),
    on=AuditEvent,
    verbs=("create",),
    resources=("ingresses",),
    catalogue=(
        "X_IngressExposed",
        "Falco: Ingress Object without TLS Certificate Created",
        "Panther: Ingress Created Without TLS",
    ),
    needs=_NEEDS,
    benign=("TLS ended at the load balancer (left out when its annotation is there).",),
    investigate=("Is the application reached over plain HTTP from outside?",),
    response="Add a TLS section or end TLS at the load balancer.",
    action="published an application without TLS",
    confidence="low",
)
def ingress_without_tls(event: AuditEvent) -> Match | None:
    """Logins and sessions cross the network in clear."""
    body = written(event)
    notes = " ".join(mapping(mapping(body.get("metadata")).get("annotations")))
    if (
        not mapping(body.get("spec")).get("rules")
        or mapping(body.get("spec")).get("tls")
        or re.search(r"certificate-arn|managed-certificates|ssl-cert|pre-shared-cert|appgw-ssl", notes)
    ):
        return None
    if context().is_system(event.namespace) or may(event, "deploy"):
        return None
    return Match(f"{who(event)} created Ingress {place(event)} without TLS", severity=Severity.LOW)


@detection(
    id="AU-0913",
    title="Ingress annotation that runs code in the controller",
    severity=Severity.MEDIUM,
    attack=("T1190", "T1552.007"),
    on=AuditEvent,
    verbs=WRITES,
    resources=("ingresses",),
    catalogue=("Splunk: Kubernetes Nginx Ingress LFI", "Splunk: Kubernetes Nginx Ingress RFI"),
    needs=_NEEDS,
    benign=("None known: snippets that set headers or redirects are left out.",),
    investigate=("What did the controller's service account do since (it reads secrets of all namespaces)?",),
    response="Delete the Ingress, rotate what the controller could read, switch snippets off.",
    action="put code into the ingress controller",
)
def ingress_snippet(event: AuditEvent) -> Match | None:
    """A snippet or another annotation breaks out of its place in the NGINX configuration: it runs Lua or loads a module,
    serves files of the controller's container, or reads its token (CVE-2021-25742, CVE-2025-1974)."""
    notes = mapping(mapping(written(event).get("metadata")).get("annotations"))
    for key, value in notes.items():
        if "nginx" in key and _SNIPPET_CODE.search(text(value)[:65536]):
            severity, reasons = grade(event, Severity.MEDIUM)
            return Match(
                f"{who(event)} wrote Ingress {place(event)} with code in {key.rpartition('/')[2]}",
                severity=max(severity, Severity.MEDIUM),
                reasons=tuple(reasons),
            )
    return None


_SNIPPET_CODE = re.compile(
    r"_by_lua|\bload_module\b|\bssl_engine\b|serviceaccount|/etc/passwd|\b(alias|root)\s+/(etc|var|proc|run|root)?\b|\bperl(_set)?\s|\bjs_(content|import)\b|os\.execute"
)
