"""Plays executions, people and their commands in random order over one ledger, and checks every step.

The machines are the real definitions on the real interpreter, `scones review` and `scones rerun` are the real code;
the ledger evaluates their real expressions. What an execution does after given answers is found out once and kept, so
that a step costs microseconds.
"""

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from botocore.exceptions import ClientError

from functions.common.times import ledger_time
from scripts.local_aws.core.errors import StatesError
from scripts.local_aws.stepfunctions.asl import jsonata, state_context
from scripts.local_aws.stepfunctions.asl.interpreter import Interpreter
from scripts.local_aws.stepfunctions.asl.state_context import Payload
from scripts.review import queue
from scripts.review.queue import LEASE, NotYours, Reviews
from scripts.workflow.client import Workflow
from scripts.workflow.dead_letters import DeadLetter
from scripts.workflow.ledger import UNKNOWN_VERSION, UNUSABLE, Selection, plain
from scripts.workflow.rerun import Rerun, Reruns
from tests.support import expressions
from tests.support.definitions import filled
from tests.support.expressions import Item
from tests.support.order import Decision, may_replace

BUCKET, KEY = "pictures", "incoming/a.jpg"
URI = f"s3://{BUCKET}/{KEY}"
ARN = "arn:aws:states:us-east-1:123456789012"
BATCH = f"{ARN}:execution:batch:one"
LABELS = ["bicycle", "motorcycle"]
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
CONFLICT = "DynamoDB.ConditionalCheckFailedException"
BUSY, DENIED = "DynamoDB.SdkClientException", "DynamoDB.AccessDeniedException"
# How many calls of the ledger may go wrong for one execution; more would only make the plays longer.
HICCUPS = 3
IMAGE = {"width": 1, "height": 1, "bytes": 1, "format": "PNG", "sha256": "a", "brightness": 0.5}
IMAGE |= {"contrast": 0.5, "sharpness": 0.5}
ANSWERS = {
    "serialize_image_data": {"image_data": "", "image": IMAGE, "inferences": []},
    "classify_image": {"inferences": [0.9, 0.1], "model": "m"},
    "filter_inferences": {"label": "bicycle", "confidence": 0.9, "threshold": 0.8},
    "send_alert": {"message_id": "m"},
}
# By function: how else it may answer, and how often.
FAILURES = {
    "serialize_image_data": ("ImageRejected", 0.1),
    "classify_image": ("Misconfigured", 0.2),
    "filter_inferences": ("ThresholdConfidenceNotMet", 0.4),
    "send_alert": ("AlertUnavailable", 0.0),
}


class Paused(BaseException):
    """The interpreter asks for what has not been answered yet."""


@dataclass
class Position:
    """How far an execution is after the answers so far: at a call, or at its end if `call` is None."""

    start: "Start"
    answers: tuple[Any, ...] = ()
    call: tuple[str, dict[str, Any]] | None = None
    following: dict[str, "Position"] = field(default_factory=dict)

    def after(self, answer: Any) -> "Position":
        """The position after one more answer: a result, or an error's name."""
        key = answer if isinstance(answer, str) else json.dumps(answer)
        if key not in self.following:
            self.following[key] = self.start.position((*self.answers, answer))
        return self.following[key]


@dataclass(frozen=True)
class Start:
    """An execution's machine, name and input, as JSON."""

    machine: str
    arn: str
    input: str

    def position(self, answers: tuple[Any, ...]) -> Position:
        """Runs the interpreter until it asks for what `answers` do not say."""
        remaining, found = iter(answers), Position(self, answers)

        async def call(resource: str, arguments: Any, *_: Any) -> Any:
            try:
                answer = next(remaining)
            except StopIteration:
                found.call = resource.rpartition(":")[2], arguments
                raise Paused from None
            if isinstance(answer, str):
                raise StatesError(answer, json.dumps({"errorMessage": "on purpose"}))
            return answer

        async def sleep(_: float) -> None:
            return None

        host = SimpleNamespace(call=call, sleep=sleep, record=lambda *_: 0)
        given = json.loads(self.input)
        execution = {"Id": self.arn, "Name": self.arn.rpartition(":")[2], "Input": given}
        context = {"Execution": execution, "StateMachine": {"Id": f"{ARN}:stateMachine:m", "Name": "m"}}
        interpreter = Interpreter(definition(self.machine), context, host)  # type: ignore[arg-type]
        with contextlib.suppress(StatesError, Paused):
            LOOP.run_until_complete(interpreter.run(Payload(given, self.input)))
        return found


def _evaluated(template: Any, names: Any, location: str) -> Any:
    key = f"{location} {template} {names}"
    if key not in EVALUATED:
        EVALUATED[key] = jsonata.evaluate(template, names, location)
    return EVALUATED[key]


def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stops the machines' clock, so that all that they evaluate can be kept, and shows reviewers a fresh list."""
    monkeypatch.setattr(state_context, "evaluate", _evaluated)
    monkeypatch.setattr(state_context, "iso_time", lambda _: ledger_time(NOON))
    monkeypatch.setattr(queue, "FRESH_SECONDS", -1.0)
    first.cache_clear()


EVALUATED: dict[str, Any] = {}
LOOP = asyncio.new_event_loop()
first = cache(lambda start: start.position(()))


@cache
def definition(machine: str) -> dict[str, Any]:
    """A machine whose functions are called by their own names; `child` is a batch's child."""
    whole = filled("batch" if machine == "child" else machine, ledger_retention_days="365")
    return whole["States"]["ClassifyPictures"]["ItemProcessor"] if machine == "child" else whole


class ConditionFailed(ClientError):
    """boto3's error for a condition that does not hold."""

    def __init__(self, *_: Any) -> None:
        super().__init__({"Error": {"Code": "ConditionalCheckFailedException"}}, "UpdateItem")


class Table:
    """The ledger's rows by version; `watch` gets each write: the request, and the row before and after."""

    def __init__(self, watch: Callable[[dict[str, Any], Item | None, Item | None], None]) -> None:
        self.rows: dict[str, Item] = {}
        self._watch = watch

    def get(self, request: dict[str, Any]) -> dict[str, Any]:
        row = self.rows.get(request["Key"]["version"]["S"])
        return {"Item": row} if row else {}

    def update(self, request: dict[str, Any]) -> dict[str, Any]:
        names, values = request.get("ExpressionAttributeNames", {}), request["ExpressionAttributeValues"]
        before = self._checked(request)
        row = expressions.updated(request["UpdateExpression"], names, before or request["Key"], values)
        self.rows[request["Key"]["version"]["S"]] = row
        self._watch(request, before, row)
        return {}

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        before = self._checked(request)
        self.rows.pop(request["Key"]["version"]["S"], None)
        self._watch(request, before, None)
        return {}

    def _checked(self, request: dict[str, Any]) -> Item | None:
        """The row as it is. Raises ConditionFailed."""
        row = self.rows.get(request["Key"]["version"]["S"])
        holds = expressions.condition(
            request["ConditionExpression"], request.get("ExpressionAttributeNames", {})
        )
        if not holds(row or {}, request["ExpressionAttributeValues"]):
            self._watch(request, row, row)
            raise ConditionFailed
        return row


@dataclass(eq=False)
class Execution:
    """One execution under way; `version` is the one that its input names, if any."""

    arn: str
    position: Position
    input: dict[str, Any]
    version: str
    began: int = 0
    hiccups: int = 0
    looked: int = 0
    wrote: bool = False
    excused: bool = False


class World:
    """One play. `seed` makes it; an AssertionError says what was broken, `story` what led to it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self.story: list[str] = []
        self.table = Table(self._watch)
        self.running: list[Execution] = []
        self.stopped: list[Execution] = []
        self.names: dict[str, Execution] = {}
        self.inputs: dict[str, str] = {}
        self.alerts: Counter[str] = Counter()
        self.versions = ["v1"]
        # How often a start names no version, and how often S3 does not name it either.
        self.versionless, self.untold = self.chance.choice([(0.1, 0.1), (0.9, 0.6)])
        self.writer: Execution | str = ""
        self.time = NOON
        self.depth = self.steps = 0
        deployment: Any = SimpleNamespace(
            bucket=BUCKET,
            labels=LABELS,
            ledger_retention_days=90,
            ledger_table="ledger",
            state_machine_arn=f"{ARN}:stateMachine:classify",
            client=lambda name: {"dynamodb": Client(self), "s3": Objects(self), "stepfunctions": self}[name],
        )
        self.reruns = Reruns(Workflow(deployment))
        self.people = {name: Reviews(deployment, name, self._now) for name in ("ann", "ben")}
        self.shown: dict[str, queue.Item] = {}
        self.planned: list[Rerun] = []

    def play(self, length: int) -> None:
        """Random steps, then everything under way comes to its end."""
        self._event()
        for _ in range(self.chance.randint(length // 2, length)):
            self.step()
        while self.running or self.stopped:
            self._settle() if not self.running else self._advance()
        self._check_end()

    def rows(self) -> list[dict[str, Any]]:
        """The ledger, in plain values."""
        return [plain({"M": row}) for row in self.table.rows.values()]

    def step(self) -> None:
        """One step of somebody."""
        self.steps += 1
        if not self.depth:
            self.writer = ""
        steps, weights = zip(*self.STEPS, strict=True)
        (step,) = self.chance.choices(steps, weights)
        step(self)

    def _tell(self, *words: object) -> None:
        self.story.append(" ".join(map(str, words)))

    def _now(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time

    # Executions

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> dict[str, str]:  # noqa: N803, A002
        """As Step Functions: a name starts one execution; the same input again is answered with it while it runs."""
        arn = stateMachineArn.replace(":stateMachine:", ":execution:") + f":{name}"
        if known := self.names.get(arn):
            if known in self.running and self.inputs[arn] == input:
                return {"executionArn": arn}
            raise ClientError({"Error": {"Code": "ExecutionAlreadyExists"}}, "StartExecution")
        self._start("classify", arn, json.loads(input))
        self.inputs[arn] = input
        return {"executionArn": arn}

    def describe_execution(self, *, executionArn: str) -> dict[str, str]:  # noqa: N803
        running = self.names[executionArn] in self.running
        return {"status": "RUNNING" if running else "SUCCEEDED"}

    def _start(self, machine: str, arn: str, given: dict[str, Any], picture: Any = None) -> None:
        picture = picture or given
        version = picture["s3_version_id"] or UNKNOWN_VERSION
        position = first(Start(machine, arn, json.dumps(given)))
        execution = Execution(arn, position, given, version, self.steps)
        self.names.setdefault(arn, execution)
        self.running.append(execution)
        self._tell("start", machine, arn.rpartition(":")[2], version, "run", picture["run"])

    def _event(self) -> None:
        """The bucket's event, once more, or somebody's start without a version."""
        version = "" if self.chance.random() < self.versionless else self.chance.choice(self.versions)
        number = sum(name.startswith(f"{ARN}:execution:classify:event") for name in self.names)
        if number < 5:
            self._start("classify", f"{ARN}:execution:classify:event-{number}", _picture(version, 0))

    def _batch(self) -> None:
        """A batch's child, of which two run where Express runs it twice."""
        version, run = self.chance.choice(self.versions), self.chance.choice([0, 0, 1, 2])
        given = {"Items": [_picture(version, run)], "BatchInput": {"execution": BATCH}}
        for _ in range(self.chance.choice([1, 2])):
            if sum(each.position.start.machine == "child" for each in self.running) < 4:
                self._start("child", BATCH, given, given["Items"][0])

    def _overwrite(self) -> None:
        """Another picture under the same name; its event comes later."""
        if len(self.versions) == 1:
            self.versions.append("v2")

    def _advance(self) -> None:
        """One call of an execution, or its end."""
        if not self.running:
            return
        execution = self.chance.choice(self.running)
        if execution.position.call is None:
            self.running.remove(execution)
            return
        action, arguments = execution.position.call
        self.writer = execution
        answer = self._perform(execution, action, arguments)
        self._tell(execution.arn.rpartition(":")[2], action, answer if isinstance(answer, str) else "")
        execution.position = execution.position.after(answer)

    def _perform(self, execution: Execution, action: str, arguments: dict[str, Any]) -> Any:
        """The answer to a call: a result, or an error's name."""
        match action:
            case "invoke":
                return self._invoke(execution, arguments)
            case "sendMessage":
                self.alerts[execution.arn] += 1
                return {}
            case "headObject":
                untold = self.chance.random() < self.untold
                return "S3.AccessDeniedException" if untold else {"VersionId": self.versions[-1]}
        trouble = self.chance.random() if execution.hiccups < HICCUPS else 1.0
        execution.hiccups += trouble < 0.12
        if trouble < 0.06:
            self.names[execution.arn].excused = True
            return self.chance.choice([BUSY, DENIED])
        answer = self._ask_ledger(execution, action, arguments)
        return BUSY if 0.06 < trouble < 0.12 and answer != CONFLICT else answer

    def _ask_ledger(self, execution: Execution, action: str, arguments: dict[str, Any]) -> Any:
        if action == "getItem":
            if arguments["Key"]["version"]["S"] == UNKNOWN_VERSION:
                execution.looked = self.steps
            return _told(self.table.get(arguments).get("Item"), execution.arn)
        try:
            return self.table.update(arguments) if action == "updateItem" else self.table.delete(arguments)
        except ConditionFailed:
            return CONFLICT

    def _invoke(self, execution: Execution, arguments: dict[str, Any]) -> Any:
        name, asked = arguments["FunctionName"], arguments["Payload"].get("s3_version_id")
        error, often = FAILURES[name]
        if name == "serialize_image_data" and not asked:
            error, often = "ImageNotFound", self.untold
        if self.chance.random() < often:
            return error
        if name == "send_alert":
            self.alerts[execution.arn] += 1
        answer = ANSWERS[name]
        if name == "serialize_image_data":
            answer = answer | {"s3_version_id": asked or self.versions[-1]}
        return {"Payload": answer}

    def _abort(self) -> None:
        alone = [each for each in self.running if each.position.start.machine == "classify"]
        if alone:
            execution = self.chance.choice(alone)
            self.running.remove(execution)
            self.stopped.append(execution)
            self._tell("abort", execution.arn.rpartition(":")[2])

    def _settle(self) -> None:
        """The event about a stopped execution reaches the machine `reconcile`."""
        if self.stopped:
            stopped = self.stopped.pop(self.chance.randrange(len(self.stopped)))
            detail = {"status": "ABORTED", "executionArn": stopped.arn, "input": json.dumps(stopped.input)}
            start = Start("reconcile", stopped.arn, json.dumps({"detail": detail}))
            # Without a version nobody can tell whose the row is, so it silences nobody.
            self.names[stopped.arn].excused |= stopped.version == UNKNOWN_VERSION
            self.running.append(Execution(stopped.arn, first(start), stopped.input, stopped.version))
            self._tell("settle", stopped.arn.rpartition(":")[2])

    # People

    def _review(self) -> None:
        """Somebody takes a picture, answers it, or takes an answer back."""
        name = self.chance.choice([*self.people])
        work = self.people[name]
        if self.writer == name:
            return
        self.writer = name
        try:
            if self.chance.random() < 0.2:
                self._tell(name, "undoes")
                work.undo(name)
            elif name in self.shown and self.chance.random() < 0.9:
                label = self.chance.choice([*LABELS, UNUSABLE])
                self._tell(name, "answers", label)
                work.answer(self.shown.pop(name), label, name)
            elif item := work.take(name):
                self._tell(name, "takes", item.row["version"])
                self.shown[name] = item
        except NotYours:
            self._tell(name, "came too late")

    def _plan(self) -> None:
        """Somebody asks what may be run again, and answers the question whether to do it later."""
        self.writer = "rerun"
        asked = self.chance.randrange(4)
        if asked <= 1:
            self.planned.append(self.reruns.of_picture(URI))
        elif asked == 2:
            stored = {"key": KEY, "version-id": self.chance.choice(self.versions)}
            body = {"detail": {"bucket": {"name": BUCKET}, "object": stored}}
            self.planned.append(self.reruns.of_event(DeadLetter("queue", "receipt", body, "now")))
        else:
            self.planned += self.reruns.of_rows(Selection())
        del self.planned[:-4]

    def _rerun(self) -> None:
        if self.planned:
            self.writer = "rerun"
            each = self.planned.pop(self.chance.randrange(len(self.planned)))
            self._tell("rerun", each.picture.s3_version_id, "run", each.run)
            if each.run < 5:
                self.reruns.start(each)

    def _wait(self) -> None:
        self.time += LEASE

    def meanwhile(self) -> None:
        """What others do between two calls of a person's command."""
        if self.depth < 2 and self.chance.random() < 0.2:
            writer, self.depth = self.writer, self.depth + 1
            self.step()
            self.writer, self.depth = writer, self.depth - 1

    STEPS = (
        (_advance, 60),
        (_review, 12),
        (_abort, 3),
        (_settle, 3),
        (_event, 3),
        (_batch, 2),
        (_plan, 4),
        (_rerun, 6),
        (_wait, 1),
        (_overwrite, 1),
    )

    # What is checked

    def _watch(self, request: dict[str, Any], before: Item | None, after: Item | None) -> None:
        version = request["Key"]["version"]["S"]
        if "UpdateExpression" not in request:
            self._check_removal(version, before, after)
        elif isinstance(self.writer, str):
            self._check_person(request, before, after)
        elif ":status" in request["ExpressionAttributeValues"]:
            self._check_decision(request, before, after)
        else:
            assert before == after, "asking whose row it is changed it"
        if after:
            waits = after["status"]["S"] != "ACCEPTED" and "reviewed_at" not in after
            assert ("attention" in after) == waits, f"{plain({'M': after})} waits, or does not"

    def _check_end(self) -> None:
        """Everything that was started has a row, and exactly what waits was alerted."""
        for version, row in self.table.rows.items():
            execution = row["execution"]["S"]
            seen = any(entry["status"] == "reviewed" for entry in plain(row["history"]))
            told = self.alerts[execution] or execution == BATCH or seen
            assert told or "attention" not in row, f"nobody was told of {version}, which waits"
        for arn, execution in self.names.items():
            stands = execution.version in self.table.rows or execution.version == UNKNOWN_VERSION
            in_sight = self.alerts[arn] or (self.table.rows and stands) or arn == BATCH
            assert in_sight, f"the picture of {arn} is lost from sight"
            assert execution.wrote or execution.excused or not self.alerts[arn], f"{arn} lost and alerted"

    def _check_decision(self, request: dict[str, Any], before: Item | None, after: Item | None) -> None:
        values = {name: plain(value) for name, value in request["ExpressionAttributeValues"].items()}
        status = values.get(":status")
        allowed = may_replace(_decision(before), values[":run"], status)
        assert (before != after) == allowed, f"run {values[':run']} {status} in place of {_decision(before)}"
        if allowed:
            assert isinstance(self.writer, Execution)
            self.names[self.writer.arn].wrote = True
            assert after is not None
            assert _decision(after) == (values[":run"], status, None)
            assert plain(after["history"])[-1]["status"] == status

    def _check_person(self, request: dict[str, Any], before: Item | None, after: Item | None) -> None:
        """People's commands never touch what executions decided, nor another's answer."""
        if before == after:
            return
        assert before is not None
        assert after is not None
        (run, status, answered), decided = _decision(before), _decision(after)  # type: ignore[misc]
        assert decided is not None
        assert decided[:2] == (run, status)
        if answered != decided.answered and answered:
            assert decided.answered is None, "an answer was written over"
            assert self.writer in ("rerun", before["reviewer"]["S"]), "somebody else's answer was taken back"

    def _check_removal(self, version: str, before: Item | None, after: Item | None) -> None:
        if before is None or after is not None:
            return
        assert version == UNKNOWN_VERSION, "a version's own row was removed"
        assert "reviewed_at" not in before, "a person's answer was removed"
        assert isinstance(self.writer, Execution)
        assert set(self.table.rows) - {UNKNOWN_VERSION}, "nothing stands for the picture"
        began = self.names[before["execution"]["S"]].began
        assert began <= self.writer.looked, "a row was removed that may be about a later version"


def _picture(version: str, run: int) -> dict[str, Any]:
    return {"s3_bucket": BUCKET, "s3_key": KEY, "s3_version_id": version, "run": run}


def _decision(row: Item | None) -> Decision | None:
    if row is None:
        return None
    answered = row["reviewed_at"]["S"] if "reviewed_at" in row else None
    return Decision(int(row["run"]["N"]), row["status"]["S"], answered)


def _told(row: Item | None, arn: str) -> dict[str, Any]:
    """What the machines ask of a row. Other owners are not distinguished, which makes fewer answers."""
    if row is None:
        return {}
    told = {name: row[name] for name in ("execution", "run", "status", "error") if name in row}
    if row["version"]["S"] != UNKNOWN_VERSION and row["execution"]["S"] != arn:
        told = {"execution": {"S": "another"}, "status": row["status"]}
    if "reviewed_at" in row:
        told["reviewed_at"] = {"S": "some time"}
    return {"Item": told}


@dataclass
class Client:
    """DynamoDB as boto3 shows it to people's commands; others act between its calls, and answers get lost."""

    world: World
    exceptions: ClassVar[Any] = SimpleNamespace(ConditionalCheckFailedException=ConditionFailed)

    def get_item(self, **request: Any) -> dict[str, Any]:
        self.world.meanwhile()
        return self.world.table.get(request)

    def update_item(self, **request: Any) -> dict[str, Any]:
        self.world.meanwhile()
        if self.world.chance.random() < 0.1:  # boto3 tries again what was not answered
            self.world.table.update(request)
        return self.world.table.update(request)

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=self._pages)

    def _pages(self, **request: Any) -> Iterator[dict[str, Any]]:
        wanted = request["ExpressionAttributeValues"][":attention"]
        yield {"Items": [row for row in self.world.table.rows.values() if row.get("attention") == wanted]}


@dataclass
class Objects:
    """S3 as boto3 shows it: the picture's present version; copies are taken and forgotten."""

    world: World

    def head_object(self, **_: Any) -> dict[str, str]:
        return {"VersionId": self.world.versions[-1]}

    def copy_object(self, **_: Any) -> None:
        self.world.meanwhile()

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=lambda **_: [{}])
