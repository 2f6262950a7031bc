"""Faults on purpose: to clients, functions and state machines each looks like a real failure of AWS."""

import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import botocore.exceptions
import pytest
from botocore.exceptions import ClientError

from tests.local_aws.conftest import Server, eventually, model_archive
from tests.local_aws.lambda_.test_service import ECHO, invoke
from tests.local_aws.sagemaker.test_endpoints import deploy
from tests.local_aws.sagemaker.test_endpoints import invoke as ask
from tests.local_aws.sns.test_service import create_topic
from tests.local_aws.stepfunctions.test_integrations import run

Inject = Callable[..., int]


def administer(server: Server, method: str, path: str = "", rule: Any = None) -> Any:
    body = None if rule is None else json.dumps(rule).encode()
    request = urllib.request.Request(f"{server.url}/_local/faults{path}", body, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


@pytest.fixture
def inject(server: Server) -> Iterator[Inject]:
    """Adds a rule: inject(fault, service=..., first=...); all rules end with the test."""

    def add(fault: dict[str, Any], **rule: Any) -> int:
        return int(administer(server, "POST", rule={**rule, "fault": fault})["id"])

    yield add
    administer(server, "DELETE")


@pytest.fixture
def stored(server: Server) -> tuple[str, str]:
    """Bucket and key of an object of 10,000 bytes."""
    bucket = server.create_bucket()
    server.client("s3").put_object(Bucket=bucket, Key="a b/ä.jpg", Body=bytes(10_000))
    return bucket, "a b/ä.jpg"


def read(server: Server, stored: tuple[str, str]) -> bytes:
    bucket, key = stored
    return bytes(server.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())


def codes(call: Callable[[], Any], times: int) -> list[str]:
    """The error code of each call; "" if it succeeds."""
    seen = []
    for _ in range(times):
        try:
            call()
            seen.append("")
        except ClientError as error:
            seen.append(error.response["Error"]["Code"])
    return seen


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("s3", lambda client: client.list_buckets()),
        ("dynamodb", lambda client: client.describe_table(TableName="t")),
        ("sns", lambda client: client.get_topic_attributes(TopicArn="arn:aws:sns:us-east-1:1:t")),
        ("sqs", lambda client: client.get_queue_url(QueueName="q")),
        ("stepfunctions", lambda client: client.list_state_machines()),
        ("kms", lambda client: client.list_keys()),
    ],
)
def test_an_error_speaks_the_protocol_of_its_service(
    server: Server, inject: Inject, service: str, call: Callable[[Any], Any]
) -> None:
    inject({"error": "Odd", "status": 418, "message": "teapot"})

    with pytest.raises(ClientError) as error:
        call(server.client(service))

    response = error.value.response
    assert (response["Error"]["Code"], response["Error"]["Message"]) == ("Odd", "teapot")
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 418


def test_a_rule_without_an_end_strikes_every_time_until_it_is_ended(
    server: Server, inject: Inject, stored: tuple[str, str]
) -> None:
    number = inject({"error": "SlowDown", "status": 503}, service="s3")
    assert codes(lambda: read(server, stored), 3) == ["SlowDown"] * 3

    administer(server, "DELETE", f"/{number}")

    assert codes(lambda: read(server, stored), 1) == [""]


def test_how_often_is_the_first_few_every_so_many_or_by_chance(
    server: Server, inject: Inject, stored: tuple[str, str]
) -> None:
    fault = {"error": "SlowDown", "status": 503}
    for often, expected in (
        ({"first": 2}, [1, 1, 0, 0, 0, 0]),
        ({"every": 3}, [0, 0, 1, 0, 0, 1]),
        ({"probability": 0.5, "seed": 1}, None),
    ):
        seen = []
        for _ in range(2):
            number = inject(fault, service="s3", **often)
            seen.append([int(code == "SlowDown") for code in codes(lambda: read(server, stored), 6)])
            (told,) = administer(server, "GET")
            assert (told["met"], told["struck"]) == (6, sum(seen[-1]))
            administer(server, "DELETE", f"/{number}")
        assert seen[0] == seen[1] == (expected or seen[0])
        assert 0 < sum(seen[0]) < 6


def test_only_what_matches_fails(server: Server, inject: Inject, stored: tuple[str, str]) -> None:
    bucket, key = stored
    inject(
        {"error": "SlowDown", "status": 503}, service="s3", operation="GetObject", resource=f"{bucket}/a b/*"
    )
    s3 = server.client("s3")
    s3.put_object(Bucket=bucket, Key="other", Body=b"x")

    assert codes(lambda: read(server, stored), 1) == ["SlowDown"]
    assert codes(lambda: read(server, (bucket, "other")), 1) == [""]
    assert codes(lambda: s3.head_object(Bucket=bucket, Key=key), 1) == [""]
    assert codes(lambda: s3.get_object_tagging(Bucket=bucket, Key=key), 1) == [""]


def test_a_request_can_be_chosen_by_what_it_contains(server: Server, inject: Inject) -> None:
    url, _ = server.create_queue()
    queue = url.rpartition("/")[2]
    inject({"error": "Odd"}, service="sqs", operation="SendMessage", resource=queue, contains="bad")
    sqs = server.client("sqs")

    assert codes(lambda: sqs.send_message(QueueUrl=url, MessageBody="a bad one"), 1) == ["Odd"]
    assert codes(lambda: sqs.send_message(QueueUrl=url, MessageBody="a good one"), 1) == [""]


def test_a_body_is_cut_short_of_its_announced_length(
    server: Server, inject: Inject, stored: tuple[str, str]
) -> None:
    inject({"cut": 100}, service="s3", operation="GetObject", first=1)

    with pytest.raises(botocore.exceptions.ResponseStreamingError):
        read(server, stored)
    assert len(read(server, stored)) == 10_000


def test_a_connection_is_closed_without_an_answer(
    server: Server, inject: Inject, stored: tuple[str, str]
) -> None:
    inject({"close": True}, service="s3", first=1)

    with pytest.raises(botocore.exceptions.HTTPClientError):
        read(server, stored)
    assert len(read(server, stored)) == 10_000


@pytest.mark.parametrize(
    ("lost", "raised"),
    [
        ({"close": True}, botocore.exceptions.HTTPClientError),
        ({"error": "InternalError", "status": 500}, ClientError),
    ],
)
def test_work_is_done_though_its_answer_is_lost(
    server: Server, inject: Inject, lost: dict[str, Any], raised: type[Exception]
) -> None:
    bucket, s3 = server.create_bucket(), server.client("s3")
    inject({"lost": lost}, service="s3", operation="PutObject")

    with pytest.raises(raised):
        s3.put_object(Bucket=bucket, Key="k", Body=b"written")

    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"written"


def test_a_request_hangs_until_its_time_or_the_rule_is_over(
    server: Server, inject: Inject, stored: tuple[str, str]
) -> None:
    inject({"delay": 600}, service="s3", operation="GetObject")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(read(server, stored)))
    reader.start()
    eventually(lambda: administer(server, "GET")[0]["struck"])
    assert got == []

    administer(server, "DELETE")

    reader.join(10)
    assert len(got[0]) == 10_000


def test_a_task_of_a_state_machine_fails_by_its_integrations_name(server: Server, inject: Inject) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-ddb.html"""
    server.client("dynamodb").create_table(
        TableName="rows",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    put = {"TableName": "rows", "Item": {"id": {"S": "k"}}}
    rule = {"service": "dynamodb", "operation": "PutItem", "resource": "rows", "first": 1}
    inject({"error": "ThrottlingException"}, **rule)
    inject({"close": True}, **rule)

    assert run(server, "dynamodb:putItem", put)["error"] == "DynamoDB.ThrottlingException"
    assert run(server, "dynamodb:putItem", put)["error"] == "DynamoDB.SdkClientException"
    assert run(server, "dynamodb:putItem", put)["status"] == "SUCCEEDED"


def test_publishing_fails_for_clients_and_for_state_machines(server: Server, inject: Inject) -> None:
    topic = create_topic(server)
    inject({"error": "InternalError", "status": 500}, service="sns", resource=topic.rpartition(":")[2])
    publish = {"TopicArn": topic, "Message": "m"}

    assert codes(lambda: server.client("sns").publish(**publish), 1) == ["InternalError"]
    assert run(server, "sns:publish", publish)["error"] == "SNS.InternalErrorException"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"error": "TooManyRequestsException", "status": 429}, "TooManyRequestsException"),
        ({"error": "ServiceException", "status": 500}, "ServiceException"),
        ({"close": True}, "SdkClientException"),
    ],
)
def test_a_function_that_cannot_be_invoked_fails_its_task(
    server: Server, inject: Inject, fault: dict[str, Any], code: str
) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html"""
    name = server.create_function(ECHO)
    inject(fault, service="lambda", operation="Invoke", resource=name)

    assert run(server, "lambda:invoke", {"FunctionName": name})["error"] == f"Lambda.{code}"


@pytest.mark.parametrize(
    ("crash", "kind", "message"),
    [
        ("import", "Runtime.ImportModuleError", "Unable to import module"),
        ("memory", "Runtime.ExitError", "signal: killed"),
        ("timeout", "Sandbox.Timedout", "Task timed out"),
    ],
)
def test_a_crashed_function_says_how_and_works_again(
    server: Server, inject: Inject, crash: str, kind: str, message: str
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html"""
    name = server.create_function(ECHO)
    assert invoke(server, name, "before")[0] == "before"
    inject({"crash": crash}, service="lambda", resource=name, first=1)

    payload, answer = invoke(server, name, "during")

    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == kind
    assert message in payload["errorMessage"]
    assert invoke(server, name, "after")[0] == "after"


def test_an_asynchronous_event_outlives_failing_invocations(server: Server, inject: Inject) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html"""
    (url, arn), name = server.create_queue(), server.create_function(ECHO)
    server.client("lambda").put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": arn}}
    )
    inject({"error": "TooManyRequestsException", "status": 429}, service="lambda", resource=name, first=1)
    inject({"error": "ServiceException", "status": 500}, service="lambda", resource=name, first=1)

    server.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload='"kept"')

    assert json.loads(server.receive(url)["Body"])["responsePayload"] == "kept"


@pytest.fixture(scope="module")
def endpoint(server: Server) -> str:
    return deploy(server, model_archive(name="m"))


def test_the_containers_answer_is_replaced(server: Server, inject: Inject, endpoint: str) -> None:
    inject(
        {"answer": {"status": 500, "body": "out of order"}}, service="sagemaker", resource=endpoint, first=1
    )
    inject({"answer": {"body": "[NaN]", "headers": {"Content-Type": "x/y"}}}, resource=endpoint, first=1)
    runtime = server.client("sagemaker-runtime")

    with pytest.raises(ClientError) as error:
        runtime.invoke_endpoint(EndpointName=endpoint, Body=b"x")
    replaced = runtime.invoke_endpoint(EndpointName=endpoint, Body=b"x")

    assert error.value.response["OriginalMessage"] == "out of order"
    assert (replaced["ContentType"], replaced["Body"].read()) == ("x/y", b"[NaN]")
    assert ask(server, endpoint)["name"] == "m"


def test_an_inference_can_be_chosen_by_its_id(server: Server, inject: Inject, endpoint: str) -> None:
    inject({"answer": {}}, service="sagemaker", contains="this-one")
    runtime = server.client("sagemaker-runtime")

    answers = [
        runtime.invoke_endpoint(EndpointName=endpoint, Body=b"x", InferenceId=name)["Body"].read()
        for name in ("this-one", "another")
    ]

    assert answers[0] == b"" != answers[1]


def test_a_server_killed_in_mid_request_is_a_model_error_and_is_replaced(
    server: Server, inject: Inject, endpoint: str
) -> None:
    before = ask(server, endpoint)["pid"]
    inject({"kill": True}, service="sagemaker", operation="InvokeEndpoint", resource=endpoint, first=1)

    with pytest.raises(ClientError) as error:
        ask(server, endpoint, b"half and half")

    assert error.value.response["Error"]["Code"] == "ModelError"
    assert error.value.response["OriginalStatusCode"] == 500
    assert ask(server, endpoint)["pid"] != before


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({}, "needs a fault with at least one of error, delay"),
        ({"fault": {"status": 500}}, "needs a fault"),
        ({"fault": {"explode": True}}, "needs a fault"),
        ({"fault": {"error": "X", "explode": True}}, "does not know the fault explode"),
        ({"fault": {"crash": "boredom"}}, "does not know the crash boredom"),
        ({"servise": "s3", "fault": {"close": True}}, "does not know servise"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(server: Server, rule: dict[str, Any], told: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        administer(server, "POST", rule=rule)
    assert error.value.code == 400
    assert told in error.value.read().decode()
    assert administer(server, "GET") == []


def test_a_closed_connection_ends_before_any_byte(server: Server, inject: Inject) -> None:
    inject({"close": True}, service="kms")
    host = server.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    scope = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/kms/aws4_request, "

    connection.request("POST", "/", b"{}", {"Authorization": scope, "X-Amz-Target": "TrentService.ListKeys"})

    with pytest.raises(http.client.RemoteDisconnected):
        connection.getresponse()
