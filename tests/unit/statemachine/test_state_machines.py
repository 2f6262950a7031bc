"""The promises that hold for every state machine on disk, whatever it does."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.common import errors
from functions.common.inference_id import MAX_RUN
from scripts.deployment import state_machines
from scripts.local_aws.stepfunctions.asl.jsonata import evaluate, to_jsonata
from scripts.policy.state_machine_rules import RETRYABLE, faults
from scripts.policy.state_machine_rules import states as contained

FOLDER = Path(__file__).resolve().parents[3] / "statemachine"
CONTENTS = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.asl.json")}
# The other files are single states that several machines share.
FILES = sorted(name for name, content in CONTENTS.items() if "States" in content)


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


@pytest.fixture
def machine():
    return state_machines.read(FOLDER / "classify.asl.json")


def find(machine, name):
    return next(state for found, state, _ in contained(machine) if found == name)


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


@pytest.mark.parametrize(
    ("given", "run"),
    [
        (0, 0),
        (7, 7),
        (2.5, 2),
        (MAX_RUN, MAX_RUN),
        (MAX_RUN + 1, 0),
        (1e30, 0),
        (float("inf"), 0),
        (-1, 0),
        ("7", 0),
        (None, 0),
    ],
)
def test_a_run_that_no_later_run_could_exceed_is_none(given, run):
    """Such a row could never be decided again."""
    expression = CONTENTS["normalise.asl.json"]["Assign"]["picture"]
    states = to_jsonata({"input": {"s3_bucket": "b", "s3_key": "k", "run": given}})

    assert evaluate(expression, {"states": states}, "")["run"] == run


@pytest.mark.parametrize(("file", "hours"), [("batch", 48), ("classify", 0.5), ("reconcile", 1 / 6)])
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


@pytest.mark.parametrize("path", state_machines.machines(), ids=lambda path: path.name)
def test_every_machine_keeps_every_rule(path):
    failures_are_told = path.name == "reconcile.asl.json"  # by the event rule "unsettled"
    assert list(faults(state_machines.read(path), failures_are_told)) == []


@pytest.mark.parametrize(
    ("state", "element", "value", "fault"),
    [
        ("SerializeImageData", "TimeoutSeconds", 0, "has no timeout of at most 60 s"),
        ("SerializeImageData", "TimeoutSeconds", 3600, "has no timeout of at most 60 s"),
        ("SendAlert", "Catch", [], "does not catch everything"),
        ("ClassifyImage", "Catch", [], "does not catch everything"),
        ("ClassifyPicture", "Catch", [], "does not catch everything"),
        ("ClassifyImage", "Retry", [], "is tried once only"),
        ("RecordAccepted", "Catch", [], "writes over what another execution has decided"),
        ("DropUnknown", "Catch", [], "writes over what another execution has decided"),
        ("FailLoudly", "Cause", None, "fails without saying why"),
    ],
)
def test_a_weakened_state_is_told(machine, state, element, value, fault):
    weakened = find(machine, state)
    if value is None:
        del weakened[element]
    else:
        weakened[element] = value

    assert f"{state} {fault}" in list(faults(machine))


@pytest.mark.parametrize(
    ("element", "value", "fault"),
    [
        ("JitterStrategy", "NONE", "retries without jitter: all that failed together come back together"),
        ("MaxAttempts", 100, "does not say how often it retries (at most 6 times)"),
        ("MaxDelaySeconds", 300, "does not cap the wait between attempts (at most 30 s)"),
        ("BackoffRate", 1, "does not wait longer before each attempt"),
        ("ErrorEquals", ["States.ALL"], "retries everything, faults that stay included"),
        ("ErrorEquals", ["ImageRejected"], "retries ImageRejected, which another attempt cannot help"),
    ],
)
def test_a_weakened_retry_is_told(machine, element, value, fault):
    find(machine, "FilterInferences")["Retry"][0][element] = value

    assert f"FilterInferences {fault}" in list(faults(machine))


@pytest.mark.parametrize("state", ["RecordAccepted", "RecordFault", "CheckRowOwner", "DropUnknown"])
def test_a_write_without_a_condition_is_told(machine, state):
    del find(machine, state)["Arguments"]["ConditionExpression"]

    assert list(faults(machine)) == [f"{state} writes over what another execution has decided"]


def test_both_records_of_a_picture_obey_one_order(machine):
    accepted, refused = (
        find(machine, f"Record{end}")["Arguments"]["ConditionExpression"] for end in ("Accepted", "Failure")
    )

    assert accepted == refused


def test_a_machine_without_a_timeout_is_told(machine):
    del machine["TimeoutSeconds"]

    assert list(faults(machine)) == ["the machine has no timeout (at most two days)"]


def test_a_map_without_a_limit_is_told(machine):
    find(machine, "ClassifyPicture")["Branches"][0]["States"]["AlreadyRecorded"] = {
        "Type": "Map",
        "ItemProcessor": {"StartAt": "End", "States": {"End": {"Type": "Succeed"}}},
        "End": True,
    }

    assert [it.split(",")[0] for it in faults(machine)] == ["AlreadyRecorded has no MaxConcurrency"]


def test_the_errors_that_are_retried_are_named_errors():
    assert set(RETRYABLE.values()) <= named_errors()


@pytest.mark.parametrize("state", tasks())
def test_functions_are_called_by_tokens_that_terraform_fills(state):
    if state["Resource"] == "arn:aws:states:::lambda:invoke":
        assert re.fullmatch(r"<<[a-z_]+>>", state["Arguments"]["FunctionName"])
