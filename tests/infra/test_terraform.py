"""Terraform by Terraform itself: format, validity, the module's own tests, and an apply against moto."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import pytest

from tests.support.ports import free_port, wait_until

TERRAFORM = Path(__file__).parents[2] / "infra/terraform"
TOKEN = "0123456789abcdef0123456789abcdef"


def run(folder: Path, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        ["terraform", *arguments], cwd=folder, capture_output=True, text=True, env={**os.environ, **variables}
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def mirror() -> Path | None:
    """Folder that holds providers, laid out as a filesystem mirror."""
    for root in (os.environ.get("SEAWALL_TERRAFORM_MIRROR", ""), "/opt/tf-plugins"):
        if root and list(Path(root).glob("*/hashicorp/aws/*")):
            return Path(root)
    return None


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the AWS module, initialised."""
    folder = tmp_path_factory.mktemp("aws") / "aws"
    shutil.copytree(TERRAFORM / "aws", folder)
    providers = mirror()
    if providers is not None:
        config = folder.parent / "terraform.rc"
        config.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{providers}"\n  }}\n}}\n')
        os.environ["TF_CLI_CONFIG_FILE"] = str(config)
    with zipfile.ZipFile(folder / "tests/package.zip", "w") as package:
        package.writestr("handlers.py", "")
    run(folder, "init", "-input=false", "-no-color")
    return folder


@pytest.mark.real("terraform")
def test_everything_is_formatted() -> None:
    run(TERRAFORM, "fmt", "-check", "-recursive", "-diff")


@pytest.mark.real("terraform")
def test_aws_module_is_valid_and_passes_its_own_tests(module: Path) -> None:
    run(module, "validate", "-no-color")
    assert "0 failed" in run(module, "test", "-no-color")


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"

    def up() -> bool:
        try:
            return httpx.get(f"{url}/moto-api/").status_code == 200
        except httpx.HTTPError:
            return False

    wait_until(up, what="moto")
    yield url
    server.terminate()
    server.wait(30)


@pytest.mark.real("terraform")
def test_aws_module_applies_with_queues_targets_and_narrow_roles(
    module: Path, moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = [
        "cloudwatch",
        "events",
        "iam",
        "kinesis",
        "kms",
        "lambda",
        "logs",
        "s3",
        "scheduler",
        "secretsmanager",
        "sqs",
        "sts",
    ]
    endpoints = "".join(f'    {name} = "{moto}"\n' for name in services)
    (module / "provider.tf").write_text(
        'provider "aws" {\n  region = "eu-west-1"\n  access_key = "test"\n  secret_key = "test"\n'
        "  skip_credentials_validation = true\n  skip_requesting_account_id = true\n  skip_metadata_api_check = true\n"
        f"  s3_use_path_style = true\n  endpoints {{\n{endpoints}  }}\n}}\n"
    )
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    logs = boto3.client("logs", endpoint_url=moto)
    logs.create_log_group(logGroupName="/aws/eks/prod/cluster")
    (module / "terraform.tfvars.json").write_text(
        json.dumps(
            {
                "package": "tests/package.zip",
                "store_url": "postgresql+psycopg://seawall@db.example:5432/seawall",
                "clusters": ["prod"],
                "access_entries": False,  # moto has no access entries
                "api_token": TOKEN,
                "webhook_secret": TOKEN,
            }
        )
    )
    try:
        run(module, "apply", "-auto-approve", "-input=false", "-no-color", "-parallelism=30")
        outputs = json.loads(run(module, "output", "-json"))
        events = boto3.client("events", endpoint_url=moto)
        pattern = json.loads(events.describe_rule(Name="seawall-pushes")["EventPattern"])
        assert pattern["detail"] == {"action-type": ["PUSH"], "result": ["SUCCESS"]}
        targets = events.list_targets_by_rule(Rule="seawall-pushes")["Targets"]
        assert [target["Arn"].rsplit(":", 1)[1] for target in targets] == ["seawall-pushes"]
        sqs = boto3.client("sqs", endpoint_url=moto)
        for name, url in outputs["queues"]["value"].items():
            here = moto + "/" + "/".join(url.rsplit("/", 2)[1:])
            found = sqs.get_queue_attributes(QueueUrl=here, AttributeNames=["All"])["Attributes"]
            dead = json.loads(found["RedrivePolicy"])["deadLetterTargetArn"]
            assert "-dead" in dead, name
            assert dead.endswith(".fifo") == name.endswith(".fifo")
        filters = logs.describe_subscription_filters(logGroupName="/aws/eks/prod/cluster")["subscriptionFilters"]
        assert "stream/seawall-audit" in filters[0]["destinationArn"]
        policies = boto3.client("iam", endpoint_url=moto)
        api = policies.get_role_policy(RoleName="seawall-api", PolicyName="function")["PolicyDocument"]
        actions = {
            action
            for item in api["Statement"]
            for action in ([item["Action"]] if isinstance(item["Action"], str) else item["Action"])
        }
        assert not {action for action in actions if "*" in action or action.startswith(("ecr:", "iam:"))}
    finally:
        (module / "provider.tf").unlink()
        (module / "terraform.tfvars.json").unlink()


@pytest.mark.shared
@pytest.mark.parametrize("cloud", ["azure", "gcp"])
def test_provider_schema_has_no_objection(cloud: str, shared_data: Path, tmp_path: Path) -> None:
    """The parser is kept apart: checkov brings another package under its name."""
    if not (TERRAFORM / cloud).is_dir():
        pytest.skip(f"no module for {cloud}")
    python = Path(os.environ.get("SEAWALL_HCL_PYTHON", "/opt/seawall-hcl/bin/python"))
    if not python.exists():
        environment = tmp_path / "hcl"
        uv = Path(sys.executable).parent / "uv"
        subprocess.run([uv, "venv", "--quiet", environment], check=True)
        python = environment / "bin/python"
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "python-hcl2>=8"], check=True)
    done = subprocess.run(
        [python, shared_data.parent / "tools/terraform_schema_check", TERRAFORM / cloud], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
