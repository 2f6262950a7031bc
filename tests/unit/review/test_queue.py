"""People label what waits, several at once, and nothing is lost or done twice."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from functions.common.inference_id import picture_hash
from scripts.review import queue
from scripts.review.queue import LEASE, NothingReviewed, NotYours, Reviews
from scripts.workflow import bucket_layout
from scripts.workflow.ledger import UNUSABLE

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.time = NOON

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def review(deployment, clock, monkeypatch):
    """A reviewer's command, on a list that is always fresh."""
    monkeypatch.setattr(queue, "FRESH_SECONDS", -1.0)
    return lambda reviewer="ann": Reviews(deployment, reviewer, clock)


@pytest.fixture
def waits(deployment, bucket):
    """Stores a picture and its waiting row."""

    def put(name, confidence=0.6, status="LOW_CONFIDENCE"):
        key = f"incoming/{name}"
        version = bucket.put_object(Key=key, Body=name.encode()).version_id
        item = {"picture": f"s3://{bucket.name}/{key}", "version": version, "status": status}
        item |= {"attention": status, "time": "2026-11-20T11:00:00.000Z", "label": "bicycle"}
        values = {name: {"S": text} for name, text in item.items()} | {"run": {"N": "0"}}
        values |= (
            {} if confidence is None else {"confidence": {"N": str(confidence)}, "threshold": {"N": "0.9"}}
        )
        deployment.client("dynamodb").put_item(TableName=deployment.ledger_table, Item=values)
        return item["picture"], version

    return put


def names(bucket, prefix="reviewed/"):
    return sorted(each.key for each in bucket.objects.filter(Prefix=prefix))


def test_the_biggest_doubt_comes_first_and_what_was_never_answered_last(review, waits):
    waits("sure.png", 0.8)
    waits("broken.png", None, "REJECTED")
    waits("doubtful.png", 0.4)

    work, seen = review(), []
    while item := work.take("page"):
        seen.append(item.row["picture"].rsplit("/", 1)[-1])
        work.answer(item, UNUSABLE, "page")

    assert seen == ["doubtful.png", "sure.png", "broken.png"]


def test_an_answer_resolves_the_row_with_who_what_and_when(review, waits, bucket):
    uri, version = waits("a.png")
    work = review("ann")

    work.answer(work.take("page"), "motorcycle", "page")

    row = work._ledger.row(uri, version)
    assert (row["reviewed_label"], row["reviewer"], row["reviewed_at"]) == (
        "motorcycle",
        "ann",
        "2026-11-20T12:00:00.000Z",
    )
    assert "attention" not in row
    assert row["history"] == [
        {"status": "reviewed", "reviewer": "ann", "label": "motorcycle", "time": "2026-11-20T12:00:00.000Z"}
    ]
    assert row["status"] == "LOW_CONFIDENCE"  # what the model decided stays what it was
    assert work.take("page") is None
    assert work.progress() == {"waiting": 0, "answered": 1}


def test_the_very_version_that_was_judged_joins_its_class_in_the_bucket(review, waits, bucket):
    _uri, version = waits("a.png")
    bucket.put_object(Key="incoming/a.png", Body=b"another picture of the same name")
    work = review()

    work.answer(work.take("page"), "motorcycle", "page")

    (key,) = names(bucket)
    assert key == f"reviewed/motorcycle/{picture_hash(bucket.name, 'incoming/a.png', version)}.png"
    assert bucket.Object(key).get()["Body"].read() == b"a.png"


def test_what_shows_nothing_is_resolved_and_joins_no_class(review, waits, bucket):
    waits("a.png")
    work = review()

    work.answer(work.take("page"), UNUSABLE, "page")

    assert names(bucket) == []
    assert work.take("page") is None


def test_a_label_of_no_model_is_refused_and_the_row_waits_on(review, waits, bucket):
    waits("a.png")
    work = review()
    item = work.take("page")

    with pytest.raises(ValueError, match="fish"):
        work.answer(item, "fish", "page")

    assert work.take("page").identity == item.identity
    assert names(bucket) == []


def test_two_people_are_never_shown_the_same(review, waits):
    for number in range(3):
        waits(f"{number}.png", 0.5 + number / 10)
    ann, ben = review("ann"), review("ben")

    shown = [ann.take("a").identity, ben.take("b").identity, ann.take("c").identity]

    assert len(set(shown)) == 3
    assert ben.take("d") is None


def test_a_page_keeps_its_picture_after_a_reload(review, waits):
    waits("a.png")
    work = review()

    assert work.take("page").identity == work.take("page").identity


@pytest.fixture
def atomic(monkeypatch):
    """moto checks a condition and then writes; DynamoDB does both at once."""
    lock, call = threading.Lock(), BaseClient._make_api_call

    def one_at_a_time(client, *arguments):
        with lock:
            return call(client, *arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", one_at_a_time)


@pytest.mark.usefixtures("atomic")
def test_many_pages_at_once_do_no_work_twice(review, waits):
    for number in range(6):
        waits(f"{number}.png", 0.5 + number / 100)

    def person(name):
        work, done = review(name), []
        while item := work.take(name):
            work.answer(item, "bicycle", name)
            done.append(item.identity)
        return done

    with ThreadPoolExecutor(3) as people:
        done = [identity for each in people.map(person, "abc") for identity in each]

    assert len(done) == len(set(done)) == 6


def test_a_page_that_was_closed_gives_its_picture_back_after_the_lease(review, waits, clock):
    waits("a.png")
    ann, ben = review("ann"), review("ben")
    closed = ann.take("a")

    assert ben.take("b") is None
    clock.time += LEASE + timedelta(seconds=1)
    assert ben.take("b").identity == closed.identity


def test_an_answer_after_somebody_elses_does_not_count(review, waits, clock, bucket):
    uri, version = waits("a.png")
    ann, ben = review("ann"), review("ben")
    late = ann.take("a")
    clock.time += LEASE + timedelta(seconds=1)
    ben.answer(ben.take("b"), "motorcycle", "b")

    with pytest.raises(NotYours):
        ann.answer(late, "bicycle", "a")

    assert ann._ledger.row(uri, version)["reviewed_label"] == "motorcycle"
    assert [key.split("/")[1] for key in names(bucket)] == ["motorcycle"]


@pytest.fixture
def rerun(deployment):
    """A rerun that accepts the picture, as the state machine records it."""

    def accept(uri, version):
        deployment.client("dynamodb").update_item(
            TableName=deployment.ledger_table,
            Key={"picture": {"S": uri}, "version": {"S": version}},
            UpdateExpression="SET #status = :accepted REMOVE attention",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":accepted": {"S": "ACCEPTED"}},
        )

    return accept


def test_an_answer_after_a_rerun_accepted_the_picture_does_not_count(review, waits, rerun, bucket):
    uri, version = waits("a.png")
    work = review()
    item = work.take("page")
    rerun(uri, version)

    with pytest.raises(NotYours, match="rerun"):
        work.answer(item, "bicycle", "page")
    assert names(bucket) == []


def test_an_answer_that_a_rerun_overtakes_leaves_no_labelled_copy(review, waits, rerun, bucket):
    uri, version = waits("a.png")
    work = review()
    item = work.take("page")
    work._s3.meta.events.register("after-call.s3.CopyObject", lambda **_: rerun(uri, version))

    with pytest.raises(NotYours, match="rerun"):
        work.answer(item, "bicycle", "page")
    assert names(bucket) == []


def test_an_overtaken_answer_leaves_the_copy_that_counts(review, waits, clock, bucket):
    uri, version = waits("a.png")
    ann, ben = review("ann"), review("ben")
    late, events = ann.take("a"), ann._s3.meta.events

    def overtake(**_):
        events.unregister("before-call.s3.CopyObject", overtake)
        clock.time += LEASE + timedelta(seconds=1)
        ben.answer(ben.take("b"), "motorcycle", "b")

    events.register("before-call.s3.CopyObject", overtake)

    with pytest.raises(NotYours):
        ann.answer(late, "bicycle", "a")

    assert ann._ledger.row(uri, version)["reviewed_label"] == "motorcycle"
    assert [key.split("/")[1] for key in names(bucket)] == ["motorcycle"]


def test_an_answer_that_the_client_sends_twice_counts_once(review, waits, bucket, monkeypatch):
    """The first was written and its confirmation lost."""
    uri, version = waits("a.png")
    work = review()
    item, update = work.take("page"), work._ledger.dynamodb.update_item

    def twice(**request):
        update(**request)
        return update(**request)

    monkeypatch.setattr(work._ledger.dynamodb, "update_item", twice)
    work.answer(item, "motorcycle", "page")

    assert work._ledger.row(uri, version)["reviewed_label"] == "motorcycle"
    assert len(work._ledger.row(uri, version)["history"]) == 1
    assert [key.split("/")[1] for key in names(bucket)] == ["motorcycle"]
    assert work.progress()["answered"] == 1


def test_undo_makes_the_last_answer_undone_and_shows_the_picture_again(review, waits, bucket):
    uri, version = waits("a.png", 0.5)
    waits("b.png", 0.6)
    work = review()
    first = work.take("page")
    work.answer(first, "bicycle", "page")

    again = work.undo("page")

    row = work._ledger.row(uri, version)
    assert again.identity == first.identity == work.take("page").identity
    assert row["attention"] == "LOW_CONFIDENCE"
    assert not {"reviewed_label", "reviewer", "reviewed_at"} & set(row)
    assert [entry["status"] for entry in row["history"]] == ["reviewed", "taken back"]
    assert names(bucket) == []
    work.answer(again, "motorcycle", "page")
    assert [key.split("/")[1] for key in names(bucket)] == ["motorcycle"]


def test_undo_leaves_alone_what_a_rerun_has_accepted_since(review, waits, rerun, bucket):
    uri, version = waits("a.png")
    work = review()
    work.answer(work.take("page"), "bicycle", "page")
    rerun(uri, version)

    with pytest.raises(NotYours, match="rerun"):
        work.undo("page")

    row = work._ledger.row(uri, version)
    assert (row["status"], row["reviewed_label"]) == ("ACCEPTED", "bicycle")
    assert "attention" not in row
    assert [key.split("/")[1] for key in names(bucket)] == ["bicycle"]


def test_undo_goes_back_one_answer_at_a_time_and_only_over_ones_own(review, waits):
    for number in range(2):
        waits(f"{number}.png", 0.5 + number / 10)
    work = review()
    answered = []
    for _ in range(2):
        answered.append(work.take("page"))
        work.answer(answered[-1], "bicycle", "page")

    assert work.undo("another page") is None
    assert [work.undo("page").identity for _ in range(2)] == [each.identity for each in reversed(answered)]
    assert work.undo("page") is None


def test_what_is_put_off_comes_last_and_others_may_have_it(review, waits):
    waits("first.png", 0.5)
    waits("second.png", 0.6)
    ann, ben = review("ann"), review("ben")
    first = ann.take("a")

    ann.put_off(first, "a")

    assert ann.take("a").row["picture"].endswith("second.png")
    assert ben.take("b").identity == first.identity


def test_a_command_that_dies_before_the_row_is_written_loses_nothing(
    review, waits, bucket, clock, monkeypatch
):
    waits("a.png")
    work = review()
    item = work.take("page")
    error = ClientError({"Error": {"Code": "InternalServerError"}}, "UpdateItem")

    def dies(**_):
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(work._ledger.dynamodb, "update_item", dies)
        with pytest.raises(ClientError):
            work.answer(item, "bicycle", "page")

    later = review("ben")
    clock.time += LEASE + timedelta(seconds=1)
    later.answer(later.take("b"), "motorcycle", "b")
    assert [key.split("/")[1] for key in names(bucket)] == ["motorcycle"]


def test_the_manifest_is_one_that_sagemaker_reads(review, waits, bucket, deployment):
    """https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html#sms-output-class"""
    waits("a.png", 0.5)
    waits("b.png", 0.6)
    work = review()
    for label in ("motorcycle", "bicycle"):
        work.answer(work.take("page"), label, "page")

    assert queue.write_manifest(deployment) == 2

    lines = [
        json.loads(line)
        for line in bucket.Object(bucket_layout.REVIEW_MANIFEST).get()["Body"].read().splitlines()
    ]
    assert [(line["class"], line["class-metadata"]["class-name"]) for line in lines] == [
        (0, "bicycle"),
        (1, "motorcycle"),
    ]
    assert {line["class-metadata"]["type"] for line in lines} == {"groundtruth/image-classification"}
    sources = [line["source-ref"].removeprefix(f"s3://{bucket.name}/") for line in lines]
    assert sources == names(bucket, "reviewed/bicycle/") + names(bucket, "reviewed/motorcycle/")


def test_a_training_set_is_frozen_while_reviewing_goes_on(review, waits, bucket, deployment):
    waits("a.png", 0.5)
    work = review()
    work.answer(work.take("page"), "bicycle", "page")
    first = queue.freeze(deployment)
    again = queue.freeze(deployment)
    waits("b.png", 0.6)
    work.answer(work.take("page"), "motorcycle", "page")
    second = queue.freeze(deployment)

    assert first == again != second
    (only,) = names(bucket, first.removeprefix(f"s3://{bucket.name}/"))
    assert "/train/bicycle/" in only
    assert first.startswith(f"s3://{bucket.name}/training/data/reviewed-")


def test_nothing_reviewed_is_said_so(deployment):
    with pytest.raises(NothingReviewed, match="scones review"):
        queue.freeze(deployment)
