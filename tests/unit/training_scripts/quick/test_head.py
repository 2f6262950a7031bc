"""The head that is fitted to a frozen network's features, on features that are drawn here."""

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("sklearn", reason="scikit-learn is not installed: make setup-train")

from training_scripts.evaluation import calibration
from training_scripts.quick import head

SIZE = 64


def clouds(centres: NDArray, count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """`count` points around each centre [C, SIZE], all positive as averaged activations are."""
    rng = np.random.default_rng(seed)
    points = centres[:, None] + rng.normal(0, 0.9, (len(centres), count, SIZE))
    return np.maximum(points, 0).reshape(-1, SIZE).astype(np.float32), np.repeat(
        np.arange(len(centres)), count
    )


@pytest.fixture(scope="module", params=[2, 5])
def centres(request: pytest.FixtureRequest) -> NDArray:
    """Of the classes, and of one that is foreign to them."""
    return np.random.default_rng(0).exponential(1.0, (request.param + 1, SIZE))


@pytest.fixture(scope="module")
def fitted(centres: NDArray) -> tuple[head.Head, NDArray, NDArray]:
    features, truth = clouds(centres[:-1], 20, 1)
    made, answers = head.fit(features, truth, np.arange(len(truth)) % 5, len(centres) - 1)
    return made, answers, truth


def test_unseen_pictures_get_their_class(centres: NDArray, fitted: tuple) -> None:
    features, truth = clouds(centres[:-1], 50, 2)
    assert (fitted[0].logits(features).argmax(1) == truth).mean() > 0.97


def test_foreign_pictures_are_neither_though_none_was_seen(centres: NDArray, fitted: tuple) -> None:
    foreign, _ = clouds(centres[-1:], 50, 3)
    assert (fitted[0].logits(foreign).argmax(1) == len(centres) - 1).mean() > 0.97


def test_out_of_fold_answers_come_from_heads_that_did_not_see_the_picture(centres: NDArray) -> None:
    """Labels without a meaning can only be learnt by heart."""
    features, truth = clouds(centres[:-1], 40, 1)
    shuffled = np.random.default_rng(5).permutation(truth)
    made, answers = head.fit(features, shuffled, np.arange(len(truth)) % 5, len(centres) - 1)
    by_heart = (made.class_logits(features).argmax(1) == shuffled).mean()
    assert (answers[:, :-1].argmax(1) == shuffled).mean() < by_heart - 0.1


def test_the_temperature_is_in_the_weights(centres: NDArray) -> None:
    """Some labels are wrong, so that certainty costs; then no other temperature makes the answers likelier."""
    features, truth = clouds(centres[:-1], 40, 1)
    truth[::7] = (truth[::7] + 1) % (len(centres) - 1)
    _, answers = head.fit(features, truth, np.arange(len(truth)) % 5, len(centres) - 1)
    assert calibration.fit_temperature(answers[:, :-1], truth) == pytest.approx(1, abs=0.02)


def test_few_of_ours_are_refused_as_foreign(centres: NDArray, fitted: tuple) -> None:
    _, answers, _ = fitted
    assert (answers.argmax(1) == len(centres) - 1).mean() <= 0.05


def test_given_foreign_pictures_say_where_to_cut(centres: NDArray) -> None:
    """Those that look like a class are refused only by a head that has seen some of them."""
    near = 0.8 * centres[0] + 0.2 * centres[-1]
    features, truth = clouds(centres[:-1], 20, 1)
    foreign, _ = clouds(near[None], 40, 4)
    classes = len(centres) - 1
    both = np.concatenate([features, foreign]), np.concatenate([truth, np.full(40, classes)])
    unseen, _ = clouds(near[None], 100, 6)

    alone, _ = head.fit(features, truth, np.arange(len(truth)) % 5, classes)
    taught, _ = head.fit(*both, np.arange(len(both[1])) % 5, classes)

    refused = [(made.logits(unseen).argmax(1) == classes).mean() for made in (alone, taught)]
    assert refused[1] > refused[0]


def test_the_same_pictures_give_the_same_head(centres: NDArray, fitted: tuple) -> None:
    features, truth = clouds(centres[:-1], 20, 1)
    again, _ = head.fit(features, truth, np.arange(len(truth)) % 5, len(centres) - 1)
    assert np.array_equal(again.logits(features), fitted[0].logits(features))
