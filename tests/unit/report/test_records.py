"""One record for each answer: captured data, ledger and labels brought together."""

import csv
import json
import subprocess
import sys
from datetime import UTC, datetime

import captures
import pytest
from PIL import Image
from typer.testing import CliRunner

from functions.common.inference_id import inference_id
from scripts.cli.app import app
from scripts.report import html
from scripts.report import records as report
from scripts.report.data_capture import Broken, read
from scripts.report.records import LabelsError, Truths

MODEL = {
    "name": "first",
    "labels": list(captures.LABELS),
    "classes_of_interest": ["bicycle", "motorcycle"],
    "threshold": 0.9,
}


def row(key="incoming/van-17.png", version="v1", run=0, **more):
    """A row of the ledger, accepted by the model `second` at a threshold of its own."""
    return {
        "picture": f"s3://pictures/{key}",
        "version": version,
        "run": run,
        "status": "ACCEPTED",
        "label": "bicycle",
        "confidence": 0.95,
        "threshold": 0.8,
        "model": "second",
        "time": "2026-11-20T06:00:01.500Z",
        "seconds": 1.5,
    } | more


def answer(number=0, probabilities=(0.95, 0.03, 0.02), key="incoming/van-17.png", version="v1", run=0):
    identity = inference_id("pictures", key, version, run)
    return captures.record(number, probabilities, inferenceId=identity)


@pytest.fixture
def joined(tmp_path):
    def join(records, rows=(), truths=None, descriptions=(MODEL,)):
        captures.write(tmp_path, records)
        found = read(str(tmp_path), lambda: None)
        return report.join(found, rows, descriptions, truths or Truths())

    return join


def test_an_answer_is_read_by_the_models_labels_and_threshold(joined):
    records = joined(
        [
            captures.record(0, (0.95, 0.03, 0.02)),
            captures.record(1, (0.03, 0.89, 0.08)),
            captures.record(2, (0.01, 0.01, 0.98)),
        ]
    ).records

    assert [(each.label, each.accepted) for each in records] == [
        ("bicycle", True),
        ("motorcycle", False),
        ("neither", False),
    ]


def test_the_ledger_gives_picture_model_threshold_and_time(joined):
    (found,) = joined([answer()], [row()]).records

    assert (found.picture, found.version, found.run) == ("s3://pictures/incoming/van-17.png", "v1", 0)
    assert (found.model, found.threshold, found.seconds) == ("second", 0.8, 1.5)
    assert found.series == "scones-test-classifier / primary / second"


def test_an_earlier_run_shares_only_the_picture_with_the_row(joined):
    first, second = joined([answer(0, run=0), answer(1, run=1)], [row(run=1)]).records

    assert first.picture == second.picture
    assert (first.threshold, first.seconds) == (0.9, None)
    assert (second.threshold, second.seconds) == (0.8, 1.5)


def test_a_row_without_captured_data_is_a_record(joined):
    found = joined([captures.record(0, (1, 0, 0))], [row(status="LOW_CONFIDENCE", confidence=0.6)])

    alone = next(each for each in found.records if each.endpoint == report.LEDGER_ALONE)
    assert (alone.label, alone.confidence, alone.accepted) == ("bicycle", 0.6, False)


def test_rows_without_an_answer_are_counted_by_their_status(joined):
    nothing = {"label": None, "confidence": None, "threshold": None, "model": None}
    rows = [
        row("a", status="REJECTED", **nothing),
        row("b", status="FAILED", **nothing),
        row("c", status="REJECTED", **nothing),
    ]

    found = joined([answer()], rows)

    assert found.unanswered == {"REJECTED": 2, "FAILED": 1}
    assert len(found.records) == 1


def test_a_line_that_was_copied_counts_once(joined):
    found = joined([answer(), answer(), answer(1)])

    assert (len(found.records), found.duplicates) == (2, 1)


def test_an_answer_of_a_model_that_nobody_knows_is_broken_not_guessed(joined):
    found = joined([captures.record(0, (0.5, 0.5)), answer(1)])

    assert len(found.records) == 1
    assert "--model" in found.broken[0].reason


def test_each_version_of_a_model_has_its_own_description(joined):
    second = MODEL | {"name": "second", "labels": ["motorcycle", "bicycle", "neither"], "threshold": 0.5}
    rows = [row(key="b", model="second", label="motorcycle", threshold=0.5)]

    found = joined([answer(0), answer(1, key="b")], rows, descriptions=(MODEL, second))

    assert [(each.label, each.model) for each in found.records] == [("bicycle", ""), ("motorcycle", "second")]
    assert found.records[1].probabilities[0] == ("motorcycle", 0.95)


def test_what_a_reviewer_said_is_the_truth_and_a_labels_file_outranks_it(joined, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("picture,truth\ns3://pictures/b,motorcycle\n")

    rows = [row(reviewed_label="neither"), row(key="b", reviewed_label="neither")]
    found = joined([answer(0), answer(1, key="b")], rows, report.read_truths(path))

    assert [each.truth for each in found.records] == ["neither", "motorcycle"]


def test_the_reports_own_csv_filled_in_is_a_labels_file(joined, tmp_path):
    records = [captures.record(number, (0.9, 0.06, 0.04)) for number in range(3)]
    report.write_csv(joined(records), tmp_path / "report.csv")
    with (tmp_path / "report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[1]["truth"] = "motorcycle"
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)

    truths = report.read_truths(tmp_path / "labels.csv")

    assert truths == Truths({"event-1": "motorcycle"})


@pytest.mark.parametrize("text", [b"", b"picture\ns3://a/b\n", b"truth\nbicycle\n", b"\xff\xfe"])
def test_a_labels_file_that_cannot_be_used_says_what_it_needs(tmp_path, text):
    (tmp_path / "labels.csv").write_bytes(text)

    with pytest.raises(LabelsError, match=r"labels\.csv"):
        report.read_truths(tmp_path / "labels.csv")


def test_the_csv_holds_no_formula(joined, tmp_path):
    hostile = captures.record(0, (1, 0, 0), eventId="=HYPERLINK(1)")
    report.write_csv(joined([hostile]), tmp_path / "report.csv")

    assert (tmp_path / "report.csv").read_text().splitlines()[1].startswith("'=HYPERLINK(1),2026-11-20")


def test_figures_of_labelled_records(joined):
    truths = Truths({f"event-{n}": "bicycle" if n < 8 else "fish" for n in range(10)})
    found = joined([captures.record(number, (0.9, 0.06, 0.04)) for number in range(10)], truths=truths)

    figures = report.figures(found)

    assert figures["labelled"]["accuracy"]["value"] == 0.8
    assert figures["labelled"]["calibration_error"] == pytest.approx(0.9 * 0.2 + 0.1 * 0.8)
    assert figures["unknown_truths"] == ["fish"]
    assert found.labels == ["bicycle", "motorcycle", "neither", "fish"]


@pytest.fixture
def scones():
    return lambda *arguments: CliRunner().invoke(app, ["report", *map(str, arguments)])


def test_the_command_writes_page_picture_and_table(scones, tmp_path):
    captures.write(tmp_path / "capture", [*captures.stream(20), "not json"])

    result = scones(tmp_path / "capture", "--to", tmp_path / "out" / "week.html", "--json")

    assert result.exit_code == 0, result.stderr
    figures = json.loads(result.stdout)
    assert (figures["records"], figures["broken"]) == (20, 1)
    assert (tmp_path / "out" / "week.html").read_text().startswith("<!doctype html>")
    assert Image.open(tmp_path / "out" / "week.png").size == (1320, 900)
    assert len((tmp_path / "out" / "week.csv").read_text().splitlines()) == 21


def test_no_other_verb_waits_for_matplotlib():
    code = "import sys, scripts.cli.app; sys.exit('matplotlib' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_nothing_but_broken_lines_is_an_error_that_says_so(scones, tmp_path):
    captures.write(tmp_path / "capture", ["not json", "nor this"])

    result = scones(tmp_path / "capture", "--to", tmp_path / "report.html")

    assert result.exit_code == 1
    assert "2 broken lines" in result.stderr
    assert not (tmp_path / "report.html").exists()


def test_broken_lines_are_shown_with_their_places(joined):
    found = joined(["not json", answer()])

    assert isinstance(found.broken[0], Broken)
    assert report.figures(found)["broken"] == 1
    assert found.records[0].time == datetime(2026, 11, 20, 6, 0, tzinfo=UTC)


def test_a_picture_that_ran_again_is_once_among_the_least_sure(tmp_path):
    runs = [
        captures.record(
            number, probabilities, inferenceId=inference_id("pictures", "incoming/van-17.png", "v1", number)
        )
        for number, probabilities in enumerate([(0.4, 0.3, 0.3), (0.6, 0.2, 0.2)])
    ]
    captures.write(tmp_path, runs)

    joined = report.join(read(str(tmp_path), lambda: None), [row(run=1, model="first")], [MODEL], Truths())

    page = html.render(joined, "t", "m")
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert len(data["records"]) == 2
    (shown,) = data["leastSure"]
    assert joined.records[shown["record"]].confidence == 0.6


def test_the_page_is_not_written_over_by_its_own_table():
    done = CliRunner().invoke(app, ["report", "--to", "week.csv"])

    assert done.exit_code == 2
    assert "is the page itself" in " ".join(done.output.split())
