"""The promises that hold for every state machine on disk, whatever it does."""

import copy
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest

from functions.common import errors
from scripts.deployment import state_machines
from scripts.policy.state_machine_rules import RETRYABLE, faults
from scripts.policy.state_machine_rules import states as contained

MACHINES = {path.name.split(".")[0]: state_machines.read(path) for path in state_machines.machines()}


def tasks() -> list[Any]:
    return [
        pytest.param(state, id=f"{machine}.{name}")
        for machine, definition in MACHINES.items()
        for name, state, _ in contained(definition)
        if state["Type"] == "Task"
    ]


def named_errors() -> set[str]:
    return {
        cls.__name__
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, errors.WorkflowError)
    }


@pytest.fixture
def machine():
    return copy.deepcopy(MACHINES["classify"])


def find(machine, name):
    return next(state for found, state, _ in contained(machine) if found == name)


def levels(definition: dict[str, Any], name: str) -> Iterator[Any]:
    """Every set of states that has a StartAt: a machine, and the branches and item processors in it."""
    yield pytest.param(definition, id=name)
    for state_name, state in definition["States"].items():
        for inner in (*state.get("Branches", []), state.get("ItemProcessor")):
            if inner:
                yield from levels(inner, f"{name}.{state_name}")


@pytest.mark.parametrize(
    "machine", [level for name, machine in MACHINES.items() for level in levels(machine, name)]
)
def test_every_state_is_reachable_and_every_target_exists(machine):
    reached = {machine["StartAt"]}
    for state in machine["States"].values():
        hops = [state.get("Next"), state.get("Default")]
        hops += [hop["Next"] for hop in (*state.get("Choices", []), *state.get("Catch", []))]
        reached |= {hop for hop in hops if hop}

    assert reached == set(machine["States"])


@pytest.mark.parametrize(("name", "hours"), [("batch", 48), ("classify", 0.5), ("reconcile", 1 / 6)])
def test_a_whole_machine_times_out(name, hours):
    assert MACHINES[name]["TimeoutSeconds"] == hours * 3600


def test_a_batchs_child_outlasts_the_waits_of_its_slowest_pictures():
    """An Express workflow ends after five minutes, and with it every picture that it has not recorded yet."""
    batch = MACHINES["batch"]["States"]["ClassifyPictures"]
    each = batch["ItemProcessor"]["States"]["EachPicture"]
    rounds = math.ceil(batch["ItemBatcher"]["MaxItemsPerBatch"] / each["MaxConcurrency"])
    waits = max(
        sum(
            min(retry["IntervalSeconds"] * retry["BackoffRate"] ** attempt, retry["MaxDelaySeconds"])
            for attempt in range(retry["MaxAttempts"])
        )
        for _, state, _ in contained(each["ItemProcessor"])
        for retry in state.get("Retry", [])
    )

    assert rounds * waits < 300


@pytest.mark.parametrize("name", MACHINES)
def test_every_machine_keeps_every_rule(name):
    failures_are_alerted = name == "reconcile"  # by the event rule "unsettled"
    assert list(faults(MACHINES[name], failures_are_alerted)) == []


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
        ("DeletePlaceholderRow", "Catch", [], "writes over what another execution has decided"),
        ("Fail", "Cause", None, "fails without saying why"),
    ],
)
def test_a_weakened_state_is_reported(machine, state, element, value, fault):
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
def test_a_weakened_retry_is_reported(machine, element, value, fault):
    find(machine, "FilterInferences")["Retry"][0][element] = value

    assert f"FilterInferences {fault}" in list(faults(machine))


@pytest.mark.parametrize("state", ["RecordAccepted", "RecordFault", "CheckRowOwner", "DeletePlaceholderRow"])
def test_a_write_without_a_condition_is_reported(machine, state):
    del find(machine, state)["Arguments"]["ConditionExpression"]

    assert list(faults(machine)) == [f"{state} writes over what another execution has decided"]


def test_both_records_of_a_picture_obey_one_order(machine):
    accepted, refused = (
        find(machine, f"Record{end}")["Arguments"]["ConditionExpression"] for end in ("Accepted", "Failure")
    )

    assert accepted == refused


def test_a_machine_without_a_timeout_is_reported(machine):
    del machine["TimeoutSeconds"]

    assert list(faults(machine)) == ["the machine has no timeout (at most two days)"]


def test_a_map_without_a_limit_is_reported(machine):
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
