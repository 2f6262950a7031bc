"""Every task of the state machines meets every error that it can meet; nothing may be left out of the table."""

import importlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from functions.common import errors
from scripts.deployment import state_machines

from .table import (
    BROKEN,
    BUSY,
    CONFLICT,
    HEAD_FAILED,
    HEAD_REFUSED,
    REFUSED,
    TABLE,
    THROTTLED,
    UNKEPT,
    End,
    Row,
    Scene,
)
from .world import MACHINES, TERMINAL, Case, Failure, Lost, Seen, World, composed, states

DEFINITIONS = {name: composed(name) for name in MACHINES}
TASKS = {
    (machine, name): state
    for machine in MACHINES
    for name, state in states(DEFINITIONS[machine])
    if state["Type"] == "Task"
}
# What the services behind a task may answer, beside the names in its own Retry and Catch.
OF_SERVICES = {
    "lambda": f"{BUSY} {BROKEN}",
    "dynamodb": f"{THROTTLED} {REFUSED} {CONFLICT}",
    "sqs": UNKEPT,
    "s3": f"{HEAD_FAILED} {HEAD_REFUSED}",
}
NAMED = {
    name
    for name, each in vars(errors).items()
    if isinstance(each, type) and issubclass(each, errors.WorkflowError)
}


def errors_of(machine: str, name: str) -> set[str]:
    """What a task can meet, by its service, its function's contract, its retries and its catches."""
    state = TASKS[machine, name]
    service = state["Resource"].split(":")[-2]
    met = {*OF_SERVICES[service].split(), *TERMINAL.split()}
    if service == "lambda":
        handler = importlib.import_module(f"functions.{state['Arguments']['FunctionName']}.handler")
        met |= {error for error in NAMED if error in handler.lambda_handler.__doc__}
    for handled in (*state.get("Retry", ()), *state.get("Catch", ())):
        met |= set(handled["ErrorEquals"])
    # Only writes that have a condition can fail it.
    return met - {"States.ALL"} - ({CONFLICT} if state["Resource"].endswith("getItem") else set())


class Play(NamedTuple):
    """One row's error, met by the first attempt or by all."""

    row: Row
    error: Failure
    once: bool

    @property
    def scene(self) -> Scene:
        return self.row.setting()

    @property
    def end(self) -> End:
        return self.scene.end if self.once else self.row.end

    def __str__(self) -> str:
        error = f"lost-{self.error.error}" if isinstance(self.error, Lost) else self.error
        return f"{self.row.machine}-{self.row.state}-{error}-{'once' if self.once else 'always'}"

    def case(self) -> Case:
        failures = {**self.scene.failures, self.row.state: self.error}
        # The conflict of a scene is a real one: the row is there.
        if self.error == CONFLICT and self.scene.row:
            failures.pop(self.row.state)
        once = self.row.state if self.once else None
        # An execution's name has 80 characters at most, and no points.
        name = str(self).replace("DynamoDB.", "").replace(".", "-")
        scene = self.scene
        return Case(name, self.row.machine, failures, once, scene.given, scene.row, scene.version)


PLAYS = [
    Play(row, error, once)
    for row in TABLE
    for error in row.errors
    for once in ((True, False) if row.retried else (False,))
]


@pytest.fixture(scope="module")
def played() -> Iterator[dict[str, tuple[Case, Seen]]]:
    """All plays at once, in one world."""
    world = World()
    cases = {str(play): play.case() for play in PLAYS}
    extra = [Case("names-no-picture", given=[]), Case("unsettled-names-no-picture", "reconcile", given=[])]
    cases |= {case.name: case for case in extra}
    started = {name: world.start(case) for name, case in cases.items()}
    yield {name: (case, world.wait(started[name], case)) for name, case in cases.items()}
    world.close()


@pytest.mark.parametrize(("machine", "name"), TASKS)
def test_every_error_of_every_task_has_exactly_one_row(machine: str, name: str) -> None:
    listed = [
        error
        for row in TABLE
        if (row.machine, row.state) == (machine, name)
        for error in row.errors
        if isinstance(error, str)
    ]

    assert sorted(listed) == sorted(errors_of(machine, name))


def test_every_machine_is_played_here_or_has_its_own_tests() -> None:
    machines = {path.name.split(".")[0] for path in state_machines.machines()}

    # tests/unit/statemachine/test_batch_machine.py plays what batch has beside the states of a picture.
    assert machines == {*MACHINES, "batch"}


def test_every_row_is_about_a_task_that_exists() -> None:
    assert {(row.machine, row.state) for row in TABLE} == set(TASKS)


@pytest.mark.parametrize(("machine", "name"), TASKS)
def test_the_table_knows_what_is_retried(machine: str, name: str) -> None:
    retried = {error for retry in TASKS[machine, name]["Retry"] for error in retry["ErrorEquals"]}
    for row in TABLE:
        if (row.machine, row.state) == (machine, name):
            for error in row.errors:
                plain = error.error if isinstance(error, Lost) else error
                by_wildcard = "States.ALL" in retried and plain not in TERMINAL.split()
                assert row.retried == (plain in retried or by_wildcard), error


def attempts(play: Play) -> int | None:
    """How often the task is tried; None if that does not depend on the error alone."""
    if isinstance(play.error, Lost) or play.error == CONFLICT:
        return None
    if not play.row.retried:
        return 1
    (retry,) = TASKS[play.row.machine, play.row.state]["Retry"]
    return 2 if play.once else retry["MaxAttempts"] + 1


@pytest.mark.parametrize("play", PLAYS, ids=str)
def test_the_picture_ends_where_the_table_says(
    play: Play, played: dict[str, tuple[Case, Seen]], tell: Callable[[str, str, str], None]
) -> None:
    tell(*play.row.line())
    case, seen = played[str(play)]
    end = play.end

    assert seen.execution == end.execution
    assert seen.error == (play.error if end.error == "itself" else end.error)
    assert case.alerts == ([end.alert] if end.alert else [])
    assert len(case.dead_letters) == end.dead_letters
    assert attempts(play) in (None, case.attempts[play.row.state])
    expected = [end.version] if end.row else []
    assert list(seen.rows) == (["unknown"] if end.unknown_stays else []) + expected
    if end.row:
        row = seen.rows[end.version]
        assert row["status"] == end.row
        assert row.get("attention") == (end.row if end.attention else None)
        assert len(row.get("history", [])) <= 1


def levels(definition: dict[str, Any]) -> Iterator[dict[str, dict[str, Any]]]:
    """The states of a machine, and of each of its branches."""
    yield definition["States"]
    for state in definition["States"].values():
        for branch in state.get("Branches", ()):
            yield from levels(branch)


@pytest.mark.parametrize("machine", MACHINES)
def test_every_transition_is_taken_by_some_play(machine: str, played: dict[str, tuple[Case, Seen]]) -> None:
    paths = [seen.path for case, seen in played.values() if case.machine == machine]
    for level in levels(DEFINITIONS[machine]):
        own = ([name for name in path if name in level] for path in paths)
        taken = {step for path in own for step in itertools.pairwise(path)}
        written = {
            (name, target)
            for name, state in level.items()
            for hop in (state, *state.get("Choices", ()), *state.get("Catch", ()))
            for target in (hop.get("Next"), hop.get("Default"))
            if target
        }
        assert written - taken == set()


def test_an_execution_that_names_no_picture_alerts_and_leaves_no_row(
    played: dict[str, tuple[Case, Seen]],
) -> None:
    case, seen = played["names-no-picture"]
    assert (seen.execution, seen.error, case.alerts, seen.rows) == ("FAILED", "InvalidInput", ["system"], {})

    case, seen = played["unsettled-names-no-picture"]
    assert (seen.execution, case.alerts, seen.rows) == ("SUCCEEDED", ["system"], {})
