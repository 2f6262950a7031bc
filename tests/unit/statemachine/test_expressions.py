"""Each expression of the state machines by itself, with the cases of expressions.yaml; and no line is too long."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from functions.common.inference_id import MAX_RUN
from scripts.deployment import state_machines
from scripts.local_aws.stepfunctions.asl.jsonata import evaluate, to_jsonata

LONGEST_LINE = 120
FILES = sorted((state_machines.MACHINES / "expressions").glob("*.jsonata"))
CASES = yaml.safe_load((Path(__file__).parent / "expressions.yaml").read_text(encoding="utf-8"))


def result(name: str, given: dict[str, Any]) -> Any:
    expression = state_machines.read(state_machines.MACHINES / "expressions" / f"{name}.jsonata")
    names = {variable: to_jsonata(value) for variable, value in given.items()}
    return evaluate(expression.replace("<<ledger_retention_days>>", "90"), names, name)


@pytest.mark.parametrize(("name", "case"), [(name, case) for name in CASES for case in CASES[name]])
def test_expression(name, case):
    assert result(name, CASES[name][case]["given"]) == CASES[name][case]["result"]


def test_every_expression_has_its_cases():
    assert sorted(CASES) == [path.stem for path in FILES]


def test_a_cause_is_kept_in_a_thousand_characters():
    output = {"Error": "E", "Cause": "x" * 5000}

    assert result("error_reason", {"states": {"errorOutput": output}}) == "x" * 1000


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
    states = {"input": {"s3_bucket": "b", "s3_key": "k", "run": given}}

    assert result("normalise_input", {"states": states})["run"] == run


@pytest.mark.parametrize("value", [None, 5, "", [1], {"S": "FAILED"}])
def test_an_alert_can_be_composed_of_any_outcome(value):
    """No state would catch an error in it, and nobody would hear of the picture."""
    context = {"Execution": {"Id": "arn"}, "State": {"EnteredTime": "now"}}
    outcome = dict.fromkeys(("status", "error", "reason", "label", "s3_version_id"), value)
    given = {"outcome": outcome, "picture": {"s3_key": ""}, "states": {"context": context}}

    assert result("picture_alert", given)["category"] == "system"
    assert result("picture_alert", given | {"outcome": {}})["category"] == "system"


@pytest.mark.parametrize(
    "path",
    [path for path in state_machines.MACHINES.rglob("*") if path.is_file()],
    ids=lambda path: path.name,
)
def test_no_line_is_longer_than_a_screen(path):
    lines = path.read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if len(line) > LONGEST_LINE] == []


def test_every_file_is_included_somewhere():
    files = {
        path.relative_to(state_machines.MACHINES).as_posix() for path in state_machines.MACHINES.rglob("*.*")
    }
    texts = "".join(path.read_text(encoding="utf-8") for path in state_machines.MACHINES.glob("*.asl.json"))
    machines = {path.name for path in state_machines.machines()}

    assert {name for name in files - machines if f'"{name}"' not in texts} == set()
