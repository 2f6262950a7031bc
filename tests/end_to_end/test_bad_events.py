"""Bad events: each ends in a named error and an alert, and nothing is lost."""

import json
from pathlib import Path

import pytest
from PIL import Image

EVENTS = Path(__file__).resolve().parent.parent / "events"

NAMES_NO_PICTURE = {
    "an empty object": {},
    "null": None,
    "a list": [{"s3_bucket": "b", "s3_key": "k"}],
    "a string": "picture.jpg",
    "a number": 7,
    "no bucket": {"s3_key": "incoming/van-17.jpg"},
    "no key": {"s3_bucket": "bucket"},
    "an empty bucket": {"s3_bucket": "", "s3_key": "incoming/van-17.jpg"},
    "an empty key": {"s3_bucket": "bucket", "s3_key": ""},
    "a bucket that is a number": {"s3_bucket": 7, "s3_key": "incoming/van-17.jpg"},
    "a key that is a list": {"s3_bucket": "bucket", "s3_key": ["incoming/van-17.jpg"]},
    "an event without its detail": {"detail-type": "Object Created"},
    "an event whose object is null": {
        "detail-type": "Object Created",
        "detail": {"bucket": {"name": "b"}, "object": None},
    },
}


@pytest.mark.parametrize("event", NAMES_NO_PICTURE.values(), ids=NAMES_NO_PICTURE)
def test_an_input_that_names_no_picture_is_invalid_and_alerts(event, execute, alerts_of):
    described = execute(event)

    assert (described["status"], described["error"]) == ("FAILED", "InvalidInput")
    (alert,) = alerts_of(described["executionArn"])
    assert alert["attributes"]["category"] == "system"


def test_a_foreign_bucket_is_refused_and_keeps_a_row(workflow, execute, alerts_of):
    described = execute({"s3_bucket": "somebody-elses", "s3_key": "incoming/van-17.jpg"})

    assert (described["status"], described["error"]) == ("FAILED", "InvalidInput")
    assert workflow.row("s3://somebody-elses/incoming/van-17.jpg", "unknown")["status"] == "FAILED"
    assert len(alerts_of(described["executionArn"])) == 1


def test_a_missing_object_is_named(workflow, execute, alerts_of):
    bucket = workflow.deployment.bucket

    described = execute({"s3_bucket": bucket, "s3_key": "incoming/never-was.jpg"})

    assert (described["status"], described["error"]) == ("FAILED", "ImageNotFound")
    assert workflow.row(f"s3://{bucket}/incoming/never-was.jpg", "unknown")["error"] == "ImageNotFound"
    assert len(alerts_of(described["executionArn"])) == 1


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _too_many_bytes(path: Path) -> None:
    path.write_bytes(b"\xff\xd8\xff" + bytes(10 * 1024 * 1024))


def _too_many_pixels(path: Path) -> None:
    Image.new("1", (10_000, 5_001)).save(path, format="PNG")


@pytest.mark.parametrize("make", [_empty, _too_many_bytes, _too_many_pixels])
def test_an_object_outside_the_limits_is_rejected(make, workflow, tmp_path, alerts_of):
    path = tmp_path / "odd.png"
    make(path)

    outcome = workflow.classify(str(path))

    assert (outcome.status, outcome.error) == ("REJECTED", "ImageRejected")
    assert len(alerts_of(outcome.execution)) == 1


def test_every_awkward_file_is_read_or_refused_as_its_table_says(workflow, shared_data, alerts_of):
    lines = (shared_data / "awkward" / "EXPECTED.csv").read_text(encoding="utf-8").splitlines()[1:]
    expected = {line.split(",")[0]: line.split(",")[1] for line in lines}
    names = sorted(expected)

    outcomes = dict(
        zip(names, workflow.classify_all(str(shared_data / "awkward" / name) for name in names), strict=True)
    )

    refused = {name for name, outcome in outcomes.items() if outcome.status == "REJECTED"}
    assert refused == {name for name, word in expected.items() if word == "refuse"}
    assert not [name for name, outcome in outcomes.items() if outcome.status == "FAILED"]
    assert all(outcomes[name].label for name in names if name not in refused)
    assert all(len(alerts_of(outcomes[name].execution)) == 1 for name in refused)


def test_fields_that_nobody_knows_are_ignored(workflow, bicycle, execute):
    picture = workflow.submit(str(bicycle))
    event = json.loads((EVENTS / "execution_input.json").read_text(encoding="utf-8"))
    event |= {
        "s3_bucket": picture.s3_bucket,
        "s3_key": picture.s3_key,
        "s3_version_id": picture.s3_version_id,
    }

    described = execute(event | {"colour": "red", "inferences": [0.1]})

    assert described["status"] == "SUCCEEDED"
