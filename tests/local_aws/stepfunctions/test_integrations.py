"""Service integrations: https://docs.aws.amazon.com/step-functions/latest/dg/integrate-services.html."""

import json
import uuid
from typing import Any

import pytest

from tests.local_aws.conftest import Server, eventually
from tests.local_aws.sns.test_service import create_topic, outbox

FAILING = "class Odd(Exception): pass\ndef lambda_handler(event, context): raise Odd('no')"


def run(server: Server, resource: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Run a machine with one task; returns DescribeExecution with the output as Python value."""
    task = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Arguments": arguments, "End": True}
    return run_machine(server, {"Task": task})


def run_machine(server: Server, machine_states: dict[str, Any], role: str | None = None) -> dict[str, Any]:
    """Run these states from the first on; returns DescribeExecution with the output as Python value.

    A role that may do everything is made where none is given.
    """
    states = server.client("stepfunctions")
    start = next(iter(machine_states))
    definition = {"QueryLanguage": "JSONata", "StartAt": start, "States": machine_states}
    machine = states.create_state_machine(
        name=f"machine-{uuid.uuid4().hex[:8]}",
        definition=json.dumps(definition),
        roleArn=role or server.create_role(),
    )["stateMachineArn"]
    execution = states.start_execution(stateMachineArn=machine, input='{"key": "k"}')["executionArn"]

    def ended() -> Any:
        description = states.describe_execution(executionArn=execution)
        return description if description["status"] != "RUNNING" else None

    description: dict[str, Any] = eventually(ended)
    return {**description, "output": json.loads(description.get("output", "null"))}


@pytest.fixture(scope="module")
def table(server: Server) -> str:
    server.client("dynamodb").create_table(
        TableName="ledger",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return "ledger"


def test_a_function_is_invoked(server: Server) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html"""
    name = server.create_function("def lambda_handler(event, context): return event")
    result = run(server, "lambda:invoke", {"FunctionName": name, "Payload": "{% $states.input %}"})["output"]
    assert (result["Payload"], result["StatusCode"], result["ExecutedVersion"]) == (
        {"key": "k"},
        200,
        "$LATEST",
    )


def test_an_exception_of_a_function_names_the_error(server: Server) -> None:
    name = server.create_function(FAILING)
    ended = run(server, "lambda:invoke", {"FunctionName": name})
    assert (ended["status"], ended["error"]) == ("FAILED", "Odd")
    assert json.loads(ended["cause"])["errorMessage"] == "no"


def test_a_function_that_times_out_names_the_error(server: Server) -> None:
    name = server.create_function("import time\ndef lambda_handler(event, context): time.sleep(9)", Timeout=1)
    assert run(server, "lambda:invoke", {"FunctionName": name})["error"] == "Sandbox.Timedout"


def test_errors_of_lambda_itself_carry_its_name(server: Server) -> None:
    assert (
        run(server, "lambda:invoke", {"FunctionName": "nobody"})["error"]
        == "Lambda.ResourceNotFoundException"
    )
    name = server.create_function(FAILING)
    server.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert run(server, "lambda:invoke", {"FunctionName": name})["error"] == "Lambda.TooManyRequestsException"


def test_items_are_written_and_read(server: Server, table: str) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-ddb.html"""
    item = {"id": {"S": "a"}, "n": {"N": "1"}}
    assert run(server, "dynamodb:putItem", {"TableName": table, "Item": item})["status"] == "SUCCEEDED"
    update = {
        "TableName": table,
        "Key": {"id": {"S": "a"}},
        "UpdateExpression": "SET n = n + :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
        "ReturnValues": "UPDATED_NEW",
    }
    assert run(server, "dynamodb:updateItem", update)["output"]["Attributes"] == {"n": {"N": "2"}}
    key = {"TableName": table, "Key": {"id": {"S": "a"}}}
    assert run(server, "dynamodb:getItem", key)["output"]["Item"] == {"id": {"S": "a"}, "n": {"N": "2"}}
    run(server, "dynamodb:deleteItem", key)
    assert "Item" not in run(server, "dynamodb:getItem", key)["output"]


@pytest.mark.parametrize(
    ("resource", "error"),
    [
        ("dynamodb:putItem", "DynamoDB.ConditionalCheckFailedException"),
        ("aws-sdk:dynamodb:putItem", "DynamoDb.ConditionalCheckFailedException"),
    ],
)
def test_an_unmet_condition_is_named_by_the_kind_of_integration(
    server: Server, table: str, resource: str, error: str
) -> None:
    arguments = {
        "TableName": table,
        "Item": {"id": {"S": "b"}},
        "ConditionExpression": "attribute_exists(id)",
    }
    assert run(server, resource, arguments)["error"] == error


def test_a_message_is_published_with_its_attributes(server: Server) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-sns.html"""
    topic = create_topic(server)
    server.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="ops@example.com")
    attributes = {"category": {"DataType": "String", "StringValue": "system"}}
    arguments = {
        "TopicArn": topic,
        "Subject": "s",
        "Message": "{% $states.input %}",
        "MessageAttributes": attributes,
    }
    assert run(server, "sns:publish", arguments)["output"]["MessageId"]
    (entry,) = outbox(server, topic)
    assert (entry["subject"], json.loads(entry["message"]), entry["attributes"]) == (
        "s",
        {"key": "k"},
        {"category": "system"},
    )


def test_a_refused_subject_and_a_missing_topic_are_named(server: Server) -> None:
    topic = create_topic(server)
    assert run(server, "sns:publish", {"TopicArn": topic, "Subject": "a\nb", "Message": "m"})["error"] == (
        "SNS.InvalidParameterException"
    )
    gone = {"TopicArn": topic + "-gone", "Message": "m"}
    assert run(server, "sns:publish", gone)["error"] == "SNS.NotFoundException"


def test_a_message_is_queued(server: Server) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-sqs.html"""
    url, _ = server.create_queue()
    run(server, "sqs:sendMessage", {"QueueUrl": url, "MessageBody": "{% $states.input %}"})
    assert json.loads(server.receive(url)["Body"]) == {"key": "k"}
    missing = {"QueueUrl": url + "-gone", "MessageBody": "m"}
    assert run(server, "sqs:sendMessage", missing)["error"] == "SQS.QueueDoesNotExistException"


def test_an_execution_is_started(server: Server) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html"""
    states = server.client("stepfunctions")
    definition = json.dumps(
        {"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Succeed"}}}
    )
    machine = states.create_state_machine(name="child", definition=definition, roleArn=server.create_role())
    arguments = {"StateMachineArn": machine["stateMachineArn"], "Input": {"from": "parent"}}
    started = run(server, "states:startExecution", arguments)["output"]["ExecutionArn"]
    assert json.loads(states.describe_execution(executionArn=started)["input"]) == {"from": "parent"}


def test_any_sdk_action_can_be_called(server: Server) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html"""
    bucket = server.create_bucket()
    server.client("s3").put_object(Bucket=bucket, Key="a", Body=b"text")
    result = run(server, "aws-sdk:s3:getObject", {"Bucket": bucket, "Key": "a"})["output"]
    assert (result["Body"], result["ContentLength"]) == ("text", 4)
    missing = run(server, "aws-sdk:s3:getObject", {"Bucket": bucket, "Key": "missing"})
    assert missing["error"] == "S3.NoSuchKeyException"


def test_a_distributed_map_reads_s3_and_calls_functions(server: Server) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html"""
    bucket, s3 = server.create_bucket(), server.client("s3")
    s3.put_object(Bucket=bucket, Key="items.jsonl", Body="\n".join(str(number) for number in range(7)))
    function = server.create_function(
        "def lambda_handler(event, context):\n    return [1 / (5 - item) > 0 for item in event['Items']]"
    )
    call = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": function, "Payload": "{% $states.input %}"},
        "Output": "{% $states.result.Payload %}",
        "End": True,
    }
    each = {
        "Type": "Map",
        "Label": "All",
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSONL"},
            "Arguments": {"Bucket": bucket, "Key": "items.jsonl"},
        },
        "ItemBatcher": {"MaxItemsPerBatch": 2},
        "ToleratedFailurePercentage": 50,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
            "StartAt": "Call",
            "States": {"Call": call},
        },
        "ResultWriter": {
            "Resource": "arn:aws:states:::s3:putObject",
            "Arguments": {"Bucket": bucket, "Prefix": "results"},
            "WriterConfig": {"OutputType": "JSONL", "Transformation": "FLATTEN"},
        },
        "Next": "Describe",
    }
    describe = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sfn:describeMapRun",
        "Arguments": {"MapRunArn": "{% $states.input.MapRunArn %}"},
        "Output": {
            "counts": "{% $states.result.ItemCounts %}",
            "milliseconds": "{% $toMillis($states.result.StopDate) - $toMillis($states.result.StartDate) %}",
        },
        "End": True,
    }
    output = run_machine(server, {"Each": each, "Describe": describe})["output"]
    counts = output["counts"]
    assert (counts["Total"], counts["Succeeded"], counts["Failed"], counts["Pending"]) == (7, 5, 2, 0)
    assert output["milliseconds"] >= 0
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix="results/")["Contents"]]
    assert [key.rpartition("/")[2] for key in keys] == [
        "FAILED_0.jsonl",
        "SUCCEEDED_0.jsonl",
        "manifest.json",
    ]
    succeeded = s3.get_object(Bucket=bucket, Key=keys[1])["Body"].read().decode().split()
    assert sorted(succeeded) == ["false", "true", "true", "true", "true"]
