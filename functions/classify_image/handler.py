"""Asks the endpoint for the probabilities of one picture."""

import base64
import binascii
import contextlib
import json
import math
import re
from typing import Any

from functions.common import settings
from functions.common.aws import ErrorsByCode, client, named_error, read_body
from functions.common.errors import (
    EndpointUnavailable,
    InvalidInference,
    InvalidInput,
    Misconfigured,
    WorkflowError,
)
from functions.common.inference_id import MAX_RUN, inference_id
from functions.common.labels import labels_hash
from functions.common.shown import shown
from functions.common.telemetry import observed

READ_TIMEOUT_SECONDS = 20
MAX_ANSWER_BYTES = 65_536
SUM_TOLERANCE = 1e-3

# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
ERRORS_BY_CODE: ErrorsByCode = {
    "ValidationError": (
        Misconfigured,
        "promote a model and apply, so that the endpoint exists and takes requests",
    ),
    "ModelNotReadyException": (EndpointUnavailable, "it can be tried again"),
    "InternalDependencyException": (EndpointUnavailable, "it can be tried again"),
}


@observed
def lambda_handler(event: Any) -> dict[str, Any]:
    """Send {"image_data": base64 of a PNG, "s3_bucket", "s3_key", "s3_version_id", "run"} to ENDPOINT_NAME.

    The model gets only the bytes. The rest names the inference, so that what the endpoint captures can be
    traced to the picture's row in the ledger.

    Returns inferences (one probability for each of LABELS, in that order) and model (the name that the
    endpoint gives). Raises InvalidInput, EndpointUnavailable, InvalidInference, Misconfigured.
    """
    labels = settings.labels("LABELS")
    body, attributes = _invoke(settings.text("ENDPOINT_NAME"), _image_bytes(event), _inference_id(event))
    model = _model(attributes, labels)
    return {"inferences": _probabilities(body, len(labels)), "model": model}


def _image_bytes(event: Any) -> bytes:
    image_data = event.get("image_data") if isinstance(event, dict) else None
    if not (isinstance(image_data, str) and image_data):
        raise InvalidInput("image_data is missing, empty or not a string; run serialize_image_data first.")
    try:
        return base64.b64decode(image_data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"image_data is not base64 ({error}); run serialize_image_data first.") from error


def _inference_id(event: dict[str, Any]) -> str:
    bucket, key, version, run = (
        event.get(name, "") for name in ("s3_bucket", "s3_key", "s3_version_id", "run")
    )
    named = all(isinstance(name, str) and name for name in (bucket, key, version))
    if not (named and type(run) is int and 0 <= run <= MAX_RUN):
        raise InvalidInput(
            "s3_bucket, s3_key and s3_version_id must be non-empty strings and run a whole number from 0 to"
            f" {MAX_RUN}, as they name the inference; pass on those of the execution."
        )
    return inference_id(bucket, key, version, run)


def _invoke(endpoint: str, image: bytes, inference: str) -> tuple[bytes, str]:
    """The answer's body and its custom attributes."""
    try:
        response = client("sagemaker-runtime", READ_TIMEOUT_SECONDS).invoke_endpoint(
            EndpointName=endpoint,
            ContentType="image/png",
            Accept="application/json",
            InferenceId=inference,
            Body=image,
        )
        with contextlib.closing(response["Body"]) as body:
            return read_body(body, MAX_ANSWER_BYTES), response.get("CustomAttributes", "")
    except Exception as error:
        raise _endpoint_error(error, endpoint) from error


def _endpoint_error(error: Exception, endpoint: str) -> WorkflowError:
    """ModelError (HTTP 424) carries the container's own status: 4xx means that it understood and refused."""
    response = getattr(error, "response", None) or {}
    container_status = response.get("OriginalStatusCode", 0)
    if response.get("Error", {}).get("Code") == "ModelError":
        said = f"{container_status} {response.get('OriginalMessage', '')[:200]}"
        if 400 <= container_status < 500 and container_status not in (408, 429):
            return InvalidInference(
                f"The model's server refused the picture ({said}); promote a model and apply again."
            )
        return EndpointUnavailable(f"The model's server failed ({said}); it can be tried again.")
    return named_error(error, f"Asking the endpoint {endpoint}", EndpointUnavailable, ERRORS_BY_CODE)


def _model(attributes: str, labels: list[str]) -> str:
    """The model's name from `model=<name>;labels=<hash>`, once the hash proves the order of the answer."""
    found = dict(re.findall(r"(\w+)=([^;]*)", attributes))
    if not found.get("model") or found.get("labels") != labels_hash(labels):
        raise InvalidInference(
            f"The endpoint's model says {shown(attributes)} where labels={labels_hash(labels)} is expected;"
            " promote the model again and apply, so that endpoint and functions know the same labels."
        )
    return found["model"]


def _probabilities(body: bytes, count: int) -> list[float]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not (isinstance(answer, list) and all(type(value) in (int, float) for value in answer)):
        raise InvalidInference(
            f"The endpoint answered {shown(body)}, not a JSON list of numbers; check the serving program."
        )
    if len(answer) != count:
        raise InvalidInference(
            f"The endpoint answered {len(answer)} numbers for {count} labels; check the model."
        )
    probable = all(0 <= value <= 1 for value in answer)  # also false for NaN
    if not (probable and abs(math.fsum(answer) - 1) <= SUM_TOLERANCE):
        raise InvalidInference(
            f"The endpoint answered {shown(answer)}, which are not probabilities adding up to 1; check the model."
        )
    return [float(value) for value in answer]
