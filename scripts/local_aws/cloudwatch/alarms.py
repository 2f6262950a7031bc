"""CloudWatch alarms: evaluates those that moto keeps, and sends their changes to topics and event rules.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
"""

from __future__ import annotations

import json
import logging
import operator
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from scripts.local_aws.cloudwatch import metric_math
from scripts.local_aws.cloudwatch.metrics import MINUTE, Metrics, Series
from scripts.local_aws.core import moto_backends
from scripts.local_aws.core.protocol import Answer, Request, json_answer
from scripts.local_aws.iam.authorization import Caller

logger = logging.getLogger(__name__)

PATH = "/_local/alarms"
# How many data points AWS looks at beyond the evaluation periods; its page on missing data shows 5 for 3.
FURTHER_POINTS = 2
BREACHES = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
}


class Query(NamedTuple):
    """One metric or expression of an alarm; `returned` is compared with the threshold."""

    id: str
    label: str | None
    expression: str | None
    series: Series | None
    period: int
    statistic: str
    returned: bool


class Point(NamedTuple):
    """What was measured in the period that began at `start`."""

    start: float
    value: float


class Alarms:
    """The evaluating side of CloudWatch.

    Args:
        metrics: what was measured.
        call_service: performs `sns:publish`.
        publish_event: gets EventBridge's events.
        sample_endpoints: counts what instances that run report each minute.
    """

    def __init__(
        self,
        metrics: Metrics,
        call_service: Callable[[str, dict[str, Any], Caller], Any],
        publish_event: Callable[[dict[str, Any]], object],
        sample_endpoints: Callable[[float], None],
    ) -> None:
        self._metrics = metrics
        self._call_service = call_service
        self._publish_event = publish_event
        self._sample_endpoints = sample_endpoints
        self._evaluating = threading.Lock()
        self._stopped = threading.Event()

    def answer(self, request: Request) -> Answer:
        """Answer `POST /_local/alarms`: evaluate the alarms of a name or pattern as if it were later by `ahead`."""
        wanted = request.json()
        return json_answer(self.evaluate(wanted.get("name", "*"), time.time() + wanted.get("ahead", 0)))

    def evaluate_regularly(self) -> None:
        """Evaluate all alarms each minute from now on, as AWS does."""
        threading.Thread(target=self._evaluate_regularly, name="alarms", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _evaluate_regularly(self) -> None:
        while not self._stopped.wait(MINUTE):
            self.evaluate("*", time.time())

    def evaluate(self, pattern: str, at: float) -> dict[str, str]:
        """Evaluate the alarms whose names match as if it were `at`; returns the state of each."""
        alarms = [
            alarm
            for alarm in list(moto_backends.cloudwatch().alarms.values())
            if fnmatchcase(alarm.name, pattern) and alarm.rule is None  # only composite ones have a rule
        ]
        with self._evaluating:
            if alarms:
                self._metrics.sample_queues(at)
                self._sample_endpoints(at)
            for alarm in alarms:
                try:
                    self._evaluate(alarm, at)
                except Exception:
                    logger.exception("The alarm %s was not evaluated", alarm.name)
        return {alarm.name: alarm.state_value for alarm in alarms}

    def _evaluate(self, alarm: Any, at: float) -> None:
        queries = queries_of(alarm)
        points = self._points(alarm, queries, at)
        breaching = [it and _breaches(alarm, it) for it in points]
        wanted = int(alarm.datapoints_to_alarm or alarm.evaluation_periods)
        treatment = alarm.treat_missing_data or "missing"
        state = (
            evaluated_state(breaching, int(alarm.evaluation_periods), wanted, treatment) or alarm.state_value
        )
        if state != alarm.state_value:
            considered = [it for it in points if it][: int(alarm.evaluation_periods)]
            reason = _reason(alarm, considered, state)
            alarm.update_state(reason, _reason_data(alarm, queries, considered, at), state)

    def _points(self, alarm: Any, queries: list[Query], at: float) -> list[Point | None]:
        """What was measured, newest first, None where it is missing; the newest period ends with the minute of `at`."""
        end = (at // MINUTE + 1) * MINUTE
        period = next(query.period for query in queries if query.series)
        starts = [
            end - period * number for number in range(1, int(alarm.evaluation_periods) + FURTHER_POINTS + 1)
        ]
        values = ((start, self._value(queries, start, start + period)) for start in starts)
        return [None if value is None else Point(start, value) for start, value in values]

    def _value(self, queries: list[Query], start: float, end: float) -> float | None:
        values = {
            query.id: self._metrics.statistic(query.series, start, end, query.statistic)
            for query in queries
            if query.series
        }
        returned = next(query for query in queries if query.returned)
        return metric_math.evaluate(returned.expression or returned.id, values)

    def install(self) -> None:
        """Publish every state change of moto's alarms, and let new alarms begin as AWS's do.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
        """
        models = moto_backends.moto_module("cloudwatch.models")
        update_state, put = models.Alarm.update_state, models.CloudWatchBackend.put_metric_alarm

        def update_and_tell(alarm: Any, reason: str, reason_data: str, state_value: str) -> None:
            previous = state_of(alarm)
            update_state(alarm, reason, reason_data, state_value)
            if state_value != previous["value"]:
                self._tell(alarm, previous)

        def put_keeping_the_state(backend: Any, **settings: Any) -> Any:
            before = backend.alarms.get(settings["name"])
            alarm = put(backend, **settings)
            alarm.state_value = "INSUFFICIENT_DATA"
            for fact in (
                "state_value",
                "state_reason",
                "state_reason_data",
                "state_updated_timestamp",
                "history",
            ):
                setattr(alarm, fact, getattr(before or alarm, fact))
            return alarm

        models.Alarm.update_state = update_and_tell
        models.CloudWatchBackend.put_metric_alarm = put_keeping_the_state

    def _tell(self, alarm: Any, previous: dict[str, Any]) -> None:
        self._publish_event(state_change(alarm, previous))
        actions = {
            "ALARM": alarm.alarm_actions,
            "OK": alarm.ok_actions,
            "INSUFFICIENT_DATA": alarm.insufficient_data_actions,
        }[alarm.state_value]
        caller = Caller("cloudwatch.amazonaws.com", source=alarm.alarm_arn)
        for action in actions if alarm.actions_enabled else []:
            if action.split(":")[2] == "sns":
                message = _notification(alarm, previous, action)
                self._call_service("arn:aws:states:::sns:publish", message, caller)
            else:
                logger.error("The action %s of the alarm %s is not emulated", action, alarm.name)


def evaluated_state(breaching: list[bool | None], periods: int, wanted: int, treatment: str) -> str | None:
    """The state that data points, newest first and None where missing, lead to; None keeps the present one.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
    """
    known = [it for it in breaching if it is not None][:periods]
    filled = periods - len(known) if treatment == "breaching" else 0
    if sum(known) + filled >= wanted:
        return "ALARM"
    if treatment in ("breaching", "notBreaching") or not all(known):
        return "OK"
    if treatment == "ignore":
        return None
    return "ALARM" if known else "INSUFFICIENT_DATA"


def queries_of(alarm: Any) -> list[Query]:
    """An alarm's metrics and expressions; those of an alarm on a single metric have an id of their own."""
    if not alarm.metric_data_queries:
        series = _series(alarm.namespace, alarm.metric_name, alarm.dimensions)
        statistic = alarm.extended_statistic or alarm.statistic
        return [Query("m1", None, None, series, int(alarm.period), statistic, returned=True)]
    return [_query(it) for it in alarm.metric_data_queries]


def _query(query: Any) -> Query:
    returned = str(query.return_data).lower() != "false"
    if query.metric_stat is None:
        return Query(query.id, query.label, query.expression, None, int(query.period or 0), "", returned)
    stat = query.metric_stat
    series = _series(stat.metric.namespace, stat.metric.metric_name, stat.metric.dimensions)
    return Query(query.id, query.label, None, series, int(stat.period), stat.stat, returned)


def _series(namespace: str, name: str, dimensions: list[Any]) -> Series:
    return Series(namespace, name, frozenset((it.name, it.value) for it in dimensions))


def _breaches(alarm: Any, point: Point) -> bool:
    return bool(BREACHES[alarm.comparison_operator][0](point.value, float(alarm.threshold)))


def _reason(alarm: Any, considered: list[Point], state: str) -> str:
    periods, missing = int(alarm.evaluation_periods), (alarm.treat_missing_data or "missing").title()
    if not considered:
        treated = f"{periods} missing datapoint{'s were' if periods > 1 else ' was'} treated as [{missing}]"
        return f"Threshold Crossed: no datapoints were received for {periods} period{'s'[: periods > 1]} and {treated}."
    words = BREACHES[alarm.comparison_operator][1]
    values = ", ".join(
        f"{it.value} ({datetime.fromtimestamp(it.start, UTC):%d/%m/%y %H:%M:%S})" for it in considered
    )
    verb = "was" if len(considered) == 1 else "were"
    told = [it for it in considered if _breaches(alarm, it)] if state == "ALARM" else considered
    change = (
        f"(minimum {len(told)} datapoint{'s'[: len(told) > 1]} for {alarm.state_value} -> {state} transition)"
    )
    return (
        f"Threshold Crossed: {len(told)} out of the last {periods} datapoints [{values}] {verb} "
        f"{'' if state == 'ALARM' else 'not '}{words} the threshold ({float(alarm.threshold)}) {change}."
    )


def _reason_data(alarm: Any, queries: list[Query], considered: list[Point], at: float) -> str:
    facts: dict[str, Any] = {"version": "1.0", "queryDate": _time(datetime.fromtimestamp(at, UTC))}
    if considered:
        facts["startDate"] = _time(datetime.fromtimestamp(considered[-1].start, UTC))
    if len(queries) == 1:
        facts["statistic"] = queries[0].statistic
    facts |= {
        "period": next(query.period for query in queries if query.series),
        "recentDatapoints": [it.value for it in reversed(considered)],
        "threshold": float(alarm.threshold),
    }
    return json.dumps(facts)


def state_of(alarm: Any) -> dict[str, Any]:
    """An alarm's state as events show it."""
    return {
        "value": alarm.state_value,
        "reason": alarm.state_reason,
        "reasonData": alarm.state_reason_data,
        "timestamp": _time(alarm.state_updated_timestamp),
    }


def state_change(alarm: Any, previous: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html"""
    return {
        "source": "aws.cloudwatch",
        "detail-type": "CloudWatch Alarm State Change",
        "resources": [alarm.alarm_arn],
        "detail": {
            "alarmName": alarm.name,
            "configuration": {
                "description": alarm.description,
                "metrics": [_described(query) for query in queries_of(alarm)],
            },
            "previousState": previous,
            "state": state_of(alarm),
        },
    }


def _described(query: Query) -> dict[str, Any]:
    facts: dict[str, Any] = {"id": query.id, "label": query.label, "expression": query.expression}
    if query.series:
        metric = {
            "namespace": query.series.namespace,
            "name": query.series.name,
            "dimensions": dict(sorted(query.series.dimensions)),
        }
        facts["metricStat"] = {"metric": metric, "period": query.period, "stat": query.statistic}
    return {name: value for name, value in facts.items() if value is not None} | {
        "returnData": query.returned
    }


def _notification(alarm: Any, previous: dict[str, Any], topic: str) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html"""
    message = {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": moto_backends.ACCOUNT,
        "AlarmArn": alarm.alarm_arn,
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": _time(alarm.state_updated_timestamp),
        "OldStateValue": previous["value"],
        "Region": "US East (N. Virginia)",
        "Trigger": {
            "Metrics": [_described(query) for query in queries_of(alarm)],
            "ComparisonOperator": alarm.comparison_operator,
            "EvaluationPeriods": int(alarm.evaluation_periods),
            "Threshold": float(alarm.threshold),
            "TreatMissingData": alarm.treat_missing_data or "missing",
        },
    }
    subject = f'{alarm.state_value}: "{alarm.name}" in US East (N. Virginia)'[:100]
    return {"TopicArn": topic, "Subject": subject, "Message": json.dumps(message)}


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"
