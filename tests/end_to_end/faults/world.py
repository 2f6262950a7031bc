"""The composed state machines on the interpreter, with a real ledger and functions whose answers a case scripts.

Hundreds of executions cost seconds here; what runs in the functions and between the services is tested elsewhere.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import Mock

from moto.moto_server.werkzeug_app import DomainDispatcherApplication

from functions.send_alert.message import compose as compose_message
from functions.send_alert.occurrence import understand
from scripts.local_aws.core.errors import ServiceError, StatesError
from scripts.local_aws.core.protocol import call_json
from scripts.local_aws.moto_patches import registry
from scripts.local_aws.stepfunctions.service import StepFunctions
from scripts.workflow.ledger import plain
from tests.support.definitions import filled

ROOT = Path(__file__).resolve().parent.parent.parent.parent
EVENTS = ROOT / "tests" / "events"
MACHINES = ("classify", "reconcile")
TABLE = "ledger"
TOPIC = "arn:aws:sns:us-east-1:123456789012:scones-test-alerts"
ROW_ACTIONS = ("UpdateItem", "GetItem", "DeleteItem")
SECONDS = 120

Definition = dict[str, Any]


def golden(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))


def composed(name: str) -> Definition:
    """The machine as Terraform composes it, but that a function's token stands for the function itself."""
    return filled(
        name, ledger_table=TABLE, ledger_retention_days="365", alert_dead_letters_url="dead-letters"
    )


def states(definition: Definition) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every state, those of branches included."""
    for name, state in definition["States"].items():
        yield name, state
        for branch in state.get("Branches", ()):
            yield from states(branch)


# States.ALL does not cover them: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
TERMINAL = "States.DataLimitExceeded States.Runtime"


class Lost(NamedTuple):
    """A call is performed, and then its answer is lost in this error."""

    error: str


Failure = str | Lost
HANG = "it hangs"


@dataclass
class Case:
    """What fails in one execution, and what was seen of it. `row` is in the ledger beforehand, under `version`.

    `failures` says by state what the attempts of its task meet: each, or, of the state `once`, the first alone.
    """

    name: str
    machine: str = "classify"
    failures: dict[str, Failure] = field(default_factory=dict)
    once: str | None = None
    given: Any = None
    row: dict[str, Any] | None = None
    version: str = "v1"
    cause: str | None = None
    attempts: Counter[str] = field(default_factory=Counter)
    alerts: list[str] = field(default_factory=list)
    dead_letters: list[Any] = field(default_factory=list)

    def failure(self, state: str) -> Failure | None:
        """What the next attempt of a state's task meets."""
        self.attempts[state] += 1
        over = state == self.once and self.attempts[state] > 1
        return None if over else self.failures.get(state)

    @property
    def key(self) -> str:
        return f"incoming/{self.name}.jpg"

    @property
    def input(self) -> Any:
        """What the execution starts with; by default a picture whose version is known."""
        own = {"s3_bucket": "pictures", "s3_key": self.key, "s3_version_id": "v1", "run": 0}
        if self.given is not None:
            own = {**own, **self.given} if isinstance(self.given, dict) else self.given
        if self.machine != "reconcile":
            return own
        stopped = golden("execution_aborted")
        stopped["detail"] |= {"input": json.dumps(own), "executionArn": f"arn:stopped:{self.name}"}
        return stopped


class Seen(NamedTuple):
    """How an execution ended, and what is left of it."""

    execution: str
    error: str | None
    rows: dict[str, dict[str, Any]]
    path: list[str]


class World:
    """Runs cases; `close` ends its threads."""

    def __init__(self, seconds: int | None = None) -> None:
        self._cases: dict[str, Case] = {}
        self._moto = DomainDispatcherApplication(registry.create_app)
        self._one_at_a_time = threading.Lock()  # moto checks, then writes
        self._ended = threading.Condition()
        self._over: set[str] = set()
        self._closing = threading.Event()
        self._service = StepFunctions(self._perform, self._see, lambda _: None, Mock(), wait_scale=0)
        self.services: dict[str, Callable[[Case, dict[str, Any]], Any]] = {
            "lambda:invoke": self._invoke,
            "sqs:sendMessage": self._keep,
            "aws-sdk:s3:headObject": self._head,
            **{
                f"dynamodb:{action[0].lower()}{action[1:]}": partial(self._change_row, action)
                for action in ROW_ACTIONS
            },
        }
        self._create_ledger()
        self._arns = {name: self._create_machine(name, seconds) for name in MACHINES}

    def close(self) -> None:
        self._closing.set()
        self._dynamodb("DeleteTable", {"TableName": TABLE})
        self._service.close()

    def start(self, case: Case) -> str:
        self._cases[case.name] = case
        if case.row is not None:
            self.put(case, case.row)
        request = {
            "stateMachineArn": self._arns[case.machine],
            "name": case.name,
            "input": json.dumps(case.input),
        }
        return self._service.handle("StartExecution", request)["executionArn"]

    def put(self, case: Case, row: dict[str, Any]) -> None:
        """Writes the row of a case's version, as if somebody else had."""
        self._dynamodb("PutItem", {"TableName": TABLE, "Item": {**_key(case), "run": {"N": "0"}, **row}})

    def remove(self, case: Case) -> None:
        self._dynamodb("DeleteItem", {"TableName": TABLE, "Key": _key(case)})

    def stop(self, execution: str) -> None:
        self._service.handle("StopExecution", {"executionArn": execution})

    def wait(self, execution: str, case: Case) -> Seen:
        """Waits for the end of an execution, and if it was stopped from outside, of the one that records it."""
        described = self._end_of(execution)
        if case.machine == "classify" and _is_unfinished(described):
            self._end_of(f"{self._arns['reconcile']}:settle-{case.name}".replace("stateMachine", "execution"))
        request = {"executionArn": execution, "maxResults": 1000}
        history = self._service.handle("GetExecutionHistory", request)["events"]
        entered = [event.get("stateEnteredEventDetails") for event in history]
        path = [details["name"] for details in entered if details]
        return Seen(described["status"], described.get("error"), self.rows(case), path)

    def rows(self, case: Case) -> dict[str, dict[str, Any]]:
        """The ledger's rows of a case's picture, by version."""
        found = self._dynamodb(
            "Query",
            {
                "TableName": TABLE,
                "KeyConditionExpression": "picture = :picture",
                "ExpressionAttributeValues": {":picture": {"S": f"s3://pictures/{case.key}"}},
            },
        )
        rows = [{name: plain(value) for name, value in item.items()} for item in found["Items"]]
        return {row["version"]: row for row in rows}

    def _end_of(self, execution: str) -> dict[str, Any]:
        with self._ended:
            assert self._ended.wait_for(lambda: execution in self._over, SECONDS), f"{execution} did not end"
        return self._service.handle("DescribeExecution", {"executionArn": execution})

    def _see(self, event: dict[str, Any]) -> None:
        """What the event rules of terraform/modules/alerts do, in addition to reporting the end."""
        detail = event["detail"]
        if detail["status"] == "RUNNING":
            return
        if detail["stateMachineArn"] == self._arns["reconcile"] and detail["status"] != "SUCCEEDED":
            self._alert_or_keep(self._case_of(detail["name"]), event)
        elif detail["stateMachineArn"] != self._arns["reconcile"] and _is_unfinished(detail):
            request = {"stateMachineArn": self._arns["reconcile"], "input": json.dumps(event)}
            self._service.handle("StartExecution", {**request, "name": f"settle-{detail['name']}"})
        with self._ended:
            self._over.add(detail["executionArn"])
            self._ended.notify_all()

    def _perform(self, resource: str, arguments: dict[str, Any], _caller: Any) -> Any:
        arguments = dict(arguments)
        state, execution = arguments.pop("State"), arguments.pop("Execution")
        case = self._case_of(execution)
        # What records another execution works again, unless the case is about that.
        failure = case.failure(state) if execution == case.name else None
        if failure == HANG:
            self._closing.wait()
        if isinstance(failure, str):
            raise StatesError(failure, _cause(failure) if case.cause is None else case.cause)
        result = self.services[resource.removeprefix("arn:aws:states:::")](case, arguments)
        if failure is not None:
            raise StatesError(failure.error, "the answer was lost")
        return result

    def _case_of(self, execution: str) -> Case:
        return self._cases[execution.removeprefix("settle-")]

    def _alert_or_keep(self, case: Case, event: dict[str, Any]) -> None:
        """The last safety net: send_alert gets the event itself or, if it is what fails, the dead-letter queue does."""
        if "SendAlert" in case.failures:
            case.dead_letters.append(event)
        else:
            self._invoke(case, {"FunctionName": "send_alert", "Payload": event})

    def _invoke(self, case: Case, arguments: dict[str, Any]) -> Any:
        name = arguments["FunctionName"]
        if name == "send_alert":
            occurrence = understand(arguments["Payload"])
            compose_message(occurrence, TOPIC, "scones-test", "https://example.org/operations.md")
            case.alerts.append(occurrence.category)
            return {"Payload": {"message_id": "m"}}
        answer = golden(f"{name}_output")
        return {"Payload": answer | ({"s3_version_id": "v1"} if name == "serialize_image_data" else {})}

    def _change_row(self, action: str, _case: Case, arguments: dict[str, Any]) -> Any:
        try:
            return self._dynamodb(action, arguments)
        except ServiceError as error:
            raise StatesError(f"DynamoDB.{error.code}", error.message) from error

    def _keep(self, case: Case, arguments: dict[str, Any]) -> Any:
        case.dead_letters.append(arguments["MessageBody"])
        return {"MessageId": "m"}

    def _head(self, case: Case, arguments: dict[str, Any]) -> Any:
        return {"VersionId": "v1"}

    def _dynamodb(self, action: str, payload: dict[str, Any]) -> Any:
        with self._one_at_a_time:
            return call_json(self._moto, "dynamodb", f"DynamoDB_20120810.{action}", payload)

    def _create_ledger(self) -> None:
        keys = [("picture", "HASH"), ("version", "RANGE")]
        table = {
            "TableName": TABLE,
            "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in keys],
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
            "BillingMode": "PAY_PER_REQUEST",
        }
        self._dynamodb("CreateTable", table)

    def _create_machine(self, name: str, seconds: int | None) -> str:
        definition = composed(name)
        for state, task in states(definition):
            if task["Type"] == "Task":  # so that a call can be distinguished from others of its kind
                task["Arguments"] |= {"State": state, "Execution": "{% $states.context.Execution.Name %}"}
        if name == "classify" and seconds:
            definition["TimeoutSeconds"] = seconds
        request = {
            "name": name,
            "definition": json.dumps(definition),
            "roleArn": "arn:aws:iam::123456789012:role/r",
        }
        return self._service.handle("CreateStateMachine", request)["stateMachineArn"]


def _key(case: Case) -> dict[str, Any]:
    return {"picture": {"S": f"s3://pictures/{case.key}"}, "version": {"S": case.version}}


def _is_unfinished(execution: dict[str, Any]) -> bool:
    return execution["status"] in ("ABORTED", "TIMED_OUT") or execution.get("error") in TERMINAL.split()


def _cause(error: str) -> str:
    """What Lambda passes to Step Functions; the threshold's error carries what was seen."""
    reason = f"{error} on purpose."
    if error == "ThresholdConfidenceNotMet":
        seen = {"label": "bicycle", "confidence": 0.5, "threshold": 0.9}
        reason = json.dumps({"reason": reason, **seen})
    return json.dumps({"errorType": error, "errorMessage": reason})
