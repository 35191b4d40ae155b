"""Image references as people write them, with Docker's defaults made explicit.

Source: distribution/reference grammar; OCI distribution-spec 1.1, "Pulling manifests".
"""

from __future__ import annotations

import re

from seawall.domain.errors import InputError
from seawall.domain.images import ImageReference

DOCKER_HUB = "registry-1.docker.io"
"""Where Docker Hub's registry API answers; references say `docker.io`."""

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_HOST = re.compile(
    r"(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*)(?::[0-9]{1,5})?"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
MAX_REFERENCE = 1024
"""Characters; longer text is refused before any expression looks at it."""


def is_digest(text: str) -> bool:
    """Whether `text` is a digest of an algorithm that we check (sha256, sha512)."""
    return _DIGEST.fullmatch(text) is not None


def parse_reference(text: str) -> ImageReference:
    """Return the reference with every part explicit: `nginx` is `docker.io/library/nginx:latest`.

    A reference with a digest and no tag keeps an empty tag.

    Raises:
        InputError: not a reference; `where` names the part that is wrong.
    """
    if len(text) > MAX_REFERENCE:
        raise InputError(f"image reference is longer than {MAX_REFERENCE} characters", where="reference")
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise InputError(
            f"{text!r}: {digest!r} is not a digest", hint="write sha256:<64 lower-case hex digits>", where="digest"
        )
    head, slash, tail = rest.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost" or head.startswith("[") or head != head.lower()):
        registry, path = head, tail
    else:
        registry, path = "docker.io", rest
    repository, colon, tag = path.rpartition(":") if ":" in path.rpartition("/")[2] else (path, "", "")
    if registry in ("index.docker.io", DOCKER_HUB):
        registry = "docker.io"
    if registry == "docker.io" and "/" not in repository:
        repository = f"library/{repository}"
    if not _HOST.fullmatch(registry):
        raise InputError(f"{text!r}: {registry!r} is not a registry host", where="registry")
    if len(repository) > 255 or not _REPOSITORY.fullmatch(repository):
        raise InputError(
            f"{text!r}: {repository!r} is not a repository name",
            hint="lower-case letters, digits and . _ - between slashes",
            where="repository",
        )
    if colon and not _TAG.fullmatch(tag):
        raise InputError(f"{text!r}: {tag!r} is not a tag", where="tag")
    if not tag and not digest:
        tag = "latest"
    return ImageReference(registry, repository, tag, digest)
