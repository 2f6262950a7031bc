"""Least privilege, proved: the stack does everything it can do, is denied nothing, and uses every permission."""

import io
import json
import re
import tarfile
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from functions.common import baseline
from scripts.local_aws.iam.policy_evaluation import Call, Document, Policies, decide
from scripts.models import training_jobs
from scripts.operations import permission_usage
from scripts.operations.local_stack import LocalStack
from scripts.operations.permission_usage import EXCEPTIONS, Grant, Use, reason_for, statements
from scripts.policy.permissions_page import PAGE
from scripts.workflow.batch import Batches
from scripts.workflow.client import Workflow
from training_scripts.synthetic import generator

# Last, so that what every other test did is judged, too.
pytestmark = [pytest.mark.last, pytest.mark.timeout(600)]

TRAINER = """
import os, pathlib
pathlib.Path(os.environ["SM_MODEL_DIR"], "model").write_text("a model")
pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"], "checkpoints", "next").write_text("a checkpoint")
"""
# What other tests ask for although nobody may: a picture in a foreign bucket, a state machine that is gone.
PROVOKED = ("arn:aws:s3:::somebody-elses/*", "arn:aws:states:*-gone")
UNREACHABLE = {"error": "AuthorizationError", "status": 403}


class Scenario:
    """Takes every way through the deployment once, including those that only faults open."""

    def __init__(
        self, stack: LocalStack, workflow: Workflow, folder: Path, eventually: Callable[..., Any]
    ) -> None:
        self.stack, self.workflow, self.folder, self.eventually = stack, workflow, folder, eventually
        self.bucket = workflow.deployment.bucket

    def run(self) -> None:
        self.drop()
        self.classify_without_version()
        self.classify_twice()
        self.batch()
        self.keep_unsent_alerts()
        self.record_what_is_stopped()
        self.keep_undelivered_events()
        self.digest()
        self.drift()
        self.alarm()
        self.train()

    def drawn(self, kind: str) -> Path:
        path = self.folder / f"{kind}-{uuid.uuid4().hex[:8]}.jpg"
        generator.draw(kind, 1).save(path, quality=90)
        return path

    def drop(self) -> str:
        """An object under incoming/, whose event starts the workflow; returns its key."""
        path = self.drawn("bicycle")
        key = f"incoming/{path.name}"
        put = self.workflow.s3.put_object(Bucket=self.bucket, Key=key, Body=path.read_bytes())
        self.eventually(lambda: self.workflow.row(f"s3://{self.bucket}/{key}", put["VersionId"]))
        return key

    def classify_without_version(self) -> None:
        """A picture that is there, and one that is not yet: once it is, its row without a version goes."""
        missing = f"submitted/none-{uuid.uuid4().hex[:8]}.jpg"
        for key in (self.drop(), missing):
            self._ended({"s3_bucket": self.bucket, "s3_key": key})
        self.workflow.s3.upload_file(str(self.drawn("bicycle")), self.bucket, missing)
        self._ended({"s3_bucket": self.bucket, "s3_key": missing})

    def classify_twice(self) -> None:
        picture = self.workflow.submit(str(self.drawn("ambiguous")))
        for _ in range(2):
            self.workflow.wait(self.workflow.start(picture))

    def batch(self) -> None:
        batches = Batches(self.workflow)
        prefix = f"archive/{uuid.uuid4().hex[:8]}/"
        for kind in ("bicycle", "ambiguous"):
            self.workflow.s3.upload_file(str(self.drawn(kind)), self.bucket, f"{prefix}{kind}.jpg")
        for _ in range(2):  # the second time each row is there
            batch = batches.start(batches.pictures(f"s3://{self.bucket}/{prefix}"), lambda count: None)
            assert batch is not None
            batches.wait(batch, lambda count: None)

    def keep_unsent_alerts(self) -> None:
        self.stack.inject(UNREACHABLE, service="sns")
        try:
            self.workflow.classify(str(self.drawn("ambiguous")))
            self.batch()
        finally:
            self.stack.heal()

    def record_what_is_stopped(self) -> None:
        """Executions that are stopped; neither `unfinished` nor the rule can send the second one's alert."""
        picture = self._stop()
        self.eventually(lambda: self.workflow.row(picture, "v1"))
        kept = self._waiting("alert-dead-letters")
        self.stack.inject(UNREACHABLE, service="sns")
        try:
            self._stop()
            self.eventually(lambda: self._waiting("alert-dead-letters") > kept)
        finally:
            self.stack.heal()

    def keep_undelivered_events(self) -> None:
        """Events of two rules whose state machines are gone for a while."""
        self.stack.inject({"error": "StateMachineDoesNotExist"}, service="states", operation="StartExecution")
        before = {name: self._waiting(name) for name in ("trigger-dead-letters", "alert-dead-letters")}
        try:
            self.workflow.s3.put_object(Bucket=self.bucket, Key="incoming/lost.jpg", Body=b"")
            self.eventually(lambda: self._waiting("trigger-dead-letters") > before["trigger-dead-letters"])
        finally:
            self.stack.heal()
        self.stack.inject(
            {"error": "StateMachineDoesNotExist"},
            service="states",
            operation="StartExecution",
            resource="*-unfinished",
        )
        try:
            self._stop()
            self.eventually(lambda: self._waiting("alert-dead-letters") > before["alert-dead-letters"])
        finally:
            self.stack.heal()

    def digest(self) -> None:
        """The scheduled message, which counts what waits."""
        before = self._sent("digest")
        self.stack.fire("digest")
        self.eventually(lambda: self._sent("digest") > before)

    def drift(self) -> None:
        """A check of a model without a baseline, one that finds a change, and one that fails."""
        model, day = f"scenario-{uuid.uuid4().hex[:8]}", "2026-01-15"
        for number, each in enumerate(_pictures(brightness=0.1)):
            texts = {"picture": f"s3://b/{model}/{number}.jpg", "version": "v", "label": each["label"]}
            texts |= {"model": model, "time": f"{day}T12:00:00.000Z"}
            row = {name: {"S": text} for name, text in texts.items()}
            row["confidence"] = {"N": str(each["confidence"])}
            row["image"] = {"M": {name: {"N": str(value)} for name, value in each["image"].items()}}
            self.workflow.dynamodb.put_item(TableName=self.workflow.deployment.ledger_table, Item=row)
        self._check_drift(day)
        made = baseline.describe(_pictures(brightness=0.6), ["bicycle"], 0.9)
        self.workflow.s3.put_object(Bucket=self.bucket, Key=baseline.key(model), Body=json.dumps(made))
        told = self._sent("drift")
        self._check_drift(day)
        self.eventually(lambda: self._sent("drift") > told)
        kept = self._waiting("alert-dead-letters")
        self.stack.inject({"error": "ValidationException"}, service="dynamodb", operation="Scan")
        try:
            self.stack.fire("drift")
            self.eventually(lambda: self._waiting("alert-dead-letters") > kept)
        finally:
            self.stack.heal()

    def _check_drift(self, day: str) -> None:
        event = {"check": "drift", "hours": 24, "time": f"{day}T18:00:00Z"}
        name = self.workflow.deployment.function_names["report_drift"]
        functions = self.workflow.deployment.client("lambda")
        answer = functions.invoke(FunctionName=name, Qualifier="live", Payload=json.dumps(event))
        assert "FunctionError" not in answer, answer["Payload"].read()

    def alarm(self) -> None:
        """An alarm on the alert path, which publishes by itself, and its end, which comes as an alert."""
        cloudwatch = self.workflow.deployment.client("cloudwatch")
        name = f"{self.workflow.deployment.prefix}-alert-failures"
        before = self._sent("alarm")
        for state in ("ALARM", "OK"):
            cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="the scenario")
        self.eventually(lambda: self._sent("alarm") > before)

    def _sent(self, category: str) -> int:
        return sum(message["attributes"].get("category") == category for message in self.stack.outbox())

    def train(self) -> None:
        """A job of a tiny program that finds a checkpoint and leaves one."""
        deployment = self.workflow.deployment
        name = f"{deployment.prefix}-training-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            entry = tarfile.TarInfo(training_jobs.PROGRAM)
            entry.size = len(TRAINER)
            archive.addfile(entry, io.BytesIO(TRAINER.encode()))
        objects = {
            "training/data/tiny/a.txt": b"a picture",
            f"training/{name}/source/sourcedir.tar.gz": packed.getvalue(),
            f"training/{name}/checkpoints/former": b"a checkpoint",
        }
        for key, body in objects.items():
            self.workflow.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        plan = training_jobs.Plan(f"s3://{self.bucket}/training/data/tiny/", spot=True)
        sagemaker = deployment.client("sagemaker")
        sagemaker.create_training_job(**training_jobs.request(deployment, name, plan))
        describe = partial(sagemaker.describe_training_job, TrainingJobName=name)
        self.eventually(lambda: describe()["TrainingJobStatus"] != "InProgress")
        assert describe()["TrainingJobStatus"] == "Completed", describe().get("FailureReason")

    def _stop(self) -> str:
        """Stops an execution; returns its picture."""
        for _ in range(50):  # an execution may end before it can be stopped
            key = f"incoming/{uuid.uuid4()}.jpg"
            given = {"s3_bucket": self.bucket, "s3_key": key, "s3_version_id": "v1"}
            started = self.workflow.states.start_execution(
                stateMachineArn=self.workflow.deployment.state_machine_arn, input=json.dumps(given)
            )
            self.workflow.states.stop_execution(executionArn=started["executionArn"])
            if self.workflow.wait(started["executionArn"])["status"] == "ABORTED":
                return f"s3://{self.bucket}/{key}"
        pytest.fail("no execution could be stopped in 50 tries")

    def _ended(self, given: dict[str, Any]) -> None:
        started = self.workflow.states.start_execution(
            stateMachineArn=self.workflow.deployment.state_machine_arn, input=json.dumps(given)
        )
        self.workflow.wait(started["executionArn"])

    def _waiting(self, queue: str) -> int:
        sqs = self.workflow.deployment.client("sqs")
        url = sqs.get_queue_url(QueueName=f"{self.workflow.deployment.prefix}-{queue}")["QueueUrl"]
        asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(asked["Attributes"]["ApproximateNumberOfMessages"])


def _pictures(brightness: float) -> list[dict[str, Any]]:
    """60 pictures that the model is sure of, about as bright as is said."""
    image = {"width": 640, "height": 480, "contrast": 0.5, "sharpness": 0.5}
    return [
        {"label": "bicycle", "confidence": 0.99, "image": image | {"brightness": brightness + number / 1000}}
        for number in range(60)
    ]


@pytest.fixture(scope="module")
def decided(
    stack: LocalStack,
    workflow: Workflow,
    tmp_path_factory: pytest.TempPathFactory,
    eventually: Callable[..., Any],
) -> dict[str, Any]:
    """Every decision of the one-machine AWS, once the scenario has been played."""
    Scenario(stack, workflow, tmp_path_factory.mktemp("scenario"), eventually).run()
    # Capture is written a moment after the answer.
    eventually(
        lambda: any(
            "/capture/" in each["call"]["resource"] for each in permission_usage.read(stack)["decisions"]
        )
    )
    return permission_usage.read(stack)


@pytest.fixture(scope="module")
def use(decided: dict[str, Any], stack: LocalStack) -> Use:
    deployment = stack.deployment()
    return permission_usage.use(decided, deployment.prefix, deployment.key_arn)


def test_no_call_was_denied(use: Use) -> None:
    unforeseen = [
        (each["call"], each["reason"])
        for each in use.denied
        if not any(fnmatchcase(each["call"]["resource"], pattern) for pattern in PROVOKED)
    ]
    assert unforeseen == []


def test_whatever_was_granted_was_used_or_is_a_named_exception(use: Use) -> None:
    assert use.unused == []


def test_every_exception_is_needed(use: Use) -> None:
    reasons = {reason for _, reason in use.excused}
    assert reasons == {each.reason for each in EXCEPTIONS}


class Documented(NamedTuple):
    """A statement of docs/permissions.md: the address of what has the policy in the plan, and its Sid."""

    address: str
    sid: str


def documented() -> list[Documented]:
    """Every statement of every policy of production's plan."""
    found, address = [], ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"\*\*(?:`(.+)`: .*|Invoking (.+))\*\*$", line):
            address = heading[1] or heading[2].replace("-prod-", "-local-")
        elif row := re.match(r"\| `(\w+)` \|", line):
            found.append(Documented(address, row[1]))
    return found


@pytest.fixture(scope="module")
def owners(stack: LocalStack) -> dict[str, str]:
    """The ARN of the role or resource that each policy of the state belongs to, by its address."""
    state = json.loads(stack.terraform("show", "-json")[1])["values"]["root_module"]
    account = "arn:aws:iam::123456789012:role"
    named = {}
    for resource in _resources(state):
        values = resource["values"]
        named[resource["address"]] = {
            "aws_iam_role_policy": lambda values=values: f"{account}/{values['role']}",
            "aws_s3_bucket_policy": lambda values=values: f"arn:aws:s3:::{values['bucket']}",
        }.get(resource["type"], lambda values=values: str(values.get("arn")))()
        if resource["type"] == "aws_lambda_function":
            named[values["function_name"]] = values["arn"]
    return named


def _resources(module: dict[str, Any]) -> list[dict[str, Any]]:
    inner = [resource for child in module.get("child_modules", []) for resource in _resources(child)]
    return module.get("resources", []) + inner


@pytest.mark.parametrize(
    "statement", documented(), ids=lambda statement: f"{statement.address}/{statement.sid}"
)
def test_without(statement: Documented, decided: dict[str, Any], owners: dict[str, str]) -> None:
    """Without this statement an allowed call is denied, or, if it is a denial, a call without TLS is allowed."""
    owner = owners[statement.address]
    weakened = [
        (each["call"]["action"], each["call"]["resource"])
        for each in decided["decisions"]
        if each["allowed"] and _judged(each) != _judged(each, without=(owner, statement.sid))
    ]

    if not weakened and (reason := reason_for(Grant(owner, statement.sid, "*"))):
        pytest.skip(reason)
    assert weakened, f"{owner} keeps {statement.sid}, and nothing that was called needs it"


def _judged(decision: dict[str, Any], without: tuple[str, str] | None = None) -> tuple[bool, bool]:
    """Whether the recorded call is allowed by the policies of then, less one statement: with TLS, and without it."""
    recorded, policies = decision["call"], decision["policies"]
    documents = Policies(
        tuple(_less(document, without) for document in policies["identity"]),
        policies["boundary"] and _less(policies["boundary"], without),
        policies["resource"] and _less(policies["resource"], without),
    )
    verdicts = []
    for tls in ("true", "false"):
        context = {**recorded["context"], "aws:securetransport": [tls]}
        plain = tuple((key, tuple(values)) for key, values in context.items())
        call = Call(recorded["principal"], recorded["action"], recorded["resource"], plain)
        verdicts.append(decide(call, documents).allowed)
    return verdicts[0], verdicts[1]


def _less(document: list[str], without: tuple[str, str] | None) -> Document:
    owner, text = document
    kept = [each for each in statements(text) if (owner, each.get("Sid")) != without]
    return Document(owner, json.dumps({"Version": "2012-10-17", "Statement": kept}))


def test_a_removed_permission_fails_loudly_until_it_is_back(
    stack: LocalStack, workflow: Workflow, bicycle: Path, alerts_of: Callable[[str], list[dict[str, Any]]]
) -> None:
    """The last test of all: it provokes a denial."""
    iam, role = workflow.deployment.client("iam"), f"{workflow.deployment.prefix}-classify-image"
    name = {"RoleName": role, "PolicyName": "permissions"}
    before = iam.get_role_policy(**name)["PolicyDocument"]
    less = {**before, "Statement": [it for it in before["Statement"] if it["Sid"] != "InvokeEndpoint"]}

    iam.put_role_policy(**name, PolicyDocument=json.dumps(less))
    try:
        outcome = workflow.classify(str(bicycle))
    finally:
        iam.put_role_policy(**name, PolicyDocument=json.dumps(before))

    assert (outcome.status, outcome.error, outcome.execution_status) == ("FAILED", "Misconfigured", "FAILED")
    (alert,) = alerts_of(outcome.execution)
    assert alert["attributes"]["category"] == "system"
    assert (
        f"assumed-role/{role}/{role} is not authorized to perform: sagemaker:InvokeEndpoint"
        in alert["message"]
    )
    again = workflow.wait(workflow.start(workflow.submit(outcome.uri), run=1))
    assert again["status"] == "SUCCEEDED"
