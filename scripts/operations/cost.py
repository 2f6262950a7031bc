"""What a deployment costs: idle, in a month of a given volume, and so far in this month.

These are estimates by list prices (scripts/operations/prices.py). Cost Explorer shows what AWS
bills.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scripts.deployment.outputs import Deployment, found
from scripts.operations import prices
from scripts.operations.prices import HOURS_PER_MONTH, Estimate, Line, Volume
from scripts.workflow.ledger import Ledger

# The billed resources that `endpoint.enabled = false` removes: by type, and alarms by their keys in
# terraform/alarms.tf.
WITH_ENDPOINT = (
    "aws_sagemaker_endpoint",
    "aws_sagemaker_endpoint_configuration",
    "aws_appautoscaling_target",
)
ALARMS_WITH_ENDPOINT = (
    "endpoint-errors",
    "endpoint-latency",
    "idle-endpoint",
    "low-confidence-share",
    "stale-stream",
)

Resources = list[dict[str, Any]]


@dataclass(frozen=True)
class Costs:
    """A month with no endpoint and no pictures, and one at a volume, as deployed or planned."""

    idle: Estimate
    month: Estimate


def estimate(resources: Resources, region: str, volume: Volume) -> Costs:
    """The costs of resources as Terraform's JSON lists them."""
    without = [it for it in resources if not goes_with_endpoint(it)]
    return Costs(prices.estimate(without, region, Volume(0, 0)), prices.estimate(resources, region, volume))


def goes_with_endpoint(resource: dict[str, Any]) -> bool:
    """Whether a resource exists only while the endpoint is on."""
    alarm = (
        resource["type"] == "aws_cloudwatch_metric_alarm" and resource.get("index") in ALARMS_WITH_ENDPOINT
    )
    return alarm or resource["type"] in WITH_ENDPOINT


def so_far(deployment: Deployment, costs: Costs, now: datetime) -> list[Line]:
    """This month's costs until now, from the ledger's rows and the hours that each part has run.

    The key's age is taken as the deployment's. Reads the whole ledger.
    """
    first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    key = deployment.client("kms").describe_key(KeyId=deployment.key_arn)["KeyMetadata"]
    hours = (now - max(first, key["CreationDate"].astimezone(UTC))).total_seconds() / 3600
    count = Ledger(deployment).count_since(first)
    lines = [
        Line(
            "Pictures",
            f"{count:,} decided x ${costs.month.per_further_picture:.5f}",
            count * costs.month.per_further_picture,
        )
    ]
    for line in costs.month.standing:
        if line.item == "Endpoint":
            since = _endpoint_since(deployment, first)
            up = (now - since).total_seconds() / 3600 if since else 0.0
            hourly = line.usd / HOURS_PER_MONTH
            lines.append(Line("Endpoint", f"{up:,.1f} h x ${hourly:.3f}", up * hourly))
        else:
            usd = line.usd * min(1, hours / HOURS_PER_MONTH)
            lines.append(Line(line.item, f"{line.formula} x {hours:,.0f} of {HOURS_PER_MONTH} h", usd))
    return lines


def _endpoint_since(deployment: Deployment, first: datetime) -> datetime | None:
    """When this month the endpoint was switched on; None if it is off now.

    If it was on before and switched off in between, that time is not counted.
    """
    if (name := deployment.endpoint_name) is None:
        return None
    described = found(deployment.client("sagemaker").describe_endpoint, EndpointName=name)
    return max(described["CreationTime"].astimezone(UTC), first) if described else None
