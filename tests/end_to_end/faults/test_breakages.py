"""Things break on the running stack: real functions, model, ledger and alerts, side by side."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from functions.common.inference_id import inference_id
from functions.common.labels import labels_hash
from scripts.operations.local_stack import LocalStack
from scripts.workflow.bucket_layout import Picture
from scripts.workflow.client import Workflow
from training_scripts.synthetic import generator

from .breakages import BREAKAGES, Breakage, Rule, failed
from .table import ACCEPTED, LOW, End

Tell = Callable[[str, str, str], None]

FOLDER = "submitted/faults"
LABELS_ATTRIBUTES = f"model=m;labels={labels_hash(['bicycle', 'motorcycle', 'neither'])}"


class Outcome(NamedTuple):
    """What became of one execution."""

    status: str
    error: str | None
    rows: list[dict[str, Any]]
    alerts: list[str]
    alert_ids: set[str]
    dead_letters: int


class Stage:
    """Puts pictures on the stack, breaks things around them and reads what became of them."""

    def __init__(self, stack: LocalStack, workflow: Workflow, folder: Any) -> None:
        self.stack, self.workflow = stack, workflow
        self.bodies = {}
        for kind, drawing in (("bicycle", "bicycle"), ("doubtful", "ambiguous")):
            path = folder / f"{kind}.jpg"
            generator.draw(drawing, 1).save(path, quality=90)
            self.bodies[kind] = path.read_bytes()

    def put(self, key: str, body: bytes | None = None) -> Picture:
        bucket = self.workflow.deployment.bucket
        body = self.bodies["bicycle"] if body is None else body
        version = self.workflow.s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]
        return Picture(bucket, key, version)

    def inject(self, rule: Rule, picture: Picture, execution: str) -> None:
        values = {
            "object": f"{picture.s3_bucket}/{picture.s3_key}",
            "key": picture.s3_key,
            "execution": execution,
            "inference": inference_id(**vars(picture), run=0),
            "attributes": LABELS_ATTRIBUTES,
        }
        filled = {
            name: value.format(**values) if isinstance(value, str) else value for name, value in rule.items()
        }
        if headers := filled["fault"].get("answer", {}).get("headers"):
            told = {name: value.format(**values) for name, value in headers.items()}
            filled["fault"] = {"answer": filled["fault"]["answer"] | {"headers": told}}
        self.stack.inject(**filled)

    def play(self, breakage: Breakage) -> str:
        """Starts the execution of a picture for which something is broken."""
        execution = f"{breakage.name[:40]}-{uuid.uuid4()}"
        picture = self.put(
            f"{FOLDER}/{breakage.name}.jpg", self.bodies["doubtful" if breakage.doubtful else "bicycle"]
        )
        for rule in breakage.rules:
            self.inject(rule, picture, execution)
        return self.workflow.start(picture, name=execution)

    def outcome(self, execution: str, dead_letters: list[str]) -> Outcome:
        described = self.workflow.wait(execution)
        given = json.loads(described["input"])
        name = execution.rpartition(":")[2]
        heard = [it["attributes"] for it in self.stack.outbox() if name in it["message"]]
        return Outcome(
            described["status"],
            described.get("error"),
            self.workflow.ledger.rows_of(f"s3://{given['s3_bucket']}/{given['s3_key']}"),
            [attributes["category"] for attributes in heard],
            {attributes["alert_id"] for attributes in heard},
            sum(name in letter for letter in dead_letters),
        )

    def dead_letters(self) -> list[str]:
        """Takes the alerts out of their dead-letter queue."""
        sqs, url = self.workflow.deployment.client("sqs"), self.workflow.deployment.alert_dead_letters_url
        taken = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                taken.append(message["Body"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return taken

    def clear(self) -> None:
        """Leaves no row that waits for a person to the tests that come later."""
        self.stack.heal()
        table = self.workflow.ledger.table
        pages = self.workflow.dynamodb.get_paginator("scan").paginate(
            TableName=table, ProjectionExpression="picture, version"
        )
        for item in [item for page in pages for item in page["Items"] if "/faults/" in item["picture"]["S"]]:
            self.workflow.dynamodb.delete_item(TableName=table, Key=item)


@pytest.fixture(scope="module")
def stage(stack: LocalStack, workflow: Workflow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    ready = Stage(stack, workflow, tmp_path_factory.mktemp("faults"))
    yield ready
    ready.clear()


def test_an_object_deleted_between_event_and_reading_is_not_found(stage: Stage, tell: Tell) -> None:
    tell("Object is deleted between event and reading", "`ImageNotFound`", str(failed("ImageNotFound")))
    picture = stage.put(f"{FOLDER}/deleted.jpg")
    stage.workflow.s3.delete_object(
        Bucket=picture.s3_bucket, Key=picture.s3_key, VersionId=picture.s3_version_id
    )

    outcome = stage.outcome(stage.workflow.start(picture), [])

    assert (outcome.status, outcome.error, outcome.alerts) == ("FAILED", "ImageNotFound", ["system"])
    assert [(row["version"], row["status"]) for row in outcome.rows] == [(picture.s3_version_id, "FAILED")]


def test_an_overwritten_object_is_read_as_the_event_named_it(stage: Stage, tell: Tell) -> None:
    tell("Object is overwritten between event and reading", "the event's version is read", str(ACCEPTED))
    picture = stage.put(f"{FOLDER}/overwritten.jpg")
    stage.put(picture.s3_key, b"no picture any more")

    outcome = stage.outcome(stage.workflow.start(picture), [])

    assert [(row["version"], row["status"]) for row in outcome.rows] == [(picture.s3_version_id, "ACCEPTED")]


@pytest.fixture(scope="module")
def outcomes(stage: Stage) -> dict[str, Outcome]:
    """All breakages at once: none may touch another's picture."""
    with ThreadPoolExecutor(8) as pool:
        executions = dict(
            zip([each.name for each in BREAKAGES], pool.map(stage.play, BREAKAGES), strict=True)
        )
    for execution in executions.values():
        stage.workflow.wait(execution)
    dead_letters = stage.dead_letters()
    return {name: stage.outcome(execution, dead_letters) for name, execution in executions.items()}


def check(outcome: Outcome, end: End) -> None:
    assert (outcome.status, outcome.error) == (end.execution, end.error)
    assert [(row["status"], row.get("attention")) for row in outcome.rows] == (
        [(end.row, end.row if end.attention else None)] if end.row else []
    )
    assert outcome.alerts == ([end.alert] * end.alerts if end.alert else [])
    assert len(outcome.alert_ids) == (1 if end.alert else 0)
    assert outcome.dead_letters == end.dead_letters
    assert all(len(row["history"]) == 1 for row in outcome.rows)


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda breakage: breakage.name)
def test_the_picture_ends_where_the_table_says(
    breakage: Breakage, outcomes: dict[str, Outcome], tell: Tell
) -> None:
    tell(*breakage.line())
    check(outcomes[breakage.name], breakage.end)


KEYS = {
    "a space, not a plus": ("a b.jpg", "a+b.jpg"),
    "a plus, not a space": ("c+d.jpg", "c d.jpg"),
    "%20, not a space": ("e%20f.jpg", "e f.jpg"),
    "quotes": ('"g\' \\".jpg', "g.jpg"),
    "a line break": ("h\ni.jpg", "h i.jpg"),
    "a bicycle sign": ("🚲.jpg", "?.jpg"),
    "composed letters": ("Fahrr\u00e4der.jpg", "Fahrra\u0308der.jpg"),
    "decomposed letters": ("Ra\u0308der.jpg", "R\u00e4der.jpg"),
    "a way out": ("j/../k.jpg", "k.jpg"),
    "braces and dollars": ("{{{% $k %}}}.jpg", "{% $k %}.jpg"),
    "1,024 bytes": ("\u00e4" * 496 + ".jpg", "\u00e4" * 495 + "a.jpg"),
}


@pytest.mark.parametrize("name", KEYS)
def test_whatever_a_key_looks_like_exactly_its_object_is_read(
    name: str, stage: Stage, eventually: Callable[..., Any], tell: Tell
) -> None:
    """Its double, which careless decoding would read instead, is not a picture; the bucket's events announce both."""
    tell(f"Key has {name}", "exactly this object is read", str(ACCEPTED))
    key, double = (f"incoming/faults/{each}" for each in KEYS[name])
    if name == "1,024 bytes":
        key += "x" * (1024 - len(key.encode()))
    pictures = stage.put(double, b"not a picture"), stage.put(key)

    rows = [
        eventually(lambda picture=picture: stage.workflow.row(picture.uri, picture.s3_version_id))
        for picture in pictures
    ]

    assert [row["status"] for row in rows] == ["REJECTED", "ACCEPTED"]


@pytest.mark.parametrize("at_once", [2, 10])
def test_the_same_event_many_times_at_once_is_decided_and_alerted_once(
    at_once: int, stage: Stage, tell: Tell
) -> None:
    tell(
        f"The same event comes {at_once} times at once",
        "one execution decides, the others end quietly",
        str(LOW),
    )
    picture = stage.put(f"{FOLDER}/{at_once}-times.jpg", stage.bodies["doubtful"])

    with ThreadPoolExecutor(at_once) as pool:
        executions = list(pool.map(lambda _: stage.workflow.start(picture), range(at_once)))

    outcomes = [stage.outcome(execution, []) for execution in executions]
    assert sorted(outcome.status for outcome in outcomes) == ["FAILED", *["SUCCEEDED"] * (at_once - 1)]
    assert [alert for outcome in outcomes for alert in outcome.alerts] == ["low_confidence"]
    (row,) = outcomes[0].rows
    assert len(row["history"]) == 1


def test_a_deployment_in_the_middle_of_a_run_is_not_noticed(
    stage: Stage, stack: LocalStack, workflow: Workflow, tell: Tell
) -> None:
    """New code behind the alias and a new server behind the endpoint, while a picture is between two states."""
    tell("A deployment in the middle of a run", "nothing to be noticed", str(ACCEPTED))
    deployment, execution = workflow.deployment, f"deployment-{uuid.uuid4()}"
    functions, sagemaker = deployment.client("lambda"), deployment.client("sagemaker")
    name = deployment.function_names["classify_image"]
    live = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    before = functions.get_function_configuration(FunctionName=name)["Environment"]
    stack.inject({"delay": 60}, service="lambda", resource=name, contains=execution, first=1)
    arn = workflow.start(stage.put(f"{FOLDER}/deployment.jpg"), name=execution)
    while not [step for step in workflow.path(arn) if step.state == "SerializeImageData"]:
        time.sleep(0.05)

    changed = {"Variables": before["Variables"] | {"DEPLOYMENT": "the next one"}}
    functions.update_function_configuration(FunctionName=name, Environment=changed)
    version = functions.publish_version(FunctionName=name)["Version"]
    functions.update_alias(FunctionName=name, Name="live", FunctionVersion=version)
    (endpoint,) = sagemaker.list_endpoints()["Endpoints"]
    config = sagemaker.describe_endpoint(EndpointName=endpoint["EndpointName"])["EndpointConfigName"]
    sagemaker.update_endpoint(EndpointName=endpoint["EndpointName"], EndpointConfigName=config)
    stack.heal()
    try:
        outcome = stage.outcome(arn, [])
        assert version != live
        assert (outcome.status, [row["status"] for row in outcome.rows]) == ("SUCCEEDED", ["ACCEPTED"])
    finally:
        functions.update_alias(FunctionName=name, Name="live", FunctionVersion=live)
        functions.update_function_configuration(FunctionName=name, Environment=before)
        functions.delete_function(FunctionName=name, Qualifier=version)
        while (
            sagemaker.describe_endpoint(EndpointName=endpoint["EndpointName"])["EndpointStatus"]
            != "InService"
        ):
            time.sleep(0.1)
