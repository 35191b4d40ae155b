"""What happened, as the predicate of a sentence: "took cluster-admin", "read secrets in bulk".

An analytic says its own in `Detection.action`; the tables here answer for those that do not, by the public catalogue
identifiers that an analytic answers, and last by ATT&CK technique.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from seawall.detection.declaration import Detection
from seawall.domain.alerts import Alert
from seawall.domain.attack import technique

Phrase = Callable[[Alert], str]
"""Returns the predicate of a sentence about an alert, without subject, place or full stop."""

BY_CATALOGUE: dict[str, str] = {
    "K8S_ExposedPostgresTrustAuth": "exposed a password-less PostgreSQL",
    "K8S_ExposedPostgresBroadIPRange": "exposed PostgreSQL to a wide address range",
    "K8S_AbnormalMiActivity": "used an add-on's cloud identity out of character",
    "K8S_ServiceAccountRareOperation": "did what it never did before",
    "K8S_SensitiveMount": "mounted a sensitive host path",
    "K8S_CoreDnsModification": "changed the cluster's DNS",
    "K8S_AdmissionController": "registered an admission webhook",
    "K8S_MaliciousContainerImage": "started a known malicious image",
    "K8S_ExposedKubeflow": "opened Kubeflow to the internet",
    "K8S_ExposedDashboard": "opened the Kubernetes Dashboard to the internet",
    "K8S_ExposedService": "opened a sensitive service to the internet",
    "K8S_ExposedRedis": "opened Redis to the internet",
    "K8S_TI_Proxy": "called the API through an anonymising proxy",
    "K8S_DeleteEvents": "deleted Kubernetes events",
    "K8S_PenTestToolsKubeHunter": "ran a Kubernetes attack tool against the API",
    "K8S_KubeSystemContainer": "started an unknown pod in kube-system",
    "K8S_HighPrivilegesRole": "made a very powerful role",
    "K8S_PrivilegedContainer": "started a privileged container",
    "K8S_ClusterAdminBinding": "took cluster-admin",
    "K8S_SuspiciousServiceAccountOperation†": "probed its own permissions",
    "K8S_AnomalousPodDeployment": "deployed an unusual pod",
    "K8S_ServiceAcountPermissionAnomaly": "gave a service account unusual permissions",
    "K8S_AnomalousSecretAccess": "read secrets in an unusual way",
    "X_ExecIntoContainer": "opened a shell in a container",
    "X_EphemeralContainer": "added a debug container",
    "X_NodeDebugPod": "started a node debug pod",
    "X_PortForward": "forwarded a port to a sensitive workload",
    "X_SecretBulkRead": "read all secrets",
    "X_SystemSecretRead": "read platform secrets",
    "X_AnonymousAccess": "used the API without logging in",
    "X_AnonymousBinding": "gave permissions to everyone",
    "X_ForbiddenBurst": "was denied many API calls",
    "X_HostNamespacePod": "started a pod in the host's namespaces",
    "X_DangerousCapabilities": "started a container with dangerous capabilities",
    "X_RuntimeSocketMount": "mounted the container runtime's socket",
    "X_StaticPodDirMount": "mounted the static-pod directory",
    "X_UnexpectedMirrorPod": "ran an unknown static pod",
    "X_CronJobCreated": "planted a CronJob",
    "X_DaemonSetRollout": "rolled a DaemonSet out to all nodes",
    "X_SidecarInjected": "injected a container into a workload",
    "X_NameMasquerade": "disguised a workload as a platform component",
    "X_FirstSeenRegistry": "ran an image from a new registry",
    "X_ImageSwap": "switched a workload to a foreign image",
    "X_TokenRequest": "minted a service-account token",
    "X_LongLivedTokenSecret": "made a token that never expires",
    "X_CsrAbuse": "requested a privileged client certificate",
    "X_Impersonation": "impersonated another identity",
    "X_EscalateVerbs": "granted itself escalation rights",
    "X_NodeProxy": "reached a kubelet through the API server",
    "X_ControlPlaneScheduling": "forced a pod onto a control-plane node",
    "X_MassDeletion": "deleted resources in bulk",
    "X_BackupDestroyed": "destroyed backups",
    "X_NetworkPolicyRemoved": "removed network isolation",
    "X_AdmissionWeakened": "weakened admission control",
    "X_SensorTampered": "tampered with the security sensor",
    "X_ServiceExternalIPs": "redirected traffic by external IPs",
    "X_NodePortExposed": "exposed a sensitive port on the nodes",
    "X_IngressExposed": "published a sensitive application",
    "X_NewGeoAccess": "used the API from a new network",
    "X_NodeIdentityMisuse": "misused a node's credential",
    "X_TokenUsedOffCluster": "used a pod's token from outside the cluster",
    "X_ScaleAbuse": "scaled resources up suddenly",
    "X_OperatorOverreach": "acted outside its operator's purpose",
    "X_CloudIdentityAnnotation": "linked a service account to a cloud role",
    "X_ClusterAdminCredentialPull": "downloaded admin credentials",
    "X_ClusterAuthMapChanged": "changed who may log in to the cluster",
    "X_PublicEndpointOpened": "made the API endpoint public",
    "X_ClusterLoggingDisabled": "switched audit logging off",
    "X_RegistryImageTamper": "overwrote a trusted image",
    "X_RegistryExposed": "opened a registry to anyone",
    "X_MassImagePull": "pulled images in bulk",
    "K8S.NODE_DigitalCurrencyMining": "mined cryptocurrency",
    "K8S.NODE_CryptoCoinMinerArtifacts": "ran a crypto miner",
    "K8S.NODE_CryptoCoinMinerExecution": "ran a process the way miners do",
    "K8S.NODE_CryptoCoinMinerDownload": "downloaded a crypto miner",
    "K8S.NODE_MiningPoolAccess†": "contacted a mining pool",
    "K8S.NODE_ReverseShell": "opened a reverse shell",
    "K8S.NODE_WebShellActivity†": "ran commands through a web shell",
    "K8S.NODE_Webshell": "ran a web shell",
    "K8S.NODE_NetworkScanTool†": "scanned the network",
    "K8S.NODE_TokenAccess†": "read a service-account token",
    "K8S.NODE_SensitiveFileAccess†": "read credential files",
    "K8S.NODE_SecretRecon†": "searched for secrets",
    "K8S.NODE_ImdsCall": "requested a cloud metadata token",
    "K8S.NODE_KubernetesAPI": "called the Kubernetes API in an unusual way",
    "K8S.NODE_DriftDetected†": "ran a binary that is not in the image",
    "K8S.NODE_DriftBlocked": "tried to run a binary that is not in the image",
    "K8S.NODE_MalwareDetected†": "ran malware",
    "K8S.NODE_MalwareBlocked": "tried to run malware",
    "K8S.NODE_KubeConfigAccess": "read the node's kubelet credentials",
    "K8S.NODE_LdPreload†": "changed ld.so.preload",
    "K8S.NODE_CpuOptimization†": "tuned the host for mining",
    "K8S.NODE_Base64Script†": "ran an encoded script",
    "K8S.NODE_ReconnaissanceArtifactsBurst": "explored the system",
    "K8S.NODE_DownloadAndRunCombo": "downloaded and ran a program",
    "K8S.NODE_SuspectDownload": "downloaded from a bad source",
    "K8S.NODE_SuspectDownloadArtifacts": "downloaded a suspicious file",
    "K8S.NODE_KnownLinuxAttackTool": "ran an attack tool",
    "K8S.NODE_DbSpawn†": "started a program from a database server",
    "K8S.NODE_JavaExploit†": "was exploited through Java",
    "K8S_DNS_ThreatIntelDomain†": "contacted a malicious domain",
    "K8S_DNS_Tunneling†": "tunnelled data through DNS",
    "X_EscapePrimitive": "tried to break out to the host",
    "X_KernelModuleLoad": "loaded a kernel module",
    "X_KubeletApiAccess": "contacted a kubelet",
    "X_EtcdAccess": "contacted etcd",
    "X_ThreatIntelIp": "contacted a command-and-control address",
    "X_VolumeEncryption": "encrypted files on volumes",
    "X_PtraceInjection": "injected code into a process",
}
"""By identifier of the public catalogues."""

BY_TECHNIQUE: dict[str, str] = {
    "T1611": "tried to reach the host",
    "T1609": "ran commands in a container",
    "T1610": "deployed a suspicious container",
    "T1552": "went after credentials",
    "T1528": "stole an access token",
    "T1098": "changed permissions",
    "T1078": "used an account in an unusual way",
    "T1613": "explored the cluster",
    "T1046": "scanned the network",
    "T1070": "removed traces",
    "T1562": "weakened defences",
    "T1496": "used resources for its own ends",
    "T1190": "exploited an exposed application",
    "T1133": "exposed a service",
    "T1059": "ran a command interpreter",
    "T1105": "brought tools in",
    "T1071": "talked to a command-and-control server",
    "T1048": "sent data out",
    "T1485": "destroyed data",
    "T1490": "destroyed backups",
    "T1546": "planted an event-triggered backdoor",
    "T1557": "put itself into others' traffic",
}
"""By technique; a sub-technique is asked as its parent after itself."""


def phrases(analytics: Mapping[str, Detection]) -> Phrase:
    """Return the phrase of an alert, given the declared analytics by id."""
    table = {id_: text for id_, declared in analytics.items() if (text := _declared(declared))}

    def phrase(alert: Alert) -> str:
        return table.get(alert.analytic) or _by_technique(alert) or f"raised “{alert.title}”"

    return phrase


def _declared(declared: Detection) -> str:
    return declared.action or next((text for name in declared.catalogue if (text := BY_CATALOGUE.get(name))), "")


def _by_technique(alert: Alert) -> str:
    for id_ in alert.attack:
        if (text := BY_TECHNIQUE.get(id_) or BY_TECHNIQUE.get(id_.partition(".")[0])) and technique(id_):
            return text
    return ""
