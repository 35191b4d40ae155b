"""A mistake in the settings stops each function app at its start, before any event is taken, and says what is expected."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fixtures import clean_environment
from tests.support.hosts import FUNCTIONS
from tests.support.lambda_runtime import LambdaProcess

WRONG = {
    "a name that is not there": ({"SEAWALL_STORE_URI": "x"}, r"SEAWALL_STORE_URI is not a setting .*SEAWALL_STORE_URL"),
    "a value of another kind": ({"SEAWALL_MAX_BODY_BYTES": "many"}, r"SEAWALL_MAX_BODY_BYTES\): Input should be"),
    "a queue of another form": (
        {"SEAWALL_JOB_QUEUE__SERVICE": "sqs", "SEAWALL_JOB_QUEUE__ENDPOINT": "eu-west-1"},
        r"SEAWALL_JOB_QUEUE\): endpoint of sqs is https://sqs\.",
    ),
}
wrong = pytest.mark.parametrize(("variables", "said"), WRONG.values(), ids=WRONG)


@pytest.mark.real("lambda")
@wrong
def test_lambda(variables: dict[str, str], said: str) -> None:
    with LambdaProcess(FUNCTIONS / "aws", "handlers.run_job", env=clean_environment(**variables)) as function:
        outcome = function.invoke({"Records": []})
    assert not outcome.ok
    assert outcome.body["errorType"].endswith("ConfigError")
    assert re.search(said, outcome.body["errorMessage"])


@pytest.mark.real("azure-functions")
@wrong
def test_azure(variables: dict[str, str], said: str) -> None:
    from tests.support.functions_host import FunctionsProcess

    with pytest.raises(RuntimeError, match=said), FunctionsProcess(FUNCTIONS / "azure", variables):
        pass


@pytest.mark.real("azure-functions")
def test_azure_names_the_trust_boundaries_it_has() -> None:
    from tests.support.functions_host import FunctionsProcess

    variables = {"SEAWALL_FUNCTIONS": "registry,audits"}
    with (
        pytest.raises(RuntimeError, match="'audits'; known: registry, audit,"),
        FunctionsProcess(FUNCTIONS / "azure", variables),
    ):
        pass


@wrong
def test_cloud_run(variables: dict[str, str], said: str) -> None:
    source = ["--source", str(FUNCTIONS / "gcp/main.py"), "--target", "run_job", "--signature-type", "cloudevent"]
    ended = subprocess.run(
        [sys.executable, "-m", "functions_framework", *source, "--port", "0"],
        env=clean_environment(**variables),
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    assert re.search(said, ended.stderr.replace(json.dumps("\n"), " ")), ended.stderr[-1500:]
