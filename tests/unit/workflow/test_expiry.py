"""Which rows of the ledger DynamoDB may remove by itself: only those that nobody has to look at any more."""

import itertools
from datetime import datetime, timedelta

import pytest

from scripts.deployment.outputs import Deployment
from scripts.local_aws.stepfunctions.asl.jsonata import evaluate, to_jsonata
from scripts.policy.state_machine_rules import states as contained
from scripts.review.queue import Reviews
from scripts.workflow.ledger import Ledger, RetentionUnknown, Selection
from tests.support.definitions import filled
from tests.unit.conftest import BUCKET

DAYS = 90
NOW = datetime.fromisoformat("2026-11-20T12:00:00+00:00")
NOT_IN_A_DECADE = NOW + timedelta(days=3650)
IMAGE = {"width": 1, "height": 1, "bytes": 1, "format": "PNG", "sha256": "a"}
IMAGE |= {"brightness": 0.5, "contrast": 0.5, "sharpness": 0.5}


def writes():
    """Every state that writes a row, by its name, with the tokens that Terraform fills."""
    machine = filled("classify", ledger_table="scones-test-ledger", ledger_retention_days=str(DAYS))
    return {
        name: state
        for name, state, _ in contained(machine)
        if "updateItem" in state.get("Resource", "") and name != "CheckRowOwner"  # which changes nothing
    }


@pytest.fixture
def ledger(deployment):
    return Ledger(deployment)


@pytest.fixture
def record(ledger, bucket):
    """Writes a row by a state's own expressions; each time with the next run."""
    version = bucket.put_object(Key="incoming/a.jpg", Body=b"a").version_id
    runs = itertools.count()

    def write(name, status):
        run, time = next(runs), f"{NOW:%FT%T.000Z}"
        picture = {"s3_bucket": BUCKET, "s3_key": "incoming/a.jpg", "s3_version_id": version, "run": run}
        told = {
            "status": status,
            "error": "E",
            "reason": "R",
            "s3_version_id": version,
            "execution": f"{run}",
        }
        told |= {"label": "bicycle", "confidence": 0.5, "threshold": 0.9}
        names = {
            "states": {"input": told, "context": {"State": {"EnteredTime": time}}},
            "request": picture | {"execution": f"{run}"},
            "known": {"image": IMAGE, "model": "m"},
            "picture": picture,
            "outcome": told,
            "version": version,
            "startedAt": time,
        }
        arguments = evaluate(
            writes()[name]["Arguments"], {key: to_jsonata(it) for key, it in names.items()}, ""
        )
        ledger.dynamodb.update_item(**arguments)

    return write


def left(ledger, at):
    """The rows after DynamoDB's time to live has run: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html"""
    for row in [*ledger.all()]:
        if row.get("expiry", float("inf")) < at.timestamp():
            ledger.remove(row)
    return [*ledger.all()]


REFUSALS = [
    ("RecordFailure", "LOW_CONFIDENCE"),
    ("RecordFailure", "REJECTED"),
    ("RecordFailure", "FAILED"),
    ("RecordFault", "FAILED"),
]


def test_an_accepted_picture_expires_after_the_retention(ledger, record):
    record("RecordAccepted", "ACCEPTED")

    assert len(left(ledger, NOW + timedelta(days=DAYS - 1))) == 1
    assert left(ledger, NOW + timedelta(days=DAYS + 1)) == []


@pytest.mark.parametrize(("state", "status"), REFUSALS)
def test_what_waits_for_a_person_never_expires(ledger, record, state, status):
    record(state, status)

    (row,) = left(ledger, NOT_IN_A_DECADE)
    assert row["attention"] == status
    assert len([*ledger.select(Selection())]) == 1


@pytest.mark.parametrize(("state", "status"), REFUSALS)
def test_a_picture_that_a_rerun_refuses_stops_expiring(ledger, record, state, status):
    record("RecordAccepted", "ACCEPTED")
    record(state, status)

    assert len(left(ledger, NOT_IN_A_DECADE)) == 1


@pytest.mark.parametrize(("state", "status"), REFUSALS)
def test_a_rerun_that_accepts_lets_the_row_expire(ledger, record, state, status):
    record(state, status)
    record("RecordAccepted", "ACCEPTED")

    assert left(ledger, NOW + timedelta(days=DAYS + 1)) == []


def test_an_answer_lets_the_row_expire_and_taking_it_back_does_not(deployment, ledger, record):
    answered = NOW + timedelta(days=1000)
    record("RecordFailure", "LOW_CONFIDENCE")
    work = Reviews(deployment, "ann", lambda: answered)

    work.answer(work.take("page"), "bicycle", "page")
    (row,) = left(ledger, answered + timedelta(days=DAYS - 1))
    assert row["expiry"] == int((answered + timedelta(days=DAYS)).timestamp())
    work.undo("page")
    assert len(left(ledger, NOT_IN_A_DECADE)) == 1
    work.answer(work.take("page"), "bicycle", "page")

    assert left(ledger, answered + timedelta(days=DAYS + 1)) == []


def test_a_picture_that_is_asked_again_waits_without_an_expiry(deployment, ledger, record):
    record("RecordFailure", "LOW_CONFIDENCE")
    work = Reviews(deployment, "ann", lambda: NOW)
    work.answer(work.take("page"), "bicycle", "page")
    (row,) = left(ledger, NOW)

    Ledger(deployment).reopen({**row, "expiry": str(row["expiry"])})

    assert len(left(ledger, NOT_IN_A_DECADE)) == 1


def test_nobody_reviews_where_the_retention_is_unknown(deployment):
    outputs = {name: value for name, value in deployment.outputs.items() if name != "ledger_retention_days"}

    with pytest.raises(RetentionUnknown, match="terraform apply"):
        Reviews(Deployment(outputs, {}), "ann")


@pytest.mark.parametrize("state", sorted(writes()))
def test_a_row_has_either_attention_or_an_expiry(state):
    expression = writes()[state]["Arguments"]["UpdateExpression"]
    sets, _, removes = expression.partition(" REMOVE ")

    assert ("#attention = " in sets) == ("#expiry" in removes.split(", "))
    assert ("#expiry = " in sets) == ("#attention" in removes.split(", "))
