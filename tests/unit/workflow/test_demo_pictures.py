"""What the demonstration shows and when it calls an outcome unexpected."""

import pytest
from PIL import Image

from scripts.workflow import demo_pictures
from scripts.workflow.client import Outcome
from scripts.workflow.demo_pictures import DECIDED, NoPictures, Sample


def outcome(status: str, label: str | None = None) -> Outcome:
    facts = {"source": "a.jpg", "uri": "s3://b/a.jpg", "version": "v", "execution": "arn", "seconds": 0.1}
    facts |= {
        "confidence": None,
        "threshold": None,
        "error": None,
        "reason": None,
        "execution_status": "SUCCEEDED",
    }
    return Outcome(status=status, label=label, **facts)


def test_the_drawn_pictures_cover_every_way_to_end(tmp_path):
    samples = demo_pictures.drawn(tmp_path, seed=1)

    assert {word for sample in samples for word in sample.expected} == DECIDED
    assert all(sample.path.stat().st_size > 0 for sample in samples)


def test_the_same_seed_draws_the_same_pictures(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    first, second = demo_pictures.drawn(tmp_path / "a", 7), demo_pictures.drawn(tmp_path / "b", 7)

    assert [sample.path.read_bytes() for sample in first] == [sample.path.read_bytes() for sample in second]


def test_a_folder_named_after_a_class_labels_its_files(tmp_path):
    for place in ("bicycle/one.png", "holiday/two.png"):
        (tmp_path / place).parent.mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / place)

    samples = demo_pictures.from_folder(tmp_path)

    assert [(sample.path.name, sample.label) for sample in samples] == [
        ("one.png", "bicycle"),
        ("two.png", None),
    ]


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(NoPictures, match="holds no files"):
        demo_pictures.from_folder(tmp_path)


def test_an_accepted_picture_with_the_wrong_label_is_a_surprise(tmp_path):
    sample = Sample(tmp_path, "bicycle", frozenset({"ACCEPTED"}))

    assert sample.is_as_expected(outcome("ACCEPTED", "bicycle"))
    assert not sample.is_as_expected(outcome("ACCEPTED", "motorcycle"))
    assert not sample.is_as_expected(outcome("LOW_CONFIDENCE", "bicycle"))


def test_a_picture_of_ones_own_may_end_in_any_decision_but_not_fail(tmp_path):
    sample = Sample(tmp_path, None, DECIDED)

    assert sample.is_as_expected(outcome("REJECTED"))
    assert not sample.is_as_expected(outcome("FAILED"))


def test_accuracy_counts_labelled_pictures_whatever_their_confidence(tmp_path):
    bicycle, unknown = Sample(tmp_path, "bicycle", DECIDED), Sample(tmp_path, None, DECIDED)

    summary = demo_pictures.summarise(
        [
            (bicycle, outcome("ACCEPTED", "bicycle")),
            (bicycle, outcome("LOW_CONFIDENCE", "bicycle")),
            (bicycle, outcome("ACCEPTED", "motorcycle")),
            (unknown, outcome("REJECTED")),
        ]
    )

    assert (summary.labelled, summary.right, summary.accepted, summary.accepted_right) == (3, 2, 2, 1)
    assert summary.accuracy == pytest.approx(2 / 3)


def test_without_labels_there_is_no_accuracy(tmp_path):
    assert demo_pictures.summarise([(Sample(tmp_path, None, DECIDED), outcome("ACCEPTED"))]).accuracy is None
