"""Decides whether the model is sure enough of something that we look for."""

from typing import Any

from functions.common import settings
from functions.common.errors import InvalidInference, InvalidInput, Misconfigured, ThresholdConfidenceNotMet
from functions.common.telemetry import count, observed


@observed
def lambda_handler(event: Any) -> dict[str, Any]:
    """Accept {"inferences": probabilities in the order of LABELS, "model": who gave them} or raise.

    Accepted when the most probable label is one of CLASSES_OF_INTEREST and its probability reaches the threshold
    that THRESHOLDS gives for the model (exactly equal is enough). Returns inferences, label, confidence, threshold;
    ThresholdConfidenceNotMet carries the last three. Also raises InvalidInput, InvalidInference, Misconfigured.
    """
    labels = settings.labels("LABELS")
    of_interest = settings.labels("CLASSES_OF_INTEREST")
    thresholds = settings.probabilities("THRESHOLDS")
    unknown = sorted(set(of_interest) - set(labels))
    if unknown:
        raise Misconfigured(
            f"CLASSES_OF_INTEREST names {unknown}, which LABELS does not know; promote a model again."
        )

    inferences = _inferences(event, len(labels))
    threshold = _threshold(event, thresholds)
    confidence = max(inferences)
    label = labels[inferences.index(confidence)]
    decision = {"label": label, "confidence": confidence, "threshold": threshold}
    count("Confidence", confidence, "None")
    if label not in of_interest:
        raise ThresholdConfidenceNotMet(
            f"The model sees {label}, which is not what this workflow looks for; look at the picture.",
            **decision,
        )
    if confidence < threshold:
        raise ThresholdConfidenceNotMet(
            f"The model is not sure enough that this is a {label}; look at the picture.", **decision
        )
    count("Accepted")
    return {"inferences": inferences, **decision}


def _inferences(event: Any, expected: int) -> list[float]:
    values = event.get("inferences") if isinstance(event, dict) else None
    if not isinstance(values, list):
        raise InvalidInput("inferences is missing or not a list; run classify_image first.")
    if len(values) != expected or not all(
        type(value) in (int, float) and 0 <= value <= 1 for value in values
    ):
        raise InvalidInference(
            f"inferences is not a list of {expected} numbers from 0 to 1; run classify_image again."
        )
    return values


def _threshold(event: dict[str, Any], thresholds: dict[str, float]) -> float:
    """The threshold of the model that answered: during a roll-out, that is not always the newest one."""
    model = event.get("model")
    if not (isinstance(model, str) and model):
        raise InvalidInput("model is missing or not a name; run classify_image first.")
    if model not in thresholds:
        raise InvalidInference(
            f"The model {model[:100]} answered, and this deployment knows the thresholds of"
            f" {', '.join(sorted(thresholds))} alone; apply the model that it should serve, or run scones rollback."
        )
    return thresholds[model]
