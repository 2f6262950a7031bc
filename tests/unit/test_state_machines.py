"""The promises that hold for every state machine on disk, whatever it does."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.common import errors

FOLDER = Path(__file__).resolve().parent.parent.parent / "statemachine"
CONTENTS = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.asl.json")}
# The other files are single states that several machines share.
FILES = sorted(name for name, content in CONTENTS.items() if "States" in content)
RETRYABLE = {"ImageUnavailable", "EndpointUnavailable"}


def states(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, written in definition["States"].items():
        state = CONTENTS[written] if isinstance(written, str) else written
        yield name, state
        for inner in (*state.get("Branches", []), state.get("ItemProcessor")):
            if isinstance(inner, dict):
                yield from states(inner)


def all_states() -> list[Any]:
    return [
        pytest.param(state, id=f"{file.split('.')[0]}.{name}")
        for file in FILES
        for name, state in states(CONTENTS[file])
    ]


def tasks() -> list[Any]:
    return [parameter for parameter in all_states() if parameter.values[0]["Type"] == "Task"]


def named_errors() -> set[str]:
    return {
        cls.__name__
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, errors.WorkflowError)
    }


def resolved(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: CONTENTS[state] if isinstance(state, str) else state
        for name, state in definition["States"].items()
    }


def machines() -> list[Any]:
    """Every set of states that has a StartAt: machines, fragments and item processors."""
    definitions = {file.split(".")[0]: CONTENTS[file] for file in FILES}
    processors = {
        f"{file}.{name}": state["ItemProcessor"]
        for file, definition in definitions.items()
        for name, state in states(definition)
        if "ItemProcessor" in state
    }
    return [pytest.param(machine, id=name) for name, machine in (definitions | processors).items()]


@pytest.mark.parametrize("machine", machines())
def test_every_state_is_reachable_and_every_target_exists(machine):
    reached = {machine["StartAt"]}
    for state in resolved(machine).values():
        hops = [state.get("Next"), state.get("Default")]
        hops += [hop["Next"] for hop in (*state.get("Choices", []), *state.get("Catch", []))]
        reached |= {hop for hop in hops if hop}

    assert reached == set(machine["States"])


@pytest.mark.parametrize(("file", "hours"), [("batch", 48), ("classify", 0.5), ("unfinished", 1 / 6)])
def test_a_whole_machine_times_out(file, hours):
    assert CONTENTS[f"{file}.asl.json"]["TimeoutSeconds"] == hours * 3600


def test_a_batchs_child_outlasts_the_waits_of_its_slowest_pictures():
    """An Express workflow ends after five minutes, and with it every picture that it has not recorded yet."""
    batch = CONTENTS["batch.asl.json"]["States"]["ClassifyPictures"]
    at_once = batch["ItemProcessor"]["States"]["EachPicture"]["MaxConcurrency"]
    rounds = math.ceil(batch["ItemBatcher"]["MaxItemsPerBatch"] / at_once)
    waits = max(
        sum(
            min(retry["IntervalSeconds"] * retry["BackoffRate"] ** attempt, retry["MaxDelaySeconds"])
            for attempt in range(retry["MaxAttempts"])
        )
        for state in CONTENTS["picture.asl.json"]["States"].values()
        for retry in state.get("Retry", [])
    )

    assert rounds * waits < 300


@pytest.mark.parametrize("state", tasks())
def test_every_task_times_out_long_before_its_machine(state):
    assert 0 < state["TimeoutSeconds"] <= 60


@pytest.mark.parametrize("state", tasks())
def test_every_retry_has_jitter_and_a_cap(state):
    for retry in state["Retry"]:
        assert retry["JitterStrategy"] == "FULL"
        assert 0 < retry["MaxDelaySeconds"] <= 30
        assert 0 < retry["MaxAttempts"] <= 6


@pytest.mark.parametrize("state", tasks())
def test_of_the_named_errors_exactly_the_retryable_ones_are_retried(state):
    retried = {name for retry in state["Retry"] for name in retry["ErrorEquals"]}

    assert retried & named_errors() <= RETRYABLE


def test_each_retryable_error_is_retried_somewhere():
    retried = {
        name
        for parameter in tasks()
        for retry in parameter.values[0]["Retry"]
        for name in retry["ErrorEquals"]
    }

    assert retried >= RETRYABLE


@pytest.mark.parametrize("state", tasks())
def test_functions_are_called_by_tokens_that_terraform_fills(state):
    if state["Resource"] == "arn:aws:states:::lambda:invoke":
        assert re.fullmatch(r"<<[a-z_]+>>", state["Arguments"]["FunctionName"])
