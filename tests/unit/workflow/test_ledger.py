"""Reading the ledger."""

from datetime import datetime, timedelta, timezone

import pytest

from scripts.workflow.ledger import Ledger, Selection, plain


@pytest.fixture
def ledger(deployment):
    return Ledger(deployment)


@pytest.fixture
def write(ledger):
    """Writes a row as the state machine would: rows that are not accepted wait for attention."""

    def put(key, status="FAILED", version="v1", time="2026-11-20T12:00:00.000Z", **texts):
        row = {"picture": f"s3://b/{key}", "version": version, "status": status, "time": time, **texts}
        row |= {"attention": status} if status != "ACCEPTED" else {}
        item = {name: {"S": text} for name, text in row.items()} | {"run": {"N": "0"}}
        ledger.dynamodb.put_item(TableName=ledger.table, Item=item)

    return put


def keys(rows):
    return {row["picture"].removeprefix("s3://b/") for row in rows}


def test_what_waits_is_everything_that_nobody_has_resolved(ledger, write):
    for status in ("ACCEPTED", "LOW_CONFIDENCE", "REJECTED", "FAILED"):
        write(status.lower(), status)

    assert keys(ledger.select(Selection())) == {"low_confidence", "rejected", "failed"}


@pytest.mark.parametrize("status", ["ACCEPTED", "LOW_CONFIDENCE", "REJECTED", "FAILED"])
def test_rows_are_chosen_by_status(ledger, write, status):
    for each in ("ACCEPTED", "LOW_CONFIDENCE", "REJECTED", "FAILED"):
        write(each, each)

    assert keys(ledger.select(Selection(status=status))) == {status}


@pytest.mark.parametrize("status", ["ACCEPTED", None])
def test_rows_are_chosen_by_error_and_model(ledger, write, status):
    write("one", status or "FAILED", error="Misconfigured", model="old")
    write("two", status or "FAILED", error="Misconfigured", model="new")
    write("three", status or "FAILED", error="ImageNotFound", model="old")

    assert keys(ledger.select(Selection(status, error="Misconfigured"))) == {"one", "two"}
    assert keys(ledger.select(Selection(status, model="old"))) == {"one", "three"}
    assert keys(ledger.select(Selection(status, error="Misconfigured", model="old"))) == {"one"}


@pytest.mark.parametrize("status", ["ACCEPTED", "REJECTED"])
def test_rows_are_chosen_by_time_to_the_millisecond_in_any_time_zone(ledger, write, status):
    write("before", status, time="2026-11-20T11:59:59.999Z")
    write("at", status, time="2026-11-20T12:00:00.000Z")
    write("after", status, time="2026-11-20T12:00:00.001Z")
    noon = datetime(2026, 11, 20, 14, tzinfo=timezone(timedelta(hours=2)))

    assert keys(ledger.select(Selection(status, since=noon))) == {"at", "after"}
    assert keys(ledger.select(Selection(status, until=noon))) == {"before", "at"}


def test_more_rows_are_read_at_once_than_one_request_may_name(ledger, write):
    for number in range(105):
        write(f"{number}")

    rows = ledger.rows((f"s3://b/{number}", "v1") for number in range(106))

    assert keys(rows) == {str(number) for number in range(105)}


def test_every_version_of_a_picture_has_its_own_row(ledger, write):
    for version in ("v1", "v2", "unknown"):
        write("one", version=version)
    write("one.jpg")

    assert {row["version"] for row in ledger.rows_of("s3://b/one")} == {"v1", "v2", "unknown"}


def test_a_picture_that_the_ledger_does_not_know_has_no_row(ledger):
    assert ledger.row("s3://b/nowhere", "v1") is None
    assert ledger.rows_of("s3://b/nowhere") == []


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ({"S": "7"}, "7"),
        ({"N": "7"}, 7),
        ({"N": "-7"}, -7),
        ({"N": "0.5"}, 0.5),
        ({"N": "1E-7"}, 1e-7),
        ({"NULL": True}, None),
        ({"BOOL": False}, False),
        ({"L": [{"N": "1"}, {"S": "a"}]}, [1, "a"]),
        ({"M": {"width": {"N": "32"}}}, {"width": 32}),
    ],
)
def test_a_dynamodb_value_becomes_a_plain_one(attribute, value):
    assert plain(attribute) == value
    assert type(plain(attribute)) is type(value)


def test_all_rows_are_those_that_wait_and_the_resolved_ones(ledger, write):
    for status in ("ACCEPTED", "LOW_CONFIDENCE", "REJECTED", "FAILED"):
        write(status.lower(), status)

    assert keys(ledger.all()) == {"accepted", "low_confidence", "rejected", "failed"}
