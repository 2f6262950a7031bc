"""The workflow's named errors.

A name is the same in Python, in the state machine's Retry and Catch, in the ledger and in alerts:
Lambda hands the class name to Step Functions as the error's name.
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
"""

import json
from typing import Any


class WorkflowError(Exception):
    """A named error with a reason for people: what happened, why, and what to do, on one line.

    `str(error)` is the reason alone, or, with details (label, confidence, s3_version_id, ...), the JSON
    object {"reason": ..., **details}, which the state machine parses out of the task's Cause.
    """

    def __init__(self, reason: str, **details: Any) -> None:
        # Reasons quote what came in, and JSON can hold half a character (a lone surrogate).
        self.reason = " ".join(reason.encode("utf-8", "replace").decode().split())
        self.details = details
        super().__init__(self.reason)

    def __str__(self) -> str:
        if not self.details:
            return self.reason
        return json.dumps({"reason": self.reason, **self.details})


class InvalidInput(WorkflowError):
    """The input is not what the function's contract asks for."""


class ImageNotFound(WorkflowError):
    """The object, or this version of it, does not exist."""


class ImageRejected(WorkflowError):
    """The object is not an acceptable picture."""


class ImageUnavailable(WorkflowError):
    """The object cannot be read at this moment (throttling, server errors, cut-off reads). Retryable."""


class EndpointUnavailable(WorkflowError):
    """The endpoint cannot answer at this moment (throttled, not ready, 5xx, timeouts). Retryable."""


class AlertUnavailable(WorkflowError):
    """The topic cannot take a message at this moment. Retryable."""


class ReportUnavailable(WorkflowError):
    """What a drift report is made of cannot be read at this moment. Retryable."""


class InvalidInference(WorkflowError):
    """The endpoint's answer cannot be used."""


class ThresholdConfidenceNotMet(WorkflowError):
    """No class of interest reaches the threshold."""


class Misconfigured(WorkflowError):
    """Somebody must change a setting or a permission first; a retry cannot help."""
