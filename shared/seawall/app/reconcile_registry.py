"""Use case: which images does a registry hold that we never heard of? Push notifications are best effort everywhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from seawall.domain.errors import Denied, InputError, NotFound
from seawall.domain.images import ImagePushed, ImageReference
from seawall.oci.manifests import INDEX_TYPES, MANIFEST_TYPES
from seawall.oci.notifications import is_artifact_tag
from seawall.ports.registry import Registry

log = logging.getLogger(__name__)


def missed_pushes(
    host: str,
    *,
    registry: Registry,
    is_known: Callable[[str], bool],
    repositories: Iterable[str] = (),
) -> Iterator[ImagePushed]:
    """Yield a push for every tag of `host` whose digest `is_known` denies, each digest once per repository.

    Tags of signatures and referrers are left out; a repository that cannot be read is logged and passed over.

    Args:
        repositories: those to look at; none given asks the registry's catalogue, which Docker Hub does not have.

    Raises:
        Denied, NotFound: the registry does not list its repositories.
        Unavailable: it does not answer.
    """
    for repository in repositories or registry.repositories(host):
        seen: set[str] = set()
        try:
            for tag in registry.tags(ImageReference(host, repository)):
                if is_artifact_tag(tag):
                    continue
                media_type, digest = registry.resolve(ImageReference(host, repository, tag))
                if digest in seen or media_type not in (*MANIFEST_TYPES, *INDEX_TYPES) or is_known(digest):
                    continue
                seen.add(digest)
                yield ImagePushed(host, repository, digest, tag, media_type, source_event_id=f"reconcile:{digest}")
        except (Denied, NotFound, InputError) as error:
            log.warning("repository not reconciled", extra={"repository": repository, "problem": error.message})
