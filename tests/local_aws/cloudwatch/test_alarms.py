"""CloudWatch metrics and alarms, by AWS's pages on both."""

from __future__ import annotations

import json
import time
import urllib.request
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from scripts.local_aws.cloudwatch.alarms import evaluated_state
from scripts.local_aws.cloudwatch.metric_math import evaluate
from scripts.local_aws.cloudwatch.metrics import Metrics, Series
from scripts.local_aws.core.errors import ServiceError
from tests.local_aws.conftest import Server, eventually, policy

COUNTING = """
import json
def lambda_handler(event, context):
    print(json.dumps({
        "_aws": {"Timestamp": event["time"], "CloudWatchMetrics": [
            {"Namespace": event["namespace"], "Dimensions": [["service"]], "Metrics": [{"Name": "Pictures"}]}
        ]},
        "service": "counter", "Pictures": event["pictures"],
    }))
    if event.get("fail"):
        raise ValueError("on purpose")
"""


def states(server: Server, pattern: str, ahead: float = 0) -> dict[str, str]:
    wanted = json.dumps({"name": pattern, "ahead": ahead}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{server.url}/_local/alarms", wanted)) as answer:
        return dict(json.load(answer))


def put_alarm(server: Server, **settings: Any) -> str:
    """An alarm on the metric Fever of a namespace of its own, which is the alarm's name."""
    name = f"alarm-{uuid.uuid4().hex[:8]}"
    defaults = {
        "Namespace": name,
        "MetricName": "Fever",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 3,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    }
    server.client("cloudwatch").put_metric_alarm(AlarmName=name, **(defaults | settings))
    return name


def put_metric(server: Server, namespace: str, name: str = "Fever", **facts: Any) -> None:
    server.client("cloudwatch").put_metric_data(
        Namespace=namespace, MetricData=[{"MetricName": name, **facts}]
    )


def queue_of_changes(server: Server, alarm: str) -> str:
    url, arn = server.create_queue()
    events, rule = server.client("events"), f"rule-{alarm}"
    pattern = {"source": ["aws.cloudwatch"], "detail": {"alarmName": [alarm]}}
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": arn}])
    return url


# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html, its two tables: data
# points, oldest first (X breaches); the states by missing, ignore, breaching, notBreaching. None: the state is kept.
THREE_OF_THREE = [
    ("0-X-X", ["OK", "OK", "OK", "OK"]),
    ("----0", ["OK", "OK", "OK", "OK"]),
    ("-----", ["INSUFFICIENT_DATA", None, "ALARM", "OK"]),
    ("0XX-X", ["ALARM", "ALARM", "ALARM", "ALARM"]),
    ("--X--", ["ALARM", None, "ALARM", "OK"]),
]
TWO_OF_THREE = [
    ("0-X-X", ["ALARM", "ALARM", "ALARM", "ALARM"]),
    ("00X0X", ["ALARM", "ALARM", "ALARM", "ALARM"]),
    ("0-X--", ["OK", "OK", "ALARM", "OK"]),
    ("----0", ["OK", "OK", "ALARM", "OK"]),
    ("---X-", ["ALARM", None, "ALARM", "OK"]),
]


@pytest.mark.parametrize(
    ("points", "expected", "wanted"),
    [(*row, 3) for row in THREE_OF_THREE] + [(*row, 2) for row in TWO_OF_THREE],
)
def test_missing_data_are_treated_as_awss_tables_say(
    points: str, expected: list[str | None], wanted: int
) -> None:
    newest_first = [{"0": False, "X": True, "-": None}[point] for point in reversed(points)]
    treatments = ("missing", "ignore", "breaching", "notBreaching")
    assert [evaluated_state(newest_first, 3, wanted, treatment) for treatment in treatments] == expected


# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("100 * (a + b) / c", 50.0),
        ("IF(c >= 20, 100 * a / c, 0)", 0.0),
        ("a / (b - 2)", None),
        ("a + d", None),
        ("a + FILL(d, 0)", 3.0),
        ("IF(d > 0, FILL(a, 0), 1)", None),
    ],
)
def test_expressions_are_arithmetic(expression: str, value: float | None) -> None:
    """A missing value makes the result missing."""
    assert evaluate(expression, {"a": 3.0, "b": 2.0, "c": 10.0, "d": None}) == value


@pytest.mark.parametrize("expression", ["SUM([a, b])", "IF(a, b)", "a ^ 2", "unknown"])
def test_an_expression_beyond_that_is_named_and_not_guessed(expression: str) -> None:
    with pytest.raises(ServiceError, match="not metric math that is emulated"):
        evaluate(expression, {"a": 3.0, "b": 2.0})


def test_statistics_are_over_every_value_of_the_minutes_that_they_cover() -> None:
    metrics, series = Metrics(), Series("shop", "Fever", frozenset({("ward", "3")}))
    for value in range(1, 101):
        metrics.add("shop", {"Fever": float(value)}, {"ward": "3"}, at=600 + value / 2)
    metrics.add("shop", {"Fever": 1000.0}, {"ward": "3"}, at=660)
    metrics.add("shop", {"Fever": 1000.0}, {"ward": "4"}, at=600)

    names = ("SampleCount", "Sum", "Average", "Minimum", "Maximum", "p50", "p95", "p99.9")
    found = [metrics.statistic(series, 600, 660, name) for name in names]
    assert found == [100, 5050, 50.5, 1, 100, 50, 95, 100]
    assert metrics.statistic(series, 720, 780, "Sum") is None


def test_an_alarm_goes_off_and_back_with_an_event_for_each(server: Server) -> None:
    name = put_alarm(server, AlarmDescription="Somebody is ill.")
    queue = queue_of_changes(server, name)
    cloudwatch = server.client("cloudwatch")
    assert (
        cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"] == "INSUFFICIENT_DATA"
    )

    assert states(server, name) == {name: "OK"}
    put_metric(server, name, Value=3)
    assert states(server, name) == {name: "ALARM"}
    assert states(server, name, ahead=240) == {name: "OK"}

    said = [json.loads(server.receive(queue)["Body"]) for _ in range(3)]
    changes = {(it["detail"]["previousState"]["value"], it["detail"]["state"]["value"]) for it in said}
    assert changes == {("INSUFFICIENT_DATA", "OK"), ("OK", "ALARM"), ("ALARM", "OK")}
    event = next(it for it in said if it["detail"]["state"]["value"] == "ALARM")
    assert event["resources"] == [f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:{name}"]
    assert event["detail-type"] == "CloudWatch Alarm State Change"
    assert event["detail"]["configuration"]["description"] == "Somebody is ill."
    assert event["detail"]["state"]["reason"].startswith(
        "Threshold Crossed: 1 out of the last 1 datapoints [3.0 ("
    )
    assert json.loads(event["detail"]["state"]["reasonData"])["recentDatapoints"] == [3.0]


def test_an_action_publishes_what_cloudwatch_says_to_a_topic(server: Server) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html"""
    sns = server.client("sns")
    topic = sns.create_topic(Name=f"topic-{uuid.uuid4().hex[:8]}")["TopicArn"]
    cloudwatch = {
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": topic,
    }
    sns.set_topic_attributes(
        TopicArn=topic, AttributeName="Policy", AttributeValue=policy({"Effect": "Allow", **cloudwatch})
    )
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@example.com")
    name = put_alarm(server, AlarmActions=[topic])

    put_metric(server, name, Values=[1, 2], Counts=[1, 1])
    assert states(server, name) == {name: "ALARM"}
    assert states(server, name) == {name: "ALARM"}  # and says nothing twice

    with urllib.request.urlopen(f"{server.url}/_local/outbox") as answer:
        (mail,) = [it for it in json.load(answer) if it["topic"] == topic]
    assert mail["subject"] == f'ALARM: "{name}" in US East (N. Virginia)'
    assert json.loads(mail["message"])["NewStateValue"] == "ALARM"


def test_a_state_set_by_hand_is_reported(server: Server) -> None:
    """An update of the alarm keeps it."""
    name = put_alarm(server)
    queue = queue_of_changes(server, name)
    cloudwatch = server.client("cloudwatch")

    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a try")
    event = json.loads(server.receive(queue)["Body"])
    assert (event["detail"]["alarmName"], event["detail"]["state"]["reason"]) == (name, "a try")

    alarm = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    kept = {
        key: alarm[key] for key in ("Namespace", "MetricName", "Statistic", "Period", "EvaluationPeriods")
    }
    cloudwatch.put_metric_alarm(
        AlarmName=name, Threshold=9, ComparisonOperator="GreaterThanThreshold", **kept
    )
    assert cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"] == "ALARM"


def test_functions_are_counted_with_what_they_count_themselves(server: Server) -> None:
    name, namespace = server.create_function(COUNTING), f"shop-{uuid.uuid4().hex[:8]}"
    event = {"time": int(time.time() * 1000), "namespace": namespace, "pictures": [2, 3]}
    for fail in (False, True):
        payload = json.dumps(event | {"fail": fail}).encode()
        server.client("lambda").invoke(FunctionName=name, Payload=payload)

    def total(namespace: str, metric: str, dimension: str, value: str) -> float:
        now = datetime.now(UTC).timestamp()
        found = server.client("cloudwatch").get_metric_statistics(
            Namespace=namespace,
            MetricName=metric,
            Dimensions=[{"Name": dimension, "Value": value}],
            StartTime=now - 300,
            EndTime=now + 60,
            Period=3600,
            Statistics=["Sum"],
        )
        return sum(point["Sum"] for point in found["Datapoints"])

    assert total("AWS/Lambda", "Invocations", "FunctionName", name) == 2
    assert total("AWS/Lambda", "Errors", "FunctionName", name) == 1
    assert total(namespace, "Pictures", "service", "counter") == 10


# https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
def test_executions_are_counted_by_their_ends_and_timed(server: Server) -> None:
    states_client = server.client("stepfunctions")
    definition = {
        "QueryLanguage": "JSONata",
        "TimeoutSeconds": 1,
        "StartAt": "Hang",
        "States": {"Hang": {"Type": "Wait", "Seconds": 1000, "End": True}},
    }
    machine = states_client.create_state_machine(
        name=f"machine-{uuid.uuid4().hex[:8]}",
        definition=json.dumps(definition),
        roleArn=server.create_role(),
    )["stateMachineArn"]
    states_client.start_execution(stateMachineArn=machine, name="hangs")

    def alarm(metric: str, statistic: str, threshold: float) -> str:
        return put_alarm(
            server,
            Namespace="AWS/States",
            MetricName=metric,
            Dimensions=[{"Name": "StateMachineArn", "Value": machine}],
            Statistic=statistic,
            Threshold=threshold,
        )

    started, stopped, slow, slower = (
        alarm("ExecutionsStarted", "Sum", 1),
        alarm("ExecutionsTimedOut", "Sum", 1),
        alarm("ExecutionTime", "Maximum", 1000),
        alarm("ExecutionTime", "Maximum", 9000),
    )
    eventually(lambda: states(server, stopped)[stopped] == "ALARM")
    found = [states(server, name)[name] for name in (started, slow, slower)]
    assert found == ["ALARM", "ALARM", "OK"]


def test_calls_that_a_function_turns_away_are_throttles(server: Server) -> None:
    function = server.create_function("def lambda_handler(event, context): pass")
    server.client("lambda").put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    with pytest.raises(server.client("lambda").exceptions.TooManyRequestsException):
        server.client("lambda").invoke(FunctionName=function)

    name = put_alarm(
        server,
        Namespace="AWS/Lambda",
        MetricName="Throttles",
        Dimensions=[{"Name": "FunctionName", "Value": function}],
        Threshold=1,
    )
    assert states(server, name) == {name: "ALARM"}


def test_messages_that_wait_in_a_queue_are_seen_and_their_end_too(server: Server) -> None:
    url, arn = server.create_queue()
    name = put_alarm(
        server,
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": arn.rpartition(":")[2]}],
        Statistic="Maximum",
        Threshold=1,
    )
    server.client("sqs").send_message(QueueUrl=url, MessageBody="stuck")
    assert states(server, name) == {name: "ALARM"}
    server.client("sqs").purge_queue(QueueUrl=url)
    assert states(server, name, ahead=60) == {name: "OK"}


def test_an_expression_is_evaluated_over_its_metrics(server: Server) -> None:
    namespace = f"shop-{uuid.uuid4().hex[:8]}"

    def metric(name: str) -> dict[str, Any]:
        stat = {"Metric": {"Namespace": namespace, "MetricName": name}, "Period": 60, "Stat": "Sum"}
        return {"Id": name.lower(), "MetricStat": stat, "ReturnData": False}

    share = {"Id": "share", "Expression": "100 * ill / all", "Label": "% are ill", "ReturnData": True}
    name = f"alarm-{uuid.uuid4().hex[:8]}"
    server.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Metrics=[metric("Ill"), metric("All"), share],
        EvaluationPeriods=1,
        Threshold=50,
        ComparisonOperator="GreaterThanThreshold",
    )
    queue = queue_of_changes(server, name)
    put_metric(server, namespace, "All", Value=5)
    assert states(server, name) == {name: "INSUFFICIENT_DATA"}
    put_metric(server, namespace, "Ill", Value=3)
    assert states(server, name) == {name: "ALARM"}

    metrics = json.loads(server.receive(queue)["Body"])["detail"]["configuration"]["metrics"]
    assert {
        "id": "share",
        "expression": "100 * ill / all",
        "label": "% are ill",
        "returnData": True,
    } in metrics
