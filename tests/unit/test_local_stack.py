"""Which process is the one-machine AWS, and which has only got its number or its port since; what is said of it."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from scripts import diagnosis
from scripts.checks import FAILED
from scripts.deployment import NotDeployed
from scripts.local_stack import LocalStack, StackFailed
from scripts.scones.cli import app

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def stack(tmp_path):
    return LocalStack(tmp_path)


@pytest.fixture
def process():
    """Starts a program that does nothing, with these words on its command line."""
    started = []

    def start(*words):
        program = "import time; print(flush=True); time.sleep(60)"
        started.append(subprocess.Popen([sys.executable, "-c", program, *words], stdout=subprocess.PIPE))
        started[-1].stdout.readline()
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.communicate()


def left_behind(stack, pid, endpoint_url=NOBODY):
    """What a server writes when it is ready, and a crash leaves."""
    facts = {"pid": pid, "endpoint_url": endpoint_url, "region": "us-east-1"}
    (stack.folder / "local_aws.json").write_text(json.dumps(facts), encoding="utf-8")


def health(service, answer):
    service.answers(body=json.dumps(answer).encode())
    return service.url


def test_a_process_that_has_got_the_servers_number_is_left_alone(stack, process):
    somebody = process("--port", "0")
    left_behind(stack, somebody.pid)

    stack.stop_server()

    assert somebody.poll() is None
    assert not (stack.folder / "local_aws.json").exists()


def test_another_stack_at_the_same_port_is_not_this_one(stack, process, service):
    somebody = process()
    left_behind(stack, somebody.pid, health(service, {"status": "ok", "pid": somebody.pid + 1}))

    assert not stack.is_running()
    stack.stop_server()

    assert somebody.poll() is None


@pytest.mark.parametrize("answer", [{}, [], "hello", None])
def test_another_service_at_the_same_port_is_no_stack(stack, process, service, answer):
    left_behind(stack, process().pid, health(service, answer))

    assert not stack.is_running()


def test_the_server_is_stopped(stack, process, service):
    server = process()
    left_behind(stack, server.pid, health(service, {"status": "ok", "pid": server.pid}))

    assert stack.is_running()
    stack.stop_server()

    assert server.poll() is not None


def test_the_server_is_stopped_where_there_is_no_ps(stack, process, service, monkeypatch, tmp_path):
    server = process()
    left_behind(stack, server.pid, health(service, {"pid": server.pid}))
    monkeypatch.setenv("PATH", str(tmp_path))

    stack.stop_server()

    assert server.poll() is not None


def test_a_server_too_busy_to_answer_is_known_by_its_folder(stack, process):
    server = process("--state-dir", str(stack.folder), "--image", "x=y")
    left_behind(stack, server.pid)

    stack.stop_server()

    assert server.poll() is not None


def test_where_nothing_was_started_the_first_command_is_named(stack):
    with pytest.raises(NotDeployed, match="does not run: start it with `scones up`"):
        stack.deployment()


def test_a_running_server_without_a_deployment_has_two_reasons(stack, process, service):
    server = process()
    left_behind(stack, server.pid, health(service, {"status": "ok", "pid": server.pid}))

    with pytest.raises(NotDeployed, match=r"wait for `scones up` to end, or if none .* `scones down`, then"):
        stack.deployment()


def test_what_a_crash_or_a_reboot_has_left_is_no_deployment(stack, process):
    left_behind(stack, process().pid)
    (stack.folder / "outputs.json").write_text("{}", encoding="utf-8")

    for ask in (stack.deployment, stack.outbox, lambda: stack.terraform("output")):
        with pytest.raises(NotDeployed, match="does not answer any more: `scones down`, then `scones up`"):
            ask()
    assert diagnosis.this_machine(stack).state == FAILED


def test_up_prints_what_a_shell_needs_to_reach_the_stack(stack, process, service, monkeypatch):
    server = process()
    left_behind(stack, server.pid, health(service, {"status": "ok", "pid": server.pid}))
    (stack.folder / "outputs.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr("scripts.scones.up.DEFAULT_FOLDER", stack.folder)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)

    printed = CliRunner().invoke(app, ["up"]).stdout

    shell = subprocess.run(["sh", "-c", f"{printed} env"], capture_output=True, text=True, check=True)
    seen = dict(line.split("=", 1) for line in shell.stdout.splitlines() if "=" in line)
    assert (seen["AWS_ENDPOINT_URL"], seen["AWS_ACCESS_KEY_ID"]) == (service.url, "local")
    assert (seen["AWS_REGION"], seen["AWS_DEFAULT_REGION"]) == ("us-east-1", "us-east-1")
    assert seen["TF_DATA_DIR"] == str(stack.folder / "terraform")


def test_a_server_that_another_command_started_is_stopped(stack, service):
    start = (
        "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", start], stdout=subprocess.PIPE) as other:
        pid = int(other.stdout.readline())
        left_behind(stack, pid, health(service, {"status": "ok", "pid": pid}))

        try:
            stack.stop_server()
        finally:
            other.kill()


def test_an_apply_gives_up_once_the_server_is_stopped(stack, process, service, monkeypatch):
    server = process()
    left_behind(stack, server.pid, health(service, {"status": "ok", "pid": server.pid}))
    seen = []

    def terraform(_, *arguments, on_line):
        on_line("Plan: 2 to add, 0 to change, 0 to destroy.")
        on_line("aws_s3_bucket.b: Creation complete after 1s [id=b]")
        (stack.folder / "local_aws.json").unlink()
        on_line("aws_s3_bucket.c: Still creating... [10s elapsed]")

    monkeypatch.setattr(LocalStack, "terraform", terraform)

    with pytest.raises(StackFailed, match="stopped meanwhile"):
        stack.apply(lambda text, share: seen.append((text, share)))
    assert seen[0] == ("aws_s3_bucket.b", 0.5)
    assert "was stopped" in seen[1][0]
