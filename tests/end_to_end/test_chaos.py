"""A short storm; `make chaos` is the long one."""

from scripts.local_stack import silent
from tests.performance import chaos


def test_in_a_storm_every_picture_keeps_one_row_one_reason_and_one_alert(stack, monkeypatch):
    monkeypatch.setattr(chaos, "KILL_SECONDS", 0.5)

    books = chaos.storm(stack, 60, silent)

    assert books.killed
    assert books.doubled
    assert all(books.struck.values())
    assert books.discrepancies == []
    assert books.settled["FAILED"] == 0


def test_the_books_name_what_does_not_agree():
    kept = {"picture": "s3://b/1.jpg", "status": "ACCEPTED", "history": [{"status": "ACCEPTED"}]}
    refused = {"picture": "s3://b/2.jpg", "status": "REJECTED", "history": [{"status": "REJECTED"}]}

    books = chaos.Books(4, 0, 0, {}, 1.0, [kept, kept, refused], chaos.Counter(), 0, chaos.Counter())

    assert books.discrepancies == [
        "4 pictures were sent and 2 are in the ledger.",
        "s3://b/1.jpg has 2 rows.",
        "s3://b/2.jpg was refused 1 times and alerted 0 times.",
        "s3://b/2.jpg is REJECTED without a reason.",
    ]
