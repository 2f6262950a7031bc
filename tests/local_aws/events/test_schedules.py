"""Schedules: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html."""

import json
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.local_aws.events.schedules import Schedules, next_time
from tests.local_aws.conftest import Server

NOON = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)  # a Saturday


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(1 minute)", "2026-11-28T12:01"),
        ("rate(5 minutes)", "2026-11-28T12:05"),
        ("rate(1 day)", "2026-11-29T12:00"),
        ("cron(0 12 * * ? *)", "2026-11-29T12:00"),
        ("cron(15 10 ? * 6 2030-2032)", "2030-01-04T10:15"),
        ("cron(0/15 * * * ? *)", "2026-11-28T12:15"),
        ("cron(0 18 ? * MON-FRI *)", "2026-11-30T18:00"),
        ("cron(0 8 1 * ? *)", "2026-12-01T08:00"),
        ("cron(0/10 * ? * MON-FRI *)", "2026-11-30T00:00"),
        ("cron(0,30 6 ? JAN,JUL SUN *)", "2027-01-03T06:00"),
        ("cron(0 0 29 2 ? *)", "2028-02-29T00:00"),
        ("cron(0 0 1 1 ? 2020)", None),
        ("cron(0 18 L * ? *)", None),  # L, W and # are not emulated
        ("cron(0 9 ? * 2#1 *)", None),
    ],
)
def test_an_expression_says_when_it_is_due_next(expression: str, expected: str | None) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cron-expressions.html"""
    due = next_time(expression, NOON)
    assert (due and due.strftime("%Y-%m-%dT%H:%M")) == expected


def test_a_rate_counts_from_its_rule_and_a_disabled_rule_does_not_fire() -> None:
    rule = SimpleNamespace(name="r", arn="arn:r", scheduled_expression="rate(2 minutes)", state="ENABLED")
    fired: list[Any] = []
    schedules = Schedules(lambda: [rule], lambda rule, event: fired.append(event["resources"]))

    for minutes in (0, 1, 2, 3, 4):
        schedules.tick(NOON + timedelta(minutes=minutes))
    assert fired == [["arn:r"], ["arn:r"]]
    rule.state = "DISABLED"
    schedules.tick(NOON + timedelta(minutes=6))
    rule.state = "ENABLED"
    schedules.tick(NOON + timedelta(minutes=7))
    assert len(fired) == 2
    schedules.tick(NOON + timedelta(minutes=9))
    assert len(fired) == 3


def door(server: Server, name: str = "", method: str = "GET") -> Any:
    url = f"{server.url}/_local/schedules/{name}"
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
        return json.load(answer)


def test_a_schedule_that_is_fired_by_the_door_reaches_its_target(server: Server) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html"""
    url, arn = server.create_queue()
    events, name = server.client("events"), f"rule-{uuid.uuid4().hex[:8]}"
    rule = events.put_rule(Name=name, ScheduleExpression="rate(24 hours)")["RuleArn"]
    template = '{"hours": 24, "time": <time>}'
    transformer = {"InputPathsMap": {"time": "$.time"}, "InputTemplate": template}
    whole, part = {"Id": "whole", "Arn": arn}, {"Id": "part", "Arn": arn, "InputTransformer": transformer}
    events.put_targets(Rule=name, Targets=[whole, part])

    door(server, name, "POST")

    received = [json.loads(server.receive(url)["Body"]) for _ in range(2)]
    event, made = sorted(received, key=len, reverse=True)
    assert (event["source"], event["detail-type"], event["detail"]) == (
        "aws.events",
        "Scheduled Event",
        {},
    )
    assert event["resources"] == [rule]
    assert made == {"hours": 24, "time": event["time"]}
    assert {"name": name, "expression": "rate(24 hours)", "state": "ENABLED"} in door(server)


def test_what_is_not_a_schedule_cannot_be_fired(server: Server) -> None:
    name = f"rule-{uuid.uuid4().hex[:8]}"
    server.client("events").put_rule(Name=name, EventPattern='{"source": ["x"]}')
    with pytest.raises(urllib.error.HTTPError, match="404"):
        door(server, name, "POST")
