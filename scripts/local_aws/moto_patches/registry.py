"""Which repairs of moto each service gets when its application is created."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripts.local_aws.core.moto_backends import moto_module
from scripts.local_aws.moto_patches import dynamodb
from scripts.local_aws.moto_patches.autoscaling import repair_scaling_tags
from scripts.local_aws.moto_patches.awslambda import repair_function_configuration
from scripts.local_aws.moto_patches.budgets import repair_budget_tags, repair_budgets
from scripts.local_aws.moto_patches.s3 import (
    repair_bucket_notifications,
    repair_bucket_policies,
    repair_delete_markers,
    repair_multipart_events,
    repair_version_listing,
)
from scripts.local_aws.moto_patches.sqs import repair_queue_attributes


def create_app(service: str) -> Any:
    """The Flask application of one of moto's services, repaired; made when the service is first called."""
    for repair in REPAIRS.get(service, ()):
        repair()
    return moto_module("moto_server.werkzeug_app").create_backend_app(service)


REPAIRS: dict[str, tuple[Callable[[], None], ...]] = {
    "s3": (
        repair_bucket_policies,
        repair_bucket_notifications,
        repair_multipart_events,
        repair_version_listing,
        repair_delete_markers,
    ),
    "dynamodb": (dynamodb.install,),
    "sqs": (repair_queue_attributes,),
    "awslambda": (repair_function_configuration,),
    "applicationautoscaling": (repair_scaling_tags,),
    "budgets": (repair_budgets, repair_budget_tags),
}
