"""The project's own rules (scripts/policy/rules.py) hold for every kind of deployment, not for production alone."""

import copy
from typing import Any

import pytest

from scripts.policy import inventory, mutations, permissions_page, rules
from scripts.policy.plan_json import filled, listed, statements

RULES = (*rules.RULES, rules.state_machines_are_sound)


@pytest.mark.parametrize("scenario", ["without_model", "provisioned", "serverless", "organisation"])
def test_every_kind_of_deployment_keeps_every_rule(scenario: str, request: pytest.FixtureRequest) -> None:
    plan = copy.deepcopy(request.getfixturevalue(scenario))
    assert rules.broken(filled(plan), RULES) == []


def test_the_page_of_permissions_is_what_the_plan_says(provisioned: dict[str, Any]) -> None:
    assert permissions_page.broken(provisioned) == []


def test_the_inventory_is_what_the_plan_sets(provisioned: dict[str, Any]) -> None:
    assert inventory.broken(filled(copy.deepcopy(provisioned))) == []


# No single weakening of production's plan breaks these; tests/unit/policy/test_rules.py does.
ELSEWHERE = {rules.everything_is_known, rules.alarms_reach_somebody}


def test_every_rule_notices_a_weakening(provisioned: dict[str, Any]) -> None:
    """`make mutations` asks the other way round: is every weakening noticed, by these rules or by another gate?"""
    plan = filled(copy.deepcopy(provisioned))
    silent = set(RULES) - ELSEWHERE
    for weakening in mutations.of_plan(plan):
        weak = weakening.applied(plan)
        silent -= {rule for rule in silent if any(rule(weak))}
        if not silent:
            break
    assert {rule.__name__ for rule in silent} == set()


def test_a_permissions_boundary_reaches_every_role(organisation: dict[str, Any]) -> None:
    changes = organisation["resource_changes"]
    roles = [change["change"]["after"] for change in changes if change["type"] == "aws_iam_role"]
    assert len(roles) >= 7
    assert {role["permissions_boundary"] for role in roles} == {"arn:aws:iam::123456789012:policy/boundary"}


def test_policies_name_an_existing_key_and_nothing_else(organisation: dict[str, Any]) -> None:
    keys = {
        resource
        for _, _, statement in statements(organisation)
        for resource in listed(statement.get("Resource", []))
        if ":kms:" in resource
    }
    assert keys == {"arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"}
