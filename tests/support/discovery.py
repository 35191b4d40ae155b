"""`infra/discovery.json`: the rights of `seawall.assets.rights` for Bicep and Terraform. `python -m tests.support.discovery` writes it."""

from __future__ import annotations

import json
from pathlib import Path

from seawall.assets.rights import CLOUD

FILE = Path(__file__).parents[2] / "infra/discovery.json"


def document() -> str:
    """Return the file's text: by cloud, permission and the reading that needs it."""
    clouds = sorted({right.cloud for right in CLOUD})
    found = {cloud: {item.permission: item.purpose for item in CLOUD if item.cloud == cloud} for cloud in clouds}
    return json.dumps(found, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(document())
