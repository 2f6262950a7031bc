"""Which process is the one-machine AWS, and which has only got its number or its port since; what is said of it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from typer.testing import CliRunner

from scripts.cli.app import app
from scripts.deployment.outputs import NotDeployed
from scripts.operations import doctor
from scripts.operations.check import FAILED
from scripts.operations.local_stack import LocalStack, StackBusy, StackFailed, StackSilent, default_stack

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def stack(tmp_path):
    return LocalStack(tmp_path)


@pytest.fixture
def server(tmp_path):
    """A real one-machine AWS in a folder of its own, with what an apply leaves there; its stack."""
    stack = LocalStack(tmp_path / "live")
    stack.start_server(wait_scale=0)
    for name in ("outputs.json", "terraform.tfstate"):
        (stack.folder / name).write_text("{}", encoding="utf-8")
    yield stack
    stack.stop_server()


@pytest.fixture
def silent(server, monkeypatch):
    """The server's process, stopped by a signal: it lives and does not answer."""
    monkeypatch.setattr("scripts.operations.local_stack.ANSWER_SECONDS", 0.2)
    pid = server.server["pid"]
    os.kill(pid, signal.SIGSTOP)
    yield pid
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


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
def test_another_service_at_the_same_port_is_not_a_stack(stack, process, service, answer):
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


def test_what_a_crash_or_a_reboot_left_is_not_a_deployment(stack, process):
    left_behind(stack, process().pid)
    (stack.folder / "outputs.json").write_text("{}", encoding="utf-8")

    for ask in (stack.deployment, stack.outbox, lambda: stack.terraform("output")):
        with pytest.raises(NotDeployed, match="does not answer any more: `scones down`, then `scones up`"):
            ask()
    assert doctor.this_machine(stack).state == FAILED


def test_up_prints_what_a_shell_needs_to_reach_the_stack(stack, process, service, monkeypatch):
    server = process()
    left_behind(stack, server.pid, health(service, {"status": "ok", "pid": server.pid}))
    (stack.folder / "outputs.json").write_text("{}", encoding="utf-8")
    monkeypatch.setenv("SCONES_STACK_DIR", str(stack.folder))
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


def everything(stack):
    return {path.name for path in stack.folder.iterdir()}


def test_up_leaves_a_stack_alone_that_lives_but_does_not_answer(server, silent, monkeypatch):
    monkeypatch.setenv("SCONES_STACK_DIR", str(server.folder))
    monkeypatch.setattr("scripts.operations.local_stack._package", lambda progress: None)
    before = everything(server)

    result = CliRunner().invoke(app, ["up"])

    told = rf"process {silent}\) runs but has not answered within 0.2 s.*[Ww]ait.*`scones down`"
    assert result.exit_code == 1
    assert re.search(told, result.stderr, re.DOTALL)
    assert everything(server) == before
    os.kill(silent, signal.SIGCONT)
    assert server.is_running()


def test_a_folder_that_holds_something_else_is_not_emptied(tmp_path, monkeypatch):
    (tmp_path / "thesis.tex").touch()
    monkeypatch.setenv("SCONES_STACK_DIR", str(tmp_path))

    with pytest.raises(StackFailed, match="name another one by SCONES_STACK_DIR"):
        default_stack().start_server(wait_scale=0)

    assert (tmp_path / "thesis.tex").exists()


def test_a_silent_server_is_named_and_nothing_is_removed(server, silent):
    before = everything(server)

    with pytest.raises(StackSilent, match=f"kill {silent}"):
        server.start_server(wait_scale=0)

    assert everything(server) == before


def test_a_silent_server_is_known_where_there_is_no_ps(server, silent, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(StackSilent):
        server.start_server(wait_scale=0)


def test_down_ends_a_server_that_was_stopped_by_a_signal(server, silent, monkeypatch):
    monkeypatch.setenv("SCONES_STACK_DIR", str(server.folder))

    result = CliRunner().invoke(app, ["down"])

    assert (result.exit_code, result.stderr) == (0, "The stack is down.\n")
    server.start_server(wait_scale=0)


def test_a_server_that_has_lost_its_file_still_keeps_its_folder(server):
    """As while it ends: the file goes first, and its children take their time."""
    facts = (server.folder / "local_aws.json").read_bytes()
    (server.folder / "local_aws.json").unlink()

    for refused in (lambda: server.start_server(wait_scale=0), server.stop_server):
        with pytest.raises(StackBusy, match="is being started or stopped"):
            refused()

    assert (server.folder / "terraform.tfstate").exists()
    (server.folder / "local_aws.json").write_bytes(facts)


def test_of_many_who_start_it_at_once_one_does(tmp_path):
    stack, together = LocalStack(tmp_path / "live"), threading.Barrier(4)

    def start(_):
        together.wait()
        try:
            stack.start_server(wait_scale=0)
        except StackFailed as error:
            return str(error)
        return ""

    try:
        with ThreadPoolExecutor(4) as people:
            answers = sorted(people.map(start, range(4)))
        assert stack.is_running()
        assert answers[0] == ""
        assert all(re.search("already runs|is being started", answer) for answer in answers[1:])
    finally:
        stack.stop_server()


def test_a_second_demo_leaves_the_first_alone(server, monkeypatch):
    monkeypatch.setattr("scripts.cli.commands.demo.WORK", server.folder.parent)
    monkeypatch.setattr("scripts.operations.local_stack._package", lambda progress: None)
    server.folder.rename(server.folder.with_name("demo"))

    result = CliRunner().invoke(app, ["demo"])

    assert "already runs" in result.stderr
    assert LocalStack(server.folder.with_name("demo")).is_running()
    server.folder.with_name("demo").rename(server.folder)
