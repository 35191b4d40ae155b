"""The table of rights as Markdown: `python -m seawall.assets.reference`."""

from __future__ import annotations

import sys

from seawall.assets.rights import CLOUD, KUBERNETES

CLOUDS = {"azure": "Azure", "aws": "AWS", "gcp": "Google Cloud"}


def rights_page() -> str:
    """Return the page."""
    lines = [
        "# Rights of discovery",
        "",
        "Generated from `seawall/assets/rights.py`; roles and charts follow the same table. Every right reads, none writes.",
        "",
        "## Kubernetes",
        "`get`, `list` and `watch` on each; of Secrets only metadata is ever asked for.",
        "",
        "| API group | resource | what for |",
        "|--|--|--|",
        *(
            f"| {kind.group or 'core'} | {kind.resource}{' (where served)' if kind.optional else ''} | {kind.purpose} |"
            for kind in KUBERNETES
        ),
    ]
    for cloud, title in CLOUDS.items():
        lines += ["", f"## {title}", "", "| permission | what for |", "|--|--|"]
        lines += [f"| `{right.permission}` | {right.purpose} |" for right in CLOUD if right.cloud == cloud]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(rights_page())
