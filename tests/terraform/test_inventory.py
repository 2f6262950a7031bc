"""Which resources each kind of deployment has, as addresses that read like sentences."""

from pathlib import Path
from typing import Any

import pytest

INVENTORY = Path(__file__).parent / "inventory"


def addresses(plan: dict[str, Any]) -> list[str]:
    return sorted(change["address"] for change in plan["resource_changes"] if change["mode"] == "managed")


@pytest.mark.parametrize("scenario", ["without_model", "provisioned", "serverless"])
def test_plan_creates_exactly_the_listed_resources(scenario: str, request: pytest.FixtureRequest) -> None:
    """The first list is whole; the others add to it. A change here is a change of the product: edit the list."""
    listed = (INVENTORY / "without_model.txt").read_text(encoding="utf-8").splitlines()
    if scenario != "without_model":
        listed += (INVENTORY / f"{scenario}.txt").read_text(encoding="utf-8").splitlines()
    assert addresses(request.getfixturevalue(scenario)) == sorted(listed)


def test_an_existing_key_replaces_the_projects_own(organisation: dict[str, Any]) -> None:
    assert not [address for address in addresses(organisation) if address.startswith("module.key")]
    key = organisation["planned_values"]["outputs"]["key_arn"]["value"]
    assert key == "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
