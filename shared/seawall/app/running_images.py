"""Which stored images run now, as which workloads, and what that means for the urgency of their findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seawall.domain.findings import Finding
from seawall.domain.running import RunningContainer
from seawall.ports.advisories import Advisories
from seawall.ports.store import Store
from seawall.vulnerability.priority import Exposure, prioritise

Containers = Mapping[str, Sequence[RunningContainer]]
"""Running containers by the digest of the stored image; only images that run are in it."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Containers of one owner that run an image. `in_use`: a package's files were loaded; None where no sensor can tell."""

    cluster: str
    namespace: str
    owner: str
    containers: int
    in_use: bool | None = None

    @property
    def name(self) -> str:
        """`cluster/namespace/Kind/name`, parts that are not known left out."""
        return "/".join(part for part in (self.cluster, self.namespace, self.owner) if part)

    def document(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "cluster": self.cluster, "namespace": self.namespace, "owner": self.owner, "containers": self.containers,
            "in_use": self.in_use,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunningImages:
    """What runs of some stored images. Nothing is known (`is_known` False) while neither sensor nor cluster reports."""

    containers: Containers
    is_known: bool

    def workloads(self, finding: Finding, digests: Iterable[str]) -> tuple[Workload, ...]:
        """Return the workloads of these images, by name."""
        grouped: dict[tuple[str, str, str], list[RunningContainer]] = defaultdict(list)
        for item in self._of(digests):
            owner = item.owner or (f"Pod/{item.pod}" if item.pod else f"Container/{item.container_id[:12]}")
            grouped[item.cluster, item.namespace, owner].append(item)
        return tuple(Workload(*key, len(items), in_use(finding, items)) for key, items in sorted(grouped.items()))

    def exposure(self, finding: Finding, digests: Iterable[str]) -> Exposure:
        """Return what is known of where a finding's package runs."""
        if not self.is_known:
            return Exposure()
        found = self._of(digests)
        return Exposure(running=bool(found), in_use=in_use(finding, found))

    def _of(self, digests: Iterable[str]) -> list[RunningContainer]:
        # One container may run an image that is stored under two digests: it counts once.
        found = (item for digest in digests for item in self.containers.get(digest, ()))
        return list({(item.cluster, item.container_id): item for item in found}.values())


NOTHING_KNOWN = RunningImages({}, is_known=False)


def in_use(finding: Finding, containers: Collection[RunningContainer]) -> bool | None:
    """Whether some container loaded files of the finding's package.

    False needs a witness: every container reports packages of the same kind as loaded, and this one is not among them.
    """
    kind = finding.purl.removeprefix("pkg:").partition("/")[0]
    name = f"{kind}/{finding.package}"
    if any(name in item.in_use for item in containers):
        return True
    watched = bool(containers) and all(any(used.startswith(f"{kind}/") for used in item.in_use) for item in containers)
    return False if watched else None


def running_images(store: Store, digests: Collection[str]) -> RunningImages:
    """Return what runs of the stored images `digests`.

    A container runtime may name the index that was pulled; the report is of one platform's manifest.
    """
    if not store.running.scopes():
        return NOTHING_KNOWN
    wanted = set(digests)
    stored = {
        running: [digest for digest in (running, *platforms) if digest in wanted]
        for running, platforms in _platforms(store).items()
    }
    stored = {running: found for running, found in stored.items() if found}
    out: dict[str, list[RunningContainer]] = defaultdict(list)
    for container in store.running.of_digests(list(stored)) if stored else ():
        for digest in stored[container.digest]:
            out[digest].append(container)
    return RunningImages(out, is_known=True)


def _platforms(store: Store) -> dict[str, Sequence[str]]:
    running = sorted(store.running.digests())
    platforms = store.images.platforms(running)
    return {digest: platforms.get(digest, ()) for digest in running}


def prioritised(
    findings: Iterable[Finding], digest: str, running: RunningImages, advisories: Advisories
) -> tuple[Finding, ...]:
    """Return an image's findings with their urgency as things run now, the most urgent first."""
    out = [with_exposure(item, running.exposure(item, (digest,)), advisories) for item in findings]
    return tuple(sorted(out, key=lambda item: (-item.priority, -item.severity, item.id, item.purl, item.path)))


def with_exposure(finding: Finding, exposure: Exposure, advisories: Advisories) -> Finding:
    """Return the finding with what is known of where it runs counted in its priority."""
    if exposure == Exposure():
        return finding
    priority, reasons = prioritise(
        finding.severity, finding.cvss, advisories.vulnerability(finding.id), finding.fixed_version, exposure
    )
    return replace(finding, priority=priority, priority_reasons=reasons)
