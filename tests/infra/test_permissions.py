"""AWS: what the adapters call through boto3 is what the functions' roles allow, and each further action has its reason."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

ROOT = Path(__file__).parents[2]
IAM = (ROOT / "infra/terraform/aws/iam.tf").read_text()
# Actions of S3 that are named otherwise than their operations (AWS, "Actions, resources, and condition keys for Amazon S3").
S3_ACTIONS = {
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:UploadFile": "s3:PutObject",
    "s3:UploadFileobj": "s3:PutObject",
}
# Allowed without a call of ours: who makes it.
PLATFORM = {
    "logs:CreateLogStream": "Lambda writes the function's log",
    "logs:PutLogEvents": "Lambda writes the function's log",
    "xray:PutTraceSegments": "Lambda traces invocations",
    "xray:PutTelemetryRecords": "Lambda traces invocations",
    "sqs:ReceiveMessage": "the event source mapping polls",
    "sqs:DeleteMessage": "the event source mapping polls",
    "sqs:GetQueueAttributes": "the event source mapping polls",
    "kinesis:GetRecords": "the event source mapping reads the stream",
    "kinesis:GetShardIterator": "the event source mapping reads the stream",
    "kinesis:DescribeStream": "the event source mapping reads the stream",
    "kinesis:DescribeStreamSummary": "the event source mapping reads the stream",
    "kinesis:ListShards": "the event source mapping reads the stream",
    "kms:Decrypt": "SQS, Kinesis, S3 and the environment are encrypted by the data key",
    "kms:GenerateDataKey": "SQS, Kinesis, S3 and the environment are encrypted by the data key",
    "s3:ListBucket": "a missing object is then 404 and not 403",
    "rds-db:connect": "the token that generate_db_auth_token signs locally",
    "ec2:CreateNetworkInterface": "Lambda in a VPC",
    "ec2:DescribeNetworkInterfaces": "Lambda in a VPC",
    "ec2:DeleteNetworkInterface": "Lambda in a VPC",
    "ec2:AssignPrivateIpAddresses": "Lambda in a VPC",
    "ec2:UnassignPrivateIpAddresses": "Lambda in a VPC",
    "ecr:BatchGetImage": "registry API: manifests",
    "ecr:GetDownloadUrlForLayer": "registry API: blobs",
    "ecr:BatchCheckLayerAvailability": "registry API: HEAD of a blob",
    "ecr:DescribeImages": "registry API: referrers",
    "ecr:DescribeRepositories": "registry API: catalog",
    "ecr:ListImages": "registry API: tags",
    "ecr:PutImage": "registry API: referrers are pushed",
    "ecr:InitiateLayerUpload": "registry API: referrers are pushed",
    "ecr:UploadLayerPart": "registry API: referrers are pushed",
    "ecr:CompleteLayerUpload": "registry API: referrers are pushed",
}


def called() -> Iterator[str]:
    """Actions behind the boto3 calls of the library, as IAM names them."""
    for path in sorted((ROOT / "shared/seawall").rglob("*.py")):
        text = path.read_text()
        services = set(re.findall(r'\bclient\("(\w+)"', text))
        if "assets" in path.parts and "rights" in path.name:
            continue
        if not services or ("boto3" not in text and "aws.session" not in text):
            continue
        names = {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
        for service in services:
            mapping = boto3.client(service, region_name="eu-west-1").meta.method_to_api_mapping
            for name in names & set(mapping):
                action = f"{service}:{mapping[name]}"
                yield S3_ACTIONS.get(action, action)


def allowed() -> set[str]:
    """Actions in the policies of the functions (the discovery file's are held elsewhere)."""
    body = IAM[
        IAM.index('data "aws_iam_policy_document" "function"') : IAM.index('resource "aws_iam_role_policy" "function"')
    ]
    return set(re.findall(r'"((?:logs|xray|s3|kms|sqs|kinesis|rds-db|ec2|ecr|sts|securityhub):\w+)"', body)) - {
        "sts:IdentityTokenAudience"  # a condition key
    }


def test_every_call_is_allowed() -> None:
    calls = set(called())
    assert {"sqs:SendMessage", "kms:Sign", "s3:PutObject", "securityhub:BatchImportFindings"} <= calls
    assert calls - allowed() - discovery() == set()


def discovery() -> set[str]:
    from tests.support.discovery import CLOUD

    return {right.permission for right in CLOUD if right.cloud == "aws"}


def test_nothing_is_allowed_that_nobody_calls() -> None:
    assert allowed() - set(called()) - set(PLATFORM) == set()
    assert set(PLATFORM) - allowed() == set()


def test_no_policy_has_a_wildcard_in_an_action() -> None:
    for action in re.findall(r'"(\w[\w-]*:[\w*]+)"', IAM):
        assert "*" not in action, action


@pytest.mark.parametrize("cloud", ["azure", "gcp"])
def test_every_grant_says_what_it_is_for(cloud: str) -> None:
    """Terraform: a description or a comment beside each grant."""
    kinds = {"azure": "azurerm_role_assignment", "gcp": r"google_\w+_iam_member"}
    for path in sorted((ROOT / "infra/terraform" / cloud).glob("*.tf")):
        text = path.read_text()
        for match in re.finditer(
            rf'((?:^#[^\n]*\n)*)^resource "({kinds[cloud]})" "(\w+)" {{\n(.*?)^}}', text, re.MULTILINE | re.DOTALL
        ):
            assert match[1] or "description" in match[4], f"{path.name}: {match[2]}.{match[3]}"
