"""The interface of Step Functions: https://docs.aws.amazon.com/step-functions/latest/apireference/Welcome.html."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import pytest
from botocore.validate import validate_parameters

from scripts.local_aws.core.errors import ServiceError
from scripts.local_aws.stepfunctions import service
from scripts.local_aws.stepfunctions.service import ACTIONS
from tests.local_aws.conftest import eventually
from tests.local_aws.stepfunctions.harness import ROLE, Harness, close_services, failing, machine, task

pytestmark = pytest.mark.usefixtures(close_services.__name__)

PASS = {"Type": "Pass", "End": True}
SIMPLE = machine({"Only": PASS})
OTHER = machine({"Other": PASS})
PROCESSOR = {
    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
    "StartAt": "Wait",
    "States": {"Wait": {"Type": "Wait", "Seconds": 10_000, "End": True}},
}
MAPPING = machine({"Map": {"Type": "Map", "Items": [1], "ItemProcessor": PROCESSOR, "End": True}})
EVENT_FIELDS = {"input", "inputDetails", "output", "outputDetails"}


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds back the service calls of `held` until it is set."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def held(gate: threading.Event) -> Harness:
    return Harness(lambda *_: gate.wait(20))


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(ServiceError) as raised:
        call()
    assert raised.value.status == 400
    return raised.value.code


# State machines


def test_a_state_machine_is_described_as_it_was_created() -> None:
    harness = Harness()
    logging = {"level": "ERROR", "includeExecutionData": True, "destinations": []}
    arn = harness.create(SIMPLE, name="classify", type="STANDARD", loggingConfiguration=logging)
    assert arn == "arn:aws:states:us-east-1:123456789012:stateMachine:classify"
    described = harness.service.handle("DescribeStateMachine", {"stateMachineArn": arn})
    assert json.loads(described["definition"]) == SIMPLE
    assert described["loggingConfiguration"] == logging
    assert described["tracingConfiguration"] == {"enabled": False}
    assert (described["name"], described["type"], described["status"]) == ("classify", "STANDARD", "ACTIVE")
    assert described["roleArn"] == ROLE


def test_creating_a_machine_again_is_idempotent() -> None:
    """Another definition under the same name is a conflict."""
    harness = Harness()
    assert harness.create(SIMPLE, name="m") == harness.create(
        SIMPLE, name="m", roleArn="arn:aws:iam::1:role/x"
    )
    assert refused(lambda: harness.create(OTHER, name="m")) == "StateMachineAlreadyExists"


def test_names_types_and_definitions_are_checked() -> None:
    harness = Harness()
    assert refused(lambda: harness.create(SIMPLE, name="a b")) == "InvalidName"
    assert refused(lambda: harness.create(SIMPLE, type="FAST")) == "StateMachineTypeNotSupported"
    assert refused(lambda: harness.create(machine({"A": {"Type": "Pass"}}))) == "InvalidDefinition"
    assert refused(lambda: harness.service.handle("StartExecution", {})) == "ValidationException"
    assert refused(lambda: harness.service.handle("CreateActivity", {})) == "UnknownOperationException"


def test_an_update_leaves_running_executions_alone(held: Harness, gate: threading.Event) -> None:
    """It gives a new revision; executions under way keep theirs."""
    arn = held.create(machine({"T": task(Output="old")}))
    execution = held.start(arn)
    request = {"stateMachineArn": arn, "definition": json.dumps(machine({"P": {**PASS, "Output": "new"}}))}
    before = held.service.handle("DescribeStateMachine", {"stateMachineArn": arn})
    update = held.service.handle("UpdateStateMachine", request)
    assert update["revisionId"] != before["revisionId"]
    assert held.service.handle("UpdateStateMachine", request)["revisionId"] == update["revisionId"]
    gate.set()
    assert json.loads(held.end_of(execution)["output"]) == "old"
    assert json.loads(held.end_of(held.start(arn))["output"]) == "new"
    used = held.service.handle("DescribeStateMachineForExecution", {"executionArn": execution})
    assert "old" in used["definition"]


def test_a_deleted_state_machine_is_gone_and_deleting_it_again_is_fine() -> None:
    harness = Harness()
    arn = harness.create(SIMPLE)
    for _ in range(2):
        assert harness.service.handle("DeleteStateMachine", {"stateMachineArn": arn}) == {}
    described = {"stateMachineArn": arn}
    assert (
        refused(lambda: harness.service.handle("DescribeStateMachine", described))
        == "StateMachineDoesNotExist"
    )
    assert refused(lambda: harness.start(arn)) == "StateMachineDoesNotExist"


def test_versions_stay_as_published_and_can_be_started() -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/concepts-state-machine-version.html"""
    harness = Harness()
    handle = harness.service.handle
    arn = harness.create(machine({"P": {**PASS, "Output": 1}}), publish=True, versionDescription="first")
    assert (
        handle("PublishStateMachineVersion", {"stateMachineArn": arn})["stateMachineVersionArn"] == f"{arn}:1"
    )
    second = {"stateMachineArn": arn, "definition": json.dumps(machine({"P": {**PASS, "Output": 2}}))}
    assert handle("UpdateStateMachine", {**second, "publish": True})["stateMachineVersionArn"] == f"{arn}:2"
    end = harness.end_of(harness.start(f"{arn}:1"))
    assert (json.loads(end["output"]), end["stateMachineVersionArn"]) == (1, f"{arn}:1")
    described = handle("DescribeStateMachine", {"stateMachineArn": f"{arn}:1"})
    assert (described["description"], described["stateMachineArn"]) == ("first", f"{arn}:1")
    listed = handle("ListStateMachineVersions", {"stateMachineArn": arn})["stateMachineVersions"]
    assert [version["stateMachineVersionArn"] for version in listed] == [f"{arn}:2", f"{arn}:1"]
    handle("DeleteStateMachineVersion", {"stateMachineVersionArn": f"{arn}:2"})
    handle("UpdateStateMachine", {"stateMachineArn": arn, "roleArn": f"{ROLE}2"})
    assert (
        handle("PublishStateMachineVersion", {"stateMachineArn": arn})["stateMachineVersionArn"] == f"{arn}:3"
    )
    assert refused(lambda: harness.start(f"{arn}:2")) == "StateMachineDoesNotExist"


def test_tags_are_added_replaced_and_removed() -> None:
    harness = Harness()
    arn = harness.create(SIMPLE, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
    harness.service.handle("TagResource", {"resourceArn": arn, "tags": [{"key": "a", "value": "3"}]})
    harness.service.handle("UntagResource", {"resourceArn": arn, "tagKeys": ["b", "unknown"]})
    tags = harness.service.handle("ListTagsForResource", {"resourceArn": arn})["tags"]
    assert tags == [{"key": "a", "value": "3"}]
    unknown = {"resourceArn": f"{arn}x"}
    assert refused(lambda: harness.service.handle("ListTagsForResource", unknown)) == "ResourceNotFound"


# Executions


def test_starting_a_running_execution_again_is_idempotent(held: Harness, gate: threading.Event) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html"""
    arn = held.create(machine({"T": task()}))
    first = held.start(arn, {"a": 1}, name="one")
    assert held.start(arn, {"a": 1}, name="one") == first
    assert refused(lambda: held.start(arn, {"a": 2}, name="one")) == "ExecutionAlreadyExists"
    gate.set()
    held.end_of(first)
    assert refused(lambda: held.start(arn, {"a": 1}, name="one")) == "ExecutionAlreadyExists"
    assert held.start(arn) != held.start(arn)


def test_an_execution_needs_a_valid_name_and_json_input() -> None:
    harness = Harness()
    arn = harness.create(SIMPLE)
    assert refused(lambda: harness.start(arn, input="{")) == "InvalidExecutionInput"
    assert refused(lambda: harness.start(arn, "x" * 262_144)) == "InvalidExecutionInput"
    assert refused(lambda: harness.start(arn, name="a:b")) == "InvalidName"
    assert refused(lambda: harness.end_of(harness.start(f"{arn}x"))) == "StateMachineDoesNotExist"


def test_the_input_is_kept_as_it_was_sent() -> None:
    harness = Harness()
    end = harness.end_of(harness.start(harness.create(SIMPLE), input='{"b":  1.0, "é": "\\u00e9"}'))
    assert end["input"] == '{"b":  1.0, "é": "\\u00e9"}'
    assert json.loads(end["output"]) == {"b": 1.0, "é": "é"}


def test_a_stopped_execution_is_aborted_with_error_and_cause(held: Harness) -> None:
    execution = held.start(held.create(machine({"T": task()})))
    request = {"executionArn": execution, "error": "Enough", "cause": "by hand"}
    stopped = held.service.handle("StopExecution", request)
    end = held.end_of(execution)
    assert (end["status"], end["error"], end["cause"]) == ("ABORTED", "Enough", "by hand")
    assert end["stopDate"] == stopped["stopDate"]
    last = held.history(execution)[-1]
    assert (last["type"], last["previousEventId"]) == ("ExecutionAborted", 0)
    assert last["executionAbortedEventDetails"] == {"error": "Enough", "cause": "by hand"}
    assert held.service.handle("StopExecution", {"executionArn": execution}) == stopped


def test_executions_are_listed_newest_first_by_status_and_page_by_page() -> None:
    harness = Harness(failing(2))
    arn = harness.create(machine({"T": task()}))
    executions = []
    for _ in range(5):
        executions.append(harness.start(arn))
        harness.end_of(executions[-1])
    harness.end_of(harness.start(harness.create(SIMPLE)))

    def pages(**fields: Any) -> Iterator[list[str]]:
        token: dict[str, str] = {}
        while True:
            request = {"stateMachineArn": arn, **fields, **token}
            answer = harness.service.handle("ListExecutions", request)
            yield [execution["executionArn"] for execution in answer["executions"]]
            if "nextToken" not in answer:
                return
            # Newer executions must not shift the pages that follow.
            harness.end_of(harness.start(arn))
            token = {"nextToken": answer["nextToken"]}

    assert list(pages(statusFilter="FAILED")) == [executions[1::-1]]
    newest_first = executions[::-1]
    assert list(pages(maxResults=2)) == [newest_first[:2], newest_first[2:4], newest_first[4:]]
    request = {"stateMachineArn": arn, "nextToken": "-1"}
    assert refused(lambda: harness.service.handle("ListExecutions", request)) == "InvalidToken"


def test_the_history_is_paged_in_both_directions_and_can_leave_out_data() -> None:
    harness = Harness()
    execution = harness.run(SIMPLE)["executionArn"]

    def ids(**fields: Any) -> list[list[int]]:
        pages: list[list[int]] = []
        token: dict[str, str] = {}
        while True:
            request = {"executionArn": execution, "maxResults": 3, **fields, **token}
            answer = harness.service.handle("GetExecutionHistory", request)
            pages.append([event["id"] for event in answer["events"]])
            if "nextToken" not in answer:
                return pages
            token = {"nextToken": answer["nextToken"]}

    assert ids() == [[1, 2, 3], [4]]
    assert ids(reverseOrder=True) == [[4, 3, 2], [1]]
    with_data, bare = harness.history(execution), harness.history(execution, includeExecutionData=False)
    assert json.dumps(with_data).count('"input"') == 2
    assert not any(
        EVENT_FIELDS & details.keys()
        for event in bare
        for details in event.values()
        if isinstance(details, dict)
    )
    assert bare[1]["stateEnteredEventDetails"] == {"name": "Only"}


def test_the_oldest_finished_executions_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "RETAINED_EXECUTIONS", 2)
    harness = Harness()
    arn = harness.create(SIMPLE)
    first, _, third = (harness.end_of(harness.start(arn))["executionArn"] for _ in range(3))
    harness.end_of(harness.start(arn))
    request = {"executionArn": first}
    assert refused(lambda: harness.service.handle("DescribeExecution", request)) == "ExecutionDoesNotExist"
    assert third in str(harness.service.handle("ListExecutions", {"stateMachineArn": arn}))


def test_a_thousand_executions_wait_at_once_on_a_few_threads() -> None:
    harness = Harness()
    arn = harness.create(machine({"W": {"Type": "Wait", "Seconds": 100, "End": True}}))
    executions = [harness.start(arn) for _ in range(1000)]
    assert threading.active_count() < 100
    assert {harness.end_of(execution)["status"] for execution in executions} == {"SUCCEEDED"}


def test_under_load_the_oldest_execution_comes_first(
    monkeypatch: pytest.MonkeyPatch, gate: threading.Event
) -> None:
    monkeypatch.setattr("scripts.local_aws.stepfunctions.executions.PARALLEL_CALLS", 1)
    harness = Harness(lambda _, number: gate.wait(20) and number)
    arn = harness.create(machine({"A": task(Next="B"), "B": task()}))
    executions = [harness.start(arn, number) for number in range(20)]
    gate.set()
    for execution in executions:
        harness.end_of(execution)
    order = [number for _, number in harness.calls]
    last = {number: position for position, number in enumerate(order)}
    assert all(last[number] < order.index(number + 3) for number in range(17))


# Express


def test_start_sync_execution_waits_for_an_express_execution() -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartSyncExecution.html"""
    harness = Harness(failing(1))
    arn = harness.create(machine({"T": task()}), type="EXPRESS")
    failed, done = (harness.service.handle("StartSyncExecution", {"stateMachineArn": arn}) for _ in range(2))
    assert (failed["status"], failed["error"], failed["cause"]) == ("FAILED", "Unavailable", "not now")
    assert (done["status"], json.loads(done["output"])) == ("SUCCEEDED", {"done": True})
    assert ":express:machine-0:" in done["executionArn"]
    assert done["stopDate"] >= done["startDate"]
    assert harness.events == []
    listing = {"stateMachineArn": arn}
    assert (
        refused(lambda: harness.service.handle("ListExecutions", listing)) == "StateMachineTypeNotSupported"
    )
    standard = {"stateMachineArn": harness.create(SIMPLE)}
    assert (
        refused(lambda: harness.service.handle("StartSyncExecution", standard))
        == "StateMachineTypeNotSupported"
    )


def test_nested_executions_do_not_use_up_the_places_their_children_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("scripts.local_aws.stepfunctions.executions.PARALLEL_CALLS", 1)

    def call(resource: str, arguments: Any) -> Any:
        return harness.service.handle("StartSyncExecution", arguments) if "sfn" in resource else "child"

    harness = Harness(call)
    child = harness.create(machine({"T": task()}), type="EXPRESS")
    nested = task(
        Resource="arn:aws:states:::aws-sdk:sfn:startSyncExecution", Arguments={"stateMachineArn": child}
    )
    arn = harness.create(machine({"Nested": {**nested, "Output": "{% $parse($states.result.output) %}"}}))
    for execution in [harness.start(arn) for _ in range(4)]:
        assert harness.end_of(execution)["output"] == '"child"'


# Events


def test_status_changes_are_published_as_documented() -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html"""
    harness = Harness(failing(1))
    arn = harness.create(machine({"T": task()}))
    execution = harness.start(arn, {"a": 1}, name="one")
    end = harness.end_of(execution)
    running, failed = harness.events
    for event in (running, failed):
        assert event["source"] == "aws.states"
        assert event["detail-type"] == "Step Functions Execution Status Change"
        assert event["resources"] == [execution]
        assert (event["account"], event["region"], event["version"]) == ("123456789012", "us-east-1", "0")
        detail = event["detail"]
        assert (detail["executionArn"], detail["stateMachineArn"], detail["name"]) == (execution, arn, "one")
        assert (detail["input"], detail["inputDetails"]) == ('{"a": 1}', {"included": True})
        assert (detail["output"], detail["outputDetails"]) == (None, None)
    assert (running["detail"]["status"], running["detail"]["stopDate"]) == ("RUNNING", None)
    assert (failed["detail"]["status"], failed["detail"]["error"]) == ("FAILED", "Unavailable")
    assert failed["detail"]["cause"] == "not now"
    assert failed["detail"]["stopDate"] == int(end["stopDate"] * 1000)


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT"])
def test_an_execution_that_was_ended_still_has_its_input(status: str, held: Harness) -> None:
    """Nothing inside can report it any more: what it was about is only in the event."""
    arn = held.create(machine({"T": task()}, TimeoutSeconds=1 if status == "TIMED_OUT" else 60))
    execution = held.start(arn, {"a": 1})
    if status == "ABORTED":
        held.service.handle("StopExecution", {"executionArn": execution, "error": "E", "cause": "by hand"})
    assert held.end_of(execution)["status"] == status
    detail = held.events[-1]["detail"]
    assert (detail["status"], detail["input"]) == (status, '{"a": 1}')
    assert detail["inputDetails"] == {"included": True}
    assert (detail["output"], detail["outputDetails"]) == (None, None)


def test_an_event_leaves_out_data_that_eventbridge_could_not_carry() -> None:
    harness = Harness()
    arn = harness.create(machine({"Only": {**PASS, "Output": "small"}}))
    harness.end_of(harness.start(arn, "x" * 255_000))
    detail = harness.events[-1]["detail"]
    assert (detail["input"], detail["inputDetails"]) == (None, {"included": False})
    assert (detail["output"], detail["outputDetails"]) == ('"small"', {"included": True})


def test_a_subscriber_that_fails_does_not_stop_the_events(caplog: pytest.LogCaptureFixture) -> None:
    harness = Harness()
    record, first = harness.service._publish_event, iter([True])

    def publish(event: dict[str, Any]) -> None:
        if next(first, False):
            raise RuntimeError("no")
        record(event)

    harness.service._publish_event = publish
    assert harness.run(SIMPLE)["status"] == "SUCCEEDED"
    assert "was not published" in caplog.text


# The model of the AWS SDK


def test_every_answer_has_the_shape_that_the_sdk_expects() -> None:
    harness = Harness()
    model = botocore.session.get_session().get_service_model("stepfunctions")
    arn = harness.create(SIMPLE, publish=True)
    express = harness.create(SIMPLE, type="EXPRESS")
    execution = harness.end_of(harness.start(f"{arn}:1"))["executionArn"]
    requests: dict[str, dict[str, Any]] = {
        "CreateStateMachine": {
            "name": "n",
            "definition": json.dumps(SIMPLE),
            "roleArn": ROLE,
            "publish": True,
        },
        "ValidateStateMachineDefinition": {"definition": "{}"},
        "DeleteStateMachineVersion": {"stateMachineVersionArn": f"{arn}:1"},
        "StartSyncExecution": {"stateMachineArn": express},
        "TagResource": {"resourceArn": arn, "tags": []},
        "UntagResource": {"resourceArn": arn, "tagKeys": []},
        "ListTagsForResource": {"resourceArn": arn},
        "ListStateMachines": {},
    }
    for_execution = (
        "StopExecution",
        "DescribeExecution",
        "DescribeStateMachineForExecution",
        "GetExecutionHistory",
    )
    requests |= {action: {"executionArn": execution} for action in for_execution}
    mapping = {"executionArn": harness.start(harness.create(MAPPING))}
    [map_run] = eventually(lambda: harness.service.handle("ListMapRuns", mapping)["mapRuns"])
    requests["ListMapRuns"] = mapping
    for action in ("DescribeMapRun", "UpdateMapRun"):
        requests[action] = {"mapRunArn": map_run["mapRunArn"]}
    deleting = {"DeleteStateMachine", "DeleteStateMachineVersion"}
    for action in sorted(ACTIONS, key=lambda action: action in deleting):
        answer = harness.service.handle(action, requests.get(action, {"stateMachineArn": arn}))
        shape = model.operation_model(action).output_shape
        validate_parameters(as_parameters(answer), shape)
        assert set(answer) <= set(shape.members) | {"stateMachineVersionArn"}


def as_parameters(answer: dict[str, Any]) -> dict[str, Any]:
    """Times as the SDK's checker wants them."""
    return json.loads(json.dumps(answer))
