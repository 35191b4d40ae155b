"""Connections that adapters keep for the life of a process end with the test."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest


@pytest.fixture(autouse=True)
def _closed_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    made: list[httpx.Client] = []
    original = httpx.Client.__init__

    def recording(self: httpx.Client, *arguments: object, **options: object) -> None:
        original(self, *arguments, **options)
        made.append(self)

    monkeypatch.setattr(httpx.Client, "__init__", recording)
    yield
    for client in made:
        client.close()
