"""A push to ECR: EventBridge's rule, the queue behind it, the function on the queue, the queue of scans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from seawall.formats.cloudevents import IMAGE_PUSHED, parse

from tests.support.fixtures import clean_environment
from tests.support.hosts import FUNCTIONS, write_config
from tests.support.job_services import _record
from tests.support.lambda_runtime import LambdaProcess

PATTERN = {
    "source": ["aws.ecr"],
    "detail-type": ["ECR Image Action"],
    "detail": {"action-type": ["PUSH"], "result": ["SUCCESS"]},
}
"""As infra/terraform/aws has it; tests/infra compares what Terraform made."""
PUSH = {
    "action-type": "PUSH",
    "result": "SUCCESS",
    "repository-name": "shop/api",
    "image-digest": "sha256:" + "1" * 64,
    "image-tag": "1.4.2",
}


def entry(source: str = "aws.ecr", **changes: str) -> dict[str, str]:
    return {"Source": source, "DetailType": "ECR Image Action", "Detail": json.dumps(PUSH | changes)}


@pytest.mark.real("lambda")
def test_a_push_becomes_a_scan_and_nothing_else_does(tmp_path: Path, aws_environment: dict[str, str]) -> None:
    sqs, events = boto3.client("sqs"), boto3.client("events")
    pushes = sqs.create_queue(QueueName="eb-pushes")["QueueUrl"]
    images = sqs.create_queue(QueueName="eb-images")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=pushes, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="eb-pushes", EventPattern=json.dumps(PATTERN))
    events.put_targets(Rule="eb-pushes", Targets=[{"Id": "queue", "Arn": arn}])
    sent = [
        entry(),
        entry(**{"action-type": "DELETE"}),
        entry(result="FAILURE"),
        entry(source="aws.other"),
        entry(**{"image-digest": "garbage"}),
    ]
    assert events.put_events(Entries=sent)["FailedEntryCount"] == 0
    messages = received(sqs, pushes)
    assert len(messages) == 2, "the rule lets pushes through"
    settings = {
        "data_dir": str(tmp_path / "data"),
        "job_queue": {"service": "sqs", "endpoint": images.rpartition("/")[0], "prefix": "eb-"},
    }
    env = clean_environment(SEAWALL_CONFIG=str(write_config(tmp_path, settings)), **aws_environment)
    with LambdaProcess(FUNCTIONS / "aws", "handlers.image_pushed", env=env) as function:
        for _ in range(2):  # EventBridge and SQS both deliver at least once
            answer = function.invoke({"Records": [_record(message) for message in messages]})
            assert answer.body == {"batchItemFailures": []}, "the garbage is kept as poison, and does not come again"
    jobs = [parse(message["Body"].encode()) for message in received(sqs, images)]
    assert {(job.type, job.subject) for job in jobs} == {
        (IMAGE_PUSHED, f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/api:1.4.2@{PUSH['image-digest']}")
    }
    assert len({job.id for job in jobs}) == 1, "the same push is the same job"
    events.remove_targets(Rule="eb-pushes", Ids=["queue"])
    events.delete_rule(Name="eb-pushes")
    for url in (pushes, images):
        sqs.delete_queue(QueueUrl=url)


def received(sqs: Any, url: str) -> list[dict[str, Any]]:
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], WaitTimeSeconds=1)
    messages = list(answer.get("Messages", []))
    for message in messages:
        body = json.loads(message["Body"])
        if body.get("source") == "aws.ecr":  # moto leaves out what every event has
            message["Body"] = json.dumps(body | {"account": "123456789012"})
    return messages
