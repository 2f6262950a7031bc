"""Rows, targets and folds: every later figure depends on them."""

import numpy as np
import pytest

from training_scripts.data import dataset
from training_scripts.data.dataset import AMBIGUOUS, DataError, LabelledImages
from training_scripts.data.readers import LabelledPicture

INTEREST = ["bicycle", "motorcycle"]


def picture(label: str, seed: int = 0) -> LabelledPicture:
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)
    return LabelledPicture(pixels, label, f"{label}-{seed}.png")


def random_rows(count: int, classes: int = 2) -> LabelledImages:
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (count, 8, 8, 3), np.uint8)
    return LabelledImages(coarse.repeat(4, 1).repeat(4, 2), np.arange(count) % classes)


def test_other_classes_are_split_into_training_and_judging():
    pictures = [picture(label, i) for i, label in enumerate([*INTEREST, "apple", "bed", "chair", "door"])]

    ours, outliers, foreign = dataset.split_rows(pictures, INTEREST)

    assert ours.truth.tolist() == [0, 1]
    assert (len(outliers), len(foreign)) == (2, 2)
    assert np.array_equal(outliers.pixels, np.stack([pictures[2].pixels, pictures[4].pixels]))
    assert set(outliers.truth) == set(foreign.truth) == {2}


def test_which_classes_judge_does_not_depend_on_the_order_of_the_pictures():
    pictures = [picture(label) for label in [*INTEREST, "apple", "bed", "chair", "door"]]

    assert dataset.foreign_classes(pictures, INTEREST) == dataset.foreign_classes(pictures[::-1], INTEREST)


def test_one_class_alone_is_a_clear_error():
    with pytest.raises(DataError, match="at least two"):
        dataset.split_rows([picture("bicycle")], ["bicycle"])


def test_a_class_without_pictures_is_named():
    with pytest.raises(DataError, match="'motorcycle'"):
        dataset.split_rows([picture("bicycle"), picture("apple")], INTEREST)


def test_an_ambiguous_picture_is_the_last_kind_of_neither():
    assert dataset.targets(np.array([1, AMBIGUOUS]), 3, kinds=2).tolist() == [
        [0, 1, 0, 0, 0],
        [0, 0, 0, 0, 1],
    ]


def test_smoothing_is_even_over_the_labels():
    """However many kinds `neither` has."""
    table = dataset.targets(np.array([0, 4]), 3, kinds=2, smoothing=0.3)

    assert table.sum(1) == pytest.approx([1, 1])
    assert table[0] == pytest.approx([0.8, 0.1, 0.1 / 3, 0.1 / 3, 0.1 / 3])
    assert table[1].argmax() == 4


def test_folds_are_balanced_by_class_and_the_same_every_time():
    rows = random_rows(100)

    folds = dataset.folds(rows, 5, seed=0)

    assert [((folds == f) & (rows.truth == c)).sum() for f in range(5) for c in range(2)] == [10] * 10
    assert np.array_equal(folds, dataset.folds(rows, 5, seed=0))
    assert not np.array_equal(folds, dataset.folds(rows, 5, seed=1))


def test_copies_mirrored_or_brightened_ones_too_share_a_fold():
    rows = random_rows(40)
    mirrored = rows.pixels[:, :, ::-1]
    brighter = np.clip(rows.pixels * 0.8 + 20, 0, 255).astype(np.uint8)
    all_rows = LabelledImages(np.concatenate([rows.pixels, mirrored, brighter]), np.tile(rows.truth, 3))

    folds = dataset.folds(all_rows, 5, seed=0).reshape(3, 40)

    assert (folds == folds[0]).all()
    assert len(np.unique(dataset.near_duplicates(all_rows.pixels))) == 40


def test_too_few_pictures_for_the_folds_is_a_clear_error():
    with pytest.raises(DataError, match="for 5 folds"):
        dataset.folds(random_rows(6), 5, seed=0)


def test_drawn_rows_cover_every_class_and_the_ambiguous():
    rows = dataset.drawn_rows(INTEREST, 20, dataset.DRAWN_SEEDS)

    assert sorted(set(rows.truth)) == [AMBIGUOUS, 0, 1, 2]
    assert rows.pixels.shape[1:] == (32, 32, 3)
    assert np.array_equal(rows.pixels, dataset.drawn_rows(INTEREST, 20, dataset.DRAWN_SEEDS).pixels)


def test_classes_that_cannot_be_drawn_get_no_drawn_pictures():
    rows = dataset.drawn_rows(["motorcycle", "bus"], 20, 0)

    assert sorted(set(rows.truth)) == [0, 2]


def test_the_digest_follows_the_content_and_not_the_place(tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "1.jpg").write_bytes(b"same")

    before = dataset.digest(tmp_path / "a")
    assert before == dataset.digest(tmp_path / "b")
    (tmp_path / "a" / "2.jpg").write_bytes(b"more")
    assert before != dataset.digest(tmp_path / "a")
