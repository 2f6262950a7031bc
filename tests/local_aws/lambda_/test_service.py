"""Lambda's data plane: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html."""

import base64
import importlib.util
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.lambda_.execution_environment import FunctionProcess, Invocation, link_runtime
from tests.local_aws.conftest import Server, eventually, process_exists, zipped

ECHO = "def lambda_handler(event, context): return event"
ENVIRONMENT = """
import os, sys
def lambda_handler(event, context):
    return {"environment": dict(os.environ), "path": sys.path, "arn": context.invoked_function_arn,
            "memory": context.memory_limit_in_mb, "left": context.get_remaining_time_in_millis(), "pid": os.getpid(),
            "cwd": os.getcwd()}
"""


def invoke(server: Server, name: str, event: Any = None, **more: Any) -> tuple[Any, dict[str, Any]]:
    answer = server.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event), **more)
    return json.loads(answer["Payload"].read() or b"null"), answer


def test_a_function_gets_the_event_and_its_answer_comes_back(server: Server) -> None:
    name = server.create_function(ECHO)
    event = {"text": "ä\n", "number": 1.5, "nothing": None}
    payload, answer = invoke(server, name, event)
    assert payload == event
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer


def test_a_function_sees_the_runtimes_environment_alone(server: Server) -> None:
    """Nothing of this machine's."""
    name = server.create_function(ENVIRONMENT, Environment={"Variables": {"BUCKET": "b"}}, MemorySize=256)
    told, _ = invoke(server, name)
    environment = told["environment"]
    assert environment["BUCKET"] == "b"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == name
    assert environment["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256" == told["memory"]
    assert environment["AWS_ENDPOINT_URL"] == server.url
    assert environment["LAMBDA_TASK_ROOT"] == told["cwd"] == told["path"][0]
    assert not set(environment) & {"VIRTUAL_ENV", "PYTHONPATH", "HOME"}
    assert not [folder for folder in told["path"] if "site-packages" in folder]
    assert 5_000 < told["left"] <= 10_000


def test_a_dependency_that_is_not_in_the_package_is_missing(server: Server) -> None:
    """Flask is installed beside the server; https://docs.aws.amazon.com/lambda/latest/dg/python-package.html."""
    name = server.create_function("import flask\n" + ECHO)
    payload, answer = invoke(server, name)
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Runtime.ImportModuleError"
    assert "No module named 'flask'" in payload["errorMessage"]


def test_boto3_comes_with_the_runtime_and_finds_the_endpoint(server: Server) -> None:
    code = "import boto3\ndef lambda_handler(event, context): return boto3.client('sts').get_caller_identity()['Account']"
    assert invoke(server, server.create_function(code))[0] == "123456789012"


def test_an_exception_becomes_an_error_payload(server: Server) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html"""
    name = server.create_function(
        "class Odd(Exception): pass\ndef lambda_handler(event, context): raise Odd('no')"
    )
    payload, answer = invoke(server, name)
    assert answer["FunctionError"] == "Unhandled"
    assert (payload["errorType"], payload["errorMessage"]) == ("Odd", "no")
    assert payload["stackTrace"]


def test_a_function_that_takes_too_long_is_killed(server: Server) -> None:
    code = "import os, time\ndef lambda_handler(event, context):\n print(os.getpid())\n time.sleep(event)\n return event"
    name = server.create_function(code, Timeout=1)
    payload, answer = invoke(server, name, 60, LogType="Tail")
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Sandbox.Timedout"
    assert "Task timed out after 1.00 seconds" in payload["errorMessage"]
    pid = int(base64.b64decode(answer["LogResult"]).decode().splitlines()[1])
    assert not process_exists(pid)
    assert invoke(server, name, 0)[0] == 0


def test_a_function_that_exits_is_reported_and_replaced(server: Server) -> None:
    name = server.create_function(
        "import os\ndef lambda_handler(event, context):\n if event: os._exit(3)\n return 1"
    )
    payload, _ = invoke(server, name, 1)
    assert payload["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in payload["errorMessage"]
    assert invoke(server, name, 0)[0] == 1


def test_a_function_that_is_killed_while_it_answers_has_given_no_answer(server: Server) -> None:
    code = """
import os, signal, socket
def lambda_handler(event, context):
    host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
    path = f"/2018-06-01/runtime/invocation/{context.aws_request_id}/response"
    with socket.create_connection((host, int(port))) as half:
        half.sendall(f"POST {path} HTTP/1.1\\r\\nContent-Length: 100\\r\\n\\r\\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)
"""
    payload, answer = invoke(server, server.create_function(code))
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Runtime.ExitError"


def test_a_process_that_died_while_idle_is_replaced(server: Server) -> None:
    name = server.create_function("import os\ndef lambda_handler(event, context): return os.getpid()")
    pid = invoke(server, name)[0]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not process_exists(pid))
    assert invoke(server, name)[0] != pid


def test_a_machine_without_the_compiled_client_runs_functions_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """awslambdaric compiles its transport on Linux only; elsewhere the fallback over http.client takes its place."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "runtime_client" else find(name)
    )
    runtime = link_runtime(tmp_path / "runtime")
    assert (runtime / "runtime_client.py").exists()
    code = (
        "def lambda_handler(event, context):\n"
        "    if event == 'bad': raise ValueError('ä')\n"
        "    return [event, context.aws_request_id]"
    )
    (tmp_path / "handler.py").write_text(code)
    environment = {
        "LAMBDA_TASK_ROOT": str(tmp_path),
        "LAMBDA_RUNTIME_DIR": str(runtime),
        "_HANDLER": "handler.lambda_handler",
    }
    process = FunctionProcess(tmp_path, environment, lambda lines: None)
    try:
        answered = [process.invoke(Invocation(f"id-{number}", "arn", b'"e"', 10)) for number in (1, 2)]
        failed = process.invoke(Invocation("id-3", "arn", b'"bad"', 10))
    finally:
        process.stop()
    assert [json.loads(outcome.payload) for outcome in answered] == [["e", "id-1"], ["e", "id-2"]]
    assert failed.error
    assert json.loads(failed.payload)["errorMessage"] == "ä"


def test_the_log_tail_holds_what_this_invocation_printed(server: Server) -> None:
    name = server.create_function("def lambda_handler(event, context): print('line', event)")
    for number in (1, 2):
        _, answer = invoke(server, name, number, LogType="Tail")
        lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
        assert lines[0].startswith("START RequestId: ")
        assert lines[1] == f"line {number}"
        assert lines[-1].startswith("REPORT RequestId: ")


def test_printed_lines_reach_the_log_group_of_the_function(server: Server) -> None:
    logs = server.client("logs")
    group = "/elsewhere/function"
    logs.create_log_group(logGroupName=group)
    code = "def lambda_handler(event, context): print('findable')"
    name = server.create_function(code, LoggingConfig={"LogGroup": group})
    invoke(server, name)

    def messages() -> list[str]:
        return [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]

    eventually(lambda: "findable" in messages())


def test_a_warm_process_is_used_again_unless_it_is_busy(server: Server) -> None:
    code = "import os, time\ndef lambda_handler(event, context):\n time.sleep(event)\n return os.getpid()"
    name = server.create_function(code)
    assert invoke(server, name, 0)[0] == invoke(server, name, 0)[0]
    pids: list[int] = []
    threads = [threading.Thread(target=lambda: pids.append(invoke(server, name, 0.5)[0])) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pids)) == 2


def test_reserved_concurrency_throttles(server: Server) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html"""
    name = server.create_function(ECHO)
    server.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError) as error:
        invoke(server, name)
    assert error.value.response["Error"]["Code"] == "TooManyRequestsException"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429


def test_new_code_runs_in_new_processes(server: Server) -> None:
    name = server.create_function("def lambda_handler(event, context): return 'old'")
    assert invoke(server, name)[0] == "old"
    package = zipped({"handler.py": "def lambda_handler(event, context): return 'new'"})
    server.client("lambda").update_function_code(FunctionName=name, ZipFile=package)
    assert invoke(server, name)[0] == "new"


def test_versions_keep_their_code_and_aliases_point_to_them(server: Server) -> None:
    client = server.client("lambda")
    name = server.create_function(
        "def lambda_handler(event, context): return context.invoked_function_arn, 1", Publish=True
    )
    alias = client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")["AliasArn"]
    package = zipped(
        {"handler.py": "def lambda_handler(event, context): return context.invoked_function_arn, 2"}
    )
    client.update_function_code(FunctionName=name, ZipFile=package, Publish=True)
    assert invoke(server, alias)[0] == [alias, 1]
    assert invoke(server, name, Qualifier="live")[0] == [alias, 1]
    assert invoke(server, name)[0][1] == 2
    client.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    payload, answer = invoke(server, alias)
    assert payload == [alias, 2]
    assert answer["ExecutedVersion"] == "2"


def test_a_deleted_function_leaves_no_process(server: Server) -> None:
    name = server.create_function("import os\ndef lambda_handler(event, context): return os.getpid()")
    pid = invoke(server, name)[0]
    assert process_exists(pid)
    server.client("lambda").delete_function(FunctionName=name)
    eventually(lambda: not process_exists(pid))


@pytest.mark.parametrize("name", ["nobody", "arn:aws:lambda:us-east-1:123456789012:function:nobody:live"])
def test_an_unknown_function_is_not_found(server: Server, name: str) -> None:
    with pytest.raises(ClientError) as error:
        invoke(server, name)
    assert error.value.response["Error"]["Code"] == "ResourceNotFoundException"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_payloads_have_limits(server: Server) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
    name = server.create_function(
        "def lambda_handler(event, context): return 'x' * event if isinstance(event, int) else len(event)"
    )
    assert invoke(server, name, "x" * 6_000_000)[0] == 6_000_000
    with pytest.raises(ClientError, match="RequestTooLargeException"):
        invoke(server, name, "x" * 6_300_000)
    payload, answer = invoke(server, name, 6_300_000)
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Function.ResponseSizeTooLarge"
    with pytest.raises(ClientError, match="RequestTooLargeException"):
        invoke(server, name, "x" * 263_000, InvocationType="Event")


def test_a_payload_that_is_not_json_is_refused(server: Server) -> None:
    name = server.create_function(ECHO)
    with pytest.raises(ClientError, match="InvalidRequestContentException"):
        server.client("lambda").invoke(FunctionName=name, Payload=b"{")


def test_an_asynchronous_failure_goes_to_the_destination(
    server: Server,
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"""
    url, arn = server.create_queue()
    name = server.create_function("def lambda_handler(event, context): raise ValueError('never')")
    client = server.client("lambda")
    client.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnFailure": {"Destination": arn}}, MaximumRetryAttempts=2
    )
    assert invoke(server, name, {"a": 1}, InvocationType="Event")[1]["StatusCode"] == 202
    record = json.loads(server.receive(url)["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["requestPayload"] == {"a": 1}
    assert record["responsePayload"]["errorType"] == "ValueError"


def test_a_dead_letter_queue_gets_the_event_itself(server: Server) -> None:
    url, arn = server.create_queue()
    name = server.create_function(
        "def lambda_handler(event, context): 1 / 0", DeadLetterConfig={"TargetArn": arn}
    )
    server.client("lambda").put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    invoke(server, name, {"a": 1}, InvocationType="Event")
    message = server.receive(url)
    assert json.loads(message["Body"]) == {"a": 1}
    assert message["MessageAttributes"]["ErrorMessage"]["StringValue"] == "division by zero"


def test_an_asynchronous_success_goes_to_its_own_destination(server: Server) -> None:
    url, arn = server.create_queue()
    name = server.create_function(ECHO)
    server.client("lambda").put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": arn}}
    )
    invoke(server, name, [7], InvocationType="Event")
    record = json.loads(server.receive(url)["Body"])
    assert (record["requestContext"]["condition"], record["responsePayload"]) == ("Success", [7])


def test_a_warm_invocation_costs_a_small_part_of_a_cold_one(server: Server) -> None:
    name = server.create_function(ECHO)
    client = server.client("lambda")

    def seconds() -> float:
        started = time.perf_counter()
        client.invoke(FunctionName=name, Payload=b"1")
        return time.perf_counter() - started

    cold = seconds()
    assert min(seconds() for _ in range(50)) < cold / 3
