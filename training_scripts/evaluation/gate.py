"""Whether a new model may replace the current one: a paired comparison on a frozen set of pictures.

Both serving programs answer the same pictures, each model at its own temperature and threshold. The rule:

1. Right answers. On the pictures of the classes of interest the new model must not be significantly worse: it
   is refused if the one-sided exact McNemar test (McNemar, Psychometrika 12, 1947, with binomial
   probabilities) on the pictures that only one of the two gets right gives p < 0.05.
2. Wrong acceptances. The same test on pictures accepted wrongly: with the wrong label, or foreign.
3. Coverage. It is refused if it accepts 5 points fewer of the pictures of the classes of interest, and fewer
   in 95 % of 10,000 paired bootstrap samples.
4. Floors, which hold for a first model, too: its threshold is below 1 (at 1 it accepts next to nothing), and
   its accuracy is beyond doubt better than guessing.

Each test refuses a model that is as good as the current one in at most 5 % of cases. A frozen set of fewer than
50 pictures of the classes of interest decides nothing and is refused. With p = 0.05 five pictures lost and none
won are enough to refuse; a difference that a set is too small to show passes, so the larger the set the better.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training_scripts.evaluation import calibration
from training_scripts.evaluation.predictions import Predictions

LEVEL = 0.05
LEAST_PICTURES = 50
COVERAGE_LOSS = 0.05
_RESAMPLES = 10_000


@dataclass
class Verdict:
    """Why a model is refused (adopted if for no reason), what else to know, and the figures behind it."""

    refusals: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def adopted(self) -> bool:
        return not self.refusals


def mcnemar(lost: int, won: int) -> float:
    """One-sided exact p: how likely at least `lost` of lost + won are lost by chance; 1 without any."""
    count = lost + won
    return sum(math.comb(count, k) for k in range(lost, count + 1)) / 2**count


def coverage_falls(new: NDArray[np.bool_], current: NDArray[np.bool_]) -> tuple[float, float]:
    """(fall of the accepted share, share of the paired bootstrap samples in which it falls)."""
    difference = current.astype(np.int64) - new.astype(np.int64)
    count = len(difference)
    # resampling N pictures of three kinds is one multinomial draw
    kinds = [float((difference == kind).mean()) for kind in (-1, 0, 1)]
    draws = np.random.default_rng(0).multinomial(count, kinds, _RESAMPLES)
    return float(difference.mean()), float((draws[:, 2] > draws[:, 0]).mean())


def floors(description: dict[str, Any], answers: Predictions | None) -> list[str]:
    """Why a model is refused whatever the current one is."""
    refusals = []
    if description["threshold"] >= 1:
        refusals.append(
            "its threshold is 1: no threshold reached the accuracy asked for, so it accepts nothing"
        )
    if answers is not None:
        accuracy = calibration.share(answers.right[answers.ours])
        guessing = 1 / len(description["classes_of_interest"])
        low = accuracy["interval"][0]  # type: ignore[index]
        if low <= guessing:
            refusals.append(
                f"its accuracy, {accuracy['value']} (from {low}), is not beyond doubt better than guessing"
            )
    return refusals


def is_too_small(new: Predictions, current: Predictions) -> bool:
    """Whether the pictures of classes that both models know are too few to tell which model is better."""
    return int((new.ours & current.ours).sum()) < LEAST_PICTURES


def compare(new: Predictions, current: Predictions) -> Verdict:
    """Compare a new model's answers with the current one's to the same pictures, by the rule above."""
    # a class that one model knows and the other does not can decide nothing
    shared = new.ours == current.ours
    ours = shared & new.ours
    verdict = Verdict()
    if is_too_small(new, current):
        verdict.refusals.append(
            f"the frozen set has {int(ours.sum())} pictures of classes that both models know, too few to tell: "
            f"{LEAST_PICTURES} are needed"
        )
        return verdict
    for name, good_new, good_current, chosen in (
        ("right answers", new.right, current.right, ours),
        ("pictures not accepted wrongly", *(~a.accepted | a.right for a in (new, current)), shared),
    ):
        lost = int((good_current & ~good_new & chosen).sum())
        won = int((good_new & ~good_current & chosen).sum())
        p = mcnemar(lost, won)
        verdict.figures[name] = {
            "current": calibration.share(good_current[chosen]),
            "new": calibration.share(good_new[chosen]),
            "lost": lost,
            "won": won,
            "p": round(p, 4),
        }
        if p < LEVEL:
            verdict.refusals.append(
                f"{name}: {lost} lost and {won} won, which is more than chance (p = {p:.4f})"
            )
    _judge_coverage(verdict, new.accepted[ours], current.accepted[ours])
    return verdict


def _judge_coverage(verdict: Verdict, new: NDArray[np.bool_], current: NDArray[np.bool_]) -> None:
    fall, certainty = coverage_falls(new, current)
    verdict.figures["coverage"] = {
        "current": calibration.share(current),
        "new": calibration.share(new),
        "falls_in_samples": round(certainty, 4),
    }
    if fall > COVERAGE_LOSS and certainty >= 1 - LEVEL:
        verdict.refusals.append(
            f"coverage falls by {100 * fall:.1f} points, in {100 * certainty:.0f} % of the samples"
        )
