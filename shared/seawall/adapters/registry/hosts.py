"""Registries of the clouds: how their hosts are called, and which permissions a refused call needs."""

from __future__ import annotations

import re

ACR = re.compile(r"[a-z0-9][a-z0-9-]{0,62}(?:\.[a-z0-9-]+)*\.azurecr\.(?:io|cn|us|de)")
ECR = re.compile(r"(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws)")
GAR = re.compile(r"(?:[a-z0-9-]+-docker\.pkg\.dev|(?:[a-z]+\.)?gcr\.io)")

_NEEDED = (
    (
        ACR,
        "grant Microsoft.ContainerRegistry/registries/pull/read (role AcrPull)",
        "grant Microsoft.ContainerRegistry/registries/push/write (role AcrPush)",
    ),
    (
        ECR,
        "allow ecr:BatchGetImage and ecr:GetDownloadUrlForLayer to this role",
        "allow ecr:PutImage, ecr:InitiateLayerUpload, ecr:UploadLayerPart and ecr:CompleteLayerUpload to this role",
    ),
    (
        GAR,
        "grant artifactregistry.repositories.downloadArtifacts (roles/artifactregistry.reader)",
        "grant artifactregistry.repositories.uploadArtifacts (roles/artifactregistry.writer)",
    ),
)
"""Host, what reading needs, what writing needs."""


def how_to_be_let_in(host: str, *, writes: bool = False) -> str:
    """Return what an operator does about a refusal of `host`: the permission at a cloud's registry, a login elsewhere."""
    for hosts, reading, writing in _NEEDED:
        if hosts.fullmatch(host):
            return writing if writes else reading
    return f"log in with docker, or set registries.{host}.username and .password"
