"""Rules for what production's plan does not hold yet, and for what a plan leaves open."""

import json
from typing import Any

import pytest

from scripts.policy import rules
from scripts.policy.plan_json import KEY_LATER, LATER, filled

OUTPUTS = {
    "prefix": {"value": "scones-dev"},
    "region": {"value": "us-east-1"},
    "bucket": {"value": "scones-dev-123456789012-us-east-1"},
}
ALARM = {
    "alarm_name": "scones-dev-errors",
    "alarm_actions": ["arn:aws:sns:us-east-1:123456789012:scones-dev-alarms"],
}


def plan(
    kind: str, after: dict[str, Any], unknown: dict[str, Any] | None = None, **expressions: Any
) -> dict[str, Any]:
    """A plan of one resource, this.KIND, with the expressions that its configuration sets."""
    address = f"{kind}.this"
    change = {"after": after, "after_unknown": unknown or {}}
    resource = {"address": address, "type": kind, "name": "this", "mode": "managed"}
    return {
        "resource_changes": [resource | {"change": change}],
        "planned_values": {"outputs": OUTPUTS, "root_module": {"resources": [resource | {"values": after}]}},
        "configuration": {"root_module": {"resources": [resource | {"expressions": expressions}]}},
    }


def with_rule(pattern: str) -> dict[str, Any]:
    both = plan("aws_cloudwatch_metric_alarm", ALARM | {"alarm_actions": []})
    both["resource_changes"] += plan("aws_cloudwatch_event_rule", {"event_pattern": pattern})[
        "resource_changes"
    ]
    return both


def told(of: dict[str, Any], rule: rules.Rule) -> list[str]:
    return [it.split(": ", 1)[1] for it in rule(of)]


@pytest.mark.parametrize(
    ("change", "findings"),
    [
        ({}, []),
        ({"alarm_actions": []}, ["nobody hears of it"]),
        ({"actions_enabled": False}, ["its actions are switched off"]),
    ],
)
def test_an_alarm_must_reach_somebody(change, findings):
    assert told(plan("aws_cloudwatch_metric_alarm", ALARM | change), rules.alarms_reach_somebody) == findings


@pytest.mark.parametrize(
    ("returned", "findings"),
    [
        ([True], []),
        ([False, True], []),
        ([False], ["not one value is compared with its threshold"]),
        ([True, True], ["not one value is compared with its threshold"]),
    ],
)
def test_an_alarm_must_judge_one_value(returned, findings):
    alarm = ALARM | {"metric_query": [{"return_data": it} for it in returned]}
    assert told(plan("aws_cloudwatch_metric_alarm", alarm), rules.alarms_judge_one_value) == findings


@pytest.mark.parametrize(
    ("shown", "findings"),
    [
        (["scones-dev-errors"], []),
        ([], ["the alarm scones-dev-errors is not on it"]),
        (["scones-dev-errors", "scones-dev-gone"], ["there is no alarm scones-dev-gone"]),
    ],
)
def test_a_dashboard_must_show_the_alarms_that_are_there(shown, findings):
    arns = [f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:{name}" for name in shown]
    body = json.dumps({"widgets": [{"properties": {"alarms": arns}}, {"properties": {"title": "Queues"}}]})
    both = plan("aws_cloudwatch_metric_alarm", ALARM)
    both["resource_changes"] += plan("aws_cloudwatch_dashboard", {"dashboard_body": body})["resource_changes"]
    assert told(both, rules.dashboards_show_the_alarms) == findings


def test_a_target_must_have_its_rule():
    target = plan("aws_cloudwatch_event_target", {"rule": "scones-dev-digest"})
    found = [*rules.events_lead_somewhere(target)]
    assert "aws_cloudwatch_event_target.this: there is no rule scones-dev-digest" in found


EITHER = """{"detail-type": ["CloudWatch Alarm State Change"], "detail": {"$or": [
    {"state": {"value": ["ALARM"]}, "alarmName": [{"anything-but": [%s]}]},
    {"state": {"value": ["OK"]}}
]}}"""
ARN = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:scones-dev-"


@pytest.mark.parametrize(
    ("pattern", "heard"),
    [
        ('{"detail-type": ["CloudWatch Alarm State Change"]}', True),
        (f'{{"detail-type": ["CloudWatch Alarm State Change"], "resources": [{{"prefix": "{ARN}"}}]}}', True),
        ('{"detail-type": ["CloudWatch Alarm State Change"], "resources": [{"prefix": "arn:other"}]}', False),
        ('{"detail-type": ["CloudWatch Alarm State Change"], "detail": {"state": {"value": ["OK"]}}}', False),
        (EITHER % '"scones-dev-alert-failures"', True),
        (EITHER % '"scones-dev-errors"', False),
        ('{"detail-type": ["Object Created"]}', False),
    ],
)
def test_an_event_rule_for_alarms_counts_if_it_matches_this_alarm(pattern, heard):
    assert (told(with_rule(pattern), rules.alarms_reach_somebody) == []) is heard


def test_a_policy_known_only_after_the_apply_is_reported():
    unreadable = plan("aws_iam_role_policy", {"policy": None}, {"policy": True}, policy={"references": ["x"]})
    assert told(filled(unreadable), rules.everything_is_known) == ["policy is known only after the apply"]


def test_what_the_configuration_sets_is_filled_in_and_nothing_else():
    after = {"kms_key_id": None, "owner": None, "block": [{"arn": None}]}
    unknown = {"kms_key_id": True, "owner": True, "block": [{"arn": True}]}
    block = [{"arn": {"references": ["y.arn", "y"]}}]
    seen = filled(plan("aws_other", after, unknown, kms_key_id={"references": ["x"]}, block=block))
    expected = {"kms_key_id": f"{KEY_LATER}/x", "owner": None, "block": [{"arn": f"{LATER}/y.arn"}]}
    assert seen["resource_changes"][0]["change"]["after"] == expected
    assert seen["planned_values"]["root_module"]["resources"][0]["values"] == expected


def test_a_log_group_without_a_key_breaks_the_rule():
    """One whose key is not known yet does not."""
    rule = rules.data_is_encrypted_with_the_projects_key
    later = plan("aws_cloudwatch_log_group", {"name": "a"}, {"kms_key_id": True})
    assert told(later, rule) == []
    assert told(plan("aws_cloudwatch_log_group", {"name": "a", "kms_key_id": None}), rule) == [
        "kms_key_id names no key"
    ]
