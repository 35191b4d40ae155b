"""What a Swift project resolved: Package.resolved of Swift Package Manager and of Xcode, all three versions of the file.

Source: swiftlang/swift-package-manager, "Resolving Package Versions"; package-url, "swift".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from seawall.domain.packages import Gap
from seawall.packages.analyzer import Found, ImageFile, analyzer

_PLACE = re.compile(r"(?:[a-z+]+://)?(?:[^/@\s]+@)?([A-Za-z0-9.-]+)(?::\d+)?[:/]/?([^\s?#]+?)(?:\.git)?/?")


@analyzer(id="swift-resolved", reads=("**/Package.resolved",), project=True)
def swift_resolved(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the pins that have a version; one of a branch or a folder has none."""
    try:
        document = json.loads(file.text)
    except (ValueError, RecursionError) as error:
        yield Gap(file.path, f"not JSON: {error}")
        return
    inner = document.get("object") if isinstance(document, dict) else None  # version 1
    holder = inner if isinstance(inner, dict) else document
    pins = holder.get("pins") if isinstance(holder, dict) else None
    for pin in pins if isinstance(pins, list) else ():
        state = pin.get("state") if isinstance(pin, dict) else None
        version = state.get("version") if isinstance(state, dict) else None
        place = (pin.get("location") or pin.get("repositoryURL")) if isinstance(pin, dict) else None
        if (
            isinstance(version, str)
            and version
            and isinstance(place, str)
            and (match := _PLACE.fullmatch(place[:2048]))
        ):
            folder, _, name = match.group(2).rpartition("/")
            yield Found("swift", name, version, f"{match.group(1).lower()}/{folder}".rstrip("/"), declared=True)
