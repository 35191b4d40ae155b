"""Where a workload's identities come from: token files, metadata services, and the tools that use them."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"^(?:/var)?/run/secrets/(?:kubernetes\.io/serviceaccount/|eks\.amazonaws\.com/|azure/tokens/|pods\.eks\.amazonaws\.com/"
    r"|tokens/|[^/]+/serviceaccount/)(?:\.\.\S+/)?(?:token|azure-identity-token|eks-pod-identity-token|gcp-ksa/token)$"
    r"|^/var/lib/kubelet/pods/[^/]+/volumes/kubernetes\.io~projected/[^/]+/(?:\.\.\S+/)?token$"
)


def is_token(path: str) -> bool:
    """Whether the file is a projected token: Kubernetes, Azure workload identity, EKS (IRSA, Pod Identity), GKE."""
    return _TOKEN.match(path) is not None


METADATA = frozenset(
    {
        "169.254.169.254",
        "fd00:ec2::254",
        "169.254.170.2",
        "169.254.170.23",
        "fd00:ec2::23",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
    }
)
"""Addresses of metadata services: AWS, Azure, Google, Oracle; ECS and EKS Pod Identity; Azure's host; Alibaba."""

CLOUD_CLIS = frozenset(
    {
        "aws",
        "az",
        "gcloud",
        "gsutil",
        "bq",
        "terraform",
        "pulumi",
        "doctl",
        "ibmcloud",
        "oci",
        "eksctl",
        "azcopy",
        "aliyun",
        "pacu",
        "scout",
        "tofu",
    }
)
"""Command-line tools of clouds, by the name of their program."""
