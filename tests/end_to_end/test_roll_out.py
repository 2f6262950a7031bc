"""While a roll-out or a rollback lasts, two models answer: each is judged by its own threshold.

All models are the shipped network, which is not sure of the doubtful picture; their thresholds are on either side.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scripts.common.paths import SHIPPED_MODEL
from scripts.models import registry
from scripts.operations.local_stack import LocalStack
from scripts.workflow.client import Workflow
from training_scripts import artifact

THRESHOLDS = {"strict": 0.98, "lenient": 0.34}
# Five minutes, as in environments/prod.tfvars; the stack of the tests waits a fiftieth of it.
CANARY = {"traffic": "canary", "percent": 50, "wait_seconds": 300}
ENDPOINT = 'module.endpoint.aws_sagemaker_endpoint.this["classifier"]'

Row = dict[str, Any]

pytestmark = [pytest.mark.slow, pytest.mark.last, pytest.mark.timeout(600)]


@pytest.fixture
def publish(stack: LocalStack, tmp_path: Path) -> Callable[[str], None]:
    """Names one of THRESHOLDS to Terraform."""
    description, network = artifact.read_archive(SHIPPED_MODEL)

    def make(name: str) -> None:
        artifact.write(tmp_path / name, description | {"name": name, "threshold": THRESHOLDS[name]}, network)
        stack.publish(artifact.pack(tmp_path / name))

    return make


@pytest.fixture
def move_traffic(stack: LocalStack) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Sets how updates move the traffic; afterwards the shared stack gets a new endpoint without that setting."""

    def say(endpoint: dict[str, Any]) -> None:
        stack.model_file.write_text(json.dumps(json.loads(stack.model_file.read_text()) | endpoint))

    yield say
    say({"endpoint": {}})
    stack.terraform("apply", "-auto-approve", "-no-color", f"-replace={ENDPOINT}", *stack.var_files())


@pytest.fixture
def apply(
    stack: LocalStack, workflow: Workflow, doubtful: Path, move_traffic: Callable[[dict[str, Any]], None]
) -> Callable[[], list[Row]]:
    """Applies with a canary while pictures come in; returns their rows."""

    def run() -> list[Row]:
        move_traffic({"endpoint": {"blue_green": CANARY}})
        rows = []
        with ThreadPoolExecutor(1) as pool:
            applying = pool.submit(stack.apply)
            while not applying.done():
                outcome = workflow.classify(str(doubtful))
                rows.append(workflow.row(outcome.uri, outcome.version))
            applying.result()
        return rows

    return run


def wrongly_accepted(rows: list[Row], thresholds: dict[str, float]) -> list[Row]:
    return [
        row for row in rows if row["status"] == "ACCEPTED" and row["confidence"] < thresholds[row["model"]]
    ]


def test_no_answer_is_accepted_by_another_models_threshold(
    stack: LocalStack,
    publish: Callable[[str], None],
    apply: Callable[[], list[Row]],
    alerts_of: Callable[[str], list[dict[str, Any]]],
) -> None:
    before = json.loads(stack.model_file.read_text())["model"]
    thresholds = THRESHOLDS | {before["name"]: before["threshold"]}
    publish("strict")
    stack.apply()
    publish("lenient")
    rolled_out = apply()
    registry.write_model(stack.model_file, before)
    rolled_back = apply()

    rows = rolled_out + rolled_back
    assert len(wrongly_accepted(rows, thresholds)) == 0
    assert all(row["threshold"] == thresholds[row["model"]] for row in rows)
    counts = Counter((row["model"], row["status"]) for row in rolled_out)
    assert set(counts) == {("strict", "LOW_CONFIDENCE"), ("lenient", "ACCEPTED")}
    assert min(counts.values()) >= 5
    refused = next(row for row in reversed(rolled_out) if row["model"] == "strict")
    assert "< 0.98" in alerts_of(refused["execution"])[0]["message"]
    assert {row["model"] for row in rolled_back} == {"lenient", before["name"]}
    assert "FAILED" not in {row["status"] for row in rolled_back}


def test_all_traffic_may_move_at_once_again(
    stack: LocalStack, move_traffic: Callable[[dict[str, Any]], None]
) -> None:
    """SageMaker keeps the last setting that it received."""
    for way in (CANARY, {"traffic": "all_at_once"}):
        move_traffic({"endpoint": {"blue_green": way}})
        stack.apply()
        stack.terraform("plan", "-detailed-exitcode", "-no-color", *stack.var_files())
