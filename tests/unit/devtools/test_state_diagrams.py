"""The pictures in docs/workflow.md against the state machines that they are drawn from."""

import re

import pytest

from scripts.deployment import state_machines
from scripts.devtools import state_diagrams


def drawn(machine):
    return state_diagrams.diagram(machine).splitlines()


def test_the_page_shows_what_is_on_disk():
    assert state_diagrams.PAGE.read_text(encoding="utf-8") == state_diagrams.page(), "run: make diagrams"


def states(machine):
    for name, state in machine["States"].items():
        yield name, state
        for inner in [*state.get("Branches", []), state.get("ItemProcessor", {"States": {}})]:
            yield from states(inner)


@pytest.mark.parametrize("path", state_machines.machines(), ids=lambda path: path.name)
def test_every_state_is_drawn_once_and_every_way_out_of_it_is_an_arrow(path):
    machine = state_machines.read(path)
    lines = drawn(machine)

    found = list(states(machine))
    starts = 1 + sum(len(state.get("Branches", [])) + ("ItemProcessor" in state) for _, state in found)
    nodes = [line for line in lines if re.match(r'\s*(subgraph )?\w+(\{|\[|\(\[)/?"', line)]
    ways = sum(
        len(state.get("Choices", [])) + len(state.get("Catch", [])) + ("Default" in state) + ("Next" in state)
        for _, state in found
    )
    assert len(nodes) == len(found)
    assert sum(" --> " in line or " -->|" in line or " -.->|" in line for line in lines) == ways + starts


def test_what_is_caught_is_dashed_and_names_the_errors():
    task = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Next": "End"}
    task["Catch"] = [
        {"ErrorEquals": ["States.Timeout", "Odd"], "Next": "Bad"},
        {"ErrorEquals": ["States.ALL"], "Next": "Bad"},
    ]
    lines = drawn(
        {"StartAt": "Send", "States": {"Send": task, "End": {"Type": "Succeed"}, "Bad": {"Type": "Fail"}}}
    )

    assert '  Send -.->|"States.Timeout, Odd"| Bad' in lines
    assert '  Send -.->|"any error"| Bad' in lines
    assert "  Send --> End" in lines


def test_ends_have_the_colour_of_what_they_mean():
    inner = {"StartAt": "Back", "States": {"Back": {"Type": "Pass", "End": True}}}
    machine = {
        "StartAt": "Both",
        "States": {
            "Both": {"Type": "Parallel", "Branches": [inner], "Next": "Good"},
            "Good": {"Type": "Succeed"},
            "Bad": {"Type": "Fail"},
        },
    }

    lines = [line.strip() for line in drawn(machine)]

    assert 'Both_Back[/"Back"/]:::returns' in lines
    assert 'Good(["Good"]):::succeeds' in lines
    assert 'Bad(["Bad"]):::fails' in lines


def test_maps_and_parallels_are_boxes_within_boxes():
    work = {"StartAt": "Work", "States": {"Work": {"Type": "Pass", "End": True}}}
    within = {
        "StartAt": "Two",
        "States": {"Two": {"Type": "Parallel", "Branches": [work, work], "End": True}},
    }
    machine = {
        "StartAt": "All",
        "States": {
            "All": {
                "Type": "Map",
                "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED"}, **within},
                "End": True,
            }
        },
    }

    lines = drawn(machine)

    assert '  subgraph All["All: distributed map, for each item"]' in lines
    assert '    subgraph All_Two["Two: parallel"]' in lines
    assert {'      All_Two_0_Work[/"Work"/]:::returns', '      All_Two_1_Work[/"Work"/]:::returns'} < set(
        lines
    )


def test_a_condition_in_steps_is_labelled_by_the_last():
    condition = "{% (\n  /* More than\n     enough. */\n  $many := 10;\n\n  $count > $many\n) %}"
    machine = {
        "StartAt": "Ask",
        "States": {
            "Ask": {"Type": "Choice", "Choices": [{"Condition": condition, "Next": "End"}], "Default": "End"},
            "End": {"Type": "Succeed"},
        },
    }

    assert '  Ask -->|"$count #gt; $many"| End' in drawn(machine)


def test_nothing_in_a_machine_can_break_the_diagram():
    condition = '{% $x = "]|<b>#" %}'
    machine = {
        "StartAt": "Ask",
        "States": {
            "Ask": {"Type": "Choice", "Choices": [{"Condition": condition, "Next": "End"}], "Default": "End"},
            "End": {"Type": "Succeed"},
        },
    }

    assert '  Ask -->|"$x = #quot;]|#lt;b#gt;#35;#quot;"| End' in drawn(machine)
