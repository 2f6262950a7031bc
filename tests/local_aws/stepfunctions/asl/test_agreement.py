"""The same little machine in JSONPath on moto's interpreter and in JSONata on ours must end the same.

Its authors check moto's interpreter against AWS's answers with snapshot tests; it cannot run JSONata here.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.local_aws.stepfunctions.harness import ROLE, Harness, close_services

pytestmark = pytest.mark.usefixtures(close_services.__name__)

ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
PASS = {"Type": "Pass", "End": True}
BOOM = {"StartAt": "Boom", "States": {"Boom": {"Type": "Fail", "Error": "Boom", "Cause": "told so"}}}
FINE = {"StartAt": "Fine", "States": {"Fine": PASS}}
ALSO = {"StartAt": "Also", "States": {"Also": PASS}}
RETRY = {"ErrorEquals": ["Boom"], "IntervalSeconds": 1, "BackoffRate": 1.0, "MaxAttempts": 1}


@pytest.fixture(scope="module")
def moto_states() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
            yield boto3.client("stepfunctions", region_name="us-east-1")


def by_moto(client: Any, name: str, definition: dict[str, Any], value: Any) -> dict[str, Any]:
    arn = client.create_state_machine(name=name, definition=json.dumps(definition), roleArn=ROLE)[
        "stateMachineArn"
    ]
    execution = client.start_execution(stateMachineArn=arn, name=name, input=json.dumps(value))[
        "executionArn"
    ]
    deadline = time.monotonic() + 20
    while (end := client.describe_execution(executionArn=execution))["status"] not in ENDED:
        assert time.monotonic() < deadline, end
        time.sleep(0.02)
    return outcome(end, client.get_execution_history(executionArn=execution, maxResults=1000)["events"])


def by_us(definition: dict[str, Any], value: Any) -> dict[str, Any]:
    harness = Harness()
    end = harness.run({"QueryLanguage": "JSONata", **definition}, value)
    return outcome(end, harness.history(end["executionArn"]))


def outcome(end: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, Any]:
    names = [
        event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event
    ]
    return {
        "status": end["status"],
        "error": end.get("error"),
        "cause": end.get("cause"),
        "output": json.loads(end["output"]) if "output" in end else None,
        # Branches run at once, so only the numbers of visits can be compared.
        "visits": {name: names.count(name) for name in names},
    }


def machine(**states: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


def choice(*, by_path: bool) -> dict[str, Any]:
    if by_path:
        rules = [
            {"Variable": "$.n", "NumericGreaterThan": 10, "Next": "Big"},
            {
                "And": [{"Variable": "$.s", "IsPresent": True}, {"Variable": "$.s", "StringEquals": "x"}],
                "Next": "Text",
            },
        ]
    else:
        rules = [
            {"Condition": "{% $states.input.n > 10 %}", "Next": "Big"},
            {"Condition": "{% $exists($states.input.s) and $states.input.s = 'x' %}", "Next": "Text"},
        ]
    first = {"Type": "Choice", "Choices": rules, "Default": "None"}
    states = {"Big": {"Type": "Succeed"}, "Text": {"Type": "Fail", "Error": "Text"}, "None": PASS}
    return machine(First=first, **states)


def caught(names: list[str]) -> dict[str, Any]:
    catch = [{"ErrorEquals": names, "Next": "Handled"}]
    return machine(P={"Type": "Parallel", "Branches": [BOOM], "Catch": catch, "End": True}, Handled=PASS)


def retried(**fields: Any) -> dict[str, Any]:
    return machine(P={"Type": "Parallel", "Branches": [BOOM], "Retry": [{**RETRY, **fields}], "End": True})


def mapped(items: dict[str, Any], processor: dict[str, Any], **fields: Any) -> dict[str, Any]:
    processor = {"ProcessorConfig": {"Mode": "INLINE"}, **processor}
    return machine(
        M={"Type": "Map", **items, "ItemProcessor": processor, "MaxConcurrency": 1, **fields, "End": True}
    )


SHAPED = {"a": {"b": 1}, "c": "text"}
BY_PATH, BY_QUERY = {"ItemsPath": "$.items"}, {"Items": "{% $states.input.items %}"}
SELECT_BY_PATH = {"at.$": "$$.Map.Item.Index", "value.$": "$$.Map.Item.Value", "all.$": "$.more"}
SELECT_BY_QUERY = {
    "at": "{% $states.context.Map.Item.Index %}",
    "value": "{% $states.context.Map.Item.Value %}",
    "all": "{% $states.input.more %}",
}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], Any]] = {
    "pass": (machine(A={**PASS}), machine(A={**PASS}), {"x": [1, 2.5, None, "é"]}),
    "shape": (
        machine(A={**PASS, "Parameters": {"a": {"b.$": "$.n"}, "c": "text"}}),
        machine(A={**PASS, "Output": {"a": {"b": "{% $states.input.n %}"}, "c": "text"}}),
        {"n": 1},
    ),
    "choice-number": (choice(by_path=True), choice(by_path=False), {"n": 11}),
    "choice-text": (choice(by_path=True), choice(by_path=False), {"n": 1, "s": "x"}),
    "choice-default": (choice(by_path=True), choice(by_path=False), {"n": 10}),
    "fail": (machine(F={"Type": "Fail", "Error": "E", "Cause": "C"}),) * 2 + ({},),
    "fail-bare": (machine(F={"Type": "Fail"}),) * 2 + ({},),
    "parallel": (machine(P={"Type": "Parallel", "Branches": [FINE, ALSO], "End": True}),) * 2 + ({"a": 1},),
    "parallel-fails": (machine(P={"Type": "Parallel", "Branches": [BOOM], "End": True}),) * 2 + ({},),
    "catch-name": (caught(["Other", "Boom"]),) * 2 + ({"a": 1},),
    "catch-all": (caught(["States.ALL"]),) * 2 + ({"a": 1},),
    "catch-task-failed": (caught(["States.TaskFailed"]),) * 2 + ({"a": 1},),
    "retry-once": (retried(),) * 2 + ({},),
    "retry-never": (retried(MaxAttempts=0),) * 2 + ({},),
    "retry-other-error": (retried(ErrorEquals=["Other"]),) * 2 + ({},),
    "map": (mapped(BY_PATH, FINE), mapped(BY_QUERY, FINE), {"items": [1, "a", {"b": []}]}),
    "map-empty": (mapped(BY_PATH, FINE), mapped(BY_QUERY, FINE), {"items": []}),
    "map-selected": (
        mapped(BY_PATH, FINE, ItemSelector=SELECT_BY_PATH),
        mapped(BY_QUERY, FINE, ItemSelector=SELECT_BY_QUERY),
        {"items": ["x", "y"], "more": True},
    ),
    "map-fails": (mapped(BY_PATH, BOOM), mapped(BY_QUERY, BOOM), {"items": [1, 2]}),
}


@pytest.mark.parametrize("name", CASES)
def test_both_interpreters_agree(moto_states: Any, name: str) -> None:
    by_path, by_query, value = CASES[name]
    assert by_us(by_query, value) == by_moto(moto_states, name, by_path, value)
