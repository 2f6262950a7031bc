"""Who may do what: read from the plan, so that what is checked is what AWS would get."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

DOCUMENTS = ("policy", "assume_role_policy", "definition", "event_pattern", "filter_policy", "access_policy")

# Every "*" resource of a policy that allows something, with the reason that stands beside it in the module.
STAR_RESOURCES = {
    "DeliverLogs": "log deliveries have no resource to name",
    "LogInToRegistry": "a token is for the account's whole registry",
    "PutMetrics": "metrics have no resource to name; a condition limits the namespace",
    "SendTraces": "X-Ray has no resource to name",
}
# In a key's own policy "*" means that key.
KEY_STATEMENTS = {"LetAccountAdminister", "LetAccountDelegateUse", "LetLogsEncrypt", "LetAlarmsPublish"}


def statements(plan: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(address, attribute, statement) of every policy in a plan."""
    for change in plan["resource_changes"]:
        after = change["change"]["after"] or {}
        for attribute in ("policy", "assume_role_policy"):
            document = json.loads(after.get(attribute) or "{}")
            for statement in document.get("Statement", []):
                yield change["address"], attribute, statement


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.fixture(params=["without_model", "provisioned", "serverless"])
def plan(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.getfixturevalue(request.param)


def test_nothing_is_unknown_inside_policies_patterns_and_definitions(plan: dict[str, Any]) -> None:
    unknown = [
        (change["address"], attribute)
        for change in plan["resource_changes"]
        for attribute in DOCUMENTS
        # A bucket reports its policy as an attribute of its own, which is set elsewhere.
        if change["change"]["after_unknown"].get(attribute) and change["type"] != "aws_s3_bucket"
    ]
    assert unknown == []


def test_every_statement_has_a_sid_of_its_own(plan: dict[str, Any]) -> None:
    seen = [(address, attribute, statement.get("Sid")) for address, attribute, statement in statements(plan)]
    assert len(seen) > 40
    assert [place for place in seen if not place[2]] == []
    assert sorted({place for place in seen if seen.count(place) > 1}) == []


def test_no_statement_allows_an_action_by_wildcard(plan: dict[str, Any]) -> None:
    wild = [
        (address, action)
        for address, _, statement in statements(plan)
        for action in listed(statement["Action"])
        if statement["Effect"] == "Allow" and "*" in action
    ]
    assert wild == []


def test_every_resource_wildcard_is_one_with_a_reason(plan: dict[str, Any]) -> None:
    stars = {
        (change, statement["Sid"])
        for change, attribute, statement in statements(plan)
        if attribute == "policy" and statement["Effect"] == "Allow" and "*" in listed(statement["Resource"])
    }
    unexplained = {
        place
        for place in stars
        if place[1] not in (KEY_STATEMENTS if "aws_kms_key" in place[0] else STAR_RESOURCES)
    }
    assert unexplained == set()


def test_a_key_that_is_named_by_pattern_is_recognised_by_its_alias(plan: dict[str, Any]) -> None:
    patterned = [
        statement
        for _, _, statement in statements(plan)
        if any(":key/*" in resource for resource in listed(statement.get("Resource", [])))
    ]
    assert len(patterned) >= 5
    for statement in patterned:
        assert set(statement["Condition"]["ForAnyValue:StringEquals"]) == {"kms:ResourceAliases"}


def test_only_services_assume_roles_and_only_for_this_account(plan: dict[str, Any]) -> None:
    trusts = [
        (address, it) for address, attribute, it in statements(plan) if attribute == "assume_role_policy"
    ]
    assert len(trusts) >= 7
    for address, statement in trusts:
        assert set(statement["Principal"]) == {"Service"}, address
        assert statement["Action"] == "sts:AssumeRole", address
        if (
            statement["Principal"]["Service"] != "lambda.amazonaws.com"
        ):  # documents no condition for its roles
            assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}, address


def test_buckets_queues_and_topics_deny_whatever_comes_without_tls(plan: dict[str, Any]) -> None:
    denials = {
        address: statement
        for address, _, statement in statements(plan)
        if statement["Sid"] == "DenyWithoutTLS"
    }
    guarded = [
        change["address"]
        for change in plan["resource_changes"]
        if change["type"] in ("aws_s3_bucket_policy", "aws_sqs_queue", "aws_sns_topic")
    ]
    assert sorted(denials) == sorted(guarded)
    for address, statement in denials.items():
        assert (statement["Effect"], statement["Principal"]) == ("Deny", "*"), address
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}, address


def test_nobody_outside_is_let_in_without_a_condition(plan: dict[str, Any]) -> None:
    """Resource policies let in AWS services only, each bound to this account or to one resource in it."""
    for address, attribute, statement in statements(plan):
        if attribute != "policy" or statement["Effect"] == "Deny" or "Principal" not in statement:
            continue
        if statement["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}:
            continue
        assert set(statement["Principal"]) == {"Service"}, address
        assert "123456789012" in json.dumps(statement["Condition"]), address


def test_whoever_publishes_to_an_encrypted_topic_may_use_its_key(plan: dict[str, Any]) -> None:
    """Otherwise the message is lost without a trace. Services need the key's policy, functions their role's."""
    publishers = {
        statement["Principal"]["Service"]
        for address, _, statement in statements(plan)
        if "aws_sns_topic" in address and statement["Effect"] == "Allow"
    }
    key_users = {
        statement["Principal"].get("Service")
        for address, _, statement in statements(plan)
        if "aws_kms_key" in address and "kms:GenerateDataKey" in statement["Action"]
    }
    assert publishers
    assert publishers <= key_users
    topic_targets = [
        change["address"]
        for change in plan["resource_changes"]
        if change["type"] == "aws_cloudwatch_event_target"
        and ":sns:" in (change["change"]["after"].get("arn") or "")
    ]
    assert topic_targets == [], (
        "an event rule that publishes needs events.amazonaws.com in the policies of key and topic"
    )


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
