"""One running one-machine AWS for all contract tests, and ways to put functions and models on it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SERVING_PROGRAM = Path(__file__).parent / "sagemaker" / "serving_program.py"
SERVICES = ["events", "lambda", "sagemaker", "states"]
TRUST = {
    "Effect": "Allow",
    "Principal": {"Service": [f"{name}.amazonaws.com" for name in SERVICES]},
    "Action": "sts:AssumeRole",
}
EVERYTHING = {"Sid": "Everything", "Effect": "Allow", "Action": "*", "Resource": "*"}


def eventually(check: Callable[[], Any], seconds: float = 20.0) -> Any:
    """The first true result of `check`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := check()):
        assert time.monotonic() < deadline, f"{check} stayed {result!r} for {seconds} s"
        time.sleep(0.05)
    return result


class Server:
    """The one-machine AWS as a process of its own.

    Retries wait a hundredth of their real time, so that their schedules can be seen to the end.
    """

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        command = [
            sys.executable,
            "-m",
            "scripts.local_aws",
            "--state-dir",
            str(state_dir),
            "--wait-scale",
            "0.01",
        ]
        command += ["--image", f"serving={sys.executable} {SERVING_PROGRAM}"]
        command += ["--image", f"pytorch={sys.executable}", "--log", str(state_dir / "log")]
        self.process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
        ready_file = state_dir / "local_aws.json"
        eventually(lambda: ready_file.exists() or self.process.poll() is not None, 60)
        self.facts = json.loads(ready_file.read_text())
        self.url = self.facts["endpoint_url"]
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """One client per service: making one takes longer than most calls."""
        if service not in self._clients:
            self._clients[service] = self._new_client(service)
        return self._clients[service]

    def _new_client(self, service: str) -> Any:
        session = boto3.session.Session(
            aws_access_key_id="local", aws_secret_access_key="local", region_name="us-east-1"
        )
        config = boto3.session.Config(retries={"total_max_attempts": 1}, read_timeout=90)
        return session.client(service, endpoint_url=self.url, config=config)

    def create_role(self, *statements: dict[str, Any]) -> str:
        """A role that any service assumes, with these statements, or with leave to do everything; returns its ARN."""
        iam, name = self.client("iam"), f"role-{uuid.uuid4().hex[:8]}"
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(TRUST))
        document = policy(*(statements or (EVERYTHING,)))
        iam.put_role_policy(RoleName=name, PolicyName="permissions", PolicyDocument=document)
        return str(role["Role"]["Arn"])

    def let_invoke(self, function: str, service: str) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html"""
        self.client("lambda").add_permission(
            FunctionName=function,
            StatementId=f"Let{service}",
            Action="lambda:InvokeFunction",
            Principal=f"{service}.amazonaws.com",
        )

    def create_function(self, code: str, **more: Any) -> str:
        """Create a function whose module is `code`; returns its name."""
        name = f"function-{uuid.uuid4().hex[:8]}"
        configuration = {
            "Runtime": "python3.13",
            "Handler": "handler.lambda_handler",
            "Timeout": 10,
            "Code": {"ZipFile": zipped({"handler.py": code})},
            **more,
        }
        configuration = {"Role": self.create_role(), **configuration}
        self.client("lambda").create_function(FunctionName=name, **configuration)
        return name

    def create_queue(self) -> tuple[str, str]:
        """Create a queue that events may be sent to; returns its URL and ARN."""
        sqs = self.client("sqs")
        url = sqs.create_queue(QueueName=f"queue-{uuid.uuid4().hex[:8]}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events = {
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
        }
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy({"Effect": "Allow", **events})})
        return url, arn

    def receive(self, queue_url: str) -> dict[str, Any]:
        """The next message of a queue, taken out of it."""
        sqs = self.client("sqs")

        def take() -> Any:
            answer = sqs.receive_message(QueueUrl=queue_url, MessageAttributeNames=["All"])
            return answer.get("Messages")

        message: dict[str, Any] = eventually(take)[0]
        sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        return message

    def create_bucket(self) -> str:
        name = f"bucket-{uuid.uuid4().hex[:8]}"
        self.client("s3").create_bucket(Bucket=name)
        return name

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def zipped(files: dict[str, str]) -> bytes:
    """A Lambda package with these text files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as package:
        for name, text in files.items():
            package.writestr(name, text)
    return buffer.getvalue()


def model_archive(**settings: Any) -> bytes:
    """A model.tar.gz with the settings of tests/serving_program.py."""
    content = json.dumps(settings).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("model.json")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("local_aws"))
    yield running
    running.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server for tests that end it."""
    running = Server(tmp_path)
    yield running
    if running.process.poll() is None:
        running.stop()


def process_exists(pid: int) -> bool:
    """Whether the process runs; a zombie that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return bool(status.stdout.strip()) and "Z" not in status.stdout
