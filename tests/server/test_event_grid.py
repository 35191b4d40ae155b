"""The Event Grid door: which subscriptions it answers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from seawall.bootstrap import bootstrap
from seawall.server.app import create_app
from seawall.settings import Settings

HANDSHAKE = [
    {"id": "1", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "c"}}
]


@pytest.mark.parametrize(
    ("allowed", "name", "status"),
    [
        pytest.param(("pushes",), "PUSHES", 200, id="ours, as Event Grid writes it"),
        pytest.param(("pushes",), "PUSHES2", 401, id="another"),
        pytest.param(("pushes",), None, 401, id="none"),
        pytest.param((), "ANY", 200, id="not restricted"),
    ],
)
@pytest.mark.parametrize("kind", ["SubscriptionValidation", "Notification"])
def test_only_named_subscriptions_are_answered(
    tmp_path: Path, allowed: tuple[str, ...], name: str | None, status: int, kind: str
) -> None:
    settings = Settings(data_dir=tmp_path, webhook_secret="right", event_grid_subscriptions=allowed)
    application = bootstrap(settings)
    headers = {"X-Seawall-Token": "right", "aeg-event-type": kind}
    if name is not None:
        headers["aeg-subscription-name"] = name

    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(application, settings))
        async with httpx.AsyncClient(transport=transport, base_url="http://seawall") as client:
            return await client.post("/v1/events/registry/eventgrid", json=HANDSHAKE, headers=headers)

    answer = asyncio.run(post())
    wanted = 202 if status == 200 and kind == "Notification" else status
    assert answer.status_code == wanted, answer.text
    if answer.status_code == 200:
        assert answer.json() == {"validationResponse": "c"}
    application.close()
