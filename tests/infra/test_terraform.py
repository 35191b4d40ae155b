"""Terraform by Terraform itself: format, validity, each module's own tests, and an apply of AWS against moto."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from tests.support import terraform
from tests.support.ports import free_port, wait_until

TERRAFORM = terraform.INFRA / "terraform"
TOKEN = "0123456789abcdef0123456789abcdef"
CLOUDS = sorted(folder.name for folder in TERRAFORM.iterdir() if folder.is_dir())


def test_there_is_a_module_for_every_cloud() -> None:
    assert CLOUDS == ["aws", "azure", "gcp"]


@pytest.mark.real("terraform")
def test_everything_is_formatted() -> None:
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", "-diff", TERRAFORM], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def aws_module(folder: Path) -> Iterator[terraform.Module]:
    """The AWS module with a package that Terraform can hash."""
    with terraform.module("aws", folder) as module:
        with zipfile.ZipFile(module.folder / "tests/package.zip", "w") as package:
            package.writestr("handlers.py", "")
        yield module


@pytest.mark.timeout(900)
@pytest.mark.real("terraform-aws")
@pytest.mark.usefixtures("deployment")
def test_aws_module_is_valid_and_passes_its_own_tests(tmp_path: Path) -> None:
    with aws_module(tmp_path) as module:
        module.run("validate", "-no-color")
        assert "0 failed" in module.run("test", "-no-color")


@pytest.mark.shared
@pytest.mark.real("terraform")
@pytest.mark.parametrize("cloud", ["azure", "gcp"])
def test_module_is_valid_and_passes_its_own_tests(cloud: str, shared_data: Path, tmp_path: Path) -> None:
    """With the real schema and made-up values (tests/support/terraform_provider.py)."""
    with terraform.module(cloud, tmp_path, shared_data / "terraform-schemas") as module:
        module.run("validate", "-no-color")
        output = module.run("test", "-no-color")
        assert "0 failed" in output
        assert "0 passed" not in output


@pytest.mark.shared
@pytest.mark.real("terraform")
@pytest.mark.parametrize(
    ("cloud", "file", "old", "new", "message"),
    [
        pytest.param("azure", "main.tf", "partition_count =", "partitions =", "partition_count", id="wrong argument"),
        pytest.param("azure", "apps.tf", '["audit"].name', '["audits"].name', "audits", id="unknown key"),
        pytest.param("azure", "apps.tf", ".immutable_id", ".imutable_id", "imutable_id", id="unknown attribute"),
        pytest.param("gcp", "main.tf", 'topic = "gcr"', "topic = 5 + true", "number required", id="wrong kind"),
        pytest.param("gcp", "functions.tf", "timeout          ", "time_out         ", "time_out", id="wrong block"),
    ],
)
def test_a_mistake_is_found(
    cloud: str, file: str, old: str, new: str, message: str, shared_data: Path, tmp_path: Path
) -> None:
    with terraform.module(cloud, tmp_path, shared_data / "terraform-schemas") as module:
        path = module.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(AssertionError, match=message):
            module.run("test", "-no-color")


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

    try:
        wait_until(up, what="moto", timeout_s=120)
        yield url
    finally:
        server.terminate()
        server.wait(30)


SERVICES = [
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


class Deployment:
    """The AWS module, applied to moto and destroyed again. Both are mostly waiting: they go on while other tests run."""

    def __init__(self, module: terraform.Module, moto: str, pool: ThreadPoolExecutor) -> None:
        self._module, self._pool = module, pool
        self.applied = pool.submit(apply, module, moto)
        self.destroyed: Future[str] | None = None

    def destroy(self) -> None:
        """Begin to destroy it, as the guide says."""
        self.destroyed = self._pool.submit(
            self._module.run,
            "destroy",
            "-auto-approve",
            "-input=false",
            "-no-color",
            "-parallelism=30",
            "-refresh=false",
        )


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, moto: str) -> Iterator[Deployment]:
    """A deployment that is being made; at the end nothing of it is left."""
    with aws_module(tmp_path_factory.mktemp("aws")) as module, ThreadPoolExecutor(1) as pool:
        made = Deployment(module, moto, pool)
        yield made
        if made.applied.exception() is None:
            if made.destroyed is None:
                made.destroy()
            assert made.destroyed is not None
            made.destroyed.result()
            assert module.run("state", "list") == ""
            assert "QueueUrls" not in client("sqs", moto).list_queues()


@pytest.fixture
def applied(deployment: Deployment) -> Iterator[dict[str, Any]]:
    """The outputs of the deployment, for the one test that looks at it."""
    yield deployment.applied.result()
    deployment.destroy()


def apply(aws: terraform.Module, moto: str) -> dict[str, Any]:
    """Plan and apply the module to moto; return its outputs."""
    endpoints = "".join(f'    {name} = "{moto}"\n' for name in SERVICES)
    (aws.folder / "provider.tf").write_text(
        'provider "aws" {\n  region = "eu-west-1"\n  access_key = "test"\n  secret_key = "test"\n'
        "  skip_credentials_validation = true\n  skip_requesting_account_id = true\n  skip_metadata_api_check = true\n"
        f"  s3_use_path_style = true\n  endpoints {{\n{endpoints}  }}\n}}\n"
    )
    # moto's CloudFormation needs more than is installed; the module's own tests look at the stack.
    (aws.folder / "moto_override.tf").write_text('resource "aws_cloudformation_stack" "url" {\n  count = 0\n}\n')
    client("logs", moto).create_log_group(logGroupName="/aws/eks/prod/cluster")
    (aws.folder / "terraform.tfvars.json").write_text(
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
    aws.run("plan", "-input=false", "-no-color", "-out=it.plan")
    aws.run("apply", "-input=false", "-no-color", "-parallelism=30", "it.plan")
    outputs: dict[str, Any] = json.loads(aws.run("output", "-json"))
    return outputs


def client(service: str, url: str) -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.mark.timeout(900)  # queues and streams are waited for, made and destroyed
@pytest.mark.real("terraform-aws")
def test_aws_module_applies_with_queues_targets_and_narrow_roles(applied: dict[str, Any], moto: str) -> None:
    events = client("events", moto)
    pattern = json.loads(events.describe_rule(Name="seawall-pushes")["EventPattern"])
    assert pattern["detail"] == {"action-type": ["PUSH"], "result": ["SUCCESS"]}
    targets = events.list_targets_by_rule(Rule="seawall-pushes")["Targets"]
    assert [target["Arn"].rsplit(":", 1)[1] for target in targets] == ["seawall-pushes"]
    sqs = client("sqs", moto)
    # moto invokes a mapped function while a message is sent, in Docker, and answers 500 where there is none.
    lambdas = client("lambda", moto)
    for mapping in lambdas.list_event_source_mappings()["EventSourceMappings"]:
        lambdas.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    pushed = {"action-type": "PUSH", "result": "SUCCESS", "repository-name": "shop/api", "image-digest": "sha256:1"}
    for detail in (pushed, pushed | {"action-type": "DELETE"}):
        entry = {"Source": "aws.ecr", "DetailType": "ECR Image Action", "Detail": json.dumps(detail)}
        assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
    url = applied["queues"]["value"]["pushes"]
    here = moto + "/" + "/".join(url.rsplit("/", 2)[1:])
    (message,) = sqs.receive_message(QueueUrl=here, MaxNumberOfMessages=10)["Messages"]
    assert json.loads(message["Body"])["detail"] == pushed
    for name, url in applied["queues"]["value"].items():
        here = moto + "/" + "/".join(url.rsplit("/", 2)[1:])
        found = sqs.get_queue_attributes(QueueUrl=here, AttributeNames=["All"])["Attributes"]
        dead = json.loads(found["RedrivePolicy"])["deadLetterTargetArn"]
        assert "-dead" in dead, name
        assert dead.endswith(".fifo") == name.endswith(".fifo")
    filters = client("logs", moto).describe_subscription_filters(logGroupName="/aws/eks/prod/cluster")
    assert "stream/seawall-audit" in filters["subscriptionFilters"][0]["destinationArn"]
    functions = client("lambda", moto).list_functions()["Functions"]
    assert {tuple(function["Architectures"]) for function in functions} == {("arm64",)}
    alarms = client("cloudwatch", moto).describe_alarms()["MetricAlarms"]
    assert {alarm["AlarmName"] for alarm in alarms} >= {url.rsplit("/", 1)[1] for url in dead_urls(applied)}
    api = client("iam", moto).get_role_policy(RoleName="seawall-api", PolicyName="function")["PolicyDocument"]
    actions = {
        action
        for item in api["Statement"]
        for action in ([item["Action"]] if isinstance(item["Action"], str) else item["Action"])
    }
    assert not {action for action in actions if "*" in action or action.startswith(("ecr:", "iam:"))}


def dead_urls(applied: dict[str, Any]) -> list[str]:
    return list(applied["dead_letter_queues"]["value"].values())


@pytest.mark.shared
@pytest.mark.parametrize("cloud", ["azure", "gcp"])
def test_provider_schema_has_no_objection(cloud: str, shared_data: Path, tmp_path: Path) -> None:
    """The parser is kept apart: checkov brings another package under its name."""
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
