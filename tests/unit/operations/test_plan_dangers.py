"""A plan's dangers include what it weakens without destroying anything."""

import json
from typing import Any

import pytest

from scripts.operations import plan_dangers, plan_markdown
from scripts.operations.plan_dangers import weakened
from tests.support.definitions import filled
from tests.unit.operations.test_plan_summary import change, summary

KEPT = {"status": "Enabled", "filter": [{"prefix": "results/"}]}


def rule(name: str, **blocks: Any) -> dict[str, Any]:
    return {"id": name, **KEPT, **{block: [values] for block, values in blocks.items()}}


def definition(days: int) -> str:
    return json.dumps(filled("classify", ledger_retention_days=str(days)))


ALLOWS = json.dumps({"Statement": [{"Effect": "Allow"}]})
CASES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    (
        "aws_cloudwatch_log_group",
        {"retention_in_days": 365},
        {"retention_in_days": 14},
        "for 14 days, no longer for 365",
    ),
    ("aws_cloudwatch_log_group", {"retention_in_days": 0}, {"retention_in_days": 365}, "no longer for ever"),
    (
        "aws_s3_bucket_lifecycle_configuration",
        {"rule": [rule("old", noncurrent_version_expiration={"noncurrent_days": 30})]},
        {"rule": [rule("old", noncurrent_version_expiration={"noncurrent_days": 1})]},
        "overwritten objects go after 1 days, no longer after 30",
    ),
    (
        "aws_s3_bucket_lifecycle_configuration",
        {"rule": []},
        {"rule": [rule("all", expiration={"days": 7})]},
        "all is new or covers other objects: objects go after 7 days",
    ),
    (
        "aws_s3_bucket_lifecycle_configuration",
        {"rule": [rule("results", expiration={"days": 7})]},
        {"rule": [rule("results", expiration={"days": 7}) | {"filter": [{}]}]},
        "covers other objects",
    ),
    (
        "aws_s3_bucket_lifecycle_configuration",
        {"rule": [rule("results", expiration={"days": 7}) | {"status": "Disabled"}]},
        {"rule": [rule("results", expiration={"days": 7})]},
        "is new",
    ),
    (
        "aws_s3_bucket_lifecycle_configuration",
        {"rule": []},
        {"rule": [rule("end", expiration={"date": "2026-12-01T00:00:00Z"})]},
        "end is new",
    ),
    (
        "aws_s3_bucket_versioning",
        {"versioning_configuration": [{"status": "Enabled"}]},
        {"versioning_configuration": [{"status": "Suspended"}]},
        "versioning is suspended",
    ),
    ("aws_s3_bucket_versioning", {"versioning_configuration": [{"status": "Enabled"}]}, {}, "suspended"),
    ("aws_s3_bucket_policy", {"policy": "{}"}, {"policy": ALLOWS}, "bucket's policy changes"),
    (
        "aws_s3_bucket_public_access_block",
        {"block_public_acls": True},
        {"block_public_acls": False},
        "public",
    ),
    (
        "aws_s3_bucket",
        {"force_destroy": False},
        {"force_destroy": True},
        "destroy takes what the bucket holds",
    ),
    ("aws_kms_key", {"policy": "{}"}, {"policy": ALLOWS}, "the key's policy changes"),
    (
        "aws_kms_key",
        {"policy": "{}", "is_enabled": True},
        {"policy": "{}", "is_enabled": False},
        "the key is",
    ),
    (
        "aws_kms_key",
        {"deletion_window_in_days": 30},
        {"deletion_window_in_days": 7},
        "for 7 days, no longer for 30",
    ),
    (
        "aws_dynamodb_table",
        {"deletion_protection_enabled": True},
        {"deletion_protection_enabled": False},
        "deletion protection is switched off",
    ),
    (
        "aws_dynamodb_table",
        {"point_in_time_recovery": [{"enabled": True}]},
        {"point_in_time_recovery": [{"enabled": False}]},
        "point-in-time recovery is switched off",
    ),
    (
        "aws_dynamodb_table",
        {"point_in_time_recovery": [{"enabled": True, "recovery_period_in_days": 35}]},
        {"point_in_time_recovery": [{"enabled": True, "recovery_period_in_days": 1}]},
        "from 1 days, no longer from 35",
    ),
    (
        "aws_dynamodb_table",
        {"ttl": [{"enabled": False, "attribute_name": ""}]},
        {"ttl": [{"enabled": True, "attribute_name": "time"}]},
        "rows expire by time",
    ),
    (
        "aws_sfn_state_machine",
        {"definition": definition(730)},
        {"definition": definition(7)},
        "rows of the ledger expire after 7 days, no longer after 730",
    ),
    (
        "aws_sqs_queue",
        {"message_retention_seconds": 1209600},
        {"message_retention_seconds": 3600},
        "no longer for 14",
    ),
    (
        "aws_ecr_repository",
        {"image_tag_mutability": "IMMUTABLE"},
        {"image_tag_mutability": "MUTABLE"},
        "an image can be replaced",
    ),
    ("aws_ecr_repository", {"force_delete": False}, {"force_delete": True}, "takes the images"),
    ("aws_ecr_lifecycle_policy", {"policy": "{}"}, {"policy": '{"rules": [1]}'}, "which images expire"),
]


@pytest.mark.parametrize(("kind", "before", "after", "words"), CASES)
def test_a_protection_taken_away_is_a_danger(
    kind: str, before: dict[str, Any], after: dict[str, Any], words: str
) -> None:
    done = summary(change(f"module.x.{kind}.this", "update", before=before, after=after))
    assert [it.address for it in done.dangers] == [f"module.x.{kind}.this"]
    assert words in "; ".join(done.dangers[0].weakens)
    text = plan_markdown.summary(done)
    assert "> [!CAUTION]\n> **Data is kept less safely" in text
    assert words in text


@pytest.mark.parametrize(("kind", "before", "after", "_words"), CASES)
def test_what_stays_is_not_a_danger(
    kind: str, before: dict[str, Any], after: dict[str, Any], _words: str
) -> None:
    assert weakened(kind, before, before, {}) == []
    assert weakened(kind, after, after, {}) == []


def test_every_kind_that_can_be_weakened_has_a_case() -> None:
    assert {kind for kind, *_ in CASES} == plan_dangers.WEAKENINGS.keys()


def test_longer_is_not_a_danger() -> None:
    assert weakened("aws_cloudwatch_log_group", {"retention_in_days": 14}, {"retention_in_days": 0}, {}) == []
    assert (
        weakened("aws_sfn_state_machine", {"definition": definition(7)}, {"definition": definition(9)}, {})
        == []
    )
    rules = [{"rule": [rule("results", expiration={"days": days})]} for days in (7, 90)]
    assert weakened("aws_s3_bucket_lifecycle_configuration", *rules, {}) == []


def test_a_policy_known_after_the_apply_counts_as_changed() -> None:
    assert weakened("aws_kms_key", {"policy": ALLOWS}, {}, {"policy": True}) != []


def test_a_new_expiry_weakens_only_an_older_bucket() -> None:
    """A first apply weakens nothing."""
    lifecycle = change(
        "module.x.aws_s3_bucket_lifecycle_configuration.this",
        "create",
        after={"rule": [rule("all", expiration={"days": 7})]},
    )
    assert summary(lifecycle, change("module.x.aws_s3_bucket.this", "create")).dangers == []
    assert len(summary(lifecycle).dangers) == 1


def test_what_is_lost_comes_before_what_is_weaker() -> None:
    done = summary(
        change("x.aws_kms_key.this", "update", before={"policy": "{}"}, after={"policy": ALLOWS}),
        change("x.aws_dynamodb_table.ledger", "delete"),
    )
    text = plan_markdown.summary(done)
    assert text.index("destroys the data") < text.index("kept less safely") < text.index("key's policy")
    assert done.as_json()["dangers"] == ["x.aws_kms_key.this", "x.aws_dynamodb_table.ledger"]
