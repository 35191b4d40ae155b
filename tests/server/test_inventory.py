"""API and console of the inventory and of scores over time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from seawall.bootstrap import bootstrap
from seawall.server.app import create_app
from seawall.settings import load_settings

MANIFEST = b"""
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {team: blue}}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: "nginx:1"}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: "<b>web</b>", namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""
WEB = "k8s://prod/shop/Deployment/web"


class Client:
    """Calls the application without a socket."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def get(self, path: str, **options: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            headers = {"Authorization": "Bearer token"}
            async with httpx.AsyncClient(transport=transport, base_url="http://seawall", headers=headers) as client:
                return await client.get(path, **options)

        return asyncio.run(call())


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    settings = load_settings(data_dir=tmp_path, api_token="token")
    application = bootstrap(settings)
    application.doors.posture("prod", MANIFEST)
    application.doors.posture("prod", MANIFEST.replace(b"nginx:1", b"nginx:2"))
    yield Client(create_app(application, settings))
    application.close()


def test_assets_are_served(client: Client) -> None:
    found = client.get("/v1/assets", params={"kind": "Deployment"}).json()
    assert [(item["id"], item["namespace"]) for item in found["assets"]] == [(WEB, "shop")]
    assert found["counts"]["Service"] == 1
    shown = client.get("/v1/assets/item", params={"id": WEB}).json()
    assert {"kind": "runs", "target": "image:docker.io/library/nginx:2"} in shown["relations"]
    assert [item["kind"] for item in shown["related"]] == ["selects"]
    assert shown["failures"]
    history = client.get("/v1/assets/history", params={"id": WEB}).json()["history"]
    assert [row["change"] for row in history] == ["changed", "added"]
    assert history[0]["fields"][0]["after"] == "nginx:2"
    first = history[1]["from"]
    then = client.get("/v1/assets/item", params={"id": WEB, "at": first}).json()
    assert then["body"]["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1"
    changes = client.get("/v1/assets/changes", params={"start": first}).json()["changes"]
    assert [(item["change"], item["asset"]["id"]) for item in changes] == [("changed", WEB)]
    scopes = client.get("/v1/assets/scopes").json()["scopes"]
    assert {item["kind"] for item in scopes} == {"Deployment", "Service"}


def test_scores_are_served(client: Client) -> None:
    points = client.get("/v1/posture/trend", params={"scope": "prod", "team": "blue"}).json()["trend"]
    assert len(points) == 2
    assert 0 < points[0]["score"] < 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/assets/item?id=none", 404),
        ("/v1/assets/history?id=none", 404),
        ("/v1/assets?at=2026-11-25T10:00", 400),
        ("/v1/assets?at=x", 400),
        ("/v1/assets/changes?start=2026-11-25T10:00Z&end=2026-11-24T10:00Z", 400),
        ("/v1/assets?limit=0", 400),
        ("/assets/item?id=none", 404),
        ("/assets?page_number=-1", 400),
    ],
)
def test_wrong_questions(client: Client, path: str, status: int) -> None:
    assert client.get(path).status_code == status


def test_pages_show_and_escape(client: Client) -> None:
    listing = client.get("/assets").text
    assert "&lt;b&gt;web&lt;/b&gt;" in listing
    assert "<b>web</b>" not in listing
    page = client.get("/assets/item", params={"id": WEB}).text
    assert "nginx:1" in page
    assert "nginx:2" in page
    assert client.get("/assets/item", params={"id": "image:docker.io/library/nginx:2"}).status_code == 200
    assert "added" in client.get("/assets/changes").text
    assert "team blue" in client.get("/posture/trend").text
    assert "<svg" in client.get("/posture/trend").text


def test_nobody_reads_without_a_token(client: Client) -> None:
    for path in ("/v1/assets", "/v1/running", "/assets", "/posture/trend"):
        assert client.get(path, headers={"Authorization": ""}, follow_redirects=False).status_code in (303, 401)
