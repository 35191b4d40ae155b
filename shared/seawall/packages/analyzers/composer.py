"""PHP: what Composer installed (`vendor/composer/installed.json`) and what `composer.lock` asks for.

Source: Composer, "Composer lock file".
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from seawall.domain.packages import Gap
from seawall.packages.analyzer import Found, ImageFile, analyzer


@analyzer(id="composer", reads=("**/composer.lock", "**/installed.json"))
def composer(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the packages, those for development left out; Composer 1 wrote installed.json as a plain list."""
    try:
        document = json.loads(file.text)
    except (ValueError, RecursionError) as error:
        yield Gap(file.path, f"not JSON: {error}")
        return
    entries = document.get("packages") if isinstance(document, dict) else document
    dev = document.get("dev-package-names") if isinstance(document, dict) else None
    skipped = set(map(str, dev)) if isinstance(dev, list) and document.get("dev") is False else set()
    for entry in entries if isinstance(entries, list) else ():
        name, version = (entry.get("name"), entry.get("version")) if isinstance(entry, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(version, str) or "/" not in name or name in skipped:
            continue
        namespace, _, base = name.partition("/")
        licence = entry.get("license")
        licences = licence if isinstance(licence, list) else [licence]
        yield Found(
            "composer",
            base,
            version,
            namespace,
            licenses=tuple(item for item in licences if isinstance(item, str)),
            declared=file.name == "composer.lock",
        )
