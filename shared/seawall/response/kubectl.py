"""Plans as kubectl commands, for whoever has the rights but not Seawall."""

from __future__ import annotations

import json
import shlex
from typing import Final

from seawall.domain.responses import Request

_RAW: Final = {"POST": "create", "DELETE": "delete"}


def command(request: Request) -> str:
    """Return the command that sends `request` as it is; one for the admission gate is told in a comment."""
    body = shlex.quote(json.dumps(request.body)) if request.body is not None else ""
    if request.method in _RAW:
        given = f" -f - <<< {body}" if body else ""
        return f"kubectl {_RAW[request.method]} --raw {shlex.quote(request.path)}{given}"
    if request.method != "PATCH":
        return f"# {request.method} {request.path}: the admission gate's own list"
    parts = request.path.removeprefix("/apis/").removeprefix("/api/").split("/")
    sub = f" --subresource={parts.pop()}" if parts[-1] == "scale" else ""
    namespace = f" -n {shlex.quote(parts[parts.index('namespaces') + 1])}" if "namespaces" in parts else ""
    resource, name = parts[-2:]
    return f"kubectl patch {resource} {shlex.quote(name)}{namespace}{sub} --type=json -p {body}"
