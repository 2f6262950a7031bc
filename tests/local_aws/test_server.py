"""The server itself: its start and end, and HTTP as AWS's clients speak it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlparse

import pytest
from botocore.exceptions import ClientError

from tests.local_aws.sagemaker.test_endpoints import deploy

from .conftest import REPOSITORY, Server, eventually, model_archive, process_exists


def test_the_ready_file_says_where_it_is(server: Server) -> None:
    facts = {
        "endpoint_url": server.url,
        "pid": server.process.pid,
        "region": "us-east-1",
        "account": "123456789012",
    }
    assert server.facts == facts


def test_health_answers(server: Server) -> None:
    with urllib.request.urlopen(f"{server.url}/_local/health") as answer:
        told = json.load(answer)
    assert (told["status"], told["pid"]) == ("ok", server.process.pid)


MANY_FILES = """
import os, resource, runpy
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
files = [os.dup(0) for _ in range(1100)]
runpy.run_module("scripts.local_aws", run_name="__main__", alter_sys=True)
"""


def test_it_goes_on_where_more_files_are_open_than_select_can_watch(tmp_path: Path) -> None:
    """A long storm of pictures ended the server: https://docs.python.org/3/library/select.html#select.select"""
    command = [sys.executable, "-c", MANY_FILES, "--state-dir", str(tmp_path)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL) as process:
        ready = tmp_path / "local_aws.json"
        try:
            eventually(lambda: ready.exists() or process.poll() is not None, 60)
            url = json.loads(ready.read_text())["endpoint_url"]
            with urllib.request.urlopen(f"{url}/_local/health", timeout=10) as answer:
                assert json.load(answer)["status"] == "ok"
        finally:
            process.terminate()


def ask(server: Server, path: str, headers: dict[str, str], body: bytes | None = None) -> tuple[int, str]:
    """(status, text) of a request as a browser sends it."""
    request = urllib.request.Request(f"{server.url}{path}", body, headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "evil.example:4711", "Origin": "http://evil.example:4711", "Sec-Fetch-Site": "same-origin"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "evil-localhost"},
        {"Host": ""},
    ],
)
def test_a_web_page_of_somebody_else_reads_and_changes_nothing(
    server: Server, headers: dict[str, str]
) -> None:
    """https://www.w3.org/TR/fetch-metadata/, and DNS rebinding, which only the Host reveals."""
    status, why = ask(server, "/_local/outbox", headers)
    assert status == 403
    assert "own pages only" in why
    fault = json.dumps({"service": "kms", "fault": {"error": "Page"}}).encode()
    assert ask(server, "/_local/faults", headers, fault)[0] == 403
    with urllib.request.urlopen(f"{server.url}/_local/faults") as rules:
        assert "Page" not in rules.read().decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Host": "localhost:4711", "Origin": "http://localhost:4711"},
        {"Host": "bucket.with-dots.localhost:4711"},
    ],
)
def test_its_own_pages_and_its_other_names_are_answered(server: Server, headers: dict[str, str]) -> None:
    assert ask(server, "/_local/outbox", headers)[0] == 200


def test_a_connection_is_kept_alive(server: Server) -> None:
    address = urlparse(server.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port)
    sockets = set()
    for _ in range(3):
        connection.request("GET", "/_local/health")
        connection.getresponse().read()
        sockets.add(connection.sock)
    assert len(sockets) == 1
    assert None not in sockets


def test_an_answer_arrives_in_one_piece(server: Server) -> None:
    """Go's HTTP client now and then closes a connection on which the body comes later than the head (measured)."""
    address = urlparse(server.url)
    with socket.create_connection((str(address.hostname), address.port), timeout=20) as connection:
        for _ in range(200):
            connection.sendall(b"GET /_local/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head, _, body = connection.recv(65_536).partition(b"\r\n\r\n")
            assert b"200 OK" in head
            assert json.loads(body)["status"] == "ok"


def test_requests_are_answered_side_by_side(server: Server) -> None:
    """An SQS long poll must not block other requests."""
    url, _ = server.create_queue()
    poll = threading.Thread(
        target=lambda: server.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=20)
    )
    poll.start()
    for _ in range(5):
        server.client("sts").get_caller_identity()
    assert poll.is_alive()
    server.client("sqs").send_message(QueueUrl=url, MessageBody="x")
    poll.join()


def test_large_binary_objects_pass_untouched(server: Server) -> None:
    """S3 clients send `Expect: 100-continue` and wait for the answer."""
    content = os.urandom(10_000_001)
    s3, bucket = server.client("s3"), server.create_bucket()
    s3.put_object(Bucket=bucket, Key="a/ä +%&'\"\n.jpg", Body=content)
    key = s3.list_objects_v2(Bucket=bucket)["Contents"][0]["Key"]
    assert key == "a/ä +%&'\"\n.jpg"
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == content


def test_an_empty_object_is_stored(server: Server) -> None:
    s3, bucket = server.client("s3"), server.create_bucket()
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    assert s3.head_object(Bucket=bucket, Key="empty")["ContentLength"] == 0


@pytest.mark.parametrize(
    ("service", "call"), [("dynamodb", "list_imports"), ("iam", "list_service_specific_credentials")]
)
def test_an_action_that_nobody_implements_is_a_client_error(server: Server, service: str, call: str) -> None:
    """Terraform's provider repeats a request that gets a 500 for ten minutes."""
    with pytest.raises(ClientError) as error:
        getattr(server.client(service), call)()
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert error.value.response["Error"]["Code"] == "UnknownOperationException"


def test_only_one_of_many_conditional_writes_wins(server: Server) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html"""
    dynamodb = server.client("dynamodb")
    dynamodb.create_table(
        TableName="races",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    won: list[int] = []

    def write(number: int) -> None:
        try:
            server.client("dynamodb").put_item(
                TableName="races", Item={"id": {"S": "x"}}, ConditionExpression="attribute_not_exists(id)"
            )
            won.append(number)
        except ClientError:
            pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def start_children(server: Server) -> list[int]:
    """A function process and a serving process; returns their ids."""
    name = server.create_function("import os\ndef lambda_handler(event, context): return os.getpid()")
    function = int(server.client("lambda").invoke(FunctionName=name)["Payload"].read())
    endpoint = deploy(server, model_archive(name="m"))
    answer = server.client("sagemaker-runtime").invoke_endpoint(EndpointName=endpoint, Body=b"x")
    return [function, int(json.load(answer["Body"])["pid"])]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_child_outlives_it(own_server: Server, number: signal.Signals) -> None:
    children = start_children(own_server)
    assert all(process_exists(pid) for pid in children)
    own_server.process.send_signal(number)
    own_server.process.wait(30)
    eventually(lambda: not any(process_exists(pid) for pid in children), 10)
    if number != signal.SIGKILL:
        assert not (own_server.state_dir / "local_aws.json").exists()
