"""Running pictures again: what is started, what is not, and that repeating it does no harm."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from scripts.cli.commands import rerun
from scripts.local_aws.core.errors import ServiceError
from scripts.local_aws.stepfunctions.service import StepFunctions
from scripts.workflow import dead_letters
from scripts.workflow.client import Workflow
from scripts.workflow.dead_letters import DeadLetter, DeadLetters, alert
from scripts.workflow.ledger import Selection
from scripts.workflow.rerun import Reruns

TASK = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": True, "TimeoutSeconds": 20}
RECORD = {"input": "{% $states.input %}", "execution": "{% $states.context.Execution.Id %}"}
MACHINE = {
    "QueryLanguage": "JSONata",
    "StartAt": "Record",
    "States": {"Record": TASK | {"Arguments": RECORD}},
}


class States:
    """Step Functions as boto3 shows it, over the interpreter of the one-machine AWS.

    Its one state writes the picture's row, once `gate` is open, and then removes that of an unknown version; with
    `mute` it ends without a row.
    """

    def __init__(self, workflow):
        self.workflow, self.inputs, self.gate, self.mute = workflow, [], threading.Event(), False
        self.gate.set()
        self.service = StepFunctions(self.record, lambda event: None, lambda _: None, Mock())
        request = {"name": "classify", "definition": json.dumps(MACHINE), "roleArn": "arn:aws:iam::1:role/r"}
        self.arn = self.service.handle("CreateStateMachine", request)["stateMachineArn"]

    def record(self, _resource, arguments, _caller):
        given = arguments["input"]
        self.inputs.append(given)
        assert self.gate.wait(20)
        if not self.mute:
            uri = f"s3://{given['s3_bucket']}/{given['s3_key']}"
            version = given["s3_version_id"] or self.workflow.find(uri).s3_version_id
            put(self.workflow, given["s3_key"], version, run=given["run"], execution=arguments["execution"])
            if not given["s3_version_id"] and (unknown := self.workflow.row(uri, "unknown")):
                self.workflow.ledger.remove(unknown)
        return {}

    def start_execution(self, **request):
        return self._handle("StartExecution", request)

    def describe_execution(self, **request):
        return self._handle("DescribeExecution", request)

    def _handle(self, action, request):
        try:
            return self.service.handle(action, request)
        except ServiceError as error:
            raise ClientError({"Error": {"Code": error.code, "Message": str(error)}}, action) from error


def put(workflow, key, version, *, run=0, status="LOW_CONFIDENCE", execution="an earlier one", reviewed=""):
    texts = {
        "picture": f"s3://{workflow.deployment.bucket}/{key}",
        "version": version,
        "execution": execution,
    }
    texts |= {"status": status, "time": "2026-11-20T12:00:00.000Z"}
    if reviewed:
        texts |= {"reviewed_label": reviewed, "reviewer": "ann", "reviewed_at": "2026-11-20T13:00:00.000Z"}
    else:
        texts["attention"] = status
    item = {name: {"S": text} for name, text in texts.items()} | {"run": {"N": str(run)}}
    workflow.dynamodb.put_item(TableName=workflow.ledger.table, Item=item)


@pytest.fixture
def workflow(deployment):
    workflow = Workflow(deployment)
    workflow.states = States(workflow)
    deployment.outputs["state_machine_arn"] = workflow.states.arn
    yield workflow
    workflow.states.gate.set()
    workflow.states.service.close()


@pytest.fixture
def reruns(workflow):
    return Reruns(workflow)


def row(workflow, key="a.jpg", version="v1"):
    return workflow.row(f"s3://{workflow.deployment.bucket}/{key}", version)


def test_a_row_is_run_again_with_the_next_run(workflow, reruns):
    put(workflow, "a.jpg", "v1", run=3)

    (planned,) = reruns.of_rows(Selection())
    started = reruns.start(planned)

    assert reruns.result(started) == "LOW_CONFIDENCE"
    (given,) = workflow.states.inputs
    assert (given["s3_key"], given["s3_version_id"], given["run"]) == ("a.jpg", "v1", 4)
    assert row(workflow)["execution"] == started.execution


def test_while_it_is_under_way_nobody_starts_it_twice(workflow, reruns):
    put(workflow, "a.jpg", "v1")
    workflow.states.gate.clear()

    with ThreadPoolExecutor(4) as people:
        started = [*people.map(lambda _: reruns.start(next(reruns.of_rows(Selection()))), range(8))]
    workflow.states.gate.set()

    assert len({each.execution for each in started}) == 1
    assert reruns.result(started[0]) == "LOW_CONFIDENCE"
    assert len(workflow.states.inputs) == 1


def test_what_was_decided_since_the_listing_is_left_alone(workflow, reruns):
    put(workflow, "a.jpg", "v1")
    (mine,), (theirs,) = reruns.of_rows(Selection()), reruns.of_rows(Selection())
    reruns.result(reruns.start(theirs))

    started = reruns.start(mine)

    assert started.execution is None
    assert "Run 1 has decided it since then: LOW_CONFIDENCE" in started.note
    assert len(workflow.states.inputs) == 1


def test_an_execution_that_ended_without_a_row_does_not_block_the_next(workflow, reruns):
    put(workflow, "a.jpg", "v1")
    workflow.states.mute = True
    lost = reruns.start(next(reruns.of_rows(Selection())))
    workflow.wait(lost.execution)
    workflow.states.mute = False

    started = reruns.start(next(reruns.of_rows(Selection())))

    assert started.rerun.run == 2
    assert reruns.result(started) == "LOW_CONFIDENCE"
    assert row(workflow)["run"] == 2


def test_a_picture_without_a_row_is_run_as_for_the_first_time(workflow, reruns, bucket):
    version = bucket.put_object(Key="a.jpg", Body=b"a").version_id

    reruns.result(reruns.start(reruns.of_picture(f"s3://{bucket.name}/a.jpg")))

    assert row(workflow, version=version)["run"] == 0


def test_an_unknown_row_gives_way_to_the_present_version(workflow, reruns, bucket):
    put(workflow, "a.jpg", "unknown", status="FAILED")
    version = bucket.put_object(Key="a.jpg", Body=b"a").version_id

    (planned,) = reruns.of_rows(Selection())
    reruns.result(reruns.start(planned))

    assert row(workflow, version=version)["run"] == 0
    assert row(workflow, version="unknown") is None
    assert {each["version"] for each in workflow.ledger.select(Selection())} == {version}


def test_an_unknown_row_stays_until_the_versions_row_is_there(workflow, reruns, bucket):
    put(workflow, "a.jpg", "unknown", status="FAILED")
    bucket.put_object(Key="a.jpg", Body=b"a")
    workflow.states.mute = True

    workflow.wait(reruns.start(next(reruns.of_rows(Selection()))).execution)
    assert row(workflow, version="unknown")["attention"] == "FAILED"

    workflow.states.mute = False
    reruns.result(reruns.start(next(reruns.of_rows(Selection()))))
    assert [each["version"] for each in workflow.ledger.rows_of(f"s3://{bucket.name}/a.jpg")] != ["unknown"]


def test_a_rerun_by_name_takes_back_a_persons_answer(workflow, reruns, bucket):
    version = bucket.put_object(Key="a.jpg", Body=b"a").version_id
    put(workflow, "a.jpg", version, reviewed="motorcycle")
    workflow.states.gate.clear()
    asked = reruns.of_picture(f"s3://{bucket.name}/a.jpg")
    assert asked.reviewed

    started = reruns.start(asked)

    waiting = row(workflow, version=version)
    assert waiting["attention"] == "LOW_CONFIDENCE"
    assert "reviewed_at" not in waiting
    assert (waiting["reviewed_label"], waiting["reviewer"]) == ("motorcycle", "ann")
    assert [entry["status"] for entry in waiting["history"]] == ["asked again"]
    workflow.states.gate.set()
    reruns.result(started)
    assert row(workflow, version=version)["run"] == 1


def test_the_question_names_whose_answer_is_taken_back(workflow, reruns, bucket, capsys):
    version = bucket.put_object(Key="a.jpg", Body=b"a").version_id
    put(workflow, "a.jpg", version, reviewed="motorcycle")

    rerun._show([reruns.of_picture(f"s3://{bucket.name}/a.jpg")], [])

    assert "LOW_CONFIDENCE; ann: motorcycle" in capsys.readouterr().out


def test_a_picture_with_two_rows_is_run_once(workflow, reruns, bucket):
    version = bucket.put_object(Key="a.jpg", Body=b"a").version_id
    put(workflow, "a.jpg", version)
    put(workflow, "a.jpg", "unknown", status="FAILED")
    workflow.states.gate.clear()

    started = [reruns.start(each) for each in [*reruns.of_rows(Selection())]]
    workflow.states.gate.set()

    assert len(started) == 2
    assert len({each.execution for each in started}) == 1
    assert reruns.result(started[0]) == "LOW_CONFIDENCE"
    assert len(workflow.states.inputs) == 1


def test_an_answer_that_is_newer_than_the_question_stays(workflow, reruns, bucket):
    version = bucket.put_object(Key="a.jpg", Body=b"a").version_id
    put(workflow, "a.jpg", version, reviewed="motorcycle")
    asked = reruns.of_picture(f"s3://{bucket.name}/a.jpg")
    again = row(workflow, version=version) | {"reviewed_at": "2026-11-20T14:00:00.000Z"}
    item = {name: {"N" if name == "run" else "S": str(value)} for name, value in again.items()}
    workflow.dynamodb.put_item(TableName=workflow.ledger.table, Item=item)
    workflow.states.mute = True

    workflow.wait(reruns.start(asked).execution)

    assert row(workflow, version=version) == again


def test_what_a_person_has_decided_since_is_not_tried_again_and_again(workflow, reruns):
    put(workflow, "a.jpg", "v1")
    (planned,) = reruns.of_rows(Selection())
    workflow.states.mute = True
    workflow.wait(reruns.start(planned).execution)
    put(workflow, "a.jpg", "v1", reviewed="motorcycle")

    started = reruns.start(planned)

    assert started.execution is None
    assert started.note == "ann has decided it since then: motorcycle."


def test_an_unknown_row_whose_object_is_gone_stays(workflow, reruns):
    """And the command says so."""
    put(workflow, "gone.jpg", "unknown", status="FAILED")

    (planned,) = reruns.of_rows(Selection())

    assert "gone.jpg cannot be read" in planned.obstacle
    assert reruns.start(planned).execution is None
    assert row(workflow, "gone.jpg", "unknown")["attention"] == "FAILED"


@pytest.fixture
def letters(deployment, monkeypatch):
    monkeypatch.setattr(dead_letters, "WAIT_SECONDS", 0)
    return DeadLetters(deployment)


@pytest.fixture
def drop(letters, event, bucket):
    """Puts an S3 event about an object into the trigger's dead-letter queue."""

    def send(key="a+b%20c.jpg", version="v1"):
        body = event("s3_object_created")
        body["detail"]["bucket"]["name"] = bucket.name
        body["detail"]["object"] |= {"key": key, "version-id": version}
        letters.sqs.send_message(
            QueueUrl=letters.deployment.trigger_dead_letters_url, MessageBody=json.dumps(body)
        )

    return send


def test_a_dead_event_becomes_an_execution_of_its_exact_key(workflow, reruns, letters, drop):
    drop()

    with letters:
        started = [reruns.start(reruns.of_event(letter)) for letter in letters.events()]

    assert reruns.result(started[0]) == "LOW_CONFIDENCE"
    assert row(workflow, "a+b%20c.jpg")["run"] == 0


@pytest.mark.parametrize("status", ["FAILED", "LOW_CONFIDENCE", "REJECTED", "ACCEPTED"])
def test_a_dead_event_is_superfluous_once_its_picture_was_decided(workflow, reruns, letters, drop, status):
    put(workflow, "a.jpg", "v1", run=5, status=status)
    drop("a.jpg")

    with letters:
        (started,) = [reruns.start(reruns.of_event(letter)) for letter in letters.events()]
    if started.execution:
        workflow.wait(started.execution)

    assert bool(started.execution) == (status == "FAILED")
    assert row(workflow)["run"] == (6 if started.execution else 5)


def test_a_dead_event_does_not_overrule_a_person(workflow, reruns, letters, drop):
    put(workflow, "a.jpg", "v1", status="FAILED", reviewed="motorcycle")
    drop("a.jpg")

    with letters:
        (started,) = [reruns.start(reruns.of_event(letter)) for letter in letters.events()]

    assert started.execution is None
    assert row(workflow)["reviewed_at"]


@pytest.mark.parametrize(
    "body", ["no json", "[]", '{"detail": {}}', '{"detail": {"object": {"key": 7}, "bucket": {"name": "b"}}}']
)
def test_a_message_that_is_not_an_event_is_an_obstacle(reruns, body):
    letter = DeadLetter("queue", "receipt", body if body == "no json" else json.loads(body), "now")

    assert reruns.start(reruns.of_event(letter)).note == "The message is not an S3 event."


@pytest.mark.parametrize(
    ("kept", "function"),
    [
        ({"check": "drift", "hours": 24, "time": "2026-11-28T12:00:00Z"}, "report_drift"),
        ({"category": "digest", "hours": 24, "time": "2026-11-28T12:00:00Z"}, "send_alert"),
    ],
)
def test_what_a_schedule_asked_for_is_asked_of_its_function_again(
    deployment, monkeypatch, service, kept, function
):
    monkeypatch.setattr(dead_letters, "WAIT_SECONDS", 0)
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", service.url)
    service.answers(body=b"{}")
    deployment.outputs["function_names"] = {name: f"x-{name}" for name in ("report_drift", "send_alert")}
    queue = deployment.alert_dead_letters_url
    with DeadLetters(deployment) as letters:
        letters.sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"requestPayload": kept}))

        [letter] = letters.alerts()
        letters.send_again(letter)

        assert not list(letters.alerts())
    [(_, path, _, body)] = service.requests
    assert f"/x-{function}/" in path
    assert json.loads(body) == kept


def test_what_was_received_and_not_removed_can_be_received_again(letters, drop):
    for number in range(12):
        drop(f"{number}.jpg")

    with letters:
        received = [*letters.events()]
        letters.remove(received[0])

    with letters:
        assert len([*letters.events()]) == 11


def test_an_interruption_gives_the_messages_back(letters, drop):
    drop()

    def interrupted():
        with letters:
            next(letters.events())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    with letters:
        assert len([*letters.events()]) == 1


def test_an_alert_that_the_workflow_kept_is_sent_as_it_is(event):
    kept = event("alert_low_confidence")

    assert alert(DeadLetter("queue", "receipt", kept, "later")) == kept


def test_an_alert_that_a_former_workflow_kept_is_not_lost(event):
    sent = event("alert_low_confidence")
    picture = {name: sent["picture"][name] for name in ("s3_bucket", "s3_key")}
    outcome = {"status": "LOW_CONFIDENCE", "s3_version_id": sent["picture"]["s3_version_id"], "won": True}
    outcome |= {name: sent[name] for name in ("label", "confidence", "threshold", "error", "reason")}
    kept = {
        "outcome": outcome,
        "picture": picture | {"s3_version_id": "", "run": 0},
        "execution": sent["execution"],
    }

    again = alert(
        DeadLetter("queue", "receipt", kept | {"alert_error": {"Error": "AlertUnavailable"}}, sent["time"])
    )

    assert again == sent


def test_an_alert_without_a_picture_that_a_former_workflow_kept_is_not_lost():
    kept = {"outcome": {"status": "FAILED", "error": "InvalidInput", "reason": "why"}, "execution": "arn"}
    kept["picture"] = {"s3_bucket": "", "s3_key": "", "s3_version_id": "", "run": 0}

    again = alert(DeadLetter("queue", "receipt", kept, "now"))

    assert (again["category"], again["error"], again["picture"]) == ("system", "InvalidInput", None)


def test_an_event_that_lambda_or_the_rule_kept_is_sent_as_it_is(event):
    aborted = event("execution_aborted")

    assert alert(DeadLetter("queue", "receipt", aborted, "now")) == aborted
    assert (
        alert(DeadLetter("queue", "receipt", {"version": "1.0", "requestPayload": aborted}, "now")) == aborted
    )
