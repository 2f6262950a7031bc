"""Which resources each environment has, as addresses that read like sentences, and the values that matter.

plans/every.yaml lists what all have; the others list what they have in addition. A change here is a change of the product:
look at the plan (`make plan ENV=prod OFFLINE=1`), then edit the list.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

PLANS = Path(__file__).parent / "plans"
SCENARIOS = {
    "local": "without_model",
    "dev": "development",
    "prod": "provisioned",
    "serverless": "serverless",
}


def addresses(plan: dict[str, Any]) -> list[str]:
    return sorted(change["address"] for change in plan["resource_changes"] if change["mode"] == "managed")


def different(expected: Any, actual: Any, place: str = "") -> list[str]:
    """Where a value lacks something of what is expected; further attributes and blocks do not matter."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return [
            line
            for name, value in expected.items()
            for line in different(value, actual.get(name, "(absent)"), f"{place}.{name}")
        ]
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return [
            line
            for index, value in enumerate(expected)
            for line in different(value, actual[index], f"{place}[{index}]")
        ]
    return [] if expected == actual else [f"{place}: expected {expected!r}, planned {actual!r}"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_environment_has_exactly_the_listed_resources(
    name: str, expected_plans: dict[str, dict[str, Any]], request: pytest.FixtureRequest
) -> None:
    """With the values that matter."""
    expected = expected_plans[name]
    every = yaml.safe_load((PLANS / "every.yaml").read_text(encoding="utf-8"))
    plan = request.getfixturevalue(SCENARIOS[name])
    assert addresses(plan) == sorted(every["addresses"] + expected["addresses"])
    after = {change["address"]: change["change"]["after"] for change in plan["resource_changes"]}
    assert [
        line
        for address in expected["values"]
        for line in different(expected["values"][address], after[address], address)
    ] == []


def test_every_expected_plan_is_held_against_a_real_one(expected_plans: dict[str, dict[str, Any]]) -> None:
    assert set(expected_plans) == set(SCENARIOS)


def test_an_existing_key_replaces_the_projects_own(organisation: dict[str, Any]) -> None:
    assert not [address for address in addresses(organisation) if address.startswith("module.key")]
    key = organisation["planned_values"]["outputs"]["key_arn"]["value"]
    assert key == "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
