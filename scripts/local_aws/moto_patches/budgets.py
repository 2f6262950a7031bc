"""What moto's Budgets lacks or gets wrong."""

from __future__ import annotations

import json
from typing import Any

from scripts.local_aws.core.moto_backends import moto_module

# What distinguishes one notification of a budget from another.
NOTIFICATION_KEY = ("NotificationType", "ComparisonOperator", "Threshold", "ThresholdType")


def repair_budgets() -> None:
    """Budgets cannot be changed, and do not say who is notified.

    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_Operations_AWS_Budgets.html
    """
    responses = moto_module("budgets.responses").BudgetsResponse

    def update_budget(self: Any) -> str:
        changed = self._get_param("NewBudget")
        self.backend.budgets[self._get_param("AccountId")][changed["BudgetName"]].budget.update(changed)
        return "{}"

    def describe_subscribers_for_notification(self: Any) -> str:
        budget = self.backend.budgets[self._get_param("AccountId")][self._get_param("BudgetName")]
        asked = self._get_param("Notification")
        for notification in budget.notifications:
            if all(notification.details.get(name) == asked.get(name) for name in NOTIFICATION_KEY):
                return json.dumps({"Subscribers": notification.subscribers})
        return json.dumps({"Subscribers": []})

    for method in (update_budget, describe_subscribers_for_notification):
        setattr(responses, method.__name__, method)


def repair_budget_tags() -> None:
    """Budgets have no tags at all.

    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_ListTagsForResource.html
    """
    responses = moto_module("budgets.responses").BudgetsResponse
    create = responses.create_budget
    tags: dict[str, dict[str, str]] = {}

    def create_budget(self: Any) -> str:
        answer = create(self)
        name = self._get_param("Budget")["BudgetName"]
        arn = f"arn:{self.partition}:budgets::{self._get_param('AccountId')}:budget/{name}"
        tags[arn] = {it["Key"]: it["Value"] for it in self._get_param("ResourceTags") or []}
        return answer

    def list_tags_for_resource(self: Any) -> str:
        held = tags.get(self._get_param("ResourceARN"), {})
        return json.dumps({"ResourceTags": [{"Key": key, "Value": value} for key, value in held.items()]})

    def tag_resource(self: Any) -> str:
        added = {it["Key"]: it["Value"] for it in self._get_param("ResourceTags")}
        tags.setdefault(self._get_param("ResourceARN"), {}).update(added)
        return "{}"

    def untag_resource(self: Any) -> str:
        for key in self._get_param("ResourceTagKeys"):
            tags.get(self._get_param("ResourceARN"), {}).pop(key, None)
        return "{}"

    for method in (create_budget, list_tags_for_resource, tag_resource, untag_resource):
        setattr(responses, method.__name__, method)
