"""Distributed Map: https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html, and the page at each group.

The order of history events and what AWS says of bad datasets are known from recordings of AWS by LocalStack's authors.
"""

import gc
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from scripts.local_aws.core.errors import ServiceError, StatesError
from scripts.local_aws.stepfunctions import result_writer, service
from scripts.local_aws.stepfunctions.executions import Execution
from tests.local_aws.conftest import eventually
from tests.local_aws.stepfunctions.harness import Harness, close_services, machine, task

pytestmark = pytest.mark.usefixtures(close_services.__name__)

BUCKET = "datasets"
PASS = {"Type": "Pass", "End": True}
GET, LIST, PUT = (f"arn:aws:states:::s3:{name}" for name in ("getObject", "listObjectsV2", "putObject"))
INPUT = "{% $states.input %}"


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        with mock_aws():
            client = boto3.client("s3", region_name="us-east-1")
            client.create_bucket(Bucket=BUCKET)
            yield client


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds back the tasks of `held` until it is set."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def held(gate: threading.Event, s3: Any) -> Harness:
    return Harness(lambda _, arguments: gate.wait(20) and arguments, s3)


def distributed(states: Any = None, kind: Any = "EXPRESS", **fields: Any) -> dict[str, Any]:
    """A state machine whose Map state runs these states, a Pass state if there are none, for every item."""
    states = states or {"Each": PASS}
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind},
        "StartAt": next(iter(states)),
        "States": states,
    }
    return machine(
        {"Map": {"Type": "Map", "Label": "All", "ItemProcessor": processor, "End": True, **fields}}
    )


def with_states(definition: dict[str, Any], **states: Any) -> dict[str, Any]:
    return {**definition, "States": {**definition["States"], **states}}


def reader(s3: Any, content: str | bytes, **config: Any) -> dict[str, Any]:
    """An ItemReader of an object with this content."""
    s3.put_object(Bucket=BUCKET, Key="dataset", Body=content)
    arguments = {"Bucket": BUCKET, "Key": "dataset"}
    return {"Resource": GET, "Arguments": arguments, "ReaderConfig": config}


def writer(**config: str) -> dict[str, Any]:
    written = {"Resource": PUT, "Arguments": {"Bucket": BUCKET, "Prefix": "results"}}
    return {**written, "WriterConfig": config} if config else written


def failing_for(*items: Any) -> Callable[[str, Any], Any]:
    """A service that fails for these arguments and echoes others."""

    def call(_resource: str, arguments: Any) -> Any:
        if arguments in items:
            raise StatesError("Boom", "told so")
        return arguments

    return call


def map_run(harness: Harness, execution_arn: str) -> dict[str, Any]:
    runs = harness.service.handle("ListMapRuns", {"executionArn": execution_arn})["mapRuns"]
    return harness.service.handle("DescribeMapRun", {"mapRunArn": runs[0]["mapRunArn"]})


def written(s3: Any, end: dict[str, Any]) -> dict[str, str]:
    """The result files by name, found by the manifest that the output of the state names."""
    details = json.loads(end["output"])["ResultWriterDetails"]
    return files_of(s3, details["Key"])


def files_of(s3: Any, manifest_key: str) -> dict[str, str]:
    manifest = json.loads(s3.get_object(Bucket=BUCKET, Key=manifest_key)["Body"].read())
    entries = [entry for group in manifest["ResultFiles"].values() for entry in group]
    texts = {
        entry["Key"].rpartition("/")[2]: s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"]
        .read()
        .decode()
        for entry in entries
    }
    assert [len(text.encode()) for text in texts.values()] == [entry["Size"] for entry in entries]
    return texts


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(ServiceError) as raised:
        call()
    assert raised.value.status == 400
    return raised.value.code


# Child executions: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-examine-map-run.html


@pytest.mark.parametrize("kind", ["EXPRESS", "STANDARD"])
def test_every_item_gets_a_child_and_results_keep_order(kind: str) -> None:
    definition = distributed({"Double": {**PASS, "Output": "{% $states.input * 2 %}"}}, kind)
    assert Harness().output(definition, list(range(100))) == list(range(0, 200, 2))


def test_an_object_is_iterated_over_pair_by_pair() -> None:
    assert Harness().output(distributed(Items={"a": 1, "b": INPUT}), 2) == [
        {"Key": "a", "Value": 1},
        {"Key": "b", "Value": 2},
    ]


def test_a_child_knows_itself_and_its_machine() -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html: variables stay outside."""
    harness = Harness()
    context = {**PASS, "Output": {"context": "{% $states.context %}", "outer": "{% $exists($outer) %}"}}
    definition = distributed({"Each": context}, "STANDARD")
    definition = with_states({**definition, "StartAt": "First"}, First={**PASS, "Assign": {"outer": 1}})
    definition["States"]["First"] = {"Type": "Pass", "Assign": {"outer": 1}, "Next": "Map"}
    [seen] = harness.output(definition, [7])
    execution, of_machine = seen["context"]["Execution"], seen["context"]["StateMachine"]
    assert of_machine["Id"] == "arn:aws:states:us-east-1:123456789012:stateMachine:machine-0/All"
    assert of_machine["Name"] == "machine-0/All"
    assert execution["Id"] == of_machine["Id"].replace("stateMachine", "execution") + f":{execution['Name']}"
    assert execution["Input"] == 7
    assert "Map" not in seen["context"]
    assert seen["outer"] is False


def test_an_item_selector_sees_item_input_and_variables() -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemselector.html"""
    selector = {
        "at": "{% $states.context.Map.Item.Index %}",
        "key": "{% $states.context.Map.Item.Value.key %}",
        "run": "{% $run %}",
        "prefix": "{% $states.input.prefix %}",
    }
    fields = {"Items": "{% $states.input.items %}", "ItemSelector": selector}
    definition = distributed(**fields)
    first = {"Type": "Pass", "Assign": {"run": 3}, "Next": "Map"}
    definition = with_states({**definition, "StartAt": "First"}, First=first)
    value = {"prefix": "p/", "items": [{"key": "a"}, {"key": "b"}]}
    assert Harness().output(definition, value) == [
        {"at": 0, "key": "a", "run": 3, "prefix": "p/"},
        {"at": 1, "key": "b", "run": 3, "prefix": "p/"},
    ]


def test_a_child_may_have_an_inline_map() -> None:
    inner = {
        "Type": "Map",
        "Items": "{% $states.input.Items %}",
        "ItemProcessor": {"StartAt": "One", "States": {"One": {**PASS, "Output": "{% $states.input + 1 %}"}}},
        "End": True,
    }
    definition = distributed({"Inner": inner}, ItemBatcher={"MaxItemsPerBatch": 2})
    assert Harness().output(definition, [1, 2, 3]) == [[2, 3], [4]]


def test_the_parents_history_shows_only_the_map_run() -> None:
    harness = Harness()
    end = harness.run(distributed(), [1, 2])
    events = harness.history(end["executionArn"])
    assert [(event["type"], event["previousEventId"]) for event in events] == [
        ("ExecutionStarted", 0),
        ("MapStateEntered", 0),
        ("MapStateStarted", 2),
        ("MapRunStarted", 3),
        ("MapRunSucceeded", 4),
        ("MapStateSucceeded", 5),
        ("MapStateExited", 5),
        ("ExecutionSucceeded", 7),
    ]
    assert events[2]["mapStateStartedEventDetails"] == {"length": 2}
    arn = map_run(harness, end["executionArn"])["mapRunArn"]
    assert events[3]["mapRunStartedEventDetails"] == {"mapRunArn": arn}


def test_nothing_stays_of_express_children() -> None:
    """10,000s of children must not fill the memory."""
    alive: list[int] = []

    def count(_resource: str, arguments: Any) -> Any:
        if arguments % 100 == 0:
            alive.append(sum(isinstance(thing, Execution) for thing in gc.get_objects()))
        return arguments

    harness = Harness(count)
    gc.collect()
    definition = distributed({"Each": task(Output=1)}, MaxConcurrency=5)
    assert harness.output(definition, list(range(1000))) == [1] * 1000
    assert max(alive[1:]) < alive[0] + 100
    assert len(harness.service._executions) == 1


# Datasets: https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html


CSV = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}
GIVEN = {"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["a", "b"]}


@pytest.mark.parametrize(
    ("content", "config", "items"),
    [
        ('{"n": 1}\n"zwei"\r\n\n[3]', {"InputType": "JSONL"}, [{"n": 1}, "zwei", [3]]),
        ("", {"InputType": "JSONL"}, []),
        ('"a\u2028b"\n"é"\n', {"InputType": "JSONL"}, ["a\u2028b", "é"]),
        ('[1, {"a": null}]', {"InputType": "JSON"}, [1, {"a": None}]),
        ('{"x": 1}', {"InputType": "JSON"}, [{"Key": "x", "Value": 1}]),
        ("1\n2\n3\n", {"InputType": "JSONL", "MaxItems": 2}, [1, 2]),
        ("1\n2\n3\n", {"InputType": "JSONL", "MaxItems": "{% 1 + 1 %}"}, [1, 2]),
        ("1\n2\n", {"InputType": "JSONL", "MaxItems": 0}, [1, 2]),
        ("a,b\n1,2\n3,4\n", CSV, [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
        ("a,b\n1\n\n3,4,5\n", CSV, [{"a": "1", "b": ""}, {"a": "3", "b": "4"}]),
        ('a,b\n"1,\n2","say ""hi"""\n', CSV, [{"a": "1,\n2", "b": 'say "hi"'}]),
        ("a,b\nC:\\\\x,y\\,z\n", CSV, [{"a": "C:\\x", "b": "y,z"}]),
        ("1|2\n", {**GIVEN, "CSVDelimiter": "PIPE"}, [{"a": "1", "b": "2"}]),
    ],
)
def test_an_item_reader_reads_lines_arrays_and_tables(s3: Any, content: str, config: Any, items: Any) -> None:
    harness = Harness(s3=s3)
    end = harness.run(distributed(ItemReader=reader(s3, content, **config)))
    assert json.loads(end["output"]) == items
    assert harness.history(end["executionArn"])[2]["mapStateStartedEventDetails"] == {"length": 0}


def test_an_item_reader_lists_objects_page_by_page(s3: Any) -> None:
    for number in range(5):
        s3.put_object(Bucket=BUCKET, Key=f"pictures/é+{number}.jpg", Body=b"x" * number)
    arguments = {"Bucket": BUCKET, "Prefix": "{% $states.input.prefix %}", "MaxKeys": 2}
    listing = {"Resource": LIST, "Arguments": arguments, "ReaderConfig": {"MaxItems": 4}}
    items = Harness(s3=s3).output(distributed(ItemReader=listing), {"prefix": "pictures/"})
    assert [item["Key"] for item in items] == [f"pictures/é+{number}.jpg" for number in range(4)]
    assert [item["Size"] for item in items] == [0, 1, 2, 3]
    assert all(set(item) == {"Etag", "Key", "LastModified", "Size", "StorageClass"} for item in items)


def test_a_dataset_is_read_in_pieces(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.local_aws.stepfunctions.executions.ITEMS_AT_ONCE", 3)
    lines = "\n".join(str(number) for number in range(10))
    assert Harness(s3=s3).output(distributed(ItemReader=reader(s3, lines, InputType="JSONL"))) == list(
        range(10)
    )


@pytest.mark.parametrize(
    ("content", "config", "cause"),
    [
        ('{"n": 1}\n{"n": }\n', {"InputType": "JSONL"}, "line 2"),
        ("[NaN]\n", {"InputType": "JSONL"}, "NaN is not JSON"),
        (b"\xff\xfe\n", {"InputType": "JSONL"}, "s3://datasets/dataset is not a valid JSONL dataset"),
        ("7", {"InputType": "JSON"}, "Attempting to map over non-iterable node."),
        ("[1", {"InputType": "JSON"}, "is not a valid JSON dataset"),
        ("a,a\n1,2\n", CSV, "CSV headers cannot contain duplicates."),
        ('a,b\n1,"2\n', CSV, "is not a valid CSV dataset"),
        ("1\n", {"InputType": "JSONL", "MaxItems": "{% -1 %}"}, "field MaxItems must be positive"),
    ],
)
def test_a_dataset_that_cannot_be_read_fails_the_map_run(
    s3: Any, content: Any, config: Any, cause: str
) -> None:
    harness = Harness(s3=s3)
    end = harness.run(distributed(ItemReader=reader(s3, content, **config)))
    assert (end["status"], end["error"]) == ("FAILED", "States.ItemReaderFailed")
    assert cause in end["cause"]
    events = harness.history(end["executionArn"])[-3:]
    assert [event["type"] for event in events] == ["MapRunFailed", "MapStateFailed", "ExecutionFailed"]
    assert events[0]["mapRunFailedEventDetails"] == {"error": end["error"], "cause": end["cause"]}
    assert map_run(harness, end["executionArn"])["status"] == "FAILED"


@pytest.mark.parametrize("arguments", [{"Bucket": BUCKET, "Key": "none"}, {"Bucket": "none", "Key": "x"}])
def test_a_dataset_that_does_not_exist_can_be_caught(s3: Any, arguments: dict[str, str]) -> None:
    source = {"Resource": GET, "Arguments": arguments, "ReaderConfig": {"InputType": "JSONL"}}
    catch = [{"ErrorEquals": ["States.ItemReaderFailed"], "Next": "Caught"}]
    definition = with_states(distributed(ItemReader=source, Catch=catch), Caught=PASS)
    caught = Harness(s3=s3).output(definition)
    assert caught["Error"] == "States.ItemReaderFailed"
    assert "NoSuch" in caught["Cause"]


@pytest.mark.parametrize("field", ["ItemReader", "ResultWriter"])
def test_a_place_in_s3_must_be_an_object(field: str) -> None:
    source = {"Resource": LIST if field == "ItemReader" else PUT, "Arguments": "{% 'bucket' %}"}
    end = Harness().run(distributed(**{field: source}), [1])
    assert (end["status"], end["error"]) == ("FAILED", "States.QueryEvaluationError")
    assert f"'{field}/Arguments'" in end["cause"]


# Batches: https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html


def test_items_are_batched_by_number() -> None:
    definition = distributed(ItemBatcher={"MaxItemsPerBatch": "{% $count($states.input) - 15 %}"})
    batches = Harness().output(definition, list(range(23)))
    assert [len(batch["Items"]) for batch in batches] == [8, 8, 7]
    assert [item for batch in batches for item in batch["Items"]] == list(range(23))
    assert set(batches[0]) == {"Items"}


def test_every_batch_gets_the_batch_input() -> None:
    batcher = {"MaxItemsPerBatch": 2, "BatchInput": {"date": "{% $states.input.date %}", "fixed": 1}}
    definition = distributed(Items="{% $states.input.items %}", ItemBatcher=batcher)
    batches = Harness().output(definition, {"date": "today", "items": ["a", "b", "c"]})
    shared = {"date": "today", "fixed": 1}
    assert batches == [
        {"BatchInput": shared, "Items": ["a", "b"]},
        {"BatchInput": shared, "Items": ["c"]},
    ]


@pytest.mark.parametrize("most", [None, 100])
def test_no_batch_has_more_bytes_than_allowed(most: int | None) -> None:
    """Every byte of the child's input counts, and letters may have several."""
    batcher = {"MaxInputBytesPerBatch": 60, **({"MaxItemsPerBatch": most} if most else {})}
    items = ["é" * length for length in (1, 9, 3, 20, 5, 5, 5, 5, 23)]
    batches = Harness().output(distributed(ItemBatcher=batcher), items)
    sizes = [len(json.dumps(batch, separators=(",", ":"), ensure_ascii=False).encode()) for batch in batches]
    assert max(sizes) <= 60
    following = [batch["Items"][0] for batch in batches[1:]]
    assert all(size + len(f',"{first}"'.encode()) > 60 for size, first in zip(sizes, following, strict=False))
    assert [item for batch in batches for item in batch["Items"]] == items


def test_an_item_that_fits_no_batch_fails_the_map_run() -> None:
    end = Harness().run(distributed(ItemBatcher={"MaxInputBytesPerBatch": 30}), ["x" * 30])
    assert (end["status"], end["error"]) == ("FAILED", "States.DataLimitExceeded")


# Concurrency: https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html


@pytest.mark.parametrize(("limit", "most"), [(3, 3), (None, 100), (0, 100)])
def test_max_concurrency_bounds_the_children_under_way(
    limit: int | None, most: int, monkeypatch: pytest.MonkeyPatch, held: Harness, gate: threading.Event
) -> None:
    """An inline Map runs 40 iterations at most, a Map Run 10,000 children."""
    monkeypatch.setattr("scripts.local_aws.stepfunctions.executions.PARALLEL_CALLS", 1000)
    fields = {} if limit is None else {"MaxConcurrency": limit}
    execution = held.start(held.create(distributed({"Each": task()}, **fields)), list(range(100)))
    eventually(lambda: map_run_of(held, execution)["executionCounts"]["running"] == most)
    described = map_run_of(held, execution)
    assert described["maxConcurrency"] == (limit or 10_000)
    assert described["executionCounts"] == {
        **dict.fromkeys(("succeeded", "failed", "timedOut", "aborted", "resultsWritten"), 0),
        "pending": 100 - most,
        "running": most,
        "total": 100,
    }
    gate.set()
    assert held.end_of(execution)["status"] == "SUCCEEDED"


def map_run_of(harness: Harness, execution_arn: str) -> dict[str, Any]:
    """The Map Run of an execution that may not have reached its Map state yet."""
    listed = {"executionArn": execution_arn}
    eventually(lambda: harness.service.handle("ListMapRuns", listed)["mapRuns"])
    return map_run(harness, execution_arn)


# Tolerated failures: https://docs.aws.amazon.com/step-functions/latest/dg/maprun-fail-threshold.html


@pytest.mark.parametrize(
    ("fields", "failures", "succeeds"),
    [
        ({}, 0, True),
        ({}, 1, False),
        ({"ToleratedFailureCount": 2}, 2, True),
        ({"ToleratedFailureCount": 2}, 3, False),
        ({"ToleratedFailurePercentage": 20}, 2, True),
        ({"ToleratedFailurePercentage": "{% 10 + 9.5 %}"}, 2, False),
        ({"ToleratedFailurePercentage": 100}, 10, True),
        ({"ToleratedFailureCount": 5, "ToleratedFailurePercentage": 20}, 3, False),
        ({"ToleratedFailureCount": 1, "ToleratedFailurePercentage": 50}, 3, False),
    ],
)
def test_a_map_run_fails_when_too_many_items_failed(
    fields: dict[str, Any], failures: int, succeeds: bool
) -> None:
    harness = Harness(failing_for(*range(failures)))
    end = harness.run(distributed({"Each": task()}, **fields), list(range(10)))
    if succeeds:
        assert end["status"] == "SUCCEEDED"
        return
    assert (end["status"], end["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    assert end["cause"] == "The specified tolerated failure threshold was exceeded"
    types = [event["type"] for event in harness.history(end["executionArn"])]
    assert types[-3:] == ["MapRunFailed", "MapStateFailed", "ExecutionFailed"]


def test_items_are_counted_and_not_batches() -> None:
    harness = Harness(failing_for({"Items": [0, 1, 2, 3]}))
    fields = {"ItemBatcher": {"MaxItemsPerBatch": 4}, "ToleratedFailureCount": 3}
    end = harness.run(distributed({"Each": task()}, **fields), list(range(6)))
    assert end["error"] == "States.ExceedToleratedFailureThreshold"
    described = map_run(harness, end["executionArn"])
    assert (described["itemCounts"]["failed"], described["executionCounts"]["failed"]) == (4, 1)
    assert (described["toleratedFailureCount"], described["toleratedFailurePercentage"]) == (3, 0.0)


def test_children_that_time_out_count_as_failed(
    monkeypatch: pytest.MonkeyPatch, held: Harness, gate: threading.Event
) -> None:
    monkeypatch.setattr(service, "EXPRESS_SECONDS", 0.05)
    end = held.run(distributed({"Each": task()}), [1, 2])
    gate.set()
    assert end["error"] == "States.ExceedToleratedFailureThreshold"
    assert map_run(held, end["executionArn"])["executionCounts"]["timedOut"] >= 1


def test_a_retry_starts_another_map_run() -> None:
    """A catcher takes what is left."""
    harness = Harness(failing_for(2))
    exceeded = ["States.ExceedToleratedFailureThreshold"]
    fields = {
        "Retry": [{"ErrorEquals": exceeded, "MaxAttempts": 2}],
        "Catch": [{"ErrorEquals": exceeded, "Next": "Caught"}],
    }
    definition = with_states(distributed({"Each": task()}, **fields), Caught=PASS)
    end = harness.run(definition, [1, 2, 3])
    assert json.loads(end["output"])["Error"] == exceeded[0]
    listed = harness.service.handle("ListMapRuns", {"executionArn": end["executionArn"]})["mapRuns"]
    assert len({run["mapRunArn"] for run in listed}) == 3


@pytest.mark.parametrize(("kind", "outcome"), [("STANDARD", "aborted"), ("EXPRESS", "succeeded")])
def test_a_failed_map_run_stops_standard_children(kind: str, outcome: str, gate: threading.Event) -> None:
    """It waits for Express ones."""

    def call(_resource: str, number: int) -> int:
        if number == 1:
            eventually(lambda: len(harness.calls) == 2)
            raise StatesError("Boom")
        gate.wait(20)
        return number

    harness = Harness(call)
    execution = harness.start(
        harness.create(distributed({"Each": task()}, kind, MaxConcurrency=2)), [1, 2, 3]
    )
    eventually(lambda: map_run_of(harness, execution)["executionCounts"]["failed"] == 1)
    if kind == "EXPRESS":
        assert map_run(harness, execution)["status"] == "RUNNING"
        gate.set()
    assert harness.end_of(execution)["error"] == "States.ExceedToleratedFailureThreshold"
    counted = map_run(harness, execution)["executionCounts"]
    assert (counted["failed"], counted["pending"], counted[outcome]) == (1, 1, 1)


def test_an_item_selector_that_fails_fails_the_map_run() -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html"""
    harness = Harness()
    selector = "{% $states.context.Map.Item.Value.missing %}"
    end = harness.run(distributed(ItemSelector=selector), [{"missing": 1}, {}])
    assert (end["status"], end["error"]) == ("FAILED", "States.QueryEvaluationError")
    types = [event["type"] for event in harness.history(end["executionArn"])]
    assert types[-4:] == ["EvaluationFailed", "MapRunFailed", "MapStateFailed", "ExecutionFailed"]


# Results: https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html


ARRAYS = [[1, 2], "three", [{"four": 4}]]


@pytest.mark.parametrize(
    ("transformation", "expected"), [("COMPACT", ARRAYS), ("FLATTEN", [1, 2, "three", {"four": 4}])]
)
def test_results_are_compact_or_flattened(s3: Any, transformation: str, expected: list[Any]) -> None:
    harness = Harness(s3=s3)
    shown = distributed(ResultWriter={"WriterConfig": {"Transformation": transformation}})
    assert harness.output(shown, ARRAYS) == expected
    for kind in ("JSON", "JSONL"):
        exported = distributed(
            ResultWriter=writer(Transformation=transformation, OutputType=kind), MaxConcurrency=1
        )
        files = written(s3, harness.run(exported, ARRAYS))
        [(name, text)] = files.items()
        assert name == f"SUCCEEDED_0.{kind.lower()}"
        found = json.loads(text) if kind == "JSON" else [json.loads(line) for line in text.splitlines()]
        assert found == expected


def test_exported_results_carry_their_executions_by_default(s3: Any) -> None:
    harness = Harness(failing_for(2), s3)
    definition = distributed({"Each": task()}, "STANDARD", ResultWriter=writer(), ToleratedFailureCount=1)
    end = harness.run(definition, [1, 2])
    files = written(s3, end)
    assert set(files) == {"SUCCEEDED_0.json", "FAILED_0.json"}
    [succeeded], [failed] = json.loads(files["SUCCEEDED_0.json"]), json.loads(files["FAILED_0.json"])
    assert (succeeded["Status"], succeeded["Input"], succeeded["Output"]) == ("SUCCEEDED", "1", "1")
    assert (succeeded["RedriveCount"], succeeded["RedriveStatus"]) == (0, "NOT_REDRIVABLE")
    assert (failed["Status"], failed["Error"], failed["Cause"]) == ("FAILED", "Boom", "told so")
    assert (failed["Input"], failed["InputDetails"]) == ("2", {"Included": True})
    described = harness.service.handle("DescribeExecution", {"executionArn": failed["ExecutionArn"]})
    assert described["mapRunArn"] == json.loads(end["output"])["MapRunArn"]
    assert (described["name"], described["stateMachineArn"]) == (failed["Name"], failed["StateMachineArn"])


def test_the_output_names_map_run_and_manifest(s3: Any) -> None:
    harness = Harness(s3=s3)
    end = harness.run(distributed(ResultWriter=writer()), [1])
    output = json.loads(end["output"])
    run_id = output["MapRunArn"].rpartition(":")[2]
    assert output["MapRunArn"] == map_run(harness, end["executionArn"])["mapRunArn"]
    assert output["ResultWriterDetails"] == {"Bucket": BUCKET, "Key": f"results/{run_id}/manifest.json"}
    manifest = json.loads(s3.get_object(Bucket=BUCKET, Key=f"results/{run_id}/manifest.json")["Body"].read())
    assert (manifest["DestinationBucket"], manifest["MapRunArn"]) == (BUCKET, output["MapRunArn"])
    assert list(manifest["ResultFiles"]) == ["FAILED", "PENDING", "SUCCEEDED"]


@pytest.mark.parametrize(
    ("location", "start"), [({}, ""), ({"Prefix": "a/b/"}, "a/b/"), ({"Prefix": "a/b"}, "a/b/")]
)
def test_the_folder_of_a_map_run_is_under_the_prefix(s3: Any, location: dict[str, str], start: str) -> None:
    where = {"Resource": PUT, "Arguments": {"Bucket": BUCKET, **location}}
    output = Harness(s3=s3).output(distributed(ResultWriter=where), [])
    key = f"{start}{output['MapRunArn'].rpartition(':')[2]}/manifest.json"
    assert output["ResultWriterDetails"]["Key"] == key


def test_without_a_writer_outputs_show_failed_children() -> None:
    """The output names the failed child's execution."""
    harness = Harness(failing_for(2))
    definition = distributed({"Each": task()}, ToleratedFailureCount=1)
    first, second, third = harness.output(definition, [1, 2, 3])
    assert (first, third) == (1, 3)
    assert (second["Status"], second["Error"], second["Input"]) == ("FAILED", "Boom", "2")


def test_a_failed_map_run_exports_what_ended_and_what_never_started(s3: Any) -> None:
    harness = Harness(failing_for(1), s3)
    definition = distributed(
        {"Each": task()}, ResultWriter=writer(Transformation="COMPACT"), MaxConcurrency=1
    )
    end = harness.run(definition, [0, 1, 2, 3])
    assert end["error"] == "States.ExceedToleratedFailureThreshold"
    run_id = map_run(harness, end["executionArn"])["mapRunArn"].rpartition(":")[2]
    files = files_of(s3, f"results/{run_id}/manifest.json")
    assert json.loads(files["SUCCEEDED_0.json"]) == [0]
    assert [record["Input"] for record in json.loads(files["FAILED_0.json"])] == ["1"]
    details = {"InputDetails": {"Included": True}, "Status": "PENDING"}
    assert json.loads(files["PENDING_0.json"]) == [{"Input": "2", **details}, {"Input": "3", **details}]


def test_large_results_are_split_into_files(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_writer, "RESULT_FILE_BYTES", 10)
    definition = distributed(ResultWriter=writer(Transformation="COMPACT"), MaxConcurrency=1)
    files = written(s3, Harness(s3=s3).run(definition, [123, 456, 789]))
    assert files == {"SUCCEEDED_0.json": "[123,456]", "SUCCEEDED_1.json": "[789]"}


def test_results_that_cannot_be_written_fail_the_map_run(s3: Any) -> None:
    harness = Harness(s3=s3)
    nowhere = {"Resource": PUT, "Arguments": {"Bucket": "nowhere", "Prefix": "p"}}
    end = harness.run(distributed(ResultWriter=nowhere), [1])
    assert (end["status"], end["error"]) == ("FAILED", "States.ResultWriterFailed")
    assert "NoSuchBucket" in end["cause"]
    assert map_run(harness, end["executionArn"])["status"] == "FAILED"


def test_a_parent_that_ends_while_results_are_written_leaves_them_whole(s3: Any) -> None:
    """They are written once, and to the end."""
    writing, going_on = threading.Event(), threading.Event()

    class Slow:
        def put_object(self, **request: Any) -> None:
            writing.set()
            going_on.wait(20)
            s3.put_object(**request)

    harness = Harness(s3=Slow())
    definition = distributed(ResultWriter=writer(Transformation="COMPACT"))
    execution = harness.start(harness.create(definition), [1])
    assert writing.wait(20)
    harness.service.handle("StopExecution", {"executionArn": execution})
    assert harness.end_of(execution)["status"] == "ABORTED"
    going_on.set()
    run_id = map_run(harness, execution)["mapRunArn"].rpartition(":")[2]
    manifest = f"results/{run_id}/manifest.json"
    eventually(lambda: s3.list_objects_v2(Bucket=BUCKET, Prefix=manifest)["KeyCount"])
    assert files_of(s3, manifest) == {"SUCCEEDED_0.json": "[1]"}


def test_results_that_are_too_large_for_a_state_need_a_writer(s3: Any) -> None:
    harness = Harness(s3=s3)
    large = {"Each": {**PASS, "Output": "{% $pad('', 30000, 'x') %}"}}
    end = harness.run(distributed(large), list(range(10)))
    assert (end["status"], end["error"]) == ("FAILED", "States.DataLimitExceeded")
    assert harness.run(distributed(large, ResultWriter=writer()), list(range(10)))["status"] == "SUCCEEDED"


# Map Runs: https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeMapRun.html and its neighbours


def test_a_map_run_without_a_label_gets_one_that_stays() -> None:
    harness = Harness()
    definition = distributed()
    del definition["States"]["Map"]["Label"]
    arn = harness.create(definition)
    labels = []
    for _ in range(2):
        described = map_run(harness, harness.end_of(harness.start(arn, [1]))["executionArn"])
        labels.append(described["mapRunArn"].split("/")[1].partition(":")[0])
    assert labels[0] == labels[1]


def test_children_of_standard_are_listed_by_map_run() -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html"""
    harness = Harness(failing_for({"Items": [4]}))
    fields = {"ItemBatcher": {"MaxItemsPerBatch": 2}, "ToleratedFailureCount": 1}
    end = harness.run(distributed({"Each": task()}, "STANDARD", **fields), list(range(5)))
    run_arn = map_run(harness, end["executionArn"])["mapRunArn"]

    def listed(**fields: Any) -> list[dict[str, Any]]:
        return harness.service.handle("ListExecutions", {"mapRunArn": run_arn, **fields})["executions"]

    assert sorted(child["itemCount"] for child in listed()) == [1, 2, 2]
    assert {child["mapRunArn"] for child in listed()} == {run_arn}
    assert [child["itemCount"] for child in listed(statusFilter="FAILED")] == [1]
    child = listed()[0]["executionArn"]
    assert harness.history(child)[0]["type"] == "ExecutionStarted"
    run_by = harness.service.handle("DescribeStateMachineForExecution", {"executionArn": child})
    assert (run_by["mapRunArn"], run_by["label"]) == (run_arn, "All")
    assert json.loads(run_by["definition"])["States"] == {"Each": task()}
    parents = {"stateMachineArn": end["stateMachineArn"]}
    assert len(harness.service.handle("ListExecutions", parents)["executions"]) == 1
    assert refused(lambda: listed(**parents)) == "ValidationException"
    assert refused(lambda: harness.service.handle("ListExecutions", {})) == "ValidationException"


def test_express_children_are_not_listed() -> None:
    harness = Harness()
    end = harness.run(distributed(), [1])
    request = {"mapRunArn": map_run(harness, end["executionArn"])["mapRunArn"]}
    assert (
        refused(lambda: harness.service.handle("ListExecutions", request)) == "StateMachineTypeNotSupported"
    )


def test_a_map_run_under_way_can_be_given_more_room(held: Harness, gate: threading.Event) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_UpdateMapRun.html"""
    fields = {"MaxConcurrency": 1, "ToleratedFailureCount": 2}
    execution = held.start(held.create(distributed({"Each": task()}, **fields)), list(range(10)))
    arn = map_run_of(held, execution)["mapRunArn"]
    changes = {"maxConcurrency": 5, "toleratedFailureCount": 3, "toleratedFailurePercentage": 40}
    assert held.service.handle("UpdateMapRun", {"mapRunArn": arn, **changes}) == {}
    assert changes.items() <= map_run(held, execution).items()
    eventually(lambda: map_run(held, execution)["executionCounts"]["running"] == 5)
    gate.set()
    assert held.end_of(execution)["status"] == "SUCCEEDED"
    late = {"mapRunArn": arn, **changes}
    assert refused(lambda: held.service.handle("UpdateMapRun", late)) == "ValidationException"


def test_a_map_run_can_be_given_less_room(gate: threading.Event) -> None:
    """Children under way go on; no more start until there is room."""
    harness = Harness(lambda _, number: number if number == 0 else gate.wait(20))
    execution = harness.start(
        harness.create(distributed({"Each": task()}, MaxConcurrency=3)), [1, 2, 3, 0, 0, 0]
    )
    eventually(lambda: map_run_of(harness, execution)["executionCounts"]["running"] == 3)
    arn = map_run(harness, execution)["mapRunArn"]
    harness.service.handle("UpdateMapRun", {"mapRunArn": arn, "maxConcurrency": 1})
    gate.set()
    assert harness.end_of(execution)["status"] == "SUCCEEDED"
    assert map_run(harness, execution)["executionCounts"]["succeeded"] == 6


@pytest.mark.parametrize("action", ["DescribeMapRun", "UpdateMapRun", "ListExecutions"])
def test_an_unknown_map_run_is_not_found(action: str) -> None:
    handle = Harness().service.handle
    assert refused(lambda: handle(action, {"mapRunArn": "x"})) == "ResourceNotFound"
    assert refused(lambda: handle("ListMapRuns", {"executionArn": "x"})) == "ExecutionDoesNotExist"


def test_a_map_run_goes_when_its_execution_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "RETAINED_EXECUTIONS", 1)
    harness = Harness()
    arn = harness.create(distributed())
    end = harness.end_of(harness.start(arn, [1]))
    request = {"mapRunArn": map_run(harness, end["executionArn"])["mapRunArn"]}
    harness.end_of(harness.start(arn, [1]))
    eventually(lambda: len(harness.service._map_runs) == 1)
    assert refused(lambda: harness.service.handle("DescribeMapRun", request)) == "ResourceNotFound"


@pytest.mark.parametrize("kind", ["EXPRESS", "STANDARD"])
def test_stopping_the_parent_aborts_map_run_and_children(
    kind: str, held: Harness, gate: threading.Event, s3: Any
) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html"""
    fields = {"MaxConcurrency": 2, "ResultWriter": writer()}
    execution = held.start(held.create(distributed({"Each": task()}, kind, **fields)), [1, 2, 3])
    eventually(lambda: map_run_of(held, execution)["executionCounts"]["running"] == 2)
    held.service.handle("StopExecution", {"executionArn": execution})
    assert held.end_of(execution)["status"] == "ABORTED"
    described = map_run(held, execution)
    assert described["status"] == "ABORTED"
    assert (described["executionCounts"]["aborted"], described["executionCounts"]["pending"]) == (2, 1)
    assert described["stopDate"] >= described["startDate"]
    run_id = described["mapRunArn"].rpartition(":")[2]
    manifest = f"results/{run_id}/manifest.json"
    eventually(lambda: s3.list_objects_v2(Bucket=BUCKET, Prefix=manifest)["KeyCount"])
    files = files_of(s3, manifest)
    assert sorted(record["Status"] for record in json.loads(files["FAILED_0.json"])) == ["ABORTED"] * 2
    assert [record["Input"] for record in json.loads(files["PENDING_0.json"])] == ["3"]


def test_a_failed_neighbour_aborts_a_map_run(gate: threading.Event) -> None:
    def call(_resource: str, arguments: Any) -> Any:
        if arguments == "neighbour":
            eventually(lambda: len(harness.calls) == 2)
            raise StatesError("Boom")
        gate.wait(20)

    harness = Harness(call)
    branches = [
        {"StartAt": "Map", "States": distributed({"Each": task()})["States"]},
        {"StartAt": "Neighbour", "States": {"Neighbour": task(Arguments="neighbour")}},
    ]
    end = harness.run(machine({"Fork": {"Type": "Parallel", "Branches": branches, "End": True}}), [1])
    assert end["error"] == "Boom"
    types = [event["type"] for event in harness.history(end["executionArn"])]
    assert types[-4:-2] == ["MapRunAborted", "MapStateAborted"]
    assert map_run(harness, end["executionArn"])["status"] == "ABORTED"


def test_a_stopped_standard_child_does_not_count_as_failed(held: Harness, gate: threading.Event) -> None:
    execution = held.start(held.create(distributed({"Each": task()}, "STANDARD")), [1, 2])
    eventually(lambda: map_run_of(held, execution)["executionCounts"]["running"] == 2)
    request = {"mapRunArn": map_run(held, execution)["mapRunArn"]}
    child = held.service.handle("ListExecutions", request)["executions"][0]["executionArn"]
    held.service.handle("StopExecution", {"executionArn": child})
    gate.set()
    assert held.end_of(execution)["status"] == "SUCCEEDED"
    assert map_run(held, execution)["itemCounts"]["aborted"] == 1


def test_a_redrive_is_refused() -> None:
    harness = Harness(failing_for(1))
    end = harness.run(distributed({"Each": task()}), [1])
    request = {"executionArn": end["executionArn"]}
    assert refused(lambda: harness.service.handle("RedriveExecution", request)) == "UnknownOperationException"
