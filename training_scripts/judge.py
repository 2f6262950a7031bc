"""What model.json says about a model: cross-fitted figures, operating point, baseline statistics."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from functions.common.picture import statistics
from training_scripts import calibration
from training_scripts.data import Rows

ACCEPTED_ACCURACY = 0.99
_QUANTILES = np.linspace(0, 1, 11)


def operating_point(logits: NDArray, truth: NDArray, interest: int) -> tuple[float, float]:
    """(temperature, threshold) from out-of-fold logits; the threshold looks at the classes of interest alone."""
    temperature = calibration.fit_temperature(logits, truth)
    probabilities = calibration.softmax(logits, temperature)
    confidence = calibration.confidence_of_interest(probabilities, interest)
    of_interest = truth < interest
    right = probabilities.argmax(1) == truth
    threshold = calibration.threshold_for(confidence[of_interest], right[of_interest], ACCEPTED_ACCURACY)
    return round(temperature, 4), threshold


def cross_fitted(logits: NDArray, truth: NDArray, folds: NDArray, labels: list[str]) -> dict[str, Any]:
    """Figures on rows that chose neither the weights nor the operating point that judges them."""
    interest = len(labels) - 1
    probabilities, thresholds = np.zeros(logits.shape), np.zeros(len(truth))
    for fold in np.unique(folds):
        judged = folds == fold
        temperature, thresholds[judged] = operating_point(logits[~judged], truth[~judged], interest)
        probabilities[judged] = calibration.softmax(logits[judged], temperature)
    return figures(probabilities, truth, thresholds, labels)


def figures(
    probabilities: NDArray, truth: NDArray, thresholds: NDArray | float, labels: list[str]
) -> dict[str, Any]:
    """Accuracy, calibration, coverage on the classes of interest and refusal of "neither", with 95 % intervals."""
    interest = len(labels) - 1
    accepted = calibration.confidence_of_interest(probabilities, interest) >= thresholds
    right, ours = probabilities.argmax(1) == truth, truth < interest

    def per_class(number: int) -> calibration.Share:
        return calibration.share(right[truth == number])

    return {
        "accuracy": calibration.share(right[ours]),
        "accuracy_per_class": {labels[number]: per_class(number) for number in range(interest)},
        "coverage": calibration.share(accepted[ours]),
        "accepted_accuracy": calibration.share(right[accepted & ours]),
        "calibration_error": round(calibration.calibration_error(probabilities[ours], truth[ours]), 4),
        "neither_refused": calibration.share(~accepted[~ours]),
    }


def baseline(rows: Rows, probabilities: NDArray, threshold: float, labels: list[str]) -> dict[str, Any]:
    """What accepted pictures of the classes of interest look like: class mix and deciles, to tell drift from."""
    interest = len(labels) - 1
    confidence = calibration.confidence_of_interest(probabilities, interest)
    accepted = np.flatnonzero((confidence >= threshold) & (rows.truth < interest))
    best = probabilities.argmax(1)[accepted]
    facts = [statistics(Image.fromarray(rows.pixels[i])) for i in accepted]
    return {
        "count": len(accepted),
        "accepted_share": round(len(accepted) / max(1, int((rows.truth < interest).sum())), 4),
        "class_mix": {
            labels[i]: round(float((best == i).mean()), 4) if len(best) else 0.0 for i in range(interest)
        },
        "confidence": _deciles(confidence[accepted]),
        "brightness": _deciles([fact.brightness for fact in facts]),
        "contrast": _deciles([fact.contrast for fact in facts]),
        "sharpness": _deciles([fact.sharpness for fact in facts]),
    }


def _deciles(values: Any) -> list[float]:
    return [round(float(v), 4) for v in np.quantile(values, _QUANTILES)] if len(values) else []
