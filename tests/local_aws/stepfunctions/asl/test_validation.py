"""Checks of a definition: .../apireference/API_ValidateStateMachineDefinition.html and https://states-language.net."""

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.local_aws.stepfunctions.asl.validation import Diagnostic, diagnose
from tests.local_aws.stepfunctions.harness import Harness, close_services, machine, task

pytestmark = pytest.mark.usefixtures(close_services.__name__)

PASS = {"Type": "Pass", "End": True}
GOOD = machine(
    {
        "Call": task(
            Next="Choose",
            Assign={"answer": "{% $states.result %}"},
            Retry=[{"ErrorEquals": ["States.ALL"], "JitterStrategy": "FULL", "MaxDelaySeconds": 5}],
            Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Bad"}],
        ),
        "Choose": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $answer %}", "Next": "Fork"}],
            "Default": "Bad",
        },
        "Fork": {
            "Type": "Parallel",
            "Branches": [{"StartAt": "One", "States": {"One": PASS}}],
            "Next": "Each",
        },
        "Each": {
            "Type": "Map",
            "ItemProcessor": {"StartAt": "Two", "States": {"Two": {**PASS, "Assign": {"inner": 1}}}},
            "Next": "Rest",
        },
        "Rest": {"Type": "Wait", "Seconds": 1, "Next": "Good"},
        "Good": {"Type": "Succeed"},
        "Bad": {"Type": "Fail", "Error": "Bad"},
    },
    TimeoutSeconds=60,
)
SPREAD = machine(
    {
        "Read": {"Type": "Pass", "Assign": {"outer": 1}, "Next": "Spread"},
        "Spread": {
            "Type": "Map",
            "Label": "Pictures",
            "MaxConcurrency": 10,
            "ToleratedFailurePercentage": 5,
            "ToleratedFailureCount": "{% 10 %}",
            "ItemReader": {
                "Resource": "arn:aws:states:::s3:getObject",
                "ReaderConfig": {
                    "InputType": "CSV",
                    "CSVHeaderLocation": "GIVEN",
                    "CSVHeaders": ["key"],
                    "MaxItems": 5,
                },
                "Arguments": {"Bucket": "b", "Key": "{% $states.input.key %}"},
            },
            "ItemSelector": {"key": "{% $states.context.Map.Item.Value.key %}"},
            "ItemBatcher": {"MaxItemsPerBatch": 10, "BatchInput": {"run": 1}},
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
                "StartAt": "Classify",
                "States": {"Classify": {**PASS, "Assign": {"outer": 2}}},
            },
            "ResultWriter": {
                "Resource": "arn:aws:states:::s3:putObject",
                "Arguments": {"Bucket": "b", "Prefix": "results"},
                "WriterConfig": {"OutputType": "JSONL", "Transformation": "COMPACT"},
            },
            "End": True,
        },
    }
)
CALL, EACH = ["States", "Call"], ["States", "Each", "ItemProcessor"]
SCHEMA, TARGET = "SCHEMA_VALIDATION_FAILED", "MISSING_TRANSITION_TARGET"
MISSING = object()
JSON = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a definition can be changed."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield (*path, key)
        yield from places(value[key], (*path, key))


@pytest.mark.parametrize("definition", [GOOD, SPREAD])
def test_a_good_definition_has_no_findings(definition: dict[str, Any]) -> None:
    assert diagnose(json.dumps(definition)) == []


@pytest.mark.parametrize(
    ("path", "value", "code", "location"),
    [
        (["QueryLanguage"], "JSONPath", SCHEMA, "/QueryLanguage"),
        (["QueryLanguage"], MISSING, SCHEMA, ""),
        (["StartAt"], "Nowhere", TARGET, "/StartAt"),
        (["StartAt"], MISSING, SCHEMA, ""),
        (["States"], {}, SCHEMA, "/States"),
        (["States"], {"A": 1}, SCHEMA, "/States"),
        (["TimeoutSeconds"], 0, SCHEMA, "/TimeoutSeconds"),
        (["TimeoutSeconds"], "{% 5 %}", SCHEMA, "/TimeoutSeconds"),
        (["Comments"], "x", SCHEMA, ""),
        (["States", "Lonely"], PASS, TARGET, "/States/Lonely"),
        (["States", "Call"], {"Type": "Taks", "Next": "Choose"}, SCHEMA, "/States/Call/Type"),
        ([*CALL, "Next"], "Nowhere", TARGET, "/States/Call/Next"),
        ([*CALL, "Next"], MISSING, SCHEMA, "/States/Call"),
        ([*CALL, "End"], True, SCHEMA, "/States/Call"),
        ([*CALL, "Resource"], MISSING, SCHEMA, "/States/Call"),
        ([*CALL, "Resource"], "arn:aws:lambda:us-east-1:1:function:f", SCHEMA, "/States/Call/Resource"),
        (
            [*CALL, "Resource"],
            "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            SCHEMA,
            "/States/Call/Resource",
        ),
        ([*CALL, "Parameters"], {}, SCHEMA, "/States/Call"),
        ([*CALL, "QueryLanguage"], "JSONPath", SCHEMA, "/States/Call/QueryLanguage"),
        (
            [*CALL, "Arguments"],
            {"a": ["{% 1 + %}"]},
            "INVALID_JSONATA_EXPRESSION",
            "/States/Call/Arguments/a[0]",
        ),
        ([*CALL, "Assign"], {"states": 1}, SCHEMA, "/States/Call/Assign"),
        ([*CALL, "Assign"], {"not good": 1}, SCHEMA, "/States/Call/Assign"),
        ([*CALL, "Retry", 0, "MaxAttempts"], -1, SCHEMA, "/States/Call/Retry[0]/MaxAttempts"),
        ([*CALL, "Retry", 0, "BackoffRate"], 0.5, SCHEMA, "/States/Call/Retry[0]/BackoffRate"),
        ([*CALL, "Retry", 0, "JitterStrategy"], "HALF", SCHEMA, "/States/Call/Retry[0]/JitterStrategy"),
        ([*CALL, "Retry", 0, "ErrorEquals"], [], SCHEMA, "/States/Call/Retry[0]/ErrorEquals"),
        ([*CALL, "Retry", 0, "ErrorEquals"], ["A", "States.ALL"], SCHEMA, "/States/Call/Retry[0]"),
        ([*CALL, "Catch", 0, "Next"], "Nowhere", TARGET, "/States/Call/Catch[0]/Next"),
        ([*CALL, "Catch", 0, "Next"], MISSING, SCHEMA, "/States/Call/Catch[0]"),
        (["States", "Choose", "Choices"], [], SCHEMA, "/States/Choose/Choices"),
        (
            ["States", "Choose", "Choices", 0, "Condition"],
            "yes",
            SCHEMA,
            "/States/Choose/Choices[0]/Condition",
        ),
        (["States", "Choose", "Default"], "Nowhere", TARGET, "/States/Choose/Default"),
        (["States", "Fork", "Branches"], [], SCHEMA, "/States/Fork/Branches"),
        (["States", "Rest", "Timestamp"], "2030-01-01T00:00:00Z", SCHEMA, "/States/Rest"),
        (["States", "Good", "Next"], "Bad", SCHEMA, "/States/Good"),
        ([*EACH, "StartAt"], "Call", TARGET, "/States/Each/ItemProcessor/StartAt"),
        (
            [*EACH, "ProcessorConfig"],
            {"Mode": "DISTRIBUTED"},
            SCHEMA,
            "/States/Each/ItemProcessor/ProcessorConfig",
        ),
        ([*EACH, "States", "Two", "Assign"], {"answer": 1}, SCHEMA, "/States/Each/ItemProcessor/States"),
        ([*EACH, "States", "Call"], PASS, "DUPLICATE_STATE_NAME", "/States/Each/ItemProcessor/States/Call"),
        (
            [*EACH, "States", "Two"],
            {"Type": "Pass", "Next": "Two"},
            "MISSING_END_STATE",
            "/States/Each/ItemProcessor/States",
        ),
    ],
)
def test_a_broken_definition_is_refused_with_place_and_reason(
    path: list[Any], value: Any, code: str, location: str
) -> None:
    assert (code, location) in found(GOOD, path, value)


DISTRIBUTED = ["States", "Spread"]
READER, BATCHER, WRITER = ([*DISTRIBUTED, field] for field in ("ItemReader", "ItemBatcher", "ResultWriter"))
CONFIG = [*DISTRIBUTED, "ItemProcessor", "ProcessorConfig"]


@pytest.mark.parametrize(
    ("path", "value", "location"),
    [
        ([*CONFIG, "ExecutionType"], MISSING, "/States/Spread/ItemProcessor/ProcessorConfig"),
        ([*CONFIG, "ExecutionType"], "FAST", "/States/Spread/ItemProcessor/ProcessorConfig"),
        ([*CONFIG, "Mode"], "WIDE", "/States/Spread/ItemProcessor/ProcessorConfig"),
        (CONFIG, {"Mode": "INLINE"}, "/States/Spread"),
        ([*DISTRIBUTED, "Label"], "a b", "/States/Spread/Label"),
        ([*DISTRIBUTED, "Label"], "x" * 41, "/States/Spread/Label"),
        ([*DISTRIBUTED, "MaxConcurrency"], -1, "/States/Spread/MaxConcurrency"),
        ([*DISTRIBUTED, "ToleratedFailureCount"], 1.5, "/States/Spread/ToleratedFailureCount"),
        ([*DISTRIBUTED, "ToleratedFailurePercentage"], 101, "/States/Spread/ToleratedFailurePercentage"),
        ([*DISTRIBUTED, "Items"], [1], "/States/Spread"),
        ([*DISTRIBUTED, "ItemsPath"], "$.a", "/States/Spread"),
        ([*READER, "Resource"], "arn:aws:states:::s3:headObject", "/States/Spread/ItemReader/Resource"),
        ([*READER, "Resource"], "arn:aws:states:::s3:listObjectsV2", "/States/Spread/ItemReader"),
        ([*READER, "Parameters"], {}, "/States/Spread/ItemReader"),
        ([*READER, "Arguments"], MISSING, "/States/Spread/ItemReader"),
        ([*READER, "Arguments"], {"Bucket": "b"}, "/States/Spread/ItemReader/Arguments"),
        ([*READER, "ReaderConfig"], {}, "/States/Spread/ItemReader"),
        (
            [*READER, "ReaderConfig", "InputType"],
            "PARQUET",
            "/States/Spread/ItemReader/ReaderConfig/InputType",
        ),
        ([*READER, "ReaderConfig", "InputType"], "JSONL", "/States/Spread/ItemReader"),
        ([*READER, "ReaderConfig", "CSVHeaders"], MISSING, "/States/Spread/ItemReader"),
        ([*READER, "ReaderConfig", "MaxItems"], -1, "/States/Spread/ItemReader/ReaderConfig/MaxItems"),
        ([*READER, "ReaderConfig", "ItemsPointer"], "/a", "/States/Spread/ItemReader/ReaderConfig"),
        ([*BATCHER, "MaxItemsPerBatch"], MISSING, "/States/Spread/ItemBatcher"),
        ([*BATCHER, "MaxItemsPerBatch"], 0, "/States/Spread/ItemBatcher/MaxItemsPerBatch"),
        ([*BATCHER, "MaxInputBytesPerBatch"], 262_145, "/States/Spread/ItemBatcher/MaxInputBytesPerBatch"),
        (WRITER, {}, "/States/Spread/ResultWriter"),
        (WRITER, {"WriterConfig": {"OutputType": "JSONL"}}, "/States/Spread/ResultWriter"),
        ([*WRITER, "Arguments"], MISSING, "/States/Spread/ResultWriter"),
        ([*WRITER, "Arguments"], {"Prefix": "p"}, "/States/Spread/ResultWriter/Arguments"),
        ([*WRITER, "Resource"], "arn:aws:states:::s3:copyObject", "/States/Spread/ResultWriter/Resource"),
        (
            [*WRITER, "WriterConfig", "Transformation"],
            "ZIP",
            "/States/Spread/ResultWriter/WriterConfig/Transformation",
        ),
        (
            [*WRITER, "WriterConfig", "OutputType"],
            "CSV",
            "/States/Spread/ResultWriter/WriterConfig/OutputType",
        ),
    ],
)
def test_each_mistake_in_a_distributed_map_is_found_where_it_is(
    path: list[Any], value: Any, location: str
) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html and the pages of its fields"""
    assert (SCHEMA, location) in found(SPREAD, path, value)


def test_express_workflows_have_no_map_runs() -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html"""
    handle = Harness().service.handle
    request = {"definition": json.dumps(SPREAD), "type": "EXPRESS"}
    answer = handle("ValidateStateMachineDefinition", request)
    assert [finding["location"] for finding in answer["diagnostics"]] == ["/States/Spread"]
    nested = deepcopy(SPREAD)
    nested["States"]["Spread"]["ItemProcessor"] |= {
        "StartAt": "Spread2",
        "States": {"Spread2": {**SPREAD["States"]["Spread"]}},
    }
    inner = "/States/Spread/ItemProcessor/States/Spread2"
    locations = [finding.location for finding in diagnose(json.dumps(nested))]
    assert inner in locations
    assert f"{inner}/Label" in locations


@pytest.mark.parametrize("definition", [GOOD, SPREAD])
@settings(deadline=None)
@given(data=st.data(), value=JSON)
def test_nothing_in_a_definition_upsets_the_check(
    definition: dict[str, Any], data: st.DataObject, value: Any
) -> None:
    path = data.draw(st.sampled_from(sorted(places(definition), key=str)))
    assert all(isinstance(finding, Diagnostic) for finding in diagnose(changed(definition, path, value)))


def changed(definition: dict[str, Any], path: Sequence[Any], value: Any) -> str:
    definition = deepcopy(definition)
    part: Any = definition
    for step in path[:-1]:
        part = part[step]
    if value is MISSING:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return json.dumps(definition)


def found(definition: dict[str, Any], path: Sequence[Any], value: Any) -> list[tuple[str, str]]:
    return [(finding.code, finding.location) for finding in diagnose(changed(definition, path, value))]


@pytest.mark.parametrize("text", ["{", "[]", "null", '"text"', '{"QueryLanguage": "JSONata"}'])
def test_anything_but_a_state_machine_is_refused(text: str) -> None:
    assert diagnose(text)


def test_the_interface_answers_with_result_and_diagnostics() -> None:
    handle = Harness().service.handle
    good = handle("ValidateStateMachineDefinition", {"definition": json.dumps(GOOD)})
    assert good == {"result": "OK", "diagnostics": [], "truncated": False}
    bad = machine({"A": {"Type": "Pass"}, "B": {"Type": "Pass"}})
    answer = handle("ValidateStateMachineDefinition", {"definition": json.dumps(bad), "maxResults": 1})
    assert (answer["result"], answer["truncated"], len(answer["diagnostics"])) == ("FAIL", True, 1)
    assert set(answer["diagnostics"][0]) == {"severity", "code", "message", "location"}
