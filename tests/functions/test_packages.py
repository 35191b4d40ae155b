"""The deployable artefacts start on an interpreter that has nothing else, and are as small and as fast as they should be."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROBES = {
    "aws": """
import handlers
request = {"requestContext": {"http": {"method": "GET", "path": "/healthz"}}, "rawPath": "/healthz", "headers": {}}
assert handlers.api(request, None)["statusCode"] == 200
assert handlers.audit_stream({"Records": []}, None) == {"batchItemFailures": []}
import azure.eventhub, azure.identity, boto3
[boto3.client(name, region_name="eu-west-1") for name in ("sts", "s3", "sqs", "ecr", "kms", "securityhub")]
""",
    "azure": """
import function_app
names = {item.get_function_name() for item in function_app.app.get_functions()}
assert {"image_pushed", "audit_events", "sensor_events", "correlate", "publish", "api"} <= names, names
from apps.shell import application
application().check_store()
import azure.storage.queue, azure.storage.blob, azure.identity
""",
    "gcp": """
import main
main.application().check_store()
import google.cloud.pubsub_v1, google.cloud.storage, functions_framework
""",
}


@pytest.mark.real("python313")
@pytest.mark.parametrize("cloud", PROBES)
def test_the_artefact_starts_alone(tmp_path: Path, cloud: str) -> None:
    command = [
        sys.executable,
        str(ROOT / "functions/package.py"),
        cloud,
        "--platform",
        "here",
        "--output",
        str(tmp_path),
    ]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr + built.stdout
    folder = tmp_path / cloud
    packages = {"aws": ".", "azure": ".python_packages/lib/site-packages", "gcp": "packages"}[cloud]
    # -S: no site-packages of this interpreter; -P: no folder but those named.
    environment = {
        "PYTHONPATH": f"{folder}{os.pathsep}{folder / packages}",
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "SEAWALL_DATA_DIR": str(tmp_path / "data"),
    }
    started = subprocess.run(
        [sys.executable, "-S", "-P", "-c", PROBES[cloud]],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert started.returncode == 0, started.stderr[-3000:]
    assert not list((folder / packages).glob("msgraph*")), "only the app that syncs back carries it"
    requirements = (folder / "requirements.txt").read_text()
    pinned = re.findall(r"^[a-zA-Z0-9_.-]+(?:\[[^]]*\])?==", requirements, flags=re.MULTILINE)
    assert len(pinned) > 40
    assert requirements.count("--hash=sha256:") > len(pinned)
    assert not re.search(r"https?://", requirements), "no index is named"
    if cloud == "azure":
        assert json.loads((folder / "host.json").read_text())["version"] == "2.0"
