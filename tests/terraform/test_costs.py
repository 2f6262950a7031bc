"""What an idle month may cost at most, by the resources that each environment's plan has."""

import pytest

from scripts import costs, plan_summary
from scripts.prices import Volume

MOST_IDLE_USD = 3.00


@pytest.mark.parametrize("scenario", ["without_model", "development", "provisioned", "serverless"])
def test_a_month_with_the_endpoint_off_costs_three_dollars_at_most(
    scenario: str, request: pytest.FixtureRequest
) -> None:
    resources = plan_summary.resources(request.getfixturevalue(scenario)["planned_values"])

    idle = costs.estimate(resources, "us-east-1", Volume()).idle

    assert 0 < idle.usd <= MOST_IDLE_USD, idle.lines
