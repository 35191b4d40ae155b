"""What is done to clusters through the clouds' management interfaces."""

from __future__ import annotations

import re
from typing import Any

from seawall.detection.context import context
from seawall.detection.declaration import detection
from seawall.detection.workloads import all_texts, at, items, mapping, text, texts
from seawall.domain.alerts import Match
from seawall.domain.audit_events import CloudActivity
from seawall.domain.severity import Severity

AKS = "microsoft.containerservice/managedclusters"


_GKE = (
    "google.container.v1.clustermanager.",
    "google.container.v1beta1.clustermanager.",
    "google.container.v1alpha1.clustermanager.",
)


PLATFORMS: dict[str, Any] = {
    "platforms": ("aks", "eks", "gke"),
    "platform_notes": {"self-managed": "No cloud management log."},
}


NEEDS = ("cloud management log (Azure Activity, CloudTrail, Google Admin Activity)",)


def gke(*names: str) -> tuple[str, ...]:
    """Return GKE's method names in each API version."""
    return tuple(prefix + name.lower() for prefix in _GKE for name in names)


def _who(event: CloudActivity) -> str:
    return event.actor or "An unnamed principal"


def place(event: CloudActivity) -> str:
    return event.cluster or event.resource or event.account or "a cluster"


def graded(event: CloudActivity, base: Severity, message: str, *reasons: str, key: str = "") -> Match:
    kind = context().networks.kind(event.source_ip)
    if kind == "listed":
        base = max(base, Severity.HIGH)
        reasons = (*reasons, f"the address {event.source_ip} is on a threat list")
    if context().is_production("", event.cluster):
        reasons = (*reasons, "the cluster's name says production")
    return Match(f"{_who(event)} {message}", severity=base, reasons=reasons, key=key)


@detection(
    id="CL-0101",
    title="Cluster administrator credentials downloaded",
    severity=Severity.MEDIUM,
    attack=("T1552", "T1078.004"),
    on=CloudActivity,
    operations=(
        f"{AKS}/listclusteradmincredential/action",
        f"{AKS}/accessprofiles/listcredential/action",
        f"{AKS}/accessprofiles/clusteradmin/listcredential/action",
        f"{AKS}/listclusterusercredential/action",
        "microsoft.kubernetes/connectedclusters/listclusterusercredential/action",
        "microsoft.kubernetes/connectedclusters/listclusterusercredentials/action",
    ),
    catalogue=("X_ClusterAdminCredentialPull",),
    needs=NEEDS,
    benign=("Pipelines that still use the local administrator account.",),
    investigate=("Was the certificate used afterwards (user masterclient in the audit log)?",),
    response="Switch local accounts off, rotate the cluster's certificates.",
    action="downloaded the cluster's administrator credentials",
    platforms=("aks",),
    platform_notes={"eks": "EKS gives out no shared credential.", "gke": "GKE removed it with basic authentication."},
    confidence="high",
)
def admin_credentials_downloaded(event: CloudActivity) -> Match | None:
    """AKS gives out the local administrator's certificate, which is not tied to a person and does not end with an account."""
    admin = (
        "admin" in event.operation or "clusteradmin" in event.resource.lower() or "accessprofiles" in event.operation
    )
    base = Severity.MEDIUM if admin else Severity.INFORMATIONAL
    return graded(event, base, f"downloaded {'administrator' if admin else 'user'} credentials of {place(event)}")


@detection(
    id="CL-0102",
    title="Command run through the cloud's management interface",
    severity=Severity.MEDIUM,
    attack=("T1609", "T1651"),
    on=CloudActivity,
    operations=(
        f"{AKS}/runcommand/action",
        f"{AKS}/commandresults/read",
        "microsoft.compute/virtualmachinescalesets/virtualmachines/runcommand/action",
        "microsoft.compute/virtualmachines/runcommand/action",
        "ssm:sendcommand",
        "ssm:startsession",
    ),
    catalogue=("runtime-coverage: AKS run-command",),
    needs=NEEDS,
    benign=("Administration of private clusters without a jump host.",),
    investigate=("The command itself is not in the log: look at the command's pod in the namespace aks-command.",),
    response="Take the run-command action from the role.",
    action="ran a command through the cloud",
    **PLATFORMS,
)
def cloud_run_command(event: CloudActivity) -> Match | None:
    """`az aks command invoke` runs anything as cluster administrator, past network rules and Kubernetes RBAC."""
    if event.operation.endswith("/read"):
        return None
    cluster = event.operation.startswith(AKS)
    nodes = cluster or re.search(r"aks-|eks|gke|kube", event.resource.lower()) is not None
    return (
        graded(
            event,
            Severity.MEDIUM if cluster else Severity.LOW,
            f"ran a command on {place(event)} through {event.operation}",
        )
        if nodes
        else None
    )


_ADMIN_ROLES = re.compile(
    r"b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b|0ab0b1a8-8aac-4efd-b8c2-3ee1fb270be8|3498e952-d568-435e-9b2c-8d77e338d7f7|"
    r"ed7f3fbd-7b88-4dd4-9017-9adb7ce333f8|8393591c-06b9-48a2-a542-1bd6b377f6a2"
)
"""Azure roles: AKS RBAC Cluster Admin, AKS Cluster Admin, AKS RBAC Admin, AKS Contributor, Arc Kubernetes Cluster Admin."""


@detection(
    id="CL-0103",
    title="Cluster login or administrator mapping changed",
    severity=Severity.HIGH,
    attack=("T1098.006", "T1098.003"),
    on=CloudActivity,
    operations=(
        "eks:createaccessentry",
        "eks:updateaccessentry",
        "eks:associateaccesspolicy",
        "eks:deleteaccessentry",
        "eks:disassociateaccesspolicy",
        "microsoft.authorization/roleassignments/write",
        "setiampolicy",
        "google.iam.v1.iampolicy.setiampolicy",
        "eks:associateidentityproviderconfig",
    ),
    catalogue=(
        "X_ClusterAuthMapChanged",
        "Elastic: EKS Access Entry Modified",
        "Elastic: EKS Access Entry Granted Cluster Admin Policy",
    ),
    needs=NEEDS,
    benign=("Terraform or Bicep that sets the cluster up.",),
    investigate=("Who gets in, with which rights?",),
    response="Remove the entry or role assignment.",
    action="gave somebody administrator access to the cluster",
    **PLATFORMS,
)
def cluster_access_changed(event: CloudActivity) -> Match | None:
    """An EKS access entry, an Azure role assignment or a Google IAM binding made somebody able to log in as administrator."""
    request, operation = event.request, event.operation
    if operation.startswith("eks:"):
        policy, groups = text(request.get("policyArn")), texts(request.get("kubernetesGroups"))
        principal = text(request.get("principalArn"))
        if "AmazonEKSClusterAdminPolicy" in policy or "AmazonEKSAdminPolicy" in policy or "system:masters" in groups:
            return graded(event, Severity.HIGH, f"made {principal or 'somebody'} an administrator of {place(event)}")
        base = (
            Severity.LOW if operation in ("eks:deleteaccessentry", "eks:disassociateaccesspolicy") else Severity.MEDIUM
        )
        return graded(
            event, base, f"changed who may log in to {place(event)} ({operation.removeprefix('eks:')}, {principal})"
        )
    if operation.startswith("microsoft.authorization"):
        words = " ".join(all_texts(request)) + event.resource
        if not _ADMIN_ROLES.search(words.lower()) or (
            "microsoft.containerservice" not in words.lower() and "microsoft.kubernetes" not in words.lower()
        ):
            return None
        return graded(event, Severity.HIGH, f"assigned a cluster administrator role at {event.resource[-160:]}")
    bindings = [mapping(item) for item in items(at(request, "policy", "bindings"))]
    deltas = [
        mapping(item) for item in items(at(event.response, "serviceData", "policyDelta", "bindingDeltas"))
    ] or bindings
    for item in deltas:
        if (
            text(item.get("role")) in ("roles/container.admin", "roles/container.clusterAdmin", "roles/owner")
            and item.get("action", "ADD") == "ADD"
        ):
            everyone = {"allUsers", "allAuthenticatedUsers"} & set(texts(item.get("members")))
            if text(item.get("role")) == "roles/owner" and not everyone:
                continue
            return graded(
                event,
                Severity.HIGH if everyone or deltas is not bindings else Severity.MEDIUM,
                f"granted {text(item.get('role'))} in {event.account or event.resource}",
            )
    return None


@detection(
    id="CL-0104",
    title="Cluster's API endpoint made public",
    severity=Severity.MEDIUM,
    attack=("T1562.007",),
    on=CloudActivity,
    operations=("eks:updateclusterconfig", f"{AKS}/write", *gke("UpdateCluster", "SetMasterAuth", "UpdateMaster")),
    catalogue=("X_PublicEndpointOpened",),
    needs=(*NEEDS, "request parameters"),
    benign=("A planned change.",),
    investigate=("Who can reach the endpoint now?",),
    response="Restore the private endpoint or the authorised ranges.",
    action="made the cluster's endpoint public",
    **PLATFORMS,
)
def endpoint_made_public(event: CloudActivity) -> Match | None:
    """Public access was switched on, or the list of allowed networks emptied or widened to everybody."""
    why = _public_why(event)
    return graded(event, Severity.MEDIUM, f"opened the API endpoint of {place(event)}: {why}") if why else None


_ANYWHERE = {"0.0.0.0/0", "::/0", "0.0.0.0/1"}


def _public_why(event: CloudActivity) -> str:
    request = event.request
    if event.provider == "aws":
        access = mapping(request.get("resourcesVpcConfig"))
        ranges = texts(access.get("publicAccessCidrs"))
        if _ANYWHERE & set(ranges):
            return "every address may call"
        return "public access on" if access.get("endpointPublicAccess") is True and not ranges else ""
    if event.provider == "azure":
        profile = mapping(at(request, "properties", "apiServerAccessProfile"))
        if _ANYWHERE & set(texts(profile.get("authorizedIPRanges"))) or profile.get("authorizedIPRanges") == []:
            return "every address may call"
        if (
            profile.get("enablePrivateCluster") is False
            or text(at(request, "properties", "publicNetworkAccess")).lower() == "enabled"
        ):
            return "the private endpoint is off"
        return ""
    update = mapping(request.get("update"))
    networks = mapping(update.get("desiredMasterAuthorizedNetworksConfig"))
    blocks = {text(mapping(block).get("cidrBlock")) for block in items(networks.get("cidrBlocks"))}
    if blocks & _ANYWHERE or ("desiredMasterAuthorizedNetworksConfig" in update and not networks.get("enabled")):
        return "every address may call"
    endpoint = mapping(at(update, "desiredControlPlaneEndpointsConfig", "ipEndpointsConfig"))
    return (
        "the public endpoint is on"
        if endpoint.get("enablePublicEndpoint") is True or update.get("desiredEnablePrivateEndpoint") is False
        else ""
    )


@detection(
    id="CL-0106",
    title="Local accounts or weaker login switched on",
    severity=Severity.MEDIUM,
    attack=("T1098", "T1556"),
    on=CloudActivity,
    operations=(f"{AKS}/write", *gke("UpdateCluster", "SetMasterAuth", "SetLegacyAbac"), "eks:updateclusterconfig"),
    catalogue=("runtime-coverage: AKS local-account credentials",),
    needs=(*NEEDS, "request parameters"),
    benign=("Emergency access.",),
    investigate=("Who downloads credentials next?",),
    response="Switch it off again.",
    action="weakened how people log in to the cluster",
    **PLATFORMS,
)
def weaker_login(event: CloudActivity) -> Match | None:
    """Local accounts (AKS), basic authentication, client certificates or legacy authorisation (GKE) were switched on."""
    request = event.request
    why = ""
    if event.operation.endswith("setlegacyabac") and request.get("enabled") is True:
        why = "legacy authorisation on"
    elif at(request, "properties", "disableLocalAccounts") is False:
        why = "local accounts on"
    elif at(request, "properties", "enableRBAC") is False:
        why = "RBAC off"
    elif (
        text(at(request, "update", "password"))
        or at(request, "update", "clientCertificateConfig", "issueClientCertificate") is True
    ):
        why = "basic or certificate login on"
    return graded(event, Severity.MEDIUM, f"weakened the login of {place(event)}: {why}") if why else None


@detection(
    id="CL-0107",
    title="Cluster or node pool deleted",
    severity=Severity.MEDIUM,
    attack=("T1485", "T1489"),
    on=CloudActivity,
    operations=(
        f"{AKS}/delete",
        f"{AKS}/agentpools/delete",
        "microsoft.kubernetes/connectedclusters/delete",
        "eks:deletecluster",
        "eks:deletenodegroup",
        "eks:deletefargateprofile",
        *gke("DeleteCluster", "DeleteNodePool"),
    ),
    catalogue=("Sigma: Azure Kubernetes Cluster Created or Deleted", "X_MassDeletion"),
    needs=NEEDS,
    benign=("A test cluster, a pool that is replaced.",),
    investigate=("Is it a production cluster?",),
    response="Restore from backup; lock production resources against deletion.",
    action="deleted a cluster",
    **PLATFORMS,
)
def cluster_deleted(event: CloudActivity) -> Match | None:
    """A cluster or its nodes were deleted."""
    cluster = event.operation.endswith(("managedclusters/delete", "connectedclusters/delete", "deletecluster"))
    production = context().is_production("", event.cluster)
    base = Severity.HIGH if cluster and production else Severity.MEDIUM if cluster else Severity.LOW
    return graded(event, base, f"deleted {'cluster' if cluster else 'nodes of'} {place(event)}")


_ARM_KUBERNETES = tuple(
    f"{root}/{path}"
    for root in (AKS, "microsoft.kubernetes/connectedclusters")
    for path in (
        "rbac.authorization.k8s.io/clusterrolebindings/write", "rbac.authorization.k8s.io/clusterrolebindings/delete",
        "rbac.authorization.k8s.io/rolebindings/write", "rbac.authorization.k8s.io/rolebindings/delete",
        "rbac.authorization.k8s.io/clusterroles/write", "rbac.authorization.k8s.io/clusterroles/delete",
        "rbac.authorization.k8s.io/clusterroles/bind/action", "rbac.authorization.k8s.io/clusterroles/escalate/action",
        "rbac.authorization.k8s.io/roles/bind/action", "rbac.authorization.k8s.io/roles/escalate/action",
        "admissionregistration.k8s.io/mutatingwebhookconfigurations/write", "admissionregistration.k8s.io/validatingwebhookconfigurations/write",
        "admissionregistration.k8s.io/mutatingwebhookconfigurations/delete", "admissionregistration.k8s.io/validatingwebhookconfigurations/delete",
        "batch/cronjobs/write", "batch/jobs/write", "events.k8s.io/events/delete", "events/delete",
        "networking.k8s.io/networkpolicies/write", "networking.k8s.io/networkpolicies/delete", "extensions/networkpolicies/delete", "pods/delete",
        "secrets/write", "secrets/delete", "secrets/read", "configmaps/write", "configmaps/delete", "pods/exec/action",
        "serviceaccounts/write", "serviceaccounts/delete", "serviceaccounts/impersonate/action",
    )
)  # fmt: skip


@detection(
    id="CL-0109",
    title="Kubernetes object changed through Azure's management interface",
    severity=Severity.LOW,
    attack=("T1098.006",),
    on=CloudActivity,
    operations=_ARM_KUBERNETES,
    catalogue=(
        "Panther: Azure Kubernetes RoleBinding Created",
        "Sigma: Azure Kubernetes RoleBinding/ClusterRoleBinding Modified and Deleted",
        "Sigma: Azure Kubernetes Secret or Config Object Access",
        "Sigma: Azure Kubernetes Sensitive Role Access",
        "Sigma: Azure Kubernetes Service Account Modified or Deleted",
        "Sigma: Azure Kubernetes CronJob",
        "Sigma: Azure Kubernetes Events Deleted",
        "Sigma: Azure Kubernetes Network Policy Change",
        "Sigma: Azure Kubernetes Pods Deleted",
        "Sigma: Azure Kubernetes Admission Controller",
    ),
    needs=NEEDS,
    benign=("Administration through Azure RBAC or Azure Arc.",),
    investigate=("The cluster's own audit log has the object's contents.",),
    response="As for the object: see the AU analytics.",
    action="changed a Kubernetes object through Azure",
    platforms=("aks",),
    platform_notes={"eks": "AWS has no such interface.", "gke": "GKE calls are audit events."},
)
def arm_kubernetes_write(event: CloudActivity) -> Match | None:
    """Azure RBAC for Kubernetes and Azure Arc write bindings, webhooks, policies and secrets through ARM operations."""
    operation = event.operation
    strong = (
        "clusterrolebindings/write" in operation
        or "escalate" in operation
        or "bind/" in operation
        or "impersonate" in operation
        or "webhookconfigurations" in operation
        or "events" in operation
    )
    base = Severity.MEDIUM if strong else Severity.LOW
    if any(word in operation for word in ("pods/delete", "secrets/read", "configmaps", "cronjobs", "jobs/")):
        base = Severity.INFORMATIONAL
    return graded(event, base, f"did {operation.split('/', 2)[-1]} on {event.resource[-200:]}")


@detection(
    id="CL-0110",
    title="Workload identity linked to a cloud role",
    severity=Severity.MEDIUM,
    attack=("T1098.001", "T1078.004"),
    on=CloudActivity,
    operations=(
        "eks:createpodidentityassociation",
        "eks:updatepodidentityassociation",
        "microsoft.managedidentity/userassignedidentities/federatedidentitycredentials/write",
        "google.iam.admin.v1.setiampolicy",
        "google.iam.v1.iampolicy.setiampolicy",
    ),
    catalogue=("X_CloudIdentityAnnotation",),
    needs=NEEDS,
    benign=("Deployment of an application that uses cloud services.",),
    investigate=("What may the role do?",),
    response="Remove the association.",
    action="linked a service account to a cloud role",
    **PLATFORMS,
)
def pod_identity_linked(event: CloudActivity) -> Match | None:
    """Pods of a service account get the credentials of a cloud role from now on."""
    request = event.request
    if event.provider == "gcp":
        members = [
            m
            for item in items(at(request, "policy", "bindings"))
            if text(mapping(item).get("role")) == "roles/iam.workloadIdentityUser"
            for m in texts(mapping(item).get("members"))
        ]
        return (
            graded(event, Severity.LOW, f"let {members[0][:160]} act as {event.resource[-160:]}") if members else None
        )
    account = "/".join(part for part in (text(request.get("namespace")), text(request.get("serviceAccount"))) if part)
    role = text(request.get("roleArn")) or event.resource.split("/federatedIdentityCredentials")[0].rpartition("/")[2]
    powerful = re.search(r"admin|poweruser|root", role, re.IGNORECASE)
    return graded(
        event,
        Severity.MEDIUM if powerful else Severity.LOW,
        f"linked {account or 'a workload'} of {place(event)} to {role[-160:]}",
    )


@detection(
    id="CL-0113",
    title="Management call refused",
    severity=Severity.LOW,
    attack=("T1526", "T1580"),
    on=CloudActivity,
    operations=(
        "eks:describecluster",
        "eks:listclusters",
        "eks:accesskubernetesapi",
        "eks:createaccessentry",
        "eks:associateaccesspolicy",
        "eks:updateclusterconfig",
        f"{AKS}/listclusteradmincredential/action",
        f"{AKS}/runcommand/action",
        f"{AKS}/write",
        "microsoft.authorization/roleassignments/write",
        *gke("GetCluster", "ListClusters", "UpdateCluster", "SetMasterAuth"),
    ),
    outcomes=("denied",),
    catalogue=("X_ForbiddenBurst", "Splunk: Amazon EKS Kubernetes cluster scan"),
    needs=NEEDS,
    benign=("A role that is too narrow.",),
    investigate=("What else did this principal try?",),
    response="None alone.",
    action="was refused a management call",
    confidence="low",
    **PLATFORMS,
)
def management_refused(event: CloudActivity) -> Match | None:
    """Somebody tried to change, reach or list clusters and was refused."""
    changes = (
        not re.search(r"describe|list|get", event.operation.rpartition(":")[2].rpartition(".")[2])
        or "listclusteradmin" in event.operation
    )
    return graded(
        event,
        Severity.LOW if changes else Severity.INFORMATIONAL,
        f"was refused {event.operation}",
        key=f"{event.actor}|refused|{changes}",
    )
