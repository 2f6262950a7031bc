"""Checks a state machine's definition as ValidateStateMachineDefinition does
(https://docs.aws.amazon.com/step-functions/latest/apireference/API_ValidateStateMachineDefinition.html).

What this interpreter does not run (JSONPath, task tokens, activities, some datasets) is an error here, so that
nobody finds out in the middle of an execution.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from scripts.local_aws.stepfunctions.asl.jsonata import is_expression, syntax_error
from scripts.local_aws.stepfunctions.asl.state_context import PAYLOAD_BYTES

SCHEMA = "SCHEMA_VALIDATION_FAILED"
TARGET = "MISSING_TRANSITION_TARGET"
INTEGRATION = re.compile(r"arn:aws[\w-]*:states:::[\w-]+:\w[\w.:-]*(?<!\.waitForTaskToken)")
NESTED = ("Branches", "ItemProcessor")
VARIABLE = re.compile(r"(?!states$)[^\W\d]\w{0,79}")
LABEL = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,40}")


class Diagnostic(NamedTuple):
    """One finding; location is a path such as `/States/Classify/Next`."""

    code: str
    message: str
    location: str


class Shape(NamedTuple):
    """The fields that an object of the language must and may have."""

    required: frozenset[str]
    optional: frozenset[str]


def _shape(required: str, optional: str = "") -> Shape:
    return Shape(frozenset(required.split()), frozenset(f"{optional} Comment".split()))


FLOW = "Next End Output Assign QueryLanguage"
STATES = {
    "Pass": _shape("Type", FLOW),
    "Task": _shape(
        "Type Resource", f"{FLOW} Retry Catch Arguments TimeoutSeconds HeartbeatSeconds Credentials"
    ),
    "Choice": _shape("Type Choices", "Default Output Assign QueryLanguage"),
    "Wait": _shape("Type", f"{FLOW} Seconds Timestamp"),
    "Succeed": _shape("Type", "Output QueryLanguage"),
    "Fail": _shape("Type", "Error Cause QueryLanguage"),
    "Parallel": _shape("Type Branches", f"{FLOW} Retry Catch Arguments"),
    "Map": _shape(
        "Type ItemProcessor",
        f"{FLOW} Retry Catch Items ItemSelector MaxConcurrency Label ItemReader ItemBatcher ResultWriter "
        "ToleratedFailureCount ToleratedFailurePercentage",
    ),
}
DISTRIBUTED_ONLY = (
    "Label",
    "ItemReader",
    "ItemBatcher",
    "ResultWriter",
    "ToleratedFailureCount",
    "ToleratedFailurePercentage",
)
# Objects inside a Map state, and inside these.
PARTS = {
    "ItemReader": _shape("Resource Arguments", "ReaderConfig"),
    "ItemBatcher": _shape("", "MaxItemsPerBatch MaxInputBytesPerBatch BatchInput"),
    "ResultWriter": _shape("", "Resource Arguments WriterConfig"),
    "ReaderConfig": _shape("", "InputType MaxItems CSVHeaderLocation CSVHeaders CSVDelimiter"),
    "WriterConfig": _shape("", "Transformation OutputType"),
}
GET_OBJECT, LIST_OBJECTS = "arn:aws:states:::s3:getObject", "arn:aws:states:::s3:listObjectsV2"
PUT_OBJECT = "arn:aws:states:::s3:putObject"
RULES = {
    "Retry": _shape("ErrorEquals", "IntervalSeconds MaxAttempts BackoffRate MaxDelaySeconds JitterStrategy"),
    "Catch": _shape("ErrorEquals Next", "Output Assign"),
    "Choices": _shape("Condition Next", "Output Assign"),
}
MACHINE = _shape("StartAt States QueryLanguage", "TimeoutSeconds Version")
BRANCH = _shape("StartAt States")
PROCESSOR = _shape("StartAt States", "ProcessorConfig")


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def _query_or(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: fits(value) or is_expression(value)


def _one_of(*names: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: isinstance(value, str) and value in names, f"one of {', '.join(names)}"


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _processor_config(value: Any) -> bool:
    distributed = ({"Mode": "DISTRIBUTED", "ExecutionType": kind} for kind in ("STANDARD", "EXPRESS"))
    return value == {"Mode": "INLINE"} or value in distributed


def _objects(value: Any, least: int = 0) -> bool:
    return isinstance(value, list) and len(value) >= least and all(isinstance(item, dict) for item in value)


def _objects_by_name(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and _objects(list(value.values()))


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


# What the value of a field must look like, wherever the field is.
EXPECTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "StartAt": (lambda value: isinstance(value, str), "the name of a state"),
    "Next": (lambda value: isinstance(value, str), "the name of a state"),
    "Default": (lambda value: isinstance(value, str), "the name of a state"),
    "End": (lambda value: value is True, "true"),
    "QueryLanguage": (lambda value: value == "JSONata", "JSONata: this Step Functions runs no JSONPath"),
    "States": (_objects_by_name, "an object with at least one state"),
    "Type": (lambda value: isinstance(value, str) and value in STATES, f"one of {', '.join(STATES)}"),
    "Resource": (
        lambda value: isinstance(value, str) and bool(INTEGRATION.fullmatch(value)),
        "a service integration such as arn:aws:states:::lambda:invoke, without a task token",
    ),
    "Assign": (
        lambda value: isinstance(value, dict) and all(map(VARIABLE.fullmatch, value)),
        "an object of variables, whose names have letters, digits and _, but not the name states",
    ),
    "Choices": (lambda value: _objects(value, 1), "a list of at least one choice rule"),
    "Condition": (
        lambda value: isinstance(value, bool) or is_expression(value),
        "a boolean or an expression",
    ),
    "Branches": (lambda value: _objects(value, 1), "a list of at least one branch"),
    "ItemProcessor": (_is_object, "an object"),
    "ProcessorConfig": (
        _processor_config,
        "the mode INLINE, or DISTRIBUTED with the ExecutionType STANDARD or EXPRESS",
    ),
    "MaxConcurrency": (_query_or(_whole(0)), "a whole number or an expression"),
    "Label": (
        lambda value: isinstance(value, str) and bool(LABEL.fullmatch(value)),
        "1 to 40 characters, without spaces, wildcards and brackets",
    ),
    "ToleratedFailureCount": (_query_or(_whole(0)), "a whole number or an expression"),
    "ToleratedFailurePercentage": (
        _query_or(lambda value: isinstance(value, int | float) and 0 <= value <= 100),
        "a number from 0 to 100 or an expression",
    ),
    **dict.fromkeys(("ItemReader", "ItemBatcher", "ResultWriter"), (_is_object, "an object")),
    **dict.fromkeys(("ReaderConfig", "WriterConfig"), (_is_object, "an object")),
    "InputType": _one_of("CSV", "JSON", "JSONL"),
    "MaxItems": (_query_or(_whole(0)), "a whole number or an expression"),
    "CSVHeaderLocation": _one_of("FIRST_ROW", "GIVEN"),
    "CSVHeaders": (_texts, "a list of at least one column name"),
    "CSVDelimiter": _one_of("COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB"),
    "MaxItemsPerBatch": (_query_or(_whole(1)), "a positive integer or an expression"),
    "MaxInputBytesPerBatch": (
        _query_or(lambda value: _whole(1)(value) and value <= PAYLOAD_BYTES),
        f"a positive integer up to {PAYLOAD_BYTES} or an expression",
    ),
    "Transformation": _one_of("NONE", "COMPACT", "FLATTEN"),
    "OutputType": _one_of("JSON", "JSONL"),
    "Retry": (_objects, "a list of retriers"),
    "Catch": (_objects, "a list of catchers"),
    "ErrorEquals": (_texts, "a list of at least one error name"),
    "TimeoutSeconds": (_query_or(_whole(1)), "a positive integer"),
    "IntervalSeconds": (_whole(1), "a positive integer"),
    "MaxAttempts": (_whole(0), "a whole number"),
    "BackoffRate": (lambda value: isinstance(value, int | float) and value >= 1, "a number of 1.0 or more"),
    "MaxDelaySeconds": (lambda value: _whole(1)(value) and value < 31_622_400, "at most a year"),
    "JitterStrategy": (lambda value: value in ("FULL", "NONE"), "FULL or NONE"),
}


def diagnose(definition: str, kind: str = "STANDARD") -> list[Diagnostic]:
    """Everything that is wrong with a definition (JSON text) of that kind; an empty list if it can run.

    Transitions, names and expressions are looked at once every field has the form it needs.
    """
    try:
        machine = json.loads(definition)
    except ValueError as error:
        return [Diagnostic("INVALID_JSON_DESCRIPTION", str(error), "")]
    if not isinstance(machine, dict):
        return [Diagnostic(SCHEMA, "Expected an object", "")]
    findings = list(_machine_shape(machine, MACHINE, ""))
    if is_expression(machine.get("TimeoutSeconds")):
        findings.append(Diagnostic(SCHEMA, "Only a task's timeout may be an expression", "/TimeoutSeconds"))
    return findings or [*_scope(machine, "", frozenset(), set()), *_map_runs(machine, "", kind, set())]


def _machine_shape(machine: dict[str, Any], shape: Shape, path: str) -> Iterator[Diagnostic]:
    wrong = list(_fields(machine, shape, path))
    yield from wrong
    if not wrong:
        for name, state in machine["States"].items():
            yield from _state_shape(state, f"{path}/States/{name}")


def _state_shape(state: dict[str, Any], path: str) -> Iterator[Diagnostic]:
    kind = state.get("Type")
    if not EXPECTED["Type"][0](kind):
        yield Diagnostic(SCHEMA, f"Expected {EXPECTED['Type'][1]}", f"{path}/Type")
        return
    known = STATES[str(kind)]
    wrong = list(_fields(state, known, path))
    yield from wrong
    if wrong:
        return
    for one, other in (("Next", "End"), ("Seconds", "Timestamp")):
        if {one, other} <= known.optional and (one in state) == (other in state):
            yield Diagnostic(SCHEMA, f"Exactly one of {one} and {other} is needed", path)
    for field, rule in RULES.items():
        for index, item in enumerate(state.get(field, [])):
            yield from _fields(item, rule, f"{path}/{field}[{index}]")
    for index, branch in enumerate(state.get("Branches", [])):
        yield from _machine_shape(branch, BRANCH, f"{path}/Branches[{index}]")
    if "ItemProcessor" in state:
        yield from _machine_shape(state["ItemProcessor"], PROCESSOR, f"{path}/ItemProcessor")
        wrong = list(_parts(state, path))
        yield from wrong or _map_rules(state, path)


def _parts(owner: dict[str, Any], path: str) -> Iterator[Diagnostic]:
    for field in owner.keys() & PARTS.keys():
        wrong = list(_fields(owner[field], PARTS[field], f"{path}/{field}"))
        yield from wrong or _parts(owner[field], f"{path}/{field}")


def _map_rules(state: dict[str, Any], path: str) -> Iterator[Diagnostic]:
    """Which fields of a Map state require or exclude each other."""
    if not _is_distributed(state):
        for field in state.keys() & set(DISTRIBUTED_ONLY):
            yield Diagnostic(SCHEMA, f"Field '{field}' needs the mode DISTRIBUTED", path)
    if "ItemReader" in state:
        yield from _reader_rules(state["ItemReader"], f"{path}/ItemReader")
        if "Items" in state:
            yield Diagnostic(SCHEMA, "Only one of Items and ItemReader is possible", path)
    if "ItemBatcher" in state and not state["ItemBatcher"].keys() & {
        "MaxItemsPerBatch",
        "MaxInputBytesPerBatch",
    }:
        message = "At least one of MaxItemsPerBatch and MaxInputBytesPerBatch is needed"
        yield Diagnostic(SCHEMA, message, f"{path}/ItemBatcher")
    if "ResultWriter" in state:
        yield from _writer_rules(state["ResultWriter"], f"{path}/ResultWriter")


def _reader_rules(reader: dict[str, Any], path: str) -> Iterator[Diagnostic]:
    config = reader.get("ReaderConfig", {})
    kind = config.get("InputType")
    if reader["Resource"] not in (GET_OBJECT, LIST_OBJECTS):
        yield Diagnostic(SCHEMA, f"Expected {GET_OBJECT} or {LIST_OBJECTS}", f"{path}/Resource")
    elif (reader["Resource"] == GET_OBJECT) != (kind is not None):
        yield Diagnostic(SCHEMA, "An InputType is needed for an object, and for nothing else", path)
    if (kind == "CSV") != ("CSVHeaderLocation" in config):
        yield Diagnostic(SCHEMA, "A CSVHeaderLocation is needed for CSV, and for nothing else", path)
    if (config.get("CSVHeaderLocation") == "GIVEN") != ("CSVHeaders" in config):
        yield Diagnostic(SCHEMA, "CSVHeaders are needed if their location is GIVEN, and only then", path)
    needed = {"Bucket", "Key"} if reader["Resource"] == GET_OBJECT else {"Bucket"}
    yield from _location_rules(reader["Arguments"], needed, path)


def _writer_rules(writer: dict[str, Any], path: str) -> Iterator[Diagnostic]:
    if not writer.keys() & {"Resource", "WriterConfig"} or ("Resource" in writer) != ("Arguments" in writer):
        message = "WriterConfig, or Resource with Arguments, or all three are needed"
        yield Diagnostic(SCHEMA, message, path)
    elif "Resource" in writer:
        if writer["Resource"] != PUT_OBJECT:
            yield Diagnostic(SCHEMA, f"Expected {PUT_OBJECT}", f"{path}/Resource")
        yield from _location_rules(writer["Arguments"], {"Bucket"}, path)
    elif writer["WriterConfig"].get("OutputType") == "JSONL":
        yield Diagnostic(SCHEMA, "JSONL is for results in S3: a state's output is not text", path)


def _location_rules(arguments: Any, needed: set[str], path: str) -> Iterator[Diagnostic]:
    if not is_expression(arguments) and not (isinstance(arguments, dict) and needed <= arguments.keys()):
        message = f"Expected an expression or an object with {' and '.join(sorted(needed))}"
        yield Diagnostic(SCHEMA, message, f"{path}/Arguments")


def _is_distributed(state: dict[str, Any]) -> bool:
    config = state.get("ItemProcessor", {}).get("ProcessorConfig")
    return isinstance(config, dict) and config.get("Mode") == "DISTRIBUTED"


def _map_runs(machine: dict[str, Any], path: str, kind: str, labels: set[str]) -> Iterator[Diagnostic]:
    """Distributed Maps where none can be (https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html)
    and labels that do not identify one.
    """
    for name, state in machine["States"].items():
        here = f"{path}/States/{name}"
        for index, branch in enumerate(state.get("Branches", [])):
            yield from _map_runs(branch, f"{here}/Branches[{index}]", kind, labels)
        if _is_distributed(state) and kind == "EXPRESS":
            yield Diagnostic(SCHEMA, "An Express workflow cannot have a Distributed Map", here)
        if state.get("Label") in labels:
            yield Diagnostic(SCHEMA, "Another Map state has this label", f"{here}/Label")
        labels.update([state["Label"]] if "Label" in state else [])
        if "ItemProcessor" in state:
            config = state["ItemProcessor"].get("ProcessorConfig", {})
            inner = config.get("ExecutionType", kind)
            yield from _map_runs(state["ItemProcessor"], f"{here}/ItemProcessor", inner, labels)


def _fields(value: dict[str, Any], shape: Shape, path: str) -> Iterator[Diagnostic]:
    for field in value.keys() - shape.required - shape.optional:
        yield Diagnostic(SCHEMA, f"Field '{field}' is not supported", path)
    for field in shape.required - value.keys():
        yield Diagnostic(SCHEMA, f"The field '{field}' is required", path)
    for field in value.keys() & EXPECTED.keys():
        fits, expected = EXPECTED[field]
        if not fits(value[field]):
            yield Diagnostic(SCHEMA, f"Expected {expected}", f"{path}/{field}")


def _scope(
    machine: dict[str, Any], path: str, outer: frozenset[str], names: set[str]
) -> Iterator[Diagnostic]:
    """Checks the states of a machine, branch or processor; `outer` variables may not be assigned in it."""
    states = machine["States"]
    yield from _transitions(machine, path)
    own = frozenset(
        name for state in states.values() for fields in _ways(state) for name in fields.get("Assign", {})
    )
    for name in sorted(own & outer):
        yield Diagnostic(SCHEMA, f"Variable '{name}' is assigned in an outer scope already", f"{path}/States")
    for name, state in states.items():
        here = f"{path}/States/{name}"
        if name in names:
            yield Diagnostic("DUPLICATE_STATE_NAME", f"Duplicate state name: {name}", here)
        if not 1 <= len(name) <= 80:
            yield Diagnostic(SCHEMA, "The name of a state has 1 to 80 characters", here)
        names.add(name)
        yield from _expressions({key: item for key, item in state.items() if key not in NESTED}, here)
        for index, branch in enumerate(state.get("Branches", [])):
            yield from _scope(branch, f"{here}/Branches[{index}]", outer | own, names)
        if "ItemProcessor" in state:
            # Child executions of a Distributed Map have variables of their own.
            seen = frozenset() if _is_distributed(state) else outer | own
            yield from _scope(state["ItemProcessor"], f"{here}/ItemProcessor", seen, names)
        yield from _wildcards(state, here)


def _ways(state: dict[str, Any]) -> list[dict[str, Any]]:
    """The state itself and all rules by which it can be left."""
    return [state, *state.get("Catch", []), *state.get("Choices", [])]


def _transitions(machine: dict[str, Any], path: str) -> Iterator[Diagnostic]:
    states = machine["States"]
    targets = {"/StartAt": machine["StartAt"]}
    for name, state in states.items():
        targets |= {
            f"/States/{name}/{field}": state[field] for field in ("Next", "Default") if field in state
        }
        for field in ("Catch", "Choices"):
            rules = enumerate(state.get(field, []))
            targets |= {f"/States/{name}/{field}[{index}]/Next": rule["Next"] for index, rule in rules}
    for location, target in targets.items():
        if target not in states:
            yield Diagnostic(TARGET, f"Missing transition target: '{target}'", path + location)
    for name in states.keys() - set(targets.values()):
        yield Diagnostic(TARGET, f'State "{name}" is not reachable.', f"{path}/States/{name}")
    if not any("End" in state or state["Type"] in ("Succeed", "Fail") for state in states.values()):
        yield Diagnostic("MISSING_END_STATE", "No state ends the machine", f"{path}/States")


def _wildcards(state: dict[str, Any], path: str) -> Iterator[Diagnostic]:
    for field in ("Retry", "Catch"):
        rules = state.get(field, [])
        for index, rule in enumerate(rules):
            names = rule["ErrorEquals"]
            if "States.ALL" in names and (len(names) > 1 or index < len(rules) - 1):
                yield Diagnostic(
                    SCHEMA, "States.ALL must stand alone, in the last rule", f"{path}/{field}[{index}]"
                )


def _expressions(value: Any, path: str) -> Iterator[Diagnostic]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _expressions(item, f"{path}/{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _expressions(item, f"{path}[{index}]")
    elif is_expression(value):
        error = syntax_error(value)
        if error is not None:
            yield Diagnostic("INVALID_JSONATA_EXPRESSION", error, path)
