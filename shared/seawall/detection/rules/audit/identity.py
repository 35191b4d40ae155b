"""Tokens, certificates, impersonation, and identities that act where they do not belong."""

from __future__ import annotations

import base64
import binascii
import re

from seawall.detection.context import context
from seawall.detection.declaration import Logic, detection
from seawall.detection.describe import short
from seawall.detection.engine import caller_kind
from seawall.detection.judgement import BREAK_GLASS_GROUP, done, grade, is_own_namespace, may, place, who
from seawall.detection.rules.audit.access import is_public_path
from seawall.detection.workloads import at, items, mapping, pod_of, text, texts, written
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity


@detection(
    id="AU-0601",
    title="Service-account token minted by somebody else",
    severity=Severity.MEDIUM,
    attack=("T1528", "T1098"),
    on=AuditEvent,
    verbs=("create",),
    resources=("serviceaccounts/token",),
    catalogue=("X_TokenRequest", "Elastic: Service Account Token Created via TokenRequest API"),
    needs=("metadata of serviceaccounts/token",),
    benign=("`kubectl create token` by an administrator; Vault and other brokers (their own identity).",),
    investigate=("What may this service account do?", "Where was the token used?"),
    response="Delete and re-create the service account: that ends its tokens.",
    action="minted a service-account token",
)
def token_minted(event: AuditEvent) -> Match | None:
    """Nodes mint the tokens of the pods they run. Anybody else who mints one can then act as that service account."""
    kind = caller_kind(event.actor)
    if kind == "node" or may(event, "mint-tokens") or may(event, "control-loops"):
        return None
    if event.actor == f"system:serviceaccount:{event.namespace}:{event.name}":
        return None
    base, reasons = Severity.LOW, []
    seconds = at(written(event), "spec", "expirationSeconds")
    if isinstance(seconds, int) and seconds > 48 * 3600:
        base = Severity.MEDIUM
        reasons.append(f"valid for {seconds // 3600} hours")
    if context().is_system(event.namespace):
        base = Severity.MEDIUM
        reasons.append("the service account is the platform's")
    if kind == "service_account" and not is_own_namespace(event, event.namespace):
        base = Severity.MEDIUM
        reasons.append("asked for by a service account of another namespace")
    severity, found = grade(event, base)
    return Match(
        f"{who(event)} minted a token of service account {place(event)}", severity=severity, reasons=(*reasons, *found)
    )


@detection(
    id="AU-0602",
    title="Service account created",
    severity=Severity.INFORMATIONAL,
    attack=("T1136",),
    on=AuditEvent,
    verbs=("create",),
    resources=("serviceaccounts",),
    catalogue=("Falco: Service Account Created in Kube Namespace", "Sigma: New Kubernetes Service Account Created"),
    needs=("metadata of writes",),
    benign=("Every deployment of a chart.",),
    investigate=("What is bound to it?",),
    response="Delete it if nobody stands for it.",
    action="created a service account",
    confidence="low",
)
def service_account_created(event: AuditEvent) -> Match | None:
    """A new identity; in a platform namespace it hides among the platform's own."""
    if may(event, "control-loops") or may(event, "system-workloads") or may(event, "deploy") or event.name == "default":
        return None
    system = context().is_system(event.namespace)
    if not system:
        return Match(f"{who(event)} created service account {place(event)}", severity=Severity.INFORMATIONAL)
    return Match(
        f"{who(event)} created service account {place(event)}",
        severity=Severity.LOW,
        reasons=("in a platform namespace",),
    )


_PRIVILEGED_SUBJECTS = (
    "system:masters",
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "kube-apiserver",
    "system:nodes",
    "system:node:",
    "cluster-admin",
    "kubernetes-admin",
    "system:serviceaccount:",
    "system:apiserver",
)
_CLIENT_SIGNERS = (
    "kubernetes.io/kube-apiserver-client",
    "kubernetes.io/kube-apiserver-client-kubelet",
    "kubernetes.io/legacy-unknown",
)


def _csr_subject(body: dict[str, object]) -> bytes:
    request = at(body, "spec", "request")
    if not isinstance(request, str) or len(request) > 100_000:
        return b""
    try:
        pem = base64.b64decode(request)
        inner = re.search(rb"-----BEGIN [A-Z ]*CERTIFICATE REQUEST-----(.+?)-----END", pem, re.DOTALL)
        return base64.b64decode(inner.group(1)) if inner else pem
    except (binascii.Error, ValueError):
        return b""


@detection(
    id="AU-0603",
    title="Client certificate requested",
    severity=Severity.LOW,
    attack=("T1098", "T1649"),
    on=AuditEvent,
    verbs=("create",),
    resources=("certificatesigningrequests",),
    catalogue=(
        "X_CsrAbuse",
        "Panther: Client Certificate Credential Created",
        "Elastic: Client Certificate Signing Request Created or Approved",
    ),
    needs=("request bodies of certificate signing requests",),
    benign=(
        "Administrators who give out certificates; operators that ask for serving certificates (left out by signer).",
    ),
    investigate=("Which name and groups does the request hold?", "Was it approved, and by whom?"),
    response="Deny or delete the request; a certificate that was issued cannot be taken back: rotate the CA or deny the user.",
    action="asked for a client certificate",
)
def client_certificate_requested(event: AuditEvent) -> Match | None:
    """A client certificate is a login that cannot be revoked and outlives the account that asked for it.

    A name or group of the control plane in the request makes it high.
    """
    if any(may(event, power) for power in ("approve-certificates", "control-loops", "system-workloads")):
        return None
    body = written(event)
    signer = text(at(body, "spec", "signerName"))
    if signer and signer not in _CLIENT_SIGNERS:
        return None
    kind = caller_kind(event.actor)
    if kind == "node" or event.actor.startswith("system:bootstrap:"):
        own = not signer or signer.endswith("kubelet")
        return (
            None
            if own
            else Match(f"{who(event)} asked for a client certificate that is not a node's", severity=Severity.HIGH)
        )
    base, reasons = Severity.LOW, []
    subject = _csr_subject(body)
    names = [name for name in _PRIVILEGED_SUBJECTS if name.encode() in subject]
    groups = [name for name in texts(at(body, "spec", "groups")) if name == BREAK_GLASS_GROUP]
    if names:
        base = Severity.HIGH
        reasons.append(f"for {names[0]}")
    if kind == "service_account":
        base = max(base, Severity.MEDIUM)
        reasons.append("asked for by a service account")
    if groups and not names:
        reasons.append("by a member of system:masters")
    severity, found = grade(event, base)
    return Match(
        f"{who(event)} asked for client certificate {event.name}", severity=severity, reasons=(*reasons, *found)
    )


@detection(
    id="AU-0604",
    title="Certificate request approved by hand",
    severity=Severity.MEDIUM,
    attack=("T1649", "T1098"),
    on=AuditEvent,
    verbs=("update", "patch"),
    resources=("certificatesigningrequests/approval", "certificatesigningrequests/status"),
    catalogue=("X_CsrAbuse",),
    needs=("metadata of certificate approvals",),
    benign=("An administrator approving a colleague or a node.",),
    investigate=("Whose certificate is it? Did the approver ask for it too?",),
    response="Find what the certificate was used for; rotate the CA if it must not live.",
    action="approved a client certificate",
    confidence="high",
)
def certificate_approved(event: AuditEvent) -> Match | None:
    """Somebody other than the platform's approvers let a certificate be signed."""
    if any(may(event, power) for power in ("approve-certificates", "control-loops", "system-workloads")):
        return None
    body = written(event)
    base, reasons = Severity.MEDIUM, []
    conditions = [text(mapping(item).get("type")) for item in items(at(body, "status", "conditions"))]
    if conditions and "Approved" not in conditions and event.resource.endswith("approval"):
        return None
    if event.resource.endswith("status"):
        if not at(body, "status", "certificate"):
            return None
        base = Severity.HIGH
        reasons.append("the certificate was put in directly, past the signer")
    requester = text(at(body, "spec", "username"))
    if requester and requester == event.actor:
        base = Severity.HIGH
        reasons.append("the approver had asked for it")
    if any(name.encode() in _csr_subject(body) for name in _PRIVILEGED_SUBJECTS):
        base = Severity.HIGH
        reasons.append("for a name of the control plane")
    severity, found = grade(event, base)
    return Match(
        f"{who(event)} approved certificate request {event.name}", severity=severity, reasons=(*reasons, *found)
    )


@detection(
    id="AU-0605",
    title="Impersonation",
    severity=Severity.MEDIUM,
    attack=("T1078", "T1550", "T1134"),
    on=AuditEvent,
    impersonated=True,
    outcomes=("allowed", "denied", "failed"),
    catalogue=("X_Impersonation", "Elastic: API Request Impersonating Privileged Identity"),
    needs=("metadata of all requests",),
    benign=(
        "`kubectl --as` of an administrator who tests permissions (low).",
        "Portals that forward logged-in users (left out by exact identity).",
    ),
    investigate=("Why did the caller need the other identity?",),
    response="Take the impersonate right away where nobody needs it.",
    action="acted as somebody else",
)
def impersonation(event: AuditEvent) -> Match | None:
    """The caller acted as another user. The permissions are the other's, and so is the name in what it created."""
    assert event.impersonated is not None
    name = event.impersonated.username or ""
    groups = event.impersonated.groups or []
    forwarder = context().allowances.may(event.actor, "impersonate")
    privileged = (
        BREAK_GLASS_GROUP in groups
        or name in ("cluster-admin", "kubernetes-admin", "system:admin", "kubernetes-super-admin", "admin")
        or (name.startswith("system:") and caller_kind(name) in ("system", "node"))
        or name.startswith("system:serviceaccount:kube-system:")
    )
    if forwarder and not (privileged and BREAK_GLASS_GROUP in groups):
        return None
    own = BREAK_GLASS_GROUP in event.groups
    if privileged and own and BREAK_GLASS_GROUP in groups and not name.startswith("system:"):
        base, reason = Severity.LOW, "the caller is a member of system:masters itself"
    elif privileged:
        base, reason = Severity.HIGH, "the other identity is privileged"
    elif own:
        base, reason = Severity.LOW, "the caller is a member of system:masters"
    elif caller_kind(event.actor) == "service_account":
        base, reason = Severity.MEDIUM, "a service account acts as somebody else"
    else:
        base, reason = Severity.LOW, "an ordinary user acts as an ordinary user"
    if event.code >= 400:
        base = Severity.LOW if base >= Severity.MEDIUM else Severity.INFORMATIONAL
        reason += "; it was refused what it asked for"
    return Match(
        f"{event.actor or 'A caller'} acted as {name or 'another user'} ({event.verb} {event.resource or 'request'})",
        severity=base,
        reasons=(reason,),
        key=f"{event.actor}|as|{name}|{base}",
    )


@detection(
    id="AU-0606",
    title="Impersonation was denied",
    severity=Severity.MEDIUM,
    attack=("T1134", "T1078"),
    on=AuditEvent,
    outcomes=("denied",),
    catalogue=("X_Impersonation",),
    needs=("metadata of all requests",),
    benign=("A wrong kubeconfig.",),
    investigate=("What else did the caller try?",),
    response="Check the caller's credentials.",
    action="tried to act as somebody else",
)
def impersonation_denied(event: AuditEvent) -> Match | None:
    """Somebody without the right tried to act as another user.

    The API server logs what was asked for, without the other identity: only the words of its refusal tell.
    """
    if event.verb == "impersonate":
        return Match(f"{who(event)} was denied impersonation of {event.resource} {event.name}")
    found = _NO_IMPERSONATION.search((event.response and event.response.message) or "")
    if found is None:
        return None
    return Match(
        f"{who(event)} was denied impersonation of {found.group(1)} {short(event.name, 200)}".rstrip(),
        key=f"{event.actor}|impersonation",
    )


_NO_IMPERSONATION = re.compile(r'cannot impersonate resource "([a-z/.-]{1,60})"')


_KUBELET_READ = re.compile(r"/proxy/?(metrics|stats|healthz|spec|logs)?(/|$|\?)")
_KUBELET_RUN = re.compile(
    r"/proxy/+(run|exec|attach|portForward|cri/exec|debug|containerLogs|runningpods|pods|configz|checkpoint)"
)


@detection(
    id="AU-0607",
    title="Kubelet reached through the API server",
    severity=Severity.HIGH,
    attack=("T1609", "T1613"),
    on=AuditEvent,
    resources=("nodes/proxy",),
    catalogue=("X_NodeProxy", "Elastic: API Server Proxying Request to Kubelet"),
    needs=("metadata of nodes/proxy",),
    benign=("Monitoring that reads kubelet metrics (left out by path).",),
    investigate=("Which path: /run and /exec execute commands, /pods shows environment variables.",),
    response="Take nodes/proxy from the caller's role.",
    action="reached a node's kubelet through the API server",
    confidence="high",
)
def node_proxy(event: AuditEvent) -> Match | None:
    """`nodes/proxy` reaches the kubelet's own API: commands in any pod of the node, without an exec in the audit log."""
    path = event.uri.partition("?")[0]
    runs = _KUBELET_RUN.search(path)
    if re.search(r"/proxy/+(run|exec|attach|cri/exec|checkpoint)\b", path):
        severity, why = Severity.HIGH, "it runs commands in pods of that node"
    elif (
        not runs and (path.endswith("/proxy") or _KUBELET_READ.search(path)) and event.verb in ("get", "list") and path
    ):
        if may(event, "node-proxy") or "/proxy/logs" not in path:
            if may(event, "node-proxy") or caller_kind(event.actor) == "service_account" or may(event, "control-loops"):
                return None
            severity, why = Severity.LOW, "it reads metrics or health"
        else:
            severity, why = Severity.MEDIUM, "it reads the node's logs"
    else:
        severity, why = Severity.HIGH, "it reads or changes what the kubelet holds"
    return Match(
        f"{who(event)} reached the kubelet of node {event.name} ({path[-120:] or event.verb})",
        severity=severity,
        reasons=(why,),
        key=f"{event.actor}|{event.name}|{severity}",
    )


@detection(
    id="AU-0608",
    title="Attempt to reach a kubelet was denied",
    severity=Severity.LOW,
    attack=("T1613",),
    on=AuditEvent,
    resources=("nodes/proxy",),
    outcomes=("denied",),
    catalogue=("X_NodeProxy",),
    needs=("metadata of nodes/proxy",),
    benign=("Monitoring with a role that is too narrow.",),
    investigate=("What else was the caller denied?",),
    response="None alone.",
    action="was refused a kubelet",
    confidence="low",
)
def node_proxy_denied(event: AuditEvent) -> Match | None:
    """Somebody tried the kubelet proxy without the right to it."""
    return Match(f"{who(event)} was denied the kubelet of node {event.name}", key=f"{event.actor}|denied")


@detection(
    id="AU-0609",
    title="Platform or pod identity used from a public address",
    severity=Severity.HIGH,
    attack=("T1528", "T1550.001", "T1078"),
    on=AuditEvent,
    actors=("service_account", "system"),
    origins=("public", "cloud", "listed"),
    catalogue=("X_TokenUsedOffCluster", "Panther: System Principal Accessed from Non-Cloud Public IP"),
    needs=("metadata of all requests",),
    benign=(
        "CI that uses a service-account token on purpose: better give it a federated identity.",
        "Nodes behind a NAT gateway of the same cloud (lowered to informational).",
    ),
    investigate=("Whose address is it?", "Which pod's token was it (credential id), and was the pod broken into?"),
    response="Delete the pod or the service account: that ends its token. Rotate what it could read.",
    action="called from outside the cluster",
)
def token_used_outside(event: AuditEvent) -> Match | None:
    """A pod's token belongs in its pod. From a public address that is not the cloud's own, somebody carried it away."""
    if is_public_path(event.uri):
        return None
    networks = context().networks
    kind, provider = networks.kind(event.source_ip), networks.provider(event.source_ip)
    if _through_proxy(event):
        return None
    expected = {"aks": "azure", "eks": "aws", "gke": "gcp"}.get(event.platform, provider)
    if kind == "cloud" and provider == expected:
        base, reason = (
            Severity.INFORMATIONAL,
            "the address belongs to the cluster's cloud: a node, or somebody's virtual machine there",
        )
    else:
        base, reason = Severity.HIGH, f"the address is {f'in the cloud {provider}' if kind == 'cloud' else 'public'}"
    return Match(
        f"{who(event)} called from {event.source_ip} ({event.verb} {event.resource or event.uri[:80]})",
        severity=base,
        reasons=(reason,),
        key=f"{event.actor}|{event.source_ip}",
    )


def _through_proxy(event: AuditEvent) -> bool:
    """True when the managed control plane calls itself through its own front end."""
    return event.actor == "system:apiserver" or event.agent.startswith("GoogleKubernetesEngineFrontend")


@detection(
    id="AU-0610",
    title="Node identity misused",
    severity=Severity.HIGH,
    attack=("T1552.001", "T1078"),
    on=AuditEvent,
    actors=("node",),
    outcomes=("allowed", "denied"),
    catalogue=("X_NodeIdentityMisuse",),
    needs=("metadata of all requests",),
    benign=(
        "A new kubelet version that asks for a new kind of object (report it).",
        "Node-local tools that borrow the kubelet's credentials.",
    ),
    investigate=("Compare the source address with the node's.", "What ran on that node (sensor)?"),
    response="Drain and replace the node, rotate its credentials.",
    action="did what kubelets never do",
)
def node_identity_misused(event: AuditEvent) -> Match | None:
    """The kubelet's credential does a small, fixed set of things. Anything else, or a client that is no kubelet, is
    somebody with a copy."""
    resource, verb = event.resource.partition("/")[0], event.verb or ""
    name = event.actor[12:]
    allowed = event.code < 400
    agent = event.agent
    if re.match(r"(kubectl|curl|wget|python|Go-http-client|oc)[/ _-]", agent):
        base = Severity.MEDIUM if allowed and not agent.startswith("Go-http-client") else Severity.LOW
        if verb in ("create", "update", "patch", "delete") or resource == "secrets":
            base = Severity.HIGH if allowed else Severity.MEDIUM
        return Match(
            f"{event.actor} called with {agent.split('/')[0]} ({verb} {event.resource})",
            severity=base,
            reasons=("the client is not a kubelet",),
            key=f"{event.actor}|{agent[:40]}|{base}",
        )
    if context().networks.kind(event.source_ip) in ("public", "listed") and not is_public_path(event.uri):
        return Match(
            f"{event.actor} called from {event.source_ip}",
            severity=Severity.HIGH if allowed else Severity.MEDIUM,
            reasons=("nodes do not call from a public address outside the clouds",),
            key=f"{event.actor}|{event.source_ip}",
        )
    if (
        resource == "secrets"
        and verb in ("list", "watch")
        and not event.name
        and not event.uri.count("fieldSelector=metadata.name")
    ):
        return Match(
            f"{event.actor} {done(event)} secrets in {event.namespace or 'all namespaces'}",
            severity=Severity.HIGH if allowed else Severity.MEDIUM,
            reasons=("kubelets read single secrets by name",),
        )
    if resource == "nodes" and verb in ("update", "patch", "delete") and event.name and event.name != name and allowed:
        return Match(
            f"{event.actor} {done(event)} node {event.name}",
            severity=Severity.HIGH,
            reasons=("a node changes only itself",),
        )
    if resource in (
        "rolebindings",
        "clusterrolebindings",
        "roles",
        "clusterroles",
        "deployments",
        "daemonsets",
        "namespaces",
    ) and verb in (
        "create",
        "update",
        "patch",
        "delete",
    ):
        return Match(
            f"{event.actor} {done(event)} {event.resource} {place(event)}",
            severity=Severity.HIGH if allowed else Severity.MEDIUM,
            reasons=("kubelets never do this",),
        )
    if event.resource in ("pods/exec", "pods/attach", "selfsubjectrulesreviews"):
        return Match(
            f"{event.actor} {done(event)} {event.resource}",
            severity=Severity.MEDIUM,
            reasons=("kubelets never do this",),
        )
    return None


@detection(
    id="AU-0611",
    title="Pod runs as a control-plane service account",
    severity=Severity.HIGH,
    attack=("T1078.001",),
    on=AuditEvent,
    verbs=("create", "update", "patch"),
    resources=("pods", "deployments", "daemonsets", "statefulsets", "replicasets", "jobs", "cronjobs"),
    mentions=(b"serviceAccount",),
    catalogue=("Elastic: Suspicious Assignment of Controller Service Account",),
    needs=("request bodies of pods and workloads",),
    benign=("None known: control loops run in the control plane, not in pods.",),
    investigate=("Who may create workloads in kube-system?",),
    response="Delete the workload, look at what its identity did.",
    action="ran a pod as a control-plane identity",
    confidence="high",
)
def controller_service_account(event: AuditEvent) -> Match | None:
    """A pod in kube-system names the service account of a control loop, which may write nearly everything."""
    pod = pod_of(event)
    if pod is None or pod.namespace != "kube-system":
        return None
    account = text(pod.spec.get("serviceAccountName")) or text(pod.spec.get("serviceAccount"))
    if not account or account in ("coredns", "metrics-server", "kube-proxy"):
        return None
    full = f"system:serviceaccount:kube-system:{account}"
    if not context().allowances.may(full, "control-loops") or context().allowances.known_workload(
        "kube-system", pod.workload
    ):
        return None
    return Match(
        f"{who(event)} made {pod.resource} {place(event)} that runs as {account}", key=f"{pod.namespace}|{pod.workload}"
    )


_CLOUD_ANNOTATIONS = (
    "eks.amazonaws.com/role-arn", "iam.gke.io/gcp-service-account", "azure.workload.identity/client-id",
    "azure.workload.identity/tenant-id",
)  # fmt: skip


@detection(
    id="AU-0612",
    title="Service account linked to a cloud identity",
    severity=Severity.MEDIUM,
    attack=("T1098.001", "T1078.004"),
    on=AuditEvent,
    verbs=("create", "update", "patch"),
    resources=("serviceaccounts",),
    catalogue=("X_CloudIdentityAnnotation",),
    needs=("request bodies of service accounts",),
    benign=("Deployment of an application that uses cloud services.",),
    investigate=("What may the cloud identity do, and does its trust policy name this service account?",),
    response="Remove the annotation, narrow the trust policy of the cloud role.",
    action="linked a service account to a cloud role",
)
def cloud_identity_linked(event: AuditEvent) -> Match | None:
    """An annotation makes every pod of the service account get credentials of a cloud role."""
    if may(event, "system-workloads"):
        return None
    notes = mapping(mapping(written(event).get("metadata")).get("annotations"))
    linked = [
        f"{key.partition('/')[0]}: {text(notes[key])[:120]}" for key in _CLOUD_ANNOTATIONS if text(notes.get(key))
    ]
    if not linked:
        return None
    severity, reasons = grade(event, Severity.LOW if event.verb == "create" else Severity.MEDIUM)
    return Match(
        f"{who(event)} linked service account {place(event)} to {linked[0]}", severity=severity, reasons=tuple(reasons)
    )


@detection(
    id="AU-0613",
    title="Cluster login mapping changed (aws-auth)",
    severity=Severity.HIGH,
    attack=("T1098.006",),
    on=AuditEvent,
    verbs=("create", "update", "patch", "delete"),
    resources=("configmaps",),
    catalogue=("X_ClusterAuthMapChanged", "Elastic: EKS Authentication Configuration Modified"),
    needs=("metadata of writes of ConfigMaps in kube-system",),
    platforms=("eks",),
    platform_notes={
        "aks": "AKS has no such ConfigMap; see CL-0103.",
        "gke": "GKE has no such ConfigMap; see CL-0103.",
        "self-managed": "Only with aws-iam-authenticator.",
    },
    benign=("A new node group (made by EKS itself), an administrator who adds a team.",),
    investigate=("Which role or user was mapped to which group?",),
    response="Restore the mapping; move to access entries, which CloudTrail records.",
    action="changed who may log in to the cluster",
    confidence="high",
)
def aws_auth_changed(event: AuditEvent) -> Match | None:
    """`aws-auth` says which AWS identities become which Kubernetes users: one line makes an outsider an administrator."""
    if (
        event.name != "aws-auth"
        or event.namespace != "kube-system"
        or may(event, "system-workloads")
        or may(event, "control-loops")
    ):
        return None
    body = " ".join(value for value in mapping(written(event).get("data")).values() if isinstance(value, str))
    reasons = ["it maps somebody to system:masters"] if BREAK_GLASS_GROUP in body else []
    severity, found = grade(event, Severity.HIGH, target_namespace="")
    return Match(f"{who(event)} {done(event)} aws-auth", severity=severity, reasons=(*reasons, *found))


@detection(
    id="AU-0614",
    title="API call from an anonymising proxy or a listed address",
    severity=Severity.MEDIUM,
    attack=("T1090.003", "T1078"),
    on=AuditEvent,
    origins=("listed",),
    outcomes=("allowed", "denied", "failed"),
    logic=Logic.LIST,
    catalogue=("K8S_TI_Proxy", "Panther: API Activity from Tor Exit Node"),
    needs=("metadata of all requests", "a list of proxy addresses"),
    benign=("An employee behind a privacy service.",),
    investigate=("Does this person work from such networks?",),
    response="End the caller's sessions, rotate its credentials, restrict the API server's networks.",
    action="called through an anonymising proxy",
)
def listed_address(event: AuditEvent) -> Match | None:
    """The caller's address is a Tor exit, an open proxy or otherwise on a threat list."""
    name = context().networks.threat_list(event.source_ip)
    allowed = event.code < 400
    return Match(
        f"{who(event)} called from {event.source_ip}, on the list {name!r}",
        severity=Severity.MEDIUM if allowed and caller_kind(event.actor) != "anonymous" else Severity.LOW,
        features={"list": name},
        key=f"{event.actor}|{event.source_ip}",
    )


@detection(
    id="AU-0615",
    title="Log pipeline found the caller on a threat list",
    severity=Severity.MEDIUM,
    attack=("T1090.003", "T1078"),
    on=AuditEvent,
    outcomes=("allowed", "denied", "failed"),
    logic=Logic.LIST,
    enriched=True,
    catalogue=("K8S_TI_Proxy", "Panther: API Activity from Tor Exit Node"),
    needs=("records that a pipeline enriched with threat lists",),
    benign=("An employee behind a privacy service.",),
    investigate=("Does this person work from such networks?",),
    response="End the caller's sessions, rotate its credentials, restrict the API server's networks.",
    action="called through an anonymising proxy",
)
def enriched_address(event: AuditEvent) -> Match | None:
    """A pipeline before us looked the addresses up and wrote the result into the record."""
    names = [
        name
        for name in event.threat_lists
        if any(word in name.lower() for word in ("tor", "proxy", "threat", "ioc", "malicious"))
    ]
    return (
        Match(
            f"{who(event)} called from an address on the list {names[0]!r}",
            features={"list": names[0]},
            key=f"{event.actor}|{names[0]}",
        )
        if names
        else None
    )


@detection(
    id="AU-0616",
    title="Everyday use of system:masters",
    severity=Severity.INFORMATIONAL,
    attack=("T1078",),
    on=AuditEvent,
    verbs=("create", "update", "patch", "delete", "deletecollection"),
    actors=("user",),
    enabled=False,
    catalogue=("Falco: Full K8s Administrative Access",),
    needs=("metadata of writes",),
    benign=("Clusters whose only login is the administrator's certificate.",),
    investigate=("Could the change have been made with a narrower identity?",),
    response="Give people roles of their own, keep the group for emergencies.",
    action="worked as a member of system:masters",
    confidence="low",
)
def masters_used(event: AuditEvent) -> Match | None:
    """Members of system:masters pass every authorisation check, and nothing can take that from their certificate."""
    if BREAK_GLASS_GROUP not in event.groups or context().allowances.is_platform(event.actor):
        return None
    return Match(f"{who(event)} changed {event.resource} as a member of system:masters", key=f"{event.actor}|masters")


@detection(
    id="AU-0617",
    title="Unknown node joined the cluster",
    severity=Severity.MEDIUM,
    attack=("T1078", "T1610"),
    on=AuditEvent,
    verbs=("create",),
    resources=("nodes",),
    outcomes=("allowed", "denied"),
    catalogue=(
        "Falco: Untrusted Node Successfully Joined the Cluster",
        "Falco: Untrusted Node Unsuccessfully Tried to Join the Cluster",
    ),
    needs=("metadata of writes of nodes",),
    benign=("A person who registers a node by hand in a laboratory.",),
    investigate=("Is there a machine behind the node, and whose is it?",),
    response="Delete the node, revoke its bootstrap token and certificate.",
    action="added a node to the cluster",
)
def node_joined(event: AuditEvent) -> Match | None:
    """Nodes register themselves with their own credential. Somebody else who makes a node object gets what is scheduled
    there, or its pods' secrets."""
    kind = caller_kind(event.actor)
    if kind == "node" and event.name in ("", event.actor[12:]):
        return None
    if any(may(event, power) for power in ("control-loops", "system-workloads")) or is_own_namespace(
        event, "kube-system"
    ):
        return None
    base = Severity.MEDIUM if event.code < 400 else Severity.LOW
    return Match(f"{who(event)} {'made' if event.code < 400 else 'tried to make'} node {event.name}", severity=base)
