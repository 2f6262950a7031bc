"""The main job: a picture goes in, a decision comes out, and doubt reaches a person."""

import json
from pathlib import Path
from typing import Any

from functions.common.inference_id import inference_id
from scripts.operations import prices
from scripts.workflow.client import Workflow
from training_scripts.synthetic import generator


def test_a_sure_picture_passes_with_its_label_and_nobody_is_alerted(workflow, bicycle, alerts_of):
    outcome = workflow.classify(str(bicycle))

    assert (outcome.status, outcome.label, outcome.execution_status) == ("ACCEPTED", "bicycle", "SUCCEEDED")
    assert outcome.confidence >= outcome.threshold
    assert alerts_of(outcome.execution) == []


def test_an_accepted_execution_returns_its_inferences(workflow, bicycle):
    outcome = workflow.classify(str(bicycle))

    output = json.loads(workflow.wait(outcome.execution)["output"])

    assert output["label"] == "bicycle"
    assert max(output["inferences"]) == output["confidence"]
    assert abs(sum(output["inferences"]) - 1) < 1e-3
    assert output["s3_version_id"] == outcome.version


def test_an_accepted_picture_passes_as_many_states_as_its_cost_counts(workflow, bicycle):
    outcome = workflow.classify(str(bicycle))

    history = workflow.states.get_execution_history(executionArn=outcome.execution, maxResults=1000)["events"]
    assert sum(event["type"].endswith("StateEntered") for event in history) == prices.TRANSITIONS


def test_a_doubtful_picture_fails_loudly_by_its_name(workflow, doubtful, alerts_of):
    outcome = workflow.classify(str(doubtful))

    assert (outcome.status, outcome.execution_status) == ("LOW_CONFIDENCE", "FAILED")
    assert outcome.error == "ThresholdConfidenceNotMet"
    assert outcome.confidence < outcome.threshold
    (alert,) = alerts_of(outcome.execution)
    assert alert["attributes"]["category"] == "low_confidence"
    assert "both.jpg" in alert["subject"]


def test_a_file_that_is_not_a_picture_is_rejected_by_name(workflow, tmp_path, alerts_of):
    path = tmp_path / "invoice.jpg"
    path.write_bytes(b"%PDF-1.7 not a picture")

    outcome = workflow.classify(str(path))

    assert (outcome.status, outcome.error, outcome.execution_status) == (
        "REJECTED",
        "ImageRejected",
        "FAILED",
    )
    (alert,) = alerts_of(outcome.execution)
    assert alert["attributes"]["category"] == "rejected"


def test_a_repeated_run_of_a_decided_picture_ends_quietly(workflow, doubtful, alerts_of):
    first = workflow.classify(str(doubtful))

    second = workflow.classify(first.uri)

    assert second.execution_status == "SUCCEEDED"
    assert second.status == "LOW_CONFIDENCE"
    assert alerts_of(second.execution) == []


def test_a_higher_run_decides_again_and_the_row_keeps_its_history(workflow, doubtful):
    first = workflow.classify(str(doubtful))
    picture = workflow.submit(first.uri)

    described = workflow.wait(workflow.start(picture, run=1))

    row = workflow.row(first.uri, first.version)
    assert described["status"] == "FAILED"
    assert row["run"] == 1
    assert [entry["run"] for entry in row["history"]] == [0, 1]


def test_the_ledger_has_the_whole_story_of_an_accepted_picture(workflow, bicycle):
    outcome = workflow.classify(str(bicycle))

    row = workflow.row(outcome.uri, outcome.version)

    assert row["status"] == "ACCEPTED"
    assert row["execution"] == outcome.execution
    assert row["image"]["width"] > 0
    assert row["image"]["format"] == "JPEG"
    assert row["model"]
    assert row["expiry"] > 1_700_000_000
    assert "attention" not in row


def captured(workflow: Workflow) -> dict[str, Any]:
    """The captured records by inference id."""
    bucket = workflow.deployment.bucket
    listed = workflow.s3.list_objects_v2(Bucket=bucket, Prefix="capture/").get("Contents", [])
    keys = [each["Key"] for each in listed if each["Key"].endswith(".jsonl")]
    bodies = [workflow.s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]
    records = [json.loads(line) for body in bodies for line in body.splitlines()]
    return {record["eventMetadata"].get("inferenceId"): record for record in records}


def test_what_the_endpoint_captured_can_be_traced_to_the_ledger(workflow, doubtful, eventually):
    picture = workflow.submit(str(doubtful))
    workflow.wait(workflow.start(picture, run=7))

    row = workflow.row(picture.uri, picture.s3_version_id)

    wanted = inference_id(picture.s3_bucket, picture.s3_key, picture.s3_version_id, 7)
    record = eventually(lambda: captured(workflow).get(wanted))
    inferences = json.loads(record["captureData"]["endpointOutput"]["data"])
    assert max(inferences) == row["confidence"]
    assert row["seconds"] > 0


def test_the_index_finds_what_needs_attention_until_resolved(workflow, doubtful):
    outcome = workflow.classify(str(doubtful))

    waiting = workflow.dynamodb.query(
        TableName=workflow.deployment.ledger_table,
        IndexName="attention",
        KeyConditionExpression="attention = :status",
        ExpressionAttributeValues={":status": {"S": "LOW_CONFIDENCE"}},
    )

    assert outcome.uri in {item["picture"]["S"] for item in waiting["Items"]}


def test_no_bytes_of_the_picture_are_left_after_classification(workflow: Workflow, bicycle: Path):
    outcome = workflow.classify(str(bicycle))

    history = workflow.states.get_execution_history(executionArn=outcome.execution, maxResults=1000)["events"]

    entered = [event["stateEnteredEventDetails"] for event in history if "stateEnteredEventDetails" in event]
    later = [details for details in entered if details["name"] not in ("SerializeImageData", "ClassifyImage")]
    assert [details["name"] for details in entered if "iVBOR" in details["input"]] == ["ClassifyImage"]
    assert not any("iVBOR" in details["input"] for details in later)


def test_a_photo_of_twelve_megapixels_passes(workflow, tmp_path):
    """Its own base64 would not fit between two states."""
    path = tmp_path / "photo.jpg"
    generator.draw("motorcycle", 3).resize((4000, 3000)).save(path, quality=95)
    assert path.stat().st_size > 190_000

    outcome = workflow.classify(str(path))

    assert (outcome.status, outcome.label) == ("ACCEPTED", "motorcycle")


def test_the_path_of_an_execution_can_be_read_state_by_state(workflow, bicycle):
    outcome = workflow.classify(str(bicycle))

    path = workflow.path(outcome.execution)

    assert [step.state for step in path] == [
        "NormaliseInput",
        "HasPicture",
        "ClassifyPicture",
        "SerializeImageData",
        "ClassifyImage",
        "FilterInferences",
        "RecordAccepted",
        "Decide",
        "Accepted",
    ]
    assert all(step.seconds >= 0 for step in path)


def test_a_failed_picture_is_taken_over_by_the_next_execution(workflow, bicycle):
    picture = workflow.submit(str(bicycle))
    failed = {"picture": {"S": picture.uri}, "version": {"S": picture.s3_version_id}, "run": {"N": "0"}}
    failed |= {"status": {"S": "FAILED"}, "execution": {"S": "an earlier one"}, "attention": {"S": "FAILED"}}
    failed |= {"time": {"S": "2026-01-01T00:00:00Z"}, "error": {"S": "EndpointUnavailable"}}
    workflow.dynamodb.put_item(TableName=workflow.deployment.ledger_table, Item=failed)

    outcome = workflow.classify(picture.uri)

    row = workflow.row(picture.uri, picture.s3_version_id)
    assert (row["status"], row["execution"]) == ("ACCEPTED", outcome.execution)
    assert not {"attention", "error"} & set(row)
