"""What the functions' tests share: their settings, S3 and SNS by moto, and a server that plays any AWS service."""

import contextlib
import dataclasses
import http.server
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from inhabited_account import NEIGHBOURS, NUMBER, REGION, client, deploy
from moto import mock_aws

from functions.common import aws, telemetry
from scripts.deployment.identity import Account
from scripts.deployment.outputs import Deployment
from scripts.local_aws.moto_patches import budgets
from scripts.operations import resource_kinds

EVENTS = Path(__file__).resolve().parent.parent / "events"
BUCKET = "scones-test-123456789012-us-east-1"
LABELS = ["bicycle", "motorcycle", "neither"]


@pytest.fixture
def event() -> Callable[[str], Any]:
    """Reads a golden event by name."""
    return lambda name: json.loads((EVENTS / f"{name}.json").read_text("utf-8"))


@pytest.fixture
def context() -> SimpleNamespace:
    return SimpleNamespace(aws_request_id="5c6f4b8e-0000-4000-8000-000000000001")


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment that Terraform gives the functions, credentials that open nothing, and fresh clients."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    environment = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "BUCKET": BUCKET,
        "INPUT_SIZE": "32",
        "ENDPOINT_NAME": "scones-test-classifier",
        "LABELS": json.dumps(LABELS),
        "CLASSES_OF_INTEREST": json.dumps(LABELS[:2]),
        "THRESHOLDS": json.dumps({"scones-2026-11-12": 0.93, "scones-2026-08-01": 0.98}),
        "TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:scones-test-alerts",
        "ENVIRONMENT": "scones-test",
        "LEDGER_TABLE": "scones-test-ledger",
        "POWERTOOLS_METRICS_NAMESPACE": "scones-test",
        "RUNBOOK_URL": "https://example.org/docs/operations.md",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(telemetry.metrics.provider, "namespace", "scones-test")
    aws.client.cache_clear()
    yield
    aws.client.cache_clear()


@pytest.fixture(scope="session")
def aws_session() -> boto3.Session:
    """Reads the descriptions of AWS's services once for all tests; that is most of a client's making."""
    return boto3.Session(region_name="us-east-1")


@pytest.fixture
def bucket(aws_session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The project's bucket, versioned, as a boto3 resource in moto."""
    with mock_aws():
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", aws_session)
        bucket = boto3.resource("s3", region_name="us-east-1").create_bucket(Bucket=BUCKET)
        bucket.Versioning().enable()
        yield bucket


@pytest.fixture
def s3() -> Iterator[Any]:
    """An S3 client in moto with the bucket `pictures`."""
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="pictures")
        yield client


@pytest.fixture
def deployment(bucket: Any) -> Deployment:
    """The parts of a deployment that the command line reads and changes, in moto."""
    region = {"region_name": "us-east-1"}
    table = boto3.client("dynamodb", **region).create_table(
        TableName="scones-test-ledger",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": "picture", "KeyType": "HASH"},
            {"AttributeName": "version", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"}
            for name in ("attention", "picture", "time", "version")
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "attention",
                "KeySchema": [
                    {"AttributeName": "attention", "KeyType": "HASH"},
                    {"AttributeName": "time", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    queues = {
        f"{kind}_dead_letters_url": boto3.client("sqs", **region).create_queue(QueueName=kind)["QueueUrl"]
        for kind in ("alert", "trigger")
    }
    names: dict[str, Any] = {"region": "us-east-1", "prefix": "scones-test", "bucket": bucket.name}
    names["labels"] = LABELS
    names |= {
        "ledger_table": table["TableDescription"]["TableName"],
        "endpoint_name": "scones-test-classifier",
        "ledger_retention_days": 90,
    }
    return Deployment(names | queues, {})


@pytest.fixture(scope="session")
def repaired() -> None:
    """moto's budgets know no tags."""
    budgets.repair_budget_tags()


@pytest.fixture
def account(repaired: None, aws_session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """The account with all of scones-dev in it."""
    with mock_aws():
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", aws_session)
        client("logs").create_log_group(logGroupName=resource_kinds.TRAINING_LOGS)
        client("s3").create_bucket(Bucket="scones-dev-state")
        deploy("scones-dev", "scones", "dev")
        yield Account("scones", "dev", REGION, "aws", NUMBER, dict(os.environ))


@pytest.fixture
def neighbours(account: Account) -> dict[str, tuple[str, str]]:
    """Everybody else, by prefix."""
    for prefix, names in NEIGHBOURS.items():
        deploy(prefix, *names)
    return NEIGHBOURS


@pytest.fixture
def inbox(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """Subscribes a queue to the topic of alerts; reads what it received."""
    sns, sqs = deployment.client("sns"), deployment.client("sqs")
    topic = sns.create_topic(Name="scones-test-alerts")["TopicArn"]
    queue = sqs.create_queue(QueueName="inbox")["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:inbox")
    monkeypatch.setenv("TOPIC_ARN", topic)

    def read() -> list[dict[str, Any]]:
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        return [json.loads(found["Body"]) for found in answer.get("Messages", [])]

    return read


@dataclasses.dataclass
class Answer:
    """One HTTP answer; `length` announces more bytes than come, `delay` is in seconds."""

    status: int = 200
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = b""
    length: int | None = None
    delay: float = 0.0


@dataclasses.dataclass
class PlayedService:
    """A real HTTP server that gives the same answer to every request, and keeps what it was asked."""

    url: str
    released: threading.Event
    answer: Answer = dataclasses.field(default_factory=Answer)
    requests: list[tuple[str, str, dict[str, str], bytes]] = dataclasses.field(default_factory=list)

    def answers(self, **facts: Any) -> None:
        self.answer = Answer(**facts)


@pytest.fixture
def service() -> Iterator[PlayedService]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            played.requests.append((self.command, self.path, dict(self.headers), body))
            answer = played.answer
            if answer.delay:
                played.released.wait(answer.delay)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            length = len(answer.body) if answer.length is None else answer.length
            self.send_header("Content-Length", str(length))
            self.send_header("Connection", "close")  # announced, so that no client sends into the closing
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # the client may have left on purpose
                self.wfile.write(answer.body)
            self.close_connection = True

        do_GET = do_POST = serve  # noqa: N815

        def log_message(self, *arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    played = PlayedService(f"http://127.0.0.1:{server.server_port}", threading.Event())
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield played
    played.released.set()
    server.shutdown()
    thread.join()
    server.server_close()
