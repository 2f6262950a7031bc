"""Confidence made honest: temperature, intervals, the risk-coverage curve and the threshold taken from it."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Share = dict[str, float | int | list[float] | None]


def softmax(logits: NDArray, temperature: float = 1.0) -> Array:
    """Probabilities [N, C] of logits [N, C] divided by the temperature."""
    scaled = np.asarray(logits, np.float64) / temperature
    powers = np.exp(scaled - scaled.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def fit_temperature(logits: NDArray, truth: NDArray) -> float:
    """The temperature with the lowest negative log-likelihood (Guo et al., 2017), by golden-section search.

    Args:
        logits: [N, C], of rows that the network was not trained on.
        truth: [N] class numbers.
    """

    def loss(log_temperature: float) -> float:
        chosen = softmax(logits, math.exp(log_temperature))[np.arange(len(truth)), truth]
        return float(-np.log(np.maximum(chosen, 1e-12)).mean())

    low, high, ratio = math.log(0.05), math.log(20.0), (math.sqrt(5) - 1) / 2
    while high - low > 1e-4:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return math.exp((low + high) / 2)


def wilson(successes: int, count: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson, 1927); (0, 1) without observations."""
    if count == 0:
        return 0.0, 1.0
    z, share = 1.959964, successes / count
    centre = share + z * z / (2 * count)
    reach = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale)


def share(hits: NDArray) -> Share:
    """The share of true values as model.json holds it: value, 95 % interval, sample size."""
    successes, count = int(np.sum(hits)), len(hits)
    low, high = wilson(successes, count)
    value = round(successes / count, 4) if count else None
    return {"value": value, "interval": [round(low, 4), round(high, 4)], "count": count}


def calibration_error(probabilities: Array, truth: NDArray, bins: int = 15) -> float:
    """Expected calibration error of the best class over equally filled bins; 0 without rows."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    parts = np.array_split(np.argsort(confidence, kind="stable"), bins)
    gaps = [len(p) * abs(confidence[p].mean() - right[p].mean()) for p in parts if len(p)]
    return float(sum(gaps) / max(1, len(truth)))


def confidence_of_interest(probabilities: Array, interest: int) -> Array:
    """The best class's probability where it is among the first `interest` classes, else 0: never accepted."""
    return np.where(probabilities.argmax(1) < interest, probabilities.max(1), 0.0)


def risk_coverage(confidence: Array, right: NDArray) -> list[tuple[float, float, float]]:
    """(threshold, coverage, accuracy of the accepted), one per distinct confidence, from strict to lax."""
    order = np.argsort(-confidence, kind="stable")
    ordered, hits = confidence[order], np.cumsum(np.asarray(right, bool)[order])
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    return [
        (float(ordered[i]), (i + 1) / len(ordered), float(hits[i] / (i + 1))) for i in last if ordered[i] > 0
    ]


def threshold_for(confidence: Array, right: NDArray, accuracy: float = 0.99) -> float:
    """The lowest threshold whose accepted predictions reach `accuracy`, rounded up to 3 decimals.

    Returns 1.0 where no threshold reaches it.
    """
    fitting = [threshold for threshold, _, reached in risk_coverage(confidence, right) if reached >= accuracy]
    return min(1.0, math.ceil(min(fitting, default=1.0) * 1000) / 1000)
