"""scones batch: many pictures, each with its row, and one message."""

import io
import json
import uuid
from dataclasses import replace
from typing import Any

import pytest

from scripts.operations.environment import LocalEnvironment
from scripts.workflow.batch import Batches
from training_scripts.synthetic import generator

GOOD = ["van-17.jpg", "a b.jpg", "a+b%20c.jpg", "quote'\"s.jpg", "line\nbreak.jpg", "Fahrräder 🚲.jpg"]
DOUBTFUL = ["moped-1.jpg", "moped-2.jpg"]
BROKEN = ["broken.jpg", "empty.jpg"]
GONE = ["never-uploaded.jpg"]


def jpeg(kind: str, seed: int) -> bytes:
    data = io.BytesIO()
    generator.draw(kind, seed).save(data, "JPEG", quality=90)
    return data.getvalue()


@pytest.fixture
def batches(workflow):
    return Batches(workflow)


@pytest.fixture
def put(workflow):
    """Puts an object outside of incoming/, where no event starts anything; returns its key and version."""
    folder = f"archive/{uuid.uuid4()}/"

    def put(name: str, data: bytes) -> tuple[str, str]:
        answer = workflow.s3.put_object(Bucket=workflow.deployment.bucket, Key=folder + name, Body=data)
        return folder + name, answer["VersionId"]

    return put


@pytest.fixture
def manifest(workflow, put, tmp_path):
    """A manifest of good, doubtful and broken pictures, and one that is not there."""
    contents = {name: jpeg("bicycle", 1) for name in GOOD}
    contents |= {name: jpeg("ambiguous", 1) for name in DOUBTFUL}
    contents |= {"broken.jpg": b"%PDF-1.7 no picture", "empty.jpg": b""}
    named = [put(name, data) for name, data in contents.items()]
    folder = named[0][0].rpartition("/")[0]
    named += [(f"{folder}/{name}", "") for name in GONE]
    path = tmp_path / "pictures.jsonl"
    lines = [json.dumps({"s3_key": key, "s3_version_id": version}) for key, version in named]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def answer(result: Any) -> dict[str, Any]:
    (line,) = result.stdout.splitlines()
    return json.loads(line)


def test_every_picture_of_a_manifest_has_its_row(scones, workflow, stack, manifest, alerts_of):
    """All of them have one message."""
    result = scones("batch", "--json", manifest)

    told = answer(result)
    assert result.exit_code == 4
    counts = {"accepted": 6, "low_confidence": 2, "rejected": 2, "failed": 1, "undecided": 0}
    assert {
        **counts,
        "pictures": 11,
        "errors": {"ImageNotFound": 1},
        "status": "SUCCEEDED",
    }.items() <= told.items()

    rows = {}
    for line in map(json.loads, manifest.read_text("utf-8").splitlines()):
        uri = f"s3://{workflow.deployment.bucket}/{line['s3_key']}"
        rows[uri.rsplit("/", 1)[-1]] = workflow.row(uri, line["s3_version_id"])
    assert {name: row["status"] for name, row in rows.items()} == {
        **dict.fromkeys(GOOD, "ACCEPTED"),
        **dict.fromkeys(DOUBTFUL, "LOW_CONFIDENCE"),
        **dict.fromkeys(BROKEN, "REJECTED"),
        **dict.fromkeys(GONE, "FAILED"),
    }
    assert {row["execution"] for row in rows.values()} == {told["execution"]}
    assert rows["never-uploaded.jpg"]["error"] == "ImageNotFound"

    (alert,) = alerts_of(told["execution"])
    assert alert["attributes"]["category"] == "batch"
    assert "6 of 11 accepted" in alert["subject"]
    assert "1 failed (ImageNotFound 1)" in alert["message"]
    folder = line["s3_key"].split("/")[1]
    assert not [message for message in stack.outbox() if folder in message["message"]]


def test_the_same_pictures_again_are_quiet_and_none_of_them_is_missing(scones, put, workflow, alerts_of):
    key, _ = put("moped.jpg", jpeg("ambiguous", 1))
    put("bicycle.jpg", jpeg("bicycle", 1))
    prefix = f"s3://{workflow.deployment.bucket}/{key.removesuffix('moped.jpg')}"
    first = scones("batch", prefix)

    again = answer(second := scones("batch", "--json", prefix))

    assert (first.exit_code, second.exit_code) == (3, 0)
    assert "low confidence" in first.stdout
    assert (again["decided_before"], again["accepted"], again["low_confidence"]) == (2, 0, 0)
    assert alerts_of(again["execution"]) == []
    nothing = scones("batch", "--missing", prefix)
    assert (nothing.exit_code, nothing.stdout) == (0, "Every picture has a row: nothing to do.\n")


def test_missing_classifies_what_has_no_row_and_nothing_else(scones, put, workflow):
    key, _ = put("1.jpg", jpeg("bicycle", 1))
    prefix = f"s3://{workflow.deployment.bucket}/{key.removesuffix('1.jpg')}"
    scones("batch", prefix)
    _, version = put("2.jpg", jpeg("motorcycle", 3))

    told = answer(scones("batch", "--missing", "--json", prefix))

    assert (told["pictures"], told["accepted"]) == (1, 1)
    assert workflow.row(f"{prefix}2.jpg", version)["execution"] == told["execution"]


def test_a_client_that_left_can_follow_the_batch_again_by_its_name_or_arn(scones, put, batches):
    key, _ = put("1.jpg", jpeg("bicycle", 1))
    started = batches.start(
        batches.pictures(f"s3://{batches.bucket}/{key.removesuffix('1.jpg')}"), lambda count: None
    )

    by_name = scones("batch", "--json", "--attach", started.name)
    by_arn = scones("batch", "--json", "--attach", started.execution)
    unknown = scones("batch", "--attach", "never-started")
    other_machine = scones("batch", "--attach", started.execution.replace("-batch:", "-classify:"))

    assert answer(by_name) == answer(by_arn)
    assert (by_name.exit_code, answer(by_name)["accepted"]) == (0, 1)
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert "There is no batch never-started" in unknown.stderr
    assert (other_machine.exit_code, other_machine.stdout) == (1, "")


def test_ctrl_c_leaves_the_batch_running_and_says_how_to_follow_it(scones, put, batches, monkeypatch):
    key, _ = put("1.jpg", jpeg("bicycle", 1))

    def interrupted(self, batch, report):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Batches, "wait", interrupted)
        result = scones("batch", f"s3://{batches.bucket}/{key.removesuffix('1.jpg')}")

    assert (result.exit_code, result.stdout) == (130, "")
    assert "The batch goes on" in result.stderr
    name = result.stderr.split("--attach ")[-1].strip()
    assert answer(scones("batch", "--json", "--attach", name))["accepted"] == 1


def test_a_batch_that_meets_a_system_fault_fails_loudly(scones, stack, put, workflow, alerts_of):
    """Its message has the counts."""
    keys = [put(f"{number}.jpg", jpeg("bicycle", 1))[0] for number in range(3)]
    prefix = f"s3://{workflow.deployment.bucket}/{keys[0].removesuffix('0.jpg')}"
    stack.inject(
        {"error": "AccessDeniedException", "status": 403}, service="sagemaker", operation="InvokeEndpoint"
    )
    try:
        result = scones("batch", "--json", prefix)
    finally:
        stack.heal()

    told = answer(result)
    assert (result.exit_code, told["status"]) == (4, "FAILED")
    assert (told["failed"], told["errors"]) == (3, {"Misconfigured": 3})
    assert "States.ExceedToleratedFailureThreshold" in result.stderr
    (alert,) = alerts_of(told["execution"])
    assert "FAILED (States.ExceedToleratedFailureThreshold)" in alert["subject"]
    assert answer(scones("batch", "--json", prefix))["accepted"] == 3


def test_a_stopped_batch_says_how_to_decide_the_rest(scones, stack, put, monkeypatch, eventually):
    """The rest includes pictures that have a row already."""
    key, version = put("1.jpg", jpeg("bicycle", 1))
    bucket = f"s3://{stack.deployment().bucket}"
    scones("batch", f"{bucket}/{key}")
    again, _ = put("again.jsonl", json.dumps({"s3_key": key, "s3_version_id": version, "run": 1}).encode())

    def interrupted(self, batch, report):
        raise KeyboardInterrupt

    stack.inject({"delay": 60}, service="sagemaker", operation="InvokeEndpoint")
    try:
        with monkeypatch.context() as patch:
            patch.setattr(Batches, "wait", interrupted)
            patch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
            stopped = scones("batch", f"{bucket}/{again}", input="y\n")
    finally:
        stack.heal()

    assert stopped.exit_code == 130
    remedy = stopped.stderr.split("The rest: scones ")[-1].strip()
    name = remedy.split("/")[-2]
    (alert,) = eventually(
        lambda: [
            message
            for message in stack.outbox()
            if name in message["message"] and "ABORTED" in message["subject"]
        ]
    )
    assert alert["attributes"]["category"] == "batch"
    assert f'run "scones {remedy}"' in alert["message"]
    rest = answer(scones("batch", "--json", *remedy.split()[1:]))
    assert (rest["accepted"], rest["undecided"], rest["decided_before"]) == (1, 0, 0)


def test_while_the_endpoint_is_off_missing_says_so_and_starts_nothing(scones, batches, monkeypatch):
    off = replace(
        batches.deployment,
        outputs={
            name: value for name, value in batches.deployment.outputs.items() if name != "endpoint_name"
        },
    )
    monkeypatch.setattr(LocalEnvironment, "deployment", lambda _: off)
    machine = batches.deployment.batch_state_machine_arn
    before = batches.states.list_executions(stateMachineArn=machine)["executions"]

    result = scones("batch", "--missing")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "The endpoint is off" in result.stderr
    assert batches.states.list_executions(stateMachineArn=machine)["executions"] == before


def test_a_broken_manifest_is_one_clear_line_and_nothing_is_started(scones, tmp_path):
    path = tmp_path / "pictures.csv"
    path.write_text("s3_key,s3_bucket\nincoming/a.jpg,\nincoming/b.jpg,elsewhere\n", encoding="utf-8")

    result = scones("batch", path)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "pictures.csv, line 3: the picture is in the bucket elsewhere" in result.stderr
