"""The state machine `batch`, run by the interpreter with functions and a ledger that the test controls.

With the real ones: tests/end_to_end/test_batches.py.
"""

import base64
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from PIL import Image

from functions.common.batch_results import count_outcomes
from functions.common.picture import encode_png
from functions.send_alert.occurrence import understand
from scripts.local_aws.core.errors import StatesError
from scripts.local_aws.stepfunctions.asl import state_context
from scripts.workflow.ledger import plain
from tests.local_aws.stepfunctions.harness import Harness, close_services
from tests.support import expressions
from tests.support.definitions import filled
from tests.unit.conftest import BUCKET

pytestmark = pytest.mark.usefixtures(close_services.__name__)

SURE, UNSURE = [0.987654321, 0.012345678, 0.000000001], [0.333333333, 0.333333333, 0.333333334]
# The step at which a picture of this name fails, and its error.
FAULTS = {
    "gone": ("serialize_image_data", "ImageNotFound"),
    "broken": ("serialize_image_data", "ImageRejected"),
    "unclassified": ("classify_image", "Misconfigured"),
    "unrecorded": ("ledger", "DynamoDB.AccessDeniedException"),
}


def definition(name: str) -> dict[str, Any]:
    return filled(
        name,
        alert_dead_letters_url="alert-dead-letters",
        batch_children="3",
        bucket=BUCKET,
        ledger_retention_days="7",
        ledger_table="ledger",
    )


class Deployment:
    """The services around the machine: a picture's name says what becomes of it.

    `items` are the ledger's; `failing` names functions that fail always.
    """

    def __init__(self, harness: Callable[..., Harness]) -> None:
        self.s3 = boto3.client("s3", region_name="us-east-1")
        self.harness = harness(self.call, self.s3)
        self.items: dict[str, dict[str, Any]] = {}
        self.alerts: list[dict[str, Any]] = []
        self.refused: list[dict[str, Any]] = []
        self.dead_letters: list[Any] = []
        self.failing: set[str] = set()
        self.image_data = "iVBORw0KGgo="
        self.lock = threading.Lock()
        self.in_flight = self.most_in_flight = 0
        self.seconds = 0.0

    def call(self, resource: str, arguments: dict[str, Any]) -> Any:
        with self.lock:
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        time.sleep(self.seconds)
        try:
            return self.perform(resource, arguments)
        finally:
            with self.lock:
                self.in_flight -= 1

    def perform(self, resource: str, arguments: dict[str, Any]) -> Any:
        match resource.rsplit(":", 2)[1:]:
            case ["lambda", "invoke"]:
                return {"Payload": self.invoke(arguments["FunctionName"], arguments["Payload"])}
            case ["dynamodb", "updateItem"]:
                return self.update(arguments)
            case ["dynamodb", "getItem"]:
                return {"Item": self.items[arguments["Key"]["picture"]["S"]]}
            case ["sqs", "sendMessage"]:
                self.dead_letters.append(arguments["MessageBody"])
                return {}
        raise AssertionError(resource)

    def invoke(self, function: str, payload: dict[str, Any]) -> Any:
        if function in self.failing:
            self.refused.append(payload)
            raise StatesError("Lambda.ServiceException", "down")
        kind = payload.get("s3_key", "").partition("-")[0]
        fault, error = FAULTS.get(kind, ("", ""))
        if function == "filter_inferences" and payload["inferences"] == UNSURE:
            fault, error = function, "ThresholdConfidenceNotMet"
        if function == fault:
            raise StatesError(error, json.dumps({"errorMessage": "refused", "errorType": error}))
        match function:
            case "serialize_image_data":
                image = {"width": 4000, "height": 3000, "bytes": 10**7, "format": "JPEG", "sha256": "a" * 64}
                image |= {"brightness": 0.5, "contrast": 0.123456, "sharpness": 0.123456}
                return payload | {"image_data": self.image_data, "image": image, "inferences": []}
            case "classify_image":
                return {
                    "inferences": UNSURE if kind == "doubtful" else SURE,
                    "model": "model-of-a-usual-name",
                }
            case "filter_inferences":
                return payload | {"label": "motorcycle", "confidence": 0.987654321, "threshold": 0.853}
        self.alerts.append(payload)
        return {"message_id": "m"}

    def update(self, arguments: dict[str, Any]) -> dict[str, Any]:
        picture = arguments["Key"]["picture"]["S"]
        if "/unrecorded" in picture:
            raise StatesError(FAULTS["unrecorded"][1], "no")
        names, values = arguments["ExpressionAttributeNames"], arguments["ExpressionAttributeValues"]
        with self.lock:
            item = self.items.get(picture, {})
            if not expressions.condition(arguments["ConditionExpression"], names)(item, values):
                raise StatesError(
                    "DynamoDB.ConditionalCheckFailedException", "The conditional request failed"
                )
            item = item or arguments["Key"]
            self.items[picture] = expressions.updated(arguments["UpdateExpression"], names, item, values)
        return {}

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """The ledger in plain values, by picture."""
        return {picture: plain({"M": item}) for picture, item in self.items.items()}

    def manifest(self, batch: str, names: list[str]) -> dict[str, Any]:
        """Writes the manifest; returns the execution's input."""
        lines = [
            json.dumps({"s3_bucket": BUCKET, "s3_key": name, "s3_version_id": "v" * 32, "run": 0})
            for name in names
        ]
        key = f"results/{batch}/pictures.jsonl"
        self.s3.put_object(Bucket=BUCKET, Key=key, Body="\n".join(lines).encode())
        return {"batch": batch, "pictures": len(names)}

    def run(self, names: list[str], batch: str = "one") -> dict[str, Any]:
        return self.harness.run(definition("batch"), self.manifest(batch, names))

    def outcomes(self, batch: str = "one") -> Counter[str]:
        return count_outcomes(self.s3, BUCKET, batch)


@pytest.fixture
def deployed(bucket: Any) -> Deployment:
    return Deployment(Harness)


def test_every_picture_gets_its_row_and_all_of_them_one_alert(deployed):
    names = [f"{kind}-{n}.jpg" for n in range(20) for kind in ("fine", "doubtful", "broken", "gone", "sure")]

    end = deployed.run(names)

    assert (end["status"], json.loads(end["output"])) == ("SUCCEEDED", {"batch": "one", "pictures": 100})
    assert Counter(row["status"] for row in deployed.rows.values()) == {
        "ACCEPTED": 40,
        "LOW_CONFIDENCE": 20,
        "REJECTED": 20,
        "FAILED": 20,
    }
    assert deployed.outcomes() == {
        "ACCEPTED": 40,
        "LOW_CONFIDENCE": 20,
        "REJECTED": 20,
        "ImageNotFound": 20,
    }
    (alert,) = deployed.alerts
    facts = {"category": "batch", "batch": "one", "pictures": 100, "error": ""}
    assert facts.items() <= alert.items()
    assert alert["execution"] == end["executionArn"]


def test_a_child_that_runs_twice_decides_the_same(deployed):
    """Rows name the batch, not the child, so the second run finds its own rows."""
    end = deployed.run(["fine-1.jpg"])

    assert deployed.rows[f"s3://{BUCKET}/fine-1.jpg"]["execution"] == end["executionArn"]


def test_a_child_that_runs_twice_takes_nothing_back(deployed):
    """And counts what the rows hold."""
    names = ["fine-1.jpg", "doubtful-1.jpg", "gone-1.jpg"]
    end = deployed.run(names)
    before = deployed.rows
    child = definition("batch")["States"]["ClassifyPictures"]["ItemProcessor"]
    child = {name: child[name] for name in ("StartAt", "States")} | {"QueryLanguage": "JSONata"}
    pictures = [{"s3_bucket": BUCKET, "s3_key": name, "s3_version_id": "v" * 32, "run": 0} for name in names]
    again = {"Items": pictures, "BatchInput": {"execution": end["executionArn"]}}

    deployed.failing = {"classify_image"}
    second = deployed.harness.run(child, again)

    assert deployed.rows == before
    assert json.loads(second["output"]) == {"ACCEPTED": 1, "LOW_CONFIDENCE": 1, "ImageNotFound": 1}


def test_what_a_person_answered_counts_as_decided_before(deployed):
    deployed.run(["gone-1.jpg"])
    (item,) = deployed.items.values()
    item["reviewed_at"] = {"S": "2026-11-20T12:00:00.000Z"}

    deployed.run(["gone-1.jpg"], "again")

    assert deployed.outcomes("again") == {"DECIDED_BEFORE": 1}


def test_pictures_of_another_batch_count_as_decided_before(deployed):
    deployed.run(["fine-1.jpg", "doubtful-1.jpg", "gone-1.jpg"])
    deployed.run(["fine-1.jpg", "doubtful-1.jpg", "gone-1.jpg"], "again")

    assert deployed.outcomes("again") == {"DECIDED_BEFORE": 2, "ImageNotFound": 1}


def test_a_picture_the_ledger_refuses_leaves_the_others_alone(deployed):
    end = deployed.run(["unrecorded-1.jpg", *(f"fine-{n}.jpg" for n in range(50))])

    assert end["status"] == "SUCCEEDED"
    assert deployed.outcomes() == {"ACCEPTED": 50, "UNRECORDED": 1}


def test_a_system_fault_stops_the_batch_with_one_alert(deployed):
    """The alert has the counts."""
    end = deployed.run([f"unclassified-{n}.jpg" for n in range(200)])

    assert (end["status"], end["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    (alert,) = deployed.alerts
    assert alert["error"] == "States.ExceedToleratedFailureThreshold"
    assert deployed.outcomes().keys() == {"Misconfigured"}
    assert deployed.outcomes()["Misconfigured"] == len(deployed.rows)


def test_pictures_that_have_vanished_stop_nothing(deployed):
    end = deployed.run([f"gone-{n}.jpg" for n in range(100)])

    assert end["status"] == "SUCCEEDED"
    assert deployed.outcomes() == {"ImageNotFound": 100}


def test_a_batch_without_its_manifest_alerts_and_fails(deployed):
    end = deployed.harness.run(definition("batch"), {"batch": "never-written", "pictures": 7})

    assert (end["status"], end["error"]) == ("FAILED", "States.ItemReaderFailed")
    assert [(alert["batch"], alert["pictures"]) for alert in deployed.alerts] == [("never-written", 7)]


def test_any_other_input_alerts_and_fails_by_its_name(deployed):
    inputs = [None, [], "x", {}, {"batch": 5, "pictures": 5}, {"batch": "../x", "pictures": 5}]
    inputs += [{"batch": "one", "pictures": 0}, {"batch": "one", "pictures": "5"}, {"batch": "one"}]

    for value in inputs:
        end = deployed.harness.run(definition("batch"), value)
        assert (end["status"], end["error"]) == ("FAILED", "InvalidInput"), value
    assert {alert["error"] for alert in deployed.alerts} == {"InvalidInput"}
    assert len(deployed.alerts) == len(inputs)


def test_a_summary_that_cannot_be_sent_is_kept_whole(deployed):
    """As it would have been sent."""
    deployed.failing = {"send_alert"}

    end = deployed.run(["fine-1.jpg"])

    assert end["status"] == "SUCCEEDED"
    (kept,) = deployed.dead_letters
    assert {"category": "batch", "batch": "one", "pictures": 1, "error": ""}.items() <= kept.items()
    assert deployed.refused == [kept] * 5


def test_an_alert_that_cannot_be_sent_is_kept_as_it_would_have_been_sent(deployed):
    """So it has the same `alert_id` however it is sent at last: docs/decisions/0016-alerts-at-least-once.md"""
    picture = {"s3_bucket": BUCKET, "s3_key": "doubtful-1.jpg", "s3_version_id": "v" * 32, "run": 0}
    deployed.failing = {"send_alert"}

    end = deployed.harness.run(definition("classify"), picture)

    assert (end["status"], end["error"]) == ("FAILED", "ThresholdConfidenceNotMet")
    (kept,) = deployed.dead_letters
    assert (kept["category"], kept["picture"]["s3_key"]) == ("low_confidence", "doubtful-1.jpg")
    assert deployed.refused == [kept] * 5
    assert understand(kept).execution == end["executionArn"]


def test_no_more_pictures_are_in_flight_than_children_times_eight(deployed):
    deployed.seconds = 0.005

    deployed.run([f"fine-{n}.jpg" for n in range(200)])

    assert 8 < deployed.most_in_flight <= 3 * 8


class Payloads:
    """The largest payload of each state, in bytes of UTF-8."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.largest: dict[str, int] = {}
        measured = state_context.StateContext.payload

        def payload(context: Any, value: Any, source: str) -> Any:
            made = measured(context, value, source)
            size = max(state_context.byte_length(made.text), state_context.byte_length(context.input.text))
            self.largest[context.name] = max(size, self.largest.get(context.name, 0))
            return made

        monkeypatch.setattr(state_context.StateContext, "payload", payload)

    def __str__(self) -> str:
        rows = sorted(self.largest.items(), key=lambda row: -row[1])
        return "\n".join(f"{name:<20} {size:>7,} bytes" for name, size in rows)


def noise(side: int) -> str:
    """The picture that no PNG can make smaller."""
    pixels = random.Random(1).randbytes(side * side * 3)  # noqa: S311 - reproducible on purpose
    return base64.b64encode(encode_png(Image.frombytes("RGB", (side, side), pixels))).decode()


@pytest.mark.parametrize("machine", ["classify", "batch"])
def test_no_state_carries_more_than_a_few_kilobytes_of_a_picture(deployed, monkeypatch, machine):
    """32 x 32 pixels of noise, as large as the PNG of any photo can become; 12 megapixels or a thumbnail alike."""
    deployed.image_data = noise(32)
    names = [f"incoming/2026/11/20/van-{n:06}.jpg" for n in range(40)]
    payloads = Payloads(monkeypatch)
    if machine == "batch":
        deployed.run(names)
    else:
        picture = {"s3_bucket": BUCKET, "s3_key": names[0], "s3_version_id": "v" * 32, "run": 0}
        deployed.harness.run(definition("classify"), picture)

    print(f"{machine}:\n{payloads}")
    assert max(payloads.largest.values()) < 16 * 1024


def test_the_longest_keys_and_largest_input_fit(deployed, monkeypatch):
    """AWS's limit is 256 KiB: 240 x 240 pixels is the largest input that Terraform takes, and JSON writes a control
    character in six bytes."""
    deployed.image_data = noise(240)
    payloads = Payloads(monkeypatch)

    end = deployed.run([f"{n:04}".ljust(1024, "\x01") for n in range(80)])

    print(payloads)
    assert end["status"] == "SUCCEEDED"
    assert deployed.outcomes() == {"ACCEPTED": 80}
    assert max(payloads.largest.values()) <= 256 * 1024
