"""The Amazon States Language with JSONata: https://states-language.net and the pages named at each group."""

import json
import threading
import time
from typing import Any

import pytest

from scripts.local_aws.core.errors import StatesError
from scripts.local_aws.stepfunctions.asl import interpreter
from scripts.local_aws.stepfunctions.asl.interpreter import matches
from tests.local_aws.stepfunctions.harness import Harness, close_services, failing, machine, task

pytestmark = pytest.mark.usefixtures(close_services.__name__)

PASS = {"Type": "Pass", "End": True}
AGAIN = {"ErrorEquals": ["Unavailable"], "IntervalSeconds": 1, "MaxAttempts": 2, "BackoffRate": 2}


def echo(fields: str | dict[str, Any]) -> dict[str, Any]:
    return machine({"Only": {"Type": "Pass", "Output": fields, "End": True}})


# Data: https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html


def test_a_pass_state_without_output_passes_its_input_on() -> None:
    assert Harness().output(machine({"Only": PASS}), {"a": [1, None, "é"]}) == {"a": [1, None, "é"]}


def test_expressions_are_replaced_at_any_depth_and_everything_else_stays() -> None:
    fields = {"n": 1, "deep": [{"sum": "{% $states.input.a + 1 %}"}, "plain {% text %}!"], "nothing": None}
    expected = {"n": 1, "deep": [{"sum": 3}, "plain {% text %}!"], "nothing": None}
    assert Harness().output(echo(fields), {"a": 2}) == expected


def test_a_task_sends_arguments_and_turns_its_result_into_output() -> None:
    harness = Harness(lambda resource, arguments: {"Payload": {"got": arguments["Payload"]}})
    state = task(
        Arguments={"FunctionName": "f", "Payload": {"key": "{% $states.input.key %}"}},
        Output={"answer": "{% $states.result.Payload.got.key %}", "input": "{% $states.input.key %}"},
    )
    assert harness.output(machine({"Call": state}), {"key": "k"}) == {"answer": "k", "input": "k"}
    assert harness.calls == [
        ("arn:aws:states:::lambda:invoke", {"FunctionName": "f", "Payload": {"key": "k"}})
    ]


def test_a_bare_task_sends_its_input_and_returns_its_result() -> None:
    """A bare task has neither Arguments nor Output."""
    assert Harness(lambda _, arguments: [arguments]).output(machine({"Call": task()}), {"a": 1}) == [{"a": 1}]


def test_the_context_object_names_execution_state_and_machine() -> None:
    harness = Harness()
    arn = harness.create(echo("{% $states.context %}"))
    execution = harness.start(arn, {"a": 1}, name="run")
    context = json.loads(harness.end_of(execution)["output"])
    assert context["Execution"]["Id"] == execution
    assert (context["Execution"]["Name"], context["Execution"]["Input"]) == ("run", {"a": 1})
    assert context["Execution"]["RoleArn"].endswith(":role/states")
    assert (context["State"]["Name"], context["State"]["RetryCount"]) == ("Only", 0)
    assert context["StateMachine"] == {"Id": arn, "Name": "machine-0"}
    assert context["Execution"]["StartTime"].endswith("Z")
    assert context["State"]["EnteredTime"].endswith("Z")


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("$states.input.missing", "returned nothing (undefined)."),
        ("1 + 'a'", "threw an error during evaluation. T2002"),
        ("$sum", "threw an error during evaluation. the result is a function"),
        ("1 / 0", "threw an error during evaluation."),
    ],
)
def test_an_expression_without_a_json_result_is_a_query_evaluation_error(expression: str, told: str) -> None:
    end = Harness().run(echo({"v": [f"{{% {expression} %}}"]}))
    assert (end["status"], end["error"]) == ("FAILED", "States.QueryEvaluationError")
    assert end["cause"].startswith(
        "An error occurred while executing the state 'Only' (entered at the event id #2). "
        f"The JSONata expression '{expression}' specified for the field 'Output/v[0]' {told}"
    )


def test_null_is_a_value_not_a_missing_result() -> None:
    fields = {"top": "{% $states.input %}", "type": "{% $type($states.input) %}"}
    assert Harness().output(echo(fields), [None]) == {"top": [None], "type": "array"}
    assert Harness().output(echo("{% $states.input.a %}"), {"a": None}) is None


def test_the_execution_input_null_reaches_the_first_state_as_null() -> None:
    harness = Harness()
    execution = harness.start(harness.create(echo("{% $type($states.input) %}")), input="null")
    assert json.loads(harness.end_of(execution)["output"]) == "null"


def test_data_over_262144_bytes_of_utf_8_fails() -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""
    grow = {"Type": "Pass", "Output": "{% $pad('', $states.input.n, 'é') %}", "End": True}
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    definition = machine(
        {
            "Outer": {
                "Type": "Parallel",
                "Branches": [{"StartAt": "Grow", "States": {"Grow": grow}}],
                "Output": "{% $length($states.result[0]) %}",
                "Catch": catch,
                "End": True,
            },
            "Caught": PASS,
        }
    )
    most = (262_144 - len('[""]')) // 2
    assert Harness().output(definition, {"n": most}) == most
    end = Harness().run(definition, {"n": most + 2})
    assert (end["status"], end["error"]) == ("FAILED", "States.DataLimitExceeded")


def test_a_runaway_expression_is_ended_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.local_aws.stepfunctions.asl.jsonata.EVALUATION_SECONDS", 0.2)
    end = Harness().run(echo("{% ($f := function($i) { $f($i + 1) }; $f(0)) %}"))
    assert end["error"] == "States.QueryEvaluationError"
    assert "timed out" in end["cause"]


# Variables: https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html


def test_assign_and_output_of_one_state_see_the_old_values() -> None:
    states = {
        "First": {"Type": "Pass", "Assign": {"x": 1, "y": 10}, "Next": "Second"},
        "Second": {
            "Type": "Pass",
            "Assign": {"x": "{% $x + 1 %}", "y": "{% $x %}"},
            "Output": "{% $x %}",
            "Next": "Third",
        },
        "Third": {"Type": "Pass", "Output": ["{% $states.input %}", "{% $x %}", "{% $y %}"], "End": True},
    }
    assert Harness().output(machine(states)) == [1, 2, 1]


def test_branches_see_outer_variables_and_keep_their_own() -> None:
    def branch(name: str) -> dict[str, Any]:
        states = {
            f"{name}1": {"Type": "Pass", "Assign": {"own": f"{{% $outer & '{name}' %}}"}, "Next": f"{name}2"},
            f"{name}2": {"Type": "Pass", "Output": "{% $own %}", "End": True},
        }
        return {"StartAt": f"{name}1", "States": states}

    states = {
        "Set": {"Type": "Pass", "Assign": {"outer": "o"}, "Next": "Fork"},
        "Fork": {"Type": "Parallel", "Branches": [branch("A"), branch("B")], "Next": "After"},
        "After": {"Type": "Pass", "Output": ["{% $states.input %}", "{% $exists($own) %}"], "End": True},
    }
    assert Harness().output(machine(states)) == [["oA", "oB"], False]


def test_a_null_variable_is_null_and_not_undefined() -> None:
    states = {
        "Set": {"Type": "Pass", "Assign": {"x": None}, "Next": "Get"},
        "Get": {"Type": "Pass", "Output": "{% $x %}", "End": True},
    }
    assert Harness().output(machine(states)) is None


# Choice, Wait, Succeed, Fail: https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html


def choosing(**default: Any) -> dict[str, Any]:
    rules = [
        {"Condition": "{% $states.input.n > 10 %}", "Output": "big", "Assign": {"size": 2}, "Next": "End"},
        {"Condition": "{% $states.input.n > 5 %}", "Next": "End"},
    ]
    states = {
        "Choose": {"Type": "Choice", "Choices": rules, **default},
        "End": {"Type": "Pass", "Output": ["{% $states.input %}", "{% $exists($size) %}"], "End": True},
    }
    return machine(states)


def test_the_first_rule_that_holds_decides() -> None:
    """With its own Output and Assign."""
    harness = Harness()
    assert harness.output(choosing(), {"n": 11}) == ["big", True]
    assert harness.output(choosing(), {"n": 6}) == [{"n": 6}, False]


def test_default_uses_the_output_of_the_choice_state() -> None:
    assert Harness().output(choosing(Default="End", Output="none"), {"n": 1}) == ["none", False]


def test_no_rule_and_no_default_fails() -> None:
    assert Harness().run(choosing(), {"n": 1})["error"] == "States.NoChoiceMatched"


def test_a_condition_must_be_a_boolean() -> None:
    states = {"C": {"Type": "Choice", "Choices": [{"Condition": "{% 1 %}", "Next": "E"}]}, "E": PASS}
    end = Harness().run(machine(states))
    assert end["error"] == "States.QueryEvaluationError"
    assert "Choices[0]/Condition" in end["cause"]


def test_fail_states_compute_error_and_cause_and_both_may_be_missing() -> None:
    harness = Harness()
    fields = {"Error": "{% $states.input.error %}", "Cause": "{% 'because ' & $states.input.why %}"}
    end = harness.run(machine({"No": {"Type": "Fail", **fields}}), {"error": "Named", "why": "so"})
    assert (end["status"], end["error"], end["cause"]) == ("FAILED", "Named", "because so")
    bare = harness.run(machine({"No": {"Type": "Fail"}}))
    assert bare["status"] == "FAILED"
    assert not {"error", "cause", "output"} & bare.keys()


@pytest.mark.parametrize(
    "fields",
    [
        {"Seconds": 20},
        {"Seconds": "{% $states.input.s %}"},
        {"Timestamp": "{% $fromMillis($millis() + 20000) %}"},
    ],
)
def test_wait_waits_in_scaled_time(fields: dict[str, Any]) -> None:
    began = time.monotonic()
    assert Harness().output(machine({"W": {"Type": "Wait", **fields, "End": True}}), {"s": 20}) == {"s": 20}
    assert 0.15 < time.monotonic() - began < 20


def test_a_timestamp_in_the_past_does_not_wait() -> None:
    fields = {"Timestamp": "2020-01-01T00:00:00Z"}
    assert Harness().output(machine({"W": {"Type": "Wait", **fields, "End": True}})) == {}


# Errors: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html


def test_a_retrier_tries_again_and_then_gives_up() -> None:
    harness = Harness(failing(2))
    assert harness.output(machine({"T": task(Retry=[AGAIN])})) == {"done": True}
    harness = Harness(failing(3))
    end = harness.run(machine({"T": task(Retry=[AGAIN])}))
    assert (end["status"], end["error"], end["cause"], len(harness.calls)) == (
        "FAILED",
        "Unavailable",
        "not now",
        3,
    )


def test_the_defaults_are_three_retries_after_1_2_and_4_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = recorded_sleeps(monkeypatch)
    harness = Harness(failing(9))
    harness.run(machine({"T": task(Retry=[{"ErrorEquals": ["States.ALL"]}])}))
    assert (len(harness.calls), slept) == (4, [1, 2, 4])


def test_max_delay_caps_the_interval_and_full_jitter_draws_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = recorded_sleeps(monkeypatch)
    capped = {**AGAIN, "IntervalSeconds": 3, "BackoffRate": 10, "MaxAttempts": 4, "MaxDelaySeconds": 20}
    Harness(failing(9)).run(machine({"T": task(Retry=[capped])}))
    assert slept == [3, 20, 20, 20]
    slept.clear()
    Harness(failing(9)).run(machine({"T": task(Retry=[{**capped, "JitterStrategy": "FULL"}])}))
    assert all(0 <= drawn <= bound for drawn, bound in zip(slept, [3, 20, 20, 20], strict=True))
    assert len(set(slept)) == 4


def recorded_sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []

    async def sleep(_self: Any, seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("scripts.local_aws.stepfunctions.executions.Runtime.sleep", sleep)
    return slept


@pytest.mark.parametrize("order", ["ABCB", "CABB"])
def test_every_retrier_counts_for_itself(order: str) -> None:
    """The page's example: with two retries for A and B, the third of these errors ends in the catcher."""
    errors = iter(order)

    def call(_resource: str, _arguments: Any) -> Any:
        raise StatesError(f"Error{next(errors)}", "")

    retry = [
        {"ErrorEquals": ["ErrorA", "ErrorB"], "IntervalSeconds": 1, "MaxAttempts": 2},
        {"ErrorEquals": ["ErrorC"], "IntervalSeconds": 5},
    ]
    catch = [{"ErrorEquals": ["States.ALL"], "Output": "{% $states.context.State.RetryCount %}", "Next": "Z"}]
    harness = Harness(call)
    assert harness.output(machine({"X": task(Retry=retry, Catch=catch), "Z": PASS})) == 3


def test_max_attempts_zero_never_retries() -> None:
    harness = Harness(failing(1))
    harness.run(machine({"T": task(Retry=[{**AGAIN, "MaxAttempts": 0}])}))
    assert len(harness.calls) == 1


def test_a_catcher_sees_the_error_and_assigns_in_its_scope() -> None:
    catch = [
        {"ErrorEquals": ["Other"], "Next": "Never"},
        {
            "ErrorEquals": ["Unavailable"],
            "Assign": {"why": "{% $states.errorOutput.Cause %}"},
            "Output": {"error": "{% $states.errorOutput.Error %}", "input": "{% $states.input.a %}"},
            "Next": "Handled",
        },
    ]
    states = {
        "T": task(Catch=catch, Next="Handled"),
        "Handled": {"Type": "Pass", "Output": ["{% $states.input %}", "{% $why %}"], "End": True},
        "Never": PASS,
    }
    expected = [{"error": "Unavailable", "input": 7}, "not now"]
    assert Harness(failing(1)).output(machine(states), {"a": 7}) == expected


def test_a_catcher_without_output_passes_the_error_output_on() -> None:
    states = {"T": task(Catch=[{"ErrorEquals": ["States.TaskFailed"], "Next": "H"}]), "H": PASS}
    assert Harness(failing(1)).output(machine(states)) == {"Error": "Unavailable", "Cause": "not now"}


def test_a_failing_output_can_be_caught() -> None:
    """A failing Catcher cannot."""
    catch = {"ErrorEquals": ["States.QueryEvaluationError"], "Output": "caught", "Next": "H"}
    broken = "{% $states.result.missing %}"
    assert Harness().output(machine({"T": task(Output=broken, Catch=[catch]), "H": PASS})) == "caught"
    end = Harness().run(machine({"T": task(Output=broken, Catch=[{**catch, "Output": broken}]), "H": PASS}))
    assert end["error"] == "States.QueryEvaluationError"
    assert "'Catch[0]/Output'" in end["cause"]


@pytest.mark.parametrize(
    ("names", "error", "expected"),
    [
        (["States.ALL"], "Anything", True),
        (["States.ALL"], "States.Timeout", True),
        (["States.ALL"], None, True),
        (["States.ALL"], "States.DataLimitExceeded", False),
        (["States.ALL"], "States.Runtime", False),
        (["States.Runtime"], "States.Runtime", False),
        (["States.DataLimitExceeded"], "States.DataLimitExceeded", True),
        (["States.TaskFailed"], "Anything", True),
        (["States.TaskFailed"], "States.Timeout", False),
        (["States.Timeout"], "States.HeartbeatTimeout", True),
        (["Some", "Other"], "Other", True),
        (["some"], "Some", False),
    ],
)
def test_error_names_match_as_documented(names: list[str], error: str | None, expected: bool) -> None:
    assert matches(names, error) is expected


def test_an_exception_without_an_error_name_is_a_failed_task() -> None:
    def call(_resource: str, _arguments: Any) -> Any:
        raise KeyError("oops")

    end = Harness(call).run(machine({"T": task()}))
    assert (end["error"], end["cause"]) == ("States.TaskFailed", "KeyError: 'oops'")


# Timeouts: https://docs.aws.amazon.com/step-functions/latest/dg/sfn-stuck-execution.html


@pytest.mark.parametrize("seconds", [1, "{% $states.input.s %}"])
def test_a_hanging_task_times_out_although_the_call_goes_on(seconds: Any) -> None:
    release = threading.Event()
    harness = Harness(lambda *_: release.wait(20))
    states = {"T": task(TimeoutSeconds=seconds, Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "H"}])}
    began = time.monotonic()
    output = harness.output(machine({**states, "H": PASS}), {"s": 1})
    assert output == {"Error": "States.Timeout", "Cause": ""}
    assert 0.9 < time.monotonic() - began < 20
    release.set()


def test_hanging_calls_do_not_keep_other_tasks_from_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.local_aws.stepfunctions.executions.PARALLEL_CALLS", 2)
    release = threading.Event()
    harness = Harness(lambda _, hangs: release.wait(20) if hangs else "quick")
    arn = harness.create(machine({"T": task(TimeoutSeconds=1)}))
    stuck = [harness.start(arn, value=True) for _ in range(4)]
    quick = harness.start(arn, value=False)
    assert json.loads(harness.end_of(quick)["output"]) == "quick"
    assert {harness.end_of(execution)["error"] for execution in stuck} == {"States.Timeout"}
    release.set()


def test_the_machines_own_timeout_ends_a_loop_and_a_hanging_task() -> None:
    loop = machine({"Loop": {"Type": "Pass", "Next": "Again"}, "Again": {**PASS}}, TimeoutSeconds=1)
    loop["States"]["Again"] = {
        "Type": "Choice",
        "Choices": [{"Condition": True, "Next": "Wait"}],
        "Default": "End",
    }
    loop["States"] |= {"Wait": {"Type": "Wait", "Seconds": 1, "Next": "Loop"}, "End": PASS}
    release = threading.Event()
    for definition in (loop, machine({"T": task()}, TimeoutSeconds=1)):
        harness = Harness(lambda *_: release.wait(20))
        end = harness.run(definition)
        assert end["status"] == "TIMED_OUT"
        assert not {"error", "cause", "output"} & end.keys()
        last = harness.history(end["executionArn"])[-1]
        assert (last["type"], last["previousEventId"]) == ("ExecutionTimedOut", 0)
    release.set()


# Parallel and Map: https://docs.aws.amazon.com/step-functions/latest/dg/state-parallel.html, state-map-inline.html


def test_parallel_passes_arguments_and_collects_in_order() -> None:
    slow = {"StartAt": "Slow", "States": {"Slow": {"Type": "Wait", "Seconds": 5, "End": True}}}
    quick = {"StartAt": "Quick", "States": {"Quick": {"Type": "Pass", "Output": "quick", "End": True}}}
    state = {
        "Type": "Parallel",
        "Branches": [slow, quick],
        "Arguments": {"n": "{% $states.input.a %}"},
        "End": True,
    }
    assert Harness().output(machine({"P": state}), {"a": 1}) == [{"n": 1}, "quick"]


def test_a_failing_branch_ends_the_others_at_once() -> None:
    branches = [
        {"StartAt": "Slow", "States": {"Slow": {"Type": "Wait", "Seconds": 99999, "End": True}}},
        {"StartAt": "Bad", "States": {"Bad": {"Type": "Fail", "Error": "Boom", "Cause": "bad"}}},
    ]
    state = {"Type": "Parallel", "Branches": branches, "Catch": [{"ErrorEquals": ["Boom"], "Next": "H"}]}
    harness = Harness()
    end = harness.run(machine({"P": {**state, "Next": "H"}, "H": PASS}))
    assert json.loads(end["output"]) == {"Error": "Boom", "Cause": "bad"}
    types = [event["type"] for event in harness.history(end["executionArn"])]
    assert {"WaitStateAborted", "ParallelStateFailed"} <= set(types)


def test_a_retried_parallel_runs_all_branches_again() -> None:
    branch = {"StartAt": "T", "States": {"T": task()}}
    state = {"Type": "Parallel", "Branches": [branch], "Retry": [AGAIN], "End": True}
    harness = Harness(failing(2))
    assert harness.output(machine({"P": state})) == [{"done": True}]
    assert len(harness.calls) == 3


def mapping(processor: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return machine({"M": {"Type": "Map", "ItemProcessor": processor, **fields, "End": True}})


def test_map_collects_in_the_order_of_the_items_whatever_ends_first() -> None:
    wait = {
        "Type": "Wait",
        "Seconds": "{% $states.input.n %}",
        "Output": "{% $states.input.n %}",
        "End": True,
    }
    selector = {"n": "{% $states.context.Map.Item.Value %}", "at": "{% $states.context.Map.Item.Index %}"}
    definition = mapping(
        {"StartAt": "W", "States": {"W": wait}}, Items="{% $states.input.items %}", ItemSelector=selector
    )
    assert Harness().output(definition, {"items": [9, 0, 4]}) == [9, 0, 4]
    assert Harness().output(definition, {"items": []}) == []


def test_items_may_be_an_object_and_must_not_be_a_number() -> None:
    definition = mapping({"StartAt": "P", "States": {"P": PASS}})
    assert Harness().output(definition, {"a": 1}) == [{"Key": "a", "Value": 1}]
    assert Harness().run(definition, 3)["error"] == "States.QueryEvaluationError"


@pytest.mark.parametrize(("limit", "most"), [(1, 1), (3, 3), (0, 32)])
def test_max_concurrency_bounds_the_iterations_under_way(limit: int, most: int) -> None:
    running, peak, lock = 0, 0, threading.Lock()

    def call(_resource: str, _arguments: Any) -> Any:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return None

    definition = mapping({"StartAt": "T", "States": {"T": task()}}, MaxConcurrency=limit)
    assert Harness(call).output(definition, list(range(60))) == [None] * 60
    assert 1 <= peak <= most
    assert limit in (peak, 0)


def test_a_failing_iteration_fails_the_map_and_starts_no_further_one() -> None:
    harness = Harness(failing(1))
    definition = mapping({"StartAt": "T", "States": {"T": task()}}, MaxConcurrency=1)
    end = harness.run(definition, [1, 2, 3])
    assert (end["error"], len(harness.calls)) == ("Unavailable", 1)


# History: https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html


def test_the_history_of_a_task_that_is_retried() -> None:
    harness = Harness(failing(1))
    end = harness.run(machine({"T": task(Retry=[AGAIN], TimeoutSeconds=9, Assign={"x": 1})}), {"a": 1})
    events = harness.history(end["executionArn"])
    assert [event["type"] for event in events] == [
        "ExecutionStarted",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskFailed",
        "TaskScheduled",
        "TaskStarted",
        "TaskSucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ]
    assert [event["id"] for event in events] == list(range(1, 11))
    assert [event["previousEventId"] for event in events] == [0, 0, 2, 3, 4, 5, 6, 7, 8, 9]
    assert events[1]["stateEnteredEventDetails"] == {
        "name": "T",
        "input": '{"a": 1}',
        "inputDetails": {"truncated": False},
    }
    assert events[2]["taskScheduledEventDetails"] == {
        "resourceType": "lambda",
        "resource": "invoke",
        "region": "us-east-1",
        "parameters": '{"a": 1}',
        "timeoutInSeconds": 9,
    }
    assert events[4]["taskFailedEventDetails"] == {
        "resourceType": "lambda",
        "resource": "invoke",
        "error": "Unavailable",
        "cause": "not now",
    }
    assert events[8]["stateExitedEventDetails"]["assignedVariables"] == {"x": "1"}


def test_branches_keep_chains_of_their_own_that_start_at_the_parallel() -> None:
    def branch(name: str) -> dict[str, Any]:
        return {
            "StartAt": f"{name}1",
            "States": {f"{name}1": {"Type": "Pass", "Next": f"{name}2"}, f"{name}2": PASS},
        }

    harness = Harness()
    state = {"Type": "Parallel", "Branches": [branch("A"), branch("B")], "End": True}
    events = harness.history(harness.run(machine({"P": state}))["executionArn"])
    by_id = {event["id"]: event for event in events}

    def previous(event: dict[str, Any]) -> str:
        return by_id[event["previousEventId"]]["type"]

    entered = {
        event["stateEnteredEventDetails"]["name"]: event
        for event in events
        if "stateEnteredEventDetails" in event
    }
    assert {previous(entered[name]) for name in ("A1", "B1")} == {"ParallelStateStarted"}
    assert {previous(entered[name]) for name in ("A2", "B2")} == {"PassStateExited"}
    succeeded, exited, ended = events[-3:]
    assert [event["type"] for event in events[-3:]] == [
        "ParallelStateSucceeded",
        "ParallelStateExited",
        "ExecutionSucceeded",
    ]
    assert succeeded["previousEventId"] == exited["previousEventId"] == succeeded["id"] - 1
    assert ended["previousEventId"] == exited["id"]


def test_failed_evaluations_and_iterations_are_in_the_history() -> None:
    broken = {"Type": "Pass", "Output": {"v": "{% $states.input.missing %}"}, "End": True}
    harness = Harness()
    end = harness.run(mapping({"StartAt": "U", "States": {"U": broken}}, MaxConcurrency=1), [1, 2])
    events = harness.history(end["executionArn"])
    assert [event["type"] for event in events] == [
        "ExecutionStarted",
        "MapStateEntered",
        "MapStateStarted",
        "MapIterationStarted",
        "PassStateEntered",
        "EvaluationFailed",
        "MapIterationFailed",
        "MapStateFailed",
        "ExecutionFailed",
    ]
    assert [event["previousEventId"] for event in events] == [0, 0, 2, 3, 4, 5, 6, 6, 8]
    assert events[2]["mapStateStartedEventDetails"] == {"length": 2}
    assert events[5]["evaluationFailedEventDetails"]["location"] == "Output/v"


def test_a_history_of_25000_events_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.local_aws.stepfunctions.executions.HISTORY_EVENTS", 100)
    choice = {"Type": "Choice", "Choices": [{"Condition": True, "Next": "A"}], "Default": "B"}
    end = Harness().run(machine({"A": {"Type": "Pass", "Next": "C"}, "C": choice, "B": PASS}))
    assert end["error"] == "States.Runtime"
    assert "maximum number of history events" in end["cause"]
    assert interpreter.HISTORY_EVENTS == 25_000
