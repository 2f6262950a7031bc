"""What the end-to-end tests share: pictures to send, and readers of what came of them."""

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from scripts.cli.app import app
from scripts.operations.local_stack import LocalStack
from scripts.workflow.client import Workflow
from training_scripts.synthetic import generator


@pytest.fixture
def bicycle(tmp_path: Path) -> Path:
    """A drawn bicycle that the model is sure of."""
    path = tmp_path / "bicycle.jpg"
    generator.draw("bicycle", 1).save(path, quality=90)
    return path


@pytest.fixture
def doubtful(tmp_path: Path) -> Path:
    """A bicycle and a motorcycle in one picture, which the model takes for one of them without being sure."""
    path = tmp_path / "both.jpg"
    Image.blend(generator.draw("bicycle", 10), generator.draw("motorcycle", 10), 0.5).save(path, quality=90)
    return path


@pytest.fixture
def scones(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Calls the command line against the running stack."""
    monkeypatch.setenv("SCONES_STACK_DIR", str(stack.folder))
    return lambda *arguments, **given: CliRunner().invoke(app, [str(each) for each in arguments], **given)


@pytest.fixture
def execute(workflow: Workflow) -> Callable[[Any], dict[str, Any]]:
    """Starts the state machine with any JSON value and returns the ended execution's description."""

    def run(value: Any) -> dict[str, Any]:
        started = workflow.states.start_execution(
            stateMachineArn=workflow.deployment.state_machine_arn,
            name=f"test-{uuid.uuid4()}",
            input=json.dumps(value),
        )
        return workflow.wait(started["executionArn"])

    return run


@pytest.fixture
def alerts_of(stack: LocalStack) -> Callable[[str], list[dict[str, Any]]]:
    """The messages that name an execution, as a subscriber received them."""

    def read(execution: str) -> list[dict[str, Any]]:
        name = execution.rsplit(":", 1)[-1]
        return [message for message in stack.outbox() if name in message["message"]]

    return read


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    """Waits until a probe returns something true and returns that; fails with what it last returned."""

    def wait(probe: Callable[[], Any], seconds: float = 30) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := probe()):
            assert time.monotonic() < deadline, f"still {value!r} after {seconds} s"
            time.sleep(0.05)
        return value

    return wait
