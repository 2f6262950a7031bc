"""The drift check on the running stack: silent about a usual stream, one alert if it turns dark and blurred."""

import io
import itertools
import json
import re
import time
from typing import Any

import pytest
from PIL import Image

from scripts.common.paths import SHIPPED_MODEL
from scripts.workflow.client import Workflow
from scripts.workflow.ledger import Ledger
from scripts.workflow.stream import drawn
from tests.end_to_end.test_messages import golden, on_file
from tests.performance.benchmarks.drift_power import answered, blurred, dark
from training_scripts.evaluation.serving_client import serving_archive

# Long before anything that other tests decide.
SPRING, SUMMER = "2026-03-01", "2026-06-01"
BASELINE, WINDOW = 240, 60


def images(number: int, seed: int) -> list[Image.Image]:
    stream = itertools.islice(drawn(seed), number)
    return [Image.open(io.BytesIO(it.make())).convert("RGB") for it in stream]


def check(workflow: Workflow, until: str) -> dict[str, Any]:
    """What the function says about the day before a time."""
    answer = workflow.deployment.client("lambda").invoke(
        FunctionName=workflow.deployment.function_names["report_drift"],
        Qualifier="live",
        Payload=json.dumps({"check": "drift", "hours": 24, "time": until}),
    )
    told = json.load(answer["Payload"])
    assert "FunctionError" not in answer, told
    return told


@pytest.fixture
def usual_stream(workflow: Workflow) -> None:
    """Two days of usual pictures in the ledger, which is empty otherwise: read, measured and answered as in the chain."""
    ledger = Ledger(workflow.deployment)
    for row in list(ledger.all()):
        ledger.remove(row)
    with serving_archive(SHIPPED_MODEL) as (port, model):
        pictures = answered(images(BASELINE + WINDOW, 1), port, model["labels"])
    for number, each in enumerate(pictures):
        day = SPRING if number < BASELINE else SUMMER
        image = {name: {"N": str(value)} for name, value in each["image"].items()}
        texts = {"picture": f"s3://b/{number}.jpg", "version": "v", "time": f"{day}T12:00:00.000Z"}
        texts |= {"label": each["label"], "model": model["name"]}
        row = {name: {"S": text} for name, text in texts.items()}
        row |= {"confidence": {"N": str(each["confidence"])}, "image": {"M": image}}
        ledger.dynamodb.put_item(TableName=ledger.table, Item=row)


@pytest.mark.usefixtures("usual_stream")
def test_a_stream_that_turns_dark_alerts_within_one_window(scones, stack, workflow, tmp_path, eventually):
    made = scones("baseline", "--since", SPRING, "--until", SUMMER)
    assert made.exit_code == 0, made.stderr
    told = check(workflow, f"{SUMMER}T18:00:00Z")
    assert (told["verdict"], told["pictures"]) == ("unchanged", WINDOW)

    paths = [tmp_path / f"{number}.jpg" for number in range(WINDOW)]
    for path, image in zip(paths, images(WINDOW, 2), strict=True):
        blurred(dark(image)).save(path, quality=90)
    list(workflow.classify_all(map(str, paths), at_once=8))
    before = len(stack.outbox())
    time.sleep(1)  # a schedule gives its time in whole seconds, and looks back from there
    stack.fire("drift")

    # The alarm on the metric comes as well, at its own time (test_alarms.py).
    [message] = eventually(lambda: [it for it in stack.outbox()[before:] if "Shifted" in it["subject"]])
    assert message["attributes"]["category"] == "drift"
    reason = re.search(rf"Why: (Of {WINDOW} pictures in 24 hours: .*)", message["message"])[1]
    assert "median brightness" in reason
    error = re.search(r"\w+Shifted", message["subject"])[0]
    assert golden(message, reason=reason, error=error) == on_file("drift")


def test_a_baseline_of_too_few_pictures_is_refused(scones):
    result = scones("baseline", "--since", "2026-01-01", "--until", "2026-01-02")

    assert result.exit_code == 1
    assert "No model answered in that time" in result.stderr
