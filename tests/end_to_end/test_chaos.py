"""A short storm; `make chaos` is the long one."""

import pytest

from scripts.common.progress import silent
from scripts.review import queue
from tests.performance.benchmarks import chaos
from tests.support.order import overruled


def test_in_a_storm_every_picture_keeps_one_row_one_reason_and_one_alert(stack, monkeypatch):
    monkeypatch.setattr(chaos, "KILL_SECONDS", 0.5)
    monkeypatch.setattr(queue, "FRESH_SECONDS", 0.0)

    books = chaos.storm(stack, 60, silent)

    assert books.killed
    assert books.doubled
    assert all(books.struck.values())
    assert books.answers
    assert books.overruled == 0
    assert books.discrepancies == []
    assert books.settled["FAILED"] == 0


def test_the_books_name_what_does_not_agree():
    kept = {"picture": "s3://b/1.jpg", "status": "ACCEPTED", "history": [{"status": "ACCEPTED"}]}
    refused = {"picture": "s3://b/2.jpg", "status": "REJECTED", "history": [{"status": "REJECTED"}]}

    books = chaos.Books(4, 0, 0, {}, 1.0, [kept, kept, refused], chaos.Counter(), 0, chaos.Counter(), 0, 7)

    assert books.discrepancies == [
        "4 pictures were sent and 2 are in the ledger.",
        "s3://b/1.jpg has 2 rows.",
        "s3://b/2.jpg was refused 1 times and alerted 0 times.",
        "s3://b/2.jpg is REJECTED without a reason.",
        "7 decisions gave way to lesser ones.",
    ]


ACCEPTED, DOUBT, FAILED = (
    {"status": status, "run": 1, "execution": "e"} for status in ("ACCEPTED", "LOW_CONFIDENCE", "FAILED")
)
ANSWER, UNDO = {"status": "reviewed", "time": "noon"}, {"status": "taken back", "time": "later"}


@pytest.mark.parametrize(
    ("history", "count"),
    [
        ([], 0),
        ([FAILED, ACCEPTED], 0),
        ([ACCEPTED, FAILED | {"run": 2}], 0),
        ([DOUBT, ANSWER, UNDO, ACCEPTED | {"run": 2}], 0),
        ([ACCEPTED, FAILED], 1),
        ([DOUBT, ACCEPTED], 1),
        ([FAILED, FAILED], 1),
        ([FAILED, ACCEPTED | {"run": 0}], 1),
        ([DOUBT, ANSWER, ACCEPTED | {"run": 2}], 1),
        ([FAILED, ANSWER, ACCEPTED, FAILED], 2),
    ],
)
def test_a_rows_history_shows_what_a_lesser_decision_replaced(history, count):
    assert overruled(history) == count
