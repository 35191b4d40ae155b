"""Timers of every cloud do their job: here, clusters that discovery names are listed and judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from seawall.bootstrap import bootstrap
from seawall.settings import Settings

from tests.support.fixtures import clean_environment
from tests.support.hosts import FUNCTIONS, framework, post, write_config
from tests.support.lambda_runtime import LambdaProcess
from tests.support.tls import Request, http_service

POD = {
    "metadata": {"name": "bad", "namespace": "shop", "uid": "u1"},
    "spec": {"containers": [{"name": "c", "image": "nginx:1", "securityContext": {"privileged": True}}]},
}


def api_server(request: Request) -> tuple[int, dict[str, str], bytes]:
    """As much of an API server as a listing needs: one pod, and no objects of other kinds."""
    path = request.path.partition("?")[0]
    body: dict[str, Any] = {
        "kind": "List",
        "metadata": {"resourceVersion": "1"},
        "items": [POD] if path.endswith("/pods") else [],
    }
    if path == "/version":
        body = {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
    return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


def azure(config: Path, timer: str) -> None:
    from tests.support.functions_host import FunctionsProcess
    from tests.support.functions_host import timer as trigger

    with FunctionsProcess(FUNCTIONS / "azure", {"SEAWALL_CONFIG": str(config)}) as process:
        result = process.call(timer, trigger())
        assert result.ok, result.traceback


def aws(config: Path, timer: str) -> None:
    env = clean_environment(SEAWALL_CONFIG=str(config))
    with LambdaProcess(FUNCTIONS / "aws", "handlers.tick", env=env) as function:
        outcome = function.invoke({"timer": timer})
        assert outcome.ok, outcome.body


def google(config: Path, timer: str) -> None:
    with framework("tick", config) as port:
        assert post(port, json.dumps({"timer": timer}).encode()) < 300


@pytest.mark.real("azure-functions")
@pytest.mark.real("lambda")
@pytest.mark.parametrize("host", [azure, aws, google])
def test_discovery_lists_and_judges(tmp_path: Path, host: Callable[[Path, str], None]) -> None:
    with http_service(api_server) as service:
        kubeconfig = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{service.port}"}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        }  # fmt: skip
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
        settings = {
            "data_dir": str(tmp_path / "data"),
            "discovery": {"clusters": {"prod": {"kubeconfig": str(tmp_path / "kubeconfig")}}},
        }
        host(write_config(tmp_path, settings), "discover")
    application = bootstrap(Settings(data_dir=tmp_path / "data"))
    failed = {
        item.control for item in application.store.assessments.find(scope="prod", status=None) if item.status == "fail"
    }
    application.close()
    assert failed, "the privileged pod was judged"
