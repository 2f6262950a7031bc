"""EventBridge deliveries: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rules.html."""

import json
import time
import uuid
from typing import Any

import pytest

from scripts.local_aws.events.patterns import matches
from scripts.local_aws.events.service import target_input
from tests.local_aws.conftest import Server, eventually

EVENT = {
    "source": "aws.s3",
    "time": "2026-01-01T00:00:00Z",
    "detail": {
        "key": "incoming/a.jpg",
        "size": 5,
        "tags": ["x", "y"],
        "ip": "10.0.0.7",
        "none": None,
        "on": True,
    },
}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"source": ["aws.s3"]}, True),
        ({"source": ["aws.s3", "other"], "detail": {"size": [5]}}, True),
        ({"source": ["aws.ec2"]}, False),
        ({"detail": {"key": [{"prefix": "incoming/"}]}}, True),
        ({"detail": {"key": [{"prefix": {"equals-ignore-case": "INCOMING/"}}]}}, True),
        ({"detail": {"key": [{"suffix": ".png"}, {"suffix": ".jpg"}]}}, True),
        ({"detail": {"key": [{"wildcard": "in*/*.jpg"}]}}, True),
        ({"detail": {"key": [{"wildcard": "*.jp"}]}}, False),
        ({"detail": {"key": [{"equals-ignore-case": "INCOMING/A.jpg"}]}}, True),
        ({"detail": {"key": [{"anything-but": ["incoming/a.jpg"]}]}}, False),
        ({"detail": {"key": [{"anything-but": {"prefix": "submitted/"}}]}}, True),
        ({"detail": {"key": [{"anything-but": {"wildcard": "*.jpg"}}]}}, False),
        ({"detail": {"absent": [{"anything-but": "x"}]}}, False),
        ({"detail": {"key": [{"exists": True}]}}, True),
        ({"detail": {"absent": [{"exists": False}]}}, True),
        ({"detail": {"absent": {"deeper": [{"exists": False}]}}}, True),
        ({"detail": {"key": [{"exists": False}]}}, False),
        ({"detail": {"size": [{"numeric": [">", 0, "<=", 5]}]}}, True),
        ({"detail": {"size": [{"numeric": [">", 5]}]}}, False),
        ({"detail": {"key": [{"numeric": [">", 5]}]}}, False),
        ({"detail": {"tags": ["y"]}}, True),
        ({"detail": {"tags": ["z"]}}, False),
        ({"detail": {"none": [None]}}, True),
        ({"detail": {"on": [True]}}, True),
        ({"detail": {"on": [1]}}, False),
        ({"detail": {"ip": [{"cidr": "10.0.0.0/24"}]}}, True),
        ({"$or": [{"source": ["no"]}, {"detail": {"size": [5]}}]}, True),
        ({"$or": [{"source": ["no"]}, {"detail": {"size": [6]}}]}, False),
    ],
)
def test_patterns_select_events(rule: dict[str, Any], expected: bool) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html"""
    assert matches(rule, EVENT) is expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({}, json.dumps(EVENT)),
        ({"Input": '{"a": 1}'}, '{"a": 1}'),
        ({"InputPath": "$.detail.tags[1]"}, '"y"'),
        ({"InputPath": "$.detail.missing"}, "null"),
    ],
)
def test_a_target_gets_the_event_or_a_part_or_a_constant(target: dict[str, Any], expected: str) -> None:
    assert target_input(target, EVENT, "arn:rule/r") == expected


def test_a_template_is_filled_in() -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html"""
    key = 'a"\n<b>'
    event = {**EVENT, "detail": {**EVENT["detail"], "key": key}}  # type: ignore[dict-item]
    transformer = {
        "InputPathsMap": {"key": "$.detail.key", "tags": "$.detail.tags", "gone": "$.detail.gone"},
        "InputTemplate": '{"text": "key <key> of <aws.events.rule-name>", "key": <key>, "tags": <tags>, "gone": <gone>}',
    }
    filled = json.loads(target_input({"InputTransformer": transformer}, event, "arn:rule/r"))
    assert filled == {"text": f"key {key} of r", "key": key, "tags": ["x", "y"], "gone": None}


def create_rule(server: Server, pattern: dict[str, Any], target: dict[str, Any], **more: Any) -> str:
    events, name = server.client("events"), f"rule-{uuid.uuid4().hex[:8]}"
    events.put_rule(Name=name, EventPattern=json.dumps(pattern), **more)
    events.put_targets(Rule=name, Targets=[{"Id": "target", **target}])
    return name


def put_event(server: Server, source: str, **detail: Any) -> str:
    entry = {"Source": source, "DetailType": "test", "Detail": json.dumps(detail)}
    answer = server.client("events").put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0
    return str(answer["Entries"][0]["EventId"])


def create_event_bucket(server: Server, versioned: bool = False) -> str:
    s3, bucket = server.client("s3"), server.create_bucket()
    if versioned:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    return bucket


def test_a_new_object_is_announced_with_its_raw_key(server: Server) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html"""
    url, arn = server.create_queue()
    bucket = create_event_bucket(server, versioned=True)
    create_rule(server, {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}, {"Arn": arn})
    key = "incoming/a b+%41 \"'\nä.jpg"
    put = server.client("s3").put_object(Bucket=bucket, Key=key, Body=b"12345")
    event = json.loads(server.receive(url)["Body"])
    assert event["detail-type"] == "Object Created"
    assert event["resources"] == [f"arn:aws:s3:::{bucket}"]
    assert set(event) == {
        "version",
        "id",
        "detail-type",
        "source",
        "account",
        "time",
        "region",
        "resources",
        "detail",
    }
    found, detail = event["detail"]["object"], event["detail"]
    assert found.pop("sequencer")
    assert found == {"key": key, "size": 5, "etag": put["ETag"].strip('"'), "version-id": put["VersionId"]}
    assert (detail["reason"], detail["bucket"]) == ("PutObject", {"name": bucket})


def test_a_deletion_is_announced(server: Server) -> None:
    url, arn = server.create_queue()
    bucket = create_event_bucket(server, versioned=True)
    pattern = {"detail-type": ["Object Deleted"], "detail": {"bucket": {"name": [bucket]}}}
    create_rule(server, pattern, {"Arn": arn})
    server.client("s3").put_object(Bucket=bucket, Key="a", Body=b"")
    marker = server.client("s3").delete_object(Bucket=bucket, Key="a")["VersionId"]
    detail = json.loads(server.receive(url)["Body"])["detail"]
    assert (detail["object"]["key"], detail["object"]["version-id"]) == ("a", marker)
    assert (detail["reason"], detail["deletion-type"]) == ("DeleteObject", "Delete Marker Created")


def test_a_multipart_upload_and_a_copy_have_their_reasons(server: Server) -> None:
    url, arn = server.create_queue()
    bucket, s3 = create_event_bucket(server), server.client("s3")
    create_rule(server, {"detail": {"bucket": {"name": [bucket]}}}, {"Arn": arn})
    upload = {"Bucket": bucket, "Key": "large"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = s3.upload_part(**upload, PartNumber=1, Body=b"x")
    s3.complete_multipart_upload(
        **upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    assert json.loads(server.receive(url)["Body"])["detail"]["reason"] == "CompleteMultipartUpload"
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "large"})
    assert json.loads(server.receive(url)["Body"])["detail"]["reason"] == "CopyObject"


def test_a_bucket_without_eventbridge_is_silent(server: Server) -> None:
    url, arn = server.create_queue()
    bucket = server.create_bucket()
    create_rule(server, {"detail": {"bucket": {"name": [bucket]}}}, {"Arn": arn})
    server.client("s3").put_object(Bucket=bucket, Key="a", Body=b"")
    time.sleep(0.5)
    assert "Messages" not in server.client("sqs").receive_message(QueueUrl=url)


def test_a_disabled_rule_delivers_nothing_until_it_is_enabled(server: Server) -> None:
    url, arn = server.create_queue()
    rule = create_rule(server, {"source": ["disabled"]}, {"Arn": arn}, State="DISABLED")
    put_event(server, "disabled")
    server.client("events").enable_rule(Name=rule)
    expected = put_event(server, "disabled")
    assert json.loads(server.receive(url)["Body"])["id"] == expected


def test_a_target_function_is_invoked(server: Server) -> None:
    url, arn = server.create_queue()
    name = server.create_function("def lambda_handler(event, context): return event")
    client = server.client("lambda")
    client.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": arn}}
    )
    function_arn = client.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    server.let_invoke(name, "events")
    create_rule(server, {"source": ["to.lambda"]}, {"Arn": function_arn, "InputPath": "$.detail"})
    put_event(server, "to.lambda", a=1)
    assert json.loads(server.receive(url)["Body"])["responsePayload"] == {"a": 1}


def test_a_target_state_machine_is_started(server: Server) -> None:
    states = server.client("stepfunctions")
    definition = {"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Succeed"}}}
    name = f"machine-{uuid.uuid4().hex[:8]}"
    arn = states.create_state_machine(
        name=name, definition=json.dumps(definition), roleArn=server.create_role()
    )
    create_rule(
        server, {"source": ["to.states"]}, {"Arn": arn["stateMachineArn"], "RoleArn": server.create_role()}
    )
    expected = put_event(server, "to.states", a=1)
    listed = eventually(lambda: states.list_executions(stateMachineArn=arn["stateMachineArn"])["executions"])
    execution = states.describe_execution(executionArn=listed[0]["executionArn"])
    assert json.loads(execution["input"])["id"] == expected


def test_the_end_of_an_execution_is_announced(server: Server) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html"""
    url, arn = server.create_queue()
    states = server.client("stepfunctions")
    definition = {
        "QueryLanguage": "JSONata",
        "StartAt": "A",
        "States": {"A": {"Type": "Fail", "Error": "Odd", "Cause": "why"}},
    }
    machine = states.create_state_machine(
        name=f"machine-{uuid.uuid4().hex[:8]}",
        definition=json.dumps(definition),
        roleArn=server.create_role(),
    )["stateMachineArn"]
    pattern = {"source": ["aws.states"], "detail": {"status": ["FAILED"], "stateMachineArn": [machine]}}
    create_rule(server, pattern, {"Arn": arn})
    execution = states.start_execution(stateMachineArn=machine)["executionArn"]
    event = json.loads(server.receive(url)["Body"])
    assert event["detail-type"] == "Step Functions Execution Status Change"
    assert event["resources"] == [execution]


def test_what_cannot_be_delivered_goes_to_the_dead_letter_queue(server: Server) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html"""
    url, arn = server.create_queue()
    target = "arn:aws:lambda:us-east-1:123456789012:function:nobody"
    create_rule(server, {"source": ["lost"]}, {"Arn": target, "DeadLetterConfig": {"Arn": arn}})
    put_event(server, "lost", a=1)
    message = server.receive(url)
    assert json.loads(message["Body"])["detail"] == {"a": 1}
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert (attributes["TARGET_ARN"], attributes["ERROR_CODE"]) == (target, "ResourceNotFoundException")
    assert attributes["RETRY_ATTEMPTS"] == "0"


def test_an_event_without_detail_is_refused(server: Server) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html"""
    entries = [{"Source": "x", "DetailType": "y", "Detail": "no json"}, {"Source": "x", "DetailType": "y"}]
    answer = server.client("events").put_events(Entries=entries)
    assert answer["FailedEntryCount"] == 2
    assert [entry["ErrorCode"] for entry in answer["Entries"]] == ["MalformedDetail", "InvalidArgument"]
