"""Spans of the functions arrive at an OTLP receiver, in the trace that their event brought."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from seawall.formats.cloudevents import AUDIT_RECEIVED, carrying

from demo import story
from tests.functions.test_job_queues import T0
from tests.support.fixtures import clean_environment
from tests.support.hosts import FUNCTIONS, framework, post, write_config
from tests.support.lambda_runtime import LambdaProcess
from tests.support.tls import Request, Service, http_service

TRACE = "0af7651916cd43dd8448eb211c80319c"


def spans(service: Service) -> list[tuple[str, str, str]]:
    """(name, trace id, service) of every span that arrived."""
    found = []
    for request in service.requests:
        assert request.path == "/v1/traces"
        assert request.headers["content-type"] == "application/x-protobuf"
        for group in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            (name,) = [item.value.string_value for item in group.resource.attributes if item.key == "service.name"]
            found += [(span.name, span.trace_id.hex(), name) for scope in group.scope_spans for span in scope.spans]
    return found


def answers(_request: Request) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/x-protobuf"}, b""


def event() -> bytes:
    body = story.eks_envelope(T0)
    return carrying(AUDIT_RECEIVED, "1", "/audit", body, traceparent=f"00-{TRACE}-b7ad6b7169203331-01").to_bytes()


@pytest.mark.real("lambda")
def test_spans_of_a_lambda_function(tmp_path: Path) -> None:
    with http_service(answers) as receiver:
        env = environment(tmp_path, receiver, AWS_LAMBDA_FUNCTION_NAME="seawall-audit")
        with LambdaProcess(FUNCTIONS / "aws", "handlers.run_job", env=env) as function:
            record = {"messageId": "1", "receiptHandle": "r", "body": event().decode(), "attributes": {}}
            assert function.invoke({"Records": [record]}).body == {"batchItemFailures": []}
            assert (AUDIT_RECEIVED, TRACE, "seawall-test") in spans(receiver), "sent before the function can be frozen"


def test_spans_of_a_cloud_run_function(tmp_path: Path) -> None:
    with http_service(answers) as receiver:
        env = environment(tmp_path, receiver, K_SERVICE="seawall-jobs")
        more = {name: value for name, value in env.items() if name.startswith(("OTEL", "K_"))}
        with framework("run_job", Path(env["SEAWALL_CONFIG"]), **more) as port:
            assert post(port, event()) < 300
            assert (AUDIT_RECEIVED, TRACE, "seawall-test") in spans(receiver)


@pytest.mark.real("azure-functions")
def test_spans_of_an_azure_function(tmp_path: Path) -> None:
    """A message of the job queue goes on in the trace that its event brought, whatever trace the host began for it."""
    from tests.support.functions_host import FunctionsProcess, queue  # needs Python 3.13

    with http_service(answers) as receiver:
        env = environment(tmp_path, receiver)
        more = {name: value for name, value in env.items() if name.startswith(("OTEL", "SEAWALL"))}
        with FunctionsProcess(FUNCTIONS / "azure", more) as process:
            result = process.call("audit_again", queue(event().decode()))
            assert result.ok, result.traceback
        assert (AUDIT_RECEIVED, TRACE, "seawall-test") in spans(receiver)


def test_a_receiver_that_is_down_costs_no_event(tmp_path: Path) -> None:
    with http_service(answers) as receiver:
        env = environment(tmp_path, receiver, AWS_LAMBDA_FUNCTION_NAME="seawall-audit")
    with LambdaProcess(FUNCTIONS / "aws", "handlers.run_job", env=env) as function:
        record = {"messageId": "1", "receiptHandle": "r", "body": event().decode(), "attributes": {}}
        assert function.invoke({"Records": [record]}).body == {"batchItemFailures": []}


def environment(folder: Path, receiver: Service, **more: str) -> dict[str, Any]:
    config = write_config(folder, json.loads(json.dumps({"data_dir": str(folder / "data")})))
    return clean_environment(
        SEAWALL_CONFIG=str(config),
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{receiver.port}",
        OTEL_SERVICE_NAME="seawall-test",
        **more,
    )
