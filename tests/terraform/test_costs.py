"""What an idle month may cost at most, by the resources that each environment's plan has."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.operations import cost, plan_summary
from scripts.operations.prices import Volume

MOST_IDLE_USD = 3.00
UPGRADES = Path(__file__).parent / "plans" / "upgrades.yaml"
PRICED = (*cost.WITH_ENDPOINT, "aws_cloudwatch_metric_alarm")


@pytest.mark.parametrize("scenario", ["without_model", "development", "provisioned", "serverless"])
def test_a_month_with_the_endpoint_off_costs_three_dollars_at_most(
    scenario: str, request: pytest.FixtureRequest
) -> None:
    resources = plan_summary.resources(request.getfixturevalue(scenario)["planned_values"])

    idle = cost.estimate(resources, "us-east-1", Volume()).idle

    assert 0 < idle.usd <= MOST_IDLE_USD, idle.lines


def test_idle_leaves_out_exactly_what_goes_when_the_endpoint_goes_off(provisioned: dict[str, Any]) -> None:
    cases = yaml.safe_load(UPGRADES.read_text(encoding="utf-8"))
    off = cases["the endpoint goes off by one setting, and only what needs it"]["actions"]
    deleted = {address for address, action in off.items() if action == "delete"}
    resources = plan_summary.resources(provisioned["planned_values"])

    left_out = {it["address"] for it in resources if cost.goes_with_endpoint(it)}

    assert left_out == {
        it["address"] for it in resources if it["address"] in deleted and it["type"] in PRICED
    }
    assert len(left_out) > len(cost.WITH_ENDPOINT)
