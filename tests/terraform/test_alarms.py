"""Alarms as a plan shows them: what a phone gets, that each leads to a section of the runbook, and the dashboard."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from functions.send_alert.message import Message, compose
from functions.send_alert.occurrence import understand
from scripts.common.paths import ROOT

EVENTS = ROOT / "tests" / "events"
GOLDEN = EVENTS / "messages" / "alarms"
TOPIC = "arn:aws:sns:us-east-1:123456789012:scones-prod-alerts"
# What each measured when it went off; an alarm for silence has measured nothing.
MEASURED = {
    "drift": 1,
    "endpoint-errors": 7.46,
    "endpoint-latency": 1.62,
    "low-confidence-share": 61.5,
    "slow-pictures": 84.2,
    "system-failures": 12,
    "throttled-classify-image": 140,
    "timed-out-classify": 2,
    "trigger-dead-letters": 41,
    "idle-endpoint": 0,
    "stale-stream": None,
}
# Their texts differ from those by the name of a function or machine only.
LIKE_THE_OTHERS = {
    "throttled-filter-inferences",
    "throttled-serialize-image-data",
    "timed-out-batch",
}
# CloudWatch reports them in words of its own.
ON_THE_ALERT_PATH = {"alert-dead-letters", "alert-failures", "undelivered-alerts"}
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
LONGEST_DESCRIPTION, LONGEST_LOOK_BACK = 1024, 7 * 86400


@pytest.fixture(scope="module")
def resources(root_module: Any, model: Callable[..., dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Production with every alarm, by address."""
    schedules = {"stale_after_hours": 6, "drift_hours": 168}
    plan = root_module.plan("prod", model=model("prod"), schedules=schedules)
    return {change["address"]: change["change"]["after"] for change in plan["resource_changes"]}


@pytest.fixture(scope="module")
def alarms(resources: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    planned = re.compile(r'module\.monitoring\.aws_cloudwatch_metric_alarm\.this\["(.+)"\]')
    return {found[1]: after for address, after in resources.items() if (found := planned.fullmatch(address))}


def state_change(alarm: dict[str, Any], value: float | None) -> dict[str, Any]:
    """EventBridge's event about a planned alarm that goes off."""
    event = json.loads((EVENTS / "alarm_state_change.json").read_text(encoding="utf-8"))
    queries = [
        {
            "id": it["id"],
            "label": it["label"],
            "expression": it["expression"],
            "returnData": it["return_data"],
        }
        for it in alarm["metric_query"]
    ]
    reason = f"no datapoints were received for {alarm['evaluation_periods']} periods."
    if value is not None:
        reason = f"1 out of the last 1 datapoints was not within the threshold ({alarm['threshold']})."
    data = {"threshold": alarm["threshold"], "recentDatapoints": [] if value is None else [value]}
    event["detail"] |= {
        "alarmName": alarm["alarm_name"],
        "configuration": {"description": alarm["alarm_description"], "metrics": queries},
        "state": {"value": "ALARM", "reason": f"Threshold Crossed: {reason}", "reasonData": json.dumps(data)},
    }
    return event


def message(alarm: dict[str, Any], value: float | None) -> Message:
    return compose(understand(state_change(alarm, value)), TOPIC, "scones-prod", "docs/operations.md")


def test_every_alarm_has_a_message_on_file(alarms: dict[str, dict[str, Any]]) -> None:
    assert set(alarms) == set(MEASURED) | LIKE_THE_OTHERS | ON_THE_ALERT_PATH
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(MEASURED)


@pytest.mark.parametrize("name", MEASURED)
def test_an_alarm_gives_the_message_on_file(name: str, alarms: dict[str, dict[str, Any]]) -> None:
    made = message(alarms[name], MEASURED[name])
    assert f"{made.subject}\n{made.text}" == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_messages_fit_a_phone_whatever_deployment_they_are_about(alarms: dict[str, dict[str, Any]]) -> None:
    for alarm in alarms.values():
        made = message(alarm, 123456.78)
        assert len(made.subject) < 100
        assert made.subject.isascii()
        assert len(made.text) < 1000
        assert made.text.count("\nWhat to do: ") == 1


def test_every_alarm_names_a_section_of_the_runbook(alarms: dict[str, dict[str, Any]]) -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    sections = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}
    named = {
        name: it["alarm_description"].rpartition(" docs/operations.md#")[2] for name, it in alarms.items()
    }
    assert {name for name, section in named.items() if section not in sections} == set()
    assert all(len(it["alarm_description"]) <= LONGEST_DESCRIPTION for it in alarms.values())


def test_an_alarm_looks_back_no_further_than_cloudwatch_can(alarms: dict[str, dict[str, Any]]) -> None:
    for name, alarm in alarms.items():
        periods = {metric["period"] for it in alarm["metric_query"] for metric in it["metric"]}
        assert len(periods) == 1, f"{name} compares metrics of different periods"
        assert periods.pop() * alarm["evaluation_periods"] <= LONGEST_LOOK_BACK, name


def test_one_report_of_drift_is_an_alarm_until_the_next_report(alarms: dict[str, dict[str, Any]]) -> None:
    drift = alarms["drift"]

    assert (drift["datapoints_to_alarm"], drift["evaluation_periods"]) == (1, 7)
    assert drift["metric_query"][0]["metric"][0]["period"] == 86400


def test_the_dashboard_shows_every_alarm_and_stays_free(
    resources: dict[str, dict[str, Any]], alarms: dict[str, dict[str, Any]]
) -> None:
    dashboard = resources["module.monitoring.aws_cloudwatch_dashboard.this"]
    widgets = json.loads(dashboard["dashboard_body"])["widgets"]
    shown = {arn.rpartition(":")[2] for widget in widgets for arn in widget["properties"].get("alarms", [])}
    assert shown == {alarm["alarm_name"] for alarm in alarms.values()}
    metrics = [tuple(map(str, it)) for widget in widgets for it in widget["properties"].get("metrics", [])]
    # https://aws.amazon.com/cloudwatch/pricing/: three dashboards of up to 50 metrics are free.
    assert 20 < len(metrics) <= 50
