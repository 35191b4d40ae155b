"""What discovery reads, and the right that each reading needs: the one table that roles, chart and documentation follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class KubernetesKind:
    """One kind that is listed. `versions` are tried in order; `metadata_only` = names and labels, no content.

    `optional` kinds are of add-ons: that a cluster does not serve them is no news.
    """

    group: str
    versions: tuple[str, ...]
    resource: str
    kind: str
    namespaced: bool
    purpose: str
    optional: bool = False
    metadata_only: bool = False

    def path(self, version: str, namespace: str = "", name: str = "") -> str:
        """Return the URL path of the collection, or of one object."""
        root = f"/apis/{self.group}/{version}" if self.group else f"/api/{version}"
        place = f"/namespaces/{namespace}" if namespace else ""
        return f"{root}{place}/{self.resource}" + (f"/{name}" if name else "")

    def api_version(self, version: str) -> str:
        """Return the apiVersion of its objects."""
        return f"{self.group}/{version}" if self.group else version


def _kind(
    group: str,
    resource: str,
    kind: str,
    purpose: str,
    *versions: str,
    namespaced: bool = True,
    optional: bool = False,
    metadata_only: bool = False,
) -> KubernetesKind:
    return KubernetesKind(group, versions or ("v1",), resource, kind, namespaced, purpose, optional, metadata_only)


_RBAC: Final = "rbac.authorization.k8s.io"
_ADMISSION: Final = "admissionregistration.k8s.io"
_NETWORK: Final = "networking.k8s.io"
_GATEWAY: Final = "gateway.networking.k8s.io"

KUBERNETES: Final[tuple[KubernetesKind, ...]] = (
    _kind("", "nodes", "Node", "node versions, capacity (metering), kernel and runtime", namespaced=False),
    _kind("", "namespaces", "Namespace", "Pod Security levels, teams", namespaced=False),
    _kind("", "pods", "Pod", "what runs, from which image, with which rights"),
    _kind("", "services", "Service", "what is reachable from outside"),
    _kind("", "serviceaccounts", "ServiceAccount", "identities and the cloud roles they may assume"),
    _kind("", "secrets", "Secret", "which secrets exist and who uses them: names and labels only", metadata_only=True),
    _kind("", "configmaps", "ConfigMap", "credentials in plain text, settings of kubelet, proxy and DNS"),
    _kind("", "persistentvolumes", "PersistentVolume", "host paths and disks behind volumes", namespaced=False),
    _kind("", "persistentvolumeclaims", "PersistentVolumeClaim", "which workload holds which volume"),
    _kind("", "limitranges", "LimitRange", "defaults of containers' limits"),
    _kind("", "resourcequotas", "ResourceQuota", "bounds of namespaces"),
    _kind("", "replicationcontrollers", "ReplicationController", "workloads"),
    _kind("apps", "deployments", "Deployment", "workloads"),
    _kind("apps", "replicasets", "ReplicaSet", "which deployment a pod belongs to"),
    _kind("apps", "daemonsets", "DaemonSet", "workloads"),
    _kind("apps", "statefulsets", "StatefulSet", "workloads"),
    _kind("batch", "jobs", "Job", "workloads"),
    _kind("batch", "cronjobs", "CronJob", "workloads"),
    _kind(_NETWORK, "networkpolicies", "NetworkPolicy", "which pods may talk to which"),
    _kind(_NETWORK, "ingresses", "Ingress", "what is reachable from outside, with or without TLS"),
    _kind(_NETWORK, "ingressclasses", "IngressClass", "which controller serves an ingress", namespaced=False),
    _kind("policy", "poddisruptionbudgets", "PodDisruptionBudget", "availability during upgrades"),
    _kind(_RBAC, "roles", "Role", "rights"),
    _kind(_RBAC, "rolebindings", "RoleBinding", "who holds them"),
    _kind(_RBAC, "clusterroles", "ClusterRole", "rights", namespaced=False),
    _kind(_RBAC, "clusterrolebindings", "ClusterRoleBinding", "who holds them", namespaced=False),
    _kind(_ADMISSION, "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", "admission control and its gaps", namespaced=False),
    _kind(_ADMISSION, "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", "who may change every pod", namespaced=False),
    _kind(_ADMISSION, "validatingadmissionpolicies", "ValidatingAdmissionPolicy", "admission control", "v1", "v1beta1", namespaced=False, optional=True),
    _kind(_ADMISSION, "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", "admission control", "v1", "v1beta1", namespaced=False, optional=True),
    _kind("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", "which add-ons are installed", namespaced=False),
    _kind("apiregistration.k8s.io", "apiservices", "APIService", "who answers for parts of the API", namespaced=False),
    _kind("storage.k8s.io", "storageclasses", "StorageClass", "encryption of volumes", namespaced=False),
    _kind("scheduling.k8s.io", "priorityclasses", "PriorityClass", "what may evict what", namespaced=False),
    _kind("node.k8s.io", "runtimeclasses", "RuntimeClass", "sandboxed runtimes", namespaced=False),
    _kind("autoscaling", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "replica counts that are not written down", "v2"),
    _kind(_GATEWAY, "gateways", "Gateway", "what is reachable from outside", "v1", "v1beta1", optional=True),
    _kind(_GATEWAY, "gatewayclasses", "GatewayClass", "which controller serves a gateway", "v1", "v1beta1", namespaced=False, optional=True),
    _kind(_GATEWAY, "httproutes", "HTTPRoute", "what is reachable from outside", "v1", "v1beta1", optional=True),
    _kind("policy.networking.k8s.io", "adminnetworkpolicies", "AdminNetworkPolicy", "which pods may talk to which", "v1alpha1", namespaced=False, optional=True),
    _kind("cilium.io", "ciliumnetworkpolicies", "CiliumNetworkPolicy", "which pods may talk to which", "v2", optional=True),
    _kind("cilium.io", "ciliumclusterwidenetworkpolicies", "CiliumClusterwideNetworkPolicy", "which pods may talk to which", "v2", namespaced=False, optional=True),
    _kind("security.istio.io", "peerauthentications", "PeerAuthentication", "encryption between pods", "v1", "v1beta1", optional=True),
    _kind("security.istio.io", "authorizationpolicies", "AuthorizationPolicy", "which pods may talk to which", "v1", "v1beta1", optional=True),
    _kind("templates.gatekeeper.sh", "constrainttemplates", "ConstraintTemplate", "admission control", "v1", "v1beta1", namespaced=False, optional=True),
    _kind("kyverno.io", "clusterpolicies", "ClusterPolicy", "admission control", "v1", namespaced=False, optional=True),
    _kind("secrets-store.csi.x-k8s.io", "secretproviderclasses", "SecretProviderClass", "secrets from a vault", "v1", optional=True),
)  # fmt: skip

BY_RESOURCE: Final = {(kind.group, kind.resource): kind for kind in KUBERNETES}
BY_KIND: Final = {kind.kind: kind for kind in KUBERNETES}


@dataclass(frozen=True, slots=True)
class CloudRight:
    """One permission in a cloud, as that cloud spells it, and the reading that needs it."""

    cloud: str
    permission: str
    purpose: str


def _rights(cloud: str, rows: dict[str, str]) -> tuple[CloudRight, ...]:
    return tuple(CloudRight(cloud, permission, purpose) for permission, purpose in rows.items())


CLOUD: Final[tuple[CloudRight, ...]] = (
    *_rights(
        "azure",
        {
            "Microsoft.ResourceGraph/resources/read": "find every cluster and registry in the subscriptions by one query",
            "Microsoft.ContainerService/managedClusters/read": "AKS clusters with their settings",
            "Microsoft.ContainerService/managedClusters/agentPools/read": "node pools",
            "Microsoft.Kubernetes/connectedClusters/read": "Arc-enabled clusters",
            "Microsoft.ContainerRegistry/registries/read": "registries with their settings",
            "Microsoft.KubernetesConfiguration/extensions/read": "extensions of clusters",
            "Microsoft.Insights/diagnosticSettings/read": "whether audit logs are collected",
            "Microsoft.Authorization/roleAssignments/read": "who holds which role on clusters and registries",
            "Microsoft.PolicyInsights/policyStates/queryResults/read": "compliance states of Azure Policy",
            "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action": "address and certificate authority of a cluster's API server",
        },
    ),
    *_rights(
        "aws",
        {
            "sts:GetCallerIdentity": "the account's number",
            "ec2:DescribeRegions": "which regions are enabled, where none are named",
            "eks:ListClusters": "EKS clusters",
            "eks:DescribeCluster": "their settings, address and certificate authority",
            "eks:ListNodegroups": "node groups",
            "eks:DescribeNodegroup": "their settings",
            "eks:ListFargateProfiles": "Fargate profiles",
            "eks:DescribeFargateProfile": "their settings",
            "eks:ListAddons": "add-ons",
            "eks:DescribeAddon": "their versions",
            "eks:ListAccessEntries": "who may use a cluster",
            "eks:DescribeAccessEntry": "with which rights",
            "ecr:DescribeRepositories": "repositories with their settings",
            "ecr:GetRegistryScanningConfiguration": "whether pushes are scanned",
            "ecr:GetLifecyclePolicy": "whether old images are removed",
            "ecr:GetRepositoryPolicy": "who may pull and push",
            "ecs:ListClusters": "ECS clusters",
            "ecs:DescribeClusters": "their settings",
            "ecs:ListTasks": "tasks that run, on Fargate too",
            "ecs:DescribeTasks": "their containers and images",
        },
    ),
    *_rights(
        "gcp",
        {
            "container.clusters.list": "GKE clusters and node pools with their settings",
            "artifactregistry.locations.list": "where repositories can be",
            "artifactregistry.repositories.list": "repositories with their settings",
            "run.locations.list": "where Cloud Run services can be",
            "run.services.list": "Cloud Run services, their images and identities",
            "container.clusters.get": "address and certificate authority of a cluster's API server",
        },
    ),
)


def cluster_role() -> dict[str, object]:
    """Return the ClusterRole that discovery needs: list and watch, and get for re-reading one changed object.

    Kubernetes has no right for metadata alone: the role allows reading Secrets, and the client asks for their metadata only
    (`PartialObjectMetadata`). A cluster that must not grant it leaves the rule out; secrets are then known by their users.
    """
    groups: dict[tuple[str, bool], list[str]] = {}
    for kind in KUBERNETES:
        groups.setdefault((kind.group, kind.metadata_only), []).append(kind.resource)
    rules: list[dict[str, object]] = [
        {"apiGroups": [group], "resources": sorted(resources), "verbs": ["get", "list", "watch"]}
        for (group, _), resources in sorted(groups.items())
    ]
    rules.append({"nonResourceURLs": ["/version"], "verbs": ["get"]})
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "seawall-discovery"},
        "rules": rules,
    }
