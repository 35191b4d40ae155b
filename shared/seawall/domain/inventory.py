"""What an image is made of: the answer of a scan before any advisory is asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from seawall.domain.images import Platform
from seawall.domain.packages import Distro, Gap, Package


@dataclass(frozen=True, slots=True)
class ImageLayer:
    """One layer, base first. `digest` is the blob's, `diff_id` that of the uncompressed layer; either may be empty."""

    digest: str
    diff_id: str = ""
    size_bytes: int = 0
    created_by: str = ""
    cached: bool = False
    """Its analysis came from the layer cache."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything that was found in one platform's image.

    `digest` is the platform manifest's digest (empty for archives and folders that have none), `index_digest` that of
    the index it was chosen from. `gaps` say what could not be read; an inventory with gaps is still an answer.
    """

    target: str
    digest: str
    platform: Platform
    distro: Distro
    packages: tuple[Package, ...]
    gaps: tuple[Gap, ...]
    layers: tuple[ImageLayer, ...] = ()
    index_digest: str = ""
    config_digest: str = ""
    created: str = ""
    user: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    exposed_ports: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    size_bytes: int = 0
    """Sum of the layers' sizes as stored (compressed where they are)."""
