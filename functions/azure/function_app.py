"""Seawall as Azure Function apps: triggers only.

One package for all; `SEAWALL_FUNCTIONS` says which trust boundaries this app has: registry, audit, sensor, posture,
incidents, sync, api. Each app has an identity and settings of its own.
"""

import os

import azure.functions as func
from apps import api, audit, incidents, posture, registry, sensor, sync

BOUNDARIES = {
    "registry": registry.blueprint,
    "audit": audit.blueprint,
    "sensor": sensor.blueprint,
    "posture": posture.blueprint,
    "incidents": incidents.blueprint,
    "sync": sync.blueprint,
}

wanted = [name.strip() for name in os.environ.get("SEAWALL_FUNCTIONS", ",".join([*BOUNDARIES, "api"])).split(",")]
unknown = sorted(set(wanted) - {*BOUNDARIES, "api"})
if unknown:
    raise ValueError(f"SEAWALL_FUNCTIONS names {unknown[0]!r}; known: {', '.join([*BOUNDARIES, 'api'])}")

if "api" in wanted:
    app = func.AsgiFunctionApp(app=api.asgi, http_auth_level=func.AuthLevel.ANONYMOUS, function_name="api")
else:
    app = func.FunctionApp()
for name in wanted:
    if name in BOUNDARIES:
        app.register_functions(BOUNDARIES[name])
