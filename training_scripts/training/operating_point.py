"""What model.json says about a model: cross-fitted figures, operating point, baseline statistics."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from functions.common.picture import statistics
from training_scripts.data.dataset import LabelledImages
from training_scripts.evaluation import calibration

ACCEPTED_ACCURACY = 0.99
# Share of "neither" rows that the operating point must refuse; a surplus is spent on coverage.
REFUSED = 0.97
_SHIFTS = np.arange(0, 2.01, 0.25)
_QUANTILES = np.linspace(0, 1, 11)


@dataclass(frozen=True)
class OperatingPoint:
    """How answers become decisions: `shift` is taken from the logit of "neither", then `temperature` divides all."""

    shift: float
    temperature: float
    threshold: float

    def probabilities(self, logits: NDArray) -> calibration.Array:
        """Calibrated probabilities [N, C]."""
        return calibration.softmax(shifted(logits, self.shift), self.temperature)


def shifted(logits: NDArray, shift: float) -> NDArray:
    """Logits [N, C] with the last class's lowered."""
    return np.concatenate((logits[:, :-1], logits[:, -1:] - shift), 1)


def operating_point(logits: NDArray, truth: NDArray, interest: int) -> OperatingPoint:
    """From out-of-fold logits: the largest shift that still refuses enough of "neither" at its own threshold.

    Temperature and threshold look at the classes of interest alone, as the figures do. "neither" is far more
    frequent in training than a vehicle that looks foreign; the shift corrects for that, so one threshold does what
    one per class would.
    """
    points = [_at(shift, logits, truth, interest) for shift in _SHIFTS]
    return next((p for p in reversed(points) if _refused(p, logits, truth, interest) >= REFUSED), points[0])


def _at(shift: float, logits: NDArray, truth: NDArray, interest: int) -> OperatingPoint:
    ours = truth < interest
    answers, known = shifted(logits[ours], shift), truth[ours]
    temperature = round(calibration.fit_temperature(answers, known), 4)
    probabilities = calibration.softmax(answers, temperature)
    confidence = calibration.confidence_of_interest(probabilities, interest)
    threshold = calibration.threshold_for(confidence, probabilities.argmax(1) == known, ACCEPTED_ACCURACY)
    return OperatingPoint(float(shift), temperature, threshold)


def _refused(point: OperatingPoint, logits: NDArray, truth: NDArray, interest: int) -> float:
    foreign = point.probabilities(logits[truth >= interest])
    if not len(foreign):
        return 0.0
    return float((calibration.confidence_of_interest(foreign, interest) < point.threshold).mean())


def cross_fitted(
    logits: NDArray, truth: NDArray, folds: NDArray, labels: list[str]
) -> tuple[dict[str, Any], list[tuple[float, float, float]]]:
    """Figures on rows that chose neither the weights nor the operating point, and their risk-coverage curve.

    The curve has (threshold, share accepted, accuracy of the accepted) of the classes of interest.
    """
    interest = len(labels) - 1
    probabilities, thresholds = np.zeros(logits.shape), np.zeros(len(truth))
    for fold in np.unique(folds):
        held_out = folds == fold
        point = operating_point(logits[~held_out], truth[~held_out], interest)
        probabilities[held_out], thresholds[held_out] = point.probabilities(logits[held_out]), point.threshold
    ours = truth < interest
    confidence = calibration.confidence_of_interest(probabilities[ours], interest)
    curve = calibration.risk_coverage(confidence, probabilities[ours].argmax(1) == truth[ours])
    return figures(probabilities, truth, thresholds, labels), curve


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


def baseline(
    rows: LabelledImages, probabilities: NDArray, threshold: float, labels: list[str]
) -> dict[str, Any]:
    """What accepted pictures of the classes of interest look like, to detect drift: class mix and deciles."""
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
