"""The policy language: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html."""

import json
from typing import Any

import pytest

from scripts.local_aws.iam.policy_evaluation import Call, Decision, Document, Policies, UnknownPolicy, decide

ROLE = "arn:aws:iam::123456789012:role/reader"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"
OBJECT = "arn:aws:s3:::pictures/incoming/a.jpg"
READ = {"Sid": "Read", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::pictures/*"]}


def document(*statements: dict[str, Any], owner: str = ROLE) -> Document:
    return Document(owner, json.dumps({"Version": "2012-10-17", "Statement": statements}))


def decided(
    *statements: dict[str, Any],
    action: str = "s3:GetObject",
    resource: str = OBJECT,
    boundary: Document | None = None,
    of_resource: Document | None = None,
    principal: str = ROLE,
    context: dict[str, str] | None = None,
) -> Decision:
    call = Call(principal, action, resource, tuple((key, (value,)) for key, value in (context or {}).items()))
    return decide(call, Policies((document(*statements),), boundary, of_resource))


def test_what_no_statement_allows_is_denied() -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"""
    assert decided(READ) == Decision(allowed=True, by=((ROLE, "Read"),), reason="")
    denied = decided(READ, action="s3:PutObject")
    assert not denied.allowed
    assert denied.reason == "because no identity-based policy allows the s3:PutObject action"


def test_a_denial_counts_more_than_what_allows() -> None:
    keep_out = {"Sid": "KeepOut", "Effect": "Deny", "Action": "s3:*", "Resource": "*"}
    assert decided(READ, keep_out) == Decision(
        allowed=False, by=((ROLE, "KeepOut"),), reason="with an explicit deny"
    )


@pytest.mark.parametrize(
    ("pattern", "resource", "fits"),
    [
        ("arn:aws:s3:::pictures/*", "arn:aws:s3:::pictures/a/b", True),
        ("arn:aws:s3:::pictures/?", "arn:aws:s3:::pictures/ab", False),
        ("arn:aws:s3:::pictures/*", "arn:aws:s3:::pictures-of-others/a", False),
        ("arn:aws:s3:::pictures/[a]", "arn:aws:s3:::pictures/a", False),
        ("arn:aws:s3:::pictures/*", "arn:aws:s3:::pictures/line\nbreak", True),
        ("arn:aws:s3:::Pictures/*", "arn:aws:s3:::pictures/a", False),
    ],
)
def test_resources_are_matched_by_star_and_question_mark_alone(
    pattern: str, resource: str, fits: bool
) -> None:
    assert decided({**READ, "Resource": pattern}, resource=resource).allowed is fits


def test_actions_are_matched_whatever_their_case() -> None:
    assert decided({**READ, "Action": "S3:getobject"}).allowed


@pytest.mark.parametrize(
    ("condition", "context", "holds"),
    [
        ({"StringEquals": {"kms:ViaService": ["s3", "sns"]}}, {"kms:viaservice": "sns"}, True),
        ({"StringEquals": {"kms:ViaService": "s3"}}, {"kms:viaservice": "S3"}, False),
        ({"StringEquals": {"kms:ViaService": "s3"}}, {}, False),
        ({"StringEqualsIfExists": {"kms:ViaService": "s3"}}, {}, True),
        ({"StringNotEquals": {"kms:ViaService": "s3"}}, {"kms:viaservice": "s3"}, False),
        ({"StringNotEquals": {"kms:ViaService": "s3"}}, {}, True),
        ({"StringLike": {"s3:prefix": ["results/*"]}}, {"s3:prefix": "results/a"}, True),
        ({"StringLike": {"s3:prefix": ["results/*"]}}, {"s3:prefix": "models/a"}, False),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:events:*:1:rule/a-*"}}, {"aws:sourcearn": "arn:aws:events:x:1:rule/a-b"}, True),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:*:rule/a"}}, {"aws:sourcearn": "arn:aws:events:x:1:rule/a"}, False),
        ({"ArnEquals": {"aws:SourceArn": "arn:aws:events:x:1:rule/a"}}, {"aws:sourcearn": "arn:aws:events:x:1:rule/b"}, False),
        ({"Bool": {"aws:SecureTransport": False}}, {"aws:securetransport": "false"}, True),
        ({"Null": {"aws:SourceArn": "true"}}, {}, True),
        ({"Null": {"aws:SourceArn": "true"}}, {"aws:sourcearn": "a"}, False),
        ({"ForAnyValue:StringEquals": {"kms:ResourceAliases": ["alias/a"]}}, {"kms:resourcealiases": "alias/a"}, True),
        ({"StringEquals": {"a:b": "1"}, "Bool": {"c:d": "true"}}, {"a:b": "1", "c:d": "false"}, False),
    ],
)  # fmt: skip
def test_every_condition_must_hold(condition: Any, context: dict[str, str], holds: bool) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html"""
    assert decided({**READ, "Condition": condition}, context=context).allowed is holds


def test_any_of_a_keys_values_may_fit() -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html"""
    condition = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": ["alias/b"]}}
    call = Call(ROLE, "s3:GetObject", OBJECT, (("kms:resourcealiases", ("alias/a", "alias/b")),))
    assert decide(call, Policies((document({**READ, "Condition": condition}),))).allowed


@pytest.mark.parametrize(
    "statement",
    [
        {**READ, "Condition": {"DateLessThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}},
        {**READ, "Condition": {"ForAllValues:StringEquals": {"a:b": "c"}}},
        {**READ, "Resource": "arn:aws:s3:::${aws:PrincipalTag/team}/*"},
        {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"},
    ],
)
def test_what_is_not_emulated_is_an_error_not_a_permission(statement: dict[str, Any]) -> None:
    with pytest.raises(UnknownPolicy, match="not emulated"):
        decided(statement)


def test_a_boundary_limits_and_grants_nothing() -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html"""
    everything = document({"Effect": "Allow", "Action": "*", "Resource": "*"}, owner="boundary")
    nothing = document(owner="boundary")
    assert decided(READ, boundary=everything).allowed
    assert not decided(boundary=everything).allowed
    assert "within its boundary" in decided(READ, boundary=nothing).reason


def test_a_resources_policy_lets_the_roles_in_that_it_names() -> None:
    of_bucket = document(
        {**READ, "Sid": "LetReader", "Principal": {"AWS": ROLE}}, owner="arn:aws:s3:::pictures"
    )
    assert decided(of_resource=of_bucket).by == (("arn:aws:s3:::pictures", "LetReader"),)
    assert not decided(of_resource=of_bucket, principal=f"{ROLE}2").allowed


def test_a_service_is_let_in_by_the_resources_policy_alone() -> None:
    invoke = {
        "Sid": "LetRule",
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "s3:GetObject",
        "Resource": "*",
        "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:events:us-east-1:1:rule/a"}},
    }
    let_in = decided(
        of_resource=document(invoke),
        principal="events.amazonaws.com",
        context={"aws:sourcearn": "arn:aws:events:us-east-1:1:rule/a"},
    )
    assert let_in.allowed
    assert not decided(READ, of_resource=document(invoke), principal="events.amazonaws.com").allowed


@pytest.mark.parametrize(
    ("principal", "own", "allowed"),
    [
        ("arn:aws:iam::123456789012:root", True, True),
        ("arn:aws:iam::123456789012:root", False, False),
        ("arn:aws:iam::123456789012:role/other", True, False),
        (ROLE, False, True),
    ],
)
def test_a_keys_policy_must_let_the_role_in_too(principal: str, own: bool, allowed: bool) -> None:
    """https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html"""
    decrypt = {"Sid": "Decrypt", "Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
    of_key = document({**decrypt, "Sid": "OfKey", "Principal": {"AWS": principal}}, owner=KEY)
    decision = decided(*[decrypt] * own, action="kms:Decrypt", resource=KEY, of_resource=of_key)
    assert decision.allowed is allowed


def test_only_the_roles_own_policy_says_who_assumes_it() -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_terms-and-concepts.html"""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    asked = {"action": "sts:AssumeRole", "resource": ROLE, "of_resource": document(trust)}
    assert decided(principal="lambda.amazonaws.com", **asked).allowed  # type: ignore[arg-type]
    assert not decided(principal="states.amazonaws.com", **asked).allowed  # type: ignore[arg-type]
