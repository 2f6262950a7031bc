"""What moto's SQS lacks or gets wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from scripts.local_aws.core.moto_backends import moto_module


def repair_queue_attributes() -> None:
    """SetQueueAttributes wipes a policy it does not name, and RedrivePolicy is not compact JSON.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    """
    queue = moto_module("sqs.models").Queue
    set_attributes = queue._set_attributes
    read_attributes: Callable[[Any], dict[str, Any]] = queue.attributes.fget

    @wraps(set_attributes)
    def _set_attributes(self: Any, attributes: dict[str, Any], now: float | None = None) -> None:
        if "Policy" not in attributes:
            attributes = {**attributes, "Policy": getattr(self, "policy", None)}
        set_attributes(self, attributes, now)

    def attributes(self: Any) -> dict[str, Any]:
        result = read_attributes(self)
        if "RedrivePolicy" in result:
            result["RedrivePolicy"] = json.dumps(self.redrive_policy, separators=(",", ":"))
        return result

    queue._set_attributes = _set_attributes
    queue.attributes = property(attributes)
