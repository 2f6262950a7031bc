"""The lines of a checklist, and the check that `scones doctor` and `scones verify` share."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

OK, FAILED, SKIPPED = "ok", "failed", "skipped"


@dataclass(frozen=True)
class Check:
    """One line of a checklist: what was checked, OK, FAILED or SKIPPED, why, and the fix."""

    what: str
    state: str
    why: str
    remedy: str = ""


def subscriptions(sns: Any, topic_arns: Iterable[str]) -> Check:
    """Whether every subscriber has confirmed; until then, nothing is delivered to that address.

    https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html
    """
    pending: set[str] = set()
    confirmed: set[str] = set()
    try:
        for topic in topic_arns:
            for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic):
                for each in page["Subscriptions"]:
                    waits = each["SubscriptionArn"] == "PendingConfirmation"
                    (pending if waits else confirmed).add(each["Endpoint"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NotFound":
            raise
        return Check("subscriptions", SKIPPED, "the topics are not there (yet)")
    if pending:
        return Check(
            "subscriptions",
            FAILED,
            f"{', '.join(sorted(pending))} did not confirm, and hears nothing",
            "Open the link in the mail of AWS Notifications. If it has expired: terraform apply with -replace="
            "'module.alerts.aws_sns_topic_subscription.alerts[\"ADDRESS\"]' sends another.",
        )
    if not confirmed:
        return Check(
            "subscriptions",
            FAILED,
            "nobody is subscribed, so alerts reach nobody",
            "Put addresses into subscribers in terraform/environments/ENV.tfvars, and apply.",
        )
    return Check("subscriptions", OK, f"{', '.join(sorted(confirmed))} confirmed")
