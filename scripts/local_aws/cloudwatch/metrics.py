"""CloudWatch metrics: what AWS's services and the functions' embedded metrics count here. moto keeps what is put.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from scripts.local_aws.core import moto_backends

MINUTE = 60
STATISTICS: dict[str, Callable[[Counter[float]], float]] = {
    "SampleCount": lambda values: values.total(),
    "Sum": lambda values: math.fsum(value * count for value, count in values.items()),
    "Average": lambda values: STATISTICS["Sum"](values) / values.total(),
    "Minimum": min,
    "Maximum": max,
}
# https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
ENDS = {
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "ABORTED": "ExecutionsAborted",
    "TIMED_OUT": "ExecutionsTimedOut",
}


class Series(NamedTuple):
    """One metric: its namespace, name and dimensions."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]


class Metrics:
    """Counts each value of each minute: a few dictionary look-ups for every event, whatever is done with it later."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minutes: dict[Series, dict[int, Counter[float]]] = defaultdict(lambda: defaultdict(Counter))

    def add(
        self, namespace: str, values: dict[str, float], dimensions: dict[str, str], at: float | None = None
    ) -> None:
        """Count a value for each of the named metrics, now or at another time (seconds since 1970)."""
        minute, key = int((time.time() if at is None else at) // MINUTE), frozenset(dimensions.items())
        with self._lock:
            for name, value in values.items():
                self._minutes[Series(namespace, name, key)][minute][value] += 1

    def embed(self, line: str) -> None:
        """Count what a log line of the embedded metric format says; other lines are ignored.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
        """
        if '"_aws"' not in line:
            return
        try:
            record = json.loads(line)
            at = record["_aws"]["Timestamp"] / 1000
            for directive in record["_aws"]["CloudWatchMetrics"]:
                for names in directive["Dimensions"]:
                    dimensions = {name: record[name] for name in names}
                    for metric in directive["Metrics"]:
                        found = record[metric["Name"]]
                        for value in found if isinstance(found, list) else [found]:
                            self.add(directive["Namespace"], {metric["Name"]: value}, dimensions, at)
        except (ValueError, KeyError, TypeError):  # AWS, too, takes it for a log line then
            return

    def count_execution(self, event: dict[str, Any]) -> None:
        """Count what an execution's status event reports: its start, or its end and how long it took (ms)."""
        detail = event["detail"]
        if detail["status"] == "RUNNING":
            values = {"ExecutionsStarted": 1.0}
        else:
            values = {
                ENDS[detail["status"]]: 1.0,
                "ExecutionTime": float(detail["stopDate"] - detail["startDate"]),
            }
        self.add("AWS/States", values, {"StateMachineArn": detail["stateMachineArn"]})

    def sample_queues(self, at: float) -> None:
        """Count how many messages wait, as CloudWatch does once a minute.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
        """
        for queue in list(moto_backends.queues().values()):
            waiting = {"ApproximateNumberOfMessagesVisible": float(queue.approximate_number_of_messages)}
            self.add("AWS/SQS", waiting, {"QueueName": queue.name}, at)

    def statistic(self, series: Series, start: float, end: float, statistic: str) -> float | None:
        """A statistic (Sum, p95, ...) over whole minutes from start to before end; None without any value."""
        values: Counter[float] = Counter()
        with self._lock:
            minutes = self._minutes.get(series, {})
            for minute in [it for it in minutes if start <= it * MINUTE < end]:
                values.update(minutes[minute])
        for at, value, count in _put(series):
            if start <= at // MINUTE * MINUTE < end:
                values[value] += count
        if not values:
            return None
        return STATISTICS[statistic](values) if statistic in STATISTICS else _percentile(values, statistic)

    def install(self) -> None:
        """Let moto's readers (GetMetricData, GetMetricStatistics, ListMetrics) see what is counted here."""
        backend = moto_backends.moto_module("cloudwatch.models").CloudWatchBackend
        put = backend.get_all_metrics
        backend.get_all_metrics = lambda cloudwatch: put(cloudwatch) + list(self._as_put())

    def _as_put(self) -> Iterator[Any]:
        datum = moto_backends.moto_module("cloudwatch.models").MetricDatum
        with self._lock:
            counted = [
                (series, minute, value, count)
                for series, minutes in self._minutes.items()
                for minute, values in minutes.items()
                for value, count in values.items()
            ]
        for series, minute, value, count in counted:
            dimensions = [{"Name": name, "Value": each} for name, each in sorted(series.dimensions)]
            at = datetime.fromtimestamp(minute * MINUTE, UTC).replace(tzinfo=None)  # moto compares naive ones
            for _ in range(count):
                yield datum(series.namespace, series.name, value, dimensions, at)


def _put(series: Series) -> Iterator[tuple[float, float, int]]:
    """(time, value, how often) of what was put into a metric by PutMetricData."""
    for datum in list(moto_backends.cloudwatch().metric_data):
        same = (datum.namespace, datum.name) == series[:2]
        if same and frozenset((it.name, it.value) for it in datum.dimensions) == series.dimensions:
            at = datum.timestamp.replace(tzinfo=datum.timestamp.tzinfo or UTC).timestamp()
            if hasattr(datum, "value"):
                yield at, datum.value, 1
            else:  # a statistic set, of which single values are not known
                yield at, datum.sum / datum.sample_count, int(datum.sample_count)


def _percentile(values: Counter[float], statistic: str) -> float:
    """p95 and the like, by the nearest rank."""
    rank = math.ceil(float(statistic.removeprefix("p")) / 100 * values.total())
    for value in sorted(values):
        rank -= values[value]
        if rank <= 0:
            return value
    return max(values)
