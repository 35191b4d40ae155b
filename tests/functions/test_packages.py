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
    "azure-sync": """
import function_app
names = {item.get_function_name() for item in function_app.app.get_functions()}
assert names == {"sync_defender"}, names
from apps.shell import application
application().check_store()
import msgraph
""",
    "gcp": """
import main
main.application().check_store()
import google.cloud.pubsub_v1, google.cloud.storage, functions_framework
""",
}
OPTIONS = {
    "azure-sync": ("--loose",)
}  # to compile and pack msgraph-sdk takes minutes and shows nothing that azure does not
SETTINGS = {"azure-sync": {"SEAWALL_FUNCTIONS": "sync"}}


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
        *OPTIONS.get(cloud, ()),
    ]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr + built.stdout
    folder = tmp_path / cloud
    packages = {"aws": ".", "gcp": "packages"}.get(cloud, ".python_packages/lib/site-packages")
    # -S: no site-packages of this interpreter; -P: no folder but those named.
    environment = {
        "PYTHONPATH": f"{folder}{os.pathsep}{folder / packages}",
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "SEAWALL_DATA_DIR": str(tmp_path / "data"),
    } | SETTINGS.get(cloud, {})
    started = subprocess.run(
        [sys.executable, "-S", "-P", "-c", PROBES[cloud]],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert started.returncode == 0, started.stderr[-3000:]
    carries = any((folder / packages).glob("msgraph*"))
    assert carries is (cloud == "azure-sync"), "only the app that syncs back carries it"
    requirements = (folder / "requirements.txt").read_text()
    pinned = re.findall(r"^[a-zA-Z0-9_.-]+(?:\[[^]]*\])?==", requirements, flags=re.MULTILINE)
    assert len(pinned) > 40
    assert requirements.count("--hash=sha256:") > len(pinned)
    assert not re.search(r"https?://", requirements), "no index is named"
    if cloud.startswith("azure"):
        assert json.loads((folder / "host.json").read_text())["version"] == "2.0"
