"""What model.json says about a model, whichever way it was trained."""

import hashlib
import os
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from training_scripts import artifact
from training_scripts.data.dataset import LabelledImages
from training_scripts.training import operating_point
from training_scripts.training.operating_point import OperatingPoint

# One in this many points of the risk-coverage curve goes into model.json; neighbours differ by one picture.
_CURVE_STEP = 5


@dataclass(frozen=True)
class OutOfFold:
    """The pictures that were trained on, with logits [N, C] that did not see them and fold numbers [N]."""

    rows: LabelledImages
    logits: NDArray
    folds: NDArray


def describe(
    network: bytes, labels: list[str], point: OperatingPoint, judged: OutOfFold, own: dict[str, Any]
) -> dict[str, Any]:
    """The description of a model; the last label is "neither".

    Args:
        network: the exported network, which gives the model its name outside a training job.
        labels: those of its answers.
        point: its operating point.
        judged: what the cross-validated figures and the baseline are of.
        own: what only this way of training knows: input, further metrics, hyperparameters, data.
    """
    truth = judged.rows.truth
    figures, curve = operating_point.cross_fitted(judged.logits, truth, judged.folds, labels)
    return {
        "schema_version": artifact.SCHEMA_VERSION,
        "name": os.environ.get("TRAINING_JOB_NAME") or f"scones-{hashlib.sha256(network).hexdigest()[:8]}",
        "labels": labels,
        "classes_of_interest": labels[:-1],
        "temperature": point.temperature,
        "threshold": point.threshold,
        "neither_shift": point.shift,
        "baseline": operating_point.baseline(
            judged.rows, point.probabilities(judged.logits), point.threshold, labels
        ),
        "risk_coverage": [[round(value, 4) for value in place] for place in curve[::_CURVE_STEP]],
        "commit": artifact.commit(),
        **own,
        "metrics": {"cross_validation": figures, **own["metrics"]},
    }
