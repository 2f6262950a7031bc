"""A model's answers to pictures whose class is known: which are right, accepted, refused."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training_scripts.evaluation import calibration

# The class number of a picture that shows no class of interest.
OUT_OF_DISTRIBUTION = -1


@dataclass(frozen=True)
class Predictions:
    """A model's probabilities [N, C] for pictures of known truth [N]: a label's number, or OUT_OF_DISTRIBUTION."""

    description: dict[str, Any]
    probabilities: NDArray[np.float64]
    truth: NDArray[np.int64]

    @cached_property
    def best(self) -> NDArray[np.int64]:
        return self.probabilities.argmax(1)

    @cached_property
    def ours(self) -> NDArray[np.bool_]:
        """The pictures that show a class of interest."""
        return self.truth != OUT_OF_DISTRIBUTION

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """The best class's probability where it is of interest, else 0: never accepted."""
        labels = self.description["labels"]
        interest = [labels.index(name) for name in self.description["classes_of_interest"]]
        return np.where(np.isin(self.best, interest), self.probabilities.max(1), 0.0)

    @cached_property
    def accepted(self) -> NDArray[np.bool_]:
        """What filter_inferences accepts at the artifact's own threshold."""
        return self.confidence >= self.description["threshold"]

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """The best class is the true one; of a foreign picture: it is refused."""
        return np.where(self.ours, self.best == self.truth, ~self.accepted)

    def shares(self) -> dict[str, calibration.Share]:
        """Accuracy, coverage and accuracy of the accepted, on the pictures of the classes of interest."""
        ours = self.ours
        return {
            "accuracy": calibration.share(self.right[ours]),
            "coverage": calibration.share(self.accepted[ours]),
            "accepted_accuracy": calibration.share(self.right[ours & self.accepted]),
        }


def truth_of(labels: Iterable[str], description: dict[str, Any]) -> NDArray[np.int64]:
    """Class numbers in the order of the artifact's labels; OUT_OF_DISTRIBUTION for every other class."""
    known, interest = description["labels"], description["classes_of_interest"]
    return np.array(
        [known.index(label) if label in interest else OUT_OF_DISTRIBUTION for label in labels], np.int64
    )
