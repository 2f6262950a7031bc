"""Each version of a picture has exactly one row, however its executions end."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from scripts.local_aws.core.errors import StatesError

from .table import FAILED, OTHERS_ROW
from .world import HANG, Case, Lost, Seen, World

UNKNOWN = {"status": {"S": "FAILED"}, "execution": {"S": "another"}, "attention": {"S": "FAILED"}}
REVIEWED = {
    "status": {"S": "FAILED"},
    "execution": {"S": "another"},
    "reviewed_label": {"S": "motorcycle"},
    "reviewed_at": {"S": "2026-11-20T12:00:00.000Z"},
}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Executions may take two seconds here."""
    running = World(seconds=2)
    yield running
    running.close()


@pytest.fixture
def play(world: World) -> Callable[[Case], Seen]:
    return lambda case: world.wait(world.start(case), case)


def test_an_execution_that_runs_out_of_time_leaves_its_row_and_alerts(
    play: Callable[[Case], Seen], tell: Callable[[str, str, str], None]
) -> None:
    tell(
        "An execution runs out of time",
        "`TIMED_OUT`, recorded by another",
        str(replace(FAILED, execution="TIMED_OUT")),
    )
    case = Case("too-slow", failures={"ClassifyImage": HANG})

    seen = play(case)

    assert seen.execution == "TIMED_OUT"
    assert case.alerts == ["system"]
    row = seen.rows["v1"]
    assert (row["status"], row["error"], row["attention"]) == ("FAILED", "TIMED_OUT", "FAILED")
    assert row["execution"].endswith(":too-slow")


def test_an_execution_that_somebody_stops_leaves_its_row_and_alerts(
    world: World, tell: Callable[[str, str, str], None]
) -> None:
    tell(
        "Somebody stops an execution",
        "`ABORTED`, recorded by another",
        str(replace(FAILED, execution="ABORTED")),
    )
    case = Case("stopped", failures={"ClassifyImage": HANG})
    execution = world.start(case)
    while not case.attempts["ClassifyImage"]:
        time.sleep(0.01)

    world.stop(execution)
    seen = world.wait(execution, case)

    assert (seen.execution, case.alerts) == ("ABORTED", ["system"])
    assert (seen.rows["v1"]["status"], seen.rows["v1"]["error"]) == ("FAILED", "ABORTED")


def test_a_stopped_duplicate_does_not_change_the_decision(play: Callable[[Case], Seen]) -> None:
    case = Case("stopped-duplicate", failures={"ClassifyImage": HANG}, row=OTHERS_ROW)

    seen = play(case)

    assert (seen.execution, case.alerts) == ("TIMED_OUT", [])
    assert (seen.rows["v1"]["status"], seen.rows["v1"]["execution"]) == ("ACCEPTED", "another")


def test_a_stop_while_alerting_keeps_the_decision(
    play: Callable[[Case], Seen],
) -> None:
    """And the alert is sent."""
    failures = {"FilterInferences": "ThresholdConfidenceNotMet", "SendAlert": HANG}
    case = Case("stopped-while-alerting", failures=failures)

    seen = play(case)

    assert (seen.execution, case.alerts) == ("TIMED_OUT", ["system"])
    row = seen.rows["v1"]
    assert (row["status"], row["label"], row["confidence"]) == ("LOW_CONFIDENCE", "bicycle", 0.5)
    assert [entry["status"] for entry in row["history"]] == ["LOW_CONFIDENCE"]


def test_a_stop_while_alerting_an_unknown_version_alerts(
    play: Callable[[Case], Seen],
) -> None:
    """Its row is that of the version that it has found out, which is not in its input."""
    failures = {"FilterInferences": "ThresholdConfidenceNotMet", "SendAlert": HANG}
    case = Case("versionless-stopped", failures=failures, given={"s3_version_id": ""})
    case.row, case.version = UNKNOWN, "unknown"

    seen = play(case)

    assert case.alerts == ["system"]
    assert seen.rows["v1"]["attention"] == "LOW_CONFIDENCE"


def test_a_row_that_disappears_does_not_silence_the_alert(
    world: World, play: Callable[[Case], Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever knew the version has removed it between the fault's record and the question whose row stands."""
    case = Case("gone-meanwhile", "reconcile", given={"s3_version_id": ""}, row=UNKNOWN, version="unknown")
    change = world.services["dynamodb:updateItem"]

    def update(case: Case, arguments: dict[str, Any]) -> Any:
        try:
            return change(case, arguments)
        except StatesError:
            world.remove(case)
            raise

    monkeypatch.setitem(world.services, "dynamodb:updateItem", update)

    seen = play(case)

    assert (seen.rows, case.alerts) == ({}, ["system"])


def test_a_late_event_does_not_write_over_the_failure_of_a_later_run(play: Callable[[Case], Seen]) -> None:
    failed = {"status": {"S": "FAILED"}, "execution": {"S": "another"}, "run": {"N": "3"}}
    case = Case("late", row=failed)

    seen = play(case)

    assert (seen.execution, case.alerts) == ("SUCCEEDED", [])
    assert (seen.rows["v1"]["status"], seen.rows["v1"]["run"]) == ("FAILED", 3)


@pytest.mark.parametrize("run", [0, 1])
@pytest.mark.parametrize(
    "failure",
    [{}, {"FilterInferences": "ThresholdConfidenceNotMet"}, {"RecordAccepted": "States.Runtime"}],
    ids=["accepted", "refused", "stopped"],
)
def test_no_execution_overrules_a_person(
    run: int, failure: dict[str, str], play: Callable[[Case], Seen]
) -> None:
    """A duplicate has the same run, a rerun that was asked for before the answer a higher one."""
    case = Case(f"reviewed-{run}-{len(str(failure))}", failures=failure, given={"run": run}, row=REVIEWED)

    seen = play(case)

    assert case.alerts == []
    row = seen.rows["v1"]
    assert (row["status"], row["run"], row["reviewed_label"]) == ("FAILED", 0, "motorcycle")
    assert "attention" not in row


def test_a_fault_of_a_later_run_keeps_nothing_of_the_earlier_decision(play: Callable[[Case], Seen]) -> None:
    decided = {"status": {"S": "LOW_CONFIDENCE"}, "label": {"S": "bicycle"}, "confidence": {"N": "0.4"}}
    decided |= {"execution": {"S": "another"}, "threshold": {"N": "0.9"}}
    case = Case("later-run", failures={"ClassifyImage": HANG}, given={"run": 1}, row=decided)

    row = play(case).rows["v1"]

    assert (row["status"], row["run"]) == ("FAILED", 1)
    assert not {"label", "confidence", "threshold"} & set(row)


@pytest.mark.parametrize("state", ["RecordAccepted", "RecordFailure"])
def test_a_record_whose_answer_got_lost_has_one_entry_of_history(
    state: str, play: Callable[[Case], Seen]
) -> None:
    failures = {state: Lost("DynamoDB.SdkClientException")}
    if state == "RecordFailure":
        failures["FilterInferences"] = "ThresholdConfidenceNotMet"
    case = Case(f"lost-{state}", failures=failures, once=state)

    row = play(case).rows["v1"]

    assert case.attempts[state] == 2
    assert [entry["status"] for entry in row["history"]] == [row["status"]]


def test_a_failed_row_is_taken_over_and_both_decisions_stay_in_its_history(
    play: Callable[[Case], Seen],
) -> None:
    entry = {"M": {"status": {"S": "FAILED"}, "run": {"N": "0"}}}
    failed = {"status": {"S": "FAILED"}, "execution": {"S": "another"}, "history": {"L": [entry]}}

    row = play(Case("taken-over", row=failed)).rows["v1"]

    assert [entry["status"] for entry in row["history"]] == ["FAILED", "ACCEPTED"]


def test_a_version_that_is_not_given_is_the_one_that_is_current(play: Callable[[Case], Seen]) -> None:
    seen = play(Case("versionless", given={"s3_version_id": ""}))

    assert (seen.execution, list(seen.rows)) == ("SUCCEEDED", ["v1"])


def test_a_row_of_an_unknown_version_gives_way_to_the_versions_own(play: Callable[[Case], Seen]) -> None:
    seen = play(Case("known-now", given={"s3_version_id": ""}, row=UNKNOWN, version="unknown"))

    assert {version: row["status"] for version, row in seen.rows.items()} == {"v1": "ACCEPTED"}


def test_an_unknown_row_stays_until_the_versions_row_is_there(world: World) -> None:
    failures = {"ClassifyImage": HANG}
    case = Case("in-sight", failures=failures, given={"s3_version_id": ""}, row=UNKNOWN, version="unknown")
    execution = world.start(case)
    while not case.attempts["ClassifyImage"]:
        time.sleep(0.01)

    assert list(world.rows(case)) == ["unknown"]
    world.stop(execution)
    assert world.wait(execution, case).rows["unknown"]["attention"] == "FAILED"


def test_an_unknown_row_that_a_person_has_answered_stays(play: Callable[[Case], Seen]) -> None:
    seen = play(Case("settled", given={"s3_version_id": ""}, row=REVIEWED, version="unknown"))

    assert {version: row["status"] for version, row in seen.rows.items()} == {
        "unknown": "FAILED",
        "v1": "ACCEPTED",
    }


def test_an_unknown_row_written_since_it_was_read_stays(
    world: World, play: Callable[[Case], Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be about a version that came after the one that this execution knows."""
    case = Case("written-again", given={"s3_version_id": ""}, row=UNKNOWN, version="unknown")

    def head(case: Case, _: dict[str, Any]) -> Any:
        world.put(case, UNKNOWN | {"execution": {"S": "a third"}})
        return {"VersionId": "v1"}

    monkeypatch.setitem(world.services, "aws-sdk:s3:headObject", head)

    seen = play(case)

    assert list(seen.rows) == ["unknown", "v1"]


def test_a_version_that_s3_cannot_name_is_unknown(play: Callable[[Case], Seen]) -> None:
    failures = {"ResolveVersion": "S3.NoSuchKeyException", "SerializeImageData": "ImageNotFound"}

    seen = play(Case("gone", failures=failures, given={"s3_version_id": ""}))

    assert {version: row["error"] for version, row in seen.rows.items()} == {"unknown": "ImageNotFound"}


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        ('{"errorMessage": "The object is gone; upload', '{"errorMessage": "The object is gone; upload'),
        ('{"errorMessage": "{1: 2}"}', "{1: 2}"),
        ('{"errorMessage": "{\\"reason\\": \\"cut sho"}', '{"reason": "cut sho'),
        ("[]", "[]"),
        ("", "ImageNotFound"),
    ],
)
def test_whatever_a_cause_looks_like_the_error_keeps_its_name(
    cause: str, reason: str, play: Callable[[Case], Seen]
) -> None:
    case = Case(f"odd-cause-{len(cause)}", failures={"SerializeImageData": "ImageNotFound"}, cause=cause)

    seen = play(case)

    assert (seen.error, case.alerts) == ("ImageNotFound", ["system"])
    assert (seen.rows["v1"]["error"], seen.rows["v1"]["cause"]) == ("ImageNotFound", reason)
