"""Learns a team's own classes from few photographs: features of a frozen network, and a head that is fitted to them.

Needs neither PyTorch nor a GPU; the same pictures give the same model.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

from training_scripts import artifact
from training_scripts.data import dataset
from training_scripts.data.dataset import NEITHER
from training_scripts.quick import backbone, head
from training_scripts.quick.network import compose
from training_scripts.quick.photographs import Photographs
from training_scripts.training import operating_point

# One in so many places of the risk-coverage curve goes into model.json; neighbours differ by one picture.
_CURVE_STEP = 5


def train(photographs: Photographs, folder: Path) -> tuple[dict[str, Any], bytes]:
    """Fit, calibrate and compose; returns the description (model.json) and the network (model.onnx).

    Args:
        photographs: what was read.
        folder: where from; its contents' hash goes into the description.
    """
    classes, truth = photographs.classes, photographs.rows.truth
    labels = [*classes, NEITHER]
    fitted, answers = head.fit(photographs.features, truth, photographs.folds, len(classes))
    point = operating_point.operating_point(answers, truth, len(classes))
    network = compose(fitted)
    cross_validation, curve = operating_point.cross_fitted(answers, truth, photographs.folds, labels)
    description = {
        "schema_version": artifact.SCHEMA_VERSION,
        "name": os.environ.get("TRAINING_JOB_NAME") or f"scones-{hashlib.sha256(network).hexdigest()[:8]}",
        "labels": labels,
        "classes_of_interest": classes,
        "input_size": backbone.SIDE,
        "mirrored": False,
        "mean": list(backbone.MEAN),
        "std": list(backbone.STD),
        "temperature": point.temperature,
        "threshold": point.threshold,
        "baseline": operating_point.baseline(
            photographs.rows, point.probabilities(answers), point.threshold, labels
        ),
        "metrics": {"cross_validation": cross_validation},
        "risk_coverage": [[round(value, 4) for value in place] for place in curve[::_CURVE_STEP]],
        "hyperparameters": {"architecture": backbone.NAME, "classes": ",".join(classes)},
        "data_sha256": dataset.digest(folder),
        "commit": artifact.commit(),
    }
    return description, network
