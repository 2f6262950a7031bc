"""A stream of pictures: what is sent, and that each is followed to its row."""

import io
import itertools

import pytest
from PIL import Image, UnidentifiedImageError

from scripts.workflow.client import Workflow
from scripts.workflow.demo_pictures import NoPictures
from scripts.workflow.stream import Sample, Stream, drawn, of_folder, partly_broken, percentile

FAST = 1000


@pytest.fixture
def workflow(deployment):
    return Workflow(deployment)


@pytest.fixture
def stream(workflow):
    """Makes streams of small files and closes them."""
    made = []

    def start(count=3, rate=FAST, **changes):
        samples = (Sample(f"{number}.jpg", lambda: b"picture") for number in range(count))
        made.append(Stream(workflow, samples, rate, "incoming/stream-1", **changes))
        return made[-1]

    yield start
    for each in made:
        each.close()


def steps_until(stream, condition):
    for _ in range(1000):
        stream.step()
        if condition(stream):
            return
    pytest.fail(f"after 1,000 steps: {stream.figures()}")


def decide(workflow, bucket, status="ACCEPTED"):
    """Writes a row for each object in the bucket, as the state machine would."""
    for version in bucket.object_versions.all():
        row = {"picture": f"s3://{bucket.name}/{version.object_key}", "version": version.id, "status": status}
        item = {name: {"S": text} for name, text in row.items()}
        workflow.dynamodb.put_item(TableName=workflow.ledger.table, Item=item)


def test_each_picture_is_put_under_the_prefix_and_followed_to_its_row(workflow, bucket, stream):
    running = stream(count=3)
    steps_until(running, lambda each: each.figures().in_flight == 3)
    assert {each.key for each in bucket.objects.all()} == {f"incoming/stream-1/{n}.jpg" for n in range(3)}
    assert not running.is_over(patience=300)

    decide(workflow, bucket, "LOW_CONFIDENCE")
    steps_until(running, lambda each: each.is_over(patience=300))

    figures = running.figures()
    assert (figures.sent, figures.in_flight, figures.counts["LOW_CONFIDENCE"]) == (3, 0, 3)
    assert 0 < figures.p50 <= figures.p95
    assert running.missing == []


def test_pictures_without_a_row_are_named_when_patience_ends(workflow, bucket, stream):
    running = stream(count=2)
    steps_until(running, lambda each: each.figures().in_flight == 2)

    steps_until(running, lambda each: each.is_over(patience=0))

    assert running.missing == [f"s3://{bucket.name}/incoming/stream-1/{n}.jpg" for n in range(2)]


def test_only_the_row_of_the_version_that_was_sent_counts(workflow, bucket, stream):
    bucket.put_object(Key="incoming/stream-1/0.jpg", Body=b"another version")
    decide(workflow, bucket)

    running = stream(count=1)
    steps_until(running, lambda each: each.figures().sent == 1)
    steps_until(running, lambda each: each.is_over(patience=0))

    assert len(running.missing) == 1


def test_a_stopped_stream_waits_for_what_is_in_flight(workflow, bucket, stream):
    """It sends nothing more."""
    running = stream(count=10**6)
    steps_until(running, lambda each: each.figures().sent >= 2)

    running.stop()
    steps_until(running, lambda each: each.is_over(patience=0))
    sent = running.figures().sent
    assert not running.is_over(patience=300)
    decide(workflow, bucket)
    steps_until(running, lambda each: each.is_over(patience=300))

    assert running.figures().counts["ACCEPTED"] == sent == len([*bucket.objects.all()])


def test_pictures_are_sent_no_faster_than_the_rate(stream):
    running = stream(count=10, rate=0.001)

    for _ in range(5):
        running.step()

    assert running.figures().sent <= 1


def test_a_failed_upload_ends_the_sending_and_is_kept(workflow, stream):
    workflow.deployment.outputs["bucket"] = "there-is-no-such-bucket"

    running = stream(count=10**6)
    steps_until(running, lambda each: each.is_over(patience=0))

    assert "NoSuchBucket" in str(running.failure)


def test_the_same_seed_draws_the_same_pictures():
    one, two, other = ([*itertools.islice(drawn(seed), 3)] for seed in (7, 7, 8))

    assert [sample.make() for sample in one] == [sample.make() for sample in two]
    assert one[0].make() != other[0].make()
    assert Image.open(io.BytesIO(one[0].make())).format == "JPEG"


def test_a_folder_is_sent_over_and_over_under_different_names(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.jpg").write_text(name)

    sent = [*itertools.islice(of_folder(tmp_path), 5)]

    assert [sample.make() for sample in sent] == [b"a", b"b", b"a", b"b", b"a"]
    assert len({sample.name for sample in sent}) == 5


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(NoPictures, match="holds no files"):
        next(of_folder(tmp_path))


def test_a_share_of_the_pictures_is_cut_short():
    whole = [*itertools.islice(drawn(1), 200)]

    sent = [*partly_broken(iter(whole), 0.1, seed=1)]

    broken = [sample for sample in sent if sample.name.startswith("broken-")]
    assert 5 < len(broken) < 40
    with pytest.raises((OSError, UnidentifiedImageError)):
        Image.open(io.BytesIO(broken[0].make())).load()
    assert [*partly_broken(iter(whole), 0.0, seed=1)] == whole


@pytest.mark.parametrize(
    ("values", "p50", "p95"),
    [([], None, None), ([3.0], 3.0, 3.0), ([1.0, 2.0], 1.0, 2.0), ([*map(float, range(1, 101))], 50.0, 95.0)],
)
def test_percentiles_are_values_that_occurred(values, p50, p95):
    assert (percentile(values, 50), percentile(values, 95)) == (p50, p95)
