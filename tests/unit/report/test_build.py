"""From a deployment's bucket and ledger to a report."""

import captures
import pytest

from functions.common.inference_id import inference_id
from scripts.common.paths import SHIPPED_MODEL
from scripts.common.progress import silent
from scripts.report.build import LabelsWouldBeLost, NothingToShow, make
from scripts.report.records import Truths, read_truths
from training_scripts import artifact


@pytest.fixture
def report(deployment, tmp_path):
    def run(*places, truths=None, with_ledger=True):
        to = tmp_path / "report.html"
        return make(places, deployment, [], truths or Truths(), to, silent, with_ledger=with_ledger).figures

    return run


@pytest.fixture
def captured(deployment, tmp_path):
    def put(*records):
        path = captures.write(tmp_path / "captured", records)
        key = f"capture/{path.relative_to(tmp_path / 'captured').as_posix()}"
        deployment.client("s3").upload_file(str(path), deployment.bucket, key)

    return put


@pytest.fixture
def row(deployment):
    """Writes a row that the state machine decided."""

    def put(key, model="scones-test", **more):
        values = {"picture": f"s3://{deployment.bucket}/{key}", "version": "v1", "model": model}
        values |= {"status": "ACCEPTED", "label": "bicycle", "time": "2026-11-20T06:00:00.000Z"}
        numbers = {"run": 0, "confidence": 0.95, "threshold": 0.9, "seconds": 0.5}
        item = {name: {"S": text} for name, text in (values | more).items()}
        item |= {name: {"N": str(number)} for name, number in numbers.items()}
        deployment.client("dynamodb").put_item(TableName=deployment.ledger_table, Item=item)

    return put


def answer(deployment, key, number=0):
    identity = inference_id(deployment.bucket, key, "v1", 0)
    return captures.record(number, (0.95, 0.03, 0.02), inferenceId=identity)


def test_the_deployments_capture_and_ledger_are_read_by_default(deployment, report, captured, row):
    captured(answer(deployment, "incoming/a.png"), "not json")
    row("incoming/a.png")

    figures = report()

    assert figures["by_series"] == {"scones-test-classifier / primary / scones-test": 1}
    assert (figures["seconds"]["p50"], figures["broken"]) == (0.5, 1)


def test_where_nothing_was_captured_the_ledger_is_used_alone(report, row):
    row("incoming/a.png")

    assert report()["by_series"] == {"not captured / scones-test": 1}


def test_nothing_captured_and_no_row_is_said_so(report, captured):
    captured("not json")

    with pytest.raises(NothingToShow, match="1 broken lines"):
        report()


def test_answers_are_read_by_the_ledgers_model(deployment, report, captured, row, tmp_path):
    """The artifact of the model that the ledger names says what they mean."""
    description, network = artifact.read_archive(SHIPPED_MODEL)
    other = description | {"name": "other", "labels": ["bus", "train"], "classes_of_interest": ["bus"]}
    artifact.write(tmp_path / "other", other, network)
    archive = artifact.pack(tmp_path / "other")
    deployment.client("s3").upload_file(str(archive), deployment.bucket, "models/other/model.tar.gz")
    captured(captures.record(0, (0.2, 0.8)))
    row("incoming/a.png", model="other", label="bus")

    assert report()["by_class"] == {"train": 1, "bus": 1}


def test_labels_that_somebody_filled_in_are_not_written_over(report, captured, row, tmp_path):
    captured(*captures.stream(3))
    report()
    table = tmp_path / "report.csv"
    empty, filled = table.read_text("utf-8"), table.read_text("utf-8").splitlines()
    column = filled[0].split(",").index("truth")
    filled[1] = ",".join("bicycle" if n == column else cell for n, cell in enumerate(filled[1].split(",")))
    table.write_text("\n".join(filled) + "\n", "utf-8")

    with pytest.raises(LabelsWouldBeLost, match="has 1 labels"):
        report()
    assert table.read_text("utf-8") != empty

    assert report(truths=read_truths(table))["labelled"]["accuracy"]["count"] == 1
    assert len(read_truths(table).events) == 1
