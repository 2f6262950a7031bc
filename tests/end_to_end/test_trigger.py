"""The bucket's events: what lands under incoming/ is classified, nothing else starts anything."""

import json
from pathlib import Path

import pytest

from scripts.workflow.bucket_layout import OWN_PREFIXES, SUBMITTED

EVENTS = Path(__file__).resolve().parent.parent / "events"


def executions(workflow) -> int:
    pages = workflow.states.get_paginator("list_executions").paginate(
        stateMachineArn=workflow.deployment.state_machine_arn
    )
    return sum(len(page["executions"]) for page in pages)


@pytest.mark.parametrize(
    "name",
    [
        "van-17.jpg",
        "a b.jpg",
        "a+b%20c.jpg",
        "quote'\"s.jpg",
        "line\nbreak.jpg",
        "Fahrräder 🚲.jpg",
        "no-suffix",
    ],
)
def test_an_object_under_incoming_is_classified_by_its_exact_key(name, workflow, bicycle, eventually):
    key = f"incoming/{name}"
    put = workflow.s3.put_object(Bucket=workflow.deployment.bucket, Key=key, Body=bicycle.read_bytes())

    row = eventually(lambda: workflow.row(f"s3://{workflow.deployment.bucket}/{key}", put["VersionId"]))

    assert (row["status"], row["label"]) == ("ACCEPTED", "bicycle")


def test_objects_under_other_prefixes_start_nothing(workflow, bicycle, eventually):
    before = executions(workflow)
    for prefix in (*OWN_PREFIXES, f"{SUBMITTED}/", "incoming-not/", "elsewhere/incoming/"):
        workflow.s3.put_object(
            Bucket=workflow.deployment.bucket, Key=f"{prefix}a.jpg", Body=bicycle.read_bytes()
        )

    # Events are delivered in order: once the one that counts has arrived, the others would have, too.
    put = workflow.s3.put_object(
        Bucket=workflow.deployment.bucket, Key="incoming/last.jpg", Body=bicycle.read_bytes()
    )
    eventually(lambda: workflow.row(f"s3://{workflow.deployment.bucket}/incoming/last.jpg", put["VersionId"]))

    assert executions(workflow) == before + 1


def test_each_version_of_an_object_is_a_picture(workflow, bicycle, eventually):
    """Its deletion is not."""
    bucket, key = workflow.deployment.bucket, "incoming/overwritten.jpg"
    before = executions(workflow)
    versions = [
        workflow.s3.put_object(Bucket=bucket, Key=key, Body=bicycle.read_bytes())["VersionId"]
        for _ in range(2)
    ]
    eventually(lambda: len(workflow.ledger.rows_of(f"s3://{bucket}/{key}")) == 2)

    workflow.s3.delete_object(Bucket=bucket, Key=key)
    workflow.s3.delete_object(Bucket=bucket, Key=key, VersionId=versions[0])
    put = workflow.s3.put_object(Bucket=bucket, Key="incoming/after.jpg", Body=bicycle.read_bytes())
    eventually(lambda: workflow.row(f"s3://{bucket}/incoming/after.jpg", put["VersionId"]))

    assert {row["version"] for row in workflow.ledger.rows_of(f"s3://{bucket}/{key}")} == {*versions}
    assert executions(workflow) == before + 3


def test_the_raw_event_is_an_execution_input(workflow, bicycle, execute):
    picture = workflow.submit(str(bicycle))
    event = json.loads((EVENTS / "s3_object_created.json").read_text(encoding="utf-8"))
    event["detail"]["bucket"]["name"] = picture.s3_bucket
    event["detail"]["object"] |= {"key": picture.s3_key, "version-id": picture.s3_version_id}

    described = execute(event)

    assert described["status"] == "SUCCEEDED"
    assert json.loads(described["output"])["s3_key"] == picture.s3_key


def test_an_aborted_execution_alerts_and_leaves_its_row(workflow, stack, eventually):
    """Stopping from outside is seen by the event rule alone."""
    event = {"s3_bucket": workflow.deployment.bucket, "s3_key": "incoming/stopped.jpg"}
    # An execution may end before it can be stopped, and its decision stays: each try has its own picture.
    for number in range(50):
        event["s3_version_id"] = f"v{number}"
        started = workflow.states.start_execution(
            stateMachineArn=workflow.deployment.state_machine_arn, input=json.dumps(event)
        )
        workflow.states.stop_execution(executionArn=started["executionArn"])
        if workflow.wait(started["executionArn"])["status"] == "ABORTED":
            break
    else:
        pytest.fail("no execution could be stopped in 50 tries")

    name = started["executionArn"].rsplit(":", 1)[-1]
    (alert,) = eventually(lambda: [message for message in stack.outbox() if name in message["message"]])

    assert alert["attributes"]["category"] == "system"
    row = workflow.row(f"s3://{workflow.deployment.bucket}/incoming/stopped.jpg", event["s3_version_id"])
    assert (row["status"], row["attention"], row["execution"]) == (
        "FAILED",
        "FAILED",
        started["executionArn"],
    )
