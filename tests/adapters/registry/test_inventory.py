"""What registries have, by each one's own API."""

from __future__ import annotations

from typing import Any

import pytest
from seawall.adapters.registry.client import HttpRegistry
from seawall.adapters.registry.inventory import RegistrySource
from seawall.adapters.registry.transport import HostSettings
from seawall.domain.errors import SeawallError

from tests.support.recorded import Recorded, Reply, recorded

PLAIN = HostSettings(plain_http=True)


def source(server: Recorded, **options: Any) -> RegistrySource:
    host = options.pop("host", server.host)
    hosts = {server.host: PLAIN}
    return RegistrySource(host, HttpRegistry(lambda _host: None, hosts), lambda _host: None, PLAIN, **options)


def names(answer: Any, **options: Any) -> list[str]:
    with recorded(answer) as server:
        return [obj.name for obj in source(server, **options).collect().objects]


def test_harbor_by_pages() -> None:
    def answer(_method: str, path: str, query: dict[str, str], _body: Any) -> Reply:
        if path != "/api/v2.0/repositories":
            return 404, {}
        first = [{"name": f"shop/{number}", "artifact_count": 1} for number in range(100)]
        return 200, first if query["page"] == "1" else [{"name": "shop/last"}, {"name": None}, 3]

    found = names(answer)
    assert len(found) == 101
    assert found[-1] == "shop/last"


def test_artifactory() -> None:
    def answer(_method: str, path: str, query: dict[str, str], _body: Any) -> Reply:
        if path == "/artifactory/api/repositories" and query == {"packageType": "docker"}:
            return 200, [{"key": "docker-local", "type": "LOCAL", "packageType": "Docker"}]
        return 404, {}

    assert names(answer) == ["docker-local"]


def test_others_by_their_catalogue() -> None:
    def answer(_method: str, path: str, _query: dict[str, str], _body: Any) -> Reply:
        return (200, {"repositories": ["a/b", "c"]}) if path == "/v2/_catalog" else (404, {})

    assert names(answer) == ["a/b", "c"]


def test_docker_hub_by_namespace() -> None:
    def answer(_method: str, path: str, query: dict[str, str], _body: Any) -> Reply:
        assert path == "/v2/namespaces/shop/repositories"
        if query.get("page") == "2":
            return 200, {"results": [{"name": "b", "is_private": True}], "next": None}
        following = "https://hub.docker.com/v2/namespaces/shop/repositories?page=2&page_size=100"
        return 200, {"results": [{"name": "a", "is_private": False}], "next": following}

    with recorded(answer) as server:
        found = source(server, host="docker.io", hub=server.host, namespaces=("shop",)).collect()
        assert [obj.name for obj in found.objects] == ["shop/a", "shop/b"]
        assert found.complete == {"Repository"}
        with pytest.raises(SeawallError, match="by namespace"):
            source(server, host="docker.io", hub=server.host).collect()


def test_a_registry_that_lists_nothing_says_so() -> None:
    with recorded(lambda *_: (404, {})) as server, pytest.raises(SeawallError):
        source(server).collect()
