"""What a C or C++ project asks for: conan.lock of Conan 1 and 2.

Source: Conan, "Lockfiles".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from seawall.domain.packages import Gap
from seawall.packages.analyzer import Found, ImageFile, analyzer

_REFERENCE = re.compile(r"([a-z0-9_][a-z0-9_+.-]*)/([^@#%\s]+)")


@analyzer(id="conan-lock", reads=("**/conan.lock",), project=True)
def conan_lock(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the required packages; tools needed only to build are left out."""
    try:
        document = json.loads(file.text)
    except (ValueError, RecursionError) as error:
        yield Gap(file.path, f"not JSON: {error}")
        return
    references: list[object] = []
    if isinstance(document, dict):
        requires = document.get("requires")
        references += requires if isinstance(requires, list) else []
        graph = document.get("graph_lock")
        nodes = graph.get("nodes") if isinstance(graph, dict) else None
        for node in nodes.values() if isinstance(nodes, dict) else ():
            if isinstance(node, dict) and node.get("context", "host") != "build":
                references.append(node.get("ref"))
    for reference in references:
        if isinstance(reference, str) and (match := _REFERENCE.match(reference)):
            yield Found("conan", match.group(1), match.group(2), declared=True)
