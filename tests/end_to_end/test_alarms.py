"""Every alarm goes off and comes back on the one-machine AWS, and people get a message of both.

A driver causes what the alarm is about. Where the real cause is out of reach here (an execution of half an hour, a
mail server that refuses), it puts the metric that AWS would report.
"""

import contextlib
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from scripts.operations.local_stack import LocalStack
from scripts.workflow.client import Workflow

PREFIX = "scones-local"
# By then every period of every alarm is over, and nothing was measured since.
LATER = 30 * 86400
ONCE = Config(retries={"total_max_attempts": 1}, max_pool_connections=32)
BURSTS = 40


class World:
    """The stack, and the ways of this module to disturb it."""

    def __init__(self, stack: LocalStack, workflow: Workflow, execute: Callable, bicycle: Path):
        self.stack, self.workflow, self.execute, self.bicycle = stack, workflow, execute, bicycle
        self.deployment = workflow.deployment
        self.functions, self.endpoint, self.queues = (
            boto3.client(
                service,
                region_name="us-east-1",
                endpoint_url=self.deployment.variables["AWS_ENDPOINT_URL"],
                aws_access_key_id="local",
                aws_secret_access_key="local",
                config=ONCE,
            )
            for service in ("lambda", "sagemaker-runtime", "sqs")
        )

    def invoke(self, folder: str, payload: object) -> None:
        """Calls a function, whatever the result."""
        with contextlib.suppress(ClientError):
            self.functions.invoke(
                FunctionName=f"{PREFIX}-{folder}", Qualifier="live", Payload=json.dumps(payload).encode()
            )

    def ask_endpoint(self, requests: int) -> None:
        """Sends requests side by side, whatever the results."""

        def ask(_number: int) -> None:
            with contextlib.suppress(ClientError):
                self.endpoint.invoke_endpoint(
                    EndpointName=f"{PREFIX}-classifier", Body=b"no picture", ContentType="image/png"
                )

        with ThreadPoolExecutor(10) as pool:
            list(pool.map(ask, range(requests)))

    def put(self, namespace: str, name: str, value: float, times: int = 1, **dimensions: str) -> None:
        """Reports a metric, as AWS or a function would."""
        named = [{"Name": key, "Value": value} for key, value in dimensions.items()]
        datum = {"MetricName": name, "Dimensions": named, "Values": [value], "Counts": [times]}
        self.deployment.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=[datum])

    def send(self, queue: str) -> None:
        self.queues.send_message(QueueUrl=queue, MessageBody="{}")

    def empty_queues(self) -> None:
        for queue in (self.deployment.alert_dead_letters_url, self.deployment.trigger_dead_letters_url):
            while found := self.queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get(
                "Messages"
            ):
                for message in found:
                    self.queues.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


def pictures_fail(world: World) -> None:
    for _ in range(5):
        world.execute({})


def pictures_are_slow(world: World) -> None:
    arn = f"arn:aws:states:us-east-1:123456789012:stateMachine:{PREFIX}-classify"
    world.put("AWS/States", "ExecutionTime", 61_000, 1000, StateMachineArn=arn)


def executions_time_out(machine: str) -> Callable[[World], None]:
    arn = f"arn:aws:states:us-east-1:123456789012:stateMachine:{PREFIX}-{machine}"
    return lambda world: world.put("AWS/States", "ExecutionsTimedOut", 1, StateMachineArn=arn)


def calls_are_turned_away(folder: str) -> Callable[[World], None]:
    def drive(world: World) -> None:
        world.stack.inject(
            {"error": "TooManyRequestsException", "status": 429},
            service="lambda",
            resource=f"{PREFIX}-{folder}",
        )
        for _ in range(10):
            world.invoke(folder, {})
        world.stack.heal()

    return drive


def alerts_cannot_be_sent(world: World) -> None:
    for _ in range(3):
        world.invoke("send-alert", {"category": "unheard of"})


def a_mail_server_refuses(world: World) -> None:
    world.put("AWS/SNS", "NumberOfNotificationsFailed", 1, TopicName=f"{PREFIX}-alerts")


def the_endpoint_fails(world: World) -> None:
    world.stack.inject({"answer": {"status": 500, "body": "out of memory"}}, operation="InvokeEndpoint")
    world.ask_endpoint(20)
    world.stack.heal()


def the_endpoint_is_slow(world: World) -> None:
    world.stack.inject({"delay": 1.05}, operation="InvokeEndpoint")
    world.ask_endpoint(20)
    world.stack.heal()


def pictures_are_doubtful(world: World) -> None:
    model = json.loads(world.stack.model_file.read_text(encoding="utf-8"))["model"]["name"]
    for _ in range(20):
        world.invoke("filter-inferences", {"inferences": [0.5, 0.3, 0.2], "model": model})


def drift_is_reported(world: World) -> None:
    world.put(PREFIX, "Drift", 1, service="report_drift")


FUNCTIONS = ("classify-image", "filter-inferences", "serialize-image-data")
DRIVERS: dict[str, Callable[[World], None]] = {
    "alert-dead-letters": lambda world: world.send(world.deployment.alert_dead_letters_url),
    "alert-failures": alerts_cannot_be_sent,
    "drift": drift_is_reported,
    "endpoint-errors": the_endpoint_fails,
    "endpoint-latency": the_endpoint_is_slow,
    "low-confidence-share": pictures_are_doubtful,
    "slow-pictures": pictures_are_slow,
    "system-failures": pictures_fail,
    "trigger-dead-letters": lambda world: world.send(world.deployment.trigger_dead_letters_url),
    "undelivered-alerts": a_mail_server_refuses,
    **{f"throttled-{folder}": calls_are_turned_away(folder) for folder in FUNCTIONS},
    **{f"timed-out-{name}": executions_time_out(name) for name in ("batch", "classify")},
}
# Silence is what these are about, and a picture ends it.
SILENT = ("idle-endpoint", "stale-stream")
DAY = 24
ON_THE_ALERT_PATH = ("alert-dead-letters", "alert-failures", "undelivered-alerts")


@pytest.fixture
def world(stack, workflow, execute, bicycle):
    disturbed = World(stack, workflow, execute, bicycle)
    disturbed.empty_queues()
    yield disturbed
    stack.heal()
    disturbed.empty_queues()


@pytest.fixture
def heard(stack, eventually):
    """Waits for the one message that a subject begins, of those that came since the test began."""
    before = len(stack.outbox())

    def read(subject: str) -> dict:
        def found() -> list[dict]:
            return [it for it in stack.outbox()[before:] if it["subject"].startswith(subject)]

        (message,) = eventually(found)
        return message

    return read


@pytest.fixture(scope="module")
def stale_stream_alarm(stack, workflow):
    """The alarm that is off by default, switched on for the tests that need it."""
    address = 'module.monitoring.aws_cloudwatch_metric_alarm.this["stale-stream"]'
    schedules = f"-var=schedules={{stale_after_hours={DAY}}}"
    options = ["-auto-approve", "-no-color", "-refresh=false", f"-target={address}"]
    stack.terraform("apply", schedules, *options, *stack.var_files())
    yield
    workflow.deployment.client("cloudwatch").delete_alarms(AlarmNames=[f"{PREFIX}-stale-stream"])
    stack.terraform("state", "rm", address)


def test_every_alarm_has_a_driver(workflow):
    pages = workflow.deployment.client("cloudwatch").get_paginator("describe_alarms").paginate()
    names = {alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]}

    assert names == {f"{PREFIX}-{name}" for name in (*DRIVERS, "idle-endpoint")}


@pytest.mark.parametrize("name", [name for name in DRIVERS if name not in ON_THE_ALERT_PATH])
def test_an_alarm_goes_off_and_back_with_a_message_for_each(name, world, heard):
    assert world.stack.alarm_state(f"{PREFIX}-{name}", LATER) == "OK"

    drive_into_alarm(name, world)
    alarm = heard(f"[{PREFIX}] Alarm: {name.replace('-', ' ')}")
    world.empty_queues()
    assert world.stack.alarm_state(f"{PREFIX}-{name}", 2 * LATER) == "OK"
    over = heard(f"[{PREFIX}] Alarm over: {name.replace('-', ' ')}")

    reads_like_an_alert(alarm, "drift" if name == "drift" else "alarm")
    assert over["attributes"]["category"] == alarm["attributes"]["category"]


@pytest.mark.parametrize("name", SILENT)
def test_a_day_of_silence_is_an_alarm_until_a_picture_comes(name, world, heard, stale_stream_alarm):
    world.workflow.classify(str(world.bicycle))
    assert world.stack.alarm_state(f"{PREFIX}-{name}") == "OK"

    # AWS samples what runs each minute; here each look does.
    states = [world.stack.alarm_state(f"{PREFIX}-{name}", hours * 3600) for hours in range(2, DAY + 4)]
    assert (states[0], states[-1]) == ("OK", "ALARM")
    reads_like_an_alert(heard(f"[{PREFIX}] Alarm: {name.replace('-', ' ')}"), "alarm")
    assert world.stack.alarm_state(f"{PREFIX}-{name}") == "OK"
    heard(f"[{PREFIX}] Alarm over: {name.replace('-', ' ')}")


@pytest.mark.parametrize("name", ON_THE_ALERT_PATH)
def test_an_alarm_on_the_alert_path_goes_another_way(name, world, heard):
    """Its end comes as an alert again, which proves the path."""
    assert world.stack.alarm_state(f"{PREFIX}-{name}", LATER) == "OK"

    drive_into_alarm(name, world)
    message = heard(f'ALARM: "{PREFIX}-{name}"')
    world.empty_queues()
    assert world.stack.alarm_state(f"{PREFIX}-{name}", 2 * LATER) == "OK"
    heard(f"[{PREFIX}] Alarm over: {name.replace('-', ' ')}")

    assert message["topic"].endswith(f"{PREFIX}-alarms")
    assert message["subscriber"] == "operations@example.com"
    assert json.loads(message["message"])["AlarmDescription"].endswith(f" docs/operations.md#{name}")
    told = f"[{PREFIX}] Alarm: {name.replace('-', ' ')}"
    assert not [it for it in world.stack.outbox() if it["subject"].startswith(told)]


def drive_into_alarm(name: str, world: World) -> None:
    """What other tests have done in the same hour counts too, so one burst need not be enough."""
    for _ in range(BURSTS):
        DRIVERS[name](world)
        if world.stack.alarm_state(f"{PREFIX}-{name}") == "ALARM":
            return
    raise AssertionError(f"{name} did not go off after {BURSTS} bursts")


def reads_like_an_alert(message: dict, category: str) -> None:
    assert message["attributes"]["category"] == category
    assert message["subscriber"] == "operations@example.com"
    assert len(message["subject"]) < 100
    assert len(message["message"]) < 1000
    assert re.search(r"\nWhat to do: .+\n\nAlarm: https://.+\nHelp: \S+#[a-z-]+\n", message["message"])
