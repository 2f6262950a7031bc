"""While a roll-out lasts, and after one that SageMaker took back, two models answer: each by its own threshold.

All models are the shipped network, which is not sure of the doubtful picture; their thresholds lie on either side.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scripts.local_stack import SHIPPED_MODEL, LocalStack
from scripts.workflow import Workflow
from training_scripts import artifact, promote

THRESHOLDS = {"strict": 0.98, "lenient": 0.34, "broken": 0.34}
# Five minutes, as in environments/prod.tfvars; the stack of the tests waits a fiftieth of it.
CANARY = {"blue_green": {"traffic": "canary", "percent": 50, "wait_seconds": 300}}
PICTURES_AFTER = 5

Row = dict[str, Any]

pytestmark = [pytest.mark.slow, pytest.mark.last]


@pytest.fixture
def restored(stack: LocalStack) -> Iterator[None]:
    """Afterwards the stack serves what it served before."""
    before = stack.model_file.read_text()
    yield
    stack.model_file.write_text(before)
    stack.apply()


@pytest.fixture
def publish(stack: LocalStack, tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """Names one of THRESHOLDS to Terraform."""
    description, network = artifact.read_archive(SHIPPED_MODEL)

    def make(name: str) -> dict[str, Any]:
        described = description | {"name": name, "threshold": THRESHOLDS[name]}
        artifact.write(tmp_path / name, described, b"no network" if name == "broken" else network)
        return stack.publish(artifact.pack(tmp_path / name))["model"]

    return make


@pytest.fixture
def apply(stack: LocalStack, workflow: Workflow, doubtful: Path) -> Callable[[], list[Row]]:
    """Applies with a canary while pictures come; returns their rows and those of some that come afterwards."""

    def classified() -> Row:
        outcome = workflow.classify(str(doubtful))
        row = workflow.row(outcome.uri, outcome.version)
        assert row is not None
        return row

    def run() -> list[Row]:
        named = json.loads(stack.model_file.read_text())
        stack.model_file.write_text(json.dumps(named | {"endpoint": CANARY}))
        with ThreadPoolExecutor(1) as pool:
            applying, rows = pool.submit(stack.apply), []
            while not applying.done():
                rows.append(classified())
            applying.result()
        return rows + [classified() for _ in range(PICTURES_AFTER)]

    return run


def judged(rows: list[Row]) -> Counter[tuple[str, str]]:
    """How many rows of each model and status; each row carries its own model's threshold, and is decided by it."""
    wrong = [
        row for row in rows if row["status"] == "ACCEPTED" and row["confidence"] < THRESHOLDS[row["model"]]
    ]
    assert len(wrong) == 0
    assert all(row["threshold"] == THRESHOLDS[row["model"]] for row in rows)
    return Counter((row["model"], row["status"]) for row in rows)


def test_no_answer_is_accepted_by_another_models_threshold(
    stack: LocalStack,
    publish: Callable[[str], dict[str, Any]],
    apply: Callable[[], list[Row]],
    alerts_of: Callable[[str], list[dict[str, Any]]],
    restored: None,
) -> None:
    strict = publish("strict")
    stack.apply()

    publish("broken")
    taken_back = judged(rows := apply())
    assert set(taken_back) == {("strict", "LOW_CONFIDENCE")}
    assert all("< 0.98" in alerts_of(row["execution"])[0]["message"] for row in rows[-3:])

    publish("lenient")
    shifted = judged(apply())
    assert set(shifted) == {("strict", "LOW_CONFIDENCE"), ("lenient", "ACCEPTED")}
    assert shifted["strict", "LOW_CONFIDENCE"] >= 5
    assert shifted["lenient", "ACCEPTED"] >= 5 + PICTURES_AFTER

    promote.write_model(stack.model_file, strict)
    rolled_back = judged(apply())
    assert set(rolled_back) == {("strict", "LOW_CONFIDENCE"), ("lenient", "ACCEPTED")}
    assert rolled_back["lenient", "ACCEPTED"] >= 5
