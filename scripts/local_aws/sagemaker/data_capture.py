"""SageMaker data capture: an endpoint's requests and answers, as JSON lines in S3.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
"""

from __future__ import annotations

import base64
import json
import logging
import random
import threading
import uuid
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scripts.local_aws.core import moto_backends
from scripts.local_aws.iam.authorization import Authorization, Caller

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
CSV_TYPES = ("text/csv",)
JSON_TYPES = ("application/json",)


@dataclass(frozen=True)
class Inference:
    """One request to an endpoint and its answer, with their content types."""

    sent: bytes
    sent_type: str
    answered: bytes
    answered_type: str
    inference_id: str
    custom_attributes: str


class DataCapture:
    """Collects records and writes them in the background, one object per variant and batch, by the model's role."""

    def __init__(self, authorization: Authorization) -> None:
        self._authorization = authorization
        self._lock = threading.Lock()
        self._callers: dict[str, Caller | None] = {}
        self._configs: dict[str, dict[str, Any]] = {}
        self._records: dict[tuple[str, str], list[str]] = defaultdict(list)
        threading.Thread(target=self._flush_regularly, daemon=True).start()

    def configure(self, endpoint: str, config: dict[str, Any] | None, caller: Caller | None) -> None:
        """Set the endpoint's DataCaptureConfig, or none."""
        self.flush()
        with self._lock:
            self._configs.pop(endpoint, None)
            self._callers[endpoint] = caller
            if config and config.get("EnableCapture"):
                self._configs[endpoint] = config

    def record(self, endpoint: str, variant: str, inference: Inference) -> None:
        """Capture one inference, if the endpoint captures and the sampling takes it."""
        config = self._configs.get(endpoint)
        if not config or random.uniform(0, 100) >= config["InitialSamplingPercentage"]:  # noqa: S311
            return
        with self._lock:
            self._records[endpoint, variant].append(json.dumps(_record(config, inference)))

    def flush(self) -> None:
        """Write what was collected."""
        with self._lock:
            batches, self._records = self._records, defaultdict(list)
            configs = dict(self._configs)
        for (endpoint, variant), lines in batches.items():
            if endpoint in configs:
                self._write(configs[endpoint], endpoint, variant, lines)

    def _write(self, config: dict[str, Any], endpoint: str, variant: str, lines: list[str]) -> None:
        bucket, _, prefix = config["DestinationS3Uri"].removeprefix("s3://").partition("/")
        now = datetime.now(UTC)
        name = f"{now:%M-%S}-{now.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
        parts = [prefix.rstrip("/"), endpoint, variant, f"{now:%Y/%m/%d/%H}", name]
        key = "/".join(part for part in parts if part)
        caller = self._callers[endpoint]
        try:
            assert caller is not None
            self._authorization.check(caller, "s3:PutObject", Bucket=bucket, Key=key)
            moto_backends.s3().put_object(bucket, key, ("\n".join(lines) + "\n").encode())
        except Exception as error:  # the bucket may be gone; the endpoint must not suffer, as on AWS
            logger.warning(
                "capture of %s could not be written to %s: %s", endpoint, config["DestinationS3Uri"], error
            )

    def _flush_regularly(self) -> None:
        waiter = threading.Event()
        while not waiter.wait(FLUSH_SECONDS):
            self.flush()


def _record(config: dict[str, Any], inference: Inference) -> dict[str, Any]:
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    captured: dict[str, Any] = {}
    if modes & {"Input", "InputAndOutput"}:
        captured["endpointInput"] = _captured(config, inference.sent_type, inference.sent, "INPUT")
    if modes & {"Output", "InputAndOutput"}:
        captured["endpointOutput"] = _captured(config, inference.answered_type, inference.answered, "OUTPUT")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata: dict[str, Any] = {"eventId": str(uuid.uuid4()), "inferenceTime": now}
    if inference.custom_attributes:
        metadata["customAttributes"] = [inference.custom_attributes]
    if inference.inference_id:
        metadata["inferenceId"] = inference.inference_id
    return {"captureData": captured, "eventMetadata": metadata, "eventVersion": "0"}


def _captured(config: dict[str, Any], content_type: str, data: bytes, mode: str) -> dict[str, str]:
    header = config.get("CaptureContentTypeHeader") or {}
    kind = content_type.partition(";")[0].strip().lower()
    if kind in [name.lower() for name in header.get("CsvContentTypes", CSV_TYPES)]:
        encoding, text = "CSV", data.decode("utf-8", "replace")
    elif kind in [name.lower() for name in header.get("JsonContentTypes", JSON_TYPES)]:
        encoding, text = "JSON", data.decode("utf-8", "replace")
    else:
        encoding, text = "BASE64", base64.b64encode(data).decode()
    return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}
