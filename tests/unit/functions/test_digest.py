"""The digest: everything that waits in the ledger in one message."""

import dataclasses
import json
from collections import Counter

import pytest

from functions.common.errors import AlertUnavailable, Misconfigured
from functions.send_alert.handler import lambda_handler
from functions.send_alert.message import compose
from functions.send_alert.occurrence import understand
from functions.send_alert.waiting import Picture, Waiting, count_waiting
from scripts.workflow.ledger import Ledger

NOON = "2026-11-28T12:00:00Z"
DIGEST = {"category": "digest", "hours": 24, "time": NOON}


@pytest.fixture
def ledger(deployment):
    return Ledger(deployment)


@pytest.fixture
def write(ledger):
    """Writes rows as the state machine would, many at once."""

    def put(number, status="LOW_CONFIDENCE", time="2026-11-28T09:00:00.000Z", folder="incoming", **facts):
        numbers = {"confidence": facts.pop("confidence")} if "confidence" in facts else {}
        row = {"version": "v1", "status": status, "attention": status, "time": time, **facts}
        item = {name: {"S": text} for name, text in row.items()}
        item |= {name: {"N": str(value)} for name, value in numbers.items()}
        keys = [{"picture": {"S": f"s3://b/{folder}/{i}.jpg"}} for i in range(number)]
        for start in range(0, number, 25):
            requests = [{"PutRequest": {"Item": item | key}} for key in keys[start : start + 25]]
            ledger.dynamodb.batch_write_item(RequestItems={ledger.table: requests})

    return put


def test_a_burst_is_one_message_that_counts_every_picture(write, inbox, context):
    write(320, label="motorcycle", confidence=0.61, folder="burst-1")
    write(180, label="bicycle", confidence=0.55, folder="burst-2")

    lambda_handler(DIGEST, context)

    [received] = inbox()
    assert received["Subject"] == "[scones-test] 500 pictures wait, 500 new"
    assert '500 low confidence (motorcycle 320, bicycle 180): run "scones review"' in received["Message"]
    assert received["MessageAttributes"]["category"]["Value"] == "digest"


def test_what_came_while_a_digest_failed_is_in_the_next(write, ledger):
    write(7, time="2026-11-26T09:00:00.000Z", folder="told-by-none")
    write(2, time="2026-11-28T11:59:59.999Z", folder="new")

    waiting = count_waiting(ledger.dynamodb, ledger.table, since="2026-11-27T12:00:00.000")

    assert (waiting.total, waiting.new) == (9, 2)


def test_a_digest_that_is_sent_again_later_counts_the_same_hours(write, inbox, context):
    write(3, time="2026-11-27T12:00:00.001Z", folder="within")
    write(2, time="2026-11-27T11:59:59.999Z", folder="before")

    lambda_handler(DIGEST, context)

    assert inbox()[0]["Subject"] == "[scones-test] 5 pictures wait, 3 new"


def test_an_empty_digest_is_not_sent(write, inbox, context):
    assert lambda_handler(DIGEST, context) == {"message_id": None}
    assert inbox() == []


def test_a_picture_that_was_resolved_is_not_counted(write, ledger, inbox, context):
    write(2, label="bicycle", confidence=0.5)
    ledger.dynamodb.update_item(
        TableName=ledger.table,
        Key={"picture": {"S": "s3://b/incoming/0.jpg"}, "version": {"S": "v1"}},
        UpdateExpression="REMOVE attention",
    )

    lambda_handler(DIGEST, context)

    assert inbox()[0]["Subject"] == "[scones-test] 1 picture waits, 1 new"


def test_each_status_says_what_is_behind_it_and_what_to_do(write, inbox, context):
    write(2, "REJECTED", error="ImageRejected", folder="a")
    write(3, "FAILED", error="EndpointUnavailable", folder="b")
    write(1, "FAILED", error="States.Timeout", time="2026-11-01T00:00:00.000Z", folder="c")

    lambda_handler(DIGEST, context)

    text = inbox()[0]["Message"]
    assert "2 rejected (ImageRejected 2): ask for good copies" in text
    assert (
        "4 failed (EndpointUnavailable 3, States.Timeout 1): "
        'repair the cause, then run "scones rerun --status FAILED"' in text
    )
    assert "Waiting longest: 0.jpg, since 2026-11-01T00:00:00.000Z" in text
    assert "low confidence" not in text


def test_the_most_doubtful_pictures_are_named_first(write, ledger):
    for confidence in (0.9, 0.34, 0.71, 0.5):
        write(1, label="bicycle", confidence=confidence, folder=str(confidence))

    doubts = count_waiting(ledger.dynamodb, ledger.table, since="").doubts

    assert [doubt.confidence for doubt in doubts] == [0.34, 0.5, 0.71]


def test_whatever_waits_the_message_fits_a_phone():
    long = Picture("s3://b/" + "\u202e\n" + "x" * 1000, "y" * 500, "z" * 500, 0.5)
    counts = {
        status: {f"{'e' * 200}{number}": 10**9 for number in range(20)}
        for status in ("LOW_CONFIDENCE", "REJECTED", "FAILED")
    }
    waiting = Waiting({status: Counter(each) for status, each in counts.items()}, 5, long, [long] * 3)
    made = compose(
        dataclasses.replace(understand(DIGEST), waiting=waiting),
        "arn:aws:sns:us-east-1:123456789012:scones-test-alerts",
        "scones-test",
        "https://example.org/docs/operations.md",
    )

    assert len(made.subject) < 100
    assert made.subject.isascii()
    assert len(made.text) < 1000


@pytest.mark.parametrize(
    ("code", "named"),
    [("ProvisionedThroughputExceededException", AlertUnavailable), ("AccessDeniedException", Misconfigured)],
)
def test_a_ledger_that_cannot_be_read_has_a_name(monkeypatch, service, context, code, named):
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", service.url)
    service.answers(status=400, body=json.dumps({"__type": f"x#{code}", "message": "m"}).encode())

    with pytest.raises(named, match="Reading what waits in scones-test-ledger"):
        lambda_handler(DIGEST, context)
