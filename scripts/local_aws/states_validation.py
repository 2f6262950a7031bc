"""Checks a state machine's definition as ValidateStateMachineDefinition does
(https://docs.aws.amazon.com/step-functions/latest/apireference/API_ValidateStateMachineDefinition.html).

What this interpreter does not run (JSONPath, task tokens, activities, Distributed Map) is an error here, so that
nobody finds out in the middle of an execution.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from jsonata.jexception import JException

from scripts.local_aws.jsonata_queries import compile_expression, is_expression

SCHEMA = "SCHEMA_VALIDATION_FAILED"
TARGET = "MISSING_TRANSITION_TARGET"
COMMON = {"Type", "Comment", "QueryLanguage"}
FLOW = {"Next", "End", "Output", "Assign"}
ERRORS = {"Retry", "Catch"}
FIELDS = {
    "Pass": FLOW,
    "Task": FLOW | ERRORS | {"Resource", "Arguments", "TimeoutSeconds", "HeartbeatSeconds", "Credentials"},
    "Choice": {"Choices", "Default", "Output", "Assign"},
    "Wait": FLOW | {"Seconds", "Timestamp"},
    "Succeed": {"Output"},
    "Fail": {"Error", "Cause"},
    "Parallel": FLOW | ERRORS | {"Branches", "Arguments"},
    "Map": FLOW | ERRORS | {"ItemProcessor", "Items", "ItemSelector", "MaxConcurrency"},
}
REQUIRED = {
    "Task": ("Resource",),
    "Choice": ("Choices",),
    "Parallel": ("Branches",),
    "Map": ("ItemProcessor",),
}
JSONPATH_FIELDS = {
    "InputPath",
    "OutputPath",
    "ResultPath",
    "ResultSelector",
    "Parameters",
    "Result",
    "ItemsPath",
}
MACHINE_FIELDS = {"Comment", "StartAt", "States", "QueryLanguage", "TimeoutSeconds", "Version"}
RETRIER_FIELDS = {
    "ErrorEquals": lambda value: bool(value) and isinstance(value, list),
    "IntervalSeconds": lambda value: _whole(value) and value >= 1,
    "MaxAttempts": lambda value: _whole(value) and value >= 0,
    "BackoffRate": lambda value: isinstance(value, int | float) and value >= 1,
    "MaxDelaySeconds": lambda value: _whole(value) and 1 <= value < 31_622_400,
    "JitterStrategy": lambda value: value in ("FULL", "NONE"),
    "Comment": lambda value: isinstance(value, str),
}
VARIABLE = re.compile(r"[^\W\d]\w{0,79}")
MAXIMUM_NAME = 80


class Diagnostic(NamedTuple):
    """One finding; location is a path such as `/States/Classify/Next`."""

    code: str
    message: str
    location: str


def diagnose(definition: str) -> list[Diagnostic]:
    """Everything that is wrong with a definition (JSON text); an empty list if it can run."""
    try:
        machine = json.loads(definition)
    except ValueError as error:
        return [Diagnostic("INVALID_JSON_DESCRIPTION", str(error), "")]
    if not isinstance(machine, dict):
        return [Diagnostic(SCHEMA, "Expected value of type [OBJECT]", "")]
    if machine.get("QueryLanguage") != "JSONata":
        message = (
            'This Step Functions runs JSONata only: set "QueryLanguage": "JSONata" for the whole machine'
        )
        return [Diagnostic(SCHEMA, message, "/QueryLanguage")]
    return list(_Check().machine(machine))


class _Check:
    """Walks over a definition and remembers the names that must be unique in all of it."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def machine(self, machine: dict[str, Any]) -> Iterator[Diagnostic]:
        yield from _unknown(machine, MACHINE_FIELDS, "")
        if "TimeoutSeconds" in machine and not (
            _whole(machine["TimeoutSeconds"]) and machine["TimeoutSeconds"] > 0
        ):
            yield Diagnostic(SCHEMA, "Expected a positive integer", "/TimeoutSeconds")
        yield from self._states(machine, "", frozenset())

    def _states(self, machine: Any, path: str, outer_variables: frozenset[str]) -> Iterator[Diagnostic]:
        states = machine.get("States") if isinstance(machine, dict) else None
        if not isinstance(states, dict) or not states:
            yield Diagnostic(SCHEMA, "States must be an object with at least one state", f"{path}/States")
            return
        broken = [name for name, state in states.items() if not isinstance(state, dict)]
        for name in broken:
            yield Diagnostic(SCHEMA, "Expected value of type [OBJECT]", f"{path}/States/{name}")
        if broken:
            return
        yield from self._transitions(machine, states, path)
        own_variables = frozenset(variable for state in states.values() for variable in _assigned(state))
        for variable in sorted(own_variables & outer_variables):
            message = f"Variable '{variable}' is assigned in an outer scope already; give it another name"
            yield Diagnostic(SCHEMA, message, f"{path}/States")
        for name, state in states.items():
            yield from self._state(name, state, f"{path}/States/{name}", outer_variables | own_variables)

    def _transitions(
        self, machine: dict[str, Any], states: dict[str, Any], path: str
    ) -> Iterator[Diagnostic]:
        reached: set[str] = set()
        for target, location in [(machine.get("StartAt"), "/StartAt"), *_targets(states)]:
            if target in states:
                reached.add(target)
            else:
                yield Diagnostic(TARGET, f"Missing transition target: {target!r}", path + location)
        for name in states:
            if name not in reached:
                yield Diagnostic(TARGET, f'State "{name}" is not reachable.', f"{path}/States/{name}")
        if not any(_ends(state) for state in states.values()):
            yield Diagnostic("MISSING_END_STATE", "There is no terminal state", f"{path}/States")

    def _state(
        self, name: str, state: dict[str, Any], path: str, variables: frozenset[str]
    ) -> Iterator[Diagnostic]:
        if name in self._names:
            yield Diagnostic("DUPLICATE_STATE_NAME", f"Duplicate state name: {name}", path)
        self._names.add(name)
        if not 1 <= len(name) <= MAXIMUM_NAME:
            yield Diagnostic(SCHEMA, f"A state's name has 1 to {MAXIMUM_NAME} characters", path)
        kind = state.get("Type")
        if kind not in FIELDS:
            yield Diagnostic(SCHEMA, f"Type must be one of {', '.join(FIELDS)}, not {kind!r}", f"{path}/Type")
            return
        if state.get("QueryLanguage", "JSONata") != "JSONata":
            yield Diagnostic(
                SCHEMA, "'QueryLanguage' must be 'JSONata', as for the whole state machine", path
            )
        yield from _unknown(state, COMMON | FIELDS[kind], path)
        yield from (
            Diagnostic(SCHEMA, f"The field '{field}' is required", path)
            for field in REQUIRED.get(kind, ())
            if field not in state
        )
        if "Next" in FIELDS[kind] and ("Next" in state) == (state.get("End") is True):
            yield Diagnostic(SCHEMA, "Exactly one of Next and End: true is needed", path)
        yield from _expressions({key: state[key] for key in state.keys() & FIELDS[kind] - NESTED}, path)
        yield from _assignments(state, path)
        yield from _error_handling(state, path)
        yield from self._details(kind, state, path, variables)

    def _details(
        self, kind: str, state: dict[str, Any], path: str, variables: frozenset[str]
    ) -> Iterator[Diagnostic]:
        if kind == "Wait" and ("Seconds" in state) == ("Timestamp" in state):
            yield Diagnostic(SCHEMA, "Exactly one of Seconds and Timestamp is needed", path)
        if kind == "Task" and "Resource" in state:
            yield from _resource(state["Resource"], f"{path}/Resource")
        if kind == "Choice" and "Choices" in state:
            yield from _choices(state["Choices"], f"{path}/Choices")
        if kind == "Parallel" and "Branches" in state:
            if not isinstance(state["Branches"], list) or not state["Branches"]:
                yield Diagnostic(SCHEMA, "Expected a list of at least one branch", f"{path}/Branches")
                return
            for index, branch in enumerate(state["Branches"]):
                yield from self._states(branch, f"{path}/Branches[{index}]", variables)
        if kind == "Map" and "ItemProcessor" in state:
            yield from _processor(state["ItemProcessor"], f"{path}/ItemProcessor")
            yield from self._states(state["ItemProcessor"], f"{path}/ItemProcessor", variables)


NESTED = {"Branches", "ItemProcessor"}


def _unknown(value: dict[str, Any], fields: set[str], path: str) -> Iterator[Diagnostic]:
    for field in value:
        if field in JSONPATH_FIELDS:
            message = (
                f"The QueryLanguage is set to 'JSONata', but field '{field}' is only supported for 'JSONPath'"
            )
            yield Diagnostic(SCHEMA, message, path)
        elif field not in fields:
            yield Diagnostic(SCHEMA, f"Field '{field}' is not supported", path)


def _targets(states: dict[str, Any]) -> Iterator[tuple[Any, str]]:
    for name, state in states.items():
        path = f"/States/{name}"
        yield from ((state[field], f"{path}/{field}") for field in ("Next", "Default") if field in state)
        for field in ("Catch", "Choices"):
            for index, rule in enumerate(_objects(state.get(field))):
                yield rule.get("Next"), f"{path}/{field}[{index}]/Next"


def _ends(state: dict[str, Any]) -> bool:
    return state.get("End") is True or state.get("Type") in ("Succeed", "Fail")


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _assigning(state: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    yield state, ""
    for field in ("Catch", "Choices"):
        yield from ((rule, f"/{field}[{index}]") for index, rule in enumerate(_objects(state.get(field))))


def _assigned(state: dict[str, Any]) -> Iterator[str]:
    for fields, _ in _assigning(state):
        if isinstance(fields.get("Assign"), dict):
            yield from fields["Assign"]


def _assignments(state: dict[str, Any], path: str) -> Iterator[Diagnostic]:
    for fields, where in _assigning(state):
        location = f"{path}{where}/Assign"
        if not isinstance(fields.get("Assign", {}), dict):
            yield Diagnostic(SCHEMA, "Expected value of type [OBJECT]", location)
            continue
        for name in fields.get("Assign", {}):
            if name == "states" or not VARIABLE.fullmatch(name):
                yield Diagnostic(SCHEMA, f"'{name}' is no valid name of a variable", location)


def _expressions(value: Any, path: str) -> Iterator[Diagnostic]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _expressions(item, f"{path}/{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _expressions(item, f"{path}[{index}]")
    elif is_expression(value):
        try:
            compile_expression(value[2:-2].strip())
        except JException as error:
            yield Diagnostic("INVALID_JSONATA_EXPRESSION", f"{error.error}: {error}", path)


def _error_handling(state: dict[str, Any], path: str) -> Iterator[Diagnostic]:
    for field in ERRORS & state.keys():
        rules = _objects(state[field])
        if len(rules) != (len(state[field]) if isinstance(state[field], list) else -1):
            yield Diagnostic(SCHEMA, "Expected a list of objects", f"{path}/{field}")
        for index, rule in enumerate(rules):
            location = f"{path}/{field}[{index}]"
            yield from _unknown(rule, CATCHER_FIELDS if field == "Catch" else set(RETRIER_FIELDS), location)
            for name, valid in RETRIER_FIELDS.items():
                if not valid(rule[name]) if name in rule else name == "ErrorEquals":
                    yield Diagnostic(SCHEMA, f"The value of '{name}' is missing or out of range", location)
            names = rule.get("ErrorEquals") or []
            if "States.ALL" in names and (len(names) > 1 or index < len(rules) - 1):
                yield Diagnostic(SCHEMA, "States.ALL must stand alone and in the last rule", location)


CATCHER_FIELDS = {"ErrorEquals", "Next", "Output", "Assign", "Comment"}
CHOICE_FIELDS = {"Condition", "Next", "Output", "Assign", "Comment"}


def _choices(choices: Any, path: str) -> Iterator[Diagnostic]:
    if not isinstance(choices, list) or not choices or len(_objects(choices)) != len(choices):
        yield Diagnostic(SCHEMA, "Expected a list of at least one choice rule", path)
    for index, rule in enumerate(_objects(choices)):
        yield from _unknown(rule, CHOICE_FIELDS, f"{path}[{index}]")
        if not (isinstance(rule.get("Condition"), bool) or is_expression(rule.get("Condition"))):
            yield Diagnostic(
                SCHEMA, "The Condition must be a JSONata expression or a boolean", f"{path}[{index}]"
            )


def _resource(resource: Any, path: str) -> Iterator[Diagnostic]:
    if not isinstance(resource, str) or not re.fullmatch(
        r"arn:aws[\w-]*:states:::[\w-]+:\w[\w.:-]*", resource
    ):
        message = "This Step Functions runs service integrations only, such as arn:aws:states:::lambda:invoke"
        yield Diagnostic(SCHEMA, message, path)
    elif resource.endswith(".waitForTaskToken"):
        yield Diagnostic(SCHEMA, "This Step Functions has no task tokens", path)


def _processor(processor: Any, path: str) -> Iterator[Diagnostic]:
    if not isinstance(processor, dict):
        yield Diagnostic(SCHEMA, "Expected value of type [OBJECT]", path)
        return
    yield from _unknown(processor, {"StartAt", "States", "ProcessorConfig", "Comment"}, path)
    if (processor.get("ProcessorConfig") or {}).get("Mode", "INLINE") != "INLINE":
        message = "This Step Functions runs the Map mode INLINE only, DISTRIBUTED not yet"
        yield Diagnostic(SCHEMA, message, f"{path}/ProcessorConfig")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
