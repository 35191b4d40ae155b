"""Pods that talk to the cluster's own parts: API server, dashboard, kubelet, etcd."""

from __future__ import annotations

import re

from seawall.detection.declaration import detection
from seawall.detection.processes import (
    domain_entity,
    in_build,
    ip_entity,
    on_platform,
    program,
    told,
)
from seawall.detection.rules.runtime import EXECS, PEERS
from seawall.detection.rules.runtime.network import TOOLS, by_hand
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import Connect, ProcessExec
from seawall.domain.severity import Severity


@detection(
    id="RT-1003",
    title="Tool in a container calls the Kubernetes API",
    severity=Severity.MEDIUM,
    attack=("T1552.007", "T1613"),
    on=ProcessExec,
    response="Look in the audit log for what this service account did from this pod.",
    action="called the Kubernetes API with a tool",
    catalogue=("K8S.NODE_KubernetesAPI",),
    needs=(EXECS,),
    benign=("kubectl sidecars, CI and operators in shell.", "Platform namespaces are left out."),
    investigate=("Which verbs and resources?", "Did the token's file get read (RT-0601)?"),
)
def kubernetes_api(event: ProcessExec) -> Match | None:
    """curl, wget, kubectl or another tool in a container calls the API server."""
    if event.container is None or on_platform(event) or in_build(event):
        return None
    process = event.process
    name = program(process)
    text = told(process)
    if name in ("kubectl", "oc", "k9s", "helm", "kubeletctl"):
        if process.args[1:2] in (("version",), ("config",), ("completion",), ("--help",)):
            return None
        raised = process.drift or process.entered
        return Match(
            f"{text[:160]}",
            None if raised else Severity.LOW,
            ("brought or entered from outside",) if raised else (),
            key=name,
        )
    if name not in TOOLS:
        return None
    if re.search(
        r"kubernetes\.default(?:\.svc)?|KUBERNETES_(?:SERVICE_HOST|PORT)|(?:https?://[\w.:-]+)?/apis?/(?:v1|authorization\.k8s\.io|rbac\.authorization|apps|authentication\.k8s\.io)\b",
        text,
    ):
        return Match(f"{name} calls the API server: {text[:160]}", key=name)
    return None


@detection(
    id="RT-1004",
    title="Container connects to the Kubernetes Dashboard",
    severity=Severity.MEDIUM,
    attack=("T1613", "T1210"),
    on=Connect,
    response="Find out which workload asks and why; close the dashboard to pods by NetworkPolicy.",
    action="connected to the Kubernetes Dashboard",
    catalogue=("K8S.NODE_KubernetesDashboard",),
    needs=(PEERS, "names that pods resolved"),
    benign=("Ingress controllers that publish it (left out).",),
    investigate=("Has the dashboard's service account more than reading?",),
)
def dashboard(event: Connect) -> Match | None:
    """A workload pod connects to a service that it resolved as the dashboard's."""
    if event.container is None or on_platform(event) or event.container.namespace == "kubernetes-dashboard":
        return None
    if not re.match(r"(?:kubernetes-dashboard|k8s-dashboard|dashboard-metrics-scraper)(?:-\w+)?(?:\.|$)", event.host):
        return None
    if "ingress" in event.container.image or program(event.process) in (
        "nginx",
        "nginx-ingress-controller",
        "traefik",
        "envoy",
        "haproxy",
    ):
        return None
    return Match(f"{event.process} connects to {event.host}", entities=(domain_entity(event.host),), key=event.host)


@detection(
    id="RT-1005",
    title="Pod contacts the kubelet API",
    severity=Severity.HIGH,
    attack=("T1613", "T1609"),
    on=Connect,
    response="Close ports 10250 and 10255 to pods; look for commands that were run through the kubelet.",
    action="contacted a kubelet",
    catalogue=("X_KubeletApiAccess",),
    needs=(PEERS,),
    benign=("Metrics collectors (metrics-server, Prometheus and agents are left out by name).",),
    investigate=("Did exec, run or pods requests follow?",),
)
def kubelet_api(event: Connect) -> Match | None:
    """A workload connects to the kubelet's port of a node (10250, or the read-only 10255)."""
    if event.container is None or event.port not in (10250, 10255) or event.family == "unix" or on_platform(event):
        return None
    if event.address.startswith("127.") and not event.container.host_network:
        return None
    if program(event.process) in (
        "metrics-server",
        "prometheus",
        "vmagent",
        "telegraf",
        "otelcol",
        "otelcol-contrib",
        "agent",
        "datadog-agent",
        "grafana-agent",
        "alloy",
        "heapster",
        "kube-state-metrics",
        "opencost",
        "collector",
        "node_exporter",
        "fluent-bit",
        "keda",
        "konnectivity-agent",
        "proxy-agent",
    ):
        return None
    return Match(
        f"{event.process} connects to the kubelet at {event.subject}",
        entities=(ip_entity(event.address),),
        key=event.subject,
    )


@detection(
    id="RT-1006",
    title="Pod contacts etcd",
    severity=Severity.HIGH,
    attack=("T1552.007",),
    on=Connect,
    response="Close 2379 and 2380 to pods; rotate every secret if the connection was answered.",
    action="contacted etcd",
    catalogue=("X_EtcdAccess",),
    needs=(PEERS,),
    benign=(
        "Applications with an etcd of their own: exempt the workload (peers inside the pod and etcd members are left out).",
    ),
    investigate=("Is the address the cluster's etcd?",),
)
def etcd(event: Connect) -> Match | None:
    """A workload connects to etcd's client or peer port, and neither end is an application's own etcd by name."""
    if (
        event.container is None
        or event.port not in (2379, 2380)
        or event.address.startswith("127.")
        or event.address == "::1"
        or on_platform(event)
    ):
        return None
    if program(event.process) in (
        "etcd",
        "kube-apiserver",
        "apisix",
        "patroni",
        "vitess",
        "vtgate",
        "milvus",
        "calico-node",
        "felix",
        "m3db",
        "pd-server",
        "tikv-server",
        "tidb-server",
    ):
        return None
    if event.host and not re.search(r"kube-system|^etcd\d*\.|kube-etcd", event.host):
        return None  # resolved as a service of its own
    return Match(
        f"{event.process} connects to {event.subject}",
        None if by_hand(event) else Severity.MEDIUM,
        (),
        (ip_entity(event.address),),
        event.subject,
    )
