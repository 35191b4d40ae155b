"""Baselines and correlations: what raises each analytic after 20 usual days, and what looks like it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from seawall.domain.audit_events import CloudActivity, RegistryEvent

from tests.detection.baselines.calls import EVE, MONDAY, call, deployment
from tests.detection.cases import Case, Pairs, pair
from tests.detection.cases.audit import WEB, audit, binding, exec_, kinds, pod, workload

THEN = 22
"""A Tuesday, like most of the days before."""
ADDON = "11111111-2222-3333-4444-555555555555"


def cloud(operation: str, day: int = THEN, **more: Any) -> CloudActivity:
    ts = MONDAY + timedelta(days=day)
    return CloudActivity(**({"event_id": f"{operation}{day}", "provider": "azure", "operation": operation, "time": ts, "actor": ADDON, "actor_type": "service",
                             "source_ip": "20.50.1.9", "account": "sub", "resource": "disk"} | more))  # fmt: skip


def image(actor: str = "ci", day: int = THEN, **more: Any) -> RegistryEvent:
    ts = MONDAY + timedelta(days=day)
    return RegistryEvent(**({"event_id": f"{actor}{day}{more}", "action": "push", "registry": "r.example", "repository": "shop/web", "tag": f"v{day}", "digest": f"sha256:{day}",
                             "actor": actor, "source_ip": "203.0.114.9", "time": ts} | more))  # fmt: skip


def habit(usual: Callable[[int], list[Any]], fires: str, event: Any, quiet: str, other: Any) -> tuple[Case, Case]:
    return Case(fires, _several(event), usual), Case(quiet, _several(other), usual)


def _several(event: Any) -> tuple[Any, ...]:
    return tuple(event) if isinstance(event, list) else (event,)


def works(day: int) -> list[Any]:
    return [call("get configmaps", day), call("list pods", day)]


def operates(day: int) -> list[Any]:
    return [call("update leases", day), call("list pods", day), call("patch statefulsets", day)]


def eve(day: int) -> list[Any]:
    return [call(f"{verb} {kind}", day, actor=EVE, hour=hour, ip="203.0.114.9", agent="kubectl/v1.34")
            for verb, kind in (("get", "pods"), ("patch", "deployments")) for hour in (9, 10, 11, 12, 13, 14, 15, 16)]  # fmt: skip


def by_eve(what: str, **more: Any) -> Any:
    return call(what, THEN, **({"actor": EVE, "ip": "203.0.114.9", "agent": "kubectl/v1.34"} | more))


def shells(day: int) -> list[Any]:
    return [
        *eve(day),
        by_eve("create pods/exec", namespace="shop", name="web-1")
        if not day
        else call("create pods/exec", day, actor=EVE, name="web-1"),
    ]


def acts(day: int) -> list[Any]:
    return [*eve(day), call("get pods", day, actor=EVE, acting_as="bob")]


def mints(day: int) -> list[Any]:
    return [*eve(day), call("create serviceaccounts/token", day, actor=EVE, name="deployer")]


def deploys(day: int) -> list[Any]:
    body = deployment("acme.example/shop/web:1")
    return [call("patch deployments", day, actor="ci", name="web", body=body, agent="helm/3"), call("patch deployments", day, actor="ci", namespace="kube-system", name="coredns", body=deployment("registry.k8s.io/coredns/coredns:v1")),
            call("create daemonsets", day, actor="ci", name="logs", body=body), call("create cronjobs", day, actor="ci", name="report", body=workload(pod(), "CronJob")), *eve(day)]  # fmt: skip


def scales(day: int) -> list[Any]:
    return [call("patch deployments/scale", day, name="web", body={"spec": {"replicas": 4}})]


def static(name: str, day: int = THEN) -> Any:
    body = {
        "metadata": {
            "name": f"{name}-n1",
            "annotations": {"kubernetes.io/config.mirror": "x"},
            "ownerReferences": [{"kind": "Node", "name": "n1"}],
        },
        "spec": {"nodeName": "n1", "containers": []},
    }
    return call("create pods", day, actor="system:node:n1", namespace="kube-system", name=f"{name}-n1", body=body)


def grants(day: int) -> list[Any]:
    return [
        call(
            "create clusterrolebindings",
            day,
            actor="ci",
            namespace="",
            name=f"b{day}",
            body=granting("ClusterRole/view"),
        )
    ]


def granting(role: str) -> dict[str, Any]:
    kind, _, name = role.partition("/")
    return {
        "roleRef": {"kind": kind, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "web", "namespace": "shop"}],
    }


def reads(day: int) -> list[Any]:
    return [call("get secrets", day, name="db"), call("list pods", day)]


def addon(day: int) -> list[Any]:
    return [cloud("microsoft.compute/disks/write", day), cloud("microsoft.compute/disks/read", day)]


def pulls(day: int) -> list[Any]:
    return [image("node", day, action="pull", repository=f"app{i}", event_id=f"p{day}{i}") for i in range(8)]


FOREIGN = deployment("evil.example/x:1")
OWN = deployment("acme.example/shop/web:2")
GIVES = "microsoft.authorization/roleassignments/write"
PULL = "microsoft.containerservice/managedclusters/listclusterusercredential/action"
NIGHT = {"actor": EVE, "ip": "203.0.114.9", "agent": "kubectl/v1.34"}

HABITS: Pairs = {
    "BL-0001": habit(addon, "A storage driver's identity gives out roles", cloud(GIVES), "It writes a disk", cloud("microsoft.compute/disks/write")),
    "BL-0002": habit(works, "The web shop's account lists platform secrets", call("list secrets", THEN, namespace="kube-system"), "It lists pods", call("list pods", THEN)),
    "BL-0003": habit(deploys, "A person starts an image in kube-system that never ran there", by_eve("create deployments", namespace="kube-system", name="x", body=FOREIGN),
                     "The usual image there", call("patch deployments", THEN, actor="ci", namespace="kube-system", name="coredns", body=deployment("registry.k8s.io/coredns/coredns:v2"))),
    "BL-0004": habit(deploys, "Another registry, namespace and client at once", by_eve("create deployments", namespace="new", name="x", body=FOREIGN, agent="curl/8", hour=3),
                     "The usual deployment", call("patch deployments", THEN, actor="ci", name="web", body=OWN, agent="helm/3")),
    "BL-0005": habit(grants, "cluster-admin for an account that only ever had view", call("create clusterrolebindings", THEN, actor="ci", namespace="", name="x", body=granting("ClusterRole/cluster-admin")),
                     "view again", call("create clusterrolebindings", THEN, actor="ci", namespace="", name="x", body=granting("ClusterRole/view"))),
    "BL-0006": habit(reads, "Another secret with another client", call("get secrets", THEN, name="stripe", agent="curl/8"), "The usual secret", call("get secrets", THEN, name="db")),
    "BL-0007": habit(lambda day: [static("kube-proxy", day)], "A static pod that no node ran before", static("backdoor"), "One that they run", static("kube-proxy")),
    "BL-0008": habit(eve, "A person's first CronJob", by_eve("create cronjobs", name="x", body=workload(pod(), "CronJob")), "Another Deployment of theirs", by_eve("patch deployments", name="web")),
    "BL-0009": habit(deploys, "A person's first DaemonSet", by_eve("create daemonsets", name="x", body=FOREIGN), "Another DaemonSet of the pipeline", call("create daemonsets", THEN, actor="ci", name="logs2", body=OWN)),
    "BL-0010": habit(deploys, "The first image from a registry", by_eve("create deployments", name="x", body=FOREIGN), "Another image of the usual registry", by_eve("create deployments", name="x", body=deployment("acme.example/shop/cart:1"))),
    "BL-0011": habit(deploys, "A person switches the web shop to a foreign image", by_eve("patch deployments", name="web", body=FOREIGN), "The pipeline brings its next version", call("patch deployments", THEN, actor="ci", name="web", body=OWN)),
    "BL-0012": habit(mints, "A token of another account", by_eve("create serviceaccounts/token", namespace="kube-system", name="admin"), "The usual token", by_eve("create serviceaccounts/token", name="deployer")),
    "BL-0013": habit(eve, "A network that nobody of this cluster used", by_eve("get pods", ip="198.51.101.7", agent="curl/8"), "The usual network", by_eve("get pods", ip="203.0.115.1")),
    "BL-0014": habit(scales, "400 replicas of a workload that ran 4", call("patch deployments/scale", THEN, name="web", body={"spec": {"replicas": 400}}), "12 replicas", call("patch deployments/scale", THEN, name="web", body={"spec": {"replicas": 12}})),
    "BL-0015": habit(operates, "An operator writes a role binding elsewhere", call("create rolebindings", THEN, namespace="kube-system"), "It writes what it always writes", call("patch statefulsets", THEN)),
    "BL-0016": habit(lambda day: [image(day=day)], "Another identity overwrites a tag", image("eve", previous_digest="sha256:1", source_ip="198.51.101.7"), "The pipeline pushes the next version", image()),
    "BL-0017": habit(pulls, "90 repositories pulled on one day", [image("node", action="pull", repository=f"other{i}", event_id=f"q{i}") for i in range(90)],
                     "10 repositories pulled", [image("node", action="pull", repository=f"other{i}", event_id=f"q{i}") for i in range(10)]),
    "BL-0018": habit(shells, "A shell in another team's namespace", by_eve("create pods/exec", namespace="payments", name="api-1"), "A shell where they always work", by_eve("create pods/exec", namespace="shop", name="web-2")),
    "BL-0019": habit(works, "The account comes with curl and deletes", call("delete secrets", THEN, agent="curl/8"), "Another version of its own client", call("get configmaps", THEN, agent="web/1.3 (linux/amd64)")),
    "BL-0020": habit(eve, "A change at three in the night", by_eve("patch deployments", hour=3), "A change at eleven", by_eve("patch deployments", hour=11)),
    "BL-0021": habit(lambda day: [cloud("microsoft.compute/disks/read", day, actor="eve@x", actor_type="user")], "A person's first cluster credential", cloud(PULL, actor="eve@x", actor_type="user"),
                     "Something they always do", cloud("microsoft.compute/disks/read", actor="eve@x", actor_type="user")),
    "BL-0022": habit(acts, "Acting as somebody new", by_eve("get pods", acting_as="root"), "Acting as the usual one", by_eve("get pods", acting_as="bob")),
    "CO-0001": pair("Permissions taken, secrets read, a shell opened by one account",
                    [audit(resource="clusterrolebindings", user=WEB, body=binding("cluster-admin", ("ServiceAccount", "web"))), audit("list", "secrets", name="", user=WEB, uri="/api/v1/secrets"), exec_("bash", ns="kube-system", user=WEB)],
                    "A shell opened, and nothing else", [exec_("bash", user=WEB)]),
    "CO-0002": pair("Ten kinds listed", kinds("pods", "services", "deployments", "configmaps", "serviceaccounts", "roles", "rolebindings", "ingresses", "jobs", "cronjobs"),
                    "A controller lists as many when it starts", kinds("pods", "services", "deployments", "configmaps", "serviceaccounts", "roles", "rolebindings", "ingresses", "jobs", "cronjobs", agent="argocd-application-controller/v3")),
    "CO-0003": pair("A binding, then a workload in kube-system", [audit(resource="clusterrolebindings", body=binding("edit", ("User", "bob"))), audit(resource="deployments", ns="kube-system", time="2026-11-02T09:35:00.000000Z", body=workload(pod()))],
                    "A binding, then a workload of the same team", [audit(resource="clusterrolebindings", body=binding("edit", ("User", "bob"))), audit(resource="deployments", ns="shop", time="2026-11-02T09:35:00.000000Z", body=workload(pod()))]),
    "CO-0004": pair("A token from two public addresses", [audit("list", "pods", ns="shop", user=WEB, ip=ip) for ip in ("203.0.114.9", "198.51.101.7")],
                    "A token from two pods", [audit("list", "pods", ns="shop", user=WEB, ip=ip) for ip in ("10.0.0.7", "10.0.1.9")]),
    "CO-0005": pair("Commands in six pods", [audit("create", "pods/exec", ns="shop", name=f"web-{i}", code=101) for i in range(6)],
                    "Six commands in one pod", [audit("create", "pods/exec", ns="shop", name="web-1", code=101) for _ in range(6)]),
}  # fmt: skip
