"""scones classify, as a person and as a script use it."""

import json

from typer.testing import CliRunner

from scripts.cli.app import app


def test_an_accepted_picture_is_one_line_and_exit_code_0(scones, bicycle):
    result = scones("classify", bicycle)

    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    assert line.split()[:2] == ["bicycle.jpg", "bicycle"]
    assert "accepted" in line


def test_a_refused_picture_says_why_and_exits_with_3(scones, doubtful):
    result = scones("classify", doubtful)

    assert result.exit_code == 3
    assert "low confidence" in result.stdout
    assert "ThresholdConfidenceNotMet" in result.stdout


def test_json_is_one_object_a_line(scones, bicycle, doubtful):
    result = scones("classify", "--json", bicycle, doubtful)

    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["status"], second["status"]) == ("ACCEPTED", "LOW_CONFIDENCE")
    assert first["source"] == str(bicycle)


def test_path_shows_the_states_with_their_times(scones, bicycle):
    result = scones("classify", "--path", bicycle)

    assert "SerializeImageData" in result.stdout
    assert "RecordAccepted" in result.stdout


def test_an_object_in_the_bucket_needs_no_upload(scones, workflow, bicycle):
    picture = workflow.submit(str(bicycle))

    result = scones("classify", "--json", picture.uri)

    assert json.loads(result.stdout)["version"] == picture.s3_version_id


def test_a_testcase_is_an_execution_input_that_decides_again(scones, workflow, bicycle, execute):
    picture = workflow.upload(bicycle, "submitted/testcase")
    workflow.wait(workflow.start(picture))

    result = scones("testcase", "--prefix", "submitted/testcase/", "--pretty")
    described = execute(json.loads(result.stdout))

    row = workflow.row(picture.uri, picture.s3_version_id)
    assert (described["status"], row["run"], row["execution"]) == ("SUCCEEDED", 1, described["executionArn"])


def test_a_missing_file_is_one_clear_line(scones, tmp_path):
    result = scones("classify", tmp_path / "nowhere.jpg")

    assert result.exit_code == 1
    assert "nowhere.jpg cannot be read" in result.stderr


def test_without_a_stack_the_next_command_is_named(monkeypatch, tmp_path, bicycle):
    monkeypatch.setenv("SCONES_STACK_DIR", str(tmp_path / "none"))

    result = CliRunner().invoke(app, ["classify", str(bicycle)])

    assert result.exit_code == 1
    assert "scones up" in result.stderr


def test_cost_shows_idle_a_month_and_this_month_so_far(scones, workflow, bicycle):
    workflow.classify(str(bicycle))

    result = scones("cost", "--this-month", "--json")

    told = json.loads(result.stdout)
    assert 0 < told["idle_usd"] <= 3
    assert told["month_usd"] > 10 * told["idle_usd"]
    assert "Endpoint" in {line["item"] for line in told["lines"]}
    pictures, *_ = told["this_month"]
    assert int(pictures["formula"].split()[0].replace(",", "")) >= 1
    assert pictures["usd"] > 0


def test_doctor_finds_nothing_wrong_with_a_running_stack(scones):
    result = scones("doctor", "--json")

    assert result.exit_code == 0, result.stdout
    told = {check["what"]: check for check in json.loads(result.stdout)["checks"]}
    assert {"python", "terraform", "provider", "stack"} <= told.keys()
    assert "it runs at http://127.0.0.1" in told["stack"]["why"]
