"""What moto's Application Auto Scaling lacks or gets wrong."""

from __future__ import annotations

import json
from typing import Any

from scripts.local_aws.core.moto_backends import moto_module


def repair_scaling_tags() -> None:
    """Application Auto Scaling has no tags at all.

    https://docs.aws.amazon.com/autoscaling/application/APIReference/API_ListTagsForResource.html
    """
    responses = moto_module("applicationautoscaling.responses").ApplicationAutoScalingResponse
    tags: dict[str, dict[str, str]] = {}

    def register_scalable_target(self: Any) -> str:
        answer = register(self)
        arn = json.loads(answer)["ScalableTargetARN"]
        tags.setdefault(arn, {}).update(self._get_param("Tags") or {})
        return answer

    def list_tags_for_resource(self: Any) -> str:
        return json.dumps({"Tags": tags.get(self._get_param("ResourceARN"), {})})

    def tag_resource(self: Any) -> str:
        tags.setdefault(self._get_param("ResourceARN"), {}).update(self._get_param("Tags"))
        return "{}"

    def untag_resource(self: Any) -> str:
        for key in self._get_param("TagKeys"):
            tags.get(self._get_param("ResourceARN"), {}).pop(key, None)
        return "{}"

    register = responses.register_scalable_target
    for method in (register_scalable_target, list_tags_for_resource, tag_resource, untag_resource):
        setattr(responses, method.__name__, method)
