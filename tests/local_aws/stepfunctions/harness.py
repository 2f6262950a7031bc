"""Runs little state machines for the tests of Step Functions."""

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar
from unittest.mock import Mock

import pytest

from scripts.local_aws.core.errors import StatesError
from scripts.local_aws.stepfunctions.service import StepFunctions

ROLE = "arn:aws:iam::123456789012:role/states"
TASK = "arn:aws:states:::lambda:invoke"
SECONDS = 20


def machine(states: dict[str, Any], start: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"QueryLanguage": "JSONata", "StartAt": start or next(iter(states)), "States": states, **fields}


def task(**fields: Any) -> dict[str, Any]:
    ending = {} if "Next" in fields else {"End": True}
    return {"Type": "Task", "Resource": TASK, **fields, **ending}


def failing(times: int, error: str = "Unavailable", cause: str = "not now") -> Callable[[str, Any], Any]:
    """A service that fails a number of times and then succeeds."""
    calls = itertools.count(1)

    def call(_resource: str, _arguments: Any) -> Any:
        if next(calls) <= times:
            raise StatesError(error, cause)
        return {"done": True}

    return call


class Harness:
    """A Step Functions of its own whose service calls and events a test controls; `close` ends its threads."""

    running: ClassVar[list["Harness"]] = []

    def __init__(
        self, call: Callable[[str, Any], Any] = lambda resource, arguments: arguments, s3: Any = None
    ) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.changed = threading.Condition()
        self._call = call
        self._names = itertools.count()
        self.service = StepFunctions(
            self._record_call, self._record_event, lambda _: s3, Mock(), wait_scale=0.01
        )
        self.running.append(self)

    def close(self) -> None:
        self.service.close()
        self.running.remove(self)

    def _record_call(self, resource: str, arguments: Any, _caller: Any) -> Any:
        self.calls.append((resource, arguments))
        return self._call(resource, arguments)

    def _record_event(self, event: dict[str, Any]) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def create(self, definition: dict[str, Any], **fields: Any) -> str:
        request = {
            "name": f"machine-{next(self._names)}",
            "definition": json.dumps(definition),
            "roleArn": ROLE,
        }
        return self.service.handle("CreateStateMachine", {**request, **fields})["stateMachineArn"]

    def start(self, arn: str, value: Any = None, **fields: Any) -> str:
        request = {"stateMachineArn": arn, "input": json.dumps({} if value is None else value), **fields}
        return self.service.handle("StartExecution", request)["executionArn"]

    def end_of(self, execution_arn: str) -> dict[str, Any]:
        """DescribeExecution after the end, which is known by the event."""
        with self.changed:
            ended = self.changed.wait_for(lambda: execution_arn in self.ended(), timeout=SECONDS)
        assert ended, f"{execution_arn} did not end"
        return self.service.handle("DescribeExecution", {"executionArn": execution_arn})

    def ended(self) -> set[str]:
        details = [event["detail"] for event in self.events]
        return {detail["executionArn"] for detail in details if detail["status"] != "RUNNING"}

    def run(self, definition: dict[str, Any], value: Any = None) -> dict[str, Any]:
        return self.end_of(self.start(self.create(definition), value))

    def output(self, definition: dict[str, Any], value: Any = None) -> Any:
        """The output of an execution that must succeed."""
        end = self.run(definition, value)
        assert end["status"] == "SUCCEEDED", end
        return json.loads(end["output"])

    def history(self, execution_arn: str, **fields: Any) -> list[dict[str, Any]]:
        request = {"executionArn": execution_arn, "maxResults": 1000, **fields}
        return self.service.handle("GetExecutionHistory", request)["events"]


@pytest.fixture
def close_services() -> Iterator[None]:
    """Ends the threads of every service that a test has started."""
    yield
    for harness in list(Harness.running):
        harness.close()
