"""What a plan weakens without destroying anything: protection, retention, access.

Reads the values of one resource before and after:
https://developer.hashicorp.com/terraform/internals/json-format
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

Values = dict[str, Any]

# Resources of their own in a plan that are really part of another one, which may be older.
PART_OF = {
    "aws_ecr_lifecycle_policy": "aws_ecr_repository",
    "aws_s3_bucket_lifecycle_configuration": "aws_s3_bucket",
    "aws_s3_bucket_policy": "aws_s3_bucket",
}
# How long a row is kept (statemachine/): a number of days from now, in seconds.
ROWS_EXPIRE = re.compile(r"\+ (\d+) \* 86400")


def weakened(kind: str, before: Values, after: Values, unknown: Values) -> list[str]:
    """In words, each protection that a change of such a resource removes.

    `after` is empty if the resource goes.
    """
    return (
        list(WEAKENINGS[kind](before, after | dict.fromkeys(_not_known(unknown))))
        if kind in WEAKENINGS
        else []
    )


def _not_known(unknown: Values) -> list[str]:
    """Values that only the apply will show count as changed: nothing proves them harmless."""
    return [name for name, value in unknown.items() if value is True]


def _log_group(before: Values, after: Values) -> Iterator[str]:
    # 0 keeps logs for ever.
    was, will = (it.get("retention_in_days") or float("inf") for it in (before, after))
    if will < was:
        yield f"logs are kept for {will} days, no longer {_days(was)}"


def _days(days: float) -> str:
    return "for ever" if days == float("inf") else f"for {days}"


def _lifecycle(before: Values, after: Values) -> Iterator[str]:
    was = dict(_expiries(before))
    for (rule, what, scope), days in _expiries(after):
        former = was.get((rule, what, scope))
        if former is None:
            yield f"{rule} is new or covers other objects: {what} go after {days} days"
        elif days < former:
            yield f"{rule}: {what} go after {days} days, no longer after {former}"


def _expiries(values: Values) -> Iterator[tuple[tuple[str, str, str], float]]:
    """((rule, what expires, its filter), days) of every enabled rule.

    A fixed date counts as 0 days.
    """
    for rule in values.get("rule") or []:
        if rule["status"] != "Enabled":
            continue
        for name, what in (
            ("expiration", "objects"),
            ("noncurrent_version_expiration", "overwritten objects"),
        ):
            for block in rule.get(name) or []:
                days = block.get("days") or block.get("noncurrent_days") or (0 if block.get("date") else None)
                if days is not None:
                    rest = {key: value for key, value in block.items() if not key.endswith("days")}
                    scope = json.dumps([rule.get("filter"), rule.get("prefix"), rest], sort_keys=True)
                    yield (rule["id"], what, scope), days


def _versioning(before: Values, after: Values) -> Iterator[str]:
    if _status(before) == "Enabled" != _status(after):
        yield "versioning is suspended: what is overwritten is lost"


def _status(values: Values) -> Any:
    return next((it.get("status") for it in values.get("versioning_configuration") or []), None)


def _table(before: Values, after: Values) -> Iterator[str]:
    yield from _turned_off("deletion_protection_enabled", "deletion protection")(before, after)
    recovery = [_first(it, "point_in_time_recovery") for it in (before, after)]
    yield from _turned_off("enabled", "point-in-time recovery")(*recovery)
    was, will = (it.get("recovery_period_in_days") or 35 for it in recovery)
    if recovery[1].get("enabled") and will < was:
        yield f"the table can be brought back from {will} days, no longer from {was}"
    if (expiry := _first(after, "ttl")).get("enabled") and expiry != _first(before, "ttl"):
        yield f"rows expire by {expiry.get('attribute_name')}"


def _first(values: Values, block: str) -> Values:
    return next(iter(values.get(block) or []), {})


def _turned_off(name: str, what: str) -> Callable[[Values, Values], Iterator[str]]:
    def check(before: Values, after: Values) -> Iterator[str]:
        if before.get(name) and not after.get(name):
            yield f"{what} is switched off"

    return check


def _turned_on(name: str, words: str) -> Callable[[Values, Values], Iterator[str]]:
    def check(before: Values, after: Values) -> Iterator[str]:
        if after.get(name) and not before.get(name):
            yield words

    return check


def _rewritten(words: str) -> Callable[[Values, Values], Iterator[str]]:
    def check(before: Values, after: Values) -> Iterator[str]:
        if _document(before) != _document(after):
            yield words

    return check


def _document(values: Values) -> Any:
    return json.loads(values.get("policy") or "null")


def _key(before: Values, after: Values) -> Iterator[str]:
    yield from _rewritten("the key's policy changes: who may use it and read what it encrypts")(before, after)
    yield from _turned_off("is_enabled", "the key")(before, after)
    yield from _shorter(
        "deletion_window_in_days", "a deleted key can be rescued for {} days, no longer for {}"
    )(before, after)


def _shorter(name: str, words: str, unit: int = 1) -> Callable[[Values, Values], Iterator[str]]:
    def check(before: Values, after: Values) -> Iterator[str]:
        was, will = before.get(name), after.get(name)
        if was is not None and (will or 0) < was:
            yield words.format(f"{(will or 0) / unit:g}", f"{was / unit:g}")

    return check


def _public_access(before: Values, after: Values) -> Iterator[str]:
    for name, value in before.items():
        if value is True and not after.get(name):
            yield f"{name} is switched off: the bucket may become public"


def _rows(before: Values, after: Values) -> Iterator[str]:
    days = [list(map(int, ROWS_EXPIRE.findall(it.get("definition") or ""))) for it in (before, after)]
    if all(days) and min(days[1]) < min(days[0]):
        yield f"rows of the ledger expire after {min(days[1])} days, no longer after {min(days[0])}"


def _repository(before: Values, after: Values) -> Iterator[str]:
    if before.get("image_tag_mutability") == "IMMUTABLE" != after.get("image_tag_mutability"):
        yield "an image can be replaced under its tag"
    yield from _turned_on("force_delete", "a destroy takes the images, too")(before, after)


WEAKENINGS: dict[str, Callable[[Values, Values], Iterator[str]]] = {
    "aws_cloudwatch_log_group": _log_group,
    "aws_dynamodb_table": _table,
    "aws_ecr_lifecycle_policy": _rewritten("which images expire changes"),
    "aws_ecr_repository": _repository,
    "aws_kms_key": _key,
    "aws_s3_bucket": _turned_on("force_destroy", "a destroy takes what the bucket holds, too"),
    "aws_s3_bucket_lifecycle_configuration": _lifecycle,
    "aws_s3_bucket_policy": _rewritten("the bucket's policy changes: who may read and write it"),
    "aws_s3_bucket_public_access_block": _public_access,
    "aws_s3_bucket_versioning": _versioning,
    "aws_sfn_state_machine": _rows,
    "aws_sqs_queue": _shorter(
        "message_retention_seconds", "messages are kept for {} days, no longer for {}", 86400
    ),
}
