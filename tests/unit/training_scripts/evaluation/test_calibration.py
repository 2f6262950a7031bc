"""Temperature, intervals and the threshold, against cases worked out by hand or known from the literature."""

import numpy as np
import pytest

from training_scripts.evaluation import calibration
from training_scripts.training import operating_point


def test_softmax_handles_large_logits_and_sums_to_one():
    probabilities = calibration.softmax(np.array([[1000.0, 999.0], [-5.0, -5.0]]))

    assert probabilities.sum(1) == pytest.approx([1, 1])
    assert probabilities[0, 0] == pytest.approx(1 / (1 + np.exp(-1)))


@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 2.5])
def test_the_fitted_temperature_is_the_one_that_made_the_labels(true_temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (20_000, 3))
    chances = calibration.softmax(logits, true_temperature)
    truth = (chances.cumsum(1) > rng.random((len(chances), 1))).argmax(1)

    assert calibration.fit_temperature(logits, truth) == pytest.approx(true_temperature, rel=0.05)


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (29, 29, 0.8830, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_the_interval_is_wilsons(successes, count, low, high):
    # the first, second and last but one: R. G. Newcombe, Statistics in Medicine 17 (1998), table I
    assert calibration.wilson(successes, count) == pytest.approx((low, high), abs=5e-5)


def test_a_share_of_nothing_has_no_value():
    assert calibration.share(np.array([], bool)) == {"value": None, "interval": [0.0, 1.0], "count": 0}


def test_the_calibration_error_is_the_mean_gap():
    """The gap between confidence and accuracy."""
    probabilities = np.tile([0.8, 0.2], (1000, 1))
    truth = np.repeat([0, 1], 500)

    assert calibration.calibration_error(probabilities, truth, bins=1) == pytest.approx(0.3)


def test_neither_has_no_confidence_of_interest():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.3, 0.1, 0.6]])

    assert calibration.confidence_of_interest(probabilities, 2).tolist() == [0.7, 0.0]


def test_the_curve_counts_equal_confidences_together():
    curve = calibration.risk_coverage(np.array([0.9, 0.8, 0.8, 0.0]), np.array([True, True, False, False]))

    assert curve == [(0.9, 0.25, 1.0), (0.8, 0.75, pytest.approx(2 / 3))]


def test_the_threshold_is_the_lowest_that_keeps_the_promised_accuracy():
    confidence = np.linspace(0.5, 0.999, 1000)
    right = np.ones(1000, bool)
    right[::10][:50] = False  # wrong answers below about 0.75 only

    threshold = calibration.threshold_for(confidence, right, accuracy=0.99)
    accepted = confidence >= threshold

    assert right[accepted].mean() >= 0.99
    assert right[confidence >= threshold - 0.01].mean() < 0.99


def test_a_hopeless_model_accepts_only_certainty():
    assert calibration.threshold_for(np.array([0.9, 0.8]), np.array([False, False])) == 1.0


def answers_with_modest_vehicles(seed: int = 0, count: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Logits of three classes whose third is too high for vehicles by 1.5, and the truth."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % 3
    logits = 5 * np.eye(3)[truth] + rng.normal(0, 1.5, (count, 3))
    logits[truth == 2, 2] += 2
    logits[:, 2] += 1.5
    return logits, truth


def test_the_shift_buys_coverage_and_keeps_refusing_what_is_foreign():
    logits, truth = answers_with_modest_vehicles()
    without = operating_point._at(0.0, logits, truth, 2)

    point = operating_point.operating_point(logits, truth, 2)

    def accepted(at: operating_point.OperatingPoint) -> np.ndarray:
        return calibration.confidence_of_interest(at.probabilities(logits), 2) >= at.threshold

    assert point.shift > 0
    assert accepted(point)[truth < 2].mean() > accepted(without)[truth < 2].mean()
    assert accepted(point)[truth == 2].mean() <= 1 - operating_point.REFUSED


def test_a_shift_that_lets_foreign_pictures_pass_is_refused():
    """Nothing is shifted either where no foreign pictures are known."""
    logits, truth = answers_with_modest_vehicles()
    vehicles_alone = truth < 2
    look_alike = logits.copy()
    look_alike[truth == 2] = logits[truth == 0]

    assert operating_point.operating_point(logits[vehicles_alone], truth[vehicles_alone], 2).shift == 0
    assert operating_point.operating_point(look_alike, truth, 2).shift == 0


def test_every_fold_is_judged_by_the_others():
    logits, truth = answers_with_modest_vehicles()
    folds = np.arange(len(truth)) // 3 % 3
    mislabelled = (folds == 1) & (truth < 2)
    truth = np.where(mislabelled, 1 - truth, truth)

    figures, curve = operating_point.cross_fitted(logits, truth, folds, ["a", "b", "neither"])

    # the mislabelled fold passes the others' threshold; the others, judged with its help, accept next to nothing
    assert figures["accuracy"]["count"] == 2000
    assert 0.25 < figures["coverage"]["value"] < 0.4
    assert figures["accepted_accuracy"]["value"] < 0.2
    assert curve[0][1] < curve[-1][1]
    assert all(0 < place[0] <= 1 for place in curve)
