"""Images as registries and runtimes name them (OCI image-spec and distribution-spec 1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Platform:
    """`os/architecture[/variant]` in Go's words, e.g. linux/arm64/v8."""

    os: str = "linux"
    architecture: str = "amd64"
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Return the platform of `os/architecture[/variant]`."""
        os, _, rest = text.partition("/")
        architecture, _, variant = rest.partition("/")
        return cls(os or "linux", architecture or "amd64", variant)


@dataclass(frozen=True, slots=True)
class ImageReference:
    """`registry/repository[:tag][@digest]`, all parts explicit. `digest` is `sha256:<hex>` or empty."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"


@dataclass(frozen=True, slots=True)
class ImagePushed:
    """A registry says that an image arrived. A hint: the manifest is read again by digest before it is believed."""

    registry: str
    repository: str
    digest: str
    tag: str = ""
    media_type: str = ""
    actor: str = ""
    time: datetime | None = None
    source_event_id: str = ""

    @property
    def reference(self) -> ImageReference:
        """The image that was pushed, by digest where the event has one."""
        return ImageReference(self.registry, self.repository, self.tag, self.digest)
